//! Long lists in pages, counted: the reader always knows how much there is.

use askama::Template;

/// One page of a list, and the links to the others.
#[derive(Debug, Template)]
#[template(path = "pager.html")]
pub struct Pager {
    what: &'static str,
    total: usize,
    first: usize,
    last: usize,
    page: usize,
    pages: usize,
    /// The address up to the page's number.
    address: String,
    anchor: &'static str,
}

impl Pager {
    /// Page `page` (from 1; one too far is the last) of `total` things, `size` on each.
    pub fn new(what: &'static str, total: usize, size: usize, page: usize) -> Self {
        let pages = total.div_ceil(size).max(1);
        let page = page.clamp(1, pages);
        let first = (page - 1) * size;
        Self {
            what,
            total,
            first,
            last: (first + size).min(total),
            page,
            pages,
            address: "?page=".to_owned(),
            anchor: "",
        }
    }

    /// Links keep this query, and lead to this place in the page.
    pub fn keeping(self, query: &str, anchor: &'static str) -> Self {
        let address = format!("?{query}{}page=", if query.is_empty() { "" } else { "&" });
        Self { address, anchor, ..self }
    }

    /// The things on this page.
    pub fn slice<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        &all[self.first..self.last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_the_list_once() {
        let all: Vec<usize> = (0..10).collect();
        let covered: Vec<usize> =
            (1..=4).flat_map(|page| Pager::new("things", 10, 3, page).slice(&all).to_vec()).collect();
        assert_eq!(covered, all);
        assert_eq!(Pager::new("things", 10, 3, 99).slice(&all), [9]);
        assert_eq!(Pager::new("things", 10, 3, 0).slice(&all), [0, 1, 2]);
        assert_eq!(Pager::new("things", 0, 3, 1).slice(&all), [0_usize; 0]);
    }
}
