//! A report as text, as Markdown, as JUnit's XML, and as annotations of a code review.

mod annotations;
mod drawing;
mod junit;
mod markdown;
mod table;
mod text;

pub use annotations::to_annotations;
pub use junit::to_junit;
pub use markdown::to_markdown;
pub use text::to_text;
