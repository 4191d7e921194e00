//! Tests of `shmetrics top`, with an output that is no terminal.

mod support;

use support::Room;

#[test]
fn series_by_their_rates() {
    let room = Room::new();
    let segment = room.segment_with_jobs("shop", 3);
    segment.gauge("depth", "", shmetrics::GaugeMode::Shared).register().expect("registers").set(2.5);
    let latency = segment.histogram("latency", "").buckets(&[1.0, 2.0]).register().expect("registers");
    latency.observe(1.5);
    segment.enumeration("breaker", "", &["closed", "open"]).register().expect("registers").set(1);
    let labelled = segment.counter("evil_total", "").labels(["x"]).register().expect("registers");
    labelled.with(["\u{1b}[2J"]).inc();
    let out = room.run(&["top", "shop", "--iterations", "2", "--interval", "0.05"]).success();
    assert!(out.contains("shmetrics top: shop, 5 series"), "{out}");
    let second = out.split("shmetrics top").nth(2).expect("two looks");
    let row = |name: &str| -> Vec<&str> {
        let line = second.lines().find(|line| line.ends_with(name)).unwrap_or_else(|| panic!("no {name}: {out}"));
        line.split_whitespace().collect()
    };
    assert_eq!(row("jobs_total"), ["0", "3", "-", "-", "-", "jobs_total"]);
    assert_eq!(row("depth"), ["-", "2.50", "-", "-", "-", "depth"]);
    assert_eq!(row("latency"), ["0", "1", "-", "-", "-", "latency"]);
    assert_eq!(row("breaker")[1], "open");
    assert!(!out.contains('\u{1b}'), "nothing drives the terminal: {out}");
    let only = room.run(&["top", "shop", "--iterations", "1", "--metric", "depth"]).success();
    assert!(only.contains("1 series") && !only.contains("jobs"), "{only}");
}

#[test]
fn without_a_segment_it_says_so() {
    Room::new().run(&["top", "shop", "--iterations", "1"]).failure(&["there is no segment at"]);
}
