//! Who works on what: a mesh of workers, and workers that are threads of this process.

use super::threads::{Meeting, ThreadRing};
use super::{MeshSyntaxError, Ring, RingError, Slices};
use crate::error::EngineError;
use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;
use std::thread::ScopedJoinHandle;

/// data × sequence workers: whole sequences are dealt to `data` groups, and each is cut among the `sequence` workers of
/// its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mesh {
    /// Groups, each with sequences of its own.
    pub data: usize,
    /// Workers of a group.
    pub sequence: usize,
}

/// A worker's place in a mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its mesh.
    pub mesh: Mesh,
    /// Its group, from 0.
    pub group: usize,
    /// Its rank in the ring of its group, from 0.
    pub rank: usize,
}

impl Mesh {
    /// One worker.
    pub const ONE: Self = Self { data: 1, sequence: 1 };

    /// No text asks for more workers in all: each has a thread at least.
    const MOST_WORKERS: usize = 1024;

    /// Workers in all.
    pub fn workers(self) -> usize {
        self.data * self.sequence
    }

    /// The place of the `worker`-th worker: group after group.
    pub(super) fn place(self, worker: usize) -> Place {
        Place { mesh: self, group: worker / self.sequence, rank: worker % self.sequence }
    }

    /// Whether a batch can be dealt to it.
    ///
    /// # Errors
    /// [`EngineError::Config`] for a mesh without workers, with more groups than the batch has sequences, or with
    /// workers that would have no tokens of a sequence.
    pub fn check(self, sequences: usize, tokens_per_sequence: usize) -> Result<(), EngineError> {
        let refuse = |rule: String| Err(EngineError::config("mesh", self, rule));
        if self.data == 0 || self.sequence == 0 {
            refuse("needs at least one worker each way".to_owned())
        } else if self.data > sequences {
            refuse(format!("{} groups share train.batch = {sequences} sequences: need one each", self.data))
        } else if self.sequence > tokens_per_sequence / 2 {
            refuse(format!("a sequence of {tokens_per_sequence} tokens has two each for at most half as many workers"))
        } else {
            Ok(())
        }
    }
}

/// As [`FromStr`] reads it.
impl fmt::Display for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "data={},sequence={}", self.data, self.sequence)
    }
}

/// `sequence=2`, `data=4`, or `data=2,sequence=2` in any order.
impl FromStr for Mesh {
    type Err = MeshSyntaxError;

    fn from_str(text: &str) -> Result<Self, MeshSyntaxError> {
        let refuse = |part: &str, flaw| Err(MeshSyntaxError { part: part.to_owned(), flaw });
        let (mut data, mut sequence) = (None, None);
        for part in text.split(',') {
            let (way, number) = match part.split_once('=') {
                Some(("data", number)) => (&mut data, number),
                Some(("sequence", number)) => (&mut sequence, number),
                _ => return refuse(part, "is neither data=N nor sequence=N"),
            };
            match number.parse() {
                _ if way.is_some() => return refuse(part, "says it a second time"),
                Ok(workers) if (1..=Self::MOST_WORKERS).contains(&workers) => *way = Some(workers),
                _ => return refuse(part, "needs a number of workers from 1 to 1024"),
            }
        }
        let mesh = Self { data: data.unwrap_or(1), sequence: sequence.unwrap_or(1) };
        if mesh.workers() > Self::MOST_WORKERS { refuse(text, "has more than 1024 workers in all") } else { Ok(mesh) }
    }
}

impl Place {
    /// Its number through all groups.
    pub fn worker(self) -> usize {
        self.group * self.mesh.sequence + self.rank
    }

    /// Which of a batch's sequences its group has.
    pub fn sequences(self, all: usize) -> Range<usize> {
        self.group * all / self.mesh.data..(self.group + 1) * all / self.mesh.data
    }

    /// How its group cuts a sequence.
    pub fn slices(self, tokens_per_sequence: usize) -> Slices {
        Slices::mirrored(tokens_per_sequence, self.mesh.sequence)
    }
}

/// Workers that are threads of this process, each with a share of its cores.
pub struct Workers {
    mesh: Mesh,
    /// What a worker computes with: nobody takes another's cores.
    pools: Vec<rayon::ThreadPool>,
}

impl Workers {
    /// `threads` cores shared by all workers of the mesh; each has one at least.
    ///
    /// # Errors
    /// [`EngineError::Threads`] if the system gives no more threads.
    pub fn new(mesh: Mesh, threads: usize) -> Result<Self, EngineError> {
        let each = (threads / mesh.workers()).max(1);
        let pool = |worker| {
            let name = move |_| name(worker);
            rayon::ThreadPoolBuilder::new().num_threads(each).thread_name(name).build()
        };
        let pools = (0..mesh.workers()).map(pool).collect::<Result<_, _>>();
        Ok(Self { mesh, pools: pools.map_err(|error| EngineError::Threads(error.to_string()))? })
    }

    /// Who they are.
    pub fn mesh(&self) -> Mesh {
        self.mesh
    }

