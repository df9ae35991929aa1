//! The dashboard over a temporary store of made-up results: `cargo run -p web --example demo [PORT]`.

#[path = "../tests/dashboard/fixture/mod.rs"]
mod fixture;

use evaluator::store::Reader;
use fixture::{Plan, fill, open};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let folder = tempfile::tempdir()?;
    let store = open(folder.path()).await;
    let video = Plan {
        name: "clips".into(),
        question: "Does a block need fewer tokens when it sees the blocks before it?".into(),
        blocks: 6,
        frames: 4,
        fails: true,
        ..Plan::default()
    };
    let photos =
        Plan { sources: 8, thresholds: vec![0.003, 0.007, 0.015], predicts: true, under_way: true, ..Plan::default() };
    fill(&store, &video).await;
    fill(&store, &photos).await;
    let server = web::Server::bind(([127, 0, 0, 1], port).into(), None, None).await?;
    println!("{}  (Ctrl-C ends it)", server.url());
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    server.serve(Reader::clone(&store), stop).await;
    Ok(())
}
