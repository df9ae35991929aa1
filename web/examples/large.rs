//! How fast the dashboard is over a large store: `cargo run --release -p web --example large [TRIALS]`.
//!
//! Makes a store of 100 000 trials and 5 million measurements (or of fewer trials), asks for each page twenty times as a
//! browser would, without a socket, and prints the medians of server time and the process's memory.

#[path = "../tests/dashboard/fixture/mod.rs"]
mod fixture;

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use evaluator::store::Store;
use fixture::large::{Size, fill_large};
use fixture::open;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

const ASKED: usize = 20;
/// Of each trial; two metrics of each are measured.
const SAMPLES: u32 = 25;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let trials: u32 = std::env::args().nth(1).map_or(Ok(100_000), |trials| trials.parse())?;
    let folder = tempfile::tempdir()?;
    let store = open(folder.path()).await;
    let size = Size { experiments: (trials / 1000).max(1), trials: trials.min(1000), samples: SAMPLES };
    let began = Instant::now();
    fill_large(&store, &size).await;
    println!("{trials} trials, {} measurements, made in {:.1?}", size.measurements(), began.elapsed());
    let path = store.path().to_owned();
    println!("database: {} MB", path.metadata()?.len() / 1_000_000);
    store.close().await;

    let reader = Store::open_existing_read_only(&path).await?;
    let access = web::Access::new(([127, 0, 0, 1], 1).into(), None, None)?;
    let router = web::router(reader, access, Default::default());
    let began = Instant::now();
    let (_, first) = ask(&router, "/").await?;
    println!("{:>9.1?}  the very first page", began.elapsed());
    let filter = |page: &str| Some(page.split("name=\"f\" value=\"").nth(1)?.split('"').next()?.to_owned());
    let filter = filter(&first).ok_or("the first page has no filter")?;
    let last = size.experiments;
    for path in [
        "/".to_owned(),
        format!("/?f={filter}"),
        "/?e=all".to_owned(),
        format!("/?e=all&f={filter}"),
        format!("/?e=all&f={filter}&sort=-psnr"),
        "/experiments".to_owned(),
        format!("/experiments/{last}"),
        format!("/experiments/{last}/trials/{trials}"),
        format!("/compare?t={},{}", trials - 900, trials),
        "/trade-offs/table.csv?e=all".to_owned(),
    ] {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..ASKED {
            let (time, page) = ask(&router, &path).await?;
            times.push(time);
            bytes = page.len();
        }
        times.sort();
        println!("{:>9.1?}  {:>9} bytes  {path}", times[ASKED / 2], bytes);
    }
    println!("memory: {}", memory()?);
    Ok(())
}

async fn ask(router: &Router, path: &str) -> Result<(Duration, String), Box<dyn std::error::Error>> {
    let began = Instant::now();
    let request = Request::get(path).header("host", "127.0.0.1:1").body(Body::empty())?;
    let answer = router.clone().oneshot(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    let time = began.elapsed();
    if !status.is_success() {
        return Err(format!("{path}: {status}").into());
    }
    Ok((time, String::from_utf8_lossy(&body).into_owned()))
}

/// Now and at most.
fn memory() -> std::io::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let lines = status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    Ok(lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", "))
}
