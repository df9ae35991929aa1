//! `elastictok serve`: the built binary answers a browser's requests, and nobody else's, until it is asked to end.

mod common;

use common::{Bench, signal};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};

struct Served {
    child: Child,
    port: u16,
}

impl Served {
    fn start(bench: &Bench) -> Self {
        let mut child = bench.command(&["serve", "--port", "0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split_whitespace().next().unwrap();
        let port = address.strip_prefix("http://127.0.0.1:").expect("the loopback address").parse().unwrap();
        Self { child, port }
    }

    fn get(&self, path: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn page(&self, path: &str) -> String {
        let answer = self.get(path, &format!("127.0.0.1:{}", self.port));
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert!(answer.contains("content-security-policy: default-src 'none'"), "{path}");
        answer
    }

    fn stop(mut self) {
        signal(&self.child, "INT");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Served {
    /// A failed test must not leave its server behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first link of a page that starts so.
fn link(page: &str, start: &str) -> String {
    let at = page.find(&format!("href=\"{start}")).unwrap_or_else(|| panic!("no link to {start} in {page}")) + 6;
    page[at..].split(['"', '?']).next().unwrap().to_owned()
}

#[test]
fn from_the_experiments_to_a_sample_and_back_to_nothing() {
    let bench = Bench::new();
    bench.succeed(&["run", "tiny.toml"]);
    let served = Served::start(&bench);
    let home = served.page("/");
    assert!(home.contains("Does everything work?"), "{home}");
    let experiment = link(&home, "/experiments/");
    let page = served.page(&experiment);
    assert!(page.contains("blocks that meet τ (%)") && page.contains("<table"), "curves and table");
    let trial = link(&page, &format!("{experiment}/trials/"));
    let page = served.page(&trial);
    let sample = link(&page, &format!("{trial}/samples/"));
    let page = served.page(&sample);
    for what in ["Original", "Reconstruction", "class=\"filmstrip\"", "16 tokens", "kept tokens"] {
        assert!(page.contains(what), "{what} is missing");
    }
    assert!(served.page(&format!("{sample}?view=signed")).contains("Signed difference"));
    assert!(served.get("/", "evil.example").starts_with("HTTP/1.1 421"), "a foreign host is not answered");
    served.stop();
}

#[test]
fn results_are_seen_while_a_run_adds_to_them() {
    let bench = Bench::new();
    bench.succeed(&["train", "tiny.toml"]);
    let served = Served::start(&bench);
    let experiment = link(&served.page("/"), "/experiments/");
    assert!(!served.page(&experiment).contains("14 of 14 trials done"), "nothing was evaluated yet");
    bench.succeed(&["evaluate", "tiny.toml"]);
    assert!(served.page(&experiment).contains("14 of 14 trials done"));
    served.stop();
}

#[test]
fn without_results_it_says_how_to_make_some() {
    let bench = Bench::new();
    let message = bench.refuse(&["serve"]);
    assert!(message.contains("there is no results store at") && message.contains("elastictok run"), "{message}");
}
