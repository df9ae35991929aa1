//! Addresses that lead nowhere, and names that would like to be more than names.

use scraper::Selector;

use crate::fixture::{self, Plan};
use crate::html::well_formed;
use crate::site::Site;

#[tokio::test]
async fn what_is_not_there_gets_a_page_that_helps() {
    let site = Site::small().await;
    let unknown = fixture::key("nothing");
    for (path, words) in [
        ("/experiments/77".to_owned(), "There is no experiment 77"),
        ("/experiments/1/trials/77".to_owned(), "There is no trial 77 in experiment 1"),
        ("/experiments/77/trials/1".to_owned(), "There is no experiment 77"),
        (format!("{}/samples/77", site.trial(0)), "There is no sample 77 in trial 1"),
        ("/experiments/77/tables/results.csv".to_owned(), "There is no experiment 77"),
        (format!("/artifacts/{unknown}"), "There is no artifact"),
        ("/assets/../Cargo.toml".to_owned(), "There is no"),
        ("/assets/%2e%2e%2fCargo.toml".to_owned(), "There is no"),
        ("/nowhere".to_owned(), "There is no page /nowhere"),
    ] {
        let answer = site.get(&path).await;
        answer.says(404, &[words, "All experiments"]);
        well_formed(&path, &answer);
    }
    for path in [
        "/experiments/one",
        "/experiments/1/trials/-x",
        "/artifacts/..%2f..%2fetc%2fpasswd",
        "/artifacts/abc",
        "/?page=x",
    ] {
        let answer = site.get(path).await;
        answer.says(400, &["This address is not understood", "All experiments"]);
        well_formed(path, &answer);
    }
}

#[tokio::test]
async fn hostile_names_are_text() {
    let name = "<script>alert(1)</script>";
    let question = "\"><img src=x onerror=alert(2)>'& </title>{{ 7 * 7 }}";
    let plan =
        Plan { name: name.into(), question: question.into(), sources: 1, thresholds: vec![0.01], ..Plan::default() };
    let site = Site::new(&plan).await;
    let sample = format!("{}/samples/{}", site.trial(0), site.filled.samples[0]);
    for path in ["/".to_owned(), "/experiments/1".to_owned(), site.trial(0), sample] {
        let answer = site.get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let page = well_formed(&path, &answer);
        assert!(page.root_element().text().any(|text| text.contains(name)), "{path}");
        assert_eq!(page.select(&Selector::parse("img[src=x]").unwrap()).count(), 0, "{path}");
    }
}
