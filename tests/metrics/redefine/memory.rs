//! What redefinitions cost: the record of the family, and no series.

use common::{named, named_with, own, page, samples};
use shmetrics::{Error, GaugeMode, Segment};

fn used(segment: &Segment) -> f64 {
    own(segment, "shmetrics_segment_used_bytes")
}

const SERIES: usize = 200;

fn fill(segment: &Segment, labels: &[&str]) {
    let family = segment.histogram("m", "").label_names(labels).replace().register().unwrap();
    for i in 0..SERIES {
        let value = i.to_string();
        family.with(&vec![value.as_str(); labels.len()]).unwrap().observe(0.1);
    }
}

#[test]
fn the_series_of_a_replaced_family_serve_its_successor_at_once() {
    let segment = named("redefine");
    fill(&segment, &["a"]);
    let before = used(&segment);
    fill(&segment, &["b"]);
    let after = used(&segment);
    assert!(after - before < 2048.0, "{before} bytes, then {after}");
    assert_eq!(samples(&page(&segment)).keys().filter(|k| k.starts_with("m_count")).count(), SERIES);
}

#[test]
fn a_thousand_alternations_cost_a_record_each() {
    let segment = named("redefine");
    let gauge = segment.gauge("stays", "", GaugeMode::Shared).register().unwrap();
    gauge.set(5.0);
    let round = |i: usize| {
        let labels: &[&str] = if i % 2 == 0 { &["a"] } else { &["a", "b"] };
        let buckets: &[f64] = if i % 2 == 0 { &[1.0] } else { &[1.0, 2.0] };
        let family = segment.histogram("m", "").buckets(buckets).label_names(labels).replace().register().unwrap();
        (0..20).for_each(|j| {
            let value = format!("{j:03}");
            family.with(&vec![value.as_str(); labels.len()]).unwrap().observe(1.5);
        });
    };
    (0..4).for_each(round);
    let before = used(&segment);
    (4..1004).for_each(round);
    let each = (used(&segment) - before) / 1000.0;
    println!("{each} bytes for each redefinition");
    assert!(each <= 640.0, "{each} bytes for each redefinition");
    assert_eq!(samples(&page(&segment))["stays"], 5.0);
    assert_eq!(own(&segment, "shmetrics_series"), 21.0);
    assert_eq!(segment.reader().verify(), Vec::<String>::new());
}

#[test]
fn in_a_full_segment_the_old_definition_stays() {
    let segment = named_with("redefine", |options| options.max_size(1 << 19));
    let family = segment.counter("m", "").labels(["a"]).register().unwrap();
    family.with(["0"]).inc();
    let help = "x".repeat(4000);
    let mut i = 0;
    while segment.counter(&format!("filler_{i}"), &help).register().is_ok() {
        i += 1;
    }
    let replaced = segment.counter("m", &help).labels(["a", "b"]).replace().register();
    assert!(matches!(replaced, Err(Error::Full(_))), "{replaced:?}");
    family.with(["0"]).inc();
    assert_eq!(samples(&page(&segment))["m_total{a=\"0\"}"], 2.0);
    assert_eq!(own(&segment, "shmetrics_stale_updates_total"), 0.0);
}
