//! Series without updates.

use std::time::Duration;

use common::{fork, named, own, page, pause, samples, until};
use shmetrics::{GaugeMode, Metric, Segment};

const TIME: Duration = Duration::from_secs(1);

/// Looks at the segment until so many series are shown.
#[track_caller]
fn look_until(segment: &Segment, shown: usize) {
    until("as many series are shown", || samples(&page(segment)).len() == shown);
}

#[test]
fn an_idle_series_goes_and_comes_back_as_it_was() {
    let segment = named("expiry");
    let family = segment.counter("c", "").labels(["n"]).expire_after(TIME).register().unwrap();
    let never = segment.counter("d", "").labels(["n"]).register().unwrap();
    never.with(["1"]).inc();
    let (idle, found) = (family.with(["idle"]), family.with(["found"]));
    idle.inc_by(3);
    found.inc_by(4);
    look_until(&segment, 3);
    look_until(&segment, 1);
    assert!(!idle.is_removed() && own(&segment, "shmetrics_series_removed_total") == 0.0);
    // A look-up brings one back, even in another process; an update through a handle the other.
    fork(|| family.with(["found"]).inc()).join();
    assert_eq!(samples(&page(&segment))["c_total{n=\"found\"}"], 5.0);
    idle.inc();
    look_until(&segment, 3);
    assert_eq!(samples(&page(&segment))["c_total{n=\"idle\"}"], 4.0);

    look_until(&segment, 1);
    until("both are removed", || own(&segment, "shmetrics_series_removed_total") >= 2.0);
    assert!(idle.is_removed());
    family.with(["idle"]).inc();
    assert_eq!(samples(&page(&segment))["c_total{n=\"idle\"}"], 1.0);
}

#[test]
fn what_is_updated_stays() {
    let segment = named("expiry");
    let gauges = segment.gauge("g", "", GaugeMode::Shared).labels(["n"]).expire_after(TIME).register().unwrap();
    let live = segment.gauge("l", "", GaugeMode::LiveSum).labels(["n"]).expire_after(TIME).register().unwrap();
    let histograms = segment.histogram("h", "").labels(["n"]).buckets(&[1.0]).expire_after(TIME).register().unwrap();
    let (same, busy, observed) = (gauges.with(["same"]), live.with(["x"]), histograms.with(["x"]));
    live.with(["idle"]).inc();
    busy.inc();
    for _ in 0..30 {
        // Set to what it is: an update, though the value is the same.
        same.set(5.0);
        busy.inc();
        busy.dec();
        busy.inc();
        observed.observe(0.0);
        segment.expire();
        pause(100_000);
    }
    let shown = samples(&page(&segment));
    assert_eq!(shown["g{n=\"same\"}"], 5.0);
    assert_eq!(shown["h_count{n=\"x\"}"], 30.0);
    assert_eq!(shown["l{n=\"x\"}"], 31.0);
    assert!(!shown.contains_key("l{n=\"idle\"}"), "the others are gone");
}

#[test]
fn the_time_is_part_of_the_family() {
    let segment = named("expiry");
    segment.counter("c", "").labels(["n"]).expire_after(Duration::from_millis(1500)).register().unwrap();
    let error = segment.counter("c", "").labels(["n"]).register().unwrap_err().to_string();
    assert!(error.contains("expire after 2 s, not never"), "{error}");
}
