//! Convolutions of 3 × 3 and 5 × 5 at stride 1 with fewer multiplications (Winograd 1980; Lavin & Gray 2016).
//!
//! A tile of 6 × 6 input pixels gives 4 × 4 results of a 3 × 3 kernel, or 2 × 2 of a 5 × 5 one:
//!
//! > y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A
//!
//! with kernels g transformed once, tiles d transformed on the way in, products y on the way out. Summed over channels,
//! the ⊙ becomes 36 matrix products: 2.25 multiplications a result instead of 9, or 9 instead of 25. The matrices evaluate
//! polynomials at 0, ±1, ±2 and ∞; results are off by about 1e-5 of their size, ten times as much as direct ones. The
//! gradient is each step's transpose in the opposite order, on the same transformed kernels.

use super::conv::ConvShape;
use super::map::FeatureMap;
use crate::kernel::matrix::{Matrix, MatrixMut};
use crate::kernel::simd::vectorized;
use crate::precision::Precision;
use rayon::prelude::*;

/// Pixels of a tile's side.
const TILE: usize = 6;

/// Results a tile of 3 × 3 kernels gives, along one axis; of 5 × 5 it gives 2.
const MOST_RESULTS: usize = 4;

/// Products a tile: one for each of its pixels.
const PRODUCTS: usize = TILE * TILE;

/// Channels transformed at a time: one AVX-512 register, or two smaller ones.
const LANES: usize = 16;

/// Transformed values held at a time: 64 MB, whatever the picture's size.
const MOST_VALUES: usize = 1 << 24;

/// Values of `LANES` channels.
type Lanes = [f32; LANES];

/// A convolution's transformed kernels.
#[derive(Clone, Debug)]
pub(super) struct Winograd {
    shape: ConvShape,
    /// (product, input, output).
    kernels: Vec<f32>,
}

impl Winograd {
    /// `weight` is (output, input, kernel row, kernel column); `None` where the method does not apply.
    pub(super) fn new(shape: ConvShape, weight: &[f32]) -> Option<Self> {
        let ConvShape { input, output, side, stride, .. } = shape;
        if !(matches!(side, 3 | 5) && stride == 1 && input % LANES == 0 && output % LANES == 0) {
            return None;
        }
        let g = kernel_rows(side);
        let mut kernels = vec![0.0; PRODUCTS * input * output];
        for (index, kernel) in weight.chunks(side * side).enumerate() {
            let (o, i) = (index / input, index % input);
            for product in 0..PRODUCTS {
                let (down, right) = (&g[product / TILE], &g[product % TILE]);
                let terms = kernel.iter().enumerate().map(|(k, w)| down[k / side] * right[k % side] * f64::from(*w));
                kernels[(product * input + i) * output + o] = terms.sum::<f64>() as f32;
            }
        }
        Some(Self { shape, kernels })
    }

    /// Results a tile, along one axis.
    fn results(&self) -> usize {
        TILE + 1 - self.shape.side
    }

    /// y = convolution of x; `y` has its shape already.
    pub(super) fn forward(&self, x: &FeatureMap, y: &mut FeatureMap) {
        let (results, input, output) = (self.results(), self.shape.input, self.shape.output);
        let grid = Grid::over(y, results);
        let x = x.framed(self.shape.padding, grid.input_side(grid.rows), grid.input_side(grid.columns));
        let (width, row_values) = (y.width, y.row_values());
        let mut y_rest = &mut y.values[..];
        for band in grid.bands(input + output) {
            let tiles = band.len() * grid.columns;
            let mut transformed = vec![0.0; PRODUCTS * tiles * input];
            let rows = Planes::of(&mut transformed, tiles * input).split(grid.columns * input);
            rows.into_par_iter().zip(band.clone()).for_each(|(mut planes, row)| {
                for tile in 0..grid.columns {
                    let corner = (row * results * x.width + tile * results) * input;
                    tile_in(&x.values[corner..], x.width * input, input, &mut planes, tile * input);
                }
            });
            let mut products = vec![0.0; PRODUCTS * tiles * output];
            products.par_chunks_mut(tiles * output).enumerate().for_each(|(product, products)| {
                let kernels = &self.kernels[product * input * output..][..input * output];
                let tiles_in = Matrix::new(&transformed[product * tiles * input..][..tiles * input], tiles, input);
                let kernels = Matrix::new(kernels, input, output);
                MatrixMut::new(products, tiles, output).set_product(1.0, tiles_in, kernels, Precision::F32.alone());
            });
            let band_rows = (band.len() * results).min(y_rest.len() / row_values);
            let (y_band, rest) = y_rest.split_at_mut(band_rows * row_values);
            y_rest = rest;
            y_band.par_chunks_mut(results * row_values).enumerate().for_each(|(row, y)| {
                for tile in 0..grid.columns {
                    let from = &products[(row * grid.columns + tile) * output..];
                    let columns = results.min(width - tile * results);
                    let size = [y.len() / row_values, columns];
                    let to = &mut y[tile * results * output..];
                    tile_out(from, tiles * output, output, results, to, row_values, size);
                }
            });
        }
    }

