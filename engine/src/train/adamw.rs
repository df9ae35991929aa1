//! AdamW (Loshchilov & Hutter 2019) with its moments in our hands, so that they can be saved.

use crate::kernel::{rows, simd::vectorized};
use crate::parameters::Parameters;
use crate::tensor::{Grads, values, values_mut};
use crate::train::TrainConfig;
use rayon::prelude::*;

/// Weights updated at a time by one thread.
const CHUNK: usize = 1 << 14;

/// Running means of the gradient and of its square, for every weight in visiting order.
#[derive(Clone, Debug)]
pub struct AdamW {
    /// Updates made so far.
    pub(super) updates: usize,
    pub(super) first: Vec<Vec<f32>>,
    pub(super) second: Vec<Vec<f32>>,
}

impl AdamW {
    /// Zero moments for every weight of `model`.
    pub fn new(model: &impl Parameters) -> Self {
        let mut zeros = Vec::new();
        model.visit("", &mut |_, weight| zeros.push(vec![0.0; values(weight).len()]));
        Self { updates: 0, first: zeros.clone(), second: zeros }
    }

    /// Updates made so far.
    pub fn updates(&self) -> usize {
        self.updates
    }

    /// One update: p −= rate·(m̂ / (√v̂ + ε) + decay·p), with m̂ and v̂ the bias-corrected means.
    ///
    /// `gradients` has one entry a weight, in visiting order, each as long as the weight. Only `beta1`, `beta2`,
    /// `epsilon` and `weight_decay` of the configuration are used.
    pub fn update(&mut self, model: &mut impl Parameters, gradients: &[Vec<f32>], rate: f32, config: &TrainConfig) {
        self.updates += 1;
        let correction = |beta: f32| (1.0 / (1.0 - f64::from(beta).powi(self.updates as i32))) as f32;
        let rule = Rule {
            rate,
            decay: rate * config.weight_decay,
            epsilon: config.epsilon,
            beta: [config.beta1, config.beta2],
            correction: [correction(config.beta1), correction(config.beta2)],
        };
        let mut index = 0;
        model.visit_mut("", &mut |_, weight| {
            values_mut(weight)
                .par_chunks_mut(CHUNK)
                .zip(gradients[index].par_chunks(CHUNK))
                .zip(self.first[index].par_chunks_mut(CHUNK))
                .zip(self.second[index].par_chunks_mut(CHUNK))
                .for_each(|(((p, g), m), v)| update_weights(p, g, m, v, &rule));
            index += 1;
        });
    }
}

/// The gradients of every weight, in visiting order.
pub(crate) fn collect(model: &impl Parameters, grads: &mut Grads) -> Result<Vec<Vec<f32>>, crate::tensor::TapeError> {
    let mut gradients = Vec::new();
    let mut failure = None;
    model.visit("", &mut |_, weight| match grads.get_or_alloc_mut(weight) {
        Ok(gradient) => gradients.push(crate::tensor::take(gradient)),
        Err(error) => failure = Some(error),
    });
    failure.map_or(Ok(gradients), Err)
}

/// Scales all gradients down so that their common Euclidean norm is at most `largest` (Pascanu et al. 2013); returns
/// the norm before.
pub fn clip_global_norm(gradients: &mut [Vec<f32>], largest: f32) -> f64 {
    let squares =
        |gradient: &Vec<f32>| -> f64 { gradient.chunks(CHUNK).map(|chunk| f64::from(sum_of_squares(chunk))).sum() };
    // Added up in the same order by any number of threads.
    let norm = gradients.par_iter().map(squares).collect::<Vec<_>>().iter().sum::<f64>().sqrt();
    if norm > f64::from(largest) {
        let factor = (f64::from(largest) / norm) as f32;
        gradients.par_iter_mut().for_each(|gradient| scale(gradient, factor));
    }
    norm
}

/// One update's numbers, the same for every weight.
struct Rule {
    rate: f32,
    decay: f32,
    epsilon: f32,
    beta: [f32; 2],
    correction: [f32; 2],
}

vectorized! {
    fn update_weights(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], rule: &Rule) {
        let Rule { rate, decay, epsilon, beta: [beta1, beta2], correction: [correct1, correct2] } = *rule;
        for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            *p -= rate * (*m * correct1) / ((*v * correct2).sqrt() + epsilon) + decay * *p;
        }
    }
}

vectorized! {
    fn sum_of_squares(x: &[f32]) -> f32 {
        rows::sum_of_squares(x)
    }
}

vectorized! {
    fn scale(x: &mut [f32], factor: f32) {
        rows::scale(x, factor);
    }
}
