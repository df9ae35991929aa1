//! One command on the ranks of an MPI job, through `mpirun` and the built binary: the numbers of one process with a mesh
//! of threads; and whatever happens to a rank, all end with one message and the next job goes on.

mod common;
#[path = "mpi/launcher.rs"]
mod launcher;

use common::{Bench, assert_same, checkpoint_exists, drop_privileges, texts, wait_until};
use engine::atomic_file;
use evaluator::store::ContentHash;
use launcher::{has_mpirun, message, messages, mpirun};
use safetensors::SafeTensors;
use sqlx::{Connection as _, SqliteConnection};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// `mpirun -n 1 elastictok … : -n 1 elastictok …`, ranks that are told these things, in the bench's folder.
fn job(bench: &Bench, of_ranks: &[&[&str]]) -> Command {
    let mut command = mpirun();
    command.current_dir(bench.folder.path());
    for arguments in of_ranks {
        let rank = bench.command(arguments);
        command.args(["-n", "1"]).arg(rank.get_program()).args(rank.get_args()).arg(":");
    }
    command
}

/// The same with the same arguments for all.
fn alike(bench: &Bench, ranks: usize, arguments: &[&str]) -> Command {
    job(bench, &vec![arguments; ranks])
}

/// Expects success; what rank 0 printed to (standard output, standard error).
fn succeed(mut job: Command) -> (String, String) {
    let output = job.output().unwrap();
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{job:?} failed with {}:\n{out}\n{err}", output.status);
    (out, err)
}

fn start(mut job: Command) -> Child {
    job.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A job that cannot go on ends within this time, from whatever happened to it.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// Waits for the end of a job that cannot go on: it comes within seconds and for every process, one message is said at
/// most, the code is not 0, and nothing is half-written.
fn end(bench: &Bench, mpirun: Child) -> Output {
    let began = Instant::now();
    let waiting = std::thread::spawn(move || mpirun.wait_with_output().unwrap());
    while !(waiting.is_finished() && processes(bench).is_empty()) {
        if began.elapsed() > ENDS_WITHIN {
            let left = processes(bench);
            left.iter().for_each(|process| signal(*process, "KILL"));
            panic!("after {ENDS_WITHIN:?} these processes of the job were left: {left:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("ended after {:.1} s", began.elapsed().as_secs_f64());
    let output = waiting.join().unwrap();
    let (out, err) = texts(&output);
    assert!(!output.status.success(), "{out}\n{err}");
    assert!(messages(&output).len() <= 1, "more than one message:\n{err}");
    assert_whole(bench);
    output
}

/// Processes at work in the bench's folder.
fn processes(bench: &Bench) -> Vec<u32> {
    let folder = bench.folder.path().canonicalize().unwrap();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|at| at == folder)).collect()
}

fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap().success());
}

/// Expects that every checkpoint and every picture that has its name is whole, and that the database is.
fn assert_whole(bench: &Bench) {
    for path in bench.files() {
        let below = path.strip_prefix(bench.path("results")).unwrap_or(Path::new(""));
        let name = path.file_name().and_then(|name| name.to_str()).unwrap();
        // What a killed process was writing has a name that nobody reads.
        if atomic_file::writer(name).is_some() || path.is_dir() {
            continue;
        }
        if below.starts_with("checkpoints") && name.ends_with(".safetensors") {
            let bytes = std::fs::read(&path).unwrap();
            SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        if below.starts_with("artifacts") {
            let hash = ContentHash::of(&std::fs::read(&path).unwrap());
            assert!(name.starts_with(&hash.to_string()), "{}: its content is {hash}", path.display());
        }
    }
    if bench.db().exists() {
        assert_eq!(integrity(&bench.db()), "ok");
    }
}

/// What SQLite says of a database, and of the log beside it, looking at a copy: the next job shall find them as they were
/// left.
fn integrity(db: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.sqlite");
    std::fs::copy(db, &copy).unwrap();
    let log = |db: &Path| db.with_extension("sqlite-wal");
    if log(db).exists() {
        std::fs::copy(log(db), log(&copy)).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect(&format!("sqlite://{}", copy.display())).await.unwrap();
        sqlx::query_scalar("pragma integrity_check").fetch_one(&mut connection).await.unwrap()
    })
}

/// Expects that a job is refused with one message, and that nothing is written.
fn refused(bench: &Bench, of_ranks: &[&[&str]]) -> String {
    let before = bench.files();
    let message = message(&end(bench, start(job(bench, of_ranks))), 2);
    assert_eq!(bench.files(), before, "something was written; the message was: {message}");
    message
}

const MESHES: [(usize, &str); 7] = [
    (2, "sequence=2"),
    (2, "data=2"),
    (3, "sequence=3"),
    (3, "data=3"),
    (4, "sequence=4"),
    (4, "data=4"),
    (4, "data=2,sequence=2"),
];

