//! Perceptual distances are those of the published networks, and their gradients are gradients.

mod noise;

use dfdx::tensor::Trace as _;
use dfdx::tensor_ops::Backward as _;
use engine::Precision;
use engine::parameters::weights_hash;
use engine::patch::{CHANNELS, normalize};
use engine::perceptual::{Architecture, FramePlace, PerceptualNetwork, loss};
use engine::tensor::{Tape, tokens, value, values};
use engine::train::{PerceptualLoss, Start, TrainConfig, Trainer};
use engine::{BlockShape, Bottleneck, EngineError, ModelConfig};
use noise::Noise;
use safetensors::SafeTensors;
use std::path::PathBuf;
use std::sync::Arc;

const SMALL: [&str; 3] = ["st_lpips_alex", "st_lpips_vgg", "lpips_vgg"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/perceptual")
}

/// A network of the real layers with 16 channels each, and random weights.
fn small(name: &str) -> PerceptualNetwork {
    let files: &[&str] = match name {
        "lpips_vgg" => &["lpips_vgg.pth", "lpips_vgg_heads.pth"],
        "st_lpips_vgg" => &["st_lpips_vgg.pth"],
        _ => &["st_lpips_alex.pth"],
    };
    PerceptualNetwork::load(&files.iter().map(|file| folder().join(file)).collect::<Vec<_>>()).unwrap()
}

fn arrays(file: &str) -> Vec<u8> {
    std::fs::read(folder().join(file)).unwrap()
}

fn f32s(file: &[u8], name: &str) -> (Vec<usize>, Vec<f32>) {
    let arrays = SafeTensors::deserialize(file).unwrap();
    let array = arrays.tensor(name).unwrap();
    (array.shape().to_vec(), array.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

/// Two pictures of 37 × 42 pixels, their distance and its gradient, by PyTorch in f64.
struct Expected {
    a: Vec<f32>,
    b: Vec<f32>,
    height: usize,
    width: usize,
    distance: f64,
    gradient: Vec<f32>,
}

fn expected(name: &str) -> Expected {
    let file = arrays("small.safetensors");
    let ((shape, a), (_, b)) = (f32s(&file, &format!("{name}.a")), f32s(&file, &format!("{name}.b")));
    let arrays = SafeTensors::deserialize(&file).unwrap();
    let distance = arrays.tensor(&format!("{name}.distance")).unwrap().data().try_into().unwrap();
    let (_, gradient) = f32s(&file, &format!("{name}.gradient"));
    Expected { a, b, height: shape[0], width: shape[1], distance: f64::from_le_bytes(distance), gradient }
}

#[test]
fn small_networks_agree_with_pytorch() {
    for name in SMALL {
        let (network, e) = (small(name), expected(name));
        let distance = network.distance(&e.a, &e.b, e.height, e.width);
        let (again, gradient) = network.distance_and_gradient(&e.a, &e.b, e.height, e.width);
        assert_eq!(distance, again, "{name}");
        let error = (distance / e.distance - 1.0).abs();
        let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
        let difference = norm(&mut gradient.iter().zip(&e.gradient).map(|(a, b)| f64::from(a - b)));
        let gradient_error = difference / norm(&mut e.gradient.iter().map(|x| f64::from(*x)));
        eprintln!("{name}: distance off by {error:.1e}, gradient by {gradient_error:.1e} (relative)");
        assert!(error < 2e-6, "{name}: {distance} is not {}", e.distance);
        assert!(gradient_error < 2e-5, "{name}: the gradient is off by {gradient_error}");
    }
}

/// Fetched by `experiments/data/fetch.sh`; `None`, loudly, where it was not.
fn fetched(file: &str) -> Option<PerceptualNetwork> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../experiments/data/fetched/perceptual").join(file);
    if path.exists() {
        return Some(PerceptualNetwork::load(&[path]).unwrap());
    }
    eprintln!("SKIPPED: {} is not there; run experiments/data/fetch.sh to test with it", path.display());
    None
}

#[test]
fn photographs_are_as_far_apart_as_the_published_package_says() {
    let rows: serde_json::Value = serde_json::from_slice(&arrays("photographs.json")).unwrap();
    let crops = arrays("photographs.safetensors");
    let crops = SafeTensors::deserialize(&crops).unwrap();
    for (column, file) in [("st_lpips_alex", "alex_shift_tolerant.pth"), ("st_lpips_vgg", "vgg_shift_tolerant.pth")] {
        let Some(network) = fetched(&format!("stlpips-pytorch--{file}")) else { continue };
        assert_eq!(network.key().to_hex().as_str(), rows["networks"][column].as_str().unwrap(), "other weights");
        for row in rows["pairs"].as_array().unwrap() {
            let crop = crops.tensor(row["photo"].as_str().unwrap()).unwrap();
            let (height, width) = (crop.shape()[0], crop.shape()[1] - 1);
            // Crops are one column wider than what is compared: their left and right parts are shifted by a pixel.
            let part = |from: usize| -> Vec<u8> {
                let rows = crop.data().chunks((width + 1) * CHANNELS);
                rows.flat_map(|row| row[from * CHANNELS..][..width * CHANNELS].to_vec()).collect()
            };
            let other = match row["other"].as_str().unwrap() {
                "shifted" => part(1),
                _ => painted(&part(0), height, width),
            };
            let distance = network.distance(&normalize(&other), &normalize(&part(0)), height, width);
            let expected = row[column].as_f64().unwrap();
            let error = (distance / expected - 1.0).abs();
            eprintln!("{column} {} {}: {distance:.6}, off by {error:.1e}", row["photo"], row["other"]);
            assert!(error < 1e-5, "{column} {row}: {distance}");
        }
    }
}

/// Every 8 × 8 patch in its mean colour, rounded.
fn painted(pixels: &[u8], height: usize, width: usize) -> Vec<u8> {
    let mut painted = pixels.to_vec();
    for (row, column, channel) in
        (0..height).flat_map(|r| (0..width).flat_map(move |c| (0..CHANNELS).map(move |k| (r, c, k))))
    {
        let at = |row: usize, column: usize| (row * width + column) * CHANNELS + channel;
        let corner = (row / 8 * 8, column / 8 * 8);
        let patch = (0..64).map(|i| u32::from(pixels[at(corner.0 + i / 8, corner.1 + i % 8)]));
        painted[at(row, column)] = ((patch.sum::<u32>() + 32) / 64) as u8;
    }
    painted
}

#[test]
fn identical_pictures_are_no_distance_apart() {
    for name in SMALL {
        let (network, e) = (small(name), expected(name));
        let (distance, gradient) = network.distance_and_gradient(&e.a, &e.a, e.height, e.width);
        assert_eq!(distance, 0.0, "{name}");
        assert!(gradient.iter().all(|value| *value == 0.0), "{name}: a minimum has no slope");
        // A grey picture's pixels may have no features at all: no direction, but numbers nevertheless.
        let grey = vec![0.0; e.a.len()];
        let (_, gradient) = network.distance_and_gradient(&grey, &e.a, e.height, e.width);
        assert!(gradient.iter().all(|value| value.is_finite()), "{name}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    for name in SMALL {
        let (network, e) = (small(name), expected(name));
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| network.distance_and_gradient(&e.a, &e.b, e.height, e.width))
        };
        let one = with(1);
        assert!(one == with(2) && one == with(3), "{name}");
    }
}

