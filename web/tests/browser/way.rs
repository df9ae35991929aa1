//! The way from the first view down to one picture: by mouse, and without any script.

use crate::fixture::Plan;
use crate::tab::Tab;

/// Whether these pictures are loaded and not empty.
fn loaded(images: &str) -> String {
    format!(
        "document.querySelectorAll('{images}').length > 0 &&
         [...document.querySelectorAll('{images}')].every((image) => image.complete && image.naturalWidth > 0)"
    )
}

#[tokio::test]
async fn clicks_lead_from_a_point_to_the_picture() {
    let Some(tab) = Tab::at_first_view(&Plan::default()).await else { return };
    // The last line is drawn over the others.
    tab.follow(".drawing.wide.light a .point[data-series='2']").await;
    assert!(tab.path().await.contains("/trials/"));
    tab.until(&loaded(".gallery li:first-child img")).await;
    tab.follow(".gallery a").await;
    assert!(tab.path().await.contains("/samples/"));
    tab.until(&loaded(".pictures img")).await;
    // Where scripts run, canvases show the pictures: not one colour all over.
    let colours = "new Set([...document.querySelectorAll('.pictures canvas')].map((canvas) =>
        new Set(new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size))";
    tab.until(&format!("{colours}.size > 0 && [...{colours}].every((count) => count > 10)")).await;
    // The trail leads back.
    tab.follow("header li:nth-last-child(2) a").await;
    tab.follow("header li:nth-last-child(2) a").await;
    assert_eq!(tab.path().await, format!("/experiments/{}", tab.filled.experiment));
}

#[tokio::test]
async fn without_scripts_the_same_way_can_be_gone() {
    let Some(tab) = Tab::new(&Plan::default()).await else { return };
    tab.without_scripts().await;
    tab.go("/").await;
    assert!(!tab.ask::<bool>("return Boolean(document.querySelector('.tooltip'))").await, "no script has run");
    let rows = "document.querySelectorAll('tbody tr').length";
    let all: usize = tab.ask(&format!("return {rows}")).await;
    tab.click("details:has(.facets) > summary").await;
    tab.click(".facets input[name=f]").await;
    tab.follow(".explore button").await;
    assert!(tab.path().await.contains("f="));
    assert!(tab.ask::<usize>(&format!("return {rows}")).await < all);
    tab.follow("thead th a[href*='sort=']").await;
    assert!(tab.path().await.contains("sort="));
    tab.follow("tbody th a").await;
    tab.choose("select[name=order]", "best").await;
    tab.follow("form.sort button").await;
    assert!(tab.path().await.contains("order=best"));
    tab.follow(".gallery a").await;
    tab.until(&loaded(".pictures img")).await;
    for view in ["slider", "difference", "signed"] {
        tab.follow(&format!(".views a[href*='view={view}']")).await;
        tab.until(&format!(
            "{} && [...document.querySelectorAll('.pictures img')].every((i) => i.checkVisibility())",
            loaded(".pictures img")
        ))
        .await;
    }
    tab.follow("a[rel=next]").await;
    assert!(tab.path().await.contains("order=best&view=signed"), "order and view stay");
}
