//! The dashboard over a filled store, asked without a socket.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use evaluator::store::{Reader, Store};
use http_body_util::BodyExt;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use web::{Access, Token};

use crate::fixture::{Filled, Plan, fill, open};

pub const PORT: u16 = 4321;

pub struct Site {
    pub router: Router,
    pub store: Store,
    pub filled: Filled,
    _folder: TempDir,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// The dashboard on the loopback interface.
fn router(reader: Reader, token: Option<Token>) -> Router {
    let access = Access::new(([127, 0, 0, 1], PORT).into(), None, token).unwrap();
    web::router(reader, access, CancellationToken::new())
}

impl Site {
    pub async fn new(plan: &Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let filled = fill(&store, plan).await;
        Self { router: router(Reader::clone(&store), None), store, filled, _folder: folder }
    }

    /// The same addresses over another reader.
    pub fn over(self, reader: Reader) -> Self {
        Self { router: router(reader, None), ..self }
    }

    /// The same, but for this token only.
    pub fn behind(self, token: &str) -> Self {
        Self { router: router(Reader::clone(&self.store), Some(Token::new(token).unwrap())), ..self }
    }

    /// A small experiment.
    pub async fn small() -> Self {
        Self::new(&Plan { sources: 2, thresholds: vec![0.01], ..Plan::default() }).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(path, &[]).await
    }

    /// Asks as a browser would, with these headers more.
    pub async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(path).header("host", format!("127.0.0.1:{PORT}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Sends these fields as a form of the dashboard does.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(posted(path, &[OURS, FORM], body)).await
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let mut answer = Answer { status: parts.status, headers: parts.headers, body: Vec::new() };
        // A stream goes on for ever.
        if answer.header("content-type") != "text/event-stream" {
            answer.body = body.collect().await.unwrap().to_bytes().to_vec();
        }
        answer
    }

    pub fn trial(&self, index: usize) -> String {
        self.filled.trial(index)
    }
}

/// What the dashboard's own pages say of themselves.
pub const OURS: (&str, &str) = ("origin", "http://127.0.0.1:4321");
pub const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

pub fn posted(path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(path).header("host", format!("127.0.0.1:{PORT}"));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(body.into()).unwrap()
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The browser is sent on to this address.
    pub fn leads_to(&self, address: &str) {
        assert_eq!((self.status.as_u16(), self.header("location")), (303, address), "{}", self.text());
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The answer is this page and says all of this.
    pub fn says(&self, status: u16, words: &[&str]) {
        let text = self.text();
        assert_eq!(self.status, status, "{text}");
        for words in words {
            assert!(text.contains(words), "«{words}» is missing in\n{text}");
        }
    }
}
