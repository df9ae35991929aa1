//! Clips through the built binary: trained on with photographs, searched block by block behind remembered ones.

mod common;

use common::{Bench, assert_same};
use evaluator::store::Store;

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
    let error = bench.refuse(&run(&["--set", "sweep.strategies=['regression-verified']"]));
    assert!(error.contains("regression-verified asks a predictor, which knows pictures but no clips"), "{error}");
    let error = bench.refuse(&run(&["--set", "data.video_percent=101"]));
    assert!(error.contains("data.video_percent = 101: must be from 1"), "{error}");
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
