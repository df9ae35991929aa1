//! What an experiment's processes are doing: how far it is, how long it will take, and what failed.
//!
//! A row that says «running» may be a dead process's: its lease tells. Times left follow from the rate since the work
//! was last started; what was done before then, perhaps days ago, says nothing about it.

use evaluator::store::{
    EventRow, ExperimentId, ExperimentTrainingRow, LeaseRow, Process, Reader, Result, Subject, TrainingStatus,
    TrialProgress, TrialStatus, seconds_since,
};
use serde::Serialize;
use serde_json::Value;

use super::news::Told;
use crate::format;

/// How keys of training runs begin.
pub const TRAINING: &str = "training-";

const KILLED: &str = "its process is gone; the next run goes on from here";

/// Everything that is running or has failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Work {
    /// What became of the last run of the experiment, in a sentence.
    pub state: String,
    /// What is being worked on.
    pub tasks: Vec<Task>,
    /// What could not go on.
    pub failures: Vec<Failure>,
}

/// A piece of work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Task {
    /// The same as long as it lasts.
    pub key: String,
    /// What it is.
    pub what: String,
    /// How far it is; `None` if that cannot be seen.
    pub progress: Option<Progress>,
    /// How long it will take, or why it does not go on.
    pub note: String,
    /// Whether somebody works on it, as far as can be seen.
    pub goes_on: bool,
}

/// How far a piece of work is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Done so far.
    pub done: u32,
    /// All of it.
    pub total: u32,
    /// The same in words.
    pub text: String,
}

/// Something that could not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The same as long as it stands.
    pub key: String,
    /// What it was.
    pub what: String,
    /// Why.
    pub why: String,
}

impl Work {
    /// As the store tells it now.
    pub async fn read(reader: &Reader, experiment: ExperimentId, told: &Told) -> Result<Self> {
        let leases = reader.leases().await?;
        let mut work = Self::default();
        for linked in reader.training_runs(experiment).await? {
            work.add_training(&linked, &leases);
        }
        for trial in reader.unfinished_trials(experiment).await? {
            work.add_trial(&trial, &leases);
        }
        let sweep = Sweep::of(told.run.as_ref());
        if sweep != Sweep::Killed
            && let Some(event) = &told.newest
        {
            work.tasks.extend(between(reader, event).await?);
        }
        if let (Sweep::Failed, Some(event)) = (sweep, &told.run) {
            work.add_failure_of_run(event);
        }
        let time = told.run.as_ref().map(|event| format::time(&event.at)).unwrap_or_default();
        let somebody_works = work.tasks.iter().any(|task| task.goes_on);
        work.state = sweep.sentence(somebody_works, &time);
        Ok(work)
    }

    /// On its way to a browser.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("work is plain data")
    }

    fn add_training(&mut self, linked: &ExperimentTrainingRow, leases: &[LeaseRow]) {
        let run = &linked.run;
        let key = format!("{TRAINING}{}", run.id);
        let what = format!("train {}, seed {}", linked.variant, run.seed);
        match run.status {
            TrainingStatus::Running => {
                let seconds = time_left(run.steps, run.step, 0, Some(run.seconds));
                self.add(key, what, Progress::new(run.step, run.steps, "steps"), is_held(leases, run.id), seconds);
            }
            TrainingStatus::Failed => self.fail(key, what, run.error.as_deref()),
            TrainingStatus::Pending | TrainingStatus::Stopped | TrainingStatus::Done => {}
        }
    }

    fn add_trial(&mut self, trial: &TrialProgress, leases: &[LeaseRow]) {
        let key = format!("trial-{}", trial.id);
        let threshold = trial.threshold.map(|threshold| format!(", τ = {threshold}")).unwrap_or_default();
        let what = format!("evaluate {}, {}{threshold}, seed {}", trial.variant, trial.strategy, trial.seed);
        if trial.status == TrialStatus::Failed {
            return self.fail(key, what, trial.error.as_deref());
        }
        let seconds = trial.samples_before.and_then(|before| {
            let since = trial.resumed_at.as_deref().and_then(seconds_since);
            time_left(trial.samples, trial.samples_done, before, since)
        });
        let progress = Progress::new(trial.samples_done, trial.samples, "samples");
        self.add(key, what, progress, is_held(leases, trial.id), seconds);
    }

    fn add(&mut self, key: String, what: String, progress: Progress, goes_on: bool, seconds: Option<f64>) {
        // Two variants may share a training run or a trial.
        if self.tasks.iter().all(|task| task.key != key) {
            let note = if goes_on { seconds.map(left).unwrap_or_default() } else { KILLED.to_owned() };
            self.tasks.push(Task { key, what, progress: Some(progress), note, goes_on });
        }
    }

    fn fail(&mut self, key: String, what: String, why: Option<&str>) {
        if self.failures.iter().all(|failure| failure.key != key) {
            let why = why.unwrap_or("it does not say why").to_owned();
            self.failures.push(Failure { key, what, why });
        }
    }

    /// The reason of the whole run, unless it is that of a training run or a trial.
    fn add_failure_of_run(&mut self, event: &EventRow) {
        let why = event.payload["error"].as_str();
        if self.failures.iter().all(|failure| Some(failure.why.as_str()) != why) {
            self.fail(format!("run-{}", event.id), "the run".to_owned(), why);
        }
    }
}

impl Progress {
    fn new(done: u32, total: u32, unit: &str) -> Self {
        Self { done: done.min(total), total, text: format!("{done} of {total} {unit}") }
    }
}

