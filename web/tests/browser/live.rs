//! A page that stays open sees what another process stores, and says when the dashboard is gone.

use evaluator::store::{Reader, Store};
use serde_json::json;
use tokio::sync::oneshot;
use web::Server;

use crate::fixture::{Plan, tell};
use crate::tab::Tab;

fn under_way() -> Plan {
    Plan { sources: 2, thresholds: vec![0.01], under_way: true, ..Plan::default() }
}

const STATE: &str = "document.querySelector('[data-field=state]').textContent";

#[tokio::test]
async fn what_another_process_stores_is_seen_without_a_reload() {
    let Some(tab) = Tab::new(&under_way()).await else { return };
    tab.go(&format!("/experiments/{}", tab.filled.experiment)).await;
    // What the section says of itself, from now on.
    tab.ask::<()>(
        "window.stays = true; window.said = [];
         new MutationObserver(() => said.push(document.querySelector('[data-field=state]').textContent))
           .observe(document.querySelector('[data-live]'), { subtree: true, childList: true, characterData: true })",
    )
    .await;
    let other = Store::open(tab.store.path()).await.unwrap();
    let run = *tab.filled.runs.last().unwrap();
    let first = "document.querySelector('.tasks li')";
    tab.until(&format!("{first}.querySelector('progress').value === 200")).await;
    other.report_training(run, 500, 30.0, &[]).await.unwrap();
    tab.until(&format!("{first}.querySelector('progress').value === 500 && {first}.innerText.includes('500 of 800')"))
        .await;
    other.fail_training(run, "the loss at step 501 is NaN").await.unwrap();
    tell(&other, tab.filled.experiment, "training failed", None, json!({ "variant": "wide" })).await;
    tab.until("document.querySelector('.failures').innerText.includes('the loss at step 501 is NaN')").await;
    tab.until("document.querySelector('.news').textContent.includes('training failed: wide')").await;
    tab.until("!document.querySelector('.tasks').innerText.includes('train wide')").await;
    // The table of runs is fetched again.
    tab.until("document.querySelector('[data-fresh=training]').innerText.includes('the loss at step 501 is NaN')")
        .await;
    assert!(tab.ask::<bool>("return window.stays").await, "and all that without a reload");
    let said: Vec<String> = tab.ask("return said").await;
    assert!(!said.iter().any(|state| state.contains("does not answer")), "the server was there all the time: {said:?}");
    assert_eq!(tab.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn it_says_when_the_dashboard_is_gone_and_goes_on_when_it_is_back() {
    let Some(tab) = Tab::new(&under_way()).await else { return };
    let serve = async |port: u16| {
        let server = Server::bind(([127, 0, 0, 1], port).into(), None, None).await.unwrap();
        let url = server.url();
        let (stop, stopped) = oneshot::channel::<()>();
        let reader = Reader::clone(&tab.store);
        let serving = tokio::spawn(server.serve(reader, async { drop(stopped.await) }));
        (url, stop, serving)
    };
    let (url, stop, serving) = serve(0).await;
    tab.open(&format!("{url}/experiments/{}", tab.filled.experiment)).await;
    tab.until(&format!("{STATE}.startsWith('Running since')")).await;
    stop.send(()).unwrap();
    serving.await.unwrap();
    tab.until(&format!("{STATE}.startsWith('The dashboard does not answer')")).await;
    tell(&tab.store, tab.filled.experiment, "told meanwhile", None, json!({})).await;
    let port = url.rsplit(':').next().unwrap().parse().unwrap();
    let (_, _stop, _serving) = serve(port).await;
    tab.until(&format!("{STATE}.startsWith('Running since')")).await;
    tab.until("document.querySelector('.news').textContent.includes('told meanwhile')").await;
}

#[tokio::test]
async fn a_tab_in_the_background_holds_no_connection_and_catches_up_when_it_is_seen() {
    let Some(tab) = Tab::new(&under_way()).await else { return };
    tab.go(&format!("/experiments/{}", tab.filled.experiment)).await;
    tab.until(&format!("{STATE}.startsWith('Running since')")).await;
    // The browser lists a stream when it has ended.
    tab.ask::<()>(
        "window.streams = () => performance.getEntriesByType('resource').filter((e) => e.name.includes('/live?')).length;
         window.ended = streams(); window.seen = [];
         document.addEventListener('visibilitychange', () => seen.push(document.visibilityState))",
    )
    .await;
    let (this, other) = tab.another().await;
    tab.turn_to(other).await;
    tell(&tab.store, tab.filled.experiment, "told meanwhile", None, json!({})).await;
    tab.turn_to(this).await;
    tab.until("seen.join() === 'hidden,visible' && streams() === ended + 1").await;
    tab.until("document.querySelector('.news').textContent.includes('told meanwhile')").await;
    tab.until(&format!("{STATE}.startsWith('Running since')")).await;
}
