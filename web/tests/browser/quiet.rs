//! No page makes the browser complain: no script fails, nothing breaks the content security policy, nothing is missing.

use crate::fixture::Plan;
use crate::tab::Tab;

#[tokio::test]
async fn the_browser_complains_of_no_page() {
    let plan = Plan { blocks: 2, frames: 2, fails: true, under_way: true, ..Plan::default() };
    let Some(tab) = Tab::new(&plan).await else { return };
    let sample = format!("{}/samples/{}", tab.filled.trial(0), tab.filled.samples[0]);
    let views = ["slider", "difference", "signed"].map(|view| format!("{sample}?view={view}"));
    for path in tab.pages().into_iter().chain(views) {
        tab.go(&path).await;
        assert_eq!(tab.complaints().await, Vec::<String>::new(), "{path}");
    }
}

#[tokio::test]
async fn complaints_are_heard() {
    let Some(tab) = Tab::new(&Plan::default()).await else { return };
    tab.go("/experiments/77").await;
    let complaints = tab.complaints().await.join("\n");
    assert!(complaints.contains("404"), "{complaints}");
    tab.go("/").await;
    tab.ask::<()>("document.body.setAttribute('onclick', 'alert(1)'); document.body.click()").await;
    let complaints = tab.complaints().await.join("\n");
    assert!(complaints.contains("Content Security Policy"), "{complaints}");
}
