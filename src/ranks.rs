//! One command on all ranks of an MPI job (`mpirun -n N elastictok …`).
//!
//! Rank 0 writes and speaks. A rank that fails tells the others, and rank 0 ends them all with one message; where rank 0
//! is the one that is lost, the next rank does. A panic is such a failure too, wherever in the command it was.

#[cfg(all(test, feature = "mpi"))]
#[path = "../tests/mpi/launcher.rs"]
mod launcher;

use anyhow::Result;
use engine::ring::ranks::Ranks;

/// Runs the command with the ranks of the job that this process belongs to, if it was started as one of several.
pub(crate) fn on_all(command: impl FnOnce(Option<&Ranks>) -> Result<()>) -> Result<()> {
    match started_as() {
        Some(ranks) if ranks > 1 => job::on_all(ranks, command),
        _ => command(None),
    }
}

/// How many processes the launcher started with this one, if one did: `mpirun` of Open MPI, of MPICH and its kin, `srun`.
fn started_as() -> Option<usize> {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let of_pmix = || std::env::var_os("PMIX_RANK").and_then(|_| number("SLURM_STEP_NUM_TASKS"));
    number("OMPI_COMM_WORLD_SIZE").or_else(|| number("PMI_SIZE")).or_else(of_pmix)
}

#[cfg(not(feature = "mpi"))]
mod job {
    use super::{Ranks, Result};

    pub(super) fn on_all(ranks: usize, _: impl FnOnce(Option<&Ranks>) -> Result<()>) -> Result<()> {
        anyhow::bail!(
            "this is one of {ranks} processes of an MPI job, but the program was built without MPI: build it with `cargo \
             build --release --features mpi`"
        )
    }
}

#[cfg(feature = "mpi")]
mod job {
    use super::{Ranks, Result};
    use crate::{exit_code, message};
    use anyhow::{Context as _, ensure};
    use engine::EngineError;
    use engine::ring::RingError;
    use engine::ring::ranks::mpi::Job;
    use evaluator::EvaluatorError;
    use std::any::Any;
    use std::io::Write as _;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    /// A rank that says nothing for so many seconds counts as lost, unless the environment says otherwise.
    const PATIENCE: (&str, f64) = ("ELASTICTOK_RANK_SECONDS", 60.0);

    /// A rank that knows of a failure waits so long for rank 0 to end the job.
    const RANK_0_MAY_TAKE: Duration = Duration::from_secs(5);

    /// Between two ranks that may speak in its place.
    const EACH_MAY_TAKE: Duration = Duration::from_millis(500);

    pub(super) fn on_all(ranks: usize, command: impl FnOnce(Option<&Ranks>) -> Result<()>) -> Result<()> {
        let job = Job::join(patience()?).context("joining the MPI job")?;
        let own = job.ranks();
        let outcome = match own.size() {
            size if size == ranks => catch_unwind(AssertUnwindSafe(|| command(Some(&own))))
                .unwrap_or_else(|payload| Err(panicked(&own, payload.as_ref()))),
            size => Err(anyhow::anyhow!(
                "the launcher started {ranks} processes, but the MPI library that this program was built with sees {size}: \
                 start it with that library's own `mpirun`"
            )),
        };
        match outcome {
            Ok(()) => {
                job.leave();
                Ok(())
            }
            Err(error) => end_all(job, &error),
        }
    }

    fn patience() -> Result<Duration> {
        let (name, default) = PATIENCE;
        let seconds = std::env::var(name).map_or(Ok(default), |text| text.parse()).with_context(|| name)?;
        let patience = Duration::try_from_secs_f64(seconds).with_context(|| name)?;
        ensure!(!patience.is_zero(), "{name} = 0: give the seconds after which a silent rank counts as lost");
        Ok(patience)
    }

    /// Tells the others of a panic of this rank; what its command failed with. Where it was, the panic itself has said.
    fn panicked(own: &Ranks, payload: &(dyn Any + Send)) -> anyhow::Error {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without a message");
        let end = format!("panicked: {text}");
        own.fail(&end, false);
        let lost = RingError { worker: own.rank(), workers: own.size(), end, is_refusal: false };
        EvaluatorError::from(EngineError::from(lost)).into()
    }

    /// Ends every process of the job, with one message.
    fn end_all(job: Job, error: &anyhow::Error) -> ! {
        let (own, message) = (job.ranks(), message(error));
        if !is_known_to_others(error) {
            own.fail(&format!("failed: {message}"), exit_code(error) == 2);
        }
        // Who comes first ends the others while they wait.
        if own.rank() > 0 {
            std::thread::sleep(RANK_0_MAY_TAKE + EACH_MAY_TAKE * own.rank() as u32);
        }
        // In one piece: the launcher puts what it has to say between pieces.
        let line = format!("elastictok: {message}\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
        job.abort(exit_code(error))
    }

    /// Whether this rank could not go on because another was lost, or told the others of its panic when it came.
    fn is_known_to_others(error: &anyhow::Error) -> bool {
        matches!(error.downcast_ref(), Some(EvaluatorError::Engine(EngineError::Ring(_))))
    }
}

#[cfg(all(test, feature = "mpi"))]
mod tests {
    use super::launcher::{has_mpirun, message, mpirun};
    use super::on_all;
    use engine::EngineError;
    use evaluator::EvaluatorError;
    use std::time::{Duration, Instant};

    /// One rank of a job that the other test starts: it panics, or waits for the one that does.
    #[test]
    #[ignore = "a part of the other test"]
    fn rank() {
        let panics: usize = std::env::var("PANICS").unwrap().parse().unwrap();
        let outcome = on_all(|ranks| {
            let ranks = ranks.unwrap();
            assert!(ranks.rank() != panics, "a fault in a sweep");
            ranks.hear::<()>(panics).map_err(|lost| EvaluatorError::from(EngineError::from(lost)).into())
        });
        unreachable!("the job has ended: {outcome:?}");
    }

    #[test]
    fn a_rank_that_panics_ends_all_with_one_message() {
        if !has_mpirun() {
            return;
        }
        for rank in [0, 2] {
            let (mut job, began) = (mpirun(), Instant::now());
            job.args(["-n", "3"]).arg(std::env::current_exe().unwrap()).env("PANICS", rank.to_string());
            job.args(["--exact", "ranks::tests::rank", "--ignored", "--nocapture"]);
            let message = message(&job.output().unwrap(), 1);
            let said =
                format!("worker {rank} (of 3, counted from 0) panicked: a fault in a sweep; no worker can go on");
            assert!(message.starts_with(&said), "{message}");
            println!("ended after {:.1} s", began.elapsed().as_secs_f64());
            assert!(began.elapsed() < Duration::from_secs(30));
        }
    }
}
