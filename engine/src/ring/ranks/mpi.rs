//! Ranks of an MPI job (`mpirun -n N …`): one thread of each process does nothing but carry letters.
//!
//! MPI libraries move data only while somebody calls them. So that transfers go on behind the computation, a thread of
//! its own begins what is to be sent, takes in whatever arrives, and looks after both every few microseconds, asleep in
//! between. It is the only one that calls MPI (`MPI_THREAD_FUNNELED`), and it never blocks there.
//!
//! It also says from time to time that its rank is there, and listens whether the others say so: a process that hangs,
//! or a machine that is gone, is told from one that computes.

#![allow(unsafe_code)] // A request and the buffer it uses lie in one struct, which lifetimes cannot say.

use super::{Channel, Inbox, Load, Post, Ranks};
use crate::ring::RingError;
use mpi::Threading;
use mpi::environment::Universe;
use mpi::point_to_point::{Destination as _, Source as _};
use mpi::request::{Request, StaticScope};
use mpi::topology::{Communicator as _, SimpleCommunicator};
use mpi::traits::Equivalence as _;
use std::collections::VecDeque;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks at MPI: while something is on its way, while somebody waits, and else. What is to be sent wakes it.
const LOOK_AGAIN: [Duration; 3] = [Duration::from_micros(20), Duration::from_micros(50), Duration::from_millis(2)];

/// How often in its time limit a rank says that it is there.
const SIGNS_OF_LIFE: u32 = 6;

/// This process's place in an MPI job.
pub struct Job {
    post: Arc<MpiPost>,
    carrier: JoinHandle<()>,
}

impl Job {
    /// Joins the job that this process was started for; every process of it must. A rank that says nothing for `patience`
    /// counts as lost.
    ///
    /// # Errors
    /// If the system gives no more threads, or MPI was used before.
    pub fn join(patience: Duration) -> std::io::Result<Self> {
        let (calls, called) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let carry = move || {
            let joined = mpi::initialize_with_threading(Threading::Funneled);
            if let Some((universe, _)) = joined {
                let world = universe.world();
                let (rank, size) = (world.rank() as usize, world.size() as usize);
                let inbox = Arc::new(Inbox::new(size));
                if tell.send((rank, size, inbox.clone())).is_ok() {
                    Carrier::new(world, inbox, patience).carry(&called, universe);
                }
            }
        };
        let carrier = std::thread::Builder::new().name("mpi".to_owned()).spawn(carry)?;
        let used_before = |_| std::io::Error::other("MPI can be initialised once in a process");
        let (rank, size, inbox) = told.recv().map_err(used_before)?;
        Ok(Self { post: Arc::new(MpiPost { rank, size, calls, inbox }), carrier })
    }

    /// Its ranks.
    pub fn ranks(&self) -> Ranks {
        Ranks::new(self.post.clone())
    }

    /// Ends the job for this rank, once all that was sent is gone; every rank must leave.
    ///
    /// # Panics
    /// If the thread that calls MPI panicked.
    pub fn leave(self) {
        self.post.call(Call::Leave);
        self.carrier.join().expect("the thread that calls MPI ends well");
    }

    /// Ends every process of the job at once, with this exit code.
    pub fn abort(self, code: u8) -> ! {
        self.post.call(Call::Abort(code));
        let _ = self.carrier.join();
        std::process::exit(code.into())
    }
}

/// What the thread that calls MPI is asked to do.
enum Call {
    Send { to: usize, channel: Channel, load: Load },
    Leave,
    Abort(u8),
}

struct MpiPost {
    rank: usize,
    size: usize,
    calls: mpsc::Sender<Call>,
    inbox: Arc<Inbox>,
}

impl MpiPost {
    fn call(&self, call: Call) {
        // If the thread is gone it panicked, and every rank ends with this one.
        let _ = self.calls.send(call);
    }
}

impl Post for MpiPost {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn send(&self, to: usize, channel: Channel, load: Load) {
        self.call(Call::Send { to, channel, load });
    }

    fn receive(&self, from: usize, channel: Channel) -> Result<Load, RingError> {
        self.inbox.take(from, channel)
    }

    fn receive_now(&self, from: usize, channel: Channel) -> Result<Option<Load>, RingError> {
        self.inbox.take_now(from, channel)
    }
}

/// The thread that calls MPI.
struct Carrier {
    world: SimpleCommunicator,
    inbox: Arc<Inbox>,
    sending: Vec<Transfer>,
    /// By sender, in the order in which they were sent.
    arriving: Vec<VecDeque<(Channel, Transfer)>>,
    signs: Signs,
}

impl Carrier {
    fn new(world: SimpleCommunicator, inbox: Arc<Inbox>, patience: Duration) -> Self {
        let ranks = world.size() as usize;
        let arriving = std::iter::repeat_with(VecDeque::new).take(ranks).collect();
        Self { world, inbox, sending: Vec::new(), arriving, signs: Signs::new(ranks, patience) }
    }