#[test]
fn the_loss_of_a_frame_has_the_slope_of_its_gradient() {
    let shape = BlockShape::new(2, 24, 32, [2, 8, 8]).unwrap();
    let (network, n) = (small("st_lpips_alex"), 2 * shape.tokens());
    let wave = |phase: f32| -> Vec<f32> {
        (0..n * shape.patch_values()).map(|i| (i as f32 * 0.31 + phase).sin() * (i as f32 * 0.013).cos()).collect()
    };
    let (y, target) = (wave(0.0), tokens(wave(0.7), n, shape.patch_values()));
    let place = FramePlace { block: 1, frame: 0 };
    let evaluate = |y: &[f32]| {
        let y = tokens(y.to_vec(), n, shape.patch_values());
        let loss = loss::<Tape>(&network, y.leaky_trace(), &target, shape, place, 40);
        let distance = value(&loss);
        (distance, loss.backward().get(&y))
    };
    let (_, gradient) = evaluate(&y);
    let gradient = values(&gradient);
    // Only the frame is seen: the first block and the second frame have no slope.
    assert!(gradient[..shape.values()].iter().all(|g| *g == 0.0));
    let frames = shape.unpatchify(&gradient[shape.values()..]);
    let (seen, unseen) = frames.split_at(shape.values() / 2);
    assert!(seen.iter().filter(|g| **g != 0.0).count() > seen.len() / 2 && unseen.iter().all(|g| *g == 0.0));
    // Along the gradient the distance rises by |gradient| a unit; central differences with a step of 1e-2.
    let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    let moved = |step: f64| {
        let y: Vec<f32> =
            y.iter().zip(gradient).map(|(y, g)| (f64::from(*y) + step * f64::from(*g) / norm) as f32).collect();
        f64::from(evaluate(&y).0)
    };
    let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
    eprintln!("slope {slope}, |gradient| {norm}");
    assert!((slope / norm - 1.0).abs() < 5e-3, "{slope} along a gradient of {norm}");
}

