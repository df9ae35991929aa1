//! The comforts of a sample's page, by mouse and by keyboard.

use fantoccini::key::Key;

use crate::fixture::Plan;
use crate::tab::Tab;

async fn at_sample(plan: &Plan, query: &str) -> Option<Tab> {
    let tab = Tab::new(plan).await?;
    tab.go(&format!("{}/samples/{}{query}", tab.filled.trial(0), tab.filled.samples[0])).await;
    tab.until("[...document.querySelectorAll('.pictures img')].every((image) => image.naturalWidth > 0)").await;
    Some(tab)
}

/// The control of this name: its slider, and its words.
fn control(name: &str) -> (String, String) {
    let control = format!("[...document.querySelectorAll('.control')].find((c) => c.textContent.includes('{name}'))");
    (format!("{control}.querySelector('input')"), format!("{control}.querySelector('output').textContent"))
}

#[tokio::test]
async fn the_slider_cuts_one_picture_over_the_other() {
    let Some(tab) = at_sample(&Plan::default(), "?view=slider").await else { return };
    // Both pictures lie on each other; how much of the upper one is cut away?
    let same: bool = tab
        .ask(
            "const [a, b] = [...document.querySelectorAll('.pictures canvas')].map((c) => c.getBoundingClientRect());
             return a.width > 100 && ['left', 'top', 'width', 'height'].every((side) => Math.abs(a[side] - b[side]) < 1)",
        )
        .await;
    assert!(same);
    let cut =
        "parseFloat(getComputedStyle(document.querySelectorAll('.pictures canvas')[1]).clipPath.split(' ').at(-1))";
    tab.until(&format!("{cut} === 50")).await;
    tab.drag("input[type=range]", 80.0).await;
    tab.until(&format!("{cut} > 60")).await;
    let dragged: f64 = tab.ask(&format!("return {cut}")).await;
    tab.press(Key::Left).await.unwrap();
    tab.until(&format!("{cut} === {}", dragged - 1.0)).await;
    tab.press(Key::Home).await.unwrap();
    tab.until(&format!("{cut} === 0 && {} === 'cut at 0 %'", control("original").1)).await;
    assert!(tab.path().await.contains("view=slider"), "arrows move the slider, not to another sample");
}

#[tokio::test]
async fn tokens_are_added_step_by_step() {
    let Some(tab) = at_sample(&Plan::default(), "").await else { return };
    let stage = "document.querySelector('.stage canvas').toDataURL()";
    let current = "[...document.querySelectorAll('.filmstrip li')].findIndex((li) => li.ariaCurrent === 'true')";
    tab.until(&format!(
        "{current} >= 0 && [...document.querySelectorAll('.filmstrip img')].every((i) => i.naturalWidth)"
    ))
    .await;
    tab.click(".filmstrip li:first-child a").await;
    tab.until(&format!("{current} === 0 && {}.includes('tokens')", control("step").1)).await;
    let first: String = tab.ask(&format!("return {stage}")).await;
    tab.click(".stage input").await;
    tab.press(Key::End).await.unwrap();
    tab.until(&format!("{current} === document.querySelectorAll('.filmstrip li').length - 1")).await;
    assert_ne!(tab.ask::<String>(&format!("return {stage}")).await, first, "another picture is on the stage");
    tab.press(Key::Home).await.unwrap();
    tab.until(&format!("{current} === 0")).await;
    assert_eq!(tab.ask::<String>(&format!("return {stage}")).await, first);
}

#[tokio::test]
async fn a_clip_is_seen_frame_by_frame() {
    let plan = Plan { sources: 1, thresholds: vec![0.01], blocks: 3, frames: 2, ..Plan::default() };
    let Some(tab) = at_sample(&plan, "").await else { return };
    let (slider, words) = control("frame");
    let picture = "document.querySelector('.pictures canvas').toDataURL()";
    let now = "document.querySelector('.timeline .track.now')?.dataset.block";
    tab.until(&format!("{words} === '1 of 6, block 0'")).await;
    let first: String = tab.ask(&format!("return {picture}")).await;
    tab.ask::<()>(&format!("{slider}.focus()")).await;
    for _ in 0..3 {
        tab.press(Key::Right).await.unwrap();
    }
    tab.until(&format!("{words} === '4 of 6, block 1' && {now} === '1'")).await;
    assert_ne!(tab.ask::<String>(&format!("return {picture}")).await, first);
    // A bar of the timeline leads to its block.
    tab.click(".timeline .bar[data-block='2']").await;
    tab.until(&format!("{words} === '5 of 6, block 2' && {now} === '2'")).await;
}
