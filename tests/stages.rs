//! Training in stages through the built binary: stopped anywhere it is the same run, and what stages share is trained once.

mod common;

use common::{Bench, assert_same, checkpoint_exists, wait_until};

/// Blocks of two frames, 32 tokens; sequences of one block, then of three.
const STAGED: &str = r#"
name = "staged"

[data]
train_videos = "videos"
test_videos = "videos"
video_percent = 100
resize = 40
crop = 32
clip_blocks = 3
clips_per_video = 2

[model]
width = 16
hidden = 24
heads = 2
encoder_layers = 1
decoder_layers = 1
frames_per_block = 2

[train]
batch = 6
warmup_steps = 2
min_tokens = 2

[[stage]]
context = 32
steps = 8

[[stage]]
context = 96
steps = 6
learning_rate = 1e-3

[sweep]
thresholds = [0.1]
strategies = ["fixed(0.25)", "fixed(1)"]
progressive = 0

[[variant]]
name = "first stage"
stage = [{ context = 32, steps = 8 }]

[[variant]]
name = "long"

[[variant]]
name = "long, alone"
sweep.window = 0
"#;

fn bench() -> Bench {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("videos")).unwrap();
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/video/pan.mp4");
    std::fs::copy(clip, bench.path("videos/pan.mp4")).unwrap();
    std::fs::write(bench.path("staged.toml"), STAGED).unwrap();
    bench
}

/// Every number of the variant «long».
fn numbers(bench: &Bench) -> Vec<String> {
    let mut numbers = bench.numbers_of("staged");
    numbers.retain(|line| line.starts_with("long "));
    numbers
}

#[test]
fn a_stage_begun_before_is_not_trained_again_and_gives_the_same_numbers() {
    let (shared, alone) = (bench(), bench());
    let (_, err) = shared.succeed(&["run", "staged.toml"]);
    assert!(err.contains("long seed 0: its first 8 steps were trained before"), "{err}");
    assert!(err.contains("2 trained, 1 reused; 6 trials evaluated, 0 reused"), "{err}");
    let without = STAGED.replace("[[variant]]\nname = \"first stage\"\nstage = [{ context = 32, steps = 8 }]\n", "");
    std::fs::write(alone.path("staged.toml"), without).unwrap();
    let (_, err) = alone.succeed(&["run", "staged.toml"]);
    assert!(!err.contains("its first 8 steps"), "{err}");
    let own = numbers(&shared);
    assert!(own.iter().filter(|line| line.contains(" step ")).count() == 14, "{own:?}");
    assert_same(&own, &numbers(&alone));

    // The first block has nothing before it; the table has both sides of every other.
    let (csv, _) = shared.succeed(&["table", "context", "--experiment", "staged", "--format", "csv"]);
    let gain = |line: &str| line.split(',').nth(7).unwrap().parse::<f64>().unwrap();
    let first: Vec<f64> =
        csv.lines().filter(|line| line.starts_with("long,") && line.contains(",1,")).map(gain).collect();
    assert_eq!(first, [0.0, 0.0], "{csv}");
    // All blocks together and three apart, for two shares.
    assert_eq!(csv.lines().filter(|line| line.starts_with("long,")).count(), 2 * 4, "{csv}");
    for figure in ["context", "loss-by-block"] {
        let file = format!("{figure}.svg");
        shared.succeed(&["figure", figure, "--experiment", "staged", "--output", &file]);
        let svg = std::fs::read_to_string(shared.path(&file)).unwrap();
        assert!(svg.contains("long, block 3: "), "{svg}");
    }
}

#[test]
fn killed_in_any_stage_and_at_their_border_it_goes_on_to_the_same_numbers() {
    let (killed, whole) = (bench(), bench());
    // Long enough to be killed in each stage; a checkpoint at every step, so that one is at the border.
    let long = ["train", "staged.toml", "--set", "stage.1.steps=60", "--checkpoint-every", "0"];
    let mut kills = 0;
    for delay in [40, 90, 150, 210, 300, 400] {
        let mut child = killed.start(&long);
        let mut is_done = || child.try_wait().unwrap().is_some();
        wait_until("a checkpoint", || checkpoint_exists(&killed) || is_done());
        std::thread::sleep(std::time::Duration::from_millis(delay));
        kills += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(kills > 0, "it was done before anybody could kill it");
    killed.succeed(&long);
    whole.succeed(&long);
    assert_same(&killed.numbers_of("staged"), &whole.numbers_of("staged"));
}

#[test]
fn a_mesh_trains_all_stages_and_is_refused_for_one_that_it_does_not_fit() {
    let bench = bench();
    bench.succeed(&["train", "staged.toml", "--mesh", "data=2,sequence=2"]);
    // Two sequences a pass in the second stage.
    let error = bench.refuse(&["train", "staged.toml", "--mesh", "data=3"]);
    assert!(error.contains("long") && error.contains("stage 2: mesh = data=3,sequence=1"), "{error}");
}

#[test]
fn an_estimate_knows_stages_and_counts_what_they_share_once() {
    let bench = bench();
    let (out, _) = bench.succeed(&["run", "staged.toml", "--dry-run"]);
    assert_eq!(out.matches("train seed 0: 8 steps of 6 × 32 tokens").count(), 1, "{out}");
    assert_eq!(out.matches("train seed 0: 6 steps of 2 × 96 tokens").count(), 1, "{out}");
    assert!(!bench.path("results").exists());
}
