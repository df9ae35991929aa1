//! Progress for people: bars with the time left on a terminal, a line now and then when piped.

use crate::cli::Cli;
use anyhow::{Context as _, Result};
use evaluator::sweep::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::RefCell;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two lines about the same piece of work.
const BETWEEN_LINES: Duration = Duration::from_secs(15);

/// Prints results to standard output. A reader that has seen enough (`| head`) is no error; a full disk is.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("writing the result"),
        _ => Ok(()),
    }
}

/// Writes a result to a file, whole or not at all.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    engine::atomic_file::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// «1 rank», «2 ranks».
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A number of bytes for people.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        1_000_000_000..1_000_000_000_000 => format!("{:.1} GB", bytes as f64 / 1e9),
        _ => format!("{:.1} TB", bytes as f64 / 1e12),
    }
}

/// Tells on standard error; results go to standard output.
pub(crate) struct Console {
    terminal: bool,
    quiet: bool,
    verbose: bool,
    work: RefCell<Option<Work>>,
}

struct Work {
    what: String,
    first: u64,
    total: u64,
    bar: Option<ProgressBar>,
    began: Instant,
    told: Instant,
}

impl Console {
    pub(crate) fn new(cli: &Cli) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { terminal, quiet: cli.quiet, verbose: cli.verbose, work: RefCell::new(None) }
    }

    fn line(&self, line: &str) {
        match self.work.borrow().as_ref().and_then(|work| work.bar.as_ref()) {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }
}

impl Progress for Console {
    fn say(&self, line: &str) {
        if !self.quiet {
            self.line(line);
        }
    }

    fn detail(&self, line: &str) {
        if self.verbose {
            self.line(line);
        }
    }

    fn begin(&self, what: &str, done: u64, total: u64) {
        if self.quiet {
            return;
        }
        let style =
            ProgressStyle::with_template("{msg:<34!} {bar:24} {pos:>5}/{len} {elapsed:>4} left {eta:<4} {prefix}");
        let bar = self.terminal.then(|| {
            let style = style.expect("the template is well-formed").progress_chars("━╸─");
            let bar = ProgressBar::new(total).with_style(style).with_message(what.to_owned()).with_position(done);
            bar.reset_eta();
            bar
        });
        let now = Instant::now();
        *self.work.borrow_mut() = Some(Work { what: what.to_owned(), first: done, total, bar, began: now, told: now });
    }

    fn advance(&self, done: u64, note: &str) {
        let mut work = self.work.borrow_mut();
        let Some(work) = work.as_mut() else { return };
        if let Some(bar) = &work.bar {
            bar.set_prefix(note.to_owned());
            bar.set_position(done);
        } else if work.told.elapsed() >= BETWEEN_LINES {
            work.told = Instant::now();
            let rate = (done - work.first) as f64 / work.began.elapsed().as_secs_f64();
            let left = (work.total - done) as f64 / rate;
            eprintln!("{}: {done}/{}, {left:.0} s left  {note}", work.what, work.total);
        }
    }

    fn end(&self) {
        let Some(work) = self.work.borrow_mut().take() else {
            return;
        };
        if let Some(bar) = &work.bar {
            bar.finish_and_clear();
        }
        eprintln!("{}: {:.1} s", work.what, work.began.elapsed().as_secs_f64());
    }
}
