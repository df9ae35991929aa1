//! Real sockets. Where a limit is a time, the clock is paused: it jumps to the next deadline when nothing else happens.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::body::{Body, Bytes};
use axum::routing::get;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";

struct Served {
    address: SocketAddr,
    stopping: CancellationToken,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Served {
    /// Routes beside `/`, which says «well».
    async fn start(others: Router) -> Self {
        Self::with(others, CancellationToken::new()).await
    }

    async fn with(others: Router, stopping: CancellationToken) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let router = others.route("/", get(|| async { "well" }));
        let shutdown = async move {
            let _ = stopped.await;
        };
        let server = tokio::spawn(serve(listener, router, stopping.clone(), shutdown));
        Self { address, stopping, stop, server }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends this, and reads until the server closes the connection.
    async fn exchange(&self, request: impl AsRef<[u8]>) -> String {
        let mut connection = self.connect().await;
        // The server may answer and close before all is sent.
        let _ = connection.write_all(request.as_ref()).await;
        rest(&mut connection).await
    }

    /// Asks the server to end, and waits for it.
    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.server.await.unwrap();
    }
}

async fn rest(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// One answer on a connection that stays open.
async fn well(connection: &mut TcpStream) {
    connection.write_all(REQUEST.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nwell") {
        assert!(connection.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
    }
}

/// Bytes that tell the receiver when nobody wants any more of them.
fn watched(bytes: impl Stream<Item = Bytes> + Send + 'static) -> (Body, mpsc::Receiver<()>) {
    let (alive, ended) = mpsc::channel(1);
    let bytes = bytes.map(move |bytes| {
        let _ = &alive;
        Ok::<_, Infallible>(bytes)
    });
    (Body::from_stream(bytes), ended)
}

/// A route that sends one body, once.
fn once(body: Body) -> Router {
    let body = std::sync::Arc::new(std::sync::Mutex::new(Some(body)));
    Router::new().route("/once", get(move || async move { body.lock().unwrap().take().unwrap() }))
}

#[tokio::test(start_paused = true)]
async fn a_slow_header_and_an_idle_connection_are_cut_off() {
    let served = Served::start(Router::new()).await;
    let (mut silent, mut slow, mut idle) = (served.connect().await, served.connect().await, served.connect().await);
    slow.write_all(b"GET / HTTP/1.1\r\nHost: he").await.unwrap();
    well(&mut idle).await;
    for (what, connection) in [("silent", &mut silent), ("slow", &mut slow), ("idle", &mut idle)] {
        assert!(!rest(connection).await.contains("200"), "{what}");
    }
    well(&mut served.connect().await).await;
    served.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_header_that_comes_byte_by_byte_has_no_more_time() {
    let served = Served::start(Router::new()).await;
    let mut connection = served.connect().await;
    let mut sent = 0;
    while connection.write_all(b"x").await.is_ok() && sent < 1000 {
        sleep(Duration::from_secs(1)).await;
        sent += 1;
    }
    assert!(sent < 20, "{sent} seconds for the method alone");
    served.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_takes_no_answer_is_cut_off() {
    let block = Bytes::from(vec![b'x'; 64 * 1024]);
    let (body, mut ended) = watched(stream::repeat(block));
    let served = Served::start(once(body)).await;
    let mut greedy = served.connect().await;
    greedy.write_all(b"GET /once HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
    assert_eq!(ended.recv().await, None, "the answer is given up");
    served.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_waits_until_another_ends() {
    let served = Served::start(Router::new()).await;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = served.connect().await;
        well(&mut connection).await;
        open.push(connection);
    }
    let mut late = served.connect().await;
    late.write_all(REQUEST.as_bytes()).await.unwrap();
    // The others are answered meanwhile, and this one is not.
    for connection in &mut open {
        well(connection).await;
    }
    let mut answer = Vec::new();
    assert!(late.try_read_buf(&mut answer).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
    drop(open.pop());
    assert!(late.read_buf(&mut answer).await.unwrap() > 0);
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    served.stop().await;
}

#[tokio::test(start_paused = true)]
async fn streams_end_when_the_server_stops_and_deaf_ones_within_a_second() {
    let tick = || stream::once(async { Bytes::from_static(b"tick") });
    let (deaf, mut deaf_ended) = watched(tick().chain(stream::pending()));
    let stopping = CancellationToken::new();
    let told = stopping.clone();
    let listening = move || async move {
        let ticks = tick().chain(stream::pending()).take_until(told.cancelled_owned());
        Body::from_stream(ticks.map(Ok::<_, Infallible>))
    };
    let served = Served::with(once(deaf).route("/listens", get(listening)), stopping).await;
    let mut connections = Vec::new();
    for path in ["/listens", "/once"] {
        let mut connection = served.connect().await;
        connection.write_all(format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"tick\r\n") {
            assert!(connection.read_buf(&mut answer).await.unwrap() > 0);
        }
        connections.push(connection);
    }
    let (stopping, began) = (served.stopping.clone(), Instant::now());
    served.stop().await;
    assert!(stopping.is_cancelled());
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(deaf_ended.recv().await, None);
    assert_eq!(rest(&mut connections[0]).await, "0\r\n\r\n", "a stream that listens ends as it should");
    assert_eq!(rest(&mut connections[1]).await, "", "the other is cut");
}

#[tokio::test]
async fn a_request_in_flight_is_still_answered() {
    let (arrived, finish) = (std::sync::Arc::new(Notify::new()), std::sync::Arc::new(Notify::new()));
    let (tell, wait) = (arrived.clone(), finish.clone());
    let work = move || async move {
        tell.notify_one();
        wait.notified().await;
        "done"
    };
    let served = Served::start(Router::new().route("/work", get(work))).await;
    let (mut busy, mut idle) = (served.connect().await, served.connect().await);
    well(&mut idle).await;
    busy.write_all(b"GET /work HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
    arrived.notified().await;
    let address = served.address;
    served.stop.send(()).unwrap();
    assert_eq!(rest(&mut idle).await, "", "an idle connection ends at once");
    assert!(TcpStream::connect(address).await.is_err(), "nobody new is let in");
    finish.notify_one();
    assert!(rest(&mut busy).await.ends_with("done"));
    served.server.await.unwrap();
}

#[tokio::test]
async fn what_is_no_request_ends_its_connection_and_nothing_else() {
    let served = Served::start(Router::new()).await;
    let lines = |count: usize| (0..count).map(|line| format!("x-{line}: y\r\n")).collect::<String>();
    let header = |lines: &str| format!("GET / HTTP/1.1\r\nHost: here\r\n{lines}\r\n");
    let long = "y".repeat(2 * HEADER_BYTES);
    for (request, expected) in [
        ("\x16\x03\x01 hello\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        ("GET /\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), ""),
        (header("na\nme: x\r\n"), "HTTP/1.1 400"),
        (header(&lines(HEADER_LINES)), "HTTP/1.1 431"),
        (header(&format!("x: {long}\r\n")), "HTTP/1.1 431"),
        (format!("GET / HTTP/1.1\r\nHost: {long}"), "HTTP/1.1 431"),
        (format!("GET /?{long}"), "HTTP/1.1 431"),
        (header("Content-Length: 1\r\nContent-Length: 2\r\n") + "ab", "HTTP/1.1 400"),
        (header("Content-Length: -1\r\n"), "HTTP/1.1 400"),
    ] {
        let answer = served.exchange(&request).await;
        let is_expected = if expected.is_empty() { answer.is_empty() } else { answer.starts_with(expected) };
        assert!(is_expected, "{}: {answer}", request.chars().take(80).collect::<String>());
    }
    // The first request of a pipeline is answered; what follows is no request.
    let answer = served.exchange(format!("{REQUEST}\u{0}\u{1}garbage\r\n\r\n{REQUEST}")).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 400").count(), 1, "{answer}");
    // Two ways to tell where the body ends: what follows it by one of them is not taken for a request.
    let smuggling = header("Content-Length: 100\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n" + REQUEST;
    let answer = served.exchange(smuggling).await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    well(&mut served.connect().await).await;
    served.stop().await;
}

#[tokio::test]
async fn a_body_that_nobody_asked_for_is_not_read() {
    let served = Served::start(Router::new()).await;
    let mut connection = served.connect().await;
    connection.write_all(b"GET / HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\nbody").await.unwrap();
    well(&mut connection).await;
    // One that never ends: the answer comes, and the connection is closed.
    let mut endless = served.connect().await;
    endless
        .write_all(b"GET / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .await
        .unwrap();
    let answer = rest(&mut endless).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("well"), "{answer}");
    served.stop().await;
}