#[test]
fn ranks_store_the_numbers_of_threads() {
    if !has_mpirun() {
        return;
    }
    for (ranks, mesh) in MESHES {
        let [of_threads, of_ranks] = [Bench::new(), Bench::new()];
        let arguments = ["run", "tiny.toml", "--mesh", mesh];
        of_threads.succeed(&arguments);
        let (_, err) = succeed(alike(&of_ranks, ranks, &arguments));
        assert!(err.contains(&format!("{ranks} ranks on 1 machine, 1 thread each")), "{err}");
        assert_same(&of_ranks.numbers(), &of_threads.numbers());
    }
}

/// Every kind of search: those that ask a predictor, live and replayed, and those of clips.
const SWEEPS: [&[&str]; 3] = [
    &[
        "sweep.strategies=['full', 'binary', 'warm-start', 'regression(0.5)', 'guess(previous)', 'guess(jpeg, 0.9)']",
        "regressor.curves=32",
        "regressor.counts=6",
        "regressor.steps=20",
        "regressor.width=16",
        "regressor.hidden=16",
        "regressor.heads=2",
    ],
    &["sweep.search=replay", "data.crops_per_picture=4"],
    &[
        "sweep.search=replay",
        "sweep.strategies=['binary', 'warm-start']",
        "data.test_videos=videos",
        "data.clip_blocks=3",
        "data.clips_per_video=2",
        "model.frames_per_block=2",
    ],
];

#[test]
fn ranks_share_a_sweep_to_the_rows_of_one_process() {
    if !has_mpirun() {
        return;
    }
    for settings in SWEEPS {
        let mut arguments = vec!["run", "tiny.toml", "--mesh", "data=3"];
        settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
        let [one, many] = [Bench::new(), Bench::new()];
        for bench in [&one, &many] {
            std::fs::create_dir(bench.path("videos")).unwrap();
            let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/video/pan.mp4");
            std::fs::copy(clip, bench.path("videos/pan.mp4")).unwrap();
        }
        one.succeed(&arguments);
        succeed(alike(&many, 3, &arguments));
        assert_same(&many.numbers(), &one.numbers());
        assert_eq!(many.told().len(), one.told().len());
    }
}

#[test]
fn a_rank_that_is_killed_in_a_sweep_loses_nothing_that_was_stored() {
    if !has_mpirun() {
        return;
    }
    let arguments = ["run", "tiny.toml", "--mesh", "data=2", "--set", "data.crops_per_picture=20"];
    let undisturbed = Bench::new();
    undisturbed.succeed(&arguments);
    for rank in [0, 1] {
        let bench = Bench::new();
        bench.succeed(&[&["train"], &arguments[1..]].concat());
        let working = Working::sweep(bench, &arguments);
        working.signal(rank, "KILL");
        let (bench, output) = working.end();
        let (_, err) = texts(&output);
        assert!(err.contains(&format!("process rank {rank} ")), "{err}");
        let (_, err) = succeed(alike(&bench, 2, &arguments));
        assert!(err.contains("0 trained, 3 reused"), "{err}");
        assert_same(&bench.numbers(), &undisturbed.numbers());
    }
}

#[test]
fn without_a_mesh_every_rank_has_sequences_of_its_own_and_rank_0_alone_speaks() {
    if !has_mpirun() {
        return;
    }
    let bench = Bench::new();
    let (out, err) = succeed(alike(&bench, 2, &["train", "tiny.toml"]));
    assert_eq!(out, "3 trained, 0 trained before\n");
    assert_eq!(err.matches("photos/train: 4 pictures").count(), 1, "{err}");
    let (out, _) = succeed(alike(&bench, 2, &["train", "tiny.toml"]));
    assert_eq!(out, "0 trained, 3 trained before\n");
    bench.succeed(&["evaluate", "tiny.toml"]);
    let (table, _) = bench.succeed(&["table", "tiny", "--provenance"]);
    assert!(table.contains("mesh data=2,sequence=1"), "{table}");
}

#[test]
fn a_trace_is_told_of_every_rank() {
    if !has_mpirun() {
        return;
    }
    let bench = Bench::new();
    let (_, err) = succeed(alike(&bench, 4, &["train", "tiny.toml", "--mesh", "data=2,sequence=2", "--trace"]));
    for variant in ["elastic FSQ", "elastic VAE", "fixed 25 % FSQ"] {
        for worker in 0..4 {
            let title = format!("{variant} seed 0: attention of worker {worker}\n");
            assert!(err.contains(&title), "{title} is missing from {err}");
        }
    }
}

