//! `bench`: whole steps as a table, beside those of another program if one is given.

use super::cores;
use super::racer::{Mode, Racer};
use super::work::{Work, WorkName};
use crate::cli::{BenchSteps, Cli};
use crate::console::{Console, print};
use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;
use engine::Precision;
use evaluator::statistics::median;
use evaluator::sweep::Progress as _;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// Our implementation of the same model in another program, from the project's folder.
const SCRIPT: &str = "experiments/peers/torch_reference.py";

/// Threads that spin for a while after their work are asleep by then.
const REST: Duration = Duration::from_millis(50);

/// What one racer did.
struct Measured {
    /// Of each round's step.
    seconds: Vec<f64>,
    /// GFLOP/s of a large product, after each round's step.
    peaks: Vec<f64>,
    /// Bytes, the most it held in its first steps.
    memory: f64,
}

pub(crate) fn steps(cli: &Cli, asked: &BenchSteps) -> Result<()> {
    let threads = cores(cli)?;
    if let Some(script) = asked.peer.as_ref().map(|_| Path::new(SCRIPT)) {
        ensure!(script.exists(), "{} is not there: start in the project's folder", script.display());
    }
    let works = if asked.works.is_empty() { WorkName::value_variants() } else { &asked.works };
    let mut text = format!(
        "{} rounds, {threads} threads; medians. GFLOP count matrix products and attention, a training step three forward \
         passes; peak is our own product of two matrices of 2048 × 2048, memory what a process holds beyond an empty one\n\n",
        asked.rounds
    );
    text += match asked.peer {
        None => {
            "| work | precision | seconds | tokens/s | GFLOP/s | of peak | memory MB |\n\
                 |------|-----------|--------:|---------:|--------:|--------:|----------:|\n"
        }
        Some(_) => {
            "| work | precision | seconds | tokens/s | GFLOP/s | of peak | memory MB | eager s | compiled s | ours ÷ \
                    best | memory ÷ peer's | peer's peak GFLOP/s |\n\
                    |------|-----------|--------:|---------:|--------:|--------:|----------:|--------:|-----------:|-------:\
                    |------:|------:|\n"
        }
    };
    let console = Console::new(cli);
    let all: Vec<_> =
        works.iter().flat_map(|work| asked.precision.iter().map(move |precision| (*work, *precision))).collect();
    console.begin("steps", 0, (all.len() * usize::from(asked.rounds)) as u64);
    for (done, (name, precision)) in all.into_iter().enumerate() {
        let work = Work::named(name, None, precision)?;
        let further: &[&str] = if asked.recompute { &["--recompute"] } else { &[] };
        let mut racers = vec![Racer::own(name, precision, threads, further)?];
        if let Some(python) = &asked.peer {
            for mode in [Mode::Eager, Mode::Compile] {
                racers.push(Racer::peer(python, Path::new(SCRIPT), &work, mode, precision, threads)?);
            }
        }
        let begun = done * usize::from(asked.rounds);
        let measured = race(&mut racers, asked.rounds.into(), |round| console.advance((begun + round) as u64, ""))?;
        text += &row(name, precision, &work, &measured)?;
    }
    console.end();
    print(&text)
}

/// Lets each make a step, one after the other, round by round, in an order that turns; and between the rounds a large product,
/// for what else the machine does falls on both.
fn race(racers: &mut [Racer], rounds: usize, on_round: impl Fn(usize)) -> Result<Vec<Measured>> {
    let mut times = vec![Vec::new(); racers.len()];
    let mut peaks = vec![Vec::new(); racers.len()];
    let mut memory = Vec::new();
    for round in 0..rounds {
        for turn in 0..racers.len() {
            let index = (round + turn) % racers.len();
            std::thread::sleep(REST);
            times[index].push(racers[index].ask("step")?);
        }
        // Before products are made beside the model.
        if round == 0 {
            memory = racers.iter_mut().map(|racer| racer.ask("memory")).collect::<Result<_>>()?;
        }
        for (racer, peaks) in racers.iter_mut().zip(&mut peaks) {
            std::thread::sleep(REST);
            peaks.push(racer.ask("peak")?);
        }
        on_round(round + 1);
    }
    let measured = times.into_iter().zip(peaks).zip(memory);
    Ok(measured.map(|((seconds, peaks), memory)| Measured { seconds, peaks, memory }).collect())
}

fn row(name: WorkName, precision: Precision, work: &Work, measured: &[Measured]) -> Result<String> {
    let mut text = String::new();
    let (own, peers) = measured.split_first().context("nothing was measured")?;
    let seconds = median(&own.seconds);
    let rate = |seconds: &f64| work.flops() / seconds / 1e9;
    let shares: Vec<f64> = own.seconds.iter().zip(&own.peaks).map(|(seconds, peak)| rate(seconds) / peak).collect();
    write!(
        text,
        "| {name:?} | {} | {seconds:.3} | {:.0} | {:.0} | {:.0} % | {:.0} |",
        precision.name(),
        work.tokens() as f64 / seconds,
        rate(&seconds),
        100.0 * median(&shares),
        own.memory / 1e6
    )?;
    // Round by round: what else the machine did falls on all of a round.
    let ratio = |peer: &Measured| {
        let ratios: Vec<f64> = own.seconds.iter().zip(&peer.seconds).map(|(own, peer)| own / peer).collect();
        median(&ratios)
    };
    if let [eager, compiled] = peers {
        write!(
            text,
            " {:.3} | {:.3} | {:.2} | {:.2} | {:.0} |",
            median(&eager.seconds),
            median(&compiled.seconds),
            ratio(eager).max(ratio(compiled)),
            own.memory / eager.memory.min(compiled.memory),
            median(&eager.peaks).max(median(&compiled.peaks)),
        )?;
    }
    text.push('\n');
    Ok(text)
}
