//! The server on a real socket.

use crate::fixture::{Plan, fill, open};
use evaluator::store::{Reader, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use web::{Server, WebError};

struct Served {
    host: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Served {
    async fn start(store: &Store) -> Self {
        let server = Server::bind(([127, 0, 0, 1], 0).into(), None, None).await.unwrap();
        let host = server.url().strip_prefix("http://").unwrap().to_owned();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(server.serve(Reader::clone(store), async {
            let _ = stopped.await;
        }));
        Self { host, stop, server }
    }

    /// A connection, and the first that comes on it when this is asked for.
    async fn ask(&self, path: &str) -> (TcpStream, String) {
        let mut connection = TcpStream::connect(&self.host).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let length = connection.read(&mut answer).await.unwrap();
        (connection, String::from_utf8_lossy(&answer[..length]).into_owned())
    }
}

#[tokio::test]
async fn it_answers_until_it_is_asked_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(&open(folder.path()).await).await;
    // The idle connection stays open, and does not hold the server up.
    let (_idle, answer) = served.ask("/healthz").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok\n"), "{answer}");
    served.stop.send(()).unwrap();
    served.server.await.unwrap();
    assert!(TcpStream::connect(&served.host).await.is_err());
}

#[tokio::test]
async fn a_connection_goes_on_after_an_answer_without_a_body() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(&open(folder.path()).await).await;
    let (mut connection, _) = served.ask("/healthz").await;
    for _ in 0..2 {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nIf-None-Match: *\r\n\r\n", served.host);
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let length = connection.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.starts_with("HTTP/1.1 304 Not Modified\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
        let length = answer.to_ascii_lowercase();
        assert!(!length.contains("content-length") && !length.contains("transfer-encoding"), "{answer}");
    }
    served.stop.send(()).unwrap();
    served.server.await.unwrap();
}

#[tokio::test]
async fn pages_that_follow_running_work_are_told_that_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    fill(&store, &Plan::default()).await;
    let served = Served::start(&store).await;
    let (mut following, answer) = served.ask("/experiments/1/live").await;
    assert!(answer.contains("text/event-stream"), "{answer}");
    served.stop.send(()).unwrap();
    let mut rest = Vec::new();
    following.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream ends, and is not cut: {}", String::from_utf8_lossy(&rest));
    served.server.await.unwrap();
}

#[tokio::test]
async fn a_taken_port_and_a_foreign_address_say_what_to_do() {
    let taken = Server::bind(([127, 0, 0, 1], 0).into(), None, None).await.unwrap();
    let address = taken.url().strip_prefix("http://").unwrap().parse().unwrap();
    let error = Server::bind(address, None, None).await.unwrap_err();
    assert!(matches!(error, WebError::PortTaken { .. }));
    assert!(error.to_string().contains("choose another with --port"), "{error}");
    // An address for documentation, which no machine has.
    let token = web::Token::new("0123456789abcdef").unwrap();
    let error = Server::bind(([192, 0, 2, 1], 0).into(), None, Some(token)).await.unwrap_err();
    assert!(error.to_string().contains("192.0.2.1"), "{error}");
}

#[tokio::test]
async fn other_machines_are_kept_out() {
    let error = Server::bind(([0, 0, 0, 0], 0).into(), None, None).await.unwrap_err();
    assert!(matches!(error, WebError::NoToken { .. }), "{error}");
}
