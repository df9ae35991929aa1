//! `elastictok serve` as a process of its own.

use super::{Bench, signal};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};

pub struct Served {
    child: Child,
    pub port: u16,
}

impl Served {
    pub fn start(bench: &Bench) -> Self {
        Self::start_with(bench, &[])
    }

    pub fn start_with(bench: &Bench, arguments: &[&str]) -> Self {
        let arguments = [&["serve", "--port", "0"], arguments].concat();
        let mut child = bench.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split_whitespace().next().unwrap();
        let port = address.strip_prefix("http://127.0.0.1:").expect("the loopback address").parse().unwrap();
        Self { child, port }
    }

    pub fn get(&self, path: &str, host: &str) -> String {
        self.ask(path, &format!("Host: {host}\r\n"))
    }

    pub fn ask(&self, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub fn page(&self, path: &str) -> String {
        let answer = self.get(path, &format!("127.0.0.1:{}", self.port));
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert!(answer.contains("content-security-policy: default-src 'none'"), "{path}");
        answer
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    pub fn stop(self) {
        self.stop_by("INT");
    }

    pub fn stop_by(mut self, name: &str) {
        signal(&self.child, name);
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
