//! Behaviour of whole charts, and what the module's tests build them with.

use super::*;
use resvg::tiny_skia::Pixmap;
use resvg::usvg::roxmltree::{Document, Node};

pub(super) fn series(name: &str, slot: usize, values: &[(f64, f64)]) -> Series {
    let point = |&(x, y): &(f64, f64)| Point { x, y, title: format!("{name}: {y} at {x}"), href: None };
    let points = values.iter().map(point).collect();
    Series { name: name.into(), mark: Mark::LineAndPoints, slot, points, band: Vec::new() }
}

pub(super) fn panel(series: Vec<Series>) -> Panel {
    let axis = |label: &str| Axis { label: label.into(), scale: Scale::Linear, range: None };
    Panel { title: "kodim".into(), x: axis("kept tokens"), y: axis("PSNR (dB)"), series }
}

pub(super) fn chart(panels: Vec<Panel>) -> Chart {
    Chart { title: "Quality against cost".into(), caption: "PSNR of the first frame.".into(), panels, columns: 2 }
}

fn light(chart: &Chart) -> String {
    to_svg(chart, Theme::Light, Size::default())
}

fn nodes<'a, 'input>(document: &'a Document<'input>, name: &str, class: &str) -> Vec<Node<'a, 'input>> {
    let wanted = |node: &Node| node.has_tag_name(("http://www.w3.org/2000/svg", name));
    document.descendants().filter(wanted).filter(|node| node.attribute("class").unwrap_or("") == class).collect()
}

fn attribute(node: &Node, name: &str) -> f64 {
    node.attribute(name).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no number {name} in {node:?}"))
}

#[test]
fn the_same_chart_gives_the_same_bytes() {
    let one = chart(vec![panel(vec![series("binary", 0, &[(64.0, 31.2), (128.0, 33.9), (256.0, 35.1)])])]);
    assert_eq!(light(&one), light(&one.clone()));
    assert_ne!(light(&one), to_svg(&one, Theme::Dark, Size::default()));
}

const HOSTILE: &str = "</svg><script>alert('1')</script>\" onload=\"x\" &amp; \0 ]]>";

#[test]
fn hostile_strings_are_text_and_nothing_else() {
    let mut hostile = chart(vec![panel(vec![series(HOSTILE, 0, &[(1.0, 2.0), (2.0, 3.0)])])]);
    (hostile.title, hostile.caption) = (HOSTILE.into(), HOSTILE.into());
    let panel = &mut hostile.panels[0];
    (panel.title, panel.x.label, panel.y.label) = (HOSTILE.into(), HOSTILE.into(), HOSTILE.into());
    for point in &mut panel.series[0].points {
        (point.title, point.href) = (HOSTILE.into(), Some("/a?b='\"><script>&c".into()));
    }
    let svg = light(&hostile);
    let document = Document::parse(&svg).expect("the chart is well-formed XML");
    let known = ["svg", "title", "desc", "rect", "g", "text", "line", "polyline", "polygon", "circle", "a"];
    for node in document.descendants().filter(Node::is_element) {
        assert!(known.contains(&node.tag_name().name()), "{node:?}");
        assert!(node.attributes().all(|attribute| !attribute.name().starts_with("on") && attribute.name() != "style"));
    }
    let title = document.root_element().first_element_child().expect("the chart has a title");
    assert_eq!(title.text(), Some(HOSTILE.replace('\0', "\u{fffd}").as_str()));
    assert_eq!(nodes(&document, "a", "")[0].attribute("href"), Some("/a?b='\"><script>&c"));
}

#[test]
fn links_that_could_run_a_script_are_left_out() {
    let mut evil = chart(vec![panel(vec![series("a", 0, &[(1.0, 2.0)])])]);
    evil.panels[0].series[0].points[0].href = Some("javascript:alert(1)".into());
    assert!(!light(&evil).contains("<a "));
}

