//! `run`, `train`, `evaluate`: do what an experiment asks and the store lacks.

use crate::allocator;
use crate::cli::{Cli, Experiment as Asked, Format, Run};
use crate::console::{Console, print, write_file};
use crate::{dry_run, figure, machines, table};
use anyhow::{Context as _, Result, ensure};
use engine::ring::Mesh;
use engine::ring::ranks::Ranks;
use evaluator::experiment::Experiment;
use evaluator::report::Report;
use evaluator::store::Store;
use evaluator::sweep::{self, DataSets, Options, Outcome, Progress, Silent, Stop, Until};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) fn run(cli: &Cli, command: &Run, ranks: Option<&Ranks>) -> Result<()> {
    let experiment = load(&command.experiment)?;
    if command.dry_run {
        let is_follower = ranks.is_some_and(|ranks| ranks.rank() > 0);
        return if is_follower {
            Ok(())
        } else {
            dry_run::print(cli, &experiment, command.experiment.mesh.unwrap_or(Mesh::ONE))
        };
    }
    let done = perform(cli, &command.experiment, &experiment, Until::Evaluated, ranks)?;
    let Some((report, outcome)) = done else { return Ok(()) };
    say_outcome(cli, &outcome);
    let (folder, results) = (folder(cli.db(), &report), report.table());
    for format in [Format::Markdown, Format::Latex, Format::Csv] {
        let file = folder.join("table").with_extension(table::extension(format));
        write_file(&file, table::render(&results, format).as_bytes())?;
    }
    for (name, chart) in [("satisfaction", report.satisfaction_figure()), ("quality", report.quality_figure())] {
        for extension in ["svg", "png"] {
            figure::write(&chart, &folder.join(name).with_extension(extension))?;
        }
    }
    print(&format!(
        "{}\n{}\n\ntables    {}\nfigures   {}\ndashboard elastictok serve --open{}\n",
        table::render(&results, Format::Markdown),
        results.caption,
        folder.join("table.{md,tex,csv}").display(),
        folder.join("{satisfaction,quality}.{svg,png}").display(),
        db_option(cli)
    ))
}

pub(crate) fn train(cli: &Cli, command: &Asked, ranks: Option<&Ranks>) -> Result<()> {
    let done = perform(cli, command, &load(command)?, Until::Trained, ranks)?;
    let Some((_, outcome)) = done else { return Ok(()) };
    print(&format!("{} trained, {} trained before\n", outcome.trained, outcome.trained_before))
}

pub(crate) fn evaluate(cli: &Cli, command: &Asked, ranks: Option<&Ranks>) -> Result<()> {
    let done = perform(cli, command, &load(command)?, Until::Evaluated, ranks)?;
    let Some((report, outcome)) = done else { return Ok(()) };
    print(&format!(
        "{} trials evaluated, {} evaluated before\ntable: elastictok table '#{}'{}\n",
        outcome.evaluated,
        outcome.evaluated_before,
        report.experiment.id,
        db_option(cli)
    ))
}

fn load(asked: &Asked) -> Result<Experiment> {
    let mut overrides = asked.overrides.clone();
    for (key, folder) in [("data.train", &asked.train), ("data.test", &asked.test)] {
        overrides.extend(folder.iter().map(|folder| (key.to_owned(), quoted(folder))));
    }
    Experiment::load(&asked.file, &overrides)
        .map_err(|error| anyhow::Error::from(evaluator::EvaluatorError::from(error)))
}

/// A folder as a TOML string, whatever characters it is made of.
fn quoted(folder: &Path) -> String {
    toml::Value::from(folder.to_string_lossy().into_owned()).to_string()
}

