//! Tables, figures and pictures as files.

use evaluator::report::Report;
use evaluator::store::MediaType;

use crate::fixture::Plan;
use crate::site::Site;

#[tokio::test]
async fn downloads_are_the_reports_own_bytes() {
    let site = Site::small().await;
    let report = Report::load(&site.store, site.filled.experiment).await.unwrap();
    let table = report.table();
    for (file, text) in
        [("csv", table.to_csv()), ("json", table.to_json()), ("md", table.to_markdown()), ("tex", table.to_latex())]
    {
        let answer = site.get(&format!("/experiments/1/tables/results.{file}")).await;
        assert_eq!(answer.text(), text);
        assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"experiment-1.{file}\""));
    }
}

/// Every figure of a page, as files.
#[tokio::test]
async fn figures_stand_alone() {
    let site = Site::small().await;
    let sample = format!("{}/samples/{}/distortion", site.trial(1), site.filled.samples[0]);
    for (base, query, legend) in [
        ("/trade-offs/figures/trade-offs", "?x=kept_tokens", "elastic, full"),
        ("/experiments/1/figures/satisfaction", "", "elastic"),
        ("/experiments/1/figures/quality", "", "mean colour of each patch"),
        ("/experiments/1/training/gradient-norm", "?run=1", "elastic"),
        (&sample, "", "probes of the search"),
    ] {
        let light = site.get(&format!("{base}.svg{query}")).await;
        assert_eq!((light.status.as_u16(), light.header("content-type")), (200, "image/svg+xml"), "{}", light.text());
        let text = light.text();
        assert!(text.contains(&format!(">{legend}</text>")), "{base} lacks the legend {legend}");
        let caption = text.split_once("<desc>").unwrap().1.split_once("</desc>").unwrap().0;
        let first_words = caption.split(' ').take(4).collect::<Vec<_>>().join(" ");
        assert!(text.matches(&first_words).count() >= 2, "{base} does not draw «{first_words}»");
        assert!(!text.contains("href"), "{base} has a link that leads nowhere from a file");
        let dark = site.get(&format!("{base}-dark.svg{query}")).await;
        assert!(dark.text().starts_with("<svg ") && dark.body != light.body);
        let picture = site.get(&format!("{base}.png{query}")).await;
        assert_eq!(picture.header("content-type"), "image/png");
        let picture = image::load_from_memory(&picture.body).unwrap();
        let height: f32 = text.split_once(" height=\"").unwrap().1.split_once('"').unwrap().0.parse().unwrap();
        assert_eq!((picture.width(), picture.height()), (1920, (2.0 * height).round() as u32), "{base}");
    }
}

#[tokio::test]
async fn figures_that_are_not_there_say_so() {
    let site = Site::small().await;
    for (path, status, words) in [
        ("/experiments/1/figures/another.svg", 404, "there is no figure &#34;another&#34;"),
        ("/experiments/1/figures/margin.svg", 404, "holds nothing for margin"),
        ("/experiments/1/figures/quality.pdf", 400, "NAME-dark.svg"),
        ("/trade-offs/figures/another.svg", 404, "another"),
        ("/experiments/1/training/another.png", 404, "another"),
        ("/experiments/1/trials/1/samples/1/another.svg", 404, "another"),
        ("/experiments/1/trials/1/samples/77/distortion.svg", 404, "sample 77"),
    ] {
        site.get(path).await.says(status, &[words]);
    }
}

/// The rows of a table as a file has them.
async fn rows(site: &Site, path: &str) -> Vec<serde_json::Value> {
    let answer = site.get(&format!("{path}.json")).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"), "{path}");
    let table: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
    let rows = table["rows"].as_array().unwrap().clone();
    let csv = site.get(&format!("{path}.csv")).await;
    assert_eq!(csv.text().lines().count(), rows.len() + 1, "{path}");
    for (ending, words) in [("tex", "\\toprule"), ("md", "|--")] {
        site.get(&format!("{path}.{ending}")).await.says(200, &[words]);
    }
    rows
}

