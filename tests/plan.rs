//! `plan`: what long sequences would cost, as people read it.

mod common;

use common::{Bench, texts};

#[test]
fn a_plan_of_the_released_model_says_whether_communication_hides() {
    let bench = Bench::new();
    let plan = |more: &[&str]| {
        let asked = ["plan", "--preset", "fsq-200m", "--tokens", "1M", "--device", "h100", "--workers"];
        let output = bench.command(&[&asked, more].concat()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        texts(&output).0
    };
    let text = plan(&["64"]);
    for words in [
        "1 sequence of 1048576 tokens (256 blocks of 4096) for 64 workers",
        "| arithmetic, all workers    | 45.7 PFLOP |  114 PFLOP |",
        // 16384 tokens' keys and values, 1024 wide, in bf16; backward also their gradients, in f32.
        "| sent by a worker           |    67.1 MB |   201.3 MB |",
        "Communication does not hide",
        "memory of a worker   7.7 GB of 80.0 GB",
    ] {
        assert!(text.contains(words), "«{words}» is missing in\n{text}");
    }
    assert!(plan(&["64", "--link", "400"]).contains("Communication hides behind computation in every step"));
    assert!(plan(&["2"]).contains("MORE THAN ITS 80.0 GB: take more workers"));
}

#[test]
fn what_cannot_be_planned_is_refused_with_what_can() {
    let bench = Bench::new();
    for (tokens, more, words) in [
        ("1000000", &[][..], &["1000000", "999424 or 1003520"][..]),
        ("4K", &["--workers", "4096"], &["4096", "1 to 2048"]),
        ("4G", &[], &["4G", "64K or 1M"]),
        ("4K", &["--link", "0"], &["0", "above 0"]),
    ] {
        let asked = ["plan", "--preset", "fsq-200m", "--device", "h100", "--tokens", tokens];
        let message = bench.refuse(&[&asked, more].concat());
        words.iter().for_each(|words| assert!(message.contains(words), "«{words}» is missing in {message}"));
    }
}
