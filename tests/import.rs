//! `elastictok import`: what the released code saved works here, and what is no such file is refused.

mod common;

use common::Bench;
use engine::model::{Preset, load_model};
use engine::{BlockSequence, ElasticTok, Encoding, TokenRange};
use evaluator::metric::mse;
use evaluator::search::{
    BinaryRelease, DistortionSource, Evaluations, Probe, Question, SearchError, SearchStrategy as _,
};
use safetensors::SafeTensors;
use serde::Deserialize;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The shape of the reference's small model.
const SMALL: &str = r#"
width = 64
hidden = 128
heads = 4
encoder_layers = 2
decoder_layers = 2
rope_theta = 1e4
norm_epsilon = 1e-5
block = { frames = 1, height = 64, width = 64, patch = [1, 8, 8] }
bottleneck = { kind = "fsq", levels = [8, 8, 8, 5, 5, 5] }
"#;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reference").join(name)
}

fn bench() -> Bench {
    let bench = Bench::new();
    std::fs::copy(fixture("trained/params"), bench.path("params")).unwrap();
    std::fs::write(bench.path("small.toml"), SMALL).unwrap();
    bench
}

/// The trained model, imported by the built binary.
fn imported(bench: &Bench) -> ElasticTok {
    let (out, _) = bench.succeed(&["import", "params", "--config", "small.toml", "-o", "models/small.safetensors"]);
    let (model, info) = load_model(&bench.path("models/small.safetensors")).unwrap();
    let weights = model.config().parameter_count();
    assert!(out.starts_with(&format!("models/small.safetensors: {weights} weights, ")), "{out}");
    assert!(out.contains(&info.weights_hash.to_string()), "{out}");
    assert_eq!(info.origin.as_deref(), Some("imported from params as small.toml"));
    model
}

fn f32s(file: &str, name: &str) -> Vec<f32> {
    let bytes = std::fs::read(fixture(file)).unwrap();
    let arrays = SafeTensors::deserialize(&bytes).unwrap();
    arrays.tensor(name).unwrap().data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// The two pictures, a block each.
fn blocks(model: &ElasticTok) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(fixture("fsq_image/io.safetensors")).unwrap();
    let arrays = SafeTensors::deserialize(&bytes).unwrap();
    let patches = engine::patch::normalize(arrays.tensor("patches_u8").unwrap().data());
    patches.chunks(model.config().block.values()).map(<[f32]>::to_vec).collect()
}

#[derive(Deserialize)]
struct Reference {
    runs: Vec<Run>,
}

/// One search of the reference over both pictures: `[picture][block]`.
#[derive(Deserialize)]
struct Run {
    alg: String,
    threshold: f64,
    max_prop_codes: Option<f64>,
    kept: Vec<[usize; 1]>,
    recon_loss: Vec<[f64; 1]>,
    indices: Vec<[Vec<u32>; 1]>,
    #[serde(default)]
    probes: Vec<ReferenceProbe>,
}

#[derive(Deserialize)]
struct ReferenceProbe {
    kept: Vec<usize>,
}

struct Live<'a>(BlockSequence<'a>, &'a [f32]);

impl DistortionSource for Live<'_> {
    fn distortions(&mut self, kept_tokens: &[usize]) -> Result<Vec<f64>, SearchError> {
        let reconstructions = self.0.next(self.1).reconstruct(kept_tokens);
        Ok(reconstructions.iter().map(|reconstruction| mse(self.1, reconstruction)).collect())
    }

    fn flops(&self, _: &Evaluations) -> f64 {
        0.0
    }

    fn seconds(&self) -> Option<f64> {
        None
    }
}

/// Tokens that the release's «linear» search keeps: the first of its grid to meet the threshold, or all.
fn linear(grid: &[usize], all: usize, threshold: f64, losses: &[f64]) -> usize {
    grid.iter().copied().find(|kept| losses[kept - 1] <= threshold).unwrap_or(all)
}

