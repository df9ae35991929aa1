//! What a ring is for: N workers hold an N-th of a sequence's activations each. Counted by an allocator of this program,
//! thread by thread, in a training step of some thousand tokens, and where such a sequence is encoded and decoded.

mod counting;
mod noise;

use engine::Precision;
use engine::ring::Mesh;
use engine::train::{Start, TrainConfig, Trainer};
use engine::{BlockShape, Bottleneck, ElasticTok, ModelConfig, SharedSequences};
use noise::Noise;

/// 256 tokens.
fn block() -> BlockShape {
    BlockShape::new(1, 64, 64, [1, 4, 4]).unwrap()
}

fn config() -> ModelConfig {
    ModelConfig {
        width: 48,
        hidden: 96,
        heads: 2,
        encoder_layers: 2,
        decoder_layers: 2,
        rope_theta: 1e4,
        norm_epsilon: 1e-5,
        init_std: 0.1,
        mask_conditioning: true,
        precision: Precision::F32,
        block: block(),
        bottleneck: Bottleneck::Vae { dim: 4 },
    }
}

/// The most bytes that any worker held in a step on two sequences of so many blocks, each cut among so many workers, who keep
/// their layers' inputs alone or more.
fn peak_of_training(sequence: usize, blocks: usize, recompute: bool) -> f64 {
    let model = config();
    let train = TrainConfig { batch: 2, recompute, ..TrainConfig::default() };
    let trainer = Trainer::new(Start { model, train, seed: 1 }, Noise { values: block().values(), blocks }).unwrap();
    let mut trainer = trainer.with_mesh(Mesh { data: 2, sequence }).unwrap();
    counting::forget_peaks();
    trainer.advance().unwrap();
    // This thread deals the batch and updates the weights; all others work for it.
    counting::peak_of_others() as f64
}

/// The same where a sequence of so many blocks is encoded, and where it is decoded.
fn peaks_of_coding(sequence: usize, blocks: usize) -> [f64; 2] {
    let model = ElasticTok::new(config(), 1).unwrap();
    let shared = SharedSequences::new(&model, Mesh { data: 1, sequence }).unwrap();
    let patches = vec![0.5; blocks * block().values()];
    counting::forget_peaks();
    let tokens = shared.encode(&patches, &vec![100; blocks]).unwrap();
    let encoding = counting::peak_of_others() as f64;
    counting::forget_peaks();
    shared.decode(&tokens).unwrap();
    [encoding, counting::peak_of_others() as f64]
}

/// Blocks of a sequence and of a longer one. Gradients of weights, tiles of scores and room for a wave of rows are what every
/// worker has, however long the sequence is: what counts is by how much more it holds of the longer one. The shorter one gives
/// each of four workers a whole wave.
const TRAINED: [usize; 2] = [34, 50];
const CODED: [usize; 2] = [34, 102];

/// Of which the one that held least counts: a packet counts for whoever made it until the last of its readers, who may be
/// late, is done with it.
const RUNS: usize = 2;

/// What is over: packets on their way.
const MOST: f64 = 1.4;

/// In one test: threads of another would be counted too.
#[test]
fn activations_of_a_worker_fall_with_the_number_of_workers() {
    // One thread a worker, whatever the machine has.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let workers = [1, 2, 3, 4];
    let grown = |lengths: [usize; 2], peak: &(dyn Fn(usize, usize) -> f64 + Sync)| {
        workers.map(|workers| {
            let [short, long] = lengths.map(|blocks| {
                let runs = (0..RUNS).map(|_| pool.install(|| peak(workers, blocks)));
                runs.fold(f64::INFINITY, f64::min)
            });
            long - short
        })
    };
    check("training", grown(TRAINED, &|workers, blocks| peak_of_training(workers, blocks, false)));
    // A layer's x instead of x, q, k, v and O, of three of four layers: the fourth's are there while it computes again.
    let [kept, again] = [false, true].map(|recompute| {
        let [short, long] = TRAINED.map(|blocks| pool.install(|| peak_of_training(1, blocks, recompute)));
        long - short
    });
    println!("training that computes again: {:.2} MB instead of {:.2} MB", again / 1e6, kept / 1e6);
    assert!(again < 0.65 * kept, "{again} bytes instead of {kept}");
    check("encoding", grown(CODED, &|workers, blocks| peaks_of_coding(workers, blocks)[0]));
    check("decoding", grown(CODED, &|workers, blocks| peaks_of_coding(workers, blocks)[1]));
}

/// Each of N workers holds an N-th of what one holds, and little more.
fn check(what: &str, [one, two, three, four]: [f64; 4]) {
    for (workers, peak) in [(2.0, two), (3.0, three), (4.0, four)] {
        let share = workers * peak / one;
        println!(
            "{what}, {workers} workers: {:.2} MB each, one {:.2} MB: {share:.3} of an N-th",
            peak / 1e6,
            one / 1e6
        );
        assert!(share <= MOST, "{what}: {workers} workers hold {peak} bytes each, one {one}");
    }
}
