//! Somebody who looks at the dashboard over one connection that stays open, as browsers do.

use crate::times::Times;
use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::io::Read as _;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout_at};

/// Between an answer and the next request: nobody reads faster.
const REST: Duration = Duration::from_millis(100);
/// So long one experiment is followed, before the newest is looked for again.
const FOLLOWED: Duration = Duration::from_secs(5);

pub struct Visitor {
    host: String,
    connection: SendRequest<Empty<Bytes>>,
    /// Tells visitors apart: each follows links of its own.
    choice: usize,
    times: Times,
}

impl Visitor {
    pub async fn new(port: u16, number: usize) -> Self {
        let host = format!("127.0.0.1:{port}");
        let connection = connect(&host).await;
        Self { host, connection, choice: number, times: Times::default() }
    }

    /// Goes from the first view down to a picture and takes files along, again and again.
    pub async fn read(mut self, end: Instant) -> Times {
        while Instant::now() < end {
            self.walk().await;
            self.choice += 1;
        }
        self.times
    }

    /// As far as there is something to see: a new experiment has no trial yet, and a new trial no sample. Answers `None`
    /// there.
    async fn walk(&mut self) -> Option<()> {
        let first = self.page("first view", "/?e=all").await;
        let chosen = self.link(&first, "/?")?;
        self.page("chosen view", &chosen).await;
        let list = self.page("experiments", "/experiments").await;
        let experiment = self.link(&list, "/experiments/")?;
        let page = self.page("experiment", &experiment).await;
        self.page("training", &format!("{experiment}/training")).await;
        let trial = self.link(&page, &format!("{experiment}/trials/"))?;
        self.file("export", &format!("{experiment}/tables/results.csv"), b"\n").await;
        self.file("figure", &format!("{experiment}/figures/quality.svg"), b"</svg>\n").await;
        let page = self.page("trial", &trial).await;
        let sample = self.link(&page, &format!("{trial}/samples/"))?;
        let page = self.page("sample", &sample).await;
        let picture = self.link(&page, "/artifacts/")?;
        self.file("picture", &picture, b"IEND\xaeB`\x82").await;
        let page = self.page("sample", &format!("{}?view=difference", sample.split('?').next()?)).await;
        let difference = self.link(&page, "/differences/")?;
        self.file("difference", &difference, b"IEND\xaeB`\x82").await;
        Some(())
    }

    /// Keeps the page of the newest experiment open.
    pub async fn follow(mut self, end: Instant) -> Times {
        while Instant::now() < end {
            let list = self.page("experiments", "/experiments").await;
            self.choice = 0; // the newest is the first
            let path = format!("{}/live", self.link(&list, "/experiments/").expect("an experiment"));
            let began = Instant::now();
            let mut stream = ask(&mut connect(&self.host).await, &self.host, &path).await;
            assert_eq!(stream.status(), 200, "{path}");
            self.times.add("stream", began.elapsed());
            let until = (began + FOLLOWED).min(end).into();
            let mut text = Vec::new();
            while let Ok(frame) = timeout_at(until, stream.frame()).await {
                let frame = frame.expect("the stream goes on").expect("the stream is not cut");
                text.extend_from_slice(frame.data_ref().expect("the stream is data"));
            }
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains("event: work\n") && text.ends_with("\n\n"), "{path}: {text}");
        }
        self.times
    }

    async fn page(&mut self, kind: &'static str, path: &str) -> String {
        let page = self.file(kind, path, b"</html>").await;
        String::from_utf8(page).unwrap()
    }

    /// An answer in full: it is of success and ends as it should.
    async fn file(&mut self, kind: &'static str, path: &str, end: &[u8]) -> Vec<u8> {
        sleep(REST).await;
        let began = Instant::now();
        let answer = ask(&mut self.connection, &self.host, path).await;
        let (parts, body) = answer.into_parts();
        let sent = body.collect().await.unwrap_or_else(|error| panic!("{path} is cut: {error}")).to_bytes();
        self.times.add(kind, began.elapsed());
        let is_packed = parts.headers.get("content-encoding").is_some_and(|coding| coding == "gzip");
        let mut bytes = Vec::new();
        match is_packed {
            true => GzDecoder::new(&sent[..]).read_to_end(&mut bytes).unwrap(),
            false => sent.as_ref().read_to_end(&mut bytes).unwrap(),
        };
        let is_whole = bytes.ends_with(end) || bytes.trim_ascii_end().ends_with(end);
        assert!(parts.status == 200 && is_whole, "{path}: {}\n{}", parts.status, bytes.escape_ascii());
        bytes
    }

    /// One of the addresses in a page that begin so, without what only names a place in it.
    fn link(&self, page: &str, start: &str) -> Option<String> {
        let links: Vec<&str> =
            page.split('"').filter(|text| text.starts_with(start) && text.len() > start.len()).collect();
        let link = links.get(self.choice % links.len().max(1))?.replace("&#38;", "&");
        Some(link.split('#').next()?.to_owned())
    }
}

async fn connect(host: &str) -> SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(host).await.unwrap();
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(connection: &mut SendRequest<Empty<Bytes>>, host: &str, path: &str) -> Response<Incoming> {
    let request = Request::get(path).header("host", host).header("accept-encoding", "gzip");
    connection.ready().await.unwrap_or_else(|error| panic!("the connection is gone before {path}: {error}"));
    let answer = connection.send_request(request.body(Empty::new()).unwrap()).await;
    answer.unwrap_or_else(|error| panic!("{path} is not answered: {error}"))
}
