//! `bench tokens`: what a training step takes as its sequence grows.

use super::cores;
use super::racer::Racer;
use super::work::{Work, WorkName};
use crate::cli::{BenchTokens, Cli};
use crate::console::{Console, print};
use anyhow::Result;
use evaluator::statistics::median;
use evaluator::sweep::Progress as _;
use std::fmt::Write as _;

/// Steps of the work L on sequences of these lengths: on one thread, on all, and on all with `train.recompute`.
pub(crate) fn tokens(cli: &Cli, asked: &BenchTokens) -> Result<()> {
    let threads = cores(cli)?;
    let mut text = format!(
        "training, 256 wide, 1 + 1 layers, blocks of 1024 tokens, block-causal, {}; medians of {} steps, made in turn on 1 \
         thread, on {threads}, and on {threads} with train.recompute; memory is what a process holds beyond an empty one\n\n\
         | tokens | s, 1 thread | s, {threads} threads | scaling | ms a token | GFLOP/s | MB | KB a token | s, recompute \
         | MB, recompute |\n\
         |-------:|-----:|-----:|-----:|-----:|-----:|-----:|-----:|-----:|-----:|\n",
        asked.precision.name(),
        asked.rounds
    );
    let console = Console::new(cli);
    console.begin("tokens", 0, asked.thousands.len() as u64);
    for (done, thousands) in asked.thousands.iter().enumerate() {
        let work = Work::named(WorkName::L, Some(thousands.get()), asked.precision)?;
        let blocks = thousands.to_string();
        let with = |threads, further: &[&str]| {
            Racer::own(WorkName::L, asked.precision, threads, &[&["--blocks", &blocks], further].concat())
        };
        let mut racers = [with(1, &[])?, with(threads, &[])?, with(threads, &["--recompute"])?];
        let mut seconds = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..asked.rounds {
            for (racer, seconds) in racers.iter_mut().zip(&mut seconds) {
                seconds.push(racer.ask("step")?);
            }
        }
        let [one, all, again] = seconds.map(|seconds| median(&seconds));
        let count = work.tokens() as f64;
        let (memory, least) = (racers[1].ask("memory")?, racers[2].ask("memory")?);
        writeln!(
            text,
            "| {count} | {one:.3} | {all:.3} | {:.2} | {:.3} | {:.0} | {:.0} | {:.1} | {again:.3} | {:.0} |",
            one / all,
            1e3 * all / count,
            work.flops() / all / 1e9,
            memory / 1e6,
            memory / count / 1e3,
            least / 1e6
        )?;
        console.advance(done as u64 + 1, "");
    }
    console.end();
    print(&text)
}
