//! A plan says what a run does: the bytes of every step of the ring, and the memory of a worker.

mod counting;
mod noise;

use engine::Precision;
use engine::plan::{Device, Plan, Task, bytes_a_key, lays_out};
use engine::ring::{Mesh, StepTrace, Trace};
use engine::train::{Start, TrainConfig, Trainer};
use engine::{BlockShape, Bottleneck, ModelConfig};
use noise::Noise;

/// 64 tokens a block.
fn model() -> ModelConfig {
    ModelConfig {
        width: 32,
        hidden: 48,
        heads: 2,
        encoder_layers: 2,
        decoder_layers: 1,
        rope_theta: 1e4,
        norm_epsilon: 1e-5,
        init_std: 0.1,
        mask_conditioning: true,
        precision: Precision::F32,
        block: BlockShape::new(1, 32, 32, [1, 4, 4]).unwrap(),
        bottleneck: Bottleneck::Vae { dim: 4 },
    }
}

/// As workers here keep and send values.
fn here(precision: Precision) -> Device {
    Device { bytes_a_value: 4, bytes_a_key: bytes_a_key(precision), lays_out: lays_out(), ..Device::H100 }
}

/// What the workers did in one training step.
fn traces(model: ModelConfig, sequences: usize, blocks: usize, workers: usize) -> Vec<Trace> {
    let train = TrainConfig { batch: sequences, ..TrainConfig::default() };
    let data = Noise { values: model.block.values(), blocks };
    let trainer = Trainer::new(Start { model, train, seed: 1 }, data).unwrap();
    let mut trainer = trainer.with_mesh(Mesh { data: 1, sequence: workers }).unwrap().with_trace();
    trainer.advance().unwrap();
    trainer.traces().to_vec()
}

#[test]
fn every_step_of_the_ring_sends_the_bytes_that_were_planned() {
    let layers = 3;
    let cases = [(1, 4, 2), (2, 3, 2), (1, 5, 3), (1, 8, 4), (1, 1, 4)];
    let all = Precision::ALL.into_iter().flat_map(|precision| cases.map(|case| (precision, case)));
    for (precision, (sequences, blocks, workers)) in all {
        let model = ModelConfig { precision, ..model() };
        let task = Task::new(model.clone(), sequences, blocks * 64, workers).unwrap();
        let plan = Plan::new(task, here(precision));
        let traces = traces(model, sequences, blocks, workers);
        for (name, planned, of_worker) in [
            ("forward", &plan.forward_steps, (|trace| &trace.forward) as fn(&Trace) -> &Vec<StepTrace>),
            ("backward", &plan.backward_steps, |trace| &trace.backward),
        ] {
            let planned: Vec<f64> = planned.iter().map(|step| layers as f64 * step.bytes).collect();
            let most = |step: usize| traces.iter().map(|trace| of_worker(trace)[step].bytes).max().unwrap() as f64;
            let sent: Vec<f64> = (0..of_worker(&traces[0]).len()).map(most).collect();
            let task = format!("{name}, {precision:?}, {sequences} × {blocks} blocks, {workers} workers");
            assert_eq!(planned, sent, "{task}");
        }
    }
}

/// The most bytes that a worker held in a training step, or all threads where there is one worker.
fn peak(model: &ModelConfig, blocks: usize, workers: usize, recompute: bool) -> f64 {
    let train = TrainConfig { batch: 2, recompute, ..TrainConfig::default() };
    let data = Noise { values: model.block.values(), blocks };
    let trainer = Trainer::new(Start { model: model.clone(), train, seed: 1 }, data).unwrap();
    let mut trainer = trainer.with_mesh(Mesh { data: 2, sequence: workers }).unwrap();
    counting::forget_peaks();
    trainer.advance().unwrap();
    counting::peak_of_others() as f64
}

#[test]
fn a_worker_holds_the_activations_that_were_planned() {
    // One thread a worker, whatever the machine has.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let wide = ModelConfig { width: 96, hidden: 64, decoder_layers: 4, ..model() };
    let gated = ModelConfig { width: 48, hidden: 192, ..model() };
    let narrow = ModelConfig { precision: Precision::Bf16, ..wide.clone() };
    let shapes =
        [("small", model(), false), ("wide", wide.clone(), false), ("bf16", narrow, false), ("gated", gated, false)];
    for (name, model, recompute) in shapes.into_iter().chain([("recomputed", wide, true)]) {
        for workers in [1, 2, 3] {
            // One worker has more rows than gates are kept of, three have fewer.
            let blocks = 96;
            let task = Task::new(model.clone(), 1, blocks * 64, workers).unwrap();
            let planned = Plan::new(Task { recompute, ..task }, here(model.precision)).memory;
            // Weights and moments are the whole process's.
            let planned = planned.activations + planned.passing;
            // A plan has what is held at most. A step holds less when a neighbour happens to free early what was sent to it;
            // then another is asked. None that is asked may hold more.
            let mut measured = 0.0f64;
            for _ in 0..8 {
                measured = measured.max(pool.install(|| peak(&model, blocks, workers, recompute)));
                if planned / measured < 1.1 {
                    break;
                }
            }
            println!("{name}, {workers} workers: planned {:.2} MB, measured {:.2} MB", planned / 1e6, measured / 1e6);
            assert!((planned / measured - 1.0).abs() < 0.15, "{name}, {workers}: planned {planned}, held {measured}");
        }
    }
}
