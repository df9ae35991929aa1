//! A run that was stopped and went on is the run that was not; checkpoints are whole or refused.

mod noise;

use engine::Precision;
use engine::model::load_model;
use engine::parameters::{Parameters, weights_hash};
use engine::tensor::values;
use engine::train::{Sequence, Stage, Start, StepReport, TrainConfig, Trainer, TrainingData};
use engine::{BlockShape, Bottleneck, ElasticTok, EngineError, ModelConfig};
use noise::Noise;
use std::path::Path;

fn start(bottleneck: Bottleneck, train: TrainConfig) -> Start {
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
        block: BlockShape::new(1, 16, 16, [1, 4, 4]).unwrap(),
        bottleneck,
    };
    Start { model, train, seed: 11 }
}

fn settings() -> TrainConfig {
    TrainConfig { steps: 12, batch: 3, accumulate: 2, warmup_steps: 4, min_tokens: 2, ..TrainConfig::default() }
}

fn noise() -> Noise {
    Noise { values: 16 * 16 * 3, blocks: 2 }
}

fn weights(model: &ElasticTok) -> Vec<f32> {
    let mut all = Vec::new();
    model.visit("", &mut |_, weight| all.extend_from_slice(values(weight)));
    all
}

fn bottlenecks() -> [Bottleneck; 2] {
    [Bottleneck::Fsq { levels: vec![8, 5, 5] }, Bottleneck::Vae { dim: 3 }]
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    for (index, bottleneck) in bottlenecks().into_iter().enumerate() {
        let file = folder.path().join(format!("{index}.safetensors"));
        let start = start(bottleneck, settings());
        let mut whole = Trainer::new(start.clone(), noise()).unwrap();
        let mut reports = Vec::new();
        while !whole.is_finished() {
            reports.push(whole.advance().unwrap());
        }
        let mut resumed = Trainer::new(start.clone(), noise()).unwrap();
        let mut again = Vec::new();
        for stop in [1, 5, 6, 12] {
            while resumed.step() < stop {
                again.push(resumed.advance().unwrap());
            }
            resumed.save(&file).unwrap();
            resumed = Trainer::resume(start.clone(), noise(), &file).unwrap();
            assert_eq!(resumed.step(), stop);
        }
        assert_eq!(again, reports);
        assert_eq!(weights(resumed.model()), weights(whole.model()));
    }
}

/// Three stages: short sequences, long ones, and a few more short ones.
fn staged() -> TrainConfig {
    let stage = |context, steps, learning_rate, batch| Stage { context, steps, learning_rate, batch };
    TrainConfig { warmup_steps: 2, ..settings() }.with_stages(vec![
        stage(16, 4, 3e-3, 4),
        stage(64, 3, 1e-3, 1),
        stage(32, 3, 2e-3, 2),
    ])
}

fn steps(trainer: &mut Trainer, until: usize) -> Vec<StepReport> {
    std::iter::from_fn(|| (trainer.step() < until).then(|| trainer.advance().unwrap())).collect()
}

#[test]
fn a_run_with_stages_goes_on_from_any_step_and_from_every_border() {
    let folder = tempfile::tempdir().unwrap();
    for (index, bottleneck) in bottlenecks().into_iter().enumerate() {
        let file = folder.path().join(format!("{index}.safetensors"));
        let start = start(bottleneck, staged());
        let mut whole = Trainer::new(start.clone(), noise()).unwrap();
        let reports = steps(&mut whole, 10);
        let seen: Vec<_> = reports.iter().map(|report| (report.stage, report.tokens)).collect();
        assert_eq!(seen, [[(1, 128); 4].as_slice(), &[(2, 128); 3], &[(3, 128); 3]].concat());
        let mut resumed = Trainer::new(start.clone(), noise()).unwrap();
        let mut again = Vec::new();
        for stop in [1, 4, 5, 7, 8, 10] {
            again.extend(steps(&mut resumed, stop));
            resumed.save(&file).unwrap();
            resumed = Trainer::resume(start.clone(), noise(), &file).unwrap();
        }
        assert_eq!(again, reports);
        assert_eq!(weights(resumed.model()), weights(whole.model()));
        // The weights after some stages are all that the next one needs.
        for count in [1, 2] {
            let first = Start { train: start.train.first_stages(count), ..start.clone() };
            let mut trainer = Trainer::new(first, noise()).unwrap();
            let until = trainer.steps();
            steps(&mut trainer, until);
            let mut rest = Trainer::after_stages(start.clone(), noise(), count, trainer.model().clone()).unwrap();
            assert_eq!(steps(&mut rest, 10), reports[until..]);
            assert_eq!(weights(rest.model()), weights(whole.model()));
        }
    }
}

/// Noise that begins so many sequences further on.
struct Later(u64);

impl TrainingData for Later {
    fn blocks_per_sequence(&self) -> usize {
        4
    }

    fn sequence(&self, number: u64, blocks: usize) -> Result<Sequence, EngineError> {
        noise().sequence(number + self.0, blocks)
    }
}

