//! Table `lease`: who is working on what, so that several processes can share a sweep.
//!
//! There is no time-out to wait for: a lease names its process exactly (host, pid, start time), and whoever wants the
//! work looks whether that process still lives. If not, the lease is taken over in the same transaction. Processes of
//! another host cannot be looked at, so their leases stand until someone who knows breaks them. Two containers that
//! call themselves by one host name but do not see each other's processes must not share a store.

use std::path::Path;

use super::error::At;
use super::process::{Process, host_name};
use super::{Reader, Result, Store, StoreError, Subject, clock};

/// The answer to a wish to work on something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// The work is this process's until it releases it or dies.
    Acquired {
        /// The dead process it was taken over from, if there was one.
        taken_from: Option<Process>,
    },
    /// Another task has it: one of a living process (perhaps this one), or of a host that cannot be seen from here.
    HeldBy {
        /// Who has it.
        process: Process,
        /// Since when: UTC, RFC 3339.
        acquired_at: String,
    },
}

/// A stored lease.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LeaseRow {
    /// What is worked on.
    #[sqlx(try_from = "String")]
    pub subject: Subject,
    /// The holder's host.
    pub host: String,
    /// The holder's number.
    pub pid: u32,
    /// When the holder started, in clock ticks since boot.
    pub process_started: i64,
    /// Since when: UTC, RFC 3339.
    pub acquired_at: String,
}

impl LeaseRow {
    /// Whether the holder lives; `None` if it is on another host.
    pub fn is_alive(&self) -> Option<bool> {
        let process = self.process();
        (process.host == host_name()).then(|| process.is_alive())
    }

    /// Refuses what must not happen while the holder works. Nobody knows whether a holder on another host still does.
    pub(super) fn refuse(self, store: &Path) -> Result<()> {
        if !self.is_alive().unwrap_or(true) {
            return Ok(());
        }
        let Self { subject, host, pid, acquired_at, .. } = self;
        Err(StoreError::Leased { path: store.into(), subject, pid, host, since: acquired_at })
    }

    fn process(&self) -> Process {
        Process { host: self.host.clone(), pid: self.pid, started: self.process_started }
    }
}

impl Store {
    /// Asks for some work. Each call is answered once: a process that has a lease and asks again is told that it is
    /// held, so that two tasks of one process do not do the same work.
    ///
    /// # Errors
    /// [`NoProcess`](StoreError::NoProcess).
    pub async fn acquire(&self, subject: impl Into<Subject>) -> Result<Lease> {
        let me = Process::current().map_err(|source| StoreError::NoProcess { source })?;
        self.acquire_as(&me, subject.into()).await
    }

    pub(super) async fn acquire_as(&self, me: &Process, subject: Subject) -> Result<Lease> {
        let subject = subject.to_string();
        let mut transaction = self.begin().await?;
        let holder: Option<LeaseRow> = sqlx::query_as("select * from lease where subject = ?")
            .bind(&subject)
            .fetch_optional(&mut *transaction)
            .await
            .at(self)?;
        if let Some(holder) = &holder
            // Looked up inside the transaction: nobody else can take the lease over meanwhile.
            && holder.is_alive().unwrap_or(true)
        {
            return Ok(Lease::HeldBy { process: holder.process(), acquired_at: holder.acquired_at.clone() });
        }
        sqlx::query(
            "insert or replace into lease (subject, host, pid, process_started, acquired_at) values (?, ?, ?, ?, ?)",
        )
        .bind(&subject)
        .bind(&me.host)
        .bind(me.pid)
        .bind(me.started)
        .bind(clock::now())
        .execute(&mut *transaction)
        .await
        .at(self)?;
        transaction.commit().await.at(self)?;
        Ok(Lease::Acquired { taken_from: holder.map(|holder| holder.process()) })
    }

    /// Gives this process's lease back; no matter if it has none.
    ///
    /// # Errors
    /// [`NoProcess`](StoreError::NoProcess).
    pub async fn release(&self, subject: impl Into<Subject>) -> Result<()> {
        let me = Process::current().map_err(|source| StoreError::NoProcess { source })?;
        self.release_as(&me, subject.into()).await
    }

    pub(super) async fn release_as(&self, me: &Process, subject: Subject) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query("delete from lease where subject = ? and host = ? and pid = ? and process_started = ?")
            .bind(subject.to_string())
            .bind(&me.host)
            .bind(me.pid)
            .bind(me.started)
            .execute(&mut *transaction)
            .await
            .at(self)?;
        transaction.commit().await.at(self)
    }

    /// Ends a lease whoever has it: for a person who knows that the other host is gone.
    pub async fn break_lease(&self, subject: impl Into<Subject>) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query("delete from lease where subject = ?")
            .bind(subject.into().to_string())
            .execute(&mut *transaction)
            .await
            .at(self)?;
        transaction.commit().await.at(self)
    }
}

