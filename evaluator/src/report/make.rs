//! What a named table or figure is made of.

use super::Report;
use super::outcome::Outcomes;
use crate::error::Result;
use crate::store::Reader;

/// Of means and curves, which a report holds; or of every block of every trial, which are many and read only then.
pub(super) enum Make<T> {
    OfReport(fn(&Report) -> T),
    OfBlocks(fn(&Report, &[Outcomes]) -> T),
}

impl<T> Make<T> {
    pub(super) async fn of(&self, report: &Report, reader: &Reader) -> Result<T> {
        Ok(match self {
            Self::OfReport(make) => make(report),
            Self::OfBlocks(make) => make(report, report.outcomes(reader).await?),
        })
    }
}
