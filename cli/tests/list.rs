//! `shmetrics list` on real directories.

mod support;

use shmetrics::GaugeMode;
use support::Room;

#[test]
fn an_empty_directory_is_no_failure() {
    let ran = Room::new().run(&["list"]);
    assert!(ran.err.contains("no segments"), "{ran:?}");
    assert_eq!(ran.success(), "");
}

#[test]
fn segments_are_listed_by_name_with_their_series_and_processes() {
    let room = Room::new();
    let shop = room.segment("shop");
    let family = shop.counter("hits_total", "Hits.").labels(["page"]).register().expect("hits_total registers");
    for page in 0..1500 {
        family.with([&page.to_string()]).inc();
    }
    let gauge = shop.gauge("busy", "Busy.", GaugeMode::LiveSum).register().expect("busy registers");
    gauge.inc();
    room.segment("bar");

    let out = room.run(&["list"]).success();
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "SIZE", "SERIES", "PROCESSES"], "{out}");
    // SIZE is two words: a number and its unit.
    assert_eq!([lines[1][0], lines[1][3], lines[1][4]], ["bar", "0", "0"], "{out}");
    assert_eq!([lines[2][0], lines[2][3], lines[2][4]], ["shop", "1,501", "1"], "{out}");
    assert_eq!(lines.len(), 3, "{out}");
}

#[test]
fn a_broken_segment_is_listed_with_its_reason() {
    let room = Room::new();
    room.segment("good");
    room.junk("broken");
    let out = room.run(&["list"]).success();
    let line = |name: &str| out.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{out}"));
    assert!(line("broken").contains("is not a shmetrics segment"), "{out}");
    assert!(!line("good").contains("not a"), "{out}");
}

#[test]
fn a_segment_that_may_not_be_read_is_listed_with_its_reason() {
    let room = Room::new();
    room.segment("private");
    let out = room.run_unprivileged("private", &["list"]).success();
    let line = out.lines().find(|line| line.starts_with("private")).unwrap_or_else(|| panic!("{out}"));
    assert!(line.to_lowercase().contains("permission denied"), "{out}");
}
