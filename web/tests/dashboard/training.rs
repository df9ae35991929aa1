//! The page of training runs.

use evaluator::store::TrainingPoint;
use scraper::{Html, Selector};

use crate::fixture::Plan;
use crate::html::well_formed;
use crate::site::Site;

const PATH: &str = "/experiments/1/training";

fn texts(page: &Html, selector: &str) -> Vec<String> {
    page.select(&Selector::parse(selector).unwrap()).map(|element| element.text().collect()).collect()
}

#[tokio::test]
async fn all_runs_are_drawn_over_one_another() {
    let site = Site::new(&Plan { sources: 1, thresholds: vec![0.01], under_way: true, ..Plan::default() }).await;
    let answer = site.get(PATH).await;
    answer.says(200, &["200 of 800 steps"]);
    let page = well_formed(PATH, &answer);
    let titles = texts(&page, ".wide.light svg.chart > title");
    let expected =
        ["Loss", "PSNR of the training reconstruction", "Learning rate", "Throughput", "Gradient norm before clipping"];
    assert_eq!(titles, expected);
    let names = texts(&page, "figure:first-of-type .wide.light .legend-entry");
    assert_eq!(names.iter().map(|name| name.trim()).collect::<Vec<_>>(), ["elastic", "fixed 25 %", "wide"]);
    assert!(
        texts(&page, ".wide.light .point title").iter().any(|title| title.starts_with("wide, steps 196 to 200: loss"))
    );
}

#[tokio::test]
async fn chosen_runs_are_drawn_in_their_own_colours() {
    let site = Site::new(&Plan { sources: 1, thresholds: vec![0.01], under_way: true, ..Plan::default() }).await;
    let (first, last) = (site.filled.runs[0], site.filled.runs[2]);
    let path = format!("{PATH}?run={last},{first}");
    site.get(&format!("{PATH}?run={last}&run={first}&run={last}")).await.leads_to(&path);
    let page = well_formed(&path, &site.get(&path).await);
    let entries = Selector::parse("figure:first-of-type .wide.light .legend-entry").unwrap();
    let slots: Vec<_> = page.select(&entries).map(|entry| entry.attr("data-series").unwrap()).collect();
    assert_eq!(slots, ["0", "2"]);
    assert_eq!(page.select(&Selector::parse("input[name=run][checked]").unwrap()).count(), 2);
    assert_eq!(page.select(&Selector::parse("input[name=run]").unwrap()).count(), 3);
}

#[tokio::test]
async fn a_perceptual_loss_has_its_chart() {
    let site = Site::new(&Plan { sources: 1, thresholds: vec![0.01], under_way: true, ..Plan::default() }).await;
    let run = site.filled.runs[2];
    let last = *site.store.training_points(run, 0).await.unwrap().last().unwrap();
    let judged = TrainingPoint { step: 201, perceptual: 0.02, ..last };
    site.store.report_training(run, 201, 0.1, &[judged]).await.unwrap();
    site.get(PATH).await.says(200, &["Perceptual part of the loss"]);
    let others = site.get(&format!("{PATH}?run={}", site.filled.runs[0])).await;
    assert!(!others.text().contains("Perceptual part"));
}

#[tokio::test]
async fn addresses_of_no_run_say_so() {
    let site = Site::small().await;
    site.get(&format!("{PATH}?run=77")).await.says(404, &["There is no training run 77 in experiment 1"]);
    site.get(&format!("{PATH}?run=%3Cb%3E")).await.says(400, &["a training run has a number"]);
    site.get(&format!("{PATH}?seed=1")).await.says(400, &["this page knows run=NUMBER"]);
    let many: Vec<String> = (1000..1050).map(|run| run.to_string()).collect();
    let many = format!("{PATH}?run={}", many.join(","));
    site.get(&many).await.says(400, &["50 training runs are more than an address holds"]);
    site.get("/experiments/77/training").await.says(404, &["There is no experiment 77"]);
}