#[test]
fn an_imported_model_reconstructs_searches_and_codes_as_the_reference_does() {
    let bench = bench();
    let model = imported(&bench);
    let blocks = blocks(&model);

    let (expected, kept) = (f32s("trained/io.safetensors", "recon"), [40, 9]);
    let mut worst = 0.0_f32;
    for ((block, kept), expected) in blocks.iter().zip(kept).zip(expected.chunks(blocks[0].len())) {
        let reconstruction = &BlockSequence::new(&model, Encoding::PerCount).next(block).reconstruct(&[kept])[0];
        worst = reconstruction.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(worst, f32::max);
    }
    println!("reconstructions differ by at most {worst:.1e}");
    assert!(worst < RECONSTRUCTION_TOLERANCE, "{worst:e}");

    // The loss at every count, as the reference measured it.
    let expected = f32s("trained/io.safetensors", "loss_by_kept");
    let counts: Vec<usize> = (1..=64).collect();
    let curves: Vec<Vec<f64>> = blocks
        .iter()
        .map(|block| Live(BlockSequence::new(&model, Encoding::PerCount), block).distortions(&counts).unwrap())
        .collect();
    let off = curves.concat().iter().zip(expected).map(|(a, b)| (a - f64::from(b)).abs()).fold(0.0, f64::max);
    println!("losses differ by at most {off:.1e}");
    assert!(off < LOSS_TOLERANCE, "{off:e}");

    let text = std::fs::read_to_string(fixture("trained/search.json")).unwrap();
    let Reference { runs } = serde_json::from_str(&text).unwrap();
    let with_grid = runs.iter().find(|run| run.alg == "linear" && !run.probes.is_empty()).unwrap();
    let mut grid: Vec<usize> = with_grid.probes.iter().map(|probe| probe.kept[0]).collect();
    grid.pop(); // the pass that fixes the block
    let (mut searches, mut codes) = (0, 0);
    for run in &runs {
        let what = format!("{} τ = {}", run.alg, run.threshold);
        for (picture, block) in blocks.iter().enumerate() {
            let sequence = || BlockSequence::new(&model, Encoding::PerCount);
            let kept = run.kept[picture][0];
            if run.max_prop_codes.is_none() {
                let found = match run.alg.as_str() {
                    "binary" => {
                        let mut source = Live(sequence(), block);
                        let mut probe = Probe::new(&mut source, TokenRange::new(4, 64).unwrap());
                        BinaryRelease.search(&Question::new(run.threshold), &mut probe).unwrap().kept_tokens
                    }
                    _ => linear(&grid, 64, run.threshold, &curves[picture]),
                };
                assert_eq!(found, kept, "{what}");
                searches += 1;
            }
            let loss = curves[picture][kept - 1];
            assert!((loss - run.recon_loss[picture][0]).abs() < LOSS_TOLERANCE, "{what}: {loss}");
            assert_eq!(sequence().commit(block, kept).codes.unwrap(), run.indices[picture][0], "{what}");
            codes += kept;
        }
    }
    println!("{searches} searches, {codes} codes equal");
    assert_eq!(searches, 28);
}

// Measured: 2.9e-6 and 3.5e-8.
const RECONSTRUCTION_TOLERANCE: f32 = 1e-5;
const LOSS_TOLERANCE: f64 = 2e-7;

/// Refuses, and leaves no trace.
fn refused(spoil: impl FnOnce(&Bench), arguments: &[&str]) -> String {
    let bench = bench();
    spoil(&bench);
    let before = bench.files();
    let message = bench.refuse(arguments);
    assert_eq!(bench.files(), before, "something was written; the message was: {message}");
    message
}

#[test]
fn what_cannot_be_imported_is_refused_and_nothing_is_written() {
    let import = ["import", "params", "--config", "small.toml", "-o", "models/small.safetensors"];
    let message = refused(|bench| std::fs::remove_file(bench.path("params")).unwrap(), &import);
    assert!(message.contains("cannot read params"), "{message}");

    let cut = |bench: &Bench| {
        let bytes = std::fs::read(bench.path("params")).unwrap();
        std::fs::write(bench.path("params"), &bytes[..bytes.len() / 2]).unwrap();
    };
    let message = refused(cut, &import);
    assert!(message.contains("params: ends after 190884 bytes, inside an entry's value"), "{message}");

    let picture = |bench: &Bench| {
        std::fs::copy(bench.path("photos/test/chelsea-cat-face.jpg"), bench.path("params")).unwrap();
    };
    let message = refused(picture, &import);
    assert!(message.contains("byte 0:") && message.contains("is this a file of parameters"), "{message}");

    let message = refused(|_| {}, &["import", "params", "--preset", "vae-200m", "-o", "models/small.safetensors"]);
    assert!(message.contains("does not hold the model asked for"), "{message}");
    assert!(message.contains("encoder/pre_quant/kernel is [64, 6], expected [1024, 16]"), "{message}");
    assert_eq!(message.matches("\n  shape ").count(), 26, "every array differs: {message}");

    let unknown = |bench: &Bench| {
        std::fs::write(bench.path("small.toml"), SMALL.replace("heads", "haeds")).unwrap();
    };
    let message = refused(unknown, &import);
    assert!(message.contains("small.toml is not the configuration of a model"), "{message}");
    assert!(message.contains("haeds"), "{message}");
    let heads = |bench: &Bench| {
        std::fs::write(bench.path("small.toml"), SMALL.replace("heads = 4", "heads = 5")).unwrap();
    };
    assert!(refused(heads, &import).contains("model.heads = 5"));

    let message = refused(|_| {}, &["import", "params", "--config", "small.toml", "-o", "./params"]);
    assert!(message.contains("./params would replace what it is made from"), "{message}");
    let message = refused(|_| {}, &["import", "params", "-o", "models/small.safetensors"]);
    assert!(message.contains("--preset"), "{message}");
    let message = refused(|_| {}, &["import", "params", "--preset", "fsq-200b", "-o", "models/small.safetensors"]);
    assert!(message.contains("fsq-200m, vae-200m"), "{message}");
}

