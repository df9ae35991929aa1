//! 2-D convolution with a bias, and its gradient with respect to the picture; the weights are frozen.
//!
//! y = W · (the neighbourhood of each pixel) + b. Neighbourhoods are gathered for a band of rows at a time, so that one
//! matrix product does the work and memory stays bounded. Small kernels at stride 1 go through
//! [`winograd`](super::winograd), which needs a third to a quarter of the multiplications.

use super::bands::{Bands, add_strips};
use super::map::FeatureMap;
use super::winograd::Winograd;
use crate::kernel::matrix::{Matrix, MatrixMut};
use crate::kernel::rows;
use crate::precision::Precision;
use rayon::prelude::*;

/// A convolution of square kernels.
#[derive(Clone, Debug)]
pub(super) struct Conv {
    shape: ConvShape,
    bias: Vec<f32>,
    method: Method,
}

/// What a convolution is, besides its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConvShape {
    /// Channels it reads.
    pub(super) input: usize,
    /// Channels it makes.
    pub(super) output: usize,
    /// Pixels of the kernel's side.
    pub(super) side: usize,
    /// Pixels from one result to the next.
    pub(super) stride: usize,
    /// Zeros around the picture.
    pub(super) padding: usize,
}

#[derive(Clone, Debug)]
enum Method {
    /// (kernel row · kernel column · input, output).
    Gathered(Vec<f32>),
    Winograd(Winograd),
}

impl Conv {
    /// `weight` is (output, input, kernel row, kernel column), as PyTorch keeps it.
    pub(super) fn new(shape: ConvShape, weight: &[f32], bias: Vec<f32>) -> Self {
        let ConvShape { input, output, side, .. } = shape;
        assert_eq!((weight.len(), bias.len()), (output * input * side * side, output), "the weights of {shape:?}");
        let method = match Winograd::new(shape, weight) {
            Some(winograd) => Method::Winograd(winograd),
            None => {
                let mut gathered = vec![0.0; weight.len()];
                for (index, weight) in weight.iter().enumerate() {
                    let (o, i, tap) =
                        (index / (side * side) / input, index / (side * side) % input, index % (side * side));
                    gathered[(tap * input + i) * output + o] = *weight;
                }
                Method::Gathered(gathered)
            }
        };
        Self { shape, bias, method }
    }

    /// Channels it makes.
    pub(super) fn channels(&self) -> usize {
        self.shape.output
    }

    /// Whether an axis of `input` positions has room for a kernel.
    pub(super) fn takes(&self, input: usize) -> bool {
        input + 2 * self.shape.padding >= self.shape.side
    }

    /// Positions along an axis of `input` positions, of which there must be enough for one kernel.
    pub(super) fn output(&self, input: usize) -> usize {
        (input + 2 * self.shape.padding - self.shape.side) / self.shape.stride + 1
    }

    /// (height, width, input) → (height', width', output).
    pub(super) fn forward(&self, x: &FeatureMap) -> FeatureMap {
        assert_eq!(x.channels, self.shape.input, "the picture has other channels than the convolution");
        let mut y = FeatureMap::zeros(self.output(x.height), self.output(x.width), self.shape.output);
        match &self.method {
            Method::Winograd(winograd) => winograd.forward(x, &mut y),
            Method::Gathered(weight) => self.gathered(weight, x, &mut y),
        }
        let row_values = y.row_values();
        y.values.par_chunks_mut(row_values).for_each(|row| {
            row.chunks_mut(self.bias.len()).for_each(|pixel| rows::add(pixel, &self.bias));
        });
        y
    }

    /// The gradient of a picture of `height` × `width` pixels, from that of the result.
    pub(super) fn backward(&self, dy: &FeatureMap, height: usize, width: usize) -> FeatureMap {
        match &self.method {
            Method::Winograd(winograd) => winograd.backward(dy, height, width),
            Method::Gathered(weight) => self.scattered(weight, dy, height, width),
        }
    }

    /// Values of a pixel's neighbourhood.
    fn neighbourhood(&self) -> usize {
        self.shape.side * self.shape.side * self.shape.input
    }

    fn frame(&self, x: &FeatureMap) -> FeatureMap {
        let padding = self.shape.padding;
        x.framed(padding, x.height + 2 * padding, x.width + 2 * padding)
    }

    fn gathered(&self, weight: &[f32], x: &FeatureMap, y: &mut FeatureMap) {
        let (ConvShape { input, output, side, stride, .. }, values) = (self.shape, self.neighbourhood());
        let (x, width, row_values) = (self.frame(x), y.width, y.row_values());
        let bands = Bands::of(y.height, width * values);
        y.values.par_chunks_mut(bands.rows_each() * row_values).enumerate().for_each(|(band, y)| {
            let (first, pixels) = (band * bands.rows_each(), y.len() / output);
            let mut neighbours = vec![0.0; pixels * values];
            for (pixel, neighbours) in neighbours.chunks_mut(values).enumerate() {
                let (row, column) = (first + pixel / width, pixel % width);
                for (tap, neighbours) in neighbours.chunks_mut(side * input).enumerate() {
                    let line = &x.row(row * stride + tap)[column * stride * input..][..side * input];
                    neighbours.copy_from_slice(line);
                }
            }
            let (neighbours, weight) = (Matrix::new(&neighbours, pixels, values), Matrix::new(weight, values, output));
            MatrixMut::new(y, pixels, output).set_product(1.0, neighbours, weight, Precision::F32.alone());
        });
    }

