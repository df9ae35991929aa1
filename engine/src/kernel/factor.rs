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
            _ => panic!("the factors' shapes do not fit: one is deep, the other is not"),
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