/// What was last heard of the experiment's runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sweep {
    /// Nothing.
    Silent,
    /// It was started, and its process lives.
    Running,
    /// It was started, on another machine or by a version that does not say by which process.
    Unseen,
    /// It was started, and its process is gone without a word.
    Killed,
    Failed,
    Stopped,
    Done,
    /// It ended, in words of another version.
    Ended,
}

impl Sweep {
    fn of(newest: Option<&EventRow>) -> Self {
        let Some(event) = newest else { return Self::Silent };
        match event.kind.as_str() {
            "run started" => match Process::told_is_alive(&event.payload["process"]) {
                Some(true) => Self::Running,
                Some(false) => Self::Killed,
                None => Self::Unseen,
            },
            "run failed" => Self::Failed,
            "run stopped" => Self::Stopped,
            "run done" => Self::Done,
            _ => Self::Ended,
        }
    }

    fn sentence(self, somebody_works: bool, time: &str) -> String {
        match self {
            Self::Running => format!("Running since {time}."),
            // Several processes may share a sweep: the last one heard of need not be the last one.
            _ if somebody_works => "Running.".to_owned(),
            Self::Silent => "Nothing is running.".to_owned(),
            Self::Unseen => format!("Begun {time}: whether it still runs cannot be seen from here."),
            Self::Killed => format!("The run of {time} was killed. The same command goes on where it was."),
            Self::Failed => format!("Nothing is running. The last run failed, {time}."),
            Self::Stopped => format!("Nothing is running. The last run was stopped, {time}: the same command goes on."),
            Self::Done => format!("Nothing is running. The last run was finished, {time}."),
            Self::Ended => format!("Nothing is running. The last run ended, {time}."),
        }
    }
}

/// What a run does between its training runs and trials: only events tell. Of several processes, the last to speak.
async fn between(reader: &Reader, newest: &EventRow) -> Result<Option<Task>> {
    let payload = &newest.payload;
    let title = payload["title"].as_str().unwrap_or_default();
    let task = |what: &str, progress, note| {
        let key = format!("event-{}", newest.id);
        Some(Task { key, what: format!("{what} {title}"), progress, note, goes_on: true })
    };
    Ok(match newest.kind.as_str() {
        "curves started" => match Measuring::parse(payload) {
            Some(measuring) => {
                let Measuring { weights, protocol, dataset, stored, curves } = measuring;
                let measured = reader.curve_count(weights, protocol, dataset).await?.saturating_sub(stored);
                let seconds = time_left(curves, measured, 0, seconds_since(&newest.at));
                let progress = Progress::new(measured, curves, "curves");
                task("measure distortion curves of", Some(progress), seconds.map(left).unwrap_or_default())
            }
            None => task("measure distortion curves of", None, String::new()),
        },
        "regressor started" => task("train the regressor of", None, String::new()),
        _ => None,
    })
}

/// Which curves are measured: those of these weights beyond the stored ones.
#[derive(Debug, serde::Deserialize)]
struct Measuring {
    weights: evaluator::store::ContentHash,
    protocol: evaluator::store::ProtocolId,
    dataset: evaluator::store::DatasetId,
    stored: u32,
    curves: u32,
}

impl Measuring {
    fn parse(payload: &Value) -> Option<Self> {
        serde_json::from_value(payload.clone()).ok()
    }
}

/// Whether a process has this work; one on another machine is believed.
fn is_held(leases: &[LeaseRow], subject: impl Into<Subject>) -> bool {
    let subject = subject.into();
    leases.iter().any(|lease| lease.subject == subject && lease.is_alive().unwrap_or(true))
}

/// Seconds until the rest is done, at the rate of what was done beyond `before` in `seconds`.
fn time_left(total: u32, done: u32, before: u32, seconds: Option<f64>) -> Option<f64> {
    let made = done.checked_sub(before).filter(|made| *made > 0)?;
    Some(f64::from(total.saturating_sub(done)) * seconds? / f64::from(made))
}

fn left(seconds: f64) -> String {
    match seconds {
        0.0..59.5 => format!("about {seconds:.0} s left"),
        _ => format!("about {} left", format::duration(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_the_rate_since_the_last_start() {
        // 30 steps in 60 s: 2 s each, and 70 of them are left.
        assert_eq!(time_left(100, 30, 0, Some(60.0)), Some(140.0));
        // 20 of the 30 were there before: 10 in 60 s.
        assert_eq!(time_left(100, 30, 20, Some(60.0)), Some(420.0));
        assert_eq!(time_left(100, 100, 20, Some(60.0)), Some(0.0));
    }

    #[test]
    fn without_progress_nothing_is_foretold() {
        assert_eq!(time_left(100, 20, 20, Some(60.0)), None);
        assert_eq!(time_left(100, 10, 20, Some(60.0)), None, "another process took its samples back");
        assert_eq!(time_left(100, 30, 0, None), None);
        assert_eq!(time_left(10, 30, 0, Some(3.0)), Some(0.0), "more done than there is");
    }

    #[test]
    fn times_left_have_no_more_digits_than_they_deserve() {
        assert_eq!(left(0.2), "about 0 s left");
        assert_eq!(left(59.4), "about 59 s left");
        assert_eq!(left(59.6), "about 1 min 00 s left");
        assert_eq!(left(7_320.0), "about 2 h 02 min left");
    }
}