    /// The transpose of [`gathered`](Self::gathered): each neighbourhood's gradient is added where it was read.
    fn scattered(&self, weight: &[f32], dy: &FeatureMap, height: usize, width: usize) -> FeatureMap {
        let (ConvShape { input, output, side, stride, padding }, values) = (self.shape, self.neighbourhood());
        let mut dx = FeatureMap::zeros(height + 2 * padding, width + 2 * padding, input);
        let bands = Bands::of(dy.height, dy.width * values);
        let row_values = dx.row_values();
        let strips = bands.strips(side, stride, row_values, |band, strip| {
            let pixels = band.len() * dy.width;
            let mut neighbours = vec![0.0; pixels * values];
            let dy_values = &dy.values[band.start * dy.row_values()..][..pixels * output];
            let weight = Matrix::new(weight, values, output).transposed();
            let dy_matrix = Matrix::new(dy_values, pixels, output);
            MatrixMut::new(&mut neighbours, pixels, values).set_product(1.0, dy_matrix, weight, Precision::F32.alone());
            for (pixel, neighbours) in neighbours.chunks(values).enumerate() {
                let (row, column) = (pixel / dy.width, pixel % dy.width);
                for (tap, neighbours) in neighbours.chunks(side * input).enumerate() {
                    let place = (row * stride + tap) * row_values + column * stride * input;
                    rows::add(&mut strip[place..][..side * input], neighbours);
                }
            }
        });
        add_strips(&mut dx, strips);
        dx.unframed(padding, height, width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;
    use rand_distr::Distribution as _;

    fn noise(seed: u64, n: usize) -> Vec<f32> {
        rand_distr::StandardNormal.sample_iter(random::stream(seed, "test", 0)).take(n).collect()
    }

    /// The definition, sum by sum, in f64.
    fn by_definition(shape: ConvShape, weight: &[f32], bias: &[f32], x: &FeatureMap) -> Vec<f64> {
        let ConvShape { input, output, side, stride, padding } = shape;
        let positions = |n: usize| (n + 2 * padding - side) / stride + 1;
        let mut y = Vec::new();
        for (row, column) in (0..positions(x.height)).flat_map(|r| (0..positions(x.width)).map(move |c| (r, c))) {
            for o in 0..output {
                let mut sum = f64::from(bias[o]);
                for (i, ky, kx) in (0..input).flat_map(|i| (0..side * side).map(move |k| (i, k / side, k % side))) {
                    let (r, c) =
                        ((row * stride + ky).checked_sub(padding), (column * stride + kx).checked_sub(padding));
                    if let (Some(r), Some(c)) = (r, c)
                        && r < x.height
                        && c < x.width
                    {
                        let weight = weight[((o * input + i) * side + ky) * side + kx];
                        sum += f64::from(weight) * f64::from(x.values[(r * x.width + c) * input + i]);
                    }
                }
                y.push(sum);
            }
        }
        y
    }

    fn shapes() -> impl Iterator<Item = ConvShape> {
        let shape = |(input, output, side, stride, padding)| ConvShape { input, output, side, stride, padding };
        // Gathered: the first layers and odd ones. Winograd: 3 × 3 and 5 × 5.
        [(3, 16, 11, 1, 2), (3, 8, 11, 4, 2), (3, 16, 3, 1, 1), (5, 7, 2, 2, 0), (16, 32, 3, 1, 1), (32, 16, 5, 1, 2)]
            .into_iter()
            .map(shape)
    }

    #[test]
    fn it_is_what_its_definition_says() {
        for shape in shapes() {
            let ConvShape { input, output, side, .. } = shape;
            let (weight, bias) = (noise(1, output * input * side * side), noise(2, output));
            let x = FeatureMap::new(13, 18, input, noise(3, 13 * 18 * input));
            let conv = Conv::new(shape, &weight, bias.clone());
            let y = conv.forward(&x);
            let expected = by_definition(shape, &weight, &bias, &x);
            assert_eq!(y.values.len(), expected.len());
            let scale = expected.iter().map(|y| y * y).sum::<f64>() / expected.len() as f64;
            let worst = y.values.iter().zip(expected).map(|(got, y)| (f64::from(*got) - y).abs()).fold(0.0, f64::max);
            let worst = worst / scale.sqrt();
            // Measured with AVX-512: at most 1.6e-6 where neighbourhoods are gathered, 1.2e-5 by Winograd's method.
            let tolerance = if matches!(conv.method, Method::Winograd(_)) { 3e-5 } else { 3e-6 };
            eprintln!("{shape:?}: off by {worst:.1e} of the root mean square");
            assert!(worst < tolerance, "{shape:?}: off by {worst:e} of the root mean square");
        }
    }

    #[test]
    fn its_gradient_is_the_adjoint() {
        // ⟨conv(x) − b, dy⟩ = ⟨x, gradient(dy)⟩ for every x and dy, since the convolution is linear.
        for shape in shapes() {
            let ConvShape { input, output, side, .. } = shape;
            let conv = Conv::new(shape, &noise(1, output * input * side * side), vec![0.0; output]);
            let x = FeatureMap::new(13, 18, input, noise(3, 13 * 18 * input));
            let y = conv.forward(&x);
            let dy = FeatureMap { values: noise(4, y.values.len()), ..y.clone() };
            let dx = conv.backward(&dy, x.height, x.width);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
            let norm = |a: &[f32]| dot(a, a).sqrt();
            let (left, right) = (dot(&y.values, &dy.values), dot(&x.values, &dx.values));
            assert!((left - right).abs() < 1e-6 * norm(&y.values) * norm(&dy.values), "{shape:?}: {left} and {right}");
        }
    }
}
