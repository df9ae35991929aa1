//! Telling a process from others, and from a later one that got its number.
//!
//! A pid is used again sooner or later. Together with the time the process started (in clock ticks since boot, which
//! the kernel never changes) it names one process until the next boot.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde_json::{Value, json};

/// One process on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The host's name.
    pub host: String,
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub started: i64,
}

impl Process {
    /// This process.
    ///
    /// # Errors
    /// `/proc` is not there, as on other systems than Linux.
    pub fn current() -> io::Result<Self> {
        Self::on_this_host(std::process::id())
    }

    /// As an event names it.
    pub fn told(&self) -> Value {
        json!({ "host": hashed(&self.host), "pid": self.pid, "started": self.started })
    }

    /// Whether the process that an event names still lives; `None` if it is on another host, or none is named.
    pub fn told_is_alive(told: &Value) -> Option<bool> {
        let (pid, started) = (u32::try_from(told["pid"].as_u64()?).ok()?, told["started"].as_i64()?);
        let process = Self { host: host_name(), pid, started };
        (told["host"] == hashed(&process.host)).then(|| process.is_alive())
    }

    /// The process that has this number now.
    pub(super) fn on_this_host(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let stat = Stat::parse(&stat).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat reads «{stat}»")))?;
        Ok(Self { host: host_name(), pid, started: stat.started })
    }

    /// Whether the process still lives; it must be one of this host.
    pub(super) fn is_alive(&self) -> bool {
        debug_assert_eq!(self.host, host_name(), "another host's processes cannot be seen");
        match fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok().as_deref().and_then(Stat::parse) {
            // A zombie does nothing any more: only its parent has not asked how it ended.
            Some(stat) => stat.started == self.started && !matches!(stat.state, 'Z' | 'X'),
            // `/proc` may hide other users' processes, while a signal's error still tells that there is one.
            None => exists(self.pid),
        }
    }
}

/// Whether some process has this number.
pub(super) fn exists(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// The name that this machine calls itself by.
pub(super) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The same, hashed: results may be shared, host names need not be.
pub fn host_hash() -> String {
    hashed(&host_name())
}

fn hashed(host: &str) -> String {
    blake3::hash(host.as_bytes()).to_hex()[..16].to_owned()
}

/// What is needed of `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    state: char,
    started: i64,
}

impl Stat {
    /// Field 2 is the program's name in brackets, and may itself hold spaces and brackets: count from the last one.
    /// Field 3 is the state, field 22 the start time; see `proc_pid_stat(5)`.
    fn parse(stat: &str) -> Option<Self> {
        let (_, after_name) = stat.rsplit_once(')')?;
        let mut fields = after_name.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let started = fields.nth(22 - 4)?.parse().ok()?;
        Some(Self { state, started })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let fields = "S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 8675309 23 24";
        for name in ["sleep", "two words", "a) S 1 2 (b", "))) ((", ""] {
            let stat = format!("123 ({name}) {fields}\n");
            assert_eq!(Stat::parse(&stat), Some(Stat { state: 'S', started: 8_675_309 }), "{stat}");
        }
        for broken in [
            "",
            "123 (sleep",
            "123 (sleep) S 4 5",
            "123 (sleep) ",
            "1 (a) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 x",
        ] {
            assert_eq!(Stat::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn this_process_lives_and_a_later_one_with_its_number_is_another() {
        let me = Process::current().unwrap();
        assert_eq!(me, Process::current().unwrap());
        assert!(me.is_alive());
        assert!(!Process { started: me.started - 1, ..me }.is_alive());
    }

    #[test]
    fn an_event_names_a_process_and_hides_its_host() {
        let me = Process::current().unwrap();
        let told = me.told();
        assert!(!told.to_string().contains(&me.host) && Process::told_is_alive(&told) == Some(true), "{told}");
        let earlier = Process { started: me.started - 1, ..me.clone() };
        assert_eq!(Process::told_is_alive(&earlier.told()), Some(false));
        let elsewhere = Process { host: "another-host".into(), ..me };
        for unknown in [elsewhere.told(), Value::Null, json!({ "pid": -1, "started": 1 }), json!("text")] {
            assert_eq!(Process::told_is_alive(&unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_killed_process_is_dead_even_while_it_is_a_zombie() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::on_this_host(child.id()).unwrap();
        assert!(process.is_alive());
        child.kill().unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        while Stat::parse(&fs::read_to_string(&stat).unwrap()).unwrap().state != 'Z' {
            std::thread::yield_now();
        }
        assert!(!process.is_alive());
        child.wait().unwrap();
        assert!(!process.is_alive());
    }

    #[test]
    fn a_program_with_a_strange_name_is_recognized() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("s) Z (1 2");
        fs::copy("/bin/sleep", &program).unwrap();
        // Another test's fork may hold the copy open for writing for a moment («text file busy»).
        let mut child = loop {
            // A multi-call binary looks at the name it is called by.
            match Command::new(&program).arg0("sleep").arg("60").spawn() {
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
                result => break result.unwrap(),
            }
        };
        assert!(Process::on_this_host(child.id()).unwrap().is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
