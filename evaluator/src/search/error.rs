//! What can go wrong in a search, said so that the reader can act.
use super::FORMS;

/// Why a strategy could not be read from its name, or could not search.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The source answered NaN or an infinity: the model diverged or its input is broken.
    #[error("the distortion with {kept_tokens} kept tokens is {distortion}: the model or its input is not finite")]
    NotFinite {
        /// The count asked for.
        kept_tokens: usize,
        /// What the source answered.
        distortion: f64,
    },
    /// A replayed search needs a count that its stored curve lacks.
    #[error("the stored curve holds {points} counts but not {kept_tokens}: measure that count, or run the search live")]
    NotMeasured {
        /// The count asked for.
        kept_tokens: usize,
        /// How many counts the curve holds.
        points: usize,
    },
    /// A strategy needs the whole curve a predictor expects, but it expects only a count.
    #[error("the prediction holds no curve: ask the regressor")]
    NoCurve,
    /// The live model failed.
    #[error("could not reconstruct the block with {candidates} candidate counts of tokens")]
    Reconstruction {
        /// How many counts were asked for together.
        candidates: usize,
        /// What the model reported.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No strategy has this name.
    #[error("there is no search strategy {text:?}{}; write one of: {}", hint(*.nearest), forms())]
    UnknownStrategy {
        /// The text that was read.
        text: String,
        /// The form whose name is nearest, if one is near.
        nearest: Option<&'static str>,
    },
    /// The strategy exists, but not with these arguments.
    #[error("search strategy {text:?}: {reason}; write it as {form}")]
    BadArguments {
        /// The text that was read.
        text: String,
        /// What is wrong with it.
        reason: String,
        /// How the strategy is written.
        form: &'static str,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |form| format!(" (did you mean {form}?)"))
}

fn forms() -> String {
    FORMS.iter().map(|form| form.syntax).collect::<Vec<_>>().join(", ")
}