#[test]
fn a_screen_reader_finds_the_title_and_the_caption() {
    let svg = light(&chart(vec![]));
    let document = Document::parse(&svg).expect("the chart is well-formed XML");
    let root = document.root_element();
    assert_eq!(root.attribute("role"), Some("group"));
    let texts: Vec<_> = root.children().filter(Node::is_element).take(2).filter_map(|node| node.text()).collect();
    assert_eq!(texts, ["Quality against cost", "PSNR of the first frame."]);
}

#[test]
fn a_figure_that_stands_alone_has_its_caption_below_the_legend() {
    let mut alone = chart(vec![panel(vec![series("binary", 0, &[(1.0, 2.0), (2.0, 3.0)])])]);
    alone.caption = "Mean of every held-out block, with its interval. ".repeat(6);
    let lines = |with_caption: bool, width: u32| {
        let svg = to_svg(&alone, Theme::Light, Size { width, with_caption, ..Size::default() });
        let document = Document::parse(&svg).expect("the chart is well-formed XML");
        let height = attribute(&document.root_element(), "height");
        let texts = nodes(&document, "text", "");
        let place = |node: &Node| (attribute(node, "y"), node.text().unwrap_or_default().to_owned());
        (height, texts.iter().map(place).collect::<Vec<_>>())
    };
    let (bare, without) = lines(false, 480);
    assert!(without.iter().all(|(_, text)| !text.contains("held-out")));
    let (tall, with) = lines(true, 480);
    let legend = with.iter().find(|(_, text)| text == "binary").expect("the legend is there").0;
    let drawn: Vec<_> = with.iter().filter(|(y, _)| *y > legend).collect();
    assert!(drawn.len() > 3 && tall > bare);
    assert!(drawn.iter().all(|(y, _)| *y < tall), "nothing is cut off");
    let words = drawn.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" ");
    assert_eq!(words, alone.caption.trim_end(), "every word is there");
}

#[test]
fn every_finite_point_has_a_circle_where_it_is_drawn() {
    let values = [(64.0, 31.2), (f64::NAN, 30.0), (128.0, f64::INFINITY), (100.0, 33.0), (250.0, 36.5)];
    // Slot 0 is drawn with discs: a rim and a disc for each point, in quarters of a pixel.
    let svg = light(&chart(vec![panel(vec![series("binary", 0, &values)])]));
    let document = Document::parse(&svg).expect("the chart is well-formed XML");
    let over = nodes(&document, "circle", "point");
    assert_eq!(over.len(), 3);
    let drawn: Vec<(f64, f64)> = nodes(&document, "circle", "")
        .iter()
        .map(|disc| (attribute(disc, "cx") / 4.0, attribute(disc, "cy") / 4.0))
        .collect();
    for (circle, title) in over.iter().zip(["binary: 31.2 at 64", "binary: 33 at 100", "binary: 36.5 at 250"]) {
        assert_eq!(circle.first_element_child().and_then(|child| child.text()), Some(title));
        assert_eq!((circle.attribute("tabindex"), circle.attribute("data-series")), (Some("0"), Some("0")));
        assert!(drawn.contains(&(attribute(circle, "cx"), attribute(circle, "cy"))));
    }
    // Places are linear in the values: (100 - 64) / (250 - 64) of the way.
    let across: Vec<f64> = over.iter().map(|circle| attribute(circle, "cx")).collect();
    assert!(((across[1] - across[0]) / (across[2] - across[0]) - 36.0 / 186.0).abs() < 0.002);
}

#[test]
fn a_logarithmic_chart_puts_1_10_and_100_at_equal_distances() {
    let mut log = panel(vec![series("a", 0, &[(-1.0, 1.0), (0.0, 1.0), (1.0, 1.0), (10.0, 2.0), (100.0, 3.0)])]);
    log.x.scale = Scale::Log10;
    let svg = light(&chart(vec![log]));
    let document = Document::parse(&svg).expect("the chart is well-formed XML");
    let across: Vec<f64> = nodes(&document, "circle", "point").iter().map(|node| attribute(node, "cx")).collect();
    assert_eq!(across.len(), 3, "values that are not positive have no place");
    assert!((across[0] + across[2] - 2.0 * across[1]).abs() <= 0.5);
}

