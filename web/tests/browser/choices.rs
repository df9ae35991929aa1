//! Choices on the first view: axes, filters, the order of the table.

use crate::fixture::Plan;
use crate::tab::Tab;

/// How many points are drawn.
const POINTS: &str = "document.querySelectorAll('.drawing.wide.light a .point').length";

#[tokio::test]
async fn a_ticked_filter_and_another_axis_change_address_chart_and_table_at_once() {
    let Some(tab) = Tab::at_first_view(&Plan::default()).await else { return };
    let points: usize = tab.ask(&format!("return {POINTS}")).await;
    tab.click("details:has(.facets) > summary").await;
    tab.follow("fieldset:has(legend) input[name=f]").await;
    let path = tab.path().await;
    assert!(path.starts_with("/?") && path.contains("f="), "{path}");
    assert!(tab.ask::<usize>(&format!("return {POINTS}")).await < points, "fewer trials pass");
    tab.until("document.querySelector('.facets .filtered input:checked').checkVisibility()").await;

    let title = "document.querySelector('.drawing.wide.light svg > title').textContent";
    tab.choose("select[name=y]", "ssim").await;
    tab.until(&format!("location.search.includes('y=ssim') && {title}.startsWith('SSIM')")).await;
    assert!(tab.path().await.contains("f="), "the filter stays");
    // The address says it all: in another tab it is the same page.
    let (path, text): (String, String) = (tab.path().await, tab.text("main").await);
    tab.go("/experiments").await;
    tab.go(&path).await;
    assert_eq!(tab.text("main").await, text);
}

#[tokio::test]
async fn a_heading_sorts_its_column_both_ways() {
    let Some(tab) = Tab::at_first_view(&Plan::default()).await else { return };
    tab.follow("thead th:has(a[href*='sort=psnr']) a").await;
    let first = sorted(&tab).await;
    tab.follow("thead th[aria-sort$='ending'] a").await;
    let second = sorted(&tab).await;
    assert!(first.0 != second.0, "{first:?} {second:?}");
    for (direction, values) in [first, second] {
        let rises = direction == "ascending";
        assert!(values.len() > 3 && values.is_sorted_by(|a, b| if rises { a <= b } else { a >= b }), "{values:?}");
    }
}

/// The direction of the sorted column, and its numbers.
async fn sorted(tab: &Tab) -> (String, Vec<f64>) {
    tab.ask(
        "const heading = document.querySelector('thead th[aria-sort$=\"ending\"]');
         return [heading.ariaSort, [...document.querySelectorAll('tbody tr')]
           .map((row) => parseFloat(row.cells[heading.cellIndex].textContent))]",
    )
    .await
}

#[tokio::test]
async fn ticked_rows_are_compared() {
    let Some(tab) = Tab::at_first_view(&Plan::default()).await else { return };
    for row in [1, 3] {
        tab.click(&format!("tbody tr:nth-child({row}) input[name=t]")).await;
    }
    tab.follow("form[action='/compare'] button").await;
    assert_eq!(tab.text("h1").await, "Side by side");
    assert_eq!(tab.ask::<usize>("return document.querySelectorAll('table.comparison thead th').length").await, 2);
}
