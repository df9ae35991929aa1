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
/// late, is done with it. More of them where it was still too much: readers are later on a crowded machine.
const RUNS: [usize; 2] = [2, 4];

/// What is over an N-th in training: packets on their way. A worker's keys and values are kept for its backward pass
/// anyway, so that late readers hold nothing longer.
const MOST_TRAINING: f64 = 1.27;

/// And in coding: one layer's activations are all that a worker holds, keys and values a large part of them, and late
/// readers hold those of the layer before while their owner has made the next.
const MOST_CODING: f64 = 1.32;

/// In one test: threads of another would be counted too.
#[test]
fn activations_of_a_worker_fall_with_the_number_of_workers() {
    // One thread a worker, whatever the machine has.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let training = |workers, blocks| pool.install(|| peak_of_training(workers, blocks, false));
    let kept = check("training", MOST_TRAINING, TRAINED, training);
    // A layer's x instead of x, q, k, v and O, of three of four layers: the fourth's are there while it computes again.
    let [short, long] = TRAINED.map(|blocks| pool.install(|| peak_of_training(1, blocks, true)));
    let again = long - short;
    println!("training that computes again: {:.2} MB instead of {:.2} MB", again / 1e6, kept / 1e6);
    assert!(again < 0.65 * kept, "{again} bytes instead of {kept}");
    let coding = |workers, blocks| pool.install(|| peaks_of_coding(workers, blocks));
    check("encoding", MOST_CODING, CODED, |workers, blocks| coding(workers, blocks)[0]);
    check("decoding", MOST_CODING, CODED, |workers, blocks| coding(workers, blocks)[1]);
}

/// Each of N workers holds an N-th of what one holds, and little more; what one holds.
fn check(what: &str, most: f64, lengths: [usize; 2], peak: impl Fn(usize, usize) -> f64) -> f64 {
    let [short, long] = lengths.map(|blocks| peak(1, blocks));
    let one = long - short;
    let [enough, all] = RUNS;
    for workers in 2..=4 {
        let (mut least, mut share) = ([f64::INFINITY; 2], f64::INFINITY);
        for run in 0..all {
            if run >= enough && share <= most {
                break;
            }
            least = std::array::from_fn(|i| least[i].min(peak(workers, lengths[i])));
            share = workers as f64 * (least[1] - least[0]) / one;
            println!("{what}, {workers} workers, run {run}: {share:.3} of an N-th of {:.2} MB", one / 1e6);
        }
        assert!(share <= most, "{what}: each of {workers} workers holds {share:.3} of an N-th of {one} bytes");
    }
    one
}
