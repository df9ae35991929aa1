//! Lists in pages.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::Problem;

/// More on a page would be long in the making.
const MOST: usize = 1000;

/// Which page of a list.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct Paging {
    /// Which page, from 1. One past the end is empty.
    #[param(value_type = usize, minimum = 1, default = 1, example = 1)]
    pub page: NonZeroUsize,
    /// How many things a page has.
    #[param(minimum = 1, maximum = 1000, default = 100, example = 100)]
    pub page_size: usize,
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// How many things all pages have.
    #[schema(example = 1)]
    total: usize,
    /// Which page this is, from 1.
    #[schema(example = 1)]
    page: usize,
    /// How many things a full page has.
    #[schema(example = 100)]
    page_size: usize,
    /// The address of the next page; null on the last.
    #[schema(required, example = "/api/experiments?page=2&page_size=100")]
    next: Option<String>,
    /// The things of this page.
    items: Vec<T>,
}

impl Default for Paging {
    fn default() -> Self {
        Self { page: NonZeroUsize::MIN, page_size: 100 }
    }
}

impl Paging {
    /// The things on this page.
    ///
    /// # Errors
    /// If the page would be too small or too large.
    pub fn of<T>(self, all: &[T]) -> Result<&[T], Problem> {
        if !(1..=MOST).contains(&self.page_size) {
            let size = self.page_size;
            return Err(Problem::bad_request(format!("page_size={size}: a page has from 1 to {MOST} things")));
        }
        let first = (self.page.get() - 1).saturating_mul(self.page_size).min(all.len());
        Ok(&all[first..(first + self.page_size).min(all.len())])
    }

    /// The page of these things, of `total`; `address` is that of the list, and ends before the page's number.
    pub fn page<T>(self, total: usize, items: Vec<T>, address: &str) -> Page<T> {
        let Self { page, page_size } = self;
        let is_last = page.get().saturating_mul(page_size) >= total;
        let next = (!is_last).then(|| {
            let separator = if address.contains('?') { '&' } else { '?' };
            format!("{address}{separator}page={}&page_size={page_size}", page.get() + 1)
        });
        Page { total, page: page.get(), page_size, next, items }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_through_the_whole_list() {
        let all: Vec<usize> = (0..10).collect();
        let mut seen = Vec::new();
        for (page, next) in [(1, Some("/a?b=c&page=2&page_size=4")), (2, Some("/a?b=c&page=3&page_size=4")), (3, None)]
        {
            let paging = Paging { page: NonZeroUsize::new(page).unwrap(), page_size: 4 };
            let page = paging.page(all.len(), paging.of(&all).unwrap().to_vec(), "/a?b=c");
            assert_eq!((page.total, page.next.as_deref()), (10, next));
            seen.extend(page.items);
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn a_page_past_the_end_is_empty_and_sizes_have_limits() {
        for page in [3, usize::MAX] {
            let paging = Paging { page: NonZeroUsize::new(page).unwrap(), page_size: 1000 };
            assert_eq!(paging.of(&[0; 2000]).unwrap(), [0; 0]);
            assert!(paging.page(2000, Vec::<u8>::new(), "/a").next.is_none());
        }
        for page_size in [0, 1001, usize::MAX] {
            let paging = Paging { page_size, ..Paging::default() };
            assert!(paging.of(&[0; 10]).is_err(), "{page_size}");
        }
        let whole = Paging { page_size: 10, ..Paging::default() };
        assert!(whole.page(10, vec![0; 10], "/a").next.is_none(), "a full last page is the last");
    }
}
