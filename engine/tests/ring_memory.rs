//! What a ring is for: N workers hold an N-th of a sequence's activations each. Counted by an allocator of this program,
//! thread by thread, in a training step of a few thousand tokens, and where such a sequence is encoded and decoded.

mod counting;
mod noise;

use engine::ring::Mesh;
use engine::train::{Start, TrainConfig, Trainer};
use engine::{BlockShape, Bottleneck, ElasticTok, ModelConfig, SharedSequences};
use noise::Noise;

/// 256 tokens: 3072 a sequence.
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
        block: block(),
        bottleneck: Bottleneck::Vae { dim: 4 },
    }
}

/// The most bytes that any worker held in a step on two sequences, each cut among so many workers.
fn peak_of_training(sequence: usize) -> f64 {
    let model = config();
    let train = TrainConfig { batch: 2, ..TrainConfig::default() };
    let trainer =
        Trainer::new(Start { model, train, seed: 1 }, Noise { values: block().values(), blocks: 12 }).unwrap();
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

/// In one test: threads of another would be counted too.
#[test]
fn activations_of_a_worker_fall_with_the_number_of_workers() {
    // One thread a worker, whatever the machine has.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let workers = [1, 2, 3, 4];
    // What is over: packets on their way, and gradients of weights and tiles of scores, which no worker has less of.
    check("training", 1.15, workers.map(|workers| pool.install(|| peak_of_training(workers))));
    // Beside the little that coding holds, what does not grow with the sequence weighs: room to pack matrices, tiles of
    // scores. So what counts is by how much more a worker holds of a sequence three times as long.
    let coding = workers.map(|workers| {
        let [short, long] = [12, 36].map(|blocks| pool.install(|| peaks_of_coding(workers, blocks)));
        [long[0] - short[0], long[1] - short[1]]
    });
    // What is over: a packet, 2 widths beside the 11 that a layer holds, counts for whoever made it until the last of its
    // readers, who may be late, is done with it.
    check("encoding", 1.35, coding.map(|[encoding, _]| encoding));
    check("decoding", 1.35, coding.map(|[_, decoding]| decoding));
}

/// Each of N workers holds at most so many N-ths of what one holds.
fn check(what: &str, most: f64, [one, two, three, four]: [f64; 4]) {
    for (workers, peak) in [(2.0, two), (3.0, three), (4.0, four)] {
        let share = workers * peak / one;
        println!(
            "{what}, {workers} workers: {:.2} MB each, one {:.2} MB: {share:.3} of an N-th",
            peak / 1e6,
            one / 1e6
        );
        assert!(share <= most, "{what}: {workers} workers hold {peak} bytes each, one {one}");
    }
}
