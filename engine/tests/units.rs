//! Single parts against the reference: FSQ, KL, RoPE tables, patches, Pillow's resizing, the optimizer.

mod reference;

use dfdx::tensor::Trace as _;
use dfdx::tensor_ops::{Backward as _, SumTo as _};
use engine::bottleneck::Fsq;
use engine::data::{Picture, resize, resize_shortest_side};
use engine::ops::{RopeTable, kl_divergence, quantize};
use engine::parameters::Parameters;
use engine::tensor::{tokens, value, values};
use engine::train::{AdamW, Schedule, TrainConfig, clip_global_norm};
use engine::{BlockShape, PrefixMask};
use reference::{Arrays, Case, relative_norm, worst_difference};

#[test]
fn fsq_bounds_codes_indices_and_gradients_equal_the_reference() {
    let units = Arrays::open("units.safetensors");
    for levels in [&[8, 8, 8, 5, 5, 5][..], &[2, 3, 4, 16], &[7, 5, 5, 5, 5], &[8, 6, 5]] {
        let name = levels.iter().map(ToString::to_string).collect::<Vec<_>>().join("_");
        let get = |what: &str| units.f32(&format!("fsq/{name}/{what}"));
        let (fsq, z, dims) = (Fsq::new(levels), get("z"), levels.len());
        let each = |of: &dyn Fn(usize, f32) -> f32| -> Vec<f32> {
            z.iter().enumerate().map(|(i, z)| of(i % dims, *z)).collect()
        };
        assert!(worst_difference(&each(&|dim, z| fsq.bound(dim, z)), &get("bound")) < 2e-6, "{name}");
        let codes = each(&|dim, z| fsq.code(dim, z));
        assert_eq!(codes, get("quantized"), "{name}");
        let indices: Vec<i32> = codes.chunks(dims).map(|code| fsq.index(code) as i32).collect();
        assert_eq!(indices, units.i32(&format!("fsq/{name}/index")), "{name}");
        let first = get("codes_of_first_indices");
        let ours: Vec<f32> = (0..first.len() / dims).flat_map(|index| fsq.code_of(index as u32)).collect();
        assert!(worst_difference(&ours, &first) < 1e-6, "{name}");

        let rows = z.len() / dims;
        let input = tokens(z, rows, dims);
        let codes = quantize(input.leaky_trace(), &fsq, &PrefixMask::new(rows, vec![rows]));
        // Σ codes · cotangent: its gradient is the cotangent pulled back.
        let cotangent = tokens(get("cotangent"), rows, dims);
        let grads = (codes * cotangent).sum::<(), _>().backward();
        assert!(worst_difference(&grads.get(&input).as_vec(), &get("grad")) < 5e-6, "{name}");
    }
}

#[test]
fn kl_divergence_and_its_gradient_equal_the_reference() {
    // Two sequences of 4096 tokens, 2 dims; the reference averages over blocks of 2048 or of 64 tokens. The mask is a
    // prefix of every block of 64; kept tokens count alike in the sum, so blocks of 2048 are 32 times the mean of 64s.
    let units = Arrays::open("units.safetensors");
    let keep = units.u8("vae/mask");
    let kept = keep.chunks(64).map(|block| block.iter().filter(|keep| **keep != 0).count()).collect();
    let parameters = tokens(units.f32("vae/params"), keep.len(), 4);
    let kl = kl_divergence(parameters.leaky_trace(), &PrefixMask::new(64, kept));
    let kl_value = f64::from(value(&kl));
    let gradient = kl.backward().get(&parameters).as_vec();
    let every_64th: Vec<f32> = gradient.chunks(4).step_by(64).flatten().copied().collect();
    for (block, factor) in [(64, 1.0), (2048, 32.0)] {
        let expected = f64::from(units.f32(&format!("vae/aux_block{block}"))[0]);
        assert!((kl_value * factor * 1e-8 / expected - 1.0).abs() < 1e-5, "block {block}");
        let scaled: Vec<f32> = every_64th.iter().map(|g| g * factor as f32).collect();
        let expected = units.f32(&format!("vae/kl_grad_block{block}"));
        assert!(relative_norm(&scaled, &expected) < 1e-5, "block {block}");
    }
}