#[test]
fn a_mesh_that_does_not_fit_the_ranks_or_the_work_is_refused() {
    if !has_mpirun() {
        return;
    }
    let bench = Bench::new();
    let refused = |arguments: &[&str]| refused(&bench, &[arguments; 2]);
    let message = refused(&["train", "tiny.toml", "--mesh", "data=2,sequence=2"]);
    let said = "has 4 workers, but 2 ranks were started: start as many (mpirun -n 4), or leave --mesh out for data=2";
    assert!(message.contains(said), "{message}");
    let message = refused(&["train", "tiny.toml", "--set", "train.batch=1"]);
    assert!(message.contains("2 groups share train.batch = 1 sequences"), "{message}");
    let message = refused(&["train", "tiny.toml", "--set", "train.stepps=1"]);
    assert!(message.contains("train.stepps"), "{message}");
    let cut: &[&str] =
        &["train", "tiny.toml", "--mesh", "sequence=3", "--set", "data.resize=16", "--set", "data.crop=16"];
    let message = self::refused(&bench, &[cut; 3]);
    assert!(message.contains("cannot be trained on this mesh") && message.contains("of 4 tokens"), "{message}");
}

#[test]
fn ranks_that_were_not_started_alike_are_refused_and_told_apart() {
    if !has_mpirun() {
        return;
    }
    let bench = Bench::new();
    let first: &[&str] = &["train", "tiny.toml"];
    let second = |more: &[&'static str]| refused(&bench, &[first, &[first, more].concat()]);
    let message = second(&["--set", "train.steps=13"]);
    let said = "rank 1 was not started as rank 0 was: experiment.variants.0.train.steps is 13 there and 12 here";
    assert!(message.starts_with(said), "{message}");
    let message = second(&["--mesh", "sequence=2"]);
    assert!(message.contains("mesh is \"data=1,sequence=2\" there and \"data=2,sequence=1\" here"), "{message}");
    // The same names, and one picture is another.
    let train = bench.path("photos/train");
    let others = bench.path("others");
    std::fs::create_dir(&others).unwrap();
    let mut files: Vec<_> = std::fs::read_dir(&train).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in &files {
        std::fs::copy(file, others.join(file.file_name().unwrap())).unwrap();
    }
    std::fs::copy(&files[0], others.join(files[1].file_name().unwrap())).unwrap();
    let message = second(&["--train", "others"]);
    assert!(message.contains("data.elastic FSQ.training files is"), "{message}");
}

#[test]
fn what_only_another_rank_cannot_use_is_told_and_ends_with_2() {
    if !has_mpirun() {
        return;
    }
    let bench = Bench::new();
    let train: &[&str] = &["train", "tiny.toml"];
    let message = refused(&bench, &[train, &["train", "tiny.toml", "--train", "nowhere"]]);
    assert!(message.starts_with("worker 1 (of 2, counted from 0) failed: "), "{message}");
    assert!(message.contains("nowhere"), "{message}");
}

#[test]
fn another_program_on_a_rank_is_refused() {
    if !has_mpirun() {
        return;
    }
    let bench = Bench::new();
    let other = bench.path("elastictok");
    let mut bytes = std::fs::read(env!("CARGO_BIN_EXE_elastictok")).unwrap();
    bytes.extend(b"built elsewhere");
    std::fs::write(&other, bytes).unwrap();
    std::fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let arguments: &[&str] = &["train", "tiny.toml"];
    let before = bench.files();
    let mut command = job(&bench, &[arguments]);
    command.args(["-n", "1"]).arg(&other).args(bench.command(arguments).get_args());
    let message = message(&end(&bench, start(command)), 2);
    assert!(message.starts_with("rank 1 was not started as rank 0 was: program is "), "{message}");
    assert_eq!(bench.files(), before);
}

/// One model that trains long enough to be disturbed.
const LONG: [&str; 10] = [
    "train",
    "tiny.toml",
    "--mesh",
    "sequence=2",
    "--set",
    "model.bottleneck=vae",
    "--set",
    "train.steps=400",
    "--checkpoint-every",
    "0.02",
];

/// A job of two ranks that is at work.
struct Working {
    bench: Bench,
    mpirun: Child,
}

impl Working {
    fn begin(prepare: impl FnOnce(&Bench, &mut Command)) -> Self {
        let bench = Bench::new();
        let mut command = alike(&bench, 2, &LONG);
        prepare(&bench, &mut command);
        let mpirun = start(command);
        wait_until("a checkpoint", || checkpoint_exists(&bench));
        Self { bench, mpirun }
    }

    /// A job that evaluates what was trained before, and has stored something of it.
    fn sweep(bench: Bench, arguments: &[&str]) -> Self {
        let pictures = || bench.files().iter().filter(|file| file.extension().is_some_and(|end| end == "png")).count();
        let before = pictures();
        let mpirun = start(alike(&bench, 2, arguments));
        wait_until("reconstructions", || pictures() > before + 10);
        Self { bench, mpirun }
    }

    /// The process of a rank.
    fn process(&self, rank: usize) -> u32 {
        let own = format!("OMPI_COMM_WORLD_RANK={rank}");
        let is_rank = |pid: &u32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == own.as_bytes())
        };
        processes(&self.bench).into_iter().find(is_rank).expect("mpirun started it")
    }

    fn signal(&self, rank: usize, name: &str) {
        signal(self.process(rank), name);
    }

    fn end(self) -> (Bench, Output) {
        let output = end(&self.bench, self.mpirun);
        (self.bench, output)
    }
}

