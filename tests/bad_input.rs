//! What cannot be used is refused with a message that helps, exit code 2, and nothing written.

mod common;

use common::{Bench, texts};
use std::os::unix::fs::PermissionsExt as _;

/// Runs the tiny experiment after `spoil`, expects a refusal without a trace, and returns the message.
fn refused(spoil: impl FnOnce(&Bench), arguments: &[&str]) -> String {
    let bench = Bench::new();
    spoil(&bench);
    let before = bench.files();
    let message = bench.refuse(arguments);
    assert_eq!(bench.files(), before, "something was written; the message was: {message}");
    message
}

const RUN: [&str; 2] = ["run", "tiny.toml"];

fn with_line(bench: &Bench, line: &str) {
    let text = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
    std::fs::write(bench.path("tiny.toml"), format!("{line}\n{text}")).unwrap();
}

#[test]
fn a_missing_experiment() {
    let message = refused(|_| {}, &["run", "absent.toml"]);
    assert!(message.contains("cannot read the experiment absent.toml"), "{message}");
}

#[test]
fn an_unknown_key_is_named_with_file_line_and_the_nearest_valid_one() {
    let message = refused(|bench| with_line(bench, "nmae = \"x\""), &RUN);
    assert!(message.contains("tiny.toml:1: unknown key `nmae`; did you mean `name`?"), "{message}");
    let message = refused(
        |bench| {
            let text = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
            std::fs::write(bench.path("tiny.toml"), text.replace("warmup_steps", "warm_up_steps")).unwrap();
        },
        &RUN,
    );
    assert!(
        message.contains("tiny.toml:23: unknown key `train.warm_up_steps`; did you mean `train.warmup_steps`?"),
        "{message}"
    );
    let message = refused(|_| {}, &["run", "tiny.toml", "--set", "model.widht=3"]);
    assert!(message.contains("--set: unknown key `model.widht`; did you mean `model.width`?"), "{message}");
}

#[test]
fn a_value_of_the_wrong_type_is_shown_with_its_line() {
    let message = refused(
        |bench| {
            let text = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
            std::fs::write(bench.path("tiny.toml"), text.replace("steps = 12", "steps = \"many\"")).unwrap();
        },
        &RUN,
    );
    assert!(message.contains("line 21") && message.contains("steps = \"many\""), "{message}");
}

#[test]
fn a_missing_folder() {
    let message = refused(|_| {}, &["run", "tiny.toml", "--test", "nowhere"]);
    assert!(message.contains("cannot read the folder nowhere") && message.contains(".jpg"), "{message}");
}

#[test]
fn an_empty_folder() {
    let message =
        refused(|bench| std::fs::create_dir(bench.path("empty")).unwrap(), &["run", "tiny.toml", "--train", "empty"]);
    assert!(message.contains("no usable picture in empty: 0 files"), "{message}");
}

#[test]
fn pictures_that_do_not_decode_are_named_skipped_and_counted() {
    let bench = Bench::new();
    std::fs::write(bench.path("photos/train/broken.jpg"), b"\xff\xd8 not a picture").unwrap();
    let whole = std::fs::read(bench.path("photos/test/chelsea-cat-face.jpg")).unwrap();
    std::fs::write(bench.path("photos/test/cut.png"), &whole[..40]).unwrap();
    let (_, err) = bench.succeed(&["train", "tiny.toml"]);
    assert!(
        err.contains("train: 4 pictures, 1 skipped") && err.contains("skipped broken.jpg: does not decode"),
        "{err}"
    );
    assert!(err.contains("test: 3 pictures, 1 skipped") && err.contains("skipped cut.png: does not decode"), "{err}");

    let message = refused(
        |bench| {
            std::fs::create_dir(bench.path("bad")).unwrap();
            std::fs::write(bench.path("bad/a.png"), b"nothing").unwrap();
        },
        &["run", "tiny.toml", "--train", "bad"],
    );
    assert!(
        message.contains("no usable picture in bad: 1 files") && message.contains("a.png: does not decode"),
        "{message}"
    );
}

#[test]
fn a_picture_smaller_than_the_crop_is_skipped_by_name() {
    let message = refused(|_| {}, &["run", "tiny.toml", "--set", "data.crop=512", "--set", "data.resize=512"]);
    assert!(message.contains("smaller than the crop of 512×512"), "{message}");
}