    /// The gradient of a picture of `height` × `width` pixels, from that of the result.
    pub(super) fn backward(&self, dy: &FeatureMap, height: usize, width: usize) -> FeatureMap {
        let (results, input, output) = (self.results(), self.shape.input, self.shape.output);
        let grid = Grid::over(dy, results);
        let dy = dy.framed(0, grid.rows * results, grid.columns * results);
        let mut dx = FeatureMap::zeros(grid.input_side(grid.rows), grid.input_side(grid.columns), input);
        for band in grid.bands(input + output) {
            let tiles = band.len() * grid.columns;
            let mut products = vec![0.0; PRODUCTS * tiles * output];
            let rows = Planes::of(&mut products, tiles * output).split(grid.columns * output);
            rows.into_par_iter().zip(band.clone()).for_each(|(mut planes, row)| {
                for tile in 0..grid.columns {
                    let corner = (row * results * dy.width + tile * results) * output;
                    let from = &dy.values[corner..];
                    tile_out_gradient(from, dy.width * output, output, results, &mut planes, tile * output);
                }
            });
            let mut transformed = vec![0.0; PRODUCTS * tiles * input];
            transformed.par_chunks_mut(tiles * input).enumerate().for_each(|(product, transformed)| {
                let kernels = &self.kernels[product * input * output..][..input * output];
                let products = Matrix::new(&products[product * tiles * output..][..tiles * output], tiles, output);
                let kernels = Matrix::new(kernels, input, output).transposed();
                MatrixMut::new(transformed, tiles, input).set_product(1.0, products, kernels, Precision::F32.alone());
            });
            self.add_tiles(&mut dx, &transformed, &grid, band);
        }
        dx.unframed(self.shape.padding, height, width)
    }

    /// Adds the gradients of a band's tiles to the pixels they cover. Tiles overlap their neighbours below, so that rows
    /// of tiles are taken in turns, each turn's far enough apart to be added at once.
    fn add_tiles(&self, dx: &mut FeatureMap, transformed: &[f32], grid: &Grid, band: std::ops::Range<usize>) {
        let (results, input) = (self.results(), self.shape.input);
        let (tiles, row_values) = (band.len() * grid.columns, dx.row_values());
        let turns = TILE.div_ceil(results);
        for turn in 0..turns {
            let first = (band.start + turn) * results * row_values;
            if turn >= band.len() {
                break;
            }
            let taken = dx.values[first..].par_chunks_mut(turns * results * row_values).enumerate();
            taken.take((band.len() - turn).div_ceil(turns)).for_each(|(index, dx)| {
                let row = index * turns + turn;
                for tile in 0..grid.columns {
                    let from = &transformed[(row * grid.columns + tile) * input..];
                    tile_in_gradient(from, tiles * input, input, &mut dx[tile * results * input..], row_values);
                }
            });
        }
    }
}

/// The tiles that cover a result.
struct Grid {
    rows: usize,
    columns: usize,
    results: usize,
}

impl Grid {
    fn over(y: &FeatureMap, results: usize) -> Self {
        Self { rows: y.height.div_ceil(results), columns: y.width.div_ceil(results), results }
    }

    /// Input pixels that `tiles` tiles in a line cover.
    fn input_side(&self, tiles: usize) -> usize {
        tiles * self.results + TILE - self.results
    }

    /// Rows of tiles, in bands of bounded memory.
    fn bands(&self, channels: usize) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let each = (MOST_VALUES / (PRODUCTS * channels * self.columns)).max(1);
        let rows = self.rows;
        (0..rows).step_by(each).map(move |first| first..rows.min(first + each))
    }
}

/// A part of each of the `PRODUCTS` matrices of tiles.
struct Planes<'a>(Vec<&'a mut [f32]>);

