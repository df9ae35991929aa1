//! What a page says when it cannot be shown.

use askama::Template;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use evaluator::EvaluatorError;
use evaluator::store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

/// An answer that is not the page asked for: what happened, and what to do.
///
/// It travels as an extension of an empty response; [`answer`](crate::answer) tells it in the language that was asked for.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    title: String,
    advice: String,
    /// Whether what is known of the store may be wrong.
    doubts_the_store: bool,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Page<'a> {
    problem: &'a Problem,
    request_id: &'a str,
}

/// What went wrong, for programs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Told<'a> {
    /// What happened, in a sentence.
    #[schema(example = "There is no experiment 77")]
    error: &'a str,
    /// What to do.
    #[schema(example = "It may be in another results store. Start from the list of experiments.")]
    advice: &'a str,
    /// Names the request to whoever runs the server.
    #[schema(example = "67c2d3f0-1")]
    request_id: &'a str,
}

/// The language of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// For people.
    Html,
    /// For programs.
    Json,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(status: StatusCode, title: impl Into<String>, advice: impl Into<String>) -> Self {
        let (title, advice) = (title.into(), advice.into());
        Self { status, title, advice, doubts_the_store: false }
    }

    /// Something that is not there.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        let advice = "It may be in another results store, or the link may be older than this one. \
                      Start from the list of experiments.";
        Self::new(StatusCode::NOT_FOUND, format!("There is no {what}"), advice)
    }

    /// An address that makes no sense.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "This address is not understood", detail)
    }

    /// A request without the token.
    pub fn unauthorized(title: &str) -> Self {
        let advice = "The person who started `elastictok serve` knows the token. Programs send it in a header, \
                      `Authorization: Bearer …`.";
        Self::new(StatusCode::UNAUTHORIZED, title, advice)
    }

    /// A mistake in the program; the terminal says more.
    pub fn mistake() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The dashboard made a mistake",
            "Please report what the terminal running `elastictok serve` says of this request.",
        )
    }

    /// A change that the store did not take.
    pub fn unchanged(error: StoreError) -> Self {
        Self::of_store(
            &error,
            "Nothing was changed. Go back, where the form still has what you wrote, and send it again.",
        )
    }

    /// What is wrong with the store or the file, and what to do if that may pass.
    fn of_store(error: &StoreError, then: &str) -> Self {
        let unavailable = |title: &str| Self::new(StatusCode::SERVICE_UNAVAILABLE, title, format!("{error}. {then}"));
        // The file is none that the program knows: nothing can be relied on that was read of it before.
        let doubtful = |title| Self { doubts_the_store: true, ..unavailable(title) };
        match error {
            StoreError::NotFound { what, id } => Self::not_found(format_args!("{what} {id}")),
            StoreError::TextLength { what, .. } | StoreError::ControlCharacter { what, .. } => {
                let advice = format!("{error}. Nothing was changed: go back, where the form still has what you wrote.");
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("This is no {what}"), advice)
            }
            StoreError::File { source, path, .. } if source.kind() == std::io::ErrorKind::NotFound => Self::new(
                StatusCode::NOT_FOUND,
                "This file is gone",
                format!("The store knows it, but {} is not on the disk any more.", path.display()),
            ),
            StoreError::File { .. } | StoreError::ArtifactDamaged { .. } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "This file cannot be read", error.to_string())
            }
            StoreError::Busy { .. } => unavailable("The results store is locked"),
            StoreError::ReadOnly { .. } | StoreError::DiskFull { .. } => {
                unavailable("The results store cannot be written")
            }
            StoreError::Missing { .. } => doubtful("The results store is gone"),
            StoreError::Replaced { .. } => doubtful("The results store was replaced"),
            StoreError::NewerDatabase { .. } => doubtful("The results store is newer than this program"),
            _ => doubtful("The results store cannot be read"),
        }
    }

    /// Whether the file may be another than it was: then what is known of it may be wrong.
    pub fn doubts_the_store(&self) -> bool {
        self.doubts_the_store
    }

    /// The problem as an answer to this request.
    pub fn tell(&self, language: Language, request_id: &str) -> Response {
        let plain = || format!("{}\n{}\n", self.title, self.advice).into_response();
        let body = match language {
            Language::Html => {
                Page { problem: self, request_id }.render().map_or_else(|_| plain(), |page| Html(page).into_response())
            }
            Language::Json => {
                let told = Told { error: &self.title, advice: &self.advice, request_id };
                let told = serde_json::to_string(&told).expect("three texts are plain data");
                ([(header::CONTENT_TYPE, "application/json")], told).into_response()
            }
        };
        match self.status {
            StatusCode::UNAUTHORIZED => (self.status, [(header::WWW_AUTHENTICATE, "Bearer")], body).into_response(),
            status => (status, body).into_response(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::of_store(&error, "The dashboard goes on as soon as the store can be read: reload this page then.")
    }
}

impl From<EvaluatorError> for Problem {
    fn from(error: EvaluatorError) -> Self {
        match error {
            EvaluatorError::Store(error) => error.into(),
            EvaluatorError::Protocols { .. } => {
                Self::new(StatusCode::CONFLICT, "These numbers cannot stand side by side", error.to_string())
            }
            EvaluatorError::UnknownReport { .. } | EvaluatorError::NothingToShow { .. } => {
                Self::new(StatusCode::NOT_FOUND, "There is nothing to show", error.to_string())
            }
            error => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "This could not be computed", error.to_string()),
        }
    }
}

/// An address that no page has.
pub async fn no_such_page(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(120).collect();
    Problem::not_found(format_args!("page {path}"))
}

/// A method that the page does not have; the router says in `Allow` which ones it has.
pub async fn no_such_method(method: Method) -> Problem {
    let advice = "Pages are for reading; what can be changed has its form there.";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("There is nothing to {method} here"), advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_change_out_of_a_store_is_no_reason_to_doubt_what_was_read() {
        let path = || "results.db".into();
        let read_only = Problem::unchanged(StoreError::ReadOnly { path: path() });
        assert_eq!(
            (read_only.status, read_only.title.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "The results store cannot be written")
        );
        assert!(read_only.advice.contains("read-only for this user. Nothing was changed."), "{}", read_only.advice);
        for error in [StoreError::Busy { path: path() }, StoreError::DiskFull { path: path() }] {
            assert!(!Problem::unchanged(error).doubts_the_store());
        }
        let corrupt = StoreError::Corrupt { path: path(), detail: "a page".into() };
        for error in [corrupt, StoreError::Replaced { path: path() }, StoreError::Missing { path: path() }] {
            assert!(Problem::unchanged(error).doubts_the_store());
        }
    }
}
