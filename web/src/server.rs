//! Listening: on the loopback interface, or where others can reach it, if they need a token.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};

use evaluator::store::Reader;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::access::{Access, Token};
use crate::connections;

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
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// An address that other machines could reach, and nothing that keeps them out.
    #[error(
        "a dashboard on {ip} that answers to others needs a token: give --token-file FILE, or set ELASTICTOK_TOKEN; \
         without --listen and --url it is for this machine only"
    )]
    NoToken {
        /// Where it would listen.
        ip: IpAddr,
    },
    /// Every address of the machine, and no name to tell requests for it from others.
    #[error("{ip} is every address of this machine: say at which one browsers open the dashboard, with --url")]
    NoUrl {
        /// Where it would listen.
        ip: IpAddr,
    },
    /// Not what a browser could open, or more than that.
    #[error("«{given}» is not where a server is: write http://NAME or https://NAME, with the port if it has one")]
    Url {
        /// What was given.
        given: String,
    },
    /// A token that could be guessed.
    #[error("the token has {length} characters, too few: make one of at least {least}, with `openssl rand -hex 32`")]
    TokenShort {
        /// Its characters.
        length: usize,
        /// How many it needs.
        least: usize,
    },
    /// A token that does not fit into an address.
    #[error(
        "the token holds the character {character:?}: use letters, digits and - . _ ~ only, as of `openssl rand -hex 32`"
    )]
    TokenCharacter {
        /// The first that does not fit.
        character: char,
    },
}

/// A dashboard that listens, and answers as soon as it is served.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    access: Access,
}

impl Server {
    /// Listens on this address; port 0 is any free one. Others than this machine's programs need the token, and must call
    /// the server as in `url`, or by its address if there is none.
    ///
    /// # Errors
    /// The port is taken or denied, the address is not this machine's; or see [`Access::new`].
    pub async fn bind(address: SocketAddr, url: Option<&str>, token: Option<Token>) -> Result<Self, WebError> {
        Access::new(address, url, token.clone())?; // before anybody can connect
        let refused = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => WebError::PortTaken { port: address.port() },
            io::ErrorKind::PermissionDenied => WebError::PortDenied { port: address.port() },
            _ => WebError::Listen { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, access: Access::new(address, url, token)? })
    }

    /// What to open in a browser.
    pub fn url(&self) -> String {
        self.access.url()
    }

    /// Serves the store until `shutdown` is ready, and for less than a second more.
    pub async fn serve(self, reader: Reader, shutdown: impl Future<Output = ()>) {
        let stopping = CancellationToken::new();
        let router = crate::router(reader, self.access, stopping.clone());
        connections::serve(self.listener, router, stopping, shutdown).await;
    }
}
