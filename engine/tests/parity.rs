//! The model against the reference implementation's outputs: forward passes, losses, gradients.

mod reference;

use dfdx::tensor::Trace as _;
use dfdx::tensor_ops::Backward as _;
use engine::bottleneck::Fsq;
use engine::ops::Scope;
use engine::parameters::Parameters;
use engine::tensor::{Grads, value, values};
use engine::{Bottleneck, ElasticTok};
use reference::{Arrays, CASES, Case, relative_norm, worst_difference};

#[test]
fn latents_codes_and_reconstructions_equal_the_reference() {
    for case in CASES.map(Case::load) {
        let h = case.model.encode(case.patches(), &case.mask, &case.scope);
        let before = worst_difference(values(&h), &case.io.f32("z_prequant"));
        let z = case.model.bottleneck(h, None, &case.mask);
        let latent = worst_difference(values(&z), &case.io.f32("z"));
        let codes = values(&z).to_vec();
        let reconstruction = case.model.decode(z, &case.scope);
        let pixels = worst_difference(values(&reconstruction), &case.io.f32("recon"));
        println!("{}: pre-quant {before:.1e}, z {latent:.1e}, reconstruction {pixels:.1e}", case.name);
        assert!(before < 2e-5 && latent < 2e-5 && pixels < 2e-5, "{}", case.name);

        if let Bottleneck::Fsq { levels } = &case.model.config().bottleneck {
            let fsq = Fsq::new(levels);
            let indices: Vec<i32> = codes.chunks(levels.len()).map(|code| fsq.index(code) as i32).collect();
            assert_eq!(indices, case.io.i32("indices_masked"), "{}", case.name);
        }

        let patches = case.patches();
        let block = case.model.config().block.values();
        let mse = |(x, y): (&[f32], &[f32])| {
            let squares = x.iter().zip(y).map(|(x, y)| (f64::from(*x) - f64::from(y.clamp(-1.0, 1.0))).powi(2));
            (squares.sum::<f64>() / block as f64) as f32
        };
        let blocks = values(&patches).chunks(block).zip(values(&reconstruction).chunks(block));
        let distortion: Vec<f32> = blocks.map(mse).collect();
        assert!(worst_difference(&distortion, &case.io.f32("block_mse")) < 1e-6, "{}", case.name);
    }
}

#[test]
fn segments_and_hidden_keys_equal_the_reference() {
    for case in CASES.map(Case::load) {
        let rows = case.scope.layout.tokens_per_sequence() * case.model.config().block.patch_values();
        let run = |scope: &Scope| case.model.reconstruct(case.patches(), &case.mask, scope);

        let segments = case.io.i32("segment_ids").into();
        let scope = Scope { segments: Some(segments), ..case.scope.clone() };
        let difference = worst_difference(&values(&run(&scope))[..rows], &case.io.f32("recon_segments_b0"));
        println!("{}: segments {difference:.1e}", case.name);
        assert!(difference < 2e-5, "{}: segments", case.name);

        let visible = case.io.u8("attention_mask").iter().map(|flag| *flag != 0).collect();
        let scope = Scope { visible_keys: Some(visible), ..case.scope.clone() };
        let difference = worst_difference(&values(&run(&scope))[rows..], &case.io.f32("recon_attnmask_b1"));
        println!("{}: hidden keys {difference:.1e}", case.name);
        assert!(difference < 2e-5, "{}: hidden keys", case.name);
    }
}

/// Loss and gradients of a case; `noise` as a VAE's training pass draws it.
fn loss_and_gradients(case: &Case, noise: Option<Vec<f32>>, kl_weight: f32) -> (f32, f32, f32, Grads) {
    let patches = case.patches();
    let loss = case.model.loss(patches.leaky_trace(), &patches, &case.mask, &case.scope, noise, kl_weight);
    let total = value(&loss.total);
    (total, loss.mse, loss.kl, loss.total.backward())
}

