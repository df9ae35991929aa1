//! What is true of every page.

use std::collections::BTreeSet;

use scraper::{Html, Selector};

use crate::site::Answer;

/// Parses strictly, and finds nothing that the content security policy would block.
pub fn well_formed(path: &str, answer: &Answer) -> Html {
    let page = Html::parse_document(answer.text());
    assert_eq!(page.errors, Vec::<&str>::new(), "{path}");
    for element in page.root_element().descendent_elements() {
        let inline = element.value().attrs().find(|(name, _)| *name == "style" || name.starts_with("on"));
        assert_eq!(inline, None, "{path}");
        let name = element.value().name();
        assert_ne!(name, "style", "{path}");
        assert!(name != "script" || (element.attr("src").is_some() && element.inner_html().is_empty()), "{path}");
    }
    let count = |selector: &str| page.select(&Selector::parse(selector).unwrap()).count();
    assert_eq!((count("main"), count("h1")), (1, 1), "{path}");
    assert_eq!(count("table"), count("table > caption"), "{path}");
    assert_eq!(count("img"), count("img[alt]"), "{path}");
    assert_eq!(count("a.skip[href='#content']"), 1, "{path}");
    page
}

/// A problem, in the language of its address: a page, or JSON below `/api/`.
pub fn well_told(path: &str, answer: &Answer) {
    if answer.header("content-type") == "application/json" {
        assert!(path.starts_with("/api/"), "{path}");
        serde_json::from_str::<serde_json::Value>(answer.text()).unwrap();
    } else {
        well_formed(path, answer);
    }
}

/// The addresses that the page names, without their anchors.
pub fn links(page: &Html) -> BTreeSet<String> {
    let selector = Selector::parse("[href], [src]").unwrap();
    let addresses = page.select(&selector).filter_map(|element| element.attr("href").or(element.attr("src")));
    addresses
        .map(|address| address.split('#').next().unwrap().to_owned())
        .filter(|address| !address.is_empty())
        .collect()
}
