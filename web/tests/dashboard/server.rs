//! The server on a real socket.

use std::time::Duration;

use crate::fixture::open;
use evaluator::store::Reader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use web::WebError;

#[tokio::test]
async fn it_answers_until_it_is_asked_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let listener = web::bind(0).await.unwrap();
    let address = listener.local_addr().unwrap();
    assert!(address.ip().is_loopback());
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(web::serve(Reader::clone(&store), listener, async {
        let _ = stopped.await;
    }));

    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = connection.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok\n"), "{answer}");

    // The idle connection stays open, and does not hold the server up.
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), server).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_page_that_follows_running_work_does_not_hold_it_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    crate::fixture::fill(&store, &crate::fixture::Plan::default()).await;
    let listener = web::bind(0).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(web::serve(Reader::clone(&store), listener, async {
        let _ = stopped.await;
    }));

    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /experiments/1/live HTTP/1.1\r\nHost: {address}\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = connection.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).to_lowercase();
    assert!(answer.contains("text/event-stream"), "{answer}");

    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_taken_port_says_what_to_do() {
    let taken = web::bind(0).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = web::bind(port).await.unwrap_err();
    assert!(matches!(error, WebError::PortTaken { .. }));
    assert!(error.to_string().contains("choose another with --port"), "{error}");
}

#[tokio::test]
async fn other_machines_are_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let everywhere = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let error = web::serve(Reader::clone(&store), everywhere, std::future::pending()).await.unwrap_err();
    assert!(matches!(error, WebError::NotLoopback { .. }), "{error}");
}
