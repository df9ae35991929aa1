//! The page of predictors.

use scraper::{Html, Selector};

use crate::fixture::Plan;
use crate::html::{links, well_formed};
use crate::site::Site;

const PATH: &str = "/experiments/1/predictors";

fn texts(page: &Html, selector: &str) -> Vec<String> {
    page.select(&Selector::parse(selector).unwrap()).map(|element| element.text().collect()).collect()
}

#[tokio::test]
async fn predicted_counts_stand_against_the_best_ones() {
    let site = Site::new(&Plan { sources: 4, thresholds: vec![0.01], predicts: true, ..Plan::default() }).await;
    site.get("/experiments/1").await.says(200, &["/experiments/1/predictors"]);
    let answer = site.get(PATH).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let page = well_formed(PATH, &answer);
    for file in links(&page).iter().filter(|address| address.contains("/tables/") || address.contains("/figures/")) {
        assert_eq!(site.get(file).await.status, 200, "{file}");
    }
    let titles = texts(&page, ".wide.light svg.chart > title");
    let expected =
        ["Predicted against best counts", "Violations against over-allocation", "What a safety margin costs"];
    assert_eq!(titles, expected);
    // Eight samples are wrong by their number · 5 mod 13 − 6: −1, 4, −4, 1, 6, −2, 3 and −5 tokens.
    let points = texts(&page, "figure:first-of-type .wide.light .point title");
    let mut errors = Vec::new();
    for title in &points {
        let counts: Vec<i32> = title.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
        let [best, predicted, blocks] = counts[..] else { panic!("{title}") };
        errors.extend(std::iter::repeat_n(predicted - best, blocks as usize));
    }
    errors.sort_unstable();
    assert_eq!(errors, [-5, -4, -2, -1, 1, 3, 4, 6], "{points:?}");
    // Half of them keep too few. With five tokens more, none does.
    let violations = texts(&page, "figure:nth-of-type(2) .wide.light .point title");
    assert_eq!(violations.iter().filter(|title| title.contains("50.0 % violated")).count(), 2, "{violations:?}");
    assert!(violations.contains(&"full: 0.0 tokens too many, 0.0 % violated".to_owned()), "{violations:?}");
    assert!(violations.contains(&"regression(0.5): 1.8 tokens too many, 50.0 % violated".to_owned()), "{violations:?}");
    let rows = texts(&page, "tbody tr > td:nth-of-type(1)");
    assert!(rows.iter().any(|strategy| strategy == "regression(0.9)"), "{rows:?}");
}

#[tokio::test]
async fn without_predictors_the_page_says_how_to_get_them() {
    let site = Site::small().await;
    site.get(PATH).await.says(200, &["No finished trial", "regression(0.9)", "sweep.strategies"]);
    assert!(!site.get("/experiments/1").await.text().contains(PATH));
    site.get("/experiments/77/predictors").await.says(404, &["There is no experiment 77"]);
}
