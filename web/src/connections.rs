//! Connections: how many, how long, and how they end.
//!
//! axum's own `serve` waits for ever for a request's header and for the last answer. Here both have a limit, so that
//! neither a forgotten browser nor a hostile one can use the server up or keep it from ending. A connection beyond the
//! limit is not refused: it waits in the system's queue until another ends, which the limits see to.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

/// Connections at once. A browser opens six to a server, and one more for each page that is followed live.
const CONNECTIONS: usize = 128;
/// For a request's header to arrive, the first byte included: so an idle connection ends after it too.
const HEADER_TIME: Duration = Duration::from_secs(15);
/// For the other side to take what is ready for it.
const WRITE_TIME: Duration = Duration::from_secs(30);
/// Lines of a request's header, and bytes of all of them.
const HEADER_LINES: usize = 64;
const HEADER_BYTES: usize = 16 * 1024;
/// For requests in flight when the server is asked to end: all in all it is gone within a second.
const GRACE: Duration = Duration::from_millis(800);
/// After the system could not accept, most likely for want of file handles.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers until `shutdown` is ready. Then idle connections end at once, `stopping` tells streams that would go on for
/// ever, requests in flight get a little longer, and what is open after that is cut.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stopping: CancellationToken,
    shutdown: impl Future<Output = ()>,
) {
    let closing = GracefulShutdown::new();
    let mut open = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    open.spawn(converse(stream, router.clone(), closing.watcher()));
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(_) => sleep(PAUSE).await,
            },
        }
    }
    drop(listener);
    stopping.cancel();
    let _ = timeout(GRACE, closing.shutdown()).await;
    open.shutdown().await;
}

/// Answers the requests of one connection. How it ends concerns nobody but the other side.
async fn converse(stream: TcpStream, router: Router, closing: Watcher) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIME));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_headers(HEADER_LINES)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router));
    let _ = closing.watch(connection).await;
}

/// Whether a connection was lost before it was accepted, and the next may be well.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests;
