//! Flax's names and shapes ↔ this engine's weights: the one home of that mapping.
//!
//! Kernels are (in, out) on both sides. Flax stacks the same kernel of all layers on a first axis (`scan`); it keeps q, k
//! and v apart, and SwiGLU's w1 and w3, which lie side by side here.

use super::error::{Mismatch, WrongShape};
use crate::model::ModelConfig;
use std::collections::{BTreeMap, BTreeSet};

/// An array of flax's, or one layer of it, that is a weight of this engine's or some columns of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The array's path below the parameters.
    pub path: String,
    /// Which entry of the first axis, counted from 0, if layers are stacked on it.
    pub layer: Option<usize>,
}

/// One row of the tables below: flax's name, this engine's field, the shape (of one layer).
struct Part(&'static str, &'static str, fn(&ModelConfig) -> Vec<usize>);

/// Of every layer. Parts of one field stand in the order of its columns.
const LAYER: [Part; 9] = [
    Part("attention_norm/kernel", "attention_norm", |c| vec![c.width]),
    Part("attention/wq/kernel", "w_qkv", |c| vec![c.width, c.width]),
    Part("attention/wk/kernel", "w_qkv", |c| vec![c.width, c.width]),
    Part("attention/wv/kernel", "w_qkv", |c| vec![c.width, c.width]),
    Part("attention/wo/kernel", "w_out", |c| vec![c.width, c.width]),
    Part("ffn_norm/kernel", "feed_forward_norm", |c| vec![c.width]),
    Part("feed_forward/w1/kernel", "w_gate_up", |c| vec![c.width, c.hidden]),
    Part("feed_forward/w3/kernel", "w_gate_up", |c| vec![c.width, c.hidden]),
    Part("feed_forward/w2/kernel", "w_down", |c| vec![c.hidden, c.width]),
];

const ENCODER: [Part; 5] = [
    Part("in_proj/kernel", "in_proj", |c| vec![c.block.patch_values(), c.width]),
    Part("is_kept_embed", "kept_embedding", |c| vec![1, c.width]),
    Part("is_masked_embed", "masked_embedding", |c| vec![1, c.width]),
    Part("ln_f/kernel", "norm", |c| vec![c.width]),
    Part("pre_quant/kernel", "pre_quant", |c| vec![c.width, c.bottleneck.input_width()]),
];

const DECODER: [Part; 3] = [
    Part("post_quant/kernel", "post_quant", |c| vec![c.bottleneck.output_width(), c.width]),
    Part("ln_f/kernel", "norm", |c| vec![c.width]),
    Part("out_proj/kernel", "out_proj", |c| vec![c.width, c.block.patch_values()]),
];

fn side(name: &str) -> &'static [Part] {
    match name {
        "encoder" => &ENCODER,
        "decoder" => &DECODER,
        _ => panic!("no part of the model is called {name}"),
    }
}

fn layers(side: &str) -> String {
    format!("{side}/{side}_blocks/scan_decoder")
}

/// What a weight of this engine's is made of: arrays side by side along their columns.
///
/// # Panics
/// If no weight of [`ElasticTok`](crate::ElasticTok) has that name.
pub fn sources(weight: &str) -> Vec<Source> {
    let (name, rest) = weight.split_once('.').expect("weights are those of the encoder or the decoder");
    let in_layer = rest.strip_prefix("layers.").and_then(|rest| rest.split_once('.'));
    let (parts, folder, field, layer) = match in_layer {
        Some((layer, field)) => {
            let layer = layer.parse().expect("layers are numbered");
            (LAYER.as_slice(), layers(name), field, Some(layer))
        }
        None => (side(name), name.to_owned(), rest, None),
    };
    let parts = parts.iter().filter(|part| part.1 == field);
    let sources: Vec<Source> = parts.map(|part| Source { path: format!("{folder}/{}", part.0), layer }).collect();
    assert!(!sources.is_empty(), "no weight is called {weight}");
    sources
}

/// Every array of a model of this shape, with its shape.
pub(super) fn expected(config: &ModelConfig) -> BTreeMap<String, Vec<usize>> {
    let mut arrays = BTreeMap::new();
    for (name, depth) in [("encoder", config.encoder_layers), ("decoder", config.decoder_layers)] {
        for Part(flax, _, shape) in side(name) {
            arrays.insert(format!("{name}/{flax}"), shape(config));
        }
        for Part(flax, _, shape) in &LAYER {
            arrays.insert(format!("{}/{flax}", layers(name)), [vec![depth], shape(config)].concat());
        }
    }
    arrays
}

/// Fails with everything in which the arrays of a file differ from those of the model asked for.
pub(super) fn compare(
    expected: &BTreeMap<String, Vec<usize>>,
    found: &BTreeMap<String, Vec<usize>>,
) -> Result<(), Mismatch> {
    let (wanted, given): (BTreeSet<_>, BTreeSet<_>) = (expected.keys().collect(), found.keys().collect());
    let wrong_shape = wanted.intersection(&given).filter(|path| expected[**path] != found[**path]);
    let mismatch = Mismatch {
        missing: wanted.difference(&given).map(|path| (*path).clone()).collect(),
        left_over: given.difference(&wanted).map(|path| (*path).clone()).collect(),
        wrong_shape: wrong_shape
            .map(|path| WrongShape {
                path: (*path).clone(),
                found: found[*path].clone(),
                expected: expected[*path].clone(),
            })
            .collect(),
    };
    if mismatch.is_empty() { Ok(()) } else { Err(mismatch) }
}