/// Expects that the next job goes on, to the numbers of one that nobody disturbed.
fn goes_on(bench: &Bench) {
    went_on(bench, || succeed(alike(bench, 2, &LONG)));
}

/// The same of one process, without a launcher.
fn goes_on_alone(bench: &Bench) {
    went_on(bench, || bench.succeed(&LONG));
}

fn went_on(bench: &Bench, next: impl FnOnce() -> (String, String)) {
    assert!(checkpoint_exists(bench));
    let (_, err) = next();
    assert!(err.contains("goes on at step"), "{err}");
    let undisturbed = Bench::new();
    undisturbed.succeed(&LONG);
    assert_same(&bench.numbers(), &undisturbed.numbers());
}

#[test]
fn a_rank_that_is_killed_ends_all_and_is_named() {
    if !has_mpirun() {
        return;
    }
    for (rank, goes_on) in [(0, goes_on as fn(&Bench)), (1, goes_on_alone)] {
        let working = Working::begin(|_, _| {});
        working.signal(rank, "KILL");
        let (bench, output) = working.end();
        let (_, err) = texts(&output);
        // The launcher sees it before anybody else does, and says it.
        assert!(err.contains(&format!("process rank {rank} ")) && err.contains("signal 9 (Killed)"), "{err}");
        goes_on(&bench);
    }
}

#[test]
fn a_rank_that_hangs_ends_all_and_is_named() {
    if !has_mpirun() {
        return;
    }
    for rank in [0, 1] {
        let working = Working::begin(|_, command| {
            command.env("ELASTICTOK_RANK_SECONDS", "3");
        });
        working.signal(rank, "STOP");
        let (bench, output) = working.end();
        let message = message(&output, 1);
        let said = format!("worker {rank} (of 2, counted from 0) has been silent for 3 s");
        assert!(message.starts_with(&said) && message.contains("the last checkpoint is"), "{message}");
        goes_on(&bench);
    }
}

#[test]
fn ctrl_c_stops_all_at_a_step() {
    if !has_mpirun() {
        return;
    }
    let working = Working::begin(|_, _| {});
    signal(working.mpirun.id(), "INT");
    let (bench, _) = working.end();
    goes_on(&bench);
}

/// The system takes the threads of one rank away while it is at work.
#[test]
fn a_rank_that_fails_is_told_by_rank_0() {
    if !has_mpirun() {
        return;
    }
    for rank in [0, 1] {
        let working = Working::begin(|bench, command| {
            let plain = bench.unprivileged(&LONG);
            let mut own = mpirun();
            let is_root = drop_privileges(&mut own);
            own.args(["-n", "2"]).arg(plain.get_program()).args(plain.get_args());
            own.current_dir(bench.folder.path()).env("HOME", bench.folder.path());
            println!("as root: {is_root}");
            *command = own;
        });
        let mut limit = Command::new("prlimit");
        drop_privileges(limit.args(["--pid", &working.process(rank).to_string(), "--nproc=1"]));
        assert!(limit.status().unwrap().success());
        let (bench, output) = working.end();
        let message = message(&output, 1);
        let reason = "cannot start the workers of a mesh: Resource temporarily unavailable (os error 11); use fewer";
        let said = match rank {
            0 => reason.to_owned(),
            _ => format!("worker 1 (of 2, counted from 0) failed: {reason}"),
        };
        assert!(message.starts_with(&said), "{message}");
        let (status, _) = bench.succeed(&["status"]);
        assert!(status.contains("Failed: "), "{status}");
        goes_on(&bench);
    }
}

#[test]
fn a_diverging_run_is_told_once() {
    if !has_mpirun() {
        return;
    }
    let bench = Bench::new();
    let wild = ["--set", "train.learning_rate=1e30", "--set", "train.clip_norm=1e30", "--set", "train.warmup_steps=0"];
    let output = end(&bench, start(alike(&bench, 2, &[&["train", "tiny.toml"][..], &wild].concat())));
    assert!(message(&output, 1).starts_with("the loss at step"));
}