#[test]
fn points_with_neither_tooltip_nor_link_take_no_focus() {
    let mut curve = series("loss", 0, &[(1.0, 3.0), (2.0, 2.0)]);
    curve.points[0].title.clear();
    let svg = light(&chart(vec![panel(vec![curve])]));
    assert_eq!(svg.matches("class=\"point\"").count(), 1);
}

#[test]
fn a_point_with_a_link_is_one_stop_for_the_keyboard() {
    let mut linked = series("a", 0, &[(1.0, 2.0)]);
    linked.points[0].href = Some("/trials/7".into());
    let svg = light(&chart(vec![panel(vec![linked])]));
    assert!(svg.contains("<a href=\"/trials/7\"><circle class=\"point\" data-series=\"0\""));
    assert!(!svg.contains("tabindex"));
}

#[test]
fn a_panel_without_anything_to_draw_says_so() {
    let nothing = series("a", 0, &[(f64::NAN, 1.0)]);
    for empty in [vec![], vec![series("a", 0, &[])], vec![nothing]] {
        let svg = light(&chart(vec![panel(empty)]));
        assert!(svg.contains(">no data</text>"));
        assert!(svg.contains(">kept tokens</text>"));
    }
}

#[test]
fn a_lone_point_is_drawn_even_on_a_line() {
    let mut lone = series("jpeg", 0, &[(64.0, 30.0), (f64::NAN, 1.0)]);
    lone.mark = Mark::Line;
    let svg = light(&chart(vec![panel(vec![lone])]));
    let document = Document::parse(&svg).expect("the chart is well-formed XML");
    assert_eq!(nodes(&document, "circle", "").len(), 2, "a rim and a disc");
}

#[test]
fn points_out_of_range_are_left_out_and_lines_to_them_are_cut() {
    let mut cut = panel(vec![series("a", 0, &[(0.0, 0.0), (5.0, 5.0), (10.0, 1e9)])]);
    cut.y.range = Some((0.0, 6.0));
    let svg = light(&chart(vec![cut]));
    let document = Document::parse(&svg).expect("the chart is well-formed XML");
    assert_eq!(nodes(&document, "circle", "point").len(), 2);
    let line = nodes(&document, "polyline", "")[0];
    let window = line.ancestors().find(|node| node.has_attribute("viewBox")).expect("lines lie in a window");
    assert!(window.parent_element().is_some(), "the window is not the whole chart");
}

#[test]
fn slots_look_the_same_in_every_panel() {
    let panels = vec![panel(vec![series("a", 3, &[(1.0, 1.0), (2.0, 2.0)])]); 2];
    let svg = light(&chart(panels));
    let colour = palette::hex(Theme::Light.slot_colour(3)).to_uppercase();
    assert_eq!(svg.matches(&format!("stroke=\"{colour}\"")).count(), 3, "two lines and the legend");
}

fn crowded() -> Chart {
    let mut panels = Vec::new();
    for (index, scale) in [Scale::Linear, Scale::Log10, Scale::Linear, Scale::Log10].into_iter().enumerate() {
        let size = 10f64.powi(3 * index as i32);
        let all = (0..9).map(|slot| {
            let values = [1.0, 4.0, 30.0].map(|x| (x * size, (slot as f64 + x) / size));
            series(&format!("strategy {slot} with a long name that goes on"), slot, &values)
        });
        let mut panel = panel(all.collect());
        (panel.x.scale, panel.y.scale) = (scale, if index < 2 { Scale::Linear } else { Scale::Log10 });
        panel.title = "A title that is much longer than its panel is wide, in any layout".into();
        panel.y.label = "A vertical axis title that is longer than the plot is high (in decibels)".into();
        panels.push(panel);
    }
    Chart { columns: 4, ..chart(panels) }
}

