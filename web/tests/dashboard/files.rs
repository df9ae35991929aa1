//! Tables, figures and pictures as files.

use evaluator::report::Report;
use evaluator::store::MediaType;

use crate::site::Site;

#[tokio::test]
async fn downloads_are_the_reports_own_bytes() {
    let site = Site::small().await;
    let report = Report::load(&site.store, site.filled.experiment).await.unwrap();
    let table = report.table();
    for (file, text) in [("csv", table.to_csv()), ("md", table.to_markdown()), ("tex", table.to_latex())] {
        let answer = site.get(&format!("/experiments/1/tables/results.{file}")).await;
        assert_eq!(answer.text(), text);
        assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"experiment-1.{file}\""));
    }
    let light = site.get("/experiments/1/figures/satisfaction.svg").await;
    let dark = site.get("/experiments/1/figures/satisfaction.svg?theme=dark").await;
    assert_eq!(light.header("content-type"), "image/svg+xml");
    assert!(light.text().starts_with("<svg ") && dark.text().starts_with("<svg ") && light.body != dark.body);
    site.get("/experiments/1/figures/satisfaction.svg?theme=pink").await.says(400, &["pink"]);
    site.get("/experiments/1/figures/another.svg").await.says(400, &["another.svg"]);
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
