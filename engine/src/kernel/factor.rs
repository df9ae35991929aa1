//! Factors of several small products, made ready once for all of them.

use super::matrix::{Matrix, MatrixMut};
#[cfg(target_arch = "x86_64")]
use super::tiles::{self, Kind, LaidLeft, LaidRight};
use crate::precision::Precision;

/// A of A·B.
pub(crate) enum Left<'a> {
    #[cfg(target_arch = "x86_64")]
    Laid(LaidLeft<'a>),
    /// As it is: deep ones, which a product lays out block by block, and those of other CPUs.
    Plain(Matrix<'a>, Precision),
}

/// B of A·B.
pub(crate) enum Right<'a> {
    #[cfg(target_arch = "x86_64")]
    Laid(LaidRight),
    /// As it is.
    Plain(Matrix<'a>),
}

/// The lanes in which factors with so many values along k are laid out, if they are.
#[cfg(target_arch = "x86_64")]
fn kind_of(depth: usize, precision: Precision) -> Option<Kind> {
    Kind::of(precision).filter(|_| depth <= tiles::DEPTH)
}

impl<'a> Left<'a> {
    pub(crate) fn of(a: Matrix<'a>, precision: Precision) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(kind) = kind_of(a.columns, precision) {
            return Self::Laid(LaidLeft::of(a, kind));
        }
        Self::Plain(a, precision)
    }

    /// c = scale·self·b, or c += scale·self·b.
    pub(super) fn multiply(&self, c: MatrixMut<'_>, add: bool, scale: f32, b: &Right<'_>) {
        match (self, b) {
            #[cfg(target_arch = "x86_64")]
            (Self::Laid(a), Right::Laid(b)) => a.multiply(c, add, scale, b),
            (Self::Plain(a, precision), Right::Plain(b)) => {
                c.multiply(add, scale, *a, *b, precision.alone());
            }
            #[cfg(target_arch = "x86_64")]
            _ => panic!("the factors do not fit: their depths or precisions differ"),
        }
    }
}

impl<'a> Right<'a> {
    pub(crate) fn of(b: Matrix<'a>, precision: Precision) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(kind) = kind_of(b.rows, precision) {
            return Self::Laid(LaidRight::of(b, kind));
        }
        let _ = precision;
        Self::Plain(b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::drawn;

    #[test]
    fn factors_deeper_than_a_block_are_multiplied_too() {
        let [rows, columns, depth] = [25, 40, 1100];
        let (a, b) = (drawn(rows * depth, 1), drawn(depth * columns, 2));
        let mut c = vec![f32::NAN; rows * columns];
        let left = Left::of(Matrix::new(&a, rows, depth), Precision::F32);
        let right = Right::of(Matrix::new(&b, columns, depth).transposed(), Precision::F32);
        MatrixMut::new(&mut c, rows, columns).set_product_of(0.5, &left, &right);
        for (index, c) in c.into_iter().enumerate() {
            let pairs = a[index / columns * depth..][..depth].iter().zip(&b[index % columns * depth..][..depth]);
            let sum: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((f64::from(c) - 0.5 * sum).abs() < 1e-4, "{c} for {}", 0.5 * sum);
        }
    }
}