fn compare_gradients(case: &Case, grads: &mut Grads, expected: &Arrays, prefix: &str, tolerance: f64) -> usize {
    let mut compared = 0;
    let mut worst = (0.0, String::new());
    case.model.visit("", &mut |name, weight| {
        if let Some(expected) = expected.weight(prefix, name) {
            let gradient: &Vec<f32> = grads.get_or_alloc_mut(weight).unwrap();
            let error = relative_norm(gradient, &expected);
            if error >= worst.0 {
                worst = (error, name.to_owned());
            }
            compared += 1;
        }
    });
    println!("{}: {compared} gradients, worst {:.1e} ({})", case.name, worst.0, worst.1);
    assert!(worst.0 < tolerance, "{}: gradient of {} is off by {:e}", case.name, worst.1, worst.0);
    compared
}

const KL_WEIGHT: f32 = 1e-8;

#[test]
fn losses_and_the_gradient_of_every_weight_equal_the_reference() {
    for case in CASES.map(Case::load) {
        let (total, mse, _, mut grads) = loss_and_gradients(&case, None, KL_WEIGHT);
        assert!((f64::from(total) - case.meta["loss"].as_f64().unwrap()).abs() < 1e-6, "{}", case.name);
        assert!((f64::from(mse) - case.meta["mse"].as_f64().unwrap()).abs() < 1e-6, "{}", case.name);
        let expected = Arrays::open(&format!("{}/grads.safetensors", case.name));
        let mut weights = 0;
        case.model.visit("", &mut |_, _| weights += 1);
        assert_eq!(compare_gradients(&case, &mut grads, &expected, "", 1e-4), weights);
    }
}

#[test]
fn a_vaes_training_pass_with_the_references_noise_equals_it() {
    for case in ["vae_image", "vae_video"].map(Case::load) {
        let train = Arrays::open(&format!("{}/train_io.safetensors", case.name));
        let noise = train.f32("noise");
        let h = case.model.encode(case.patches(), &case.mask, &case.scope);
        let z = case.model.bottleneck(h, Some(noise.clone()), &case.mask);
        assert!(worst_difference(values(&z), &train.f32("z")) < 2e-5, "{}", case.name);
        let reconstruction = case.model.decode(z, &case.scope);
        let difference = worst_difference(values(&reconstruction), &train.f32("recon"));
        println!("{}: training reconstruction {difference:.1e}", case.name);
        assert!(difference < 2e-5, "{}", case.name);

        let (total, _, kl, mut grads) = loss_and_gradients(&case, Some(noise.clone()), KL_WEIGHT);
        let expected = &case.meta["train"];
        let off = |a: f32, b: &serde_json::Value| (f64::from(a) / b.as_f64().unwrap() - 1.0).abs();
        assert!(off(total, &expected["loss"]) < 1e-5, "{}", case.name);
        assert!(off(KL_WEIGHT * kl, &expected["stats"]["aux_loss"]) < 1e-5, "{}", case.name);
        let expected = Arrays::open(&format!("{}/train_grads.safetensors", case.name));
        assert!(compare_gradients(&case, &mut grads, &expected, "", 1e-4) >= 8);
    }
}

/// d KL / d weight alone: the difference of two losses' gradients would drown it, so the reconstruction is left out.
#[test]
fn the_gradient_of_the_divergence_equals_the_reference() {
    for case in ["vae_image", "vae_video"].map(Case::load) {
        let h = case.model.encode(case.patches().leaky_trace(), &case.mask, &case.scope);
        let kl = engine::ops::kl_divergence(h, &case.mask);
        let off = f64::from(value(&kl)) / case.meta["kl_unweighted_block_norm"].as_f64().unwrap() - 1.0;
        assert!(off.abs() < 1e-5, "{}: {off:e}", case.name);
        let mut grads = kl.backward();
        let expected = Arrays::open(&format!("{}/train_io.safetensors", case.name));
        assert_eq!(compare_gradients(&case, &mut grads, &expected, "kl_grad/", 1e-4), 4);
    }
}

#[test]
fn the_same_seed_draws_the_same_weights_and_another_does_not() {
    let config = Case::load("fsq_image").model.config().clone();
    let weights = |seed| {
        let mut all = Vec::new();
        let model = ElasticTok::new(config.clone(), seed).unwrap();
        model.visit("", &mut |_, weight| all.extend_from_slice(values(weight)));
        all
    };
    assert_eq!(weights(7), weights(7));
    assert_ne!(weights(7), weights(8));
}