    /// Lets every worker do its work, each with its end of its group's ring; results come in the order of the workers.
    ///
    /// If one fails, all end: those that need something of it fail too, as soon as they do.
    ///
    /// # Errors
    /// What went wrong first: a worker's own error, [`EngineError::Ring`] for one that panicked or left too early, or
    /// [`EngineError::Threads`] for one that could not begin.
    pub fn run<R: Send>(
        &self,
        work: impl Fn(Place, Rc<dyn Ring>) -> Result<R, EngineError> + Sync,
    ) -> Result<Vec<R>, EngineError> {
        let meeting = Arc::new(Meeting::new(self.mesh.workers()));
        let work = &work;
        let ends: Vec<_> = std::thread::scope(|scope| {
            let start = |worker: usize| {
                let (place, pool) = (self.mesh.place(worker), &self.pools[worker]);
                let first = place.group * self.mesh.sequence;
                // A thread that does not come to be drops its end of the ring, so that nobody waits for it.
                let ring = ThreadRing::new(meeting.clone(), first..first + self.mesh.sequence, place.rank);
                let thread = std::thread::Builder::new().name(name(worker));
                thread.spawn_scoped(scope, move || pool.install(move || work(place, Rc::new(ring))))
            };
            let threads: Vec<_> = (0..self.mesh.workers()).map(start).collect();
            threads.into_iter().enumerate().map(|(worker, thread)| self.end(worker, thread)).collect()
        });
        self.gather(ends.into_iter())
    }

    /// How a worker ended, if it ever began.
    fn end<R>(
        &self,
        worker: usize,
        thread: std::io::Result<ScopedJoinHandle<'_, Result<R, EngineError>>>,
    ) -> Result<R, EngineError> {
        let thread = thread.map_err(|error| EngineError::Threads(error.to_string()))?;
        let lost = |payload: Box<dyn Any + Send>| reason(worker, self.mesh.workers(), payload.as_ref());
        thread.join().unwrap_or_else(|payload| Err(lost(payload).into()))
    }

    /// All results, or the failure that made the others fail.
    fn gather<R>(&self, ends: impl Iterator<Item = Result<R, EngineError>>) -> Result<Vec<R>, EngineError> {
        let (mut results, mut failure) = (Vec::new(), None);
        for (worker, end) in ends.enumerate() {
            match (end, &failure) {
                (Ok(result), _) => results.push(result),
                // A worker's own failure says more than that others missed somebody.
                (Err(EngineError::Ring(lost)), Some(_)) if lost.worker != worker => {}
                (Err(error), None | Some(EngineError::Ring(_))) => failure = Some(error),
                (Err(_), Some(_)) => {}
            }
        }
        failure.map_or(Ok(results), Err)
    }
}

/// Why a worker of so many unwound: it missed another one, or it panicked itself.
pub(super) fn reason(worker: usize, workers: usize, payload: &(dyn Any + Send)) -> RingError {
    if let Some(lost) = payload.downcast_ref::<RingError>() {
        return lost.clone();
    }
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without a message");
    RingError { worker, workers, end: format!("panicked: {text}"), is_refusal: false }
}

/// What a worker's threads are called, in the report of a panic too.
fn name(worker: usize) -> String {
    format!("worker {worker}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_way_is_said_once_at_most_in_any_order() {
        let mesh = |data, sequence| Ok(Mesh { data, sequence });
        assert_eq!("sequence=2".parse(), mesh(1, 2));
        assert_eq!("data=4".parse(), mesh(4, 1));
        assert_eq!("sequence=3,data=2".parse(), mesh(2, 3));
        assert_eq!("data=1".parse(), Ok(Mesh::ONE));
    }

    #[test]
    fn what_is_no_mesh_is_told_by_the_part_that_is_wrong() {
        for (text, part, flaw) in [
            ("", "", "neither"),
            ("2", "2", "neither"),
            ("2x2", "2x2", "neither"),
            ("data=2,", "", "neither"),
            ("data=2,tensor=2", "tensor=2", "neither"),
            ("Data=2", "Data=2", "neither"),
            ("data=2, sequence=2", " sequence=2", "neither"),
            ("data=0", "data=0", "from 1 to 1024"),
            ("sequence=-1", "sequence=-1", "from 1 to 1024"),
            ("sequence=2.0", "sequence=2.0", "from 1 to 1024"),
            ("data=1025", "data=1025", "from 1 to 1024"),
            ("data=99999999999999999999999", "data=99999999999999999999999", "from 1 to 1024"),
            ("data=2,data=2", "data=2", "a second time"),
            ("data=64,sequence=32", "data=64,sequence=32", "in all"),
        ] {
            let error = text.parse::<Mesh>().unwrap_err();
            assert_eq!(error.part, part, "{text}");
            assert!(error.flaw.contains(flaw), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn a_mesh_is_read_as_it_is_shown(data in 1_usize..=32, sequence in 1_usize..=32) {
            let mesh = Mesh { data, sequence };
            prop_assert_eq!(mesh.to_string().parse(), Ok(mesh));
        }

        #[test]
        fn no_text_makes_it_panic_or_a_mesh_without_workers(text in "(data|sequence|[a-z=,0-9+ -])*") {
            if let Ok(mesh) = text.parse::<Mesh>() {
                prop_assert!((1..=Mesh::MOST_WORKERS).contains(&mesh.workers()));
            }
        }
    }
}