impl<'a> Planes<'a> {
    /// Matrices of `each` values that lie one behind another.
    fn of(values: &'a mut [f32], each: usize) -> Self {
        Self(values.chunks_mut(each).collect())
    }

    /// Cuts all matrices into rows of tiles, `each` values of every one.
    fn split(self, each: usize) -> Vec<Self> {
        let mut parts = Vec::new();
        for plane in self.0 {
            for (index, part) in plane.chunks_mut(each).enumerate() {
                if parts.len() <= index {
                    parts.push(Planes(Vec::with_capacity(PRODUCTS)));
                }
                parts[index].0.push(part);
            }
        }
        parts
    }
}

vectorized! {
    /// Bᵀ d B of one tile, for all channels: reads pixels that are `row_values` apart from row to row.
    fn tile_in(from: &[f32], row_values: usize, channels: usize, to: &mut Planes<'_>, place: usize) {
        for channel in (0..channels).step_by(LANES) {
            let mut half = [[[0.0; LANES]; TILE]; TILE];
            for column in 0..TILE {
                let line = std::array::from_fn(|row| load(&from[row * row_values + column * channels + channel..]));
                for (half, value) in half.iter_mut().zip(interpolate(line)) {
                    half[column] = value;
                }
            }
            for (row, half) in half.into_iter().enumerate() {
                for (column, value) in interpolate(half).into_iter().enumerate() {
                    to.0[row * TILE + column][place + channel..][..LANES].copy_from_slice(&value);
                }
            }
        }
    }
}

vectorized! {
    /// The transpose of [`tile_in`]: dd += B (…) Bᵀ, from `plane_values` apart in each product.
    fn tile_in_gradient(from: &[f32], plane_values: usize, channels: usize, to: &mut [f32], row_values: usize) {
        for channel in (0..channels).step_by(LANES) {
            let mut half = [[[0.0; LANES]; TILE]; TILE];
            for column in 0..TILE {
                let line = std::array::from_fn(|row| load(&from[(row * TILE + column) * plane_values + channel..]));
                for (half, value) in half.iter_mut().zip(interpolate_transposed(line)) {
                    half[column] = value;
                }
            }
            for (row, half) in half.into_iter().enumerate() {
                for (column, value) in interpolate_transposed(half).into_iter().enumerate() {
                    let to = &mut to[row * row_values + column * channels + channel..][..LANES];
                    for (to, value) in to.iter_mut().zip(value) {
                        *to += value;
                    }
                }
            }
        }
    }
}

vectorized! {
    /// Aᵀ m A of one tile of `results` × `results`, from `plane_values` apart in each product; writes as many rows and
    /// columns as `size` says: at the picture's edge fewer.
    fn tile_out(
        from: &[f32],
        plane_values: usize,
        channels: usize,
        results: usize,
        to: &mut [f32],
        row_values: usize,
        size: [usize; 2],
    ) {
        for channel in (0..channels).step_by(LANES) {
            let mut half = [[[0.0; LANES]; TILE]; MOST_RESULTS];
            for column in 0..TILE {
                let line = std::array::from_fn(|row| load(&from[(row * TILE + column) * plane_values + channel..]));
                for (half, value) in half.iter_mut().zip(evaluate(line, results)) {
                    half[column] = value;
                }
            }
            for row in 0..size[0] {
                let values = evaluate(half[row], results);
                for column in 0..size[1] {
                    to[row * row_values + column * channels + channel..][..LANES].copy_from_slice(&values[column]);
                }
            }
        }
    }
}

vectorized! {
    /// The transpose of [`tile_out`]: A dy Aᵀ.
    fn tile_out_gradient(
        from: &[f32],
        row_values: usize,
        channels: usize,
        results: usize,
        to: &mut Planes<'_>,
        place: usize,
    ) {
        for channel in (0..channels).step_by(LANES) {
            let mut half = [[[0.0; LANES]; MOST_RESULTS]; TILE];
            for column in 0..results {
                let mut line = [[0.0; LANES]; MOST_RESULTS];
                for (row, line) in line.iter_mut().take(results).enumerate() {
                    *line = load(&from[row * row_values + column * channels + channel..]);
                }
                for (half, value) in half.iter_mut().zip(evaluate_transposed(line, results)) {
                    half[column] = value;
                }
            }
            for (row, half) in half.into_iter().enumerate() {
                for (column, value) in evaluate_transposed(half, results).into_iter().enumerate() {
                    to.0[row * TILE + column][place + channel..][..LANES].copy_from_slice(&value);
                }
            }
        }
    }
}

