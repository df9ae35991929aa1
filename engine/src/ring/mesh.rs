//! Who works on what: a mesh of workers, and workers that are threads of this process.

use super::threads::{Meeting, ThreadRing};
use super::{Ring, RingError, Slices};
use crate::error::EngineError;
use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

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

    /// Workers in all.
    pub fn workers(self) -> usize {
        self.data * self.sequence
    }

    /// The place of the `worker`-th worker: group after group.
    fn place(self, worker: usize) -> Place {
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

impl fmt::Display for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.data, self.sequence)
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
        let pool = |_| rayon::ThreadPoolBuilder::new().num_threads(each).build();
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
    /// What went wrong first: a worker's own error, or [`EngineError::Ring`] for one that panicked or left too early.
    pub fn run<R: Send>(
        &self,
        work: impl Fn(Place, Rc<dyn Ring>) -> Result<R, EngineError> + Sync,
    ) -> Result<Vec<R>, EngineError> {
        let meeting = Arc::new(Meeting::new(self.mesh.workers()));
        let start = |worker: usize| {
            let place = self.mesh.place(worker);
            let first = place.group * self.mesh.sequence;
            let ring = ThreadRing::new(meeting.clone(), first..first + self.mesh.sequence, place.rank);
            work(place, Rc::new(ring))
        };
        let ends: Vec<_> = std::thread::scope(|scope| {
            let start = &start;
            let workers = self.pools.iter().enumerate();
            let threads = workers.map(|(worker, pool)| scope.spawn(move || pool.install(|| start(worker))));
            threads.collect::<Vec<_>>().into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        let ends = ends.into_iter().enumerate().map(|(worker, end)| match end {
            Ok(end) => end,
            Err(payload) => Err(EngineError::Ring(self.reason(worker, payload.as_ref()))),
        });
        self.gather(ends)
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

    /// Why a worker unwound: it missed another one, or it panicked itself.
    fn reason(&self, worker: usize, payload: &(dyn Any + Send)) -> RingError {
        if let Some(lost) = payload.downcast_ref::<RingError>() {
            return lost.clone();
        }
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without a message");
        RingError { worker, workers: self.mesh.workers(), end: format!("panicked: {text}") }
    }
}
