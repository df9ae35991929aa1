//! A report in the formats that people and CIs read.

use super::Unusable;
use crate::cli::ReportFormat;
use crate::console::write_file;
use crate::figure;
use anyhow::Result;
use evaluator::gate::{self, Report};
use std::path::Path;

pub(super) fn rendered(report: &Report, format: ReportFormat) -> String {
    match format {
        ReportFormat::Text => gate::to_text(report),
        ReportFormat::Json => report.to_json(),
        ReportFormat::Junit => gate::to_junit(report),
        ReportFormat::Markdown => gate::to_markdown(report),
        ReportFormat::Github => gate::to_annotations(report),
    }
}

/// Makes the folder of reports, before anything is run for them.
pub(super) fn make(folder: &Path) -> Result<()> {
    let unusable = |error| Unusable(format!("--report {}: cannot make the folder: {error}", folder.display()));
    Ok(std::fs::create_dir_all(folder).map_err(unusable)?)
}

/// Writes the report in every format, beside its figure; the files are called as the baseline's.
pub(super) fn write(report: &Report, folder: &Path) -> Result<()> {
    let name = Path::new(&report.baseline).file_stem().unwrap_or_default().to_string_lossy();
    let file = |extension: &str| folder.join(format!("{name}.{extension}"));
    for (extension, text) in [
        ("txt", gate::to_text(report)),
        ("json", report.to_json()),
        ("xml", gate::to_junit(report)),
        ("md", gate::to_markdown(report)),
        ("annotations", gate::to_annotations(report)),
    ] {
        write_file(&file(extension), text.as_bytes())?;
    }
    figure::write(&gate::figure(report), &file("svg"))
}
