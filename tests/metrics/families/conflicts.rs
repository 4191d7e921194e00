//! A family registered otherwise is refused, and the error tells the difference.

use common::{named, own, page};
use shmetrics::{Error, GaugeMode, Segment};

/// Asserts that the registration is refused as a conflict that names both sides.
fn conflict<T: std::fmt::Debug>(segment: &Segment, result: Result<T, Error>, both: [&str; 2]) {
    let before = page(segment);
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Conflict(_)), "{error:?}");
    let text = error.to_string();
    assert!(both.iter().all(|part| text.contains(part)), "{text}: does not say {both:?}");
    assert_eq!(page(segment), before);
}

#[test]
fn each_difference_is_told() {
    let s = named("conflict");
    s.counter("c", "").labels(["a", "b"]).register().unwrap().with(["1", "2"]).inc();
    s.gauge("g_seconds", "", GaugeMode::LiveSum).unit("seconds").register().unwrap();
    s.histogram("h", "").buckets(&[0.1, 1.0]).register().unwrap();
    let refused = || own(&s, "shmetrics_registrations_failed_total");
    assert_eq!(refused(), 0.0);
    conflict(&s, s.gauge("c", "", GaugeMode::Shared).labels(["a", "b"]).register(), ["counter", "gauge"]);
    conflict(&s, s.histogram("c", "").labels(["a", "b"]).register(), ["counter", "histogram"]);
    conflict(&s, s.counter("c", "").register(), ["labels", r#"["a", "b"], not []"#]);
    conflict(&s, s.counter("c", "").labels(["a"]).register(), ["labels", r#"["a", "b"], not ["a"]"#]);
    conflict(&s, s.counter("c", "").labels(["a", "b"]).exact_name().register(), ["c_total, not c", "shows"]);
    conflict(&s, s.counter("c", "").labels(["a", "c"]).register(), ["labels", r#"not ["a", "c"]"#]);
    conflict(&s, s.gauge("g_seconds", "", GaugeMode::Sum).unit("seconds").register(), ["mode", "livesum, not sum"]);
    conflict(&s, s.gauge("g_seconds", "", GaugeMode::LiveSum).register(), ["unit", r#""seconds", not """#]);
    conflict(&s, s.histogram("h", "").buckets(&[0.1]).register(), ["buckets", "[0.1, 1.0], not [0.1]"]);
    conflict(&s, s.histogram("h", "").buckets(&[0.1, 2.0]).register(), ["buckets", "not [0.1, 2.0]"]);
    conflict(&s, s.histogram("h", "").register(), ["buckets", "0.005"]);
    assert_eq!(refused(), 11.0, "and each is counted");
    s.counter("c", "").labels(["a", "b"]).register().unwrap().with(["1", "2"]).inc();
    assert!(page(&s).contains("c_total{a=\"1\",b=\"2\"} 2\n"), "the first goes on");
}

#[test]
fn a_limit_is_no_part_of_what_a_family_is() {
    let segment = named("conflict");
    let first = segment.counter("c", "").max_series(1).labels(["a"]).register().unwrap();
    let second = segment.counter("c", "").max_series(100).labels(["a"]).register().unwrap();
    first.with(["1"]).inc();
    second.with(["2"]).inc();
    assert!(page(&segment).contains("shmetrics_overflow"), "the first limit counts");
}

#[test]
fn families_that_would_share_a_sample_clash() {
    type Register = fn(&Segment, &str) -> Result<(), Error>;
    let counter: Register = |s, n| s.counter(n, "").register().map(|_| ());
    let gauge: Register = |s, n| s.gauge(n, "", GaugeMode::Shared).register().map(|_| ());
    let histogram: Register = |s, n| s.histogram(n, "").register().map(|_| ());
    for (first, a, second, b, shared) in [
        (counter, "x", gauge, "x_total", "x_total"),
        (counter, "x_total", gauge, "x_created", "x_created"),
        (counter, "x", histogram, "x_total", "x_total"),
        (histogram, "x", gauge, "x_count", "x_count"),
        (histogram, "x", gauge, "x_sum", "x_sum"),
        (histogram, "x", gauge, "x_bucket", "x_bucket"),
        (histogram, "x", counter, "x_count", "x_count"),
        (histogram, "x", histogram, "x_bucket", "x_bucket"),
    ] {
        for ((f, fname), (g, gname)) in [((first, a), (second, b)), ((second, b), (first, a))] {
            let segment = named("clash");
            f(&segment, fname).unwrap();
            let base = |n: &str| n.strip_suffix("_total").unwrap_or(n).to_owned();
            conflict(&segment, g(&segment, gname), [shared, &base(fname)]);
            g(&segment, "unrelated").unwrap();
        }
    }
}
