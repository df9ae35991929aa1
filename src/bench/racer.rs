//! Processes that make a step when they are asked to, so that several can be timed in turn.
//!
//! A racer says `ready` when it has made its first steps. Then it answers each line of its input with a number: `step`
//! makes one and says its seconds, `peak` says the GFLOP/s of a large product, `memory` the most bytes it held beyond
//! what it held before it made its model. It ends with its input.

use super::work::{Work, WorkName};
use crate::cli::{BenchRacer, Cli};
use crate::dry_run::Grey;
use crate::run::use_threads;
use anyhow::{Context as _, Result, bail, ensure};
use engine::ops::Scope;
use engine::plan::product_flops;
use engine::tensor::tokens;
use engine::train::{Start, TrainConfig, Trainer};
use engine::{ElasticTok, Precision, PrefixMask};
use evaluator::EvaluatorError;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Steps before the first that counts.
const WARM_UP: usize = 2;

/// A first step this long warms up enough; a second would only take time.
const LONG_STEP: Duration = Duration::from_secs(10);

/// How the other program computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Eager,
    Compile,
}

/// One process.
pub(super) struct Racer {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    name: String,
}

impl Racer {
    /// This program with further arguments of [`BenchRacer`].
    pub(super) fn own(name: WorkName, precision: Precision, threads: usize, further: &[&str]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.args(["bench", "racer", &value_name(&name), "--precision", precision.name()]);
        command.args(["--threads", &threads.to_string()]).args(further);
        Self::start(command, "elastictok")
    }

    /// `experiments/peers/torch_reference.py`, or a program that speaks as it does.
    pub(super) fn peer(
        python: &Path,
        script: &Path,
        work: &Work,
        mode: Mode,
        precision: Precision,
        threads: usize,
    ) -> Result<Self> {
        let mode = if mode == Mode::Eager { "eager" } else { "compile" };
        let mut command = Command::new(python);
        command.arg(script).arg("step").arg(work.json().to_string());
        command.args(["--mode", mode, "--precision", precision.name(), "--threads", &threads.to_string()]);
        Self::start(command, &format!("the peer ({mode})"))
    }

    fn start(mut command: Command, name: &str) -> Result<Self> {
        let about = format!("starting {name}: {}", command.get_program().display());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context(about)?;
        let questions = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut racer = Self { process, questions, answers, name: name.to_owned() };
        let said = racer.hear()?;
        ensure!(said == "ready", "{name} said {said:?} instead of ready");
        Ok(racer)
    }

    fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).with_context(|| format!("hearing {}", self.name))?;
        if line.is_empty() {
            let status = self.process.wait().with_context(|| format!("waiting for {}", self.name))?;
            bail!("{} ended ({status}); what it said is above", self.name);
        }
        Ok(line.trim_end().to_owned())
    }

    /// Its answer.
    pub(super) fn ask(&mut self, question: &str) -> Result<f64> {
        writeln!(self.questions, "{question}").with_context(|| format!("asking {}", self.name))?;
        let answer = self.hear()?;
        answer.parse().with_context(|| format!("{} said {answer:?} to {question:?}", self.name))
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn value_name(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().expect("every value has a name").get_name().to_owned()
}

/// Answers the questions of another process of this program: see the [module's page](self).
pub(crate) fn racer(cli: &Cli, asked: &BenchRacer) -> Result<()> {
    use_threads(cli)?;
    let bare = status("VmRSS")?;
    let work = Work::named(asked.work, asked.blocks, asked.precision)?;
    let mut step = stepper(&work, asked.recompute)?;
    for _ in 0..WARM_UP {
        let began = Instant::now();
        step()?;
        if began.elapsed() > LONG_STEP {
            break;
        }
    }
    println!("ready");
    for line in std::io::stdin().lines() {
        let told = match line.context("reading what to do")?.trim() {
            "step" => {
                let began = Instant::now();
                step()?;
                began.elapsed().as_secs_f64()
            }
            "memory" => status("VmHWM")? - bare,
            "peak" => product_flops(asked.precision) / 1e9,
            other => bail!("{other:?}: say step, memory or peak"),
        };
        println!("{told}");
    }
    Ok(())
}

/// What makes one step.
fn stepper(work: &Work, recompute: bool) -> Result<Box<dyn FnMut() -> Result<()>>> {
    let Work { ref model, sequences, blocks, is_training } = *work;
    if is_training {
        let train = TrainConfig { batch: sequences, recompute, ..TrainConfig::default() };
        let grey = Grey { blocks, block: model.block.values() };
        let start = Start { model: model.clone(), train, seed: 0 };
        let mut trainer = Trainer::new(start, grey).map_err(EvaluatorError::from)?;
        return Ok(Box::new(move || Ok(trainer.advance().map(drop).map_err(EvaluatorError::from)?)));
    }
    let model = ElasticTok::new(model.clone(), 0).map_err(EvaluatorError::from)?;
    let layout = model.layout(sequences, blocks);
    let (scope, width) = (Scope::block_causal(layout), model.config().block.patch_values());
    let mask = PrefixMask::new(layout.tokens_per_block, vec![layout.tokens_per_block / 2; sequences * blocks]);
    let patches = tokens(vec![0.1; layout.tokens() * width], layout.tokens(), width);
    Ok(Box::new(move || {
        std::hint::black_box(model.reconstruct(patches.clone(), &mask, &scope));
        Ok(())
    }))
}

/// Bytes, as the system counts them for this process.
fn status(key: &str) -> Result<f64> {
    let all = std::fs::read_to_string("/proc/self/status").context("reading this process's memory")?;
    let line = all.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    Ok(1024.0 * kibibytes.with_context(|| format!("the system does not tell {key}"))?)
}
