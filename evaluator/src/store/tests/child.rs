//! Tests that need a process of their own: the test binary starts itself again, with one ignored test to run.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const PATH: &str = "ELASTICTOK_TEST_STORE";

/// The name that the test harness gives to a function of this module.
pub(super) fn test_name(module_path: &str, function: &str) -> String {
    let (_crate, module) = module_path.split_once("::").expect("tests lie in a module");
    format!("{module}::{function}")
}

/// A command that runs the ignored test `name`, which will find `path` by [`path`].
pub(super) fn command(program: &Path, name: &str, path: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--exact", name, "--ignored", "--nocapture"]).env(PATH, path);
    command
}

/// In a child: the path that its parent gave. `None` if somebody runs all ignored tests.
pub(super) fn path() -> Option<PathBuf> {
    std::env::var_os(PATH).map(PathBuf::from)
}

/// Runs the ignored test `name` as a user who may only do what everybody may.
pub(super) fn without_privileges(name: &str, path: &Path) {
    let superuser = rustix::process::geteuid().is_root();
    let program = std::env::current_exe().unwrap();
    // Everybody may read and run this copy, wherever the build folder lies.
    let copy = tempfile::Builder::new().permissions(permissions(0o755)).tempdir().unwrap();
    let shared = copy.path().join("tests");
    // By a process of its own: a child that another test starts meanwhile would inherit the file open for writing, and
    // what is open for writing cannot be run.
    assert!(Command::new("cp").arg(program).arg(&shared).status().unwrap().success());
    let mut command = command(&shared, name, path);
    if superuser {
        command.uid(65534).gid(65534);
    }
    let output = command.current_dir(copy.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn permissions(mode: u32) -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}