impl Reader {
    /// All leases by subject.
    pub async fn leases(&self) -> Result<Vec<LeaseRow>> {
        sqlx::query_as("select * from lease order by subject").fetch_all(&self.pool).await.at(self)
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::super::tests::fixture::Workbench;
    use super::*;

    const NEW: Lease = Lease::Acquired { taken_from: None };

    /// A real process that works on something until it is killed.
    struct Worker(Child);

    impl Worker {
        fn start() -> (Self, Process) {
            let child = Command::new("sleep").arg("60").spawn().unwrap();
            let process = Process::on_this_host(child.id()).unwrap();
            (Self(child), process)
        }

        fn kill(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    impl Drop for Worker {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[tokio::test]
    async fn work_is_held_until_it_is_released() {
        let bench = Workbench::new().await;
        let (store, trial) = (&bench.store, bench.trial);
        assert_eq!(store.acquire(trial).await.unwrap(), NEW);
        assert_eq!(store.acquire(bench.run).await.unwrap(), NEW, "a training run with the same number is other work");
        let held = store.acquire(trial).await.unwrap();
        assert!(matches!(&held, Lease::HeldBy { process, .. } if process.pid == std::process::id()), "{held:?}");
        let subjects: Vec<_> = store.leases().await.unwrap().iter().map(|row| row.subject).collect();
        assert_eq!(subjects, [Subject::from(bench.run), Subject::from(trial)]);
        store.release(trial).await.unwrap();
        store.release(trial).await.unwrap();
        assert_eq!(store.acquire(trial).await.unwrap(), NEW);
    }

    #[tokio::test]
    async fn a_living_worker_keeps_its_lease_and_a_killed_one_loses_it_at_once() {
        let bench = Workbench::new().await;
        let (mut worker, process) = Worker::start();
        assert_eq!(bench.store.acquire_as(&process, bench.trial.into()).await.unwrap(), NEW);
        let held = bench.store.acquire(bench.trial).await.unwrap();
        assert!(matches!(held, Lease::HeldBy { process: holder, .. } if holder == process));
        bench.store.release(bench.trial).await.unwrap(); // not ours to give
        assert_eq!(bench.store.leases().await.unwrap()[0].is_alive(), Some(true));

        worker.kill();
        assert_eq!(bench.store.leases().await.unwrap()[0].is_alive(), Some(false));
        let taken = bench.store.acquire(bench.trial).await.unwrap();
        assert_eq!(taken, Lease::Acquired { taken_from: Some(process.clone()) });
        bench.store.release_as(&process, bench.trial.into()).await.unwrap(); // the dead holder's late release
        assert_eq!(bench.store.leases().await.unwrap()[0].pid, std::process::id());
    }

    #[tokio::test]
    async fn a_process_that_got_a_dead_ones_number_does_not_hold_its_lease() {
        let bench = Workbench::new().await;
        let (_worker, process) = Worker::start();
        let earlier = Process { started: process.started - 100, ..process.clone() };
        bench.store.acquire_as(&earlier, bench.trial.into()).await.unwrap();
        let taken = bench.store.acquire(bench.trial).await.unwrap();
        assert_eq!(taken, Lease::Acquired { taken_from: Some(earlier) });
    }

    #[tokio::test]
    async fn a_lease_of_another_host_stands_until_it_is_broken() {
        let bench = Workbench::new().await;
        let elsewhere = Process { host: "another-host".into(), pid: 1, started: 1 };
        bench.store.acquire_as(&elsewhere, bench.trial.into()).await.unwrap();
        let held = bench.store.acquire(bench.trial).await.unwrap();
        assert!(matches!(held, Lease::HeldBy { process, .. } if process == elsewhere));
        assert_eq!(bench.store.leases().await.unwrap()[0].is_alive(), None);
        bench.store.break_lease(bench.trial).await.unwrap();
        assert_eq!(bench.store.acquire(bench.trial).await.unwrap(), NEW);
    }

    #[tokio::test]
    async fn of_many_that_find_a_dead_holder_one_takes_over() {
        let bench = Workbench::new().await;
        let (mut worker, dead) = Worker::start();
        bench.store.acquire_as(&dead, bench.trial.into()).await.unwrap();
        worker.kill();
        let mut tasks = Vec::new();
        for _ in 0..8 {
            // A store of its own for each: as from eight processes.
            let (path, trial) = (bench.store.path().to_owned(), bench.trial);
            tasks.push(tokio::spawn(async move { Store::open(path).await.unwrap().acquire(trial).await.unwrap() }));
        }
        let mut acquired = 0;
        for task in tasks {
            acquired += usize::from(matches!(task.await.unwrap(), Lease::Acquired { .. }));
        }
        assert_eq!(acquired, 1);
    }
}
