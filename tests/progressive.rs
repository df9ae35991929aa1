//! Reconstructions as tokens are added, through the built binary.

mod common;

use common::{Bench, assert_same, wait_until};
use evaluator::report::curve_key;
use evaluator::store::{ContentHash, Store};
use std::collections::BTreeMap;

/// Strategies that end at a count known beforehand.
const FIXED: [&str; 4] = ["--set", "sweep.strategies=['fixed(0.125)', 'fixed(1)', 'binary']", "--set", "seeds=[0]"];

fn run<'a>(progressive: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["run", "tiny.toml"], &FIXED[..], &["--set", progressive], more].concat()
}

/// What is stored as tokens are added, by variant, sample and count; fails unless every trial whose blocks all kept one of
/// these counts has the very picture.
fn pictures(bench: &Bench) -> BTreeMap<(String, i64, u32), ContentHash> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let reader = Store::open_existing_read_only(bench.db()).await.unwrap();
        let experiment = reader.experiment_by_name("tiny").await.unwrap().id;
        let (mut pictures, mut compared) = (BTreeMap::new(), 0);
        for trial in reader.trials(experiment).await.unwrap() {
            let (weights, protocol) = curve_key(&reader, &trial).await.unwrap().expect("curves were measured");
            let blocks = reader.blocks(trial.id).await.unwrap();
            for sample in reader.trial_samples(trial.id).await.unwrap() {
                let kept: Vec<u32> = blocks
                    .iter()
                    .filter(|block| block.sample_id == sample.sample_id)
                    .map(|block| block.record.kept_tokens)
                    .collect();
                for picture in reader.progressive(weights, sample.sample_id, protocol).await.unwrap() {
                    if kept.iter().all(|kept| *kept == picture.kept_tokens) {
                        assert_eq!(Some(picture.reconstruction), sample.reconstruction, "{} {kept:?}", trial.strategy);
                        compared += 1;
                    }
                    let place = (trial.variant.clone(), sample.sample_id.0, picture.kept_tokens);
                    pictures.insert(place, picture.reconstruction);
                }
            }
        }
        assert!(pictures.is_empty() || compared > 4, "{compared} pictures compared");
        pictures
    })
}

#[test]
fn a_trial_of_fixed_counts_shows_the_picture_that_is_stored_at_its_count() {
    let bench = Bench::new();
    bench.succeed(&run("sweep.progressive=all", &[]));
    // Both elastic variants, 6 crops, every count from 2 to 16; the variant of a fixed budget has one count.
    assert_eq!(pictures(&bench).len(), 2 * 6 * 15);
}

#[test]
fn clips_are_made_block_behind_block() {
    for window in ["sweep.window=all", "sweep.window=0"] {
        let bench = Bench::new();
        std::fs::create_dir(bench.path("videos")).unwrap();
        let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/video/pan.mp4");
        std::fs::copy(clip, bench.path("videos/pan.mp4")).unwrap();
        let mut arguments = run("sweep.progressive=1", &["--set", window]);
        for setting in [
            "data.train_videos=videos",
            "data.test_videos=videos",
            "data.blocks=3",
            "data.clip_blocks=3",
            "data.clips_per_video=2",
            "model.frames_per_block=2",
            "sweep.thresholds=[0.1, 0.2, 0.3]",
        ] {
            arguments.extend(["--set", setting]);
        }
        bench.succeed(&arguments);
        // One of the two clips; 16 of its blocks' 31 counts.
        assert_eq!(pictures(&bench).len(), 2 * 16, "{window}");
    }
}

#[test]
fn pictures_are_made_once_and_change_no_number() {
    let (none, all) = (Bench::new(), Bench::new());
    none.succeed(&run("sweep.progressive=0", &[]));
    assert!(pictures(&none).is_empty());
    all.succeed(&run("sweep.progressive=all", &[]));
    assert_same(&none.numbers(), &all.numbers());

    // Some now, the others later, in the same experiment.
    none.succeed(&run("sweep.progressive=2", &[]));
    assert_eq!(pictures(&none).len(), 2 * 2 * 15);
    let (_, err) = none.succeed(&run("sweep.progressive=all", &[]));
    assert!(err.contains("0 trained, 3 reused; 0 trials evaluated"), "{err}");
    assert_eq!(pictures(&none), pictures(&all));
    let kept = || none.files().into_iter().filter(|file| file.starts_with(none.path("results/artifacts"))).count();
    let before = kept();
    none.succeed(&run("sweep.progressive=all", &[]));
    assert_eq!(kept(), before);
}

#[test]
fn killed_while_pictures_are_made_it_goes_on_to_the_same_pictures() {
    let (killed, undisturbed) = (Bench::new(), Bench::new());
    undisturbed.succeed(&run("sweep.progressive=all", &[]));
    killed.succeed(&run("sweep.progressive=0", &[]));
    let artifacts =
        || killed.files().into_iter().filter(|file| file.starts_with(killed.path("results/artifacts"))).count();
    let mut is_cut = false;
    for _ in 0..3 {
        let before = artifacts();
        let mut child = killed.start(&run("sweep.progressive=all", &[]));
        let mut is_done = || child.try_wait().unwrap().is_some();
        wait_until("a picture", || artifacts() > before || is_done());
        is_cut |= !is_done();
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(is_cut, "it was never killed in the middle");
    let (_, err) = killed.succeed(&run("sweep.progressive=all", &[]));
    assert!(err.contains("0 trained, 3 reused; 0 trials evaluated"), "{err}");
    assert_eq!(pictures(&killed), pictures(&undisturbed));
    assert_same(&killed.numbers(), &undisturbed.numbers());
}
