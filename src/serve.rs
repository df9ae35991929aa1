//! `serve`: the dashboard on this machine.

use crate::cli::{Cli, Serve};
use anyhow::{Context as _, Result};
use evaluator::EvaluatorError;
use evaluator::store::Store;

pub(crate) fn serve(cli: &Cli, command: &Serve) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(async {
        let reader = Store::open_existing_read_only(&cli.db).await.map_err(EvaluatorError::from)?;
        let listener = web::bind(command.port).await?;
        let address = format!("http://{}", listener.local_addr().context("asking for the port")?);
        println!("{address}  (Ctrl-C stops it)");
        if command.open
            && let Err(error) = open::that_detached(&address)
        {
            eprintln!("cannot open a browser ({error}); open {address} yourself");
        }
        web::serve(reader, listener, stopped()).await?;
        Ok(())
    })
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
