//! The first view: chart, form and table of any choice of trials, and their comparison.

use evaluator::store::Reader;
use scraper::{Html, Selector};

use crate::fixture::large::{Size, fill_large};
use crate::fixture::{Plan, fill, open};
use crate::html::well_formed;
use crate::site::{Answer, Site};

fn all(page: &Html, selector: &str) -> Vec<String> {
    page.select(&Selector::parse(selector).unwrap()).map(|element| element.text().collect()).collect()
}

fn attributes(page: &Html, selector: &str, name: &str) -> Vec<String> {
    page.select(&Selector::parse(selector).unwrap()).map(|element| element.attr(name).unwrap().to_owned()).collect()
}

/// Follows a redirect, as browsers do.
async fn shown(site: &Site, path: &str) -> (String, Answer) {
    let answer = site.get(path).await;
    if answer.status != 303 {
        return (path.to_owned(), answer);
    }
    let address = answer.header("location").to_owned();
    let answer = site.get(&address).await;
    (address, answer)
}

#[tokio::test]
async fn the_first_view_draws_one_line_a_variant_and_strategy() {
    let site = Site::new(&Plan { sources: 2, ..Plan::default() }).await;
    let page = well_formed("/", &site.get("/").await);
    assert_eq!(all(&page, "h1"), ["Trade-offs: quickstart"]);
    assert_eq!(all(&page, ".wide.light svg.chart > title"), ["PSNR (dB) against kept tokens per block"]);
    let legend: Vec<_> = all(&page, ".wide.light .legend-entry").iter().map(|name| name.trim().to_owned()).collect();
    for name in
        ["elastic, binary", "elastic, full", "fixed 25 %, fixed(0.25)", "Pareto front", "mean colour of each patch"]
    {
        assert!(legend.iter().any(|entry| entry == name), "{name} in {legend:?}");
    }
    // Every point says its values and leads to its trial.
    let points = all(&page, ".wide.light a .point title");
    assert_eq!(points.len(), 5, "two lines of two thresholds, and a fixed budget that is the same at both");
    assert!(points.iter().all(|title| title.contains("PSNR (dB) ") && title.contains("τ = ")), "{points:?}");
    assert!(
        attributes(&page, ".wide.light svg a", "href").iter().all(|href| href.starts_with("/experiments/1/trials/"))
    );
    assert_eq!(page.select(&Selector::parse("tbody tr").unwrap()).count(), 6);
    assert!(all(&page, "tbody td").iter().any(|cell| cell.contains('★')));
}

#[tokio::test]
async fn a_filter_as_the_form_sends_it_changes_address_chart_and_table() {
    let site = Site::new(&Plan { sources: 2, ..Plan::default() }).await;
    let page = well_formed("/", &site.get("/").await);
    let strategy = page
        .select(&Selector::parse(".facets fieldset").unwrap())
        .find(|field| field.text().any(|text| text == "strategy"))
        .unwrap();
    let value = strategy.select(&Selector::parse("input").unwrap()).next().unwrap().attr("value").unwrap();
    let usual = attributes(&page, "input[name=by][checked]", "value").join("&by=");
    let (address, answer) = shown(&site, &format!("/?y=ssim&x=kept_tokens&e=1&by={usual}&f={value}&ly=1")).await;
    assert_eq!(address, format!("/?e=1&y=ssim&ly=1&f={value}"), "what is usual is left out");
    let page = well_formed(&address, &answer);
    assert_eq!(all(&page, ".wide.light svg.chart > title"), ["SSIM against kept tokens per block"]);
    assert_eq!(page.select(&Selector::parse("tbody tr").unwrap()).count(), 2, "one strategy at two thresholds");
    assert_eq!(attributes(&page, ".facets .filtered input[checked]", "value"), [value]);
    // A filter that nothing passes says what to do.
    site.get("/?f=zzzz.zzzz").await.says(200, &["No finished trial is of this kind", "reset"]);
}

#[tokio::test]
async fn columns_sort_both_ways_and_by_number() {
    let site = Site::new(&Plan { sources: 2, thresholds: vec![0.005, 0.01, 0.1], ..Plan::default() }).await;
    let page = well_formed("/", &site.get("/?sort=psnr").await);
    let column = all(&page, "thead th").iter().position(|heading| heading.starts_with("PSNR (dB)")).unwrap();
    let psnr = |page: &Html| -> Vec<f64> {
        let cells = all(page, &format!("tbody tr > :nth-child({})", column + 1));
        cells.iter().map(|cell| cell.split_whitespace().next().unwrap().parse().unwrap()).collect()
    };
    assert!(psnr(&page).is_sorted(), "{:?}", psnr(&page));
    let link = attributes(&page, "thead th[aria-sort=ascending] a", "href").pop().unwrap();
    assert_eq!(link, "/?sort=-psnr#points");
    let mut falling = psnr(&well_formed("/", &site.get("/?sort=-psnr").await));
    falling.reverse();
    assert!(falling.is_sorted());
}

