//! The same model composed of dfdx's own operations, as an oracle for the fused ones: losses and every gradient.
//!
//! This is the slow way to write it: T × T score matrices, constants for masks and rotations, one tensor a step.

use dfdx::prelude::*;
use engine::Precision;
use engine::bottleneck::Fsq;
use engine::ops::{RopeTable, Scope};
use engine::parameters::Parameters;
use engine::tensor::{self, Parameter, Tape, Tokens};
use engine::{BlockShape, Bottleneck, ElasticTok, Layout, ModelConfig, PrefixMask};
use rand::{Rng as _, SeedableRng as _};
use std::collections::BTreeMap;

type Taped = Tokens<Tape>;
type Heads<T> = Tensor<(usize, usize, usize, usize), f32, Cpu, T>;

/// A model's weights by name, and what its equations need besides.
struct Composed<'a> {
    model: &'a ElasticTok,
    weights: BTreeMap<String, Parameter>,
    layout: Layout,
    device: Cpu,
}

impl<'a> Composed<'a> {
    fn new(model: &'a ElasticTok, layout: Layout) -> Self {
        let mut weights = BTreeMap::new();
        model.visit("", &mut |name, weight| {
            weights.insert(name.to_owned(), weight.clone());
        });
        Self { model, weights, layout, device: Cpu::default() }
    }

    fn weight(&self, name: &str) -> &Parameter {
        &self.weights[name]
    }

    fn constant(&self, rows: usize, width: usize, value: impl Fn(usize, usize) -> f32) -> Tokens {
        let values = (0..rows * width).map(|i| value(i / width, i % width)).collect();
        self.device.tensor_from_vec(values, (rows, width))
    }

    fn linear(&self, x: Taped, name: &str) -> Taped {
        x.matmul(self.weight(name).retaped::<Tape>())
    }

    fn rms_norm(&self, x: Taped, name: &str) -> Taped {
        let shape = *x.shape();
        let epsilon = self.model.config().norm_epsilon;
        let rms = (x.with_empty_tape().square().mean::<(usize,), Axis<1>>() + epsilon).sqrt();
        let scale = self.weight(name).retaped::<Tape>().reshape_like(&(shape.1,)).broadcast_like::<_, Axis<0>>(&shape);
        x / rms.broadcast_like::<_, Axis<1>>(&shape) * scale
    }

    /// The columns from..to of x.
    fn columns(&self, x: Taped, from: usize, to: usize) -> Taped {
        let width = x.shape().1;
        let pick = self.constant(width, to - from, |row, column| f32::from(u8::from(row == from + column)));
        x.matmul(pick)
    }

    fn heads(&self, x: Taped) -> Heads<Tape> {
        let (rows, width) = *x.shape();
        let (heads, length) = (self.model.config().heads, self.layout.tokens_per_sequence());
        x.reshape_like(&(rows / length, length, heads, width / heads))
            .permute::<(usize, usize, usize, usize), Axes4<0, 2, 1, 3>>()
    }

    /// x·cos + (x·turn)·sin, with turn swapping the two of each pair and negating the second's way to the first.
    fn rotate(&self, x: Heads<Tape>) -> Heads<Tape> {
        let shape = *x.shape();
        let (b, h, t, d) = shape;
        let table = RopeTable::new(t, d, self.model.config().rope_theta);
        let cosine = self.constant(t, d, |position, i| table.at(position).0[i / 2]);
        let sine = self.constant(t, d, |position, i| table.at(position).1[i / 2]);
        let turn = self.constant(d, d, |from, to| match (from, to) {
            (from, to) if from == to + 1 && to % 2 == 0 => -1.0,
            (from, to) if to == from + 1 && from % 2 == 0 => 1.0,
            _ => 0.0,
        });
        let spread = |c: Tokens| c.retaped::<Tape>().broadcast_like::<_, Axes2<0, 1>>(&shape);
        let turned = x.with_empty_tape().contiguous().reshape_like(&(b * h * t, d)).matmul(turn).reshape_like(&shape);
        x * spread(cosine) + turned * spread(sine)
    }

