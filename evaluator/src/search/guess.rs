//! Keeps what a straight line through one feature expects: the baselines that a learned regressor must beat.
use engine::TokenRange;

use super::prediction::confidence;
use super::{Asked, Feature, Form, Found, Predictor, Probe, Question, SearchError, SearchStrategy};

pub(super) const FORM: Form = Form {
    syntax: "guess(mean|previous|high-frequency|jpeg|frame-difference, confidence)",
    example: "guess(jpeg, 0.5)",
    build: |arguments| {
        let (name, confidence) = match arguments {
            [name] => (*name, 0.5),
            [name, sure] => (*name, confidence(sure)?),
            _ => return Err("it takes a feature and, if you like, a confidence".to_owned()),
        };
        let feature = Feature::ALL.into_iter().find(|feature| feature.name() == name);
        let feature = feature.ok_or_else(|| format!("there is no feature {name:?}"))?;
        Ok(Box::new(Guess { feature, confidence }))
    },
};

/// The count that a line through `feature` expects, raised until it holds with `confidence` on the training pictures.
#[derive(Clone, Copy, Debug)]
pub struct Guess {
    feature: Feature,
    confidence: f64,
}

impl SearchStrategy for Guess {
    fn name(&self) -> String {
        format!("guess({}, {})", self.feature.name(), self.confidence)
    }

    fn guarantee(&self) -> &'static str {
        "The count expected of such a block: whether it meets the threshold is unknown until the final reconstruction."
    }

    fn asks(&self) -> Option<Asked> {
        Some(Asked { predictor: Predictor::Line(self.feature), confidence: self.confidence })
    }

    fn most_evaluations(&self, _range: TokenRange) -> usize {
        0
    }

    fn search(&self, question: &Question<'_>, _probe: &mut Probe<'_>) -> Result<Found, SearchError> {
        Ok(Found { kept_tokens: question.predicted().kept_tokens, met: None })
    }
}