/// Left, top, right and bottom of a line of text, from its attributes.
fn text_box(node: &Node) -> [f64; 4] {
    let (x, middle, size) = (attribute(node, "x"), attribute(node, "y"), attribute(node, "font-size"));
    let width = text::width(node.text().unwrap_or(""), size);
    let start = match node.attribute("text-anchor") {
        Some("middle") => -width / 2.0,
        Some("end") => -width,
        _ => 0.0,
    };
    if node.has_attribute("transform") {
        [x - size / 2.0, middle - start - width, x + size / 2.0, middle - start]
    } else {
        [x + start, middle - size / 2.0, x + start + width, middle + size / 2.0]
    }
}

#[test]
fn texts_neither_overlap_nor_leave_the_figure() {
    for width in [320, 480, 700, 960, 1400] {
        let svg = to_svg(&crowded(), Theme::Light, Size { width, ..Size::default() });
        let document = Document::parse(&svg).expect("the chart is well-formed XML");
        let (right, bottom) =
            (attribute(&document.root_element(), "width"), attribute(&document.root_element(), "height"));
        let texts: Vec<(String, [f64; 4])> = (nodes(&document, "text", "").iter())
            .map(|node| (node.text().unwrap_or("").to_owned(), text_box(node)))
            .collect();
        assert!(texts.len() > 40);
        for (index, (text, one)) in texts.iter().enumerate() {
            assert!(
                one[0] >= 0.0 && one[1] >= 0.0 && one[2] <= right && one[3] <= bottom,
                "«{text}» is cut at {width}"
            );
            for (other_text, other) in &texts[index + 1..] {
                let apart = one[2] <= other[0] || other[2] <= one[0] || one[3] <= other[1] || other[3] <= one[1];
                assert!(apart, "«{text}» lies over «{other_text}» at {width}");
            }
        }
    }
}

#[test]
fn odd_numbers_draw_without_panic() {
    let odd = [0.0, -0.0, 1e-320, f64::MIN_POSITIVE, 1e-200, 1.0, 1.0 + 1e-15, 1e17, 1e149, f64::MAX, f64::MIN];
    for scale in [Scale::Linear, Scale::Log10] {
        for &one in &odd {
            for &other in &odd {
                let mut panel = panel(vec![series("a", usize::MAX, &[(one, other), (other, one)])]);
                (panel.x.scale, panel.y.scale) = (scale, scale);
                panel.series[0].band = vec![(one, other, one), (other, f64::NAN, 0.0)];
                let svg = to_svg(
                    &chart(vec![panel]),
                    Theme::Dark,
                    Size { width: 0, panel_aspect: f64::NAN, with_caption: true },
                );
                assert!(Document::parse(&svg).is_ok());
            }
        }
    }
}

#[test]
fn a_png_has_the_expected_size_and_is_not_blank() {
    let svg = light(&chart(vec![panel(vec![series("binary", 0, &[(64.0, 31.2), (128.0, 33.9)])])]));
    let document = Document::parse(&svg).expect("the chart is well-formed XML");
    let (width, height) = (attribute(&document.root_element(), "width"), attribute(&document.root_element(), "height"));
    let png = to_png(&svg, 2.0).expect("the chart can be painted");
    let picture = Pixmap::decode_png(&png).expect("the picture can be read");
    assert_eq!((f64::from(picture.width()), f64::from(picture.height())), (2.0 * width, 2.0 * height));
    let background = picture.pixel(0, 0).expect("there is a first pixel");
    let painted = picture.pixels().iter().filter(|&&pixel| pixel != background).count();
    assert!(painted > picture.pixels().len() / 200);
}

#[test]
fn a_png_that_cannot_be_is_refused_with_a_reason() {
    let svg = light(&chart(vec![]));
    for scale in [0.0, -1.0, f32::NAN, 1e9] {
        assert!(matches!(to_png(&svg, scale), Err(ChartError::Pixels { .. })), "{scale}");
    }
    assert!(matches!(to_png("<svg", 1.0), Err(ChartError::Svg(_))));
}