    fn attention(&self, x: Taped, layer: &str) -> Taped {
        let (rows, width) = *x.shape();
        let qkv = self.linear(x, &format!("{layer}.w_qkv"));
        let part = |qkv: Taped, i: usize| self.heads(self.columns(qkv, i * width, (i + 1) * width));
        let q = self.rotate(part(qkv.with_empty_tape(), 0));
        let k = self.rotate(part(qkv.with_empty_tape(), 1));
        let v = part(qkv, 2);
        let (length, block) = (self.layout.tokens_per_sequence(), self.layout.tokens_per_block);
        let hidden = self.constant(length, length, |q, k| if k / block > q / block { -1e30 } else { 0.0 });
        let dim = width / self.model.config().heads;
        let scores = q.matmul(k.permute::<(usize, usize, usize, usize), Axes4<0, 1, 3, 2>>()) / (dim as f32).sqrt();
        let shape = *scores.shape();
        let p = (scores + hidden.retaped::<Tape>().broadcast_like::<_, Axes2<0, 1>>(&shape)).softmax::<Axis<3>>();
        let y = p.matmul(v).permute::<(usize, usize, usize, usize), Axes4<0, 2, 1, 3>>();
        self.linear(y.contiguous().reshape_like(&(rows, width)), &format!("{layer}.w_out"))
    }

    fn feed_forward(&self, x: Taped, layer: &str) -> Taped {
        let gate_up = self.linear(x, &format!("{layer}.w_gate_up"));
        let hidden = gate_up.shape().1 / 2;
        let gate = self.columns(gate_up.with_empty_tape(), 0, hidden);
        let up = self.columns(gate_up, hidden, 2 * hidden);
        let y = gate.with_empty_tape().sigmoid() * gate * up;
        self.linear(y, &format!("{layer}.w_down"))
    }

    fn layers(&self, mut x: Taped, side: &str, count: usize) -> Taped {
        for i in 0..count {
            let layer = format!("{side}.layers.{i}");
            let branch = self.attention(self.rms_norm(x.with_empty_tape(), &format!("{layer}.attention_norm")), &layer);
            x = x + branch;
            let norm = format!("{layer}.feed_forward_norm");
            let branch = self.feed_forward(self.rms_norm(x.with_empty_tape(), &norm), &layer);
            x = x + branch;
        }
        self.rms_norm(x, &format!("{side}.norm"))
    }

    /// mse + kl_weight · KL.
    fn loss(
        &self,
        patches: &Tokens,
        mask: &PrefixMask,
        noise: Option<&[f32]>,
        kl_weight: f32,
    ) -> Tensor<(), f32, Cpu, Tape> {
        let config = self.model.config();
        let (rows, width) = (patches.shape().0, config.width);
        let embedding = |name: &str, kept: bool| {
            let chosen = self.constant(rows, 1, |row, _| f32::from(u8::from(mask.keeps(row) == kept)));
            chosen.retaped::<Tape>().matmul(self.weight(name).clone())
        };
        let x = self.linear(patches.leaky_trace(), "encoder.in_proj")
            + embedding("encoder.kept_embedding", true)
            + embedding("encoder.masked_embedding", false);
        assert_eq!(*x.shape(), (rows, width));
        let h = self.linear(self.layers(x, "encoder", config.encoder_layers), "encoder.pre_quant");
        let keep = |dims: usize| self.constant(rows, dims, |row, _| f32::from(u8::from(mask.keeps(row))));
        let (z, kl) = match &config.bottleneck {
            Bottleneck::Fsq { levels } => (self.quantize(h, levels) * keep(levels.len()), None),
            Bottleneck::Vae { dim } => {
                let mean = self.columns(h.with_empty_tape(), 0, *dim);
                let log_variance = self.columns(h, *dim, 2 * dim);
                let noise = self.device.tensor_from_vec(noise.unwrap().to_vec(), (rows, *dim));
                let (m, lv) = (mean.with_empty_tape(), log_variance.with_empty_tape());
                let kl = (m.square() + lv.with_empty_tape().exp() - 1.0 - lv) * keep(*dim);
                let kl = kl.sum::<(), _>() * 0.5 / mask.blocks() as f32;
                ((mean + (log_variance * 0.5).exp() * noise) * keep(*dim), Some(kl))
            }
        };
        let y = self.linear(
            self.layers(self.linear(z, "decoder.post_quant"), "decoder", config.decoder_layers),
            "decoder.out_proj",
        );
        let mse = (y.tanh() - patches.clone()).square().mean::<(), _>();
        match kl {
            Some(kl) => mse + kl * kl_weight,
            None => mse,
        }
    }