    /// Does what it is called for until this rank leaves. Dropping the universe waits for the others to leave too.
    fn carry(mut self, calls: &mpsc::Receiver<Call>, universe: Universe) {
        let mut is_leaving = false;
        while !(is_leaving && self.sending.is_empty()) {
            let first = calls.recv_timeout(self.pause());
            let more = std::iter::from_fn(|| calls.try_recv().ok());
            for call in first.into_iter().chain(more) {
                match call {
                    Call::Send { to, channel, load } => self.send(to, channel, load),
                    Call::Leave => is_leaving = true,
                    Call::Abort(code) => self.world.abort(code.into()),
                }
            }
            self.take_in();
            self.sending.retain_mut(|transfer| !transfer.is_complete());
            if !is_leaving {
                self.live();
            }
        }
        drop(universe);
    }

    fn pause(&self) -> Duration {
        let is_busy = !self.sending.is_empty() || self.arriving.iter().any(|letters| !letters.is_empty());
        let [busy, awaited, idle] = LOOK_AGAIN;
        match (is_busy, self.inbox.is_awaited()) {
            (true, _) => busy,
            (false, true) => awaited,
            (false, false) => idle,
        }
    }

    fn send(&mut self, to: usize, channel: Channel, load: Load) {
        let to = self.world.process_at_rank(to as i32);
        self.sending.push(Transfer::new(load, |bytes| {
            // SAFETY: The transfer keeps the load, whose bytes are on the heap, until MPI has done with them; nobody
            // changes them, and forgetting the transfer forgets them too.
            let bytes: &'static [u8] = unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) };
            to.immediate_send_with_tag(StaticScope, bytes, channel as i32)
        }));
    }

    /// Begins to receive all that is there, and delivers what has come.
    fn take_in(&mut self) {
        while let Some((message, status)) = self.world.any_process().immediate_matched_probe() {
            let (from, channel) = (status.source_rank() as usize, Channel::ALL[status.tag() as usize]);
            let bytes = status.count(u8::equivalent_datatype()) as usize;
            self.signs.heard(from);
            let load = match channel.has_numbers() {
                true => Load::Numbers(vec![0.0; bytes / size_of::<f32>()]),
                false => Load::Words(vec![0; bytes]),
            };
            let transfer = Transfer::new(load, |bytes| {
                // SAFETY: The load was just made, nobody else has it, and the transfer keeps it untouched until MPI has
                // filled its bytes, which are on the heap; forgetting the transfer forgets them too.
                let bytes: &'static mut [u8] =
                    unsafe { std::slice::from_raw_parts_mut(bytes.as_ptr().cast_mut(), bytes.len()) };
                message.immediate_matched_receive_into(StaticScope, bytes)
            });
            self.arriving[from].push_back((channel, transfer));
        }
        for (from, letters) in self.arriving.iter_mut().enumerate() {
            while letters.front_mut().is_some_and(|(_, transfer)| transfer.is_complete()) {
                let (channel, transfer) = letters.pop_front().expect("it was looked at");
                self.inbox.put(from, channel, transfer.into_load());
            }
        }
    }

    /// Says that this rank is there, and asks itself whether the others are.
    fn live(&mut self) {
        let (own, ranks) = (self.world.rank() as usize, self.world.size() as usize);
        if self.signs.is_due() {
            let others = (0..ranks).filter(|rank| *rank != own);
            others.for_each(|rank| self.send(rank, Channel::Alive, Load::Words(Vec::new())));
        }
        if let Some(worker) = self.signs.silent(own) {
            let seconds = self.signs.patience.as_secs_f64();
            let end = format!("has been silent for {seconds:.0} s: its process hangs or its machine is gone");
            self.inbox.lose(RingError { worker, workers: ranks, end, is_refusal: false });
        }
    }
}

/// Bytes on their way. Dropped before they have come, they are never freed: MPI may still use them.
struct Transfer {
    request: Option<Request<'static, [u8]>>,
    load: Load,
}

impl Transfer {
    fn new(load: Load, begin: impl FnOnce(&[u8]) -> Request<'static, [u8]>) -> Self {
        let request = Some(begin(load.bytes()));
        Self { request, load }
    }

    fn is_complete(&mut self) -> bool {
        self.request = self.request.take().and_then(|request| request.test().err());
        self.request.is_none()
    }

    /// What has come.
    fn into_load(mut self) -> Load {
        assert!(self.request.is_none(), "it has come");
        std::mem::replace(&mut self.load, Load::Words(Vec::new()))
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            std::mem::forget(request);
            std::mem::forget(std::mem::replace(&mut self.load, Load::Words(Vec::new())));
        }
    }
}

/// Who was heard when.
struct Signs {
    patience: Duration,
    heard: Vec<Instant>,
    said: Instant,
    looked: Instant,
}

impl Signs {
    fn new(ranks: usize, patience: Duration) -> Self {
        let now = Instant::now();
        Self { patience, heard: vec![now; ranks], said: now, looked: now }
    }

    fn heard(&mut self, rank: usize) {
        self.heard[rank] = Instant::now();
    }

    /// Whether it is time to say something; then it counts as said.
    fn is_due(&mut self) -> bool {
        let is_due = self.said.elapsed() > self.patience / SIGNS_OF_LIFE;
        if is_due {
            self.said = Instant::now();
        }
        is_due
    }

    /// A rank other than this one that was not heard for too long. A process that was stopped itself, and goes on, first
    /// listens again.
    fn silent(&mut self, own: usize) -> Option<usize> {
        let now = Instant::now();
        if now - self.looked > self.patience / 2 {
            self.heard.fill(now);
        }
        self.looked = now;
        (0..self.heard.len()).find(|rank| *rank != own && now - self.heard[*rank] > self.patience)
    }
}
