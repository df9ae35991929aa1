//! Reads `tests/fixtures/reference` and puts flax's weights under this engine's names.

#![allow(dead_code, unreachable_pub)] // each test program uses its part

use engine::Precision;
use engine::model::ModelConfig;
use engine::ops::Scope;
use engine::parameters::Parameters;
use engine::released::{Source, sources};
use engine::tensor::values_mut;
use engine::{BlockShape, Bottleneck, ElasticTok, Layout, PrefixMask};
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::PathBuf;

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference")
}

pub fn json(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder().join(path)).unwrap()).unwrap()
}

/// A file of named arrays.
pub struct Arrays(Vec<u8>);

impl Arrays {
    pub fn open(path: &str) -> Self {
        Self(std::fs::read(folder().join(path)).unwrap_or_else(|error| panic!("{path}: {error}")))
    }

    fn parse(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }

    pub fn has(&self, name: &str) -> bool {
        self.parse().tensor(name).is_ok()
    }

    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.parse().tensor(name).unwrap().shape().to_vec()
    }

    pub fn f32(&self, name: &str) -> Vec<f32> {
        let tensors = self.parse();
        let bytes = tensors.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}")).data();
        bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    pub fn i32(&self, name: &str) -> Vec<i32> {
        let tensors = self.parse();
        tensors.tensor(name).unwrap().data().as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b)).collect()
    }

    pub fn u8(&self, name: &str) -> Vec<u8> {
        self.parse().tensor(name).unwrap().data().to_vec()
    }

    /// One of this engine's weights, gathered from flax's arrays (their names begin with `prefix`); `None` where the
    /// file leaves a part out.
    pub fn weight(&self, prefix: &str, name: &str) -> Option<Vec<f32>> {
        let parts = sources(name).into_iter().map(|Source { path, layer }| {
            let key = format!("{prefix}{path}");
            self.has(&key).then(|| {
                let (all, shape) = (self.f32(&key), self.shape(&key));
                let columns = *shape.last().unwrap();
                match layer {
                    Some(layer) => (all.chunks(all.len() / shape[0]).nth(layer).unwrap().to_vec(), columns),
                    None => (all, columns),
                }
            })
        });
        Some(side_by_side(&parts.collect::<Option<Vec<_>>>()?))
    }
}

/// Joins matrices of equal height along their columns.
fn side_by_side(parts: &[(Vec<f32>, usize)]) -> Vec<f32> {
    let rows = parts[0].0.len() / parts[0].1;
    (0..rows).flat_map(|row| parts.iter().flat_map(move |(m, n)| m[row * n..(row + 1) * n].to_vec())).collect()
}

/// One of the four configurations with everything that belongs to it.
pub struct Case {
    pub name: &'static str,
    pub meta: Value,
    pub io: Arrays,
    pub model: ElasticTok,
    pub mask: PrefixMask,
    pub scope: Scope,
}

pub const CASES: [&str; 4] = ["fsq_image", "fsq_video", "vae_image", "vae_video"];

impl Case {
    pub fn load(name: &'static str) -> Self {
        let meta = json(&format!("{name}/meta.json"));
        let io = Arrays::open(&format!("{name}/io.safetensors"));
        let c = &meta["config"];
        let number = |key: &str| c[key].as_u64().unwrap() as usize;
        let patch: Vec<usize> = serde_json::from_value(c["patch_size"].clone()).unwrap();
        let resolution = number("resolution");
        let bottleneck = match c["bottleneck_type"].as_str().unwrap() {
            "fsq" => Bottleneck::Fsq { levels: serde_json::from_value(c["fsq_quant_levels"].clone()).unwrap() },
            _ => Bottleneck::Vae { dim: number("vae_bottleneck_dim") },
        };
        let block = BlockShape::new(number("frames_per_block"), resolution, resolution, [patch[0], patch[1], patch[2]]);
        let config = ModelConfig {
            width: number("hidden_size"),
            hidden: number("intermediate_size"),
            heads: number("num_attention_heads"),
            encoder_layers: number("num_encoder_layers"),
            decoder_layers: number("num_decoder_layers"),
            rope_theta: c["theta"].as_f64().unwrap() as f32,
            norm_epsilon: c["rms_norm_eps"].as_f64().unwrap() as f32,
            init_std: 0.02,
            mask_conditioning: true,
            precision: Precision::F32,
            block: block.unwrap(),
            bottleneck,
        };
        let mut model = ElasticTok::new(config, 0).unwrap();
        set_weights(&mut model, &Arrays::open(&format!("{name}/weights.safetensors")));
        let blocks = number("n_blocks");
        let kept: Vec<Vec<usize>> = serde_json::from_value(meta["kept"].clone()).unwrap();
        let layout = Layout { sequences: kept.len(), blocks, tokens_per_block: number("max_toks") };
        let mask = PrefixMask::new(layout.tokens_per_block, kept.concat());
        assert_eq!(
            io.u8("encoding_mask"),
            (0..layout.tokens()).map(|token| u8::from(mask.keeps(token))).collect::<Vec<_>>()
        );
        Self { name, meta, io, model, mask, scope: Scope::block_causal(layout) }
    }

    pub fn patches(&self) -> engine::tensor::Tokens {
        let pixels = self.io.u8("patches_u8");
        let width = self.model.config().block.patch_values();
        engine::tensor::tokens(engine::patch::normalize(&pixels), pixels.len() / width, width)
    }
}

pub fn set_weights(model: &mut ElasticTok, from: &Arrays) {
    model.visit_mut("", &mut |name, weight| {
        values_mut(weight).copy_from_slice(&from.weight("", name).unwrap_or_else(|| panic!("{name} is missing")));
    });
}

pub fn worst_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// ‖a − b‖ / ‖b‖.
pub fn relative_norm(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    difference / norm(&mut b.iter().map(|b| f64::from(*b)))
}