/// A training checkpoint of `elastictok train` is a model file too.
#[test]
fn what_training_leaves_loads_as_a_model() {
    let bench = Bench::new();
    bench.succeed(&["train", "tiny.toml"]);
    let weights = bench.files().into_iter().filter(|path| path.ends_with("weights.safetensors")).collect::<Vec<_>>();
    assert!(!weights.is_empty());
    for path in weights {
        let (_, info) = load_model(&path).unwrap();
        assert_eq!((info.origin, info.unfinished_after), (None, None));
    }
}

/// Writes a model of a preset's size in the released format, in bfloat16, as the released checkpoints are.
fn write_released(preset: Preset, path: &Path) {
    let config = preset.config();
    let (width, hidden, patch) = (config.width, config.hidden, config.block.patch_values());
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(path).unwrap());
    for (side, depth) in [("encoder", config.encoder_layers), ("decoder", config.decoder_layers)] {
        let blocks = format!("{side}_blocks");
        let mut layer = |name: &[&str], shape: &[usize]| {
            let path = [&[side, &blocks, "scan_decoder"], name, &["kernel"]].concat();
            write_entry(&mut out, &path, &[&[depth], shape].concat());
        };
        for name in ["wq", "wk", "wv", "wo"] {
            layer(&["attention", name], &[width, width]);
        }
        layer(&["attention_norm"], &[width]);
        layer(&["feed_forward", "w1"], &[width, hidden]);
        layer(&["feed_forward", "w2"], &[hidden, width]);
        layer(&["feed_forward", "w3"], &[width, hidden]);
        layer(&["ffn_norm"], &[width]);
        write_entry(&mut out, &[side, "ln_f", "kernel"], &[width]);
    }
    write_entry(&mut out, &["encoder", "in_proj", "kernel"], &[patch, width]);
    write_entry(&mut out, &["encoder", "is_kept_embed"], &[1, width]);
    write_entry(&mut out, &["encoder", "is_masked_embed"], &[1, width]);
    write_entry(&mut out, &["encoder", "pre_quant", "kernel"], &[width, config.bottleneck.input_width()]);
    write_entry(&mut out, &["decoder", "post_quant", "kernel"], &[config.bottleneck.output_width(), width]);
    write_entry(&mut out, &["decoder", "out_proj", "kernel"], &[width, patch]);
    out.flush().unwrap();
}

/// `[path, bytes(extension 1([shape, "bfloat16", bytes]))]` in msgpack, with the longest kinds of lengths.
fn write_entry(out: &mut impl Write, path: &[&str], shape: &[usize]) {
    let values = 2 * shape.iter().product::<usize>();
    let mut array = vec![0x93, 0x90 | shape.len() as u8];
    shape.iter().for_each(|axis| array.extend([&[0xce][..], &(*axis as u32).to_be_bytes()].concat()));
    array.extend(b"\xa8bfloat16\xc6");
    array.extend((values as u32).to_be_bytes());
    let extension = [&[0xc9][..], &((array.len() + values) as u32).to_be_bytes(), &[1]].concat();
    let mut head = vec![0x92, 0x90 | path.len() as u8];
    for name in path {
        head.push(0xa0 | name.len() as u8);
        head.extend(name.as_bytes());
    }
    head.push(0xc6);
    head.extend(((extension.len() + array.len() + values) as u32).to_be_bytes());
    out.write_all(&[head, extension, array].concat()).unwrap();
    // Sixteen small values, among them negative ones.
    let pattern: Vec<u8> = (0..16_u8).flat_map(|i| [0x11 * i, 0x3c | (i & 1) << 7]).collect();
    let pattern = pattern.repeat(1 << 12);
    let mut left = values;
    while left > 0 {
        let now = left.min(pattern.len());
        out.write_all(&pattern[..now]).unwrap();
        left -= now;
    }
}

/// Both released sizes, in a process whose memory is watched. Needs 1.3 GB of disk.
#[test]
fn importing_a_200m_model_takes_little_more_memory_than_the_model() {
    if !Path::new("/proc/self/status").exists() {
        eprintln!("SKIPPED importing_a_200m_model_takes_little_more_memory_than_the_model: needs /proc");
        return;
    }
    let bench = Bench::new();
    for preset in Preset::ALL {
        write_released(preset, &bench.path("params"));
        let began = std::time::Instant::now();
        let mut child = bench.start(&["import", "params", "--preset", preset.name(), "-o", "model.safetensors"]);
        let mut peak = 0;
        let status = loop {
            peak = peak_kilobytes(child.id()).unwrap_or(peak);
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        assert!(status.success());
        let model = 4 * preset.config().parameter_count();
        let factor = (1024 * peak) as f64 / model as f64;
        let seconds = began.elapsed().as_secs_f64();
        println!("{}: peak memory {factor:.3} × the model's {} MB, {seconds:.1} s", preset.name(), model / 1_000_000);
        assert!((0.9..MOST_MEMORY).contains(&factor), "{factor}");
        assert!(std::fs::metadata(bench.path("model.safetensors")).unwrap().len() as usize > model);
    }
}

const MOST_MEMORY: f64 = 1.15;

/// The most memory that a process had so far; nothing once it has ended.
fn peak_kilobytes(process: u32) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
