//! Bytes as a checkpoint of the released code: read as a model of finite weights or refused, whatever they are.
//!
//! Real files are good seeds: `cp tests/fixtures/reference/train_state/streaming_* fuzz/corpus/released/`.

#![no_main]

use engine::parameters::Parameters as _;
use engine::released::import_from;
use engine::tensor::values;
use engine::{BlockShape, Bottleneck, ModelConfig};
use std::io::Cursor;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The micro model of the seeds.
    let config = ModelConfig {
        width: 8,
        hidden: 12,
        heads: 2,
        encoder_layers: 1,
        decoder_layers: 2,
        rope_theta: 1e4,
        norm_epsilon: 1e-5,
        init_std: 0.02,
        mask_conditioning: true,
        block: BlockShape { frames: 1, height: 64, width: 64, patch: [1, 8, 8] },
        bottleneck: Bottleneck::Fsq { levels: vec![8, 8, 8, 5, 5, 5] },
    };
    if let Ok(model) = import_from(Cursor::new(bytes), config, &mut |_, _| {}) {
        model.visit("", &mut |name, weight| assert!(values(weight).iter().all(|weight| weight.is_finite()), "{name}"));
    }
});