/// G: the kernel's polynomial at 0, 1, −1, 2, −2, over what Lagrange's formula divides by, and its leading coefficient.
fn kernel_rows(side: usize) -> [Vec<f64>; TILE] {
    let points = [(0.0_f64, 4.0), (1.0, -6.0), (-1.0, -6.0), (2.0, 24.0), (-2.0, 24.0)];
    std::array::from_fn(|row| {
        let value = |k: usize| match points.get(row) {
            Some((point, divisor)) => point.powi(k as i32) / divisor,
            None => f64::from(u8::from(k == side - 1)),
        };
        (0..side).map(value).collect()
    })
}

#[inline(always)]
fn load(from: &[f32]) -> Lanes {
    *from.first_chunk().expect("channels come in whole lanes")
}

/// Σ factor · value, lane by lane.
#[inline(always)]
fn combine<const TERMS: usize>(terms: [(f32, &Lanes); TERMS]) -> Lanes {
    std::array::from_fn(|lane| {
        let (factor, first) = terms[0];
        terms[1..].iter().fold(factor * first[lane], |sum, (factor, value)| factor.mul_add(value[lane], sum))
    })
}

/// Bᵀ of one line.
#[inline(always)]
fn interpolate([a, b, c, d, e, f]: [Lanes; TILE]) -> [Lanes; TILE] {
    [
        combine([(4.0, &a), (-5.0, &c), (1.0, &e)]),
        combine([(-4.0, &b), (-4.0, &c), (1.0, &d), (1.0, &e)]),
        combine([(4.0, &b), (-4.0, &c), (-1.0, &d), (1.0, &e)]),
        combine([(-2.0, &b), (-1.0, &c), (2.0, &d), (1.0, &e)]),
        combine([(2.0, &b), (-1.0, &c), (-2.0, &d), (1.0, &e)]),
        combine([(4.0, &b), (-5.0, &d), (1.0, &f)]),
    ]
}

/// B of one line.
#[inline(always)]
fn interpolate_transposed([a, b, c, d, e, f]: [Lanes; TILE]) -> [Lanes; TILE] {
    [
        combine([(4.0, &a)]),
        combine([(-4.0, &b), (4.0, &c), (-2.0, &d), (2.0, &e), (4.0, &f)]),
        combine([(-5.0, &a), (-4.0, &b), (-4.0, &c), (-1.0, &d), (-1.0, &e)]),
        combine([(1.0, &b), (-1.0, &c), (2.0, &d), (-2.0, &e), (-5.0, &f)]),
        combine([(1.0, &a), (1.0, &b), (1.0, &c), (1.0, &d), (1.0, &e)]),
        f,
    ]
}

/// Aᵀ of one line: a polynomial's first coefficients, of which the last has a share of its own. Of two, the others are
/// meaningless.
#[inline(always)]
fn evaluate([a, b, c, d, e, f]: [Lanes; TILE], results: usize) -> [Lanes; MOST_RESULTS] {
    let mut line = [
        combine([(1.0, &a), (1.0, &b), (1.0, &c), (1.0, &d), (1.0, &e)]),
        combine([(1.0, &b), (-1.0, &c), (2.0, &d), (-2.0, &e)]),
        combine([(1.0, &b), (1.0, &c), (4.0, &d), (4.0, &e)]),
        combine([(1.0, &b), (-1.0, &c), (8.0, &d), (-8.0, &e)]),
    ];
    line[results - 1] = combine([(1.0, &line[results - 1]), (1.0, &f)]);
    line
}

/// A of one line, whose values past `results` are 0.
#[inline(always)]
fn evaluate_transposed(line: [Lanes; MOST_RESULTS], results: usize) -> [Lanes; TILE] {
    let [a, b, c, d] = line;
    [
        a,
        combine([(1.0, &a), (1.0, &b), (1.0, &c), (1.0, &d)]),
        combine([(1.0, &a), (-1.0, &b), (1.0, &c), (-1.0, &d)]),
        combine([(1.0, &a), (2.0, &b), (4.0, &c), (8.0, &d)]),
        combine([(1.0, &a), (-2.0, &b), (4.0, &c), (-8.0, &d)]),
        line[results - 1],
    ]
}
