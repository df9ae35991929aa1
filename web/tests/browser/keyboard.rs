//! The way from the first view to a picture with the keyboard alone, its focus always to be seen.

use fantoccini::key::Key;

use crate::fixture::Plan;
use crate::tab::Tab;

/// More stops than any page of the fixture has.
const MOST_STOPS: usize = 200;

/// What has the focus, and whether a person can tell: on the screen, with a ring around it or, for a point of a chart,
/// a thick edge.
const FOCUS: &str = "
    const focused = document.activeElement;
    const { left, top, right, bottom } = focused.getBoundingClientRect();
    const style = getComputedStyle(focused);
    const point = focused.matches('.point') ? focused : focused.querySelector(':scope > .point');
    const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
    const edge = point && parseFloat(getComputedStyle(point).strokeWidth) >= 2 && getComputedStyle(point).stroke !== 'none';
    const onScreen = right > 0 && bottom > 0 && left < innerWidth && top < innerHeight;
    return [focused.outerHTML.slice(0, 120), focused !== document.body && onScreen && Boolean(ring || edge)];";

/// Tabs on to the first of these, and sees the focus on the whole way.
pub async fn tab_to(tab: &Tab, css: &str) {
    for _ in 0..MOST_STOPS {
        tab.press(Key::Tab).await.unwrap();
        let (focused, is_seen): (String, bool) = tab.ask(FOCUS).await;
        assert!(is_seen, "the focus cannot be seen on {focused} of {}", tab.path().await);
        if tab.ask(&format!("return document.activeElement.matches({css:?})")).await {
            return;
        }
    }
    panic!("{MOST_STOPS} times Tab did not lead to {css} of {}", tab.path().await);
}

#[tokio::test]
async fn the_keyboard_alone_leads_from_the_first_view_to_a_picture() {
    let Some(tab) = Tab::at_first_view(&Plan { sources: 2, ..Plan::default() }).await else { return };
    tab_to(&tab, ".skip").await;
    tab_to(&tab, ".drawing a:has(.point)").await;
    tab.press_and_follow(Key::Enter).await;
    tab_to(&tab, ".gallery a").await;
    tab.press_and_follow(Key::Enter).await;
    assert!(tab.path().await.contains("/samples/"));
    // Arrows lead to its neighbours, and the views are links.
    tab.press_and_follow(Key::Right).await;
    let second = tab.path().await;
    tab.press_and_follow(Key::Left).await;
    assert_ne!(tab.path().await, second);
    tab_to(&tab, ".views a[href*='view=slider']").await;
    tab.press_and_follow(Key::Enter).await;
    tab_to(&tab, "input[type=range]").await;
    // All the rest of the page can be reached too, to its end.
    let last = "[...document.querySelectorAll('a[href], button, input, summary, [tabindex=\"0\"]')]
        .filter((e) => e.checkVisibility()).at(-1)";
    tab.ask::<()>(&format!("{last}.classList.add('last')")).await;
    tab_to(&tab, ".last").await;
}

#[tokio::test]
async fn the_skip_link_leads_past_the_header() {
    let Some(tab) = Tab::at_first_view(&Plan::default()).await else { return };
    tab_to(&tab, ".skip").await;
    tab.press(Key::Enter).await.unwrap();
    tab.until("location.hash === '#content'").await;
    tab.press(Key::Tab).await.unwrap();
    assert!(tab.ask::<bool>("return document.querySelector('main').contains(document.activeElement)").await);
}
