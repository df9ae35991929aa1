//! A tab on the dashboard, and what a person does in it.

use std::time::{Duration, Instant};

use evaluator::store::{Reader, Store};
use fantoccini::actions::{InputSource as _, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::wd::{WebDriverCompatibleCommand, WindowHandle};
use fantoccini::{Client, Locator};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use web::Server;

use crate::driver::Browser;
use crate::fixture::{Filled, Plan, fill, open};
use crate::routes::{Route, routes};

/// How long anything may take on a crowded machine.
const LIMIT: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(25);

/// A new browser on a real server over a filled store.
pub struct Tab {
    browser: Browser,
    pub site: String,
    pub store: Store,
    pub filled: Filled,
    _folder: TempDir,
}

impl Tab {
    /// Nothing is opened yet; `None` when there is no browser.
    pub async fn new(plan: &Plan) -> Option<Self> {
        let browser = Browser::open().await?;
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let filled = fill(&store, plan).await;
        let server = Server::bind(([127, 0, 0, 1], 0).into(), None, None).await.unwrap();
        let site = server.url();
        // It ends with the test's runtime.
        tokio::spawn(server.serve(Reader::clone(&store), std::future::pending()));
        Some(Self { browser, site, store, filled, _folder: folder })
    }

    /// The same, with the first view open.
    pub async fn at_first_view(plan: &Plan) -> Option<Self> {
        let tab = Self::new(plan).await?;
        tab.go("/").await;
        Some(tab)
    }

    /// A page of every kind.
    pub fn pages(&self) -> Vec<String> {
        routes(&self.filled).into_iter().filter(Route::is_page).map(|route| route.path).collect()
    }

    fn client(&self) -> &Client {
        &self.browser.client
    }

    /// Opens a page and waits until it is loaded, pictures included.
    pub async fn go(&self, path: &str) {
        self.open(&format!("{}{path}", self.site)).await;
    }

    /// The same at any address.
    pub async fn open(&self, url: &str) {
        self.leave(self.client().goto(url)).await;
    }

    /// Opens another, empty tab; which one this is, and which the other.
    pub async fn another(&self) -> (WindowHandle, WindowHandle) {
        let this = self.client().window().await.unwrap();
        (this, self.client().new_window(true).await.unwrap().handle)
    }

    /// Turns to one of the tabs: it is seen, and the others are hidden.
    pub async fn turn_to(&self, tab: WindowHandle) {
        self.client().switch_to_window(tab).await.unwrap();
    }

    /// Where the tab is: path and query.
    pub async fn path(&self) -> String {
        self.ask("return location.pathname + location.search").await
    }

    /// What this JavaScript returns.
    pub async fn ask<T: DeserializeOwned>(&self, script: &str) -> T {
        let answer = self.client().execute(script, Vec::new()).await;
        let answer = answer.unwrap_or_else(|error| panic!("{script}: {error}"));
        serde_json::from_value(answer.clone()).unwrap_or_else(|error| panic!("{script} gave {answer}: {error}"))
    }

    /// Waits until this JavaScript expression is true; a page that is just being replaced has no answer yet.
    pub async fn until(&self, expression: &str) {
        let script = format!("return Boolean({expression})");
        let began = Instant::now();
        loop {
            let answer = self.client().execute(&script, Vec::new()).await;
            if matches!(answer, Ok(Value::Bool(true))) {
                return;
            }
            if began.elapsed() > LIMIT {
                let text: String = self.ask("return location.href + '\\n' + document.body.innerText").await;
                panic!("waited {LIMIT:?} for {expression}, which is {answer:?} at\n{text}");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// The first that matches and is displayed.
    async fn find(&self, css: &str) -> Element {
        for element in self.client().find_all(Locator::Css(css)).await.unwrap() {
            if element.is_displayed().await.unwrap() {
                return element;
            }
        }
        panic!("{css} is not to be seen at {}", self.path().await);
    }

    /// Its text, as a person sees it.
    pub async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.unwrap()
    }

    /// Clicks what is displayed there.
    pub async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Clicks a link or a button that leads to another page, and waits for that page.
    pub async fn follow(&self, css: &str) {
        let link = self.find(css).await;
        self.leave(link.click()).await;
    }

    /// Presses a key that leads to another page, and waits for that page.
    pub async fn press_and_follow(&self, key: Key) {
        self.leave(self.press(key)).await;
    }

    /// Does what leads to another page. The driver may be back before that page is there, style sheet and all.
    async fn leave<T>(&self, doing: impl Future<Output = Result<T, CmdError>>) {
        self.ask::<()>("window.left = true").await;
        doing.await.unwrap();
        self.until("!window.left && document.readyState === 'complete'").await;
    }

    /// Chooses in a list.
    pub async fn choose(&self, css: &str, value: &str) {
        self.find(css).await.select_by_value(value).await.unwrap();
    }

    /// Puts the pointer on it.
    pub async fn point_at(&self, css: &str) {
        let element = self.find(css).await;
        self.point(vec![PointerAction::MoveToElement { element, duration: None, x: 0.0, y: 0.0 }]).await;
    }

    /// Drags it by so many pixels to the right.
    pub async fn drag(&self, css: &str, pixels: f64) {
        let element = self.find(css).await;
        self.point(vec![
            PointerAction::MoveToElement { element, duration: None, x: 0.0, y: 0.0 },
            PointerAction::Down { button: MOUSE_BUTTON_LEFT },
            PointerAction::MoveBy { duration: None, x: pixels, y: 0.0 },
            PointerAction::Up { button: MOUSE_BUTTON_LEFT },
        ])
        .await;
    }

    async fn point(&self, actions: Vec<PointerAction>) {
        let mouse = actions.into_iter().fold(MouseActions::new("mouse".into()), MouseActions::then);
        self.client().perform_actions(mouse).await.unwrap();
    }

    /// Presses and releases a key, wherever the focus is.
    pub async fn press(&self, key: Key) -> Result<(), CmdError> {
        let value = char::from(key);
        let keys = KeyActions::new("keyboard".into()).then(KeyAction::Down { value }).then(KeyAction::Up { value });
        self.client().perform_actions(keys).await
    }

    /// A command of the browser's own protocol.
    pub async fn command(&self, name: &str, parameters: Value) -> Value {
        self.issue("goog/cdp/execute", json!({ "cmd": name, "params": parameters })).await
    }

    /// From now on pages are laid out on a screen of this size.
    pub async fn screen(&self, width: u32, height: u32) {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", screen).await;
    }

    /// From now on pages are told that this person likes them `light` or `dark`.
    pub async fn prefer(&self, theme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": theme }]);
        self.command("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// From now on no page's script runs.
    pub async fn without_scripts(&self) {
        self.command("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    }

    /// What the browser complained of since this was asked last: scripts that failed, what a page's policy forbids,
    /// answers that were errors.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.issue("se/log", json!({ "type": "browser" })).await;
        entries.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    async fn issue(&self, endpoint: &'static str, body: Value) -> Value {
        self.client().issue_cmd(Extension { endpoint, body }).await.unwrap()
    }
}

/// A command beyond the standard.
#[derive(Debug)]
struct Extension {
    endpoint: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.endpoint))
    }

    fn method_and_body(&self, _: &url::Url) -> (axum::http::Method, Option<String>) {
        (axum::http::Method::POST, Some(self.body.to_string()))
    }
}
