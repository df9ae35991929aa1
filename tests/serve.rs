//! `elastictok serve`: the built binary answers a browser's requests, and nobody else's, until it is asked to end.

mod common;

use common::served::Served;
use common::{Bench, texts};
use evaluator::store::Store;
use std::fs::Permissions;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

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
    assert!(home.contains("Trade-offs: tiny") && home.contains("14 finished trials"), "{home}");
    let list = served.page("/experiments");
    assert!(list.contains("Does everything work?"), "{list}");
    let experiment = link(&list, "/experiments/");
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
    let experiment = link(&served.page("/experiments"), "/experiments/");
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

/// A bench with a store that holds nothing yet.
fn empty() -> Bench {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("results")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { Store::open(bench.db()).await.unwrap().close().await });
    bench
}

fn write_token(bench: &Bench, text: &str, mode: u32) {
    std::fs::write(bench.path("token"), text).unwrap();
    std::fs::set_permissions(bench.path("token"), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn others_are_let_in_only_with_a_token_that_is_a_secret() {
    let bench = empty();
    for arguments in [&["serve", "--listen", "0.0.0.0"][..], &["serve", "--url", "http://bench.example"]] {
        let message = bench.refuse(arguments);
        assert!(message.contains("needs a token") && message.contains("--token-file"), "{message}");
    }
    let with_token = ["serve", "--listen", "0.0.0.0", "--token-file", "token"];
    let message = bench.refuse(&with_token);
    assert!(message.contains("reading the token in token"), "{message}");
    write_token(&bench, "0123456789abcdef\n", 0o644);
    let message = bench.refuse(&with_token);
    assert!(message.contains("chmod 600 token"), "{message}");
    write_token(&bench, "0123\n", 0o600);
    let message = bench.refuse(&with_token);
    assert!(message.contains("4 characters") && !message.contains("0123"), "{message}");
    write_token(&bench, "0123456789abcdef\n", 0o600);
    let message = bench.refuse(&with_token);
    assert!(message.contains("--url"), "which name is it? {message}");
    let output = bench.command(&["serve"]).env("ELASTICTOK_TOKEN", "").output().unwrap();
    let (_, message) = texts(&output);
    assert!(message.contains("ELASTICTOK_TOKEN") && message.contains("0 characters"), "{message}");
}

#[test]
fn a_token_is_asked_for_and_the_signal_to_end_is_heard_under_way() {
    let bench = empty();
    write_token(&bench, "0123456789abcdef\n", 0o600);
    let served = Served::start_with(&bench, &["--token-file", "token"]);
    let host = format!("Host: 127.0.0.1:{}\r\n", served.port);
    assert!(served.ask("/", &host).starts_with("HTTP/1.1 401"));
    let answer = served.ask("/", &format!("{host}Authorization: Bearer 0123456789abcdef\r\n"));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("The results store is empty"), "{answer}");
    // One connection idles and one is in the middle of its request.
    let _idle = TcpStream::connect(("127.0.0.1", served.port)).unwrap();
    let mut half = TcpStream::connect(("127.0.0.1", served.port)).unwrap();
    write!(half, "GET / HTTP/1.1\r\n").unwrap();
    served.stop_by("TERM");
}
