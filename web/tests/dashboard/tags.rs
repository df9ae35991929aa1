//! Tags: given on an experiment's page, shown with it, and what the list is filtered by.

use evaluator::store::{ExperimentId, MOST_TAG_CHARACTERS};
use scraper::{Html, Selector};

use crate::fixture::{Plan, fill};
use crate::html::well_formed;
use crate::site::Site;

/// Two experiments, `quickstart` and the newer `clips`.
async fn two() -> (Site, ExperimentId) {
    let site = Site::small().await;
    let plan = Plan { name: "clips".into(), sources: 1, thresholds: vec![0.01], ..Plan::default() };
    let clips = fill(&site.store, &plan).await.experiment;
    (site, clips)
}

fn texts(page: &Html, selector: &str) -> Vec<String> {
    page.select(&Selector::parse(selector).unwrap()).map(|element| element.text().collect()).collect()
}

/// The experiments on a page of the list.
async fn listed(site: &Site, path: &str) -> Vec<String> {
    let answer = site.get(path).await;
    assert_eq!(answer.status, 200, "{path}");
    texts(&well_formed(path, &answer), ".cards h2")
}

#[tokio::test]
async fn a_tag_is_given_shown_and_taken_away() {
    let (site, clips) = two().await;
    let page = format!("/experiments/{clips}");
    site.post(&format!("{page}/tags"), &[("name", " for the paper ")]).await.leads_to(&format!("{page}#tags"));
    site.post("/experiments/1/tags", &[("name", "draft")]).await.leads_to("/experiments/1#tags");
    let answer = site.get(&page).await;
    let shown = well_formed(&page, &answer);
    assert_eq!(texts(&shown, ".chip bdi"), ["for the paper"]);
    answer.says(200, &["id=\"tags\"", "/experiments?tag=for+the+paper", "remove the tag for the paper"]);
    let proposals = Selector::parse("datalist option").unwrap();
    let proposals: Vec<_> = shown.select(&proposals).map(|option| option.attr("value").unwrap()).collect();
    assert_eq!(proposals, ["draft"], "what others have, and this one has not");
    assert_eq!(listed(&site, "/experiments?tag=for+the+paper").await, ["clips"]);
    site.post(&format!("{page}/tags/remove"), &[("name", "for the paper")]).await.leads_to(&format!("{page}#tags"));
    assert_eq!(site.store.tags(clips).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn the_list_holds_those_that_have_all_tags() {
    let (site, clips) = two().await;
    for (experiment, tag) in [(clips, "paper"), (clips, "draft"), (site.filled.experiment, "paper")] {
        site.store.add_tag(experiment, tag).await.unwrap();
    }
    assert_eq!(listed(&site, "/experiments").await, ["clips", "quickstart"]);
    assert_eq!(listed(&site, "/experiments?tag=paper").await, ["clips", "quickstart"]);
    assert_eq!(listed(&site, "/experiments?tag=paper&tag=draft&tag=paper").await, ["clips"]);
    let both = site.get("/experiments?tag=paper&tag=draft").await;
    // The chips take one tag away, and what was found can be compared.
    both.says(200, &["href=\"/experiments?tag=draft\"", "href=\"/experiments?tag=paper\"", "href=\"/?e=2\""]);
    let cards = texts(&well_formed("both", &both), ".cards .chip");
    assert_eq!(cards, ["draft", "paper"]);
    site.get("/experiments?tag=paper").await.says(200, &["/experiments?tag=paper&#38;tag=draft", "/?e=2,1"]);
    let none = site.get("/experiments?tag=paper&tag=lost").await;
    none.says(
        200,
        &["No experiment has all of these tags", "href=\"/experiments\"", "href=\"/experiments?tag=paper\""],
    );
    well_formed("none", &none);
    site.get("/experiments?tag=lost").await.says(200, &["No experiment has this tag"]);
    assert_eq!(listed(&site, "/experiments?tag=&tag=+").await.len(), 2, "an empty field filters nothing");
}

#[tokio::test]
async fn pages_of_the_list_keep_the_filter() {
    let site = Site::small().await;
    for number in 0..30 {
        let new = evaluator::store::NewExperiment {
            key: crate::fixture::key(&format!("experiment {number}")),
            name: format!("number {number}"),
            question: String::new(),
            source: String::new(),
            config: serde_json::json!({}),
        };
        let id = site.store.put_experiment(&new).await.unwrap().id;
        site.store.add_tag(id, "many & more").await.unwrap();
    }
    let first = site.get("/experiments?tag=many+%26+more").await;
    first.says(200, &["1–25 of 30 experiments", "href=\"?tag=many+%26+more&#38;page=2\""]);
    assert!(!first.text().contains("Trade-offs of these"), "an address does not hold so many");
    let second = listed(&site, "/experiments?tag=many+%26+more&page=2").await;
    assert_eq!(second, ["number 4", "number 3", "number 2", "number 1", "number 0"]);
}

#[tokio::test]
async fn a_tag_that_is_none_is_refused_with_its_length() {
    let site = Site::small().await;
    let (long, longest) = ("é".repeat(MOST_TAG_CHARACTERS + 1), "é".repeat(MOST_TAG_CHARACTERS));
    for (name, words) in [
        ("", "a tag has 1 to 64 characters, and this one has 0"),
        (" \t ", "a tag has 1 to 64 characters, and this one has 0"),
        (&long, "a tag has 1 to 64 characters, and this one has 65"),
        ("two\r\nlines", "control character U+000D"),
        ("nothing\0", "control character U+0000"),
    ] {
        let answer = site.post("/experiments/1/tags", &[("name", name)]).await;
        answer.says(422, &["This is no tag", words, "Nothing was changed"]);
        well_formed(name, &answer);
    }
    for fields in [&[][..], &[("tag", "x")], &[("name", "x"), ("name", "y")]] {
        site.post("/experiments/1/tags", fields).await.says(422, &["This form is not understood", "name"]);
    }
    assert_eq!(site.store.tags(site.filled.experiment).await.unwrap(), [""; 0]);
    site.post("/experiments/1/tags", &[("name", &longest)]).await.leads_to("/experiments/1#tags");
}
