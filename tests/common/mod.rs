//! A folder with a tiny experiment, and the built binary to run in it.

#![allow(dead_code)] // each test program uses its part

pub mod served;

use evaluator::report::Report;
use evaluator::store::Store;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub struct Bench {
    pub folder: tempfile::TempDir,
    /// Threads of each command; one, so that tests share the cores.
    pub threads: usize,
}

impl Bench {
    /// The tiny experiment with a few of the project's photographs.
    pub fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap(), threads: 1 };
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(project.join("tests/fixtures/tiny.toml"), bench.path("tiny.toml")).unwrap();
        for (split, count) in [("train", 4), ("test", 3)] {
            let from = project.join("experiments/data/photos").join(split);
            let to = bench.path("photos").join(split);
            std::fs::create_dir_all(&to).unwrap();
            let mut files: Vec<PathBuf> = std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
            files.sort();
            for file in &files[..count] {
                std::fs::copy(file, to.join(file.file_name().unwrap())).unwrap();
            }
        }
        bench
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub fn db(&self) -> PathBuf {
        self.path("results/elastictok.sqlite")
    }

    /// `elastictok …`, in this folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_elastictok"));
        command
            .current_dir(self.folder.path())
            .args(["--threads", &self.threads.to_string()])
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// The same without privileges; where the test runs as root this folder becomes nobody's.
    pub fn unprivileged(&self, arguments: &[&str]) -> Command {
        // The build folder may be closed to nobody: run a copy.
        let copy = self.path("elastictok");
        std::fs::copy(env!("CARGO_BIN_EXE_elastictok"), &copy).unwrap();
        let mut command = Command::new(copy);
        command.current_dir(self.folder.path()).args(self.command(arguments).get_args()).stdin(Stdio::null());
        if drop_privileges(&mut command) {
            for path in self.files().iter().map(PathBuf::as_path).chain([self.folder.path()]) {
                std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs and expects success; returns what was printed to (standard output, standard error).
    pub fn succeed(&self, arguments: &[&str]) -> (String, String) {
        let output = self.run(arguments);
        let (out, err) = texts(&output);
        assert!(output.status.success(), "{arguments:?} failed with {}:\n{out}\n{err}", output.status);
        (out, err)
    }

    /// Runs and expects exit code 2; returns the message.
    pub fn refuse(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (out, err) = texts(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}:\n{out}\n{err}");
        err
    }

    /// Starts in the background with its output thrown away.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Every stored number of the tiny experiment but times, one a line.
    pub fn numbers(&self) -> Vec<String> {
        self.numbers_of("tiny")
    }

    /// The same of the experiment of this name.
    pub fn numbers_of(&self, name: &str) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let reader = Store::open_existing_read_only(self.db()).await.unwrap();
            let experiment = reader.experiment_by_name(name).await.unwrap().id;
            let mut lines = Vec::new();
            for run in reader.training_runs(experiment).await.unwrap() {
                lines.push(format!("{} weights {:?} {:?}", run.variant, run.run.weights_hash, run.run.status));
                for point in reader.training_points(run.run.id, 0).await.unwrap() {
                    let numbers = (point.loss, point.mse, point.kl, point.learning_rate, point.gradient_norm);
                    lines.push(format!("{} step {} {numbers:?}", run.variant, point.step));
                }
            }
            let noisy: Vec<String> =
                reader.metrics().await.unwrap().into_iter().filter(|m| m.noisy).map(|m| m.name).collect();
            for trial in reader.trials(experiment).await.unwrap() {
                let title = format!("{} {} {:?}", trial.variant, trial.strategy, trial.threshold);
                lines.push(format!("{title} {:?} of {} samples", trial.status, trial.samples));
                for block in reader.blocks(trial.id).await.unwrap() {
                    let picture = (&block.source_name, block.ordinal, block.record.block);
                    let record = &block.record;
                    let found =
                        (record.kept_tokens, record.distortion, record.threshold_met, record.decoder_evaluations);
                    lines.push(format!("{title} {picture:?} {found:?} {:?} {:?}", record.flops, record.probes));
                }
                for row in reader.measurements(trial.id).await.unwrap() {
                    if !noisy.contains(&row.metric) {
                        lines.push(format!(
                            "{title} {} {} {} {:?}",
                            row.source_name, row.ordinal, row.metric, row.value
                        ));
                    }
                }
                for sample in reader.trial_samples(trial.id).await.unwrap() {
                    lines.push(format!("{title} {} {:?}", sample.source_name, sample.reconstruction));
                }
            }
            Report::load(&reader, experiment).await.unwrap();
            lines
        })
    }

    /// What the tiny experiment told other processes: kinds of events, with the reasons of failures.
    pub fn told(&self) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let reader = Store::open_existing_read_only(self.db()).await.unwrap();
            let experiment = reader.experiment_by_name("tiny").await.unwrap().id;
            let mut events = reader.newest_events(experiment, "%", 1000).await.unwrap();
            events.reverse();
            let words = events.into_iter().map(|event| match event.payload["error"].as_str() {
                Some(error) => format!("{}: {error}", event.kind),
                None => event.kind,
            });
            words.collect()
        })
    }

    /// Everything below the folder, for «nothing was written».
    pub fn files(&self) -> Vec<PathBuf> {
        fn list(folder: &Path, files: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                files.push(path.clone());
                if path.is_dir() {
                    list(&path, files);
                }
            }
        }
        let mut files = Vec::new();
        list(self.folder.path(), &mut files);
        files.sort();
        files
    }
}

const NOBODY: u32 = 65534;

/// Root may do everything, so a test that runs as root has this done by nobody; whether it was so.
pub fn drop_privileges(command: &mut Command) -> bool {
    use std::os::unix::process::CommandExt as _;
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        command.uid(NOBODY).gid(NOBODY);
    }
    is_root
}

pub fn texts(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Whether a training run has something to go on from.
pub fn checkpoint_exists(bench: &Bench) -> bool {
    let Ok(folders) = std::fs::read_dir(bench.path("results/checkpoints")) else {
        return false;
    };
    folders.flatten().any(|folder| folder.path().join("training.safetensors").exists())
}

/// Waits until `happened`, or fails after a minute.
pub fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sends a signal to a process that a test started.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Compares stored numbers line by line and shows the first difference.
pub fn assert_same(a: &[String], b: &[String]) {
    if let Some((a, b)) = a.iter().zip(b).find(|(a, b)| a != b) {
        panic!("the first difference:\n  {a}\n  {b}");
    }
    assert_eq!(a.len(), b.len(), "one has more numbers than the other");
}
