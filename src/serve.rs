//! `serve`: the dashboard, on this machine or for whoever has the token.

use crate::cli::{Cli, Serve};
use anyhow::{Context as _, Result, ensure};
use evaluator::EvaluatorError;
use evaluator::store::Store;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use web::{Server, Token};

const TOKEN_VARIABLE: &str = "ELASTICTOK_TOKEN";

pub(crate) fn serve(cli: &Cli, command: &Serve) -> Result<()> {
    let token = token(command.token_file.as_deref())?;
    let hint = if token.is_some() { "it asks for the token; " } else { "" };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    let outcome = runtime.block_on(async {
        let address = SocketAddr::new(command.listen, command.port);
        let server = Server::bind(address, command.url.as_deref(), token).await?;
        let reader = Store::open_existing_read_only(cli.db()).await.map_err(EvaluatorError::from)?;
        let url = server.url();
        println!("{url}  ({hint}Ctrl-C stops it)");
        if command.open
            && let Err(error) = open::that_detached(&url)
        {
            eprintln!("cannot open a browser ({error}); open {url} yourself");
        }
        server.serve(reader, stopped()).await;
        Ok(())
    });
    // A figure that is still being drawn would hold the process up, and nobody is left to see it.
    runtime.shutdown_background();
    outcome
}

/// The token that people need, if any. Not a word of it is ever printed.
fn token(file: Option<&Path>) -> Result<Option<Token>> {
    match file {
        Some(file) => {
            let context = || format!("reading the token in {}", file.display());
            let mode = file.metadata().with_context(context)?.mode();
            ensure!(
                mode & 0o077 == 0,
                "other users of this machine may read the token in {0}: take their rights with `chmod 600 {0}`",
                file.display()
            );
            let text = std::fs::read_to_string(file).with_context(context)?;
            Ok(Some(Token::new(text.trim()).with_context(context)?))
        }
        None => match std::env::var_os(TOKEN_VARIABLE) {
            Some(text) => {
                let token = Token::new(&text.to_string_lossy());
                Ok(Some(token.with_context(|| format!("reading the token in the variable {TOKEN_VARIABLE}"))?))
            }
            None => Ok(None),
        },
    }
}

/// Ends when Ctrl-C is pressed or the process is asked to end.
async fn stopped() {
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        // Without the signal only Ctrl-C stops it.
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
