//! Every page says what it should, and every link leads somewhere.

use std::collections::BTreeSet;

use evaluator::store::{NewExperiment, Reader, Store};
use scraper::{Html, Selector};

use crate::fixture::{self, Plan};
use crate::html::{links, well_formed};
use crate::routes::{forms, routes};
use crate::site::Site;

#[tokio::test]
async fn every_link_from_the_first_page_leads_somewhere() {
    let site = Site::new(&Plan { sources: 1, thresholds: vec![0.01], blocks: 2, fails: true, ..Plan::default() }).await;
    site.store.add_tag(site.filled.experiment, "a tag").await.unwrap();
    site.store.add_note(site.filled.experiment, Some(site.filled.trials[0]), "a note").await.unwrap();
    let (mut seen, mut open) = (BTreeSet::new(), vec!["/".to_owned()]);
    while let Some(path) = open.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let answer = site.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(path.len() < 300, "{path}");
        if answer.header("content-type").starts_with("text/html") {
            open.extend(links(&well_formed(&path, &answer)).into_iter().map(|link| match link.starts_with('?') {
                true => format!("{}{link}", path.split('?').next().unwrap()),
                false => link,
            }));
        }
    }
    assert!(seen.contains("/experiments?tag=a+tag") && seen.contains("/?e=1"), "{seen:#?}");
    let of = |part: &str| seen.iter().filter(|path| path.contains(part)).count();
    // Each page's tables in four formats (a failed trial has no summary), each sample in four views and its figure in three.
    let (of_trials, of_samples) = (4 * (2 + 3), 4 * 2 * 6);
    assert_eq!(
        (of("/trials/"), of("/samples/")),
        (3 + of_trials + 6 * (4 + 3) + of_samples, 6 * (4 + 3) + of_samples),
        "{seen:#?}"
    );
    assert!(
        of("/differences/") > 0
            && of("/artifacts/") > 0
            && of("/experiments/1/figures/") == 6
            && of("/experiments/1/tables/") == 12,
        "{seen:#?}"
    );
}

#[tokio::test]
async fn no_address_and_no_template_is_forgotten() {
    let site = Site::small().await;
    let routes = routes(&site.filled);
    let forms = forms(&site.filled);
    let listed = routes.iter().map(|route| route.address).chain(forms.iter().map(|form| form.address));
    assert_eq!(listed.collect::<BTreeSet<_>>(), web::addresses().into_iter().collect());
    let mut used: BTreeSet<String> =
        routes.iter().flat_map(|route| route.templates).map(|name| (*name).to_owned()).collect();
    used.extend(["base.html", "problem.html"].map(str::to_owned));
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let there = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(used, there.collect());
    for route in &routes {
        assert_eq!(site.get(&route.path).await.status, 200, "{}", route.path);
    }
    site.store.add_note(site.filled.experiment, None, "to be deleted").await.unwrap();
    for form in &forms {
        assert_eq!(site.post(&form.path, form.fields).await.status, 303, "{}", form.path);
    }
}

#[tokio::test]
async fn an_empty_store_says_which_command_fills_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("results.db")).await.unwrap();
    let site = Site::small().await.over(Reader::clone(&store));
    site.get("/").await.says(200, &["elastictok run experiments/quickstart.toml"]);
}

#[tokio::test]
async fn an_experiment_shows_its_question_figures_table_and_origin() {
    let site = Site::small().await;
    let answer = site.get("/experiments/1").await;
    answer.says(
        200,
        &[
            "How many tokens does a photograph need",
            "3 of 3 trials done",
            "Blocks that meet the threshold",
            "Quality against tokens",
            "Loss against training steps",
            "painting each patch in its mean colour gives",
            "a processor with a name",
            "Resolved configuration",
            "/experiments/1/figures/quality-dark.svg",
        ],
    );
    let page = well_formed("/experiments/1", &answer);
    let drawings: Vec<_> =
        page.select(&Selector::parse(".drawing").unwrap()).map(|d| d.attr("class").unwrap()).collect();
    assert_eq!(drawings.len(), 3 * 4, "three figures, each for two themes and two widths");
}

