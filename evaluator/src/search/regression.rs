//! Asks the regressor instead of the model: its count as it is, or checked and repaired.
use engine::TokenRange;

use super::bracket;
use super::interpolate::{close_in, most_evaluations};
use super::parse::no_arguments;
use super::prediction::{confidence, expected};
use super::{Asked, Form, Found, Predictor, Probe, Question, SearchError, SearchStrategy};

pub(super) const FORM: Form = Form {
    syntax: "regression(confidence)",
    example: "regression(0.5)",
    build: |arguments| match arguments {
        [] => Ok(Box::new(Regression { confidence: 0.5 })),
        [sure] => Ok(Box::new(Regression { confidence: confidence(sure)? })),
        _ => Err("it takes a confidence".to_owned()),
    },
};

pub(super) const VERIFIED_FORM: Form = Form {
    syntax: "regression-verified",
    example: "regression-verified",
    build: |arguments| {
        no_arguments(arguments)?;
        Ok(Box::new(RegressionVerified))
    },
};

/// The regressor's count: the fewest tokens that it believes, with `confidence`, to meet the threshold. 0.5 is its best
/// guess; more keeps more tokens and misses less often.
#[derive(Clone, Copy, Debug)]
pub struct Regression {
    confidence: f64,
}

impl SearchStrategy for Regression {
    fn name(&self) -> String {
        format!("regression({})", self.confidence)
    }

    fn guarantee(&self) -> &'static str {
        "The regressor's count: whether it meets the threshold is unknown until the final reconstruction."
    }

    fn asks(&self) -> Option<Asked> {
        Some(Asked { predictor: Predictor::Network, confidence: self.confidence })
    }

    fn most_evaluations(&self, _range: TokenRange) -> usize {
        0
    }

    fn search(&self, question: &Question<'_>, _probe: &mut Probe<'_>) -> Result<Found, SearchError> {
        Ok(Found { kept_tokens: question.predicted().kept_tokens, met: None })
    }
}

/// The regressor's count, checked; then its curve, corrected by what was seen, until the answer is known.
#[derive(Clone, Copy, Debug)]
pub struct RegressionVerified;

impl SearchStrategy for RegressionVerified {
    fn name(&self) -> String {
        "regression-verified".to_owned()
    }

    fn guarantee(&self) -> &'static str {
        bracket::GUARANTEE
    }

    fn asks(&self) -> Option<Asked> {
        Some(Asked { predictor: Predictor::Network, confidence: 0.5 })
    }

    fn most_evaluations(&self, range: TokenRange) -> usize {
        most_evaluations(range)
    }

    fn search(&self, question: &Question<'_>, probe: &mut Probe<'_>) -> Result<Found, SearchError> {
        let prediction = question.predicted();
        close_in(question.threshold, prediction.kept_tokens, |count| expected(prediction, count), probe)
    }
}
