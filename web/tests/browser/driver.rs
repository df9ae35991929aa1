//! A browser of our own: started for one test, and gone with it, whatever happens.
//!
//! The browser is told to listen to its driver through a pipe. So it ends by itself when the driver does, even when the
//! driver is killed; and all that both write is below one temporary folder.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use fantoccini::error::NewSessionError;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

/// Tests take turns: two browsers at once would only wait for each other on a small machine.
static TURN: Mutex<()> = Mutex::const_new(());

pub struct Browser {
    pub client: Client,
    // Dropped in this order: the driver ends before its folder is removed, and then the next test begins.
    _driver: Driver,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// A new browser; `None` when this machine has none, which is said.
    pub async fn open() -> Option<Self> {
        let turn = TURN.lock().await;
        let Some(driver) = Driver::start() else {
            skip("no chromedriver");
            return None;
        };
        match driver.new_session().await {
            Ok(client) => Some(Self { client, _driver: driver, _turn: turn }),
            Err(NewSessionError::SessionNotCreated(why)) if why.message.contains("cannot find Chrome binary") => {
                skip("chromedriver finds no browser");
                None
            }
            Err(why) => panic!("the browser does not start: {why:?}"),
        }
    }
}

/// Says that a test is left out, or fails where a browser must be.
fn skip(what_is_missing: &str) {
    let message = format!("SKIPPED: {what_is_missing} (apt-get install chromium chromium-driver)");
    let required = std::env::var("ELASTICTOK_TESTS_REQUIRE").is_ok_and(|programs| programs.contains("chromedriver"));
    assert!(!required, "{message}");
    // Past the test program, which throws away what tests that pass print.
    let _ = writeln!(std::io::stderr(), "{message}");
}

struct Driver {
    process: Child,
    port: u16,
    folder: TempDir,
    /// What the driver prints, and later its browser.
    says: BufReader<ChildStdout>,
}

impl Driver {
    /// A driver on a free port, if there is one.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let says = BufReader::new(process.stdout.take().unwrap());
        let mut driver = Self { process, port: 0, folder, says };
        driver.port = driver.listens_on().expect("chromedriver says on which port it listens");
        Some(driver)
    }

    fn listens_on(&mut self) -> Option<u16> {
        let mut lines = self.says.by_ref().lines().map_while(Result::ok);
        lines.find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok())
    }

    async fn new_session(&self) -> Result<Client, NewSessionError> {
        let Value::Object(capabilities) = capabilities(self.folder.path()) else { unreachable!("it is an object") };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        builder.connect(&format!("http://127.0.0.1:{}", self.port)).await
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // The browser has the driver's output too: that ends when both are gone, and then nobody writes to the folder.
        let _ = std::io::copy(&mut self.says, &mut std::io::sink());
    }
}

fn capabilities(folder: &Path) -> Value {
    let args = [
        "--headless=new",
        "--remote-debugging-pipe",
        &format!("--user-data-dir={}", folder.join("profile").display()),
        "--window-size=1280,900",
        // What runs in containers and as root: nothing but our own pages is opened.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        // Nobody is asked anything, and nothing is sent anywhere.
        "--disable-breakpad",
        "--disable-background-networking",
        "--no-proxy-server",
        "--no-first-run",
    ];
    json!({ "goog:chromeOptions": { "args": args }, "goog:loggingPrefs": { "browser": "ALL" } })
}
