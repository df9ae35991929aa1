//! A plan says what a run does: the bytes of every step of the ring, and the memory of a worker.

mod counting;
mod noise;

use engine::Precision;
use engine::plan::{Device, Plan, Task};
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

/// What the workers did in one training step.
fn traces(sequences: usize, blocks: usize, workers: usize) -> Vec<Trace> {
    let (model, train) = (model(), TrainConfig { batch: sequences, ..TrainConfig::default() });
    let data = Noise { values: model.block.values(), blocks };
    let trainer = Trainer::new(Start { model, train, seed: 1 }, data).unwrap();
    let mut trainer = trainer.with_mesh(Mesh { data: 1, sequence: workers }).unwrap().with_trace();
    trainer.advance().unwrap();
    trainer.traces().to_vec()
}

#[test]
fn every_step_of_the_ring_sends_the_bytes_that_were_planned() {
    let layers = 3;
    // f32, as workers here compute.
    let device = Device { bytes_a_value: 4, ..Device::H100 };
    for (sequences, blocks, workers) in [(1, 4, 2), (2, 3, 2), (1, 5, 3), (1, 8, 4), (1, 1, 4)] {
        let task = Task::new(model(), sequences, blocks * 64, workers).unwrap();
        let plan = Plan::new(task, device.clone());
        let traces = traces(sequences, blocks, workers);
        for (name, planned, of_worker) in [
            ("forward", &plan.forward_steps, (|trace| &trace.forward) as fn(&Trace) -> &Vec<StepTrace>),
            ("backward", &plan.backward_steps, |trace| &trace.backward),
        ] {
            let planned: Vec<f64> = planned.iter().map(|step| layers as f64 * step.bytes).collect();
            let most = |step: usize| traces.iter().map(|trace| of_worker(trace)[step].bytes).max().unwrap() as f64;
            let sent: Vec<f64> = (0..of_worker(&traces[0]).len()).map(most).collect();
            assert_eq!(planned, sent, "{name}, {sequences} × {blocks} blocks, {workers} workers");
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
    let device = Device { bytes_a_value: 4, ..Device::H100 };
    let wide = ModelConfig { width: 96, hidden: 64, decoder_layers: 4, ..model() };
    let gated = ModelConfig { width: 48, hidden: 192, ..model() };
    let shapes = [("small", model(), false), ("wide", wide.clone(), false), ("gated", gated, false)];
    for (name, model, recompute) in shapes.into_iter().chain([("recomputed", wide, true)]) {
        for workers in [1, 2, 3] {
            // One worker has more rows than gates are kept of, three have fewer.
            let blocks = 96;
            let measured = pool.install(|| peak(&model, blocks, workers, recompute));
            let task = Task::new(model.clone(), 1, blocks * 64, workers).unwrap();
            let planned = Plan::new(Task { recompute, ..task }, device.clone()).memory;
            // Weights and moments are the whole process's.
            let planned = planned.activations + planned.passing;
            println!("{name}, {workers} workers: planned {:.2} MB, measured {:.2} MB", planned / 1e6, measured / 1e6);
            assert!((planned / measured - 1.0).abs() < 0.15, "{name}, {workers}: planned {planned}, held {measured}");
        }
    }
}
