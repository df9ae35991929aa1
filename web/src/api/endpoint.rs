//! An address of the API: served and described by the same types.

use std::future::Future;

use axum::extract::{FromRef, State};
use axum::http::{StatusCode, header};
use axum::routing::{MethodRouter, get};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, ParameterIn, PathItem};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder, Responses, Schema};
use utoipa::{IntoParams, ToSchema};

use crate::Route;
use crate::database::Database;
use crate::error::{Problem, Told};
use crate::extract::{Path, Query};

/// Where something is asked for, and what is said of it.
pub struct Endpoint {
    address: &'static str,
    handler: MethodRouter<Database>,
    operation: Operation,
    schemas: Vec<(String, RefOr<Schema>)>,
}

/// Nothing varies in the path, or nothing is asked in the query.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// What may go wrong anywhere.
const PROBLEMS: [(StatusCode, &str); 5] = [
    (StatusCode::BAD_REQUEST, "The address is not understood; the advice says which part of it"),
    (StatusCode::UNAUTHORIZED, "This server wants a token"),
    (StatusCode::NOT_FOUND, "The store has nothing of this number, or the server no such address"),
    (StatusCode::INTERNAL_SERVER_ERROR, "A mistake in the program"),
    (StatusCode::SERVICE_UNAVAILABLE, "The results store cannot be read now, and perhaps later"),
];

/// An endpoint that is answered with the JSON of what `answer` returns.
pub fn endpoint<S, P, Q, T, F>(
    id: &'static str,
    address: &'static str,
    summary: &'static str,
    answer: impl Fn(S, P, Q) -> F + Clone + Send + Sync + 'static,
) -> Endpoint
where
    S: FromRef<Database> + Send + 'static,
    P: DeserializeOwned + IntoParams + Send + 'static,
    Q: DeserializeOwned + IntoParams + Send + 'static,
    T: Serialize + ToSchema,
    F: Future<Output = Result<T, Problem>> + Send + 'static,
{
    let handler = get(move |State(source): State<S>, Path(path): Path<P>, Query(query): Query<Q>| {
        let answered = answer(source, path, query);
        async move {
            let json = serde_json::to_vec(&answered.await?).map_err(|_| Problem::mistake())?;
            Ok::<_, Problem>(([(header::CONTENT_TYPE, "application/json")], json))
        }
    });
    let mut schemas = Vec::new();
    T::schemas(&mut schemas);
    let of_query = Q::into_params(|| Some(ParameterIn::Query));
    let parameters = P::into_params(|| Some(ParameterIn::Path)).into_iter().chain(of_query);
    let problem = |(status, words): (StatusCode, &str)| {
        (status.as_str().to_owned(), described(words, Ref::from_schema_name(Told::name()).into()))
    };
    let known = Response::new("The same as was sent with the `ETag` that `If-None-Match` brings");
    let responses = [("200".to_owned(), described(summary, T::schema())), ("304".to_owned(), known)];
    let operation = OperationBuilder::new()
        .operation_id(Some(id))
        .summary(Some(summary))
        .parameters(Some(parameters))
        .responses(responses.into_iter().chain(PROBLEMS.map(problem)).collect::<Responses>());
    Endpoint { address, handler, operation: operation.build(), schemas }
}

fn described(words: &str, schema: RefOr<Schema>) -> Response {
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(words).content("application/json", content).build()
}

impl Endpoint {
    /// As the router wants it.
    pub fn route(self) -> Route {
        (self.address, self.handler)
    }

    /// As the description wants it: the address, what can be done there, and the schemas that this names.
    pub fn describe(self) -> (&'static str, PathItem, Vec<(String, RefOr<Schema>)>) {
        (self.address, PathItem::new(HttpMethod::Get, self.operation), self.schemas)
    }
}
