//! A sample's page: its pictures in every view, as tokens are added, and block by block.

use scraper::{ElementRef, Html, Selector};

use crate::fixture::{COUNTS, Plan};
use crate::html::well_formed;
use crate::site::{Answer, Site};

async fn page(site: &Site, trial: usize, sample: usize, query: &str) -> (Answer, Html) {
    let path = format!("{}/samples/{}{query}", site.trial(trial), site.filled.samples[sample]);
    let answer = site.get(&path).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let page = well_formed(&path, &answer);
    (answer, page)
}

fn all<'a>(page: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    page.select(&Selector::parse(selector).unwrap()).collect()
}

fn text(element: &ElementRef<'_>) -> String {
    element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn every_view_shows_two_pictures_without_a_script_and_stays_on_the_way() {
    let site = Site::small().await;
    let (original, made) = (site.filled.originals[0], site.filled.reconstructions[0]);
    let (original, made) = (format!("/artifacts/{original}"), format!("/artifacts/{made}"));
    for (query, title, second) in [
        ("", "side by side", made.as_str()),
        ("?view=slider", "slider", &made),
        ("?view=difference", "difference", "/absolute.png"),
        ("?sort=name&view=signed", "signed difference", "/signed.png"),
    ] {
        let (_, page) = page(&site, 0, 0, query).await;
        let shown: Vec<&str> = all(&page, ".pictures img").iter().map(|img| img.attr("src").unwrap()).collect();
        assert!(shown.len() == 2 && shown[0] == original && shown[1].ends_with(second), "{query}: {shown:?}");
        let current: Vec<String> = all(&page, ".views [aria-current]").iter().map(text).collect();
        assert_eq!(current, [title]);
        let neighbours = all(&page, ".pager a");
        assert!(
            !neighbours.is_empty() && neighbours.iter().all(|a| a.attr("href").unwrap().ends_with(query)),
            "{query}"
        );
        // The order of the samples stays, whatever the view.
        let views = all(&page, ".views a");
        let keeps = views.iter().filter(|a| a.attr("href").unwrap().contains("?sort=name")).count();
        assert_eq!((views.len(), keeps), (4, if query.contains("sort") { 4 } else { 0 }));
    }
    let sample = format!("{}/samples/{}", site.trial(0), site.filled.samples[0]);
    site.get(&format!("{sample}?view=upside-down")).await.says(400, &["This address is not understood", "upside-down"]);
}

#[tokio::test]
async fn added_tokens_rise_with_their_measured_psnr_and_the_choice_is_marked_once() {
    let site = Site::small().await;
    for trial in [0, 1] {
        let (_, page) = page(&site, trial, 0, "").await;
        let steps: Vec<String> = all(&page, ".filmstrip li").iter().map(text).collect();
        let counts: Vec<u32> = steps.iter().map(|step| step.split(' ').next().unwrap().parse().unwrap()).collect();
        assert!(counts.is_sorted() && COUNTS.iter().all(|count| counts.contains(count)), "{counts:?}");
        assert!(steps.iter().all(|step| step.contains("dB")), "{steps:?}");
        let quality: Vec<f64> = steps.iter().map(|step| step.split(' ').nth(2).unwrap().parse().unwrap()).collect();
        assert!(quality.is_sorted(), "{quality:?}");
        let chosen = all(&page, ".filmstrip .chosen");
        assert_eq!(chosen.len(), 1);
        let picture = all(&page, ".filmstrip .chosen img")[0].attr("src");
        assert_eq!(picture, all(&page, ".pictures img")[1].attr("src"), "the choice is the reconstruction above");
    }
    // The second crop of a source, and a model of a fixed budget, have none.
    for (trial, sample) in [(0, 1), (2, 0)] {
        let (answer, page) = page(&site, trial, sample, "").await;
        answer.says(200, &["sweep.progressive"]);
        assert!(all(&page, ".filmstrip").is_empty());
    }
}

#[tokio::test]
async fn a_clip_tells_its_frames_and_has_a_bar_for_each_block() {
    let plan = Plan { sources: 1, thresholds: vec![0.01], blocks: 3, frames: 2, ..Plan::default() };
    let site = Site::new(&plan).await;
    let (answer, page) = page(&site, 1, 0, "").await;
    answer.says(200, &["A clip of 6 frames in 3 blocks", "Every block keeps the count"]);
    let pictures = all(&page, ".pictures");
    let data = |name: &str| pictures[0].attr(name).unwrap();
    assert_eq!(["data-width", "data-height", "data-frames", "data-blocks"].map(data), ["64", "64", "6", "3"]);
    let bars = all(&page, ".timeline .bar");
    assert_eq!(bars.iter().map(|bar| bar.attr("data-block").unwrap()).collect::<Vec<_>>(), ["0", "1", "2"]);
    let blocks = site.store.blocks(site.filled.trials[1]).await.unwrap();
    for (bar, block) in bars.iter().zip(&blocks) {
        let words = format!("block {}: {} of 64 tokens, meets τ", block.record.block, block.record.kept_tokens);
        assert_eq!(text(bar), words);
    }
    // A sheet of two columns and three rows.
    let sheet = site.get(&format!("/artifacts/{}", site.filled.reconstructions[0])).await;
    let sheet = image::load_from_memory(&sheet.body).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (128, 192));

    let (answer, _) = self::page(&Site::small().await, 0, 0, "").await;
    assert!(!answer.text().contains("timeline") && !answer.text().contains("A clip of"), "a picture has no time");
}
