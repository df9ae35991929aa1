//! How long answers took, by kind.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

#[derive(Default)]
pub struct Times(BTreeMap<&'static str, Vec<Duration>>);

impl Times {
    pub fn add(&mut self, kind: &'static str, took: Duration) {
        self.0.entry(kind).or_default().push(took);
    }

    /// These and the others.
    pub fn and(mut self, other: Self) -> Self {
        for (kind, times) in other.0 {
            self.0.entry(kind).or_default().extend(times);
        }
        self
    }

    /// A line for each kind, and one for all.
    pub fn table(self, took: Duration) -> String {
        let all: Vec<Duration> = self.0.values().flatten().copied().collect();
        let rate = all.len() as f64 / took.as_secs_f64();
        let mut table = format!("{:<14}{:>8}{:>10}{:>10}{:>10}\n", "", "answers", "p50 ms", "p99 ms", "most ms");
        for (kind, mut times) in self.0.into_iter().chain([("all", all)]) {
            times.sort();
            let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
            let [median, high, most] = [0.5, 0.99, 1.0].map(at);
            writeln!(table, "{kind:<14}{:>8}{median:>10.1}{high:>10.1}{most:>10.1}", times.len()).unwrap();
        }
        write!(table, "{rate:.0} answers a second for {:.0} s; ", took.as_secs_f64()).unwrap();
        table
    }
}
