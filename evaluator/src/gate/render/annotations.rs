//! Annotations of GitHub Actions: commands that its runner reads from the output of a step.
//!
//! It shows few of each kind for a step, so the worst come first. What is in them is escaped as the runner's toolkit does
//! (`packages/core/src/command.ts`): a message must not become a command.

use super::super::finding::Verdict;
use super::super::report::Report;
use std::fmt::Write as _;

/// A line for each comparison that needs a look, the worst first; nothing where none does.
pub fn to_annotations(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let level = match finding.verdict {
            _ if finding.is_quiet() => continue,
            _ if report.fails_for(finding) => "error",
            Verdict::New | Verdict::Improved => "notice",
            _ => "warning",
        };
        let (file, title) = (property(&report.baseline), property(&format!("{}: {}", report.name, finding.title())));
        let _ = writeln!(text, "::{level} file={file},title={title}::{}", data(&finding.sentence()));
    }
    for note in &report.notes {
        let _ = writeln!(text, "::notice file={}::{}", property(&report.baseline), data(note));
    }
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::fixture::{SAMPLES, TODAY, approved, machine, observed};
    use super::super::super::{Observed, compare};
    use super::*;
    use std::path::Path;

    /// PSNR may lose 0.01 dB and SSIM 0.0005.
    #[test]
    fn eight_tolerances_come_before_two_and_both_before_what_is_missing() {
        let with_ssim = |ssim: f64| {
            let mut run = observed();
            run.trials[0].values.insert("ssim".into(), vec![ssim; SAMPLES]);
            run
        };
        let run = |psnr_loss: f64, ssim_loss: f64| -> Observed {
            let mut run = with_ssim(0.5 - ssim_loss);
            let values = &mut run.trials[0].values;
            values.get_mut("psnr").unwrap().iter_mut().for_each(|psnr| *psnr -= psnr_loss);
            values.remove("kept_tokens");
            run
        };
        let baseline = approved(with_ssim(0.5));
        for (run, expected) in [
            (run(0.02, 0.004), ["ssim::regression", "psnr::regression", "kept_tokens::missing"]),
            (run(0.08, 0.001), ["psnr::regression", "ssim::regression", "kept_tokens::missing"]),
        ] {
            let (found, _) = compare(&baseline, &run, None, &machine("here"), TODAY);
            let path = Path::new("quality.json");
            let text = to_annotations(&Report::new(&baseline, path, machine("here"), found, Vec::new(), false));
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines.len(), expected.len(), "{text}");
            for (line, expected) in lines.iter().zip(expected) {
                assert!(line.starts_with("::error ") && line.contains(&format!("· {expected}: ")), "{text}");
            }
        }
    }
}
