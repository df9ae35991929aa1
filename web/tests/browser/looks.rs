//! Light and dark, telephone and wall.

use crate::fixture::Plan;
use crate::tab::Tab;

fn rich() -> Plan {
    Plan { sources: 2, blocks: 2, frames: 2, fails: true, under_way: true, ..Plan::default() }
}

/// Every text that is seen with too little contrast to what is behind it (WCAG 2, 1.4.3), with the ratio.
const FAINT: &str = "
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
      .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
      .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const contrast = (a, b) => { const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
    const ground = (element) => {
      for (let e = element; e; e = e.parentElement) {
        const colour = e instanceof SVGSVGElement && e.querySelector('.background')
          ? numbers(getComputedStyle(e.querySelector('.background')).fill) : numbers(getComputedStyle(e).backgroundColor);
        if (colour.length === 3 || colour[3] > 0) return colour;
      }
    };
    const faint = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text; (text = texts.nextNode());) {
      const element = text.parentElement;
      if (!text.data.trim() || !element.checkVisibility() || element.closest('title, option')) continue;
      const style = getComputedStyle(element);
      const ratio = contrast(numbers(element instanceof SVGElement ? style.fill : style.color), ground(element));
      if (!(ratio >= 4.5)) faint.push(`${text.data.trim()}: ${ratio}`);
    }
    return faint;";

#[tokio::test]
async fn light_and_dark_are_readable_everywhere() {
    let Some(tab) = Tab::new(&rich()).await else { return };
    for theme in ["light", "dark"] {
        tab.prefer(theme).await;
        for path in tab.pages() {
            tab.go(&path).await;
            assert_eq!(tab.ask::<Vec<String>>(FAINT).await, Vec::<String>::new(), "{path}, {theme}");
            let ground: String = tab.ask("return getComputedStyle(document.body).backgroundColor").await;
            let channels: Vec<u32> =
                ground.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
            assert_eq!(channels.iter().all(|channel| *channel < 64), theme == "dark", "{path}, {theme}: {ground}");
            let others = format!(
                "return [...document.querySelectorAll('.drawing')]
                   .filter((d) => d.checkVisibility() !== d.matches('.wide.{theme}')).length"
            );
            assert_eq!(tab.ask::<usize>(&others).await, 0, "{path} shows the {theme} drawings");
        }
    }
}

#[tokio::test]
async fn on_a_telephone_no_page_scrolls_sideways() {
    let Some(tab) = Tab::new(&rich()).await else { return };
    tab.screen(360, 740).await;
    for path in tab.pages() {
        tab.go(&path).await;
        let (width, beyond): (u32, Vec<String>) = tab
            .ask(
                "const beyond = [...document.querySelectorAll('main *')].filter((e) => e.checkVisibility()
                   && !e.closest('.scroll, .filmstrip, pre, svg') && e.getBoundingClientRect().right > innerWidth + 0.5);
                 return [document.scrollingElement.scrollWidth, beyond.map((e) => e.outerHTML.slice(0, 100))]",
            )
            .await;
        assert!(width <= 360 && beyond.is_empty(), "{path} is {width} pixels wide: {beyond:#?}");
        let narrow = "[...document.querySelectorAll('.drawing')].every((d) => d.checkVisibility() === d.matches('.narrow.light'))";
        assert!(tab.ask::<bool>(&format!("return {narrow}")).await, "{path}");
    }
}

#[tokio::test]
async fn on_a_wall_the_content_grows_with_the_screen() {
    let Some(tab) = Tab::new(&rich()).await else { return };
    tab.screen(3840, 2160).await;
    for path in tab.pages() {
        tab.go(&path).await;
        let (main, letters, figures): (f64, f64, Vec<f64>) = tab
            .ask(
                "const width = (e) => e.getBoundingClientRect().width;
                 const figures = [...document.querySelectorAll('.drawing > svg, .pictures canvas, .pictures img')];
                 return [width(document.querySelector('main')), parseFloat(getComputedStyle(document.body).fontSize),
                   figures.filter((f) => f.checkVisibility()).map(width)]",
            )
            .await;
        assert!(main > 0.5 * 3840.0 && letters >= 22.0, "{path}: {main} wide, letters of {letters} pixels");
        assert!(figures.iter().all(|figure| *figure <= main && *figure > 0.25 * main), "{path}: {figures:?} in {main}");
    }
}