#[tokio::test]
async fn every_table_of_a_page_is_a_file_with_all_rows() {
    let plan = Plan { sources: 26, thresholds: vec![0.01], blocks: 2, fails: true, ..Plan::default() };
    let site = Site::new(&plan).await;
    let (trial, sample) = (site.trial(0), format!("{}/samples/{}", site.trial(1), site.filled.samples[3]));
    let trials = rows(&site, "/experiments/1/tables/trials").await;
    let stored = site.store.trials(site.filled.experiment).await.unwrap();
    assert_eq!(trials.len(), 3);
    assert_eq!(trials[0]["psnr"]["value"], stored[0].summary("psnr").unwrap().mean);
    assert_eq!((&trials[2]["state"], &trials[2]["psnr"]), (&"failed".into(), &serde_json::Value::Null));
    let training = rows(&site, "/experiments/1/tables/training").await;
    assert_eq!((training.len(), &training[0]["state"]), (2, &"done".into()));
    let summary = rows(&site, &format!("{trial}/tables/summary")).await;
    assert_eq!(summary.len(), stored[0].summaries.len());
    let samples = rows(&site, &format!("{trial}/tables/samples")).await;
    assert_eq!(samples.len(), 52, "more than a page has");
    let psnr: Vec<f64> = samples.iter().map(|sample| sample["psnr"].as_f64().unwrap()).collect();
    assert!(psnr.is_sorted(), "in the order of the page");
    let by_name = site.get(&format!("{trial}/tables/samples.csv?sort=name&page=2")).await;
    assert!(by_name.text().lines().nth(1).unwrap().contains("astronaut again.png,0,"), "{}", by_name.text());
    let blocks = rows(&site, &format!("{sample}/tables/blocks")).await;
    assert_eq!((blocks.len(), &blocks[1]["block"]), (2, &1.0.into()));
    let measurements = rows(&site, &format!("{sample}/tables/measurements")).await;
    assert_eq!((&measurements[1]["metric"], &measurements[1]["unit"]), (&"psnr".into(), &"dB".into()));
    for wrong in ["samples.xls", "colours.csv", "samples", ".csv"] {
        site.get(&format!("{trial}/tables/{wrong}")).await.says(400, &["This address is not understood", wrong]);
    }
}

#[tokio::test]
async fn a_picture_is_sent_once() {
    let site = Site::small().await;
    let (original, reconstruction) = (site.filled.originals[0], site.filled.reconstructions[0]);
    for path in [format!("/artifacts/{original}"), format!("/differences/{original}/{reconstruction}/signed.png")] {
        let first = site.get(&path).await;
        assert_eq!((first.status.as_u16(), first.header("content-type")), (200, "image/png"));
        assert!(first.header("cache-control").contains("immutable"));
        assert!(image::load_from_memory(&first.body).is_ok());
        let tag = first.header("etag");
        let again = site.ask(&path, &[("if-none-match", &format!("\"other\", W/{tag}"))]).await;
        assert_eq!((again.status.as_u16(), again.body.len(), again.header("etag")), (304, 0, tag));
        assert_eq!(site.ask(&path, &[("if-none-match", "\"other\"")]).await.status, 200);
    }
    let style = site.get("/assets/style.css").await;
    assert_eq!(site.ask("/assets/style.css", &[("if-none-match", style.header("etag"))]).await.status, 304);
}

#[tokio::test]
async fn only_pictures_leave_the_store_and_a_lost_file_is_told() {
    let site = Site::small().await;
    let weights = site.store.put_artifact(b"weights".to_vec(), MediaType::Binary).await.unwrap().id;
    site.get(&format!("/artifacts/{weights}")).await.says(404, &["There is no picture"]);
    let original = site.filled.originals[0];
    std::fs::remove_file(site.store.artifact_files().path(original, MediaType::Png)).unwrap();
    site.get(&format!("/artifacts/{original}")).await.says(404, &["This file is gone"]);
}