#[tokio::test]
async fn finished_trials_appear_without_a_restart() {
    let site = Site::small().await;
    assert!(site.get("/").await.text().contains("Trade-offs: quickstart"));
    let later = Plan { name: "later".into(), sources: 1, thresholds: vec![0.02], ..Plan::default() };
    fill(&site.store, &later).await;
    site.get("/").await.says(200, &["Trade-offs: later", "quickstart"]);
    let both = well_formed("/", &site.get("/?e=all").await);
    assert_eq!(all(&both, "h1"), ["Trade-offs of all experiments"]);
    // Other pictures make another plot.
    assert_eq!(both.select(&Selector::parse(".wide.light g.panel").unwrap()).count(), 2);
}

#[tokio::test]
async fn chart_and_table_are_files_too() {
    let site = Site::small().await;
    for (file, media_type, words) in [
        ("table.csv", "text/csv; charset=utf-8", "variant,strategy"),
        ("table.json", "application/json", "\"kept_tokens\""),
        ("table.tex", "text/x-tex; charset=utf-8", "\\toprule"),
        ("table.md", "text/markdown; charset=utf-8", "| variant"),
        ("figures/trade-offs.svg", "image/svg+xml", "Pareto front"),
    ] {
        let answer = site.get(&format!("/trade-offs/{file}?sort=-psnr")).await;
        answer.says(200, &[words]);
        assert_eq!(answer.header("content-type"), media_type);
    }
    site.get("/trade-offs/table.xls").await.says(400, &["not understood"]);
    site.get("/trade-offs/table.csv?f=zzzz.zzzz").await.says(404, &["There is no finished trial of this kind"]);
    site.get("/?x=depth").await.says(400, &["Nobody measured «depth»", "kept_tokens"]);
    site.get("/?e=77").await.says(404, &["There is no experiment 77"]);
}

#[tokio::test]
async fn trials_are_compared_side_by_side() {
    let site = Site::new(&Plan { sources: 6, thresholds: vec![0.01], ..Plan::default() }).await;
    let [full, _, fixed] = site.filled.trials[..] else { panic!("three trials") };
    let path = format!("/compare?t={full}&t={fixed}");
    let page = well_formed(&path, &site.get(&path).await);
    let headings: Vec<_> = all(&page, "thead th a");
    assert_eq!(headings, ["elastic, full, τ = 0.01", "fixed 25 %, fixed(0.25), τ = 0.01"]);
    let settings = all(&page, "tbody:first-of-type th");
    assert!(settings.contains(&"strategy".to_owned()) && !settings.contains(&"threshold".to_owned()), "{settings:?}");
    // The fixed budget keeps 16 of every block; its difference is the mean of 16 less what the search kept.
    let mut kept = Vec::new();
    for row in site.store.measurements(full).await.unwrap() {
        if row.metric == "kept_tokens" {
            kept.push(16.0 - row.value);
        }
    }
    let mean = kept.iter().sum::<f64>() / kept.len() as f64;
    let shown = all(&page, ".difference");
    assert!(shown.iter().any(|text| text.contains(&format!("{mean:.2} ["))), "{mean} in {shown:?}");
    let csv = site.get(&format!("/compare/comparison.csv?t={full},{fixed}")).await;
    csv.says(200, &["metric,trial,what,mean,difference,difference_low,difference_high,p_adjusted,samples,sources"]);
    site.get("/compare?t=1").await.says(400, &["needs two trials"]);
    site.get("/compare").await.says(400, &["needs two trials"]);
    site.get("/compare?t=1,77").await.says(404, &["There is no finished trial 77"]);
}

#[tokio::test]
async fn nothing_of_a_large_store_is_out_of_reach() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    fill_large(&store, &Size { experiments: 3, trials: 1000, samples: 10 }).await;
    let site = Site::small().await.over(Reader::clone(&store));
    site.get("/").await.says(200, &["Trade-offs: sweep 3", "200 rows of 1000 finished trials", "1–50 of 200 rows"]);
    site.get("/?page=4").await.says(200, &["151–200 of 200 rows"]);
    site.get("/?e=all")
        .await
        .says(200, &["600 rows of 3000 finished trials", "lines 1–7 of 50, those on the front first"]);
    for last in [7, 8, 1000] {
        let last = site.get(&format!("/?e=all&l={last}")).await;
        last.says(200, &["lines 50–50 of 50", "href=\"/?e=all&#38;l=6"]);
        assert!(!last.text().contains("href=\"/?e=all&#38;l=8"));
    }
    let csv = site.get("/trade-offs/table.csv?e=all").await;
    assert_eq!(csv.text().lines().count(), 601, "a heading and every row");
}

#[tokio::test]
async fn the_first_view_waits_for_no_other_experiment() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    fill_large(&store, &Size { experiments: 3, trials: 20, samples: 1 }).await;
    let site = Site::small().await.over(Reader::clone(&store));
    let first = site.get("/").await;
    first.says(200, &["Trade-offs: "]);
    // By then every experiment was read.
    assert_eq!(site.get("/?e=all").await.status, 200);
    assert_eq!(site.get("/").await.text(), first.text());
}
