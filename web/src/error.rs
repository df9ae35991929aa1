//! What a page says when it cannot be shown.

use std::any::Any;

use askama::Template;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use evaluator::EvaluatorError;
use evaluator::store::StoreError;

/// An answer that is not the page asked for: what happened, and what to do.
#[derive(Debug, Template)]
#[template(path = "problem.html")]
pub struct Problem {
    status: StatusCode,
    title: String,
    advice: String,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(status: StatusCode, title: impl Into<String>, advice: impl Into<String>) -> Self {
        let (title, advice) = (title.into(), advice.into());
        Self { status, title, advice }
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
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = match self.render() {
            Ok(page) => Html(page).into_response(),
            Err(_) => format!("{}\n{}\n", self.title, self.advice).into_response(),
        };
        let mut response = (self.status, body).into_response();
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound { what, id } => Self::not_found(format_args!("{what} {id}")),
            StoreError::File { source, path, .. } if source.kind() == std::io::ErrorKind::NotFound => Self::new(
                StatusCode::NOT_FOUND,
                "This file is gone",
                format!("The store knows it, but {} is not on the disk any more.", path.display()),
            ),
            StoreError::Busy { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "The store is busy", error.to_string())
            }
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The results store cannot be read", error.to_string()),
        }
    }
}

impl From<EvaluatorError> for Problem {
    fn from(error: EvaluatorError) -> Self {
        match error {
            EvaluatorError::Store(error) => error.into(),
            EvaluatorError::Protocols { .. } => {
                Self::new(StatusCode::CONFLICT, "These numbers cannot stand side by side", error.to_string())
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

/// A mistake in the program: say so, and go on serving.
pub fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "The dashboard made a mistake",
        "Nothing in the store was touched. Please report what the terminal running `elastictok serve` says.",
    )
    .into_response()
}
