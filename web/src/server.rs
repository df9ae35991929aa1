//! Listening on the loopback interface, and nowhere else.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use evaluator::store::Reader;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Why the dashboard could not be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// Another program listens there.
    #[error("port {port} is taken by another program: choose another with --port, or --port 0 for any free one")]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// A port that this user may not listen on.
    #[error("this user may not listen on port {port}: choose one from 1024 up, or --port 0 for any free one")]
    PortDenied {
        /// The port.
        port: u16,
    },
    /// Any other reason not to listen.
    #[error("cannot listen on port {port} of this machine: {source}")]
    Listen {
        /// The port.
        port: u16,
        /// Why not.
        source: io::Error,
    },
    /// A listener that other machines could reach.
    #[error("the dashboard is for this machine only, and {address} can be reached from others: listen on 127.0.0.1")]
    NotLoopback {
        /// Where it listens.
        address: SocketAddr,
    },
    /// The server stopped on its own.
    #[error("the dashboard stopped: {0}")]
    Serve(#[from] io::Error),
}

/// Listens on this port of 127.0.0.1; port 0 is any free one.
pub async fn bind(port: u16) -> Result<TcpListener, WebError> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => WebError::PortTaken { port },
        io::ErrorKind::PermissionDenied => WebError::PortDenied { port },
        _ => WebError::Listen { port, source },
    })
}

/// Serves the dashboard until `shutdown` is ready and the requests in flight are answered.
pub async fn serve(
    reader: Reader,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), WebError> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        return Err(WebError::NotLoopback { address });
    }
    let ended = CancellationToken::new();
    let router = crate::router(reader, address.port(), ended.clone());
    let stop = async move {
        shutdown.await;
        // A page that follows running work never ends by itself.
        ended.cancel();
    };
    axum::serve(listener, router).with_graceful_shutdown(stop).await?;
    Ok(())
}
