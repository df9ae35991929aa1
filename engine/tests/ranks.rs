//! Workers that share nothing but letters do what a mesh of threads does, to the last bit. Here a rank is a thread, and
//! letters are handed over; `mpi.rs` has the same with real processes.

mod learnable;
mod noise;

use engine::EngineError;
use engine::parameters::weights_hash;
use engine::ring::ranks::{Channel, Inbox, Load, Post, Ranks};
use engine::ring::{Mesh, RingError};
use engine::train::{Sequence, Start, Trainer, TrainingData};
use learnable::*;
use std::sync::Arc;

/// Puts letters into the inbox of whom they are for.
struct Handing {
    rank: usize,
    inboxes: Arc<Vec<Inbox>>,
}

impl Post for Handing {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.inboxes.len()
    }

    fn send(&self, to: usize, channel: Channel, load: Load) {
        self.inboxes[to].put(self.rank, channel, load);
    }

    fn receive(&self, from: usize, channel: Channel) -> Result<Load, RingError> {
        self.inboxes[self.rank].take(from, channel)
    }

    fn receive_now(&self, from: usize, channel: Channel) -> Result<Option<Load>, RingError> {
        self.inboxes[self.rank].take_now(from, channel)
    }
}

/// Lets so many ranks do their work, each with a thread to compute with.
fn on_ranks<R: Send>(size: usize, work: impl Fn(Ranks) -> R + Sync) -> Vec<R> {
    let inboxes = Arc::new((0..size).map(|_| Inbox::new(size)).collect::<Vec<_>>());
    let work = &work;
    std::thread::scope(|scope| {
        let start = |rank| {
            let ranks = Ranks::new(Arc::new(Handing { rank, inboxes: inboxes.clone() }));
            scope.spawn(move || pool(1).install(|| work(ranks)))
        };
        let threads: Vec<_> = (0..size).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

fn of_ranks(start: &Start, mesh: Mesh, ranks: Ranks) -> Trainer {
    Trainer::new(start.clone(), Learnable).unwrap().with_ranks(mesh, ranks).unwrap()
}

#[test]
fn ranks_give_the_bytes_of_a_mesh_of_threads() {
    for bottleneck in [vae(), fsq()] {
        let start = start(bottleneck, settings(4));
        for shape in MESHES {
            let mesh = mesh(shape);
            let result = |mut trainer: Trainer| (losses(&mut trainer, 4), weights_hash(trainer.model()));
            let threads = pool(mesh.workers()).install(|| result(trainer(&start, mesh)));
            for ranks in on_ranks(mesh.workers(), |ranks| result(of_ranks(&start, mesh, ranks))) {
                assert_eq!(ranks, threads, "{shape:?}");
            }
        }
    }
}

#[test]
fn all_go_on_from_where_rank_0_is() {
    let start = start(vae(), settings(6));
    let mesh = mesh([2, 1]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("training.safetensors");
    let whole = pool(2).install(|| losses(&mut trainer(&start, mesh), 6));
    on_ranks(2, |ranks| {
        let is_first = ranks.rank() == 0;
        let mut trainer = of_ranks(&start, mesh, ranks);
        losses(&mut trainer, 3);
        if is_first {
            trainer.save(&file).unwrap();
        }
    });
    // The other one has no file, and weights of its own until it is told.
    let ends = on_ranks(2, |ranks| {
        let trainer = match ranks.rank() {
            0 => Trainer::resume(start.clone(), Learnable, &file).unwrap(),
            _ => Trainer::new(start.clone(), Learnable).unwrap(),
        };
        losses(&mut trainer.with_ranks(mesh, ranks).unwrap(), 6)
    });
    assert_eq!(ends, [&whole[3..], &whole[3..]]);
}

#[test]
fn each_rank_writes_down_what_it_did_itself() {
    let start = start(vae(), settings(1));
    let mesh = mesh([1, 2]);
    let mut threads = trainer(&start, mesh).with_trace();
    threads.advance().unwrap();
    let traces = on_ranks(2, |ranks| {
        let mut trainer = of_ranks(&start, mesh, ranks).with_trace();
        trainer.advance().unwrap();
        trainer.traces().to_vec()
    });
    for (traces, of_thread) in traces.iter().zip(threads.traces()) {
        let [own] = &traces[..] else { panic!("{} traces", traces.len()) };
        let counts = |trace: &engine::ring::Trace| [trace.total().scores, trace.total().bytes, trace.total().packets];
        assert_eq!(counts(own), counts(of_thread));
    }
}

/// As [`Learnable`], but if it is broken a sequence lacks a segment: the worker that has the last ones panics.
struct Fragile {
    is_broken: bool,
}

impl TrainingData for Fragile {
    fn blocks_per_sequence(&self) -> usize {
        BLOCKS
    }

    fn sequence(&self, number: u64, blocks: usize) -> Result<Sequence, EngineError> {
        let mut sequence = Learnable.sequence(number, blocks)?;
        if self.is_broken && number == 9 {
            sequence.segments.pop();
        }
        Ok(sequence)
    }
}

#[test]
fn a_rank_that_panics_ends_all_and_every_one_names_it() {
    let start = start(vae(), settings(4));
    for shape in [[2, 1], [1, 2], [3, 1]] {
        let mesh = mesh(shape);
        let last = mesh.workers() - 1;
        let errors = on_ranks(mesh.workers(), |ranks| {
            let data = Fragile { is_broken: ranks.rank() == last };
            let mut trainer = Trainer::new(start.clone(), data).unwrap().with_ranks(mesh, ranks).unwrap();
            losses(&mut trainer, 1);
            let before = weights_hash(trainer.model());
            let error = trainer.advance().unwrap_err();
            assert_eq!((trainer.step(), weights_hash(trainer.model())), (1, before));
            error.to_string()
        });
        let said = format!("worker {last} (of {}, counted from 0) panicked: ", mesh.workers());
        assert!(errors.iter().all(|error| error.starts_with(&said)), "{errors:?}");
    }
}

#[test]
fn what_every_rank_says_comes_in_the_order_of_the_ranks() {
    let said = on_ranks(3, |ranks| {
        if ranks.rank() == 0 {
            ranks.tell_all(&"begin");
        } else {
            assert_eq!(ranks.hear::<String>(0).unwrap(), "begin");
        }
        ranks.exchange(format!("I am {}", ranks.rank())).unwrap()
    });
    assert_eq!(said, [["I am 0", "I am 1", "I am 2"]; 3]);
}
