//! An example of every address: what is asked of all of them is asked of these lists.

use crate::fixture::Filled;

/// An address that a form is sent to.
pub struct Form {
    /// As the router has it.
    pub address: &'static str,
    /// As a browser sends it.
    pub path: String,
    pub fields: &'static [(&'static str, &'static str)],
}

/// A list for any store that was filled and has a note.
pub fn forms(filled: &Filled) -> Vec<Form> {
    let experiment = format!("/experiments/{}", filled.experiment);
    let form = |address, path, fields| Form { address, path, fields };
    vec![
        form("/experiments/{experiment}/tags", format!("{experiment}/tags"), &[("name", "paper")]),
        form("/experiments/{experiment}/tags/remove", format!("{experiment}/tags/remove"), &[("name", "draft")]),
        form("/experiments/{experiment}/notes", format!("{experiment}/notes"), &[("text", "a note")]),
        form("/experiments/{experiment}/notes/{note}/delete", format!("{experiment}/notes/1/delete"), &[]),
        form(
            "/experiments/{experiment}/trials/{trial}/notes",
            format!("{}/notes", filled.trial(0)),
            &[("text", "a note")],
        ),
    ]
}

pub struct Route {
    /// As the router has it.
    pub address: &'static str,
    /// As a browser asks for it.
    pub path: String,
    /// Of a page: the templates that it is made of, beside the frame of all pages.
    pub templates: &'static [&'static str],
    /// Whether it needs the store.
    pub stored: bool,
}

impl Route {
    pub fn is_page(&self) -> bool {
        !self.templates.is_empty()
    }

    /// What parts the path from more of a query.
    pub fn separator(&self) -> char {
        if self.path.contains('?') { '&' } else { '?' }
    }
}

/// A list of what can be read, for any store that was filled.
pub fn routes(filled: &Filled) -> Vec<Route> {
    let (experiment, trial) = (format!("/experiments/{}", filled.experiment), filled.trial(0));
    let (original, reconstruction) = (filled.originals[0], filled.reconstructions[0]);
    let page = |address, path, templates| Route { address, path, templates, stored: true };
    let file = |address, path| Route { address, path, templates: &[], stored: true };
    let built_in = |address, path: &str| Route { address, path: path.to_owned(), templates: &[], stored: false };
    let compared = format!("{},{}", filled.trials[0], filled.trials[1]);
    let training = format!("{experiment}/training");
    let sample = format!("{trial}/samples/{}", filled.samples[0]);
    vec![
        page(
            "/",
            "/".to_owned(),
            &["trade_offs.html", "empty_store.html", "running.html", "figure.html", "pager.html"],
        ),
        file("/trade-offs/{file}", "/trade-offs/table.csv".to_owned()),
        file("/trade-offs/figures/{file}", "/trade-offs/figures/trade-offs.svg".to_owned()),
        page("/compare", format!("/compare?t={compared}"), &["compare.html", "downloads.html"]),
        file("/compare/{file}", format!("/compare/comparison.csv?t={compared}")),
        page("/experiments", "/experiments".to_owned(), &["experiments.html", "empty_store.html", "pager.html"]),
        page(
            "/experiments/{experiment}",
            experiment.clone(),
            &[
                "experiment.html",
                "tags.html",
                "notes.html",
                "running.html",
                "figure.html",
                "listing.html",
                "pager.html",
                "downloads.html",
            ],
        ),
        page("/experiments/{experiment}/training", training, &["training.html", "running.html", "figure.html"]),
        file("/experiments/{experiment}/training/{file}", format!("{experiment}/training/throughput.png")),
        page(
            "/experiments/{experiment}/predictors",
            format!("{experiment}/predictors"),
            &["predictors.html", "figure.html", "listing.html"],
        ),
        file("/experiments/{experiment}/live", format!("{experiment}/live")),
        page(
            "/experiments/{experiment}/trials/{trial}",
            trial.clone(),
            &["trial.html", "notes.html", "pager.html", "downloads.html"],
        ),
        page(
            "/experiments/{experiment}/trials/{trial}/samples/{sample}",
            sample.clone(),
            &["sample.html", "timeline.html", "figure.html", "downloads.html"],
        ),
        file("/experiments/{experiment}/trials/{trial}/tables/{file}", format!("{trial}/tables/samples.csv")),
        file(
            "/experiments/{experiment}/trials/{trial}/samples/{sample}/tables/{file}",
            format!("{sample}/tables/blocks.csv"),
        ),
        file(
            "/experiments/{experiment}/trials/{trial}/samples/{sample}/{file}",
            format!("{sample}/distortion-dark.svg"),
        ),
        file("/experiments/{experiment}/tables/{file}", format!("{experiment}/tables/results.csv")),
        file("/experiments/{experiment}/figures/{file}", format!("{experiment}/figures/quality.svg")),
        file("/artifacts/{hash}", format!("/artifacts/{original}")),
        file(
            "/differences/{original}/{reconstruction}/{kind}",
            format!("/differences/{original}/{reconstruction}/absolute.png"),
        ),
        file("/api/trade-offs", "/api/trade-offs".to_owned()),
        file("/api/experiments", "/api/experiments".to_owned()),
        file("/api/experiments/{experiment}", format!("/api{experiment}")),
        file("/api/experiments/{experiment}/training", format!("/api{experiment}/training")),
        file("/api/experiments/{experiment}/trials", format!("/api{experiment}/trials")),
        file("/api/experiments/{experiment}/trials/{trial}", format!("/api{trial}")),
        file("/api/experiments/{experiment}/trials/{trial}/samples", format!("/api{trial}/samples")),
        file("/api/experiments/{experiment}/trials/{trial}/samples/{sample}", format!("/api{sample}")),
        built_in("/api/openapi.json", "/api/openapi.json"),
        built_in("/assets/{name}", "/assets/page.js"),
        built_in("/healthz", "/healthz"),
    ]
}
