//! Tests of the memory of a series. The figures are deterministic, so the tests assert them.
//! docs/benchmarks/notes.md has the table.

use common::{named_with, own};
use shmetrics::Segment;

/// Counters with three labels of ten characters, name and value each.
fn fill(segment: &Segment, from: u32, to: u32) {
    let labels = ["methodname", "pathpathpa", "statuscode"];
    let family = segment.counter("http_requests_total", "Requests.").labels(labels).register().unwrap();
    for i in from..to {
        family.with([&format!("method{:04}", i % 10), &format!("/p/{i:07}"), &format!("status{:04}", i % 7)]).inc();
    }
}

#[test]
fn at_most_160_bytes_of_segment_for_a_counter_series() {
    let segment = named_with("memory", |options| options.max_size(256 << 20));
    fill(&segment, 0, 1);
    let before = own(&segment, "shmetrics_segment_used_bytes");
    for n in [10_000u32, 100_000, 500_000] {
        fill(&segment, 1, n + 1);
        let each = (own(&segment, "shmetrics_segment_used_bytes") - before) / f64::from(n);
        println!("{n} counter series with three labels of ten characters: {each:.1} bytes each, index included");
        assert!(each <= 160.0, "{each} bytes for each of {n} series");
    }
    let resident = segment.reader().inspect().resident as f64;
    let used = own(&segment, "shmetrics_segment_used_bytes");
    println!("resident {resident} of {used} bytes in use");
    assert!(resident < used * 1.08 + 1e6, "memory is granted as it is needed");
}

#[test]
fn a_small_application_stays_below_a_mebibyte() {
    let segment = named_with("memory", |options| options.max_size(64 << 20));
    println!("a new segment holds {} bytes", segment.reader().inspect().resident);
    for i in 0..30 {
        let (counter, histogram) = (format!("counter_{i}"), format!("histogram_{i}"));
        let counters = segment.counter(&counter, "A counter.").labels(["method", "status"]).register().unwrap();
        (0..10).for_each(|k| counters.with(["GET", &k.to_string()]).inc());
        let histograms = segment.histogram(&histogram, "A histogram.").labels(["path"]).register().unwrap();
        (0..5).for_each(|k| histograms.with([&k.to_string()]).observe(0.1));
    }
    let resident = segment.reader().inspect().resident;
    println!("with 300 counters and 150 histograms: {resident}");
    assert!(resident < 1 << 20, "{resident}");
}
