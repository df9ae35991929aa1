//! A long sequence of a real clip: two training steps and one encoding on some number of workers, with the memory that
//! takes.
//!
//!     cargo run --release -p engine --example long_clip -- VIDEO [WORKERS] [BLOCKS]
//!
//! The model is 256 wide with 2 + 2 layers, a block is 4 frames of 256 × 256 pixels at 24 a second, 4096 tokens; 1 worker
//! and 16 blocks (64 K tokens) where nothing is said. Each worker has one thread. Prints a row of a table: what was
//! minimized, seconds, the most bytes that one worker and that all together held, and the peak of the process.

#[path = "../tests/counting/mod.rs"]
mod counting;

use engine::Precision;
use engine::data::video::VideoReader;
use engine::data::{Fit, to_block};
use engine::ring::Mesh;
use engine::train::{Sequence, Start, TrainConfig, Trainer, TrainingData};
use engine::{BlockShape, Bottleneck, ElasticTok, EngineError, ModelConfig, SharedSequences};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

const FRAMES_PER_SECOND: f64 = 24.0;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let video = arguments.next().ok_or("which video? usage: long_clip VIDEO [WORKERS] [BLOCKS]")?;
    let mut number = |otherwise| arguments.next().map_or(Ok(otherwise), |number| number.parse());
    let (workers, blocks) = (number(1)?, number(16)?);
    let clip = Clip::read(Path::new(&video), model()?.block, blocks)?;
    let cores = rayon::ThreadPoolBuilder::new().num_threads(workers).build()?;
    Ok(cores.install(|| measure(clip, Mesh { data: 1, sequence: workers }))?)
}

fn model() -> Result<ModelConfig, EngineError> {
    Ok(ModelConfig {
        width: 256,
        hidden: 512,
        heads: 4,
        encoder_layers: 2,
        decoder_layers: 2,
        rope_theta: 5e7,
        norm_epsilon: 1e-5,
        init_std: 0.02,
        mask_conditioning: true,
        precision: Precision::F32,
        block: BlockShape::new(4, 256, 256, [1, 8, 8])?,
        bottleneck: Bottleneck::Fsq { levels: vec![8, 8, 8, 5, 5, 5] },
    })
}

fn measure(clip: Clip, mesh: Mesh) -> Result<(), EngineError> {
    let (model, blocks) = (model()?, clip.blocks);
    let patches = clip.patches.clone();
    let train = TrainConfig { batch: 1, steps: 2, warmup_steps: 1, learning_rate: 1e-4, ..TrainConfig::default() };
    let mut trainer = Trainer::new(Start { model: model.clone(), train, seed: 0 }, clip)?.with_mesh(mesh)?;
    let tokens = blocks * model.block.tokens();
    for step in 1..=2 {
        counting::forget_peaks();
        let began = Instant::now();
        let report = trainer.advance()?;
        show(&format!("step {step}, loss {:.6}", report.loss), tokens, mesh, began);
    }
    let trained: ElasticTok = trainer.model().clone();
    drop(trainer);
    let shared = SharedSequences::new(&trained, mesh)?;
    counting::forget_peaks();
    let began = Instant::now();
    let encoded = shared.encode(&patches, &vec![model.block.tokens() / 4; blocks])?;
    let kept: usize = encoded.iter().map(|block| block.kept_tokens).sum();
    show(&format!("encode, {kept} tokens kept"), tokens, mesh, began);
    Ok(())
}

/// One row; whoever works is another thread than this one, but for a single worker, who is this one.
fn show(what: &str, tokens: usize, mesh: Mesh, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    let mega = |bytes: usize| bytes as f64 / 1e6;
    let all = mega(counting::peak_of_all());
    let worker = if mesh == Mesh::ONE { all } else { mega(counting::peak_of_others()) };
    let process = peak_of_process().map_or("unknown".to_owned(), |bytes| format!("{:.0}", mega(bytes)));
    let workers = mesh.workers();
    println!("| {tokens} | {workers} | {what} | {seconds:.1} | {worker:.0} | {all:.0} | {process} |");
}

/// What the kernel counted as resident at most, where it says so.
fn peak_of_process() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()? * 1024)
}

/// The first frames of a video, as the one training sequence there is.
struct Clip {
    frames: Vec<u8>,
    patches: Vec<f32>,
    blocks: usize,
}

impl Clip {
    fn read(path: &Path, shape: BlockShape, blocks: usize) -> Result<Self, Box<dyn Error>> {
        let video = VideoReader::open(path)?;
        let info = video.info();
        let fit = Fit::new(info.width, info.height, shape)?;
        let frames = video.at_frame_rate(FRAMES_PER_SECOND).take(blocks * shape.frames);
        let pictures =
            frames.map(|frame| Ok(fit.apply(&frame?.picture, shape))).collect::<Result<Vec<_>, EngineError>>()?;
        if pictures.len() < blocks * shape.frames {
            let has = pictures.len();
            return Err(format!("{} has {has} frames, need {}", path.display(), blocks * shape.frames).into());
        }
        let patches = pictures.chunks(shape.frames).flat_map(|block| to_block(block, shape)).collect();
        Ok(Self { frames: pictures.iter().flat_map(|picture| picture.pixels.clone()).collect(), patches, blocks })
    }
}

impl TrainingData for Clip {
    fn blocks_per_sequence(&self) -> usize {
        self.blocks
    }

    fn sequence(&self, _: u64, blocks: usize) -> Result<Sequence, EngineError> {
        Ok(Sequence { frames: self.frames.clone(), segments: vec![0; blocks] })
    }
}
