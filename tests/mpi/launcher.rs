//! Jobs of several ranks, for every test program that starts some.

#![allow(dead_code)] // each test program uses its part

use std::process::{Command, Output, Stdio};

/// Whether jobs can be started; a test without them says so and passes, unless it must not.
pub fn has_mpirun() -> bool {
    let is_there = Command::new("mpirun").arg("--version").output().is_ok_and(|output| output.status.success());
    let required = std::env::var("ELASTICTOK_TESTS_REQUIRE").is_ok_and(|programs| programs.contains("mpirun"));
    assert!(is_there || !required, "mpirun is required and not there");
    if !is_there {
        eprintln!("SKIPPED: there is no mpirun");
    }
    is_there
}

/// `mpirun`, still to be told what to start. In containers tests often run as root, on fewer cores than there are ranks.
pub fn mpirun() -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--oversubscribe", "--bind-to", "none"]).stdin(Stdio::null());
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command
}

/// What all ranks of a job said was wrong, message by message.
pub fn messages(output: &Output) -> Vec<String> {
    let err = String::from_utf8_lossy(&output.stderr);
    err.lines().filter_map(|line| line.strip_prefix("elastictok: ")).map(str::to_owned).collect()
}

/// The one message of a job that failed with this code.
pub fn message(output: &Output, code: i32) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    let [message] = &messages(output)[..] else { panic!("not one message:\n{err}") };
    message.to_owned()
}