#[tokio::test]
async fn an_experiment_without_results_says_how_it_goes_on() {
    let site = Site::small().await;
    let new = NewExperiment {
        key: fixture::key("unborn"),
        name: "unborn".into(),
        question: String::new(),
        source: String::new(),
        config: serde_json::json!({}),
    };
    let id = site.store.put_experiment(&new).await.unwrap().id;
    let answer = site.get(&format!("/experiments/{id}")).await;
    answer.says(200, &["No trial of this experiment is finished yet", "None is planned yet", "No training run"]);
    well_formed("unborn", &answer);
    let listed = site.get("/experiments").await;
    listed.says(200, &["0 of 0 trials done"]);
    let text = listed.text();
    assert!(text.find("unborn").unwrap() < text.find("quickstart").unwrap(), "newest first");
}

#[tokio::test]
async fn a_trial_lists_its_samples_worst_first_and_keeps_the_order_on_the_way() {
    let site = Site::small().await;
    let trial = site.trial(2); // a fixed budget: PSNR differs between samples
    let answer = site.get(&trial).await;
    answer.says(200, &["fixed(0.25), τ = 0.01", "4 of 4 samples", "clustered by source", "run live"]);
    let page = well_formed(&trial, &answer);
    let psnr = |page: &Html| -> Vec<f64> {
        let fields = Selector::parse(".gallery dl").unwrap();
        let first = Selector::parse("dd").unwrap();
        page.select(&fields).map(|list| list.select(&first).next().unwrap().inner_html().parse().unwrap()).collect()
    };
    let worst = psnr(&page);
    assert!(worst.len() == 4 && worst.is_sorted(), "{worst:?}");

    let best = site.get(&format!("{trial}?order=best")).await;
    let page = well_formed(&trial, &best);
    let mut reversed = psnr(&page);
    reversed.reverse();
    assert_eq!(reversed, worst);
    let first = Selector::parse(".gallery a").unwrap();
    let first = page.select(&first).next().unwrap().attr("href").unwrap();
    assert!(first.ends_with("?order=best"), "{first}");
    let sample = site.get(first).await;
    sample.says(200, &["1 of 4", "rel=\"next\"", "?order=best"]);
    assert!(!sample.text().contains("rel=\"prev\""));

    // By what the list does not usually show: the trial of a search, most evaluations first.
    let by_cost = format!("{}?sort=evaluations", site.trial(1));
    let page = well_formed(&by_cost, &site.get(&by_cost).await);
    let last = Selector::parse(".gallery dl dd:last-of-type").unwrap();
    let costs: Vec<f64> = page.select(&last).map(|value| value.inner_html().parse().unwrap()).collect();
    assert!(costs.len() == 4 && costs.is_sorted_by(|a, b| a >= b) && costs[0] >= 5.0, "{costs:?}");
    let options = Selector::parse("select[name=sort] option").unwrap();
    let options: Vec<&str> = page.select(&options).map(|option| option.attr("value").unwrap()).collect();
    assert!(options.contains(&"flops") && options.last() == Some(&"name") && options.len() == 11, "{options:?}");

    let unknown = site.get(&format!("{trial}?sort=colour")).await;
    unknown.says(400, &["This address is not understood", "sort=colour", "search_seconds"]);
}

#[tokio::test]
async fn a_failed_trial_says_why_and_an_unfinished_one_shows_what_it_has() {
    let site = Site::new(&Plan { sources: 2, thresholds: vec![0.01, 0.02], fails: true, ..Plan::default() }).await;
    site.get("/experiments/1").await.says(200, &["5 of 6 trials done", "1 failed", "the disk is full"]);
    let failed = site.get(&site.trial(4)).await;
    failed.says(200, &["It failed: the disk is full", "2 of 4 samples", "Summaries are written when"]);
    assert_eq!(failed.text().matches("alt=\"reconstruction\"").count(), 2);
}

#[tokio::test]
async fn a_sample_shows_pictures_tokens_curve_and_measurements() {
    let site = Site::new(&Plan { sources: 1, thresholds: vec![0.01], blocks: 2, ..Plan::default() }).await;
    let path = format!("{}/samples/{}", site.trial(1), site.filled.samples[0]);
    let answer = site.get(&path).await;
    answer.says(
        200,
        &[
            "astronaut.png",
            "Reconstruction",
            "of 64",
            "block 1", // the curve behind the first block's kept count was found
            "measured curve",
            "probes of the search",
            "Structural similarity of 8-bit pictures",
            "FLOP/block",
        ],
    );
    assert!(!answer.text().contains("No distortion curve"));
    let fixed = site.get(&format!("{}/samples/{}", site.trial(2), site.filled.samples[0])).await;
    fixed.says(200, &["No distortion curve was measured"]);
}
