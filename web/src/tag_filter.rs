//! Tags in an address: the experiments that have all of them.

use evaluator::store::ExperimentId;
use form_urlencoded::Serializer;
use serde::Deserialize;

use crate::explore::{Scope, View};
use crate::extract::MOST_CHARACTERS;

/// The tags that an experiment must have to be listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Vec<(String, String)>")]
pub struct TagFilter {
    /// Each once, in the order of the address.
    pub tags: Vec<String>,
}

impl From<Vec<(String, String)>> for TagFilter {
    /// Of what follows the question mark, which may say other things too.
    fn from(asked: Vec<(String, String)>) -> Self {
        let tags = asked.iter().filter(|(name, _)| name == "tag").map(|(_, tag)| tag.trim());
        tags.filter(|tag| !tag.is_empty()).fold(Self::default(), Self::joined)
    }
}

impl TagFilter {
    /// All that have this tag.
    pub fn of(tag: &str) -> Self {
        Self::default().joined(tag)
    }

    /// Those of them that have this tag too; or all with this tag, where the address would become too long.
    pub fn with(&self, tag: &str) -> Self {
        let narrower = self.clone().joined(tag);
        if narrower.address().len() <= MOST_CHARACTERS { narrower } else { Self::of(tag) }
    }

    /// Also those that lack this tag.
    pub fn without(&self, tag: &str) -> Self {
        Self { tags: self.tags.iter().filter(|known| *known != tag).cloned().collect() }
    }

    fn joined(mut self, tag: &str) -> Self {
        if !self.tags.iter().any(|known| known == tag) {
            self.tags.push(tag.to_owned());
        }
        self
    }

    /// What follows the question mark.
    pub fn query(&self) -> String {
        Serializer::new(String::new()).extend_pairs(self.tags.iter().map(|tag| ("tag", tag))).finish()
    }

    /// Path and query of the list.
    pub fn address(&self) -> String {
        match self.query() {
            query if query.is_empty() => "/experiments".to_owned(),
            query => format!("/experiments?{query}"),
        }
    }

    /// Where the trade-offs of the experiments found are, if an address holds that many.
    pub fn trade_offs(&self, found: &[ExperimentId]) -> Option<String> {
        let view = View { scope: Scope::These(found.to_vec()), ..View::default() };
        (!self.tags.is_empty() && !found.is_empty() && view.check().is_ok()).then(|| view.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&str, &str)]) -> TagFilter {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        pairs.into()
    }

    #[test]
    fn a_filter_is_what_its_address_says() {
        for tags in [&["paper"][..], &["a&tag=b", "#?+ %", "\"'><"], &["夜景", "\u{202e}rtl"]] {
            let filter = asked(&tags.iter().map(|tag| ("tag", *tag)).collect::<Vec<_>>());
            assert_eq!(filter.tags, tags);
            let query = filter.query();
            assert!(query.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"=&%+-._*".contains(&byte)), "{query}");
            let again: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            assert_eq!(TagFilter::from(again), filter);
        }
        assert_eq!(asked(&[("page", "2"), ("tag", " a "), ("tag", ""), ("tag", "a")]), TagFilter::of("a"));
    }

    #[test]
    fn it_narrows_and_widens_and_stays_short() {
        let both = TagFilter::of("a").with("b").with("a");
        assert_eq!((both.address().as_str(), both.without("a")), ("/experiments?tag=a&tag=b", TagFilter::of("b")));
        assert_eq!(both.without("a").without("b").address(), "/experiments");
        let longest: Vec<String> = ["𝄞", "𝄢"].iter().map(|clef| clef.repeat(64)).collect();
        let first = TagFilter::default().with(&longest[0]);
        assert_eq!(first.tags, longest[..1]);
        assert_eq!(first.with(&longest[1]).tags, longest[1..]);
        let many = (0..9).fold(TagFilter::default(), |filter, tag| filter.with(&format!("{tag}").repeat(64)));
        assert_eq!((many.tags.len(), many.address().len() <= MOST_CHARACTERS), (1, true), "4 + 4 + 1");
    }

    #[test]
    fn what_is_found_is_compared_if_it_is_not_too_much() {
        let ids: Vec<ExperimentId> = (1..=11).map(ExperimentId).collect();
        let filter = TagFilter::of("paper");
        assert_eq!(filter.trade_offs(&ids[..3]).as_deref(), Some("/?e=1,2,3"));
        assert_eq!(filter.trade_offs(&ids), None);
        assert_eq!(filter.trade_offs(&[]), None);
        assert_eq!(TagFilter::default().trade_offs(&ids[..3]), None, "nothing was chosen");
    }
}