/// Does what is missing and reports what there is; the store is closed again whatever happened, so that everything is
/// in its one file. Of several ranks the first reports, the others help.
fn perform(
    cli: &Cli,
    asked: &Asked,
    experiment: &Experiment,
    until: Until,
    ranks: Option<&Ranks>,
) -> Result<Option<(Report, Outcome)>> {
    let follower = ranks.filter(|ranks| ranks.rank() > 0);
    let console: &dyn Progress = if follower.is_some() { &Silent } else { &Console::new(cli) };
    match ranks {
        None => use_threads(cli)?,
        Some(ranks) => machines::use_threads(cli, ranks, console)?,
    }
    let mesh = mesh(asked, ranks)?;
    // Everything that can be wrong with the input is found before anything is written.
    sweep::check_memory(experiment)?;
    sweep::check_mesh(experiment, mesh)?;
    let sets = DataSets::load(experiment, console)?;
    let stop = stop_on_ctrl_c()?;
    let checkpoint_every = Duration::try_from_secs_f64(asked.checkpoint_every).context("--checkpoint-every")?;
    let options = Options { until, checkpoint_every, stop, mesh, trace: asked.trace, ranks: ranks.cloned() };
    if let Some(ranks) = ranks {
        sweep::agree(experiment, &sets, &options, ranks)?;
    }
    if let Some(ranks) = follower {
        sweep::follow(experiment, &sets, &options, ranks)?;
        return Ok(None);
    }
    runtime()?.block_on(async {
        let store = open(cli.db()).await?;
        let result = async {
            let (id, outcome) = sweep::run(experiment, &sets, &store, &options, console).await?;
            Ok((Report::load(&store, id).await?, outcome))
        };
        let result: evaluator::Result<_> = result.await;
        store.close().await;
        Ok(Some(result?))
    })
}

/// Asked by the first Ctrl-C; the second ends the process.
pub(crate) fn stop_on_ctrl_c() -> Result<Stop> {
    let stop = Stop::default();
    let ctrl_c = stop.clone();
    ctrlc::set_handler(move || {
        if ctrl_c.is_asked() {
            std::process::exit(130);
        }
        ctrl_c.ask();
    })
    .context("listening for Ctrl-C")?;
    Ok(stop)
}

/// Who computes the gradients: on several ranks each of them, by default with sequences of its own.
fn mesh(asked: &Asked, ranks: Option<&Ranks>) -> Result<Mesh> {
    let Some(ranks) = ranks.map(Ranks::size) else { return Ok(asked.mesh.unwrap_or(Mesh::ONE)) };
    let mesh = asked.mesh.unwrap_or(Mesh { data: ranks, sequence: 1 });
    ensure!(
        mesh.workers() == ranks,
        "--mesh {mesh} has {} workers, but {ranks} ranks were started: start as many (mpirun -n {}), or leave --mesh out for \
         data={ranks}",
        mesh.workers(),
        mesh.workers()
    );
    Ok(mesh)
}

/// Makes the pool of threads that everything is computed with.
pub(crate) fn use_threads(cli: &Cli) -> Result<()> {
    allocator::keep_memory()?;
    match cli.threads {
        Some(n) => rayon::ThreadPoolBuilder::new().num_threads(n.into()).build_global().context("starting the threads"),
        None => Ok(()),
    }
}

/// Opens the store, making its folder.
pub(crate) async fn open(db: &Path) -> Result<Store> {
    if let Some(folder) = db.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
    }
    Store::open(db).await.map_err(|error| anyhow::Error::from(evaluator::EvaluatorError::from(error)))
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")
}

/// Where an experiment's tables and figures lie: beside the database, by name and number, since several experiments
/// may have one name.
fn folder(db: &Path, report: &Report) -> PathBuf {
    let Report { experiment, .. } = report;
    db.parent().unwrap_or(Path::new("")).join("reports").join(format!("{}-{}", experiment.name, experiment.id))
}

fn db_option(cli: &Cli) -> String {
    cli.asked_db.as_ref().map_or_else(String::new, |db| format!(" --db {}", db.display()))
}

fn say_outcome(cli: &Cli, outcome: &Outcome) {
    if !cli.quiet {
        eprintln!(
            "{} trained, {} reused; {} trials evaluated, {} reused",
            outcome.trained, outcome.trained_before, outcome.evaluated, outcome.evaluated_before
        );
    }
}
