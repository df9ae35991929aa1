//! The variational bottleneck: a Gaussian per kept token, and its divergence from the unit Gaussian.

use super::MaybeTape;
use crate::mask::PrefixMask;
use crate::tensor::{Scalar, Tokens, scalar, shape, take, tokens, values};
use dfdx::tensor::{PutTape as _, SplitTape as _};

/// Log-variances are clipped to this range; outside it they get no gradient.
const LOG_VARIANCE: std::ops::RangeInclusive<f32> = -30.0..=20.0;

/// (n, mean | log-variance), 2 · dim wide → z (n, dim): mean + e^(log-variance/2)·noise, 0 where the token is dropped
/// (Kingma & Welling 2014).
///
/// `noise` is (n, dim) standard normal values while training; without it z is the mean. Log-variances are clipped to
/// [−30, 20], as in the reference; outside they get no gradient.
pub fn sample<T: MaybeTape>(gaussian: Tokens<T>, noise: Option<Vec<f32>>, mask: &PrefixMask) -> Tokens<T> {
    let (gaussian, mut tape) = gaussian.split_tape();
    let (n, both) = shape(&gaussian);
    let dim = both / 2;
    let mut z = vec![0.0; n * dim];
    for (token, (z, g)) in z.chunks_mut(dim).zip(values(&gaussian).chunks(both)).enumerate() {
        if mask.keeps(token) {
            let (mean, log_variance) = g.split_at(dim);
            z.copy_from_slice(mean);
            if let Some(noise) = &noise {
                for ((z, lv), e) in z.iter_mut().zip(log_variance).zip(&noise[token * dim..]) {
                    *z += (0.5 * clip(*lv)).exp() * e;
                }
            }
        }
    }
    let z = tokens(z, n, dim);
    if T::OWNS_TAPE {
        let (result, mask) = (z.ghost(), mask.clone());
        tape.add_backward_op(move |grads| {
            let dz = take(grads.get_or_alloc_mut(&result)?);
            let dgaussian = grads.get_or_alloc_mut(&gaussian)?;
            for (token, ((dg, g), dz)) in
                dgaussian.chunks_mut(both).zip(values(&gaussian).chunks(both)).zip(dz.chunks(dim)).enumerate()
            {
                if mask.keeps(token) {
                    for i in 0..dim {
                        dg[i] += dz[i];
                        if let Some(noise) = &noise
                            && LOG_VARIANCE.contains(&g[dim + i])
                        {
                            dg[dim + i] += dz[i] * 0.5 * (0.5 * g[dim + i]).exp() * noise[token * dim + i];
                        }
                    }
                }
            }
            Ok(())
        });
    }
    z.put_tape(tape)
}

/// KL(N(mean, variance) ‖ N(0, 1)) in nats, summed over a block's kept tokens and dims, averaged over blocks:
/// ½·Σ(mean² + variance − 1 − log variance).
///
/// `gaussian` is (n, mean | log-variance) as for [`sample`]. The reference's, but that it takes 2048 tokens for a
/// block, whatever a block is.
pub fn kl_divergence<T: MaybeTape>(gaussian: Tokens<T>, mask: &PrefixMask) -> Scalar<T> {
    let (gaussian, mut tape) = gaussian.split_tape();
    let (_, both) = shape(&gaussian);
    let dim = both / 2;
    let blocks = mask.blocks();
    let kept = |token: &usize| mask.keeps(*token);
    let sum: f64 = (0..mask.tokens())
        .filter(kept)
        .flat_map(|token| (0..dim).map(move |i| (token * both + i, token * both + dim + i)))
        .map(|(mean, log_variance)| {
            let (mean, lv) = (values(&gaussian)[mean], clip(values(&gaussian)[log_variance]));
            0.5 * f64::from(mean * mean + lv.exp() - 1.0 - lv)
        })
        .sum();
    let kl = scalar((sum / blocks) as f32);
    if T::OWNS_TAPE {
        let (result, mask) = (kl.ghost(), mask.clone());
        tape.add_backward_op(move |grads| {
            let scale = take(grads.get_or_alloc_mut(&result)?)[0] / blocks as f32;
            let dgaussian = grads.get_or_alloc_mut(&gaussian)?;
            for (token, (dg, g)) in dgaussian.chunks_mut(both).zip(values(&gaussian).chunks(both)).enumerate() {
                if mask.keeps(token) {
                    for i in 0..dim {
                        dg[i] += scale * g[i];
                        if LOG_VARIANCE.contains(&g[dim + i]) {
                            dg[dim + i] += scale * 0.5 * (g[dim + i].exp() - 1.0);
                        }
                    }
                }
            }
            Ok(())
        });
    }
    kl.put_tape(tape)
}

fn clip(log_variance: f32) -> f32 {
    log_variance.clamp(*LOG_VARIANCE.start(), *LOG_VARIANCE.end())
}