#[test]
fn what_is_no_network_is_refused_with_its_reason() {
    let folder_of_tests = tempfile::tempdir().unwrap();
    let text = folder_of_tests.path().join("text.pth");
    std::fs::write(&text, "not a pickle").unwrap();
    let refusal = |files: &[PathBuf]| PerceptualNetwork::load(files).unwrap_err().to_string();
    let unreadable = refusal(&[text]);
    assert!(unreadable.contains("is not a readable PyTorch file"), "{unreadable}");
    assert!(refusal(&[folder().join("missing.pth")]).contains("cannot read the perceptual network"));
    assert!(refusal(&[folder().join("lpips_vgg_heads.pth")]).contains("hold no network that is known"));
    assert!(refusal(&[folder().join("lpips_vgg.pth")]).contains("lin0.model.1.weight is missing"));
    assert_eq!(small("lpips_vgg").architecture(), Architecture::LpipsVgg);
}

fn block() -> BlockShape {
    BlockShape::new(2, 16, 16, [2, 4, 4]).unwrap()
}

fn noise() -> Noise {
    Noise { values: block().values(), blocks: 2 }
}

fn start(perceptual: Option<PerceptualLoss>) -> Start {
    let model = ModelConfig {
        width: 16,
        hidden: 24,
        heads: 2,
        encoder_layers: 1,
        decoder_layers: 1,
        rope_theta: 1e4,
        norm_epsilon: 1e-5,
        init_std: 0.1,
        mask_conditioning: true,
        precision: Precision::F32,
        block: block(),
        bottleneck: Bottleneck::Fsq { levels: vec![8, 5, 5] },
    };
    // 40 sequences of 32 tokens are cut into shards: the frame is in one of them.
    let train = TrainConfig {
        steps: 6,
        batch: 40,
        accumulate: 2,
        warmup_steps: 2,
        min_tokens: 2,
        perceptual,
        ..Default::default()
    };
    Start { model, train, seed: 5 }
}

fn asks_for(network: &PerceptualNetwork) -> Option<PerceptualLoss> {
    Some(PerceptualLoss { network: network.key().to_hex().to_string(), weight: 0.5, side: 24 })
}

#[test]
fn a_run_with_a_perceptual_loss_resumes_as_if_it_had_never_stopped() {
    let network = Arc::new(small("st_lpips_alex"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state");
    let start_with = start(asks_for(&network));
    let mut whole = Trainer::new(start_with.clone(), noise()).unwrap().with_perceptual(network.clone()).unwrap();
    let mut stopped = Trainer::new(start_with.clone(), noise()).unwrap().with_perceptual(network.clone()).unwrap();
    for step in 0..6 {
        if step == 3 {
            stopped.save(&file).unwrap();
            stopped = Trainer::resume(start_with.clone(), noise(), &file).unwrap();
            stopped = stopped.with_perceptual(network.clone()).unwrap();
        }
        let report = whole.advance().unwrap();
        assert_eq!(report, stopped.advance().unwrap());
        assert!(report.perceptual > 0.0);
        assert!((report.loss - report.mse - report.perceptual).abs() < 1e-6, "{report:?}");
    }
    assert_eq!(weights_hash(whole.model()), weights_hash(stopped.model()));
    let mut without = Trainer::new(start(None), noise()).unwrap();
    while !without.is_finished() {
        assert_eq!(without.advance().unwrap().perceptual, 0.0);
    }
    assert_ne!(weights_hash(whole.model()), weights_hash(without.model()), "the loss must change the run");
}

#[test]
fn a_run_refuses_another_network_than_its_configuration_names() {
    let (alex, vgg) = (small("st_lpips_alex"), Arc::new(small("st_lpips_vgg")));
    let refusal = |perceptual| match Trainer::new(start(perceptual), noise()).unwrap().with_perceptual(vgg.clone()) {
        Err(EngineError::Config { key, rule, .. }) => format!("{key}: {rule}"),
        _ => panic!("this must be refused"),
    };
    assert!(refusal(asks_for(&alex)).starts_with("perceptual.loss: the run was configured with another"));
    let small = asks_for(&vgg).map(|loss| PerceptualLoss { side: 12, ..loss });
    assert_eq!(refusal(small), "perceptual.loss_side: must be at least 18, what the network can see");
}
