//! Clips through the built binary: trained on with photographs, searched block by block behind remembered ones.

mod common;

use common::{Bench, assert_same};
use evaluator::store::{CurveFilter, CurveRow, Store};

/// Blocks of two frames, sequences of three blocks, from a clip and photographs.
const CLIPS: [&str; 16] = [
    "--set",
    "data.train_videos=videos",
    "--set",
    "data.test_videos=videos",
    "--set",
    "data.blocks=3",
    "--set",
    "data.clip_blocks=3",
    "--set",
    "data.clips_per_video=2",
    "--set",
    "model.frames_per_block=2",
    "--set",
    "sweep.strategies=['binary', 'warm-start']",
    "--set",
    "sweep.thresholds=[0.1, 0.3]",
];

fn bench() -> Bench {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("videos")).unwrap();
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/video/pan.mp4");
    std::fs::copy(clip, bench.path("videos/pan.mp4")).unwrap();
    bench
}

fn run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["run", "tiny.toml"], &CLIPS[..], more].concat()
}

/// (strategy, block, commit evaluations, final evaluations) of every searched block.
fn blocks(bench: &Bench) -> Vec<(String, u32, u32, u32)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let reader = Store::open_existing_read_only(bench.db()).await.unwrap();
        let experiment = reader.experiment_by_name("tiny").await.unwrap().id;
        let mut all = Vec::new();
        for trial in reader.trials(experiment).await.unwrap() {
            for block in reader.blocks(trial.id).await.unwrap() {
                let record = block.record;
                all.push((trial.strategy.clone(), record.block, record.commit_evaluations, record.final_evaluations));
            }
        }
        all
    })
}

#[test]
fn blocks_are_searched_one_behind_the_other_and_fixed_but_the_last() {
    let bench = bench();
    let (out, err) = bench.succeed(&run(&[]));
    assert!(err.contains("videos: 1 videos") && out.contains("| warm-start"), "{out}\n{err}");
    let blocks = blocks(&bench);
    // 2 elastic variants × 2 strategies × 2 thresholds and a fixed one × 2, each on 2 clips of 3 blocks.
    assert_eq!(blocks.len(), (2 * 2 * 2 + 2) * 2 * 3);
    for (strategy, block, commit, last) in &blocks {
        let expected = if *block < 2 { (1, 0) } else { (0, 1) };
        assert_eq!((*commit, *last), expected, "{strategy}, block {block}");
    }
    bench.succeed(&["figure", "over-time", "--output", "over-time.svg"]);
    let (fewer, _) = bench.succeed(&["table", "fewer-tokens", "--experiment", "tiny"]);
    assert!(fewer.contains("| fixed 25 % FSQ"), "{fewer}");
    let (costs, _) = bench.succeed(&["table", "search-cost", "--experiment", "tiny"]);
    assert!(costs.lines().any(|line| line.contains("| binary") && line.contains(" 0.67 ")), "{costs}");
}

#[test]
fn two_runs_on_clips_give_the_same_numbers() {
    let (one, two) = (bench(), bench());
    one.succeed(&run(&[]));
    two.succeed(&run(&[]));
    assert_same(&one.numbers(), &two.numbers());
}

#[test]
fn a_window_of_no_blocks_is_another_trial_of_the_same_model() {
    let bench = bench();
    bench.succeed(&run(&[]));
    let (_, err) = bench.succeed(&run(&["--set", "sweep.window=0"]));
    assert!(err.contains("0 trained, 3 reused; 10 trials evaluated, 0 reused"), "{err}");
    let error = bench.refuse(&run(&["--set", "sweep.window=some"]));
    assert!(error.contains("\"all\", or a number of blocks"), "{error}");
    let error = bench.refuse(&run(&["--set", "data.video_percent=101"]));
    assert!(error.contains("data.video_percent = 101: must be from 1"), "{error}");
}

/// A second video and a predictor small enough for a test.
const PREDICTORS: [&str; 14] = [
    "--set",
    "sweep.search=replay",
    "--set",
    "sweep.strategies=['binary', 'regression(0.5)', 'regression-verified', 'guess(frame-difference)', 'guess(previous)']",
    "--set",
    "regressor.curves=24",
    "--set",
    "regressor.counts=4",
    "--set",
    "regressor.earlier=5",
    "--set",
    "regressor.steps=8",
    "--set",
    "regressor.batch=8",
];

#[test]
fn predictors_know_clips_behind_their_earlier_blocks() {
    let bench = bench();
    std::fs::copy(bench.path("videos/pan.mp4"), bench.path("videos/same.mp4")).unwrap();
    let (_, err) = bench.succeed(&run(&PREDICTORS));
    assert!(err.contains("regressor"), "{err}");
    let (table, _) = bench.succeed(&["table", "regressor", "--experiment", "tiny"]);
    assert!(table.contains("frame-difference") && table.contains("regression-verified"), "{table}");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let reader = Store::open_existing_read_only(bench.db()).await.unwrap();
        let experiment = reader.experiment_by_name("tiny").await.unwrap().id;
        let trials = reader.trials(experiment).await.unwrap();
        let mut costs = std::collections::BTreeSet::new();
        for trial in trials.iter().filter(|trial| trial.strategy == "regression(0.5)") {
            for block in reader.blocks(trial.id).await.unwrap() {
                costs.insert((block.record.block, block.record.prediction_flops.unwrap() as u64));
            }
        }
        // It costs what it reads: the block, one more, two more. Sequences of three blocks hold no more.
        let costs: Vec<(u32, u64)> = costs.into_iter().collect();
        assert_eq!(costs.iter().map(|(block, _)| *block).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(costs.windows(2).all(|pair| pair[0].1 < pair[1].1), "{costs:?}");
        let curves = reader.curves(trials[0].weights_hash.unwrap(), &CurveFilter::default()).await.unwrap();
        let is_held_out = |curve: &&CurveRow| curve.points.len() == 31;
        assert!(curves.iter().any(|curve| is_held_out(&curve) && curve.block == 2), "each behind what was kept");
        let training: Vec<&CurveRow> = curves.iter().filter(|curve| !is_held_out(curve)).collect();
        assert_eq!(training.len(), 24);
        assert!(training.iter().all(|curve| curve.history.len() == curve.block as usize && curve.points.len() == 4));
        assert_eq!(training.iter().map(|curve| curve.block).max(), Some(2));
    });
    let (_, err) = bench.succeed(&run(&PREDICTORS));
    assert!(err.contains("0 trained, 3 reused; 0 trials evaluated"), "{err}");
}

#[test]
fn only_videos_need_no_pictures() {
    let bench = bench();
    std::fs::remove_dir_all(bench.path("photos")).unwrap();
    let (_, err) = bench.succeed(&run(&["--set", "data.video_percent=100"]));
    assert!(!err.contains("pictures"), "{err}");
    let error = bench.refuse(&run(&["--set", "data.video_percent=100", "--set", "data.test_videos=nowhere"]));
    assert!(error.contains("nowhere"), "{error}");
}
