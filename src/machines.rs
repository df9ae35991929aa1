//! How the ranks of a job share the cores of their machines.

use crate::cli::Cli;
use crate::console::counted;
use anyhow::{Context as _, Result};
use engine::EngineError;
use engine::ring::ranks::Ranks;
use evaluator::EvaluatorError;
use evaluator::sweep::Progress;
use std::collections::BTreeSet;

/// Cores that a rank may run on: a machine's name and their numbers there.
type Cores = (String, Vec<usize>);

/// Makes this rank's pool of threads: as many as asked for, else the same share of the cores for each rank.
pub(crate) fn use_threads(cli: &Cli, ranks: &Ranks, progress: &dyn Progress) -> Result<()> {
    let all = ranks.exchange(own_cores()?).map_err(|lost| EvaluatorError::from(EngineError::from(lost)))?;
    let threads = cli.threads.map_or_else(|| share(&all), usize::from);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("starting the threads")?;
    let machines = all.iter().map(|(machine, _)| machine).collect::<BTreeSet<_>>().len();
    let (ranks, machines) = (counted(all.len(), "rank"), counted(machines, "machine"));
    progress.say(&format!("{ranks} on {machines}, {} each", counted(threads, "thread")));
    Ok(())
}

fn own_cores() -> Result<Cores> {
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let allowed = rustix::thread::sched_getaffinity(None).context("asking for the cores of this process")?;
    Ok((machine, (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect()))
}

/// Threads of each rank, so that no core has more threads than it has to: the rank with the least decides, and a core
/// counts for it in parts where others may run on it too.
fn share(all: &[Cores]) -> usize {
    let of_rank = |(machine, cores): &Cores| {
        let users =
            |core: &usize| all.iter().filter(|(other, theirs)| other == machine && theirs.contains(core)).count();
        cores.iter().map(|core| 1.0 / users(core) as f64).sum::<f64>()
    };
    // A little more, so that three thirds are one.
    all.iter().map(|cores| (of_rank(cores) + 1e-9) as usize).min().unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(machine: &str, cores: impl IntoIterator<Item = usize>) -> Cores {
        (machine.to_owned(), cores.into_iter().collect())
    }

    #[test]
    fn cores_are_shared_by_those_who_may_run_on_them() {
        assert_eq!(share(&[on("a", 0..8)]), 8);
        assert_eq!(share(&[on("a", 0..8), on("a", 0..8)]), 4);
        assert_eq!(share(&[on("a", 0..8), on("b", 0..8)]), 8, "each has a machine of its own");
        assert_eq!(share(&[on("a", 0..4), on("a", 4..8)]), 4, "the launcher bound them");
        assert_eq!(share(&[on("a", 0..8), on("a", 0..8), on("a", 0..8)]), 2);
        assert_eq!(share(&[on("a", 0..3), on("a", 0..3), on("a", 0..3)]), 1);
        assert_eq!(share(&[on("a", 0..2), on("a", 0..2), on("a", 0..2)]), 1, "one at least");
        assert_eq!(share(&[on("a", 0..16), on("b", 0..4)]), 4, "all have as many as the least");
    }
}