#[test]
fn impossible_sizes() {
    for (set, expected) in [
        ("model.heads=3", "model.heads = 3: heads of even width must divide model.width = 16"),
        ("model.patch=[1, 7, 8]", "patches must tile a block"),
        ("data.crop=48", "data.crop = 48 must be from 1 to data.resize = 40"),
        ("model.width=65536", "training needs at least"),
        ("train.min_tokens=17", "token range 17..=16 is empty"),
        ("train.batch=0", "train.batch = 0: must be from 1"),
        ("train.batch=900000000", "training needs at least"),
        ("train.beta1=1", "train.beta1 = 1: must be at least 0 and below 1"),
        ("model.norm_epsilon=-5", "model.norm_epsilon = -5: must be a positive number"),
        ("model.fsq_levels=[256, 256, 256, 256, 256, 256, 256, 256, 256]", "the codebook must have at most"),
        ("data.resize=3000000", "data.resize = 3000000"),
        ("seeds=[0, 0]", "seeds: 0 stands there twice"),
        ("sweep.thresholds=[0.1, 0.1]", "sweep.thresholds: 0.1 stands there twice"),
        ("sweep.strategies=[]", "sweep.strategies must hold at least one"),
        ("name=..", "name must begin with a letter or digit"),
        ("train.learning_rate=nan", "train.learning_rate = NaN: must be a positive number"),
        ("model.fsq_levels=[1]", "need levels of 2 to 256"),
        ("sweep.thresholds=[-0.1]", "must be a positive mean squared error"),
        ("sweep.strategies=[\"binery\"]", "binary"),
    ] {
        let message = refused(|_| {}, &["run", "tiny.toml", "--set", set]);
        assert!(message.contains(expected), "{set}: {message}");
    }
}

#[test]
fn reports_of_nothing_say_what_to_run() {
    for command in [&["table"][..], &["status"], &["figure", "-o", "a.svg"]] {
        let message = refused(|_| {}, command);
        assert!(message.contains("there is no results store at results/elastictok.sqlite"), "{message}");
    }
    let bench = Bench::new();
    bench.succeed(&["train", "tiny.toml"]);
    let message = bench.refuse(&["table", "tinny"]);
    assert!(message.contains("tinny"), "{message}");
    let message = bench.refuse(&["figure", "tiny", "-o", "a.jpg"]);
    assert!(message.contains("a.jpg: a figure is written as .svg or .png"), "{message}");
}

#[test]
fn a_database_newer_than_the_binary_is_left_alone() {
    let bench = Bench::new();
    bench.succeed(&["train", "tiny.toml"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use sqlx::Connection as _;
        let mut connection = sqlx::SqliteConnection::connect(bench.db().to_str().unwrap()).await.unwrap();
        sqlx::query(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (9999, 'from the future', 1, x'00', 0)",
        )
        .execute(&mut connection)
        .await
        .unwrap();
        connection.close().await.unwrap();
    });
    let before = std::fs::read(bench.db()).unwrap();
    let message = bench.refuse(&RUN);
    assert!(message.contains("schema version 9999") && message.contains("update elastictok"), "{message}");
    assert_eq!(std::fs::read(bench.db()).unwrap(), before);
}

#[test]
fn a_file_that_is_no_database() {
    let message = refused(
        |bench| std::fs::write(bench.path("notes.txt"), "x".repeat(5000)).unwrap(),
        &["--db", "notes.txt", "run", "tiny.toml"],
    );
    assert!(message.contains("notes.txt is not a results store"), "{message}");
}

#[test]
fn a_read_only_folder() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("results")).unwrap();
    std::fs::set_permissions(bench.path("results"), std::fs::Permissions::from_mode(0o555)).unwrap();
    let output = bench.unprivileged(&RUN).output().unwrap();
    let (_, err) = texts(&output);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("read-only") || err.contains("Permission denied"), "{err}");
    assert_eq!(std::fs::read_dir(bench.path("results")).unwrap().count(), 0);
}

/// A disk of 300 kB that fills up in the middle of a run.
#[test]
fn a_full_disk() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("results")).unwrap();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=300k", "tmpfs"])
        .arg(bench.path("results"))
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED a_full_disk: mounting a small tmpfs needs root");
        return;
    }
    let output = bench.run(&RUN);
    let unmounted = std::process::Command::new("umount").arg(bench.path("results")).status().unwrap();
    let (_, err) = texts(&output);
    assert!(unmounted.success());
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("full") || err.contains("No space left"), "{err}");
}