    /// Straight through: the bounded value plus a constant that makes it the rounded one.
    fn quantize(&self, z: Taped, levels: &[usize]) -> Taped {
        let (rows, dims) = *z.shape();
        let fsq = Fsq::new(levels);
        let values = z.as_vec();
        let half = |count: usize| ((count - 1) as f64 * (1.0 - 1e-3) / 2.0) as f32;
        let offset = |count: usize| if count % 2 == 1 { 0.0_f32 } else { 0.5 };
        let per = |of: &dyn Fn(usize) -> f32| self.constant(rows, dims, |_, dim| of(levels[dim]));
        let shift = per(&|count| (offset(count) / half(count)).tan());
        let bounded = (z + shift).tanh() * per(&half) - per(&offset);
        let missing = self.constant(rows, dims, |row, dim| {
            let bound = fsq.bound(dim, values[row * dims + dim]);
            bound.round_ties_even() - bound
        });
        (bounded + missing) / per(&|count| (count / 2) as f32)
    }
}

#[test]
fn fused_operations_agree_with_dfdxs_own() {
    for bottleneck in [Bottleneck::Fsq { levels: vec![8, 5, 5] }, Bottleneck::Vae { dim: 3 }] {
        let config = ModelConfig {
            width: 24,
            hidden: 20,
            heads: 3,
            encoder_layers: 2,
            decoder_layers: 2,
            rope_theta: 1e3,
            norm_epsilon: 1e-5,
            init_std: 0.2,
            mask_conditioning: true,
            precision: Precision::F32,
            block: BlockShape::new(2, 8, 12, [2, 4, 4]).unwrap(),
            bottleneck,
        };
        let model = ElasticTok::new(config, 5).unwrap();
        let layout = model.layout(2, 3);
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(2);
        let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| random.random_range(-1.0..1.0)).collect() };
        let patch = model.config().block.patch_values();
        let patches = tensor::tokens(draw(layout.tokens() * patch), layout.tokens(), patch);
        let mask = PrefixMask::new(layout.tokens_per_block, vec![1, 6, 3, 5, 2, 4]);
        let noise = draw(layout.tokens() * 3);
        let vae_noise = matches!(model.config().bottleneck, Bottleneck::Vae { .. }).then_some(noise);

        let scope = Scope::block_causal(layout);
        let fused = model.loss(patches.leaky_trace(), &patches, &mask, &scope, vae_noise.clone(), 0.01).total;
        let composed = Composed::new(&model, layout).loss(&patches, &mask, vae_noise.as_deref(), 0.01);
        let (a, b) = (tensor::value(&fused), tensor::value(&composed));
        assert!((a - b).abs() < 1e-5 * b.abs(), "loss {a} against {b}");
        let (mut ours, theirs) = (fused.backward(), composed.backward());
        model.visit("", &mut |name, weight| {
            let ours: &Vec<f32> = ours.get_or_alloc_mut(weight).unwrap();
            let theirs = theirs.get(weight).as_vec();
            let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            let error = norm(&mut ours.iter().zip(&theirs).map(|(a, b)| a - b)) / norm(&mut theirs.iter().copied());
            assert!(error < 1e-4, "gradient of {name} is off by {error:e}");
        });
    }
}
