//! Members of a bundle by themselves: as a bundle of one, without labels, and with expiry.

use std::time::Duration;

use common::{named, own, page, samples, until};
use shmetrics::{Error, Format, GaugeMode, Histogram, LabelSet, Metric, Segment};

use super::check;

/// A bundle of a counter and a histogram, with one label or none.
fn two<'a, const N: usize>(segment: &Segment, labels: [&'a str; N]) -> shmetrics::BundleBuilder<'a, [&'a str; N]> {
    let mut builder = segment.bundle(labels);
    builder.add(segment.counter("a", ""));
    builder.add(segment.histogram("b", "").buckets(&[1.0]));
    builder
}

#[test]
fn a_bundle_of_one_is_no_part_of_another() {
    let segment = named("bundle");
    two(&segment, ["n"]).register().unwrap().with(["x"]);
    let mut first = segment.bundle(["n"]);
    first.add(segment.counter("a", ""));
    let mut second = segment.bundle(["n"]);
    let b = second.add(segment.histogram("b", "").buckets(&[1.0]));
    for part in [&first, &second] {
        match part.register() {
            Err(Error::Conflict(text)) => assert!(text.contains("it is in the bundle of [\"a\", \"b\"]"), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    // It may take the other's place.
    let bundle = second.replace().register().unwrap();
    bundle.with(["x"]).get(b).observe(0.5);
    let shown = samples(&page(&segment));
    assert_eq!((shown.len(), shown["b_count{n=\"x\"}"]), (4, 1.0));
    check(&segment);
}

#[test]
fn a_bundle_of_one_keeps_its_type_when_its_record_serves_another() {
    let segment = named("bundle");
    let mut first = segment.bundle(["n"]);
    let a = first.add(segment.counter("a", ""));
    let old = first.register().unwrap().with(["x"]);
    let mut second = segment.bundle(["n"]);
    let gauge = second.add(segment.gauge("a", "", GaugeMode::Shared));
    let new = second.replace().register().unwrap().with(["x"]);
    // The new series uses the record that the counter had.
    new.get(gauge).set(2.0);
    old.get(a).inc();
    assert!(old.is_removed() && !new.is_removed());
    assert_eq!((samples(&page(&segment))["a{n=\"x\"}"], own(&segment, "shmetrics_stale_updates_total")), (2.0, 1.0));
    check(&segment);
}

#[test]
fn a_member_without_labels_is_updated_by_name() {
    let segment = named("bundle");
    two(&segment, []).register().unwrap();
    segment.count("a_total", &[], 2.0).unwrap();
    segment.observe("b", &[], 0.5).unwrap();
    let shown = samples(&page(&segment));
    assert_eq!((shown["a_total"], shown["b_count"], shown["b_bucket{le=\"1.0\"}"]), (2.0, 1.0, 1.0));
    check(&segment);
}

/// A label set whose series a process finds by index.
#[derive(LabelSet)]
struct Labels {
    n: bool,
}

/// A label set that a look-up of the second member finds expires, and another look-up follows.
fn comes_back(find: impl Fn(&Segment) -> Box<dyn Fn() -> Histogram>) {
    let segment = named("bundle");
    let bundle = two(&segment, ["n"]).expire_after(TIME).register().unwrap();
    let find = find(&segment);
    find().observe(0.5);
    let shown = || samples(&page(&segment)).len();
    assert_eq!(shown(), 5);
    until("the label set has expired", || shown() == 0);
    assert!(!bundle.with(["other"]).is_removed(), "another one does not bring it back");
    let histogram = find();
    assert_eq!((histogram.count(), histogram.is_removed()), (1, false));
    // A reader expires nothing.
    let seen = String::from_utf8(segment.reader().render(Format::Text)).unwrap();
    assert!(seen.contains("b_count{n=\"true\"} 1\n"), "{seen}");
    check(&segment);
}

const TIME: Duration = Duration::from_secs(1);

#[test]
fn a_look_up_of_any_member_brings_an_expired_label_set_back() {
    comes_back(|segment| {
        let b = segment.histogram("b", "").buckets(&[1.0]).labels(["n"]).expire_after(TIME).register().unwrap();
        Box::new(move || b.with(["true"]))
    });
}

#[test]
fn a_typed_look_up_of_any_member_brings_an_expired_label_set_back() {
    comes_back(|segment| {
        let b = segment.histogram("b", "").buckets(&[1.0]).label_set::<Labels>().expire_after(TIME);
        let b = b.register().unwrap();
        Box::new(move || b.with(&Labels { n: true }))
    });
}