/// The reference's powers θ^(2i/d) are off by a last bit here and there (its runtime's f32 power is not correctly
/// rounded; ours is), and so may be their reciprocals: frequencies differ by up to two last bits, which turns the angle
/// at a position by up to position · frequency · 2⁻²². Beyond that, cosines and sines may differ in their own last bit.
#[test]
fn rope_tables_equal_the_reference_within_two_bits_of_its_frequencies() {
    let units = Arrays::open("units.safetensors");
    for (dim, theta) in [(16, 10_000.0), (16, 5_000_000.0), (128, 50_000_000.0_f32)] {
        let name = format!("rope/d{dim}_theta{theta}");
        let positions = units.i32(&format!("{name}/pos"));
        let table = RopeTable::new(*positions.iter().max().unwrap() as usize + 1, dim, theta);
        let (cosine, sine) = (units.f32(&format!("{name}/cos")), units.f32(&format!("{name}/sin")));
        let mut worst = 0.0_f64;
        for (row, position) in positions.into_iter().enumerate() {
            let (c, s) = table.at(position as usize);
            for i in 0..dim / 2 {
                let at = row * dim / 2 + i;
                let difference = f64::from((c[i] - cosine[at]).abs().max((s[i] - sine[at]).abs()));
                let frequency = f64::from(theta).powf(-2.0 * i as f64 / dim as f64);
                let allowed = 6e-8 + f64::from(position) * frequency * 2.0_f64.powi(-22);
                assert!(difference <= allowed, "{name}, position {position}, pair {i}: {difference:e} > {allowed:e}");
                worst = worst.max(difference);
            }
        }
        println!("{name}: worst {worst:.1e}");
    }
}

#[test]
fn patch_orders_equal_the_reference() {
    let pixels = Arrays::open("pixels.safetensors");
    let frames = pixels.u8("patchify/frames");
    for patch in [[1, 8, 8], [2, 8, 8], [4, 16, 8]] {
        let shape = BlockShape::new(4, 32, 32, patch).unwrap();
        let [t, h, w] = patch;
        assert_eq!(shape.patchify(&frames), pixels.u8(&format!("patchify/{t}_{h}_{w}")));
    }
}

#[test]
fn resizing_equals_pillow_bit_for_bit() {
    let pixels = Arrays::open("pixels.safetensors");
    let picture = |name: &str| {
        let shape = pixels.shape(name);
        Picture { width: shape[1], height: shape[0], pixels: pixels.u8(name) }
    };
    for case in ["dog_128x72", "noise_20x20_up", "noise_37x53", "noise_49x49_short1", "noise_53x37", "noise_97x96"] {
        let name = |what: &str| format!("resize/{case}/{what}");
        let (source, expected) = (picture(&name("src")), picture(&name("resized")));
        assert_eq!(resize(&source, expected.width, expected.height), expected, "{case}");
        let resized = resize_shortest_side(&source, 32);
        assert_eq!(resized, expected, "{case}: the longer side");
        let crop = engine::data::fixed_crops(&resized, 32, 1)[0];
        assert_eq!(resized.crop(crop.x, crop.y, 32, 32), picture(&name("cropped")), "{case}: the centre");
    }
}

#[test]
fn eight_optimizer_steps_end_where_the_references_do() {
    let mut case = Case::load("fsq_image");
    let record = reference::json("adamw/steps.json");
    let settings = &record["optimizer"];
    let number = |key: &str| settings[key].as_f64().unwrap() as f32;
    let config = TrainConfig {
        weight_decay: number("weight_decay"),
        beta1: number("b1"),
        beta2: number("b2"),
        epsilon: number("eps"),
        ..TrainConfig::default()
    };
    let schedule = Schedule { peak: number("peak"), end: number("end"), warmup_steps: 3, steps: 8 };
    let mut optimizer = AdamW::new(&case.model);
    let patches = case.patches();
    for (step, expected) in record["steps"].as_array().unwrap().iter().enumerate() {
        let kept: Vec<Vec<usize>> = serde_json::from_value(expected["kept"].clone()).unwrap();
        let mask = PrefixMask::new(64, kept.concat());
        let loss = case.model.loss(patches.leaky_trace(), &patches, &mask, &case.scope, None, 0.0);
        let off = f64::from(loss.mse) - expected["loss"].as_f64().unwrap();
        assert!(off.abs() < 1e-4, "loss of step {step} is off by {off:e}");
        let mut grads = loss.total.backward();
        let mut gradients = Vec::new();
        case.model.visit("", &mut |_, weight| {
            gradients.push(grads.get_or_alloc_mut(weight).unwrap().to_vec());
        });
        let norm = clip_global_norm(&mut gradients, number("clip_global_norm"));
        assert!((norm / expected["grad_norm"].as_f64().unwrap() - 1.0).abs() < 2e-3, "norm of step {step}: {norm}");
        let rate = schedule.at(step);
        assert!((f64::from(rate) - expected["lr_used"].as_f64().unwrap()).abs() < 1e-9, "rate of step {step}");
        optimizer.update(&mut case.model, &gradients, rate, &config);
    }
    let (start, end) = (Arrays::open("fsq_image/weights.safetensors"), Arrays::open("adamw/final_some.safetensors"));
    let mut compared = 0;
    case.model.visit("", &mut |name, weight| {
        let Some(expected) = end.weight("", name) else { return };
        let start = start.weight("", name).unwrap();
        let distance = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
        };
        let error = distance(values(weight), &expected) / distance(&expected, &start);
        println!("{name}: {error:.1e}");
        assert!(error <= 1e-3, "{name}: {error:e} of the way it went");
        compared += 1;
    });
    assert!(compared >= 8, "{compared} tensors compared");
}
