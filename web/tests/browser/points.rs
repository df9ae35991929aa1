//! The first view's chart: what it shows, and what its points and legend do.

use fantoccini::key::Key;

use crate::fixture::Plan;
use crate::keyboard::tab_to;
use crate::tab::Tab;

/// A point of the drawing that is shown.
const POINT: &str = ".drawing.wide.light a:has(.point)";

#[tokio::test]
async fn the_first_view_shows_a_chart_with_its_legend_and_a_table() {
    let Some(tab) = Tab::at_first_view(&Plan::default()).await else { return };
    assert_eq!(tab.text("h1").await, "Trade-offs: quickstart");
    // One of the four drawings is shown, and has room.
    let shown: Vec<(String, f64, f64)> = tab
        .ask(
            "return [...document.querySelectorAll('.drawing')].filter((d) => d.checkVisibility()).map((d) => {
               const { width, height } = d.querySelector('svg').getBoundingClientRect();
               return [d.className, width, height]; })",
        )
        .await;
    let [(class, width, height)] = &shown[..] else { panic!("{shown:?}") };
    assert!(class == "drawing wide light" && *width > 800.0 && *height > 300.0, "{shown:?}");
    // All that is drawn lies in it.
    let inside: Vec<bool> = tab
        .ask(
            "const svg = document.querySelector('.drawing.wide.light svg');
             const room = svg.getBoundingClientRect();
             return ['.series path, .series polyline', '.point', '.legend-entry'].map((what) => {
               const parts = [...svg.querySelectorAll(what)].map((part) => part.getBoundingClientRect());
               return parts.length > 1 && parts.every((part) => part.width > 0 && part.left >= room.left
                 && part.right <= room.right && part.top >= room.top && part.bottom <= room.bottom); })",
        )
        .await;
    assert_eq!(inside, [true; 3], "lines, points and legend");
    let rows: usize = tab.ask("return document.querySelectorAll('tbody tr').length").await;
    assert_eq!(rows, tab.filled.trials.len());
}

#[tokio::test]
async fn a_point_says_its_values_to_the_pointer_and_to_the_keyboard() {
    let Some(tab) = Tab::at_first_view(&Plan::default()).await else { return };
    let tooltip = "document.querySelector('.tooltip')";
    let shown = format!("{tooltip}.checkVisibility()");
    tab.point_at(&format!("{POINT} .point")).await;
    tab.until(&shown).await;
    let by_pointer = tab.text(".tooltip").await;
    // Two searches found the same counts: one point lies over the other, and both are told.
    for part in ["elastic, full, τ = 0.01: PSNR (dB) ", "elastic, binary, τ = 0.01: PSNR (dB) ", "kept tokens"] {
        assert!(by_pointer.contains(part), "{by_pointer}");
    }
    // It is on the screen, beside the point and not over it.
    let places: (f64, f64, f64, f64) = tab
        .ask(&format!(
            "const box = {tooltip}.getBoundingClientRect();
             const point = document.querySelector('{POINT} .point').getBoundingClientRect();
             return [box.left, innerWidth - box.right, box.top, point.top - box.bottom]"
        ))
        .await;
    assert!(places.0 >= 0.0 && places.1 >= 0.0 && places.2 >= 0.0 && places.3 >= 0.0, "{places:?}");
    tab.point_at("h1").await;
    tab.until(&format!("!{shown}")).await;

    tab_to(&tab, POINT).await;
    tab.until(&shown).await;
    assert_eq!(tab.text(".tooltip").await, by_pointer);
    tab.press(Key::Escape).await.unwrap();
    tab.until(&format!("!{shown}")).await;
}

#[tokio::test]
async fn the_legend_hides_and_shows_a_line() {
    let Some(tab) = Tab::at_first_view(&Plan::default()).await else { return };
    let entry = ".drawing.wide.light .legend-entry";
    let lines = "[...document.querySelectorAll('.drawing.wide.light .series')].filter((s) => getComputedStyle(s).display !== 'none').length";
    let all: usize = tab.ask(&format!("return {lines}")).await;
    tab.click(entry).await;
    tab.until(&format!("{lines} < {all}")).await;
    let pressed = format!("document.querySelector('{entry}').ariaPressed");
    assert_eq!(tab.ask::<String>(&format!("return {pressed}")).await, "false");
    // The same by keyboard: the click left the focus there.
    for key in [Key::Enter, Key::Enter, Key::Space] {
        tab.press(key).await.unwrap();
    }
    tab.until(&format!("{lines} === {all} && {pressed} === 'true'")).await;
}
