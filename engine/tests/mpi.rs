//! Workers that are real processes of an MPI job: the bytes of a mesh of threads, and one worker's losses but for
//! rounding. Each job is this test program again, started by `mpirun`.

#[path = "../../tests/mpi/launcher.rs"]
mod launcher;
mod learnable;
mod noise;

use engine::parameters::weights_hash;
use engine::ring::Mesh;
use engine::ring::ranks::mpi::Job;
use engine::train::{Start, TrainConfig, Trainer};
use launcher::{has_mpirun, mpirun};
use learnable::*;
use std::time::Duration;

/// The meshes of so many workers, with what rank 0 of the job `name` said of each.
fn job(name: &str, ranks: usize) -> Vec<(Mesh, String)> {
    let mut command = mpirun();
    command.args(["-n", &ranks.to_string()]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "rank", "--ignored", "--nocapture", "--test-threads=1"]).env("JOB", name);
    let output = command.env("RAYON_NUM_THREADS", "1").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} on {ranks} ranks:\n{out}\n{err}");
    let said: Vec<String> = out.lines().filter_map(|line| line.strip_prefix("SAID ")).map(str::to_owned).collect();
    let meshes: Vec<Mesh> = meshes(ranks).collect();
    assert_eq!(said.len(), meshes.len());
    meshes.into_iter().zip(said).collect()
}

fn meshes(ranks: usize) -> impl Iterator<Item = Mesh> {
    MESHES.map(mesh).into_iter().filter(move |mesh| mesh.workers() == ranks)
}

/// One rank of a job that another test starts.
#[test]
#[ignore = "a part of the other tests"]
fn rank() {
    let job = Job::join(Duration::from_secs(60)).unwrap();
    let ranks = job.ranks();
    let name = std::env::var("JOB").unwrap();
    for mesh in meshes(ranks.size()) {
        let said = match name.as_str() {
            "train" => trained(|start| of_ranks(start, mesh, &job)),
            "gradients" => gradients(mesh, &job),
            other => panic!("there is no job {other}"),
        };
        if ranks.rank() == 0 {
            // The harness is in the middle of a line.
            println!("\nSAID {said}");
        }
    }
    job.leave();
}

fn of_ranks(start: &Start, mesh: Mesh, job: &Job) -> Trainer {
    Trainer::new(start.clone(), Learnable).unwrap().with_ranks(mesh, job.ranks()).unwrap()
}

const STEPS: usize = 50;

/// Losses and weights of a VAE and of FSQ as bits.
fn trained(new: impl Fn(&Start) -> Trainer) -> String {
    let train = |bottleneck| {
        let mut trainer = new(&start(bottleneck, settings(STEPS)));
        let losses: Vec<u32> = losses(&mut trainer, STEPS).into_iter().map(f32::to_bits).collect();
        (losses, weights_hash(trainer.model()).to_hex().to_string())
    };
    serde_json::to_string(&[train(vae()), train(fsq())]).unwrap()
}

fn of_threads(start: &Start, mesh: Mesh) -> Trainer {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(mesh.workers()).build().unwrap();
    pool.install(|| trainer(start, mesh))
}

#[test]
fn ranks_give_the_bytes_of_threads_and_the_losses_of_one_worker() {
    if !has_mpirun() {
        return;
    }
    type Trained = [(Vec<u32>, String); 2];
    let read = |said: &str| serde_json::from_str::<Trained>(said).unwrap();
    let floats = |bits: &[u32]| bits.iter().map(|bits| f32::from_bits(*bits)).collect::<Vec<_>>();
    let one = read(&trained(|start| trainer(start, Mesh::ONE)));
    for ranks in 2..=4 {
        for (mesh, said) in job("train", ranks) {
            assert_eq!(said, trained(|start| of_threads(start, mesh)), "{mesh}");
            let [vae, fsq] = read(&said);
            let off = worst_ratio(&floats(&vae.0), &floats(&one[0].0));
            let off_fsq = worst_ratio(&floats(&fsq.0), &floats(&one[1].0));
            println!("{mesh}: losses of {STEPS} steps within {off:.1e} (VAE), {off_fsq:.1e} (FSQ)");
            assert!(off < 1e-3, "{mesh}: {off:e}");
        }
    }
}

/// Where rank 0 writes what its first step found.
fn gradients(mesh: Mesh, job: &Job) -> String {
    let folder = tempfile::tempdir().unwrap();
    let start = start(vae(), TrainConfig { kl_weight: 0.01, clip_norm: 1e6, ..settings(1) });
    let (gradients, _) = first_gradients_of(of_ranks(&start, mesh, job), folder.path());
    serde_json::to_string(&gradients).unwrap()
}

#[test]
fn the_first_gradients_of_every_mesh_are_those_of_one_worker() {
    if !has_mpirun() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let start = start(vae(), TrainConfig { kl_weight: 0.01, clip_norm: 1e6, ..settings(1) });
    let (one, _) = first_gradients(&start, Mesh::ONE, folder.path());
    for ranks in 2..=4 {
        for (mesh, said) in job("gradients", ranks) {
            let many: std::collections::BTreeMap<String, Vec<f32>> = serde_json::from_str(&said).unwrap();
            let worst = one.iter().map(|(name, one)| relative_norm(&many[name], one)).fold(0.0, f64::max);
            println!("{mesh}: worst gradient {worst:.1e}");
            assert!(worst < 1e-5, "{mesh}: {worst:e}");
        }
    }
}