#[test]
fn a_stage_is_a_run_of_its_own_on_the_sequences_that_follow() {
    // One pass a step, no drawn counts and no noise of a bottleneck: nothing else is numbered by the step.
    let all = TrainConfig { accumulate: 1, budget: engine::Budget::Fixed(1.0), ..staged() };
    let bottleneck = bottlenecks()[0].clone();
    let own = start(bottleneck.clone(), all.first_stages(2));
    let mut both = Trainer::new(own.clone(), noise()).unwrap();
    steps(&mut both, 4);
    let model = both.model().clone();
    let second = TrainConfig { stages: Vec::new(), steps: 3, batch: 1, learning_rate: 1e-3, ..all };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("first.safetensors");
    // A plain run with these weights: that of a checkpoint before its first step.
    let plain = start(bottleneck, second);
    let fresh = Trainer::new(plain.clone(), Later(16)).unwrap();
    fresh.save(&file).unwrap();
    replace_weights(&file, &model);
    let mut alone = Trainer::resume(plain, Later(16), &file).unwrap();
    assert_eq!(weights(alone.model()), weights(&model));
    let losses = |reports: Vec<StepReport>| reports.iter().map(|r| (r.loss, r.learning_rate)).collect::<Vec<_>>();
    assert_eq!(losses(steps(&mut both, 7)), losses(steps(&mut alone, 3)));
    assert_eq!(weights(both.model()), weights(alone.model()));
}

/// Puts these weights into a checkpoint: the arrays of a safetensors file are bytes behind its index.
fn replace_weights(file: &Path, model: &ElasticTok) {
    let mut bytes = std::fs::read(file).unwrap();
    let mut places = Vec::new();
    {
        let arrays = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        model.visit("", &mut |name, weight| {
            let view = arrays.tensor(&format!("model.{name}")).unwrap();
            places.push((view.data().as_ptr() as usize - bytes.as_ptr() as usize, values(weight).to_vec()));
        });
    }
    for (place, weight) in places {
        for (to, value) in bytes[place..].chunks_exact_mut(4).zip(weight) {
            to.copy_from_slice(&value.to_le_bytes());
        }
    }
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_context_that_is_no_whole_number_of_blocks_is_refused() {
    let mut train = staged();
    train.stages[1].context = 60;
    let refused = Trainer::new(start(bottlenecks()[0].clone(), train), noise()).err().unwrap().to_string();
    assert_eq!(refused, "stage 2: context = 60: must be whole blocks of 16 tokens");
}

#[test]
fn accumulated_passes_are_one_large_batch() {
    // The same sequences in the same order; kept counts are drawn per pass, so all tokens are kept.
    let all = engine::Budget::Fixed(1.0);
    let vary =
        |batch, accumulate| TrainConfig { batch, accumulate, budget: all, steps: 3, warmup_steps: 1, ..settings() };
    for bottleneck in bottlenecks() {
        if matches!(bottleneck, Bottleneck::Vae { .. }) {
            continue; // its noise is drawn per pass
        }
        let run = |config| {
            let mut trainer = Trainer::new(start(bottleneck.clone(), config), noise()).unwrap();
            let losses: Vec<f32> = (0..3).map(|_| trainer.advance().unwrap().loss).collect();
            (losses, weights(trainer.model()))
        };
        let ((one, w1), (many, w2)) = (run(vary(4, 1)), run(vary(1, 4)));
        assert!(one.iter().zip(&many).all(|(a, b)| (a / b - 1.0).abs() < 1e-4), "{one:?} {many:?}");
        let worst = w1.iter().zip(&w2).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{worst:e}");
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_changes_nothing() {
    let wild = TrainConfig { learning_rate: 1e30, clip_norm: 1e30, warmup_steps: 1, ..settings() };
    let mut trainer = Trainer::new(start(bottlenecks()[1].clone(), wild), noise()).unwrap();
    let failed = loop {
        let before = (trainer.step(), weights(trainer.model()));
        match trainer.advance() {
            Ok(report) => assert!(report.loss.is_finite() && report.gradient_norm.is_finite()),
            Err(error) => {
                assert_eq!((trainer.step(), weights(trainer.model())), before);
                break error;
            }
        }
    };
    assert!(matches!(failed, EngineError::NonFinite { .. }), "{failed}");
    assert!(failed.to_string().contains("lower train.learning_rate"), "{failed}");
}

#[test]
fn damaged_and_foreign_checkpoints_are_named_and_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("training.safetensors");
    let own = start(bottlenecks()[0].clone(), settings());
    let mut trainer = Trainer::new(own.clone(), noise()).unwrap();
    trainer.advance().unwrap();
    trainer.save(&file).unwrap();
    let refusal = |start: &Start, file: &Path| match Trainer::resume(start.clone(), noise(), file) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    };
    let other = Start { seed: 12, ..own.clone() };
    assert!(refusal(&other, &file).contains("another configuration or seed"));
    let bytes = std::fs::read(&file).unwrap();
    let cut = folder.path().join("cut.safetensors");
    for length in [0, 7, 100, bytes.len() - 1] {
        std::fs::write(&cut, &bytes[..length]).unwrap();
        let error = refusal(&own, &cut);
        assert!(error.contains("cut.safetensors") && error.contains("not a readable safetensors"), "{error}");
    }
    let (model, info) = load_model(&file).unwrap();
    assert_eq!((weights(&model), info.unfinished_after), (weights(trainer.model()), Some(1)));
    assert_eq!(info.weights_hash, weights_hash(trainer.model()));
    assert!(refusal(&own, &folder.path().join("absent")).contains("absent"));
}
