//! Notes what this program is made of, which is part of every result's provenance: compiler, commit, dirtiness.

use std::path::Path;
use std::process::Command;

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    note("ELASTICTOK_RUSTC", output(Command::new(rustc).arg("--version")));
    note("ELASTICTOK_COMMIT", git(&["rev-parse", "HEAD"]));
    // Without the lock, `status` does not write what it found into the index, which would be another program next time.
    note(
        "ELASTICTOK_DIRTY",
        git(&["--no-optional-locks", "status", "--porcelain"]).map(|changes| (!changes.is_empty()).to_string()),
    );
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../migrations");
    // Another commit is another program, even where no source of this crate changed.
    for file in ["HEAD", "index", "refs/heads"] {
        let path = format!("../.git/{file}");
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

/// Sets an environment variable of the compilation; empty where it is not known.
fn note(name: &str, value: Option<String>) {
    println!("cargo::rustc-env={name}={}", value.unwrap_or_default());
}

fn git(arguments: &[&str]) -> Option<String> {
    output(Command::new("git").arg("-C").arg("..").args(arguments))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
