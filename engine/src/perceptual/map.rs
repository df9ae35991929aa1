//! A picture as a network sees it: rows of pixels, each pixel a vector of channels.

use crate::kernel::{rows, simd::vectorized};
use rayon::prelude::*;

/// Values worked on at a time by one thread in sweeps over a map. A constant: sums have one order.
const CHUNK: usize = 1 << 14;

/// (height, width, channels), row-major: the channels of a pixel lie together, so that a product over them, a
/// normalization and every sweep run over contiguous values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct FeatureMap {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    pub(super) values: Vec<f32>,
}

impl FeatureMap {
    pub(super) fn new(height: usize, width: usize, channels: usize, values: Vec<f32>) -> Self {
        assert_eq!(values.len(), height * width * channels, "{height} × {width} pixels of {channels} channels");
        Self { height, width, channels, values }
    }

    pub(super) fn zeros(height: usize, width: usize, channels: usize) -> Self {
        Self::new(height, width, channels, vec![0.0; height * width * channels])
    }

    /// Values of one row of pixels.
    pub(super) fn row_values(&self) -> usize {
        self.width * self.channels
    }

    /// One row of pixels.
    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.row_values()..][..self.row_values()]
    }

    /// The same picture with `border` pixels of zeros around it, and further ones to the right and below up to
    /// `height` × `width`.
    pub(super) fn framed(&self, border: usize, height: usize, width: usize) -> Self {
        let mut framed = Self::zeros(height, width, self.channels);
        let (row_values, offset) = (framed.row_values(), border * self.channels);
        framed.values.par_chunks_mut(row_values).skip(border).take(self.height).enumerate().for_each(
            |(row, framed)| {
                framed[offset..][..self.row_values()].copy_from_slice(self.row(row));
            },
        );
        framed
    }

    /// What [`framed`](Self::framed) puts a frame around.
    pub(super) fn unframed(&self, border: usize, height: usize, width: usize) -> Self {
        let mut inner = Self::zeros(height, width, self.channels);
        let row_values = inner.row_values();
        inner.values.par_chunks_mut(row_values).enumerate().for_each(|(row, inner)| {
            inner.copy_from_slice(&self.row(row + border)[border * self.channels..][..row_values]);
        });
        inner
    }

    /// self += other.
    pub(super) fn add(&mut self, other: &Self) {
        rows::add_on_all_threads(&mut self.values, &other.values);
    }

    /// max(x, 0), in place.
    pub(super) fn rectify(&mut self) {
        self.values.par_chunks_mut(CHUNK).for_each(rectify);
    }

    /// The gradient behind a rectifier whose result was `result`, in place: 0 wherever that is 0.
    pub(super) fn rectify_gradient(&mut self, result: &Self) {
        self.values
            .par_chunks_mut(CHUNK)
            .zip(result.values.par_chunks(CHUNK))
            .for_each(|(gradient, result)| rectify_gradient(gradient, result));
    }
}

vectorized! {
    fn rectify(x: &mut [f32]) {
        for x in x {
            *x = if *x > 0.0 { *x } else { 0.0 };
        }
    }
}

vectorized! {
    fn rectify_gradient(gradient: &mut [f32], result: &[f32]) {
        for (gradient, result) in gradient.iter_mut().zip(result) {
            *gradient = if *result > 0.0 { *gradient } else { 0.0 };
        }
    }
}
