//! What becomes of the handles to an old definition: their updates count nowhere, and each is
//! counted as stale.

use common::{named, own, page, samples, Name};
use shmetrics::{Error, GaugeMode, Metric, Native, Segment};

fn stale(segment: &Segment) -> f64 {
    own(segment, "shmetrics_stale_updates_total")
}

/// Registers, updates a hundred times, replaces by a gauge called the same, and updates by the old
/// handle seven times.
fn replaced<M: Metric>(what: &str, made: impl Fn(&Segment) -> M, update: impl Fn(&M), read: impl Fn(&M) -> f64) {
    let segment = named("redefine");
    let other = segment.counter("other", "").register().unwrap();
    other.inc_by(3);
    let old = made(&segment);
    (0..5000).for_each(|_| update(&old));
    assert_eq!(stale(&segment), 0.0, "{what}");
    // One more label is a difference for all of them.
    let new = segment.unknown("m", "New.").labels(["l", "and", "more"]).replace().register().unwrap();
    assert!(old.is_removed(), "{what}");
    assert_eq!(read(&old), 0.0, "{what}");
    (0..7).for_each(|_| update(&old));
    assert_eq!(stale(&segment), 7.0, "{what}");
    assert_eq!(own(&segment, "shmetrics_updates_rejected_total"), 0.0, "{what}");
    assert_eq!(read(&old), 0.0, "{what}");
    new.with(["1", "2", "3"]).set(4.0);
    let expected = "# TYPE other_total counter\nother_total 3\n\
                    # HELP m New.\n# TYPE m untyped\nm{l=\"1\",and=\"2\",more=\"3\"} 4\n";
    assert_eq!(page(&segment), expected, "{what}");
    assert_eq!(segment.reader().verify(), Vec::<String>::new(), "{what}");
}

#[test]
fn updates_by_them_are_counted_as_stale_and_nowhere_else() {
    replaced("counter", |s| s.counter("m", "").register().unwrap(), shmetrics::Counter::inc, shmetrics::Counter::get);
    replaced("fraction", |s| s.counter("m", "").register().unwrap(), |c| c.add(0.5), shmetrics::Counter::get);
    replaced("large", |s| s.counter("m", "").register().unwrap(), |c| c.inc_by(1 << 55), shmetrics::Counter::get);
    let labelled = |s: &Segment| s.counter("m", "").labels(["l"]).register().unwrap().with(["1"]);
    replaced("labelled", labelled, shmetrics::Counter::inc, shmetrics::Counter::get);
    replaced("labelled fraction", labelled, |c| c.add(0.5), shmetrics::Counter::get);
    for mode in [GaugeMode::Shared, GaugeMode::MostRecent, GaugeMode::LiveSum, GaugeMode::All, GaugeMode::Max] {
        let what = format!("gauge {mode}");
        replaced(&what, |s| s.gauge("m", "", mode).register().unwrap(), |g| g.set(2.0), shmetrics::Gauge::get);
        replaced(&what, |s| s.gauge("m", "", mode).register().unwrap(), |g| g.add(2.0), shmetrics::Gauge::get);
        let labelled = |s: &Segment| s.gauge("m", "", mode).labels(["l"]).register().unwrap().with(["1"]);
        replaced(&what, labelled, |g| g.set(2.0), shmetrics::Gauge::get);
    }
    replaced("histogram", |s| s.histogram("m", "").register().unwrap(), |h| h.observe(0.3), |_| 0.0);
    let native = |s: &Segment| s.histogram("m", "").native(Native::factor(1.1)).register().unwrap();
    replaced("native", native, |h| h.observe(0.3), |_| 0.0);
    let both = |s: &Segment| s.histogram("m", "").buckets(&[0.1, 1.0]).native(Native::factor(1.1)).register().unwrap();
    replaced("both", both, |h| h.observe(0.3), |_| 0.0);
    let labelled = |s: &Segment| s.histogram("m", "").labels(["l"]).register().unwrap().with(["1"]);
    replaced("labelled histogram", labelled, |h| h.observe(0.3), |_| 0.0);
    replaced("summary", |s| s.summary("m", "").register().unwrap(), |h| h.observe(0.3), |_| 0.0);
    let quantiles = |s: &Segment| s.summary("m", "").quantiles(&[0.5]).register().unwrap();
    replaced("quantiles", quantiles, |h| h.observe(0.3), |_| 0.0);
    replaced("gauge histogram", |s| s.gauge_histogram("m", "").register().unwrap(), |h| h.observe(0.3), |_| 0.0);
    replaced(
        "states",
        |s| s.state_set("m", "", &["a", "b"]).register().unwrap(),
        |m| m.set(1, true),
        |m| f64::from(u8::from(m.get(1))),
    );
    replaced("enum", |s| s.enumeration("m", "", &["a", "b"]).register().unwrap(), |m| m.set(1), |m| m.get() as f64);
}

#[test]
fn what_was_observed_cannot_be_taken_back() {
    let segment = named("redefine");
    let old = segment.gauge_histogram("m", "").register().unwrap();
    old.observe(1.0);
    assert!(segment.unregister("m").unwrap());
    old.unobserve(1.0);
    assert_eq!(stale(&segment), 1.0);
}

#[test]
fn an_overflow_series_goes_with_its_family() {
    let segment = named("redefine");
    let family = segment.counter("m", "").max_series(1).labels(["l"]).register().unwrap();
    family.with(["1"]).inc();
    let over = family.with(["2"]);
    over.inc();
    assert!(page(&segment).contains("shmetrics_overflow"));
    segment.counter("m", "").labels(["l", "k"]).replace().register().unwrap();
    over.inc();
    assert_eq!(stale(&segment), 1.0);
    assert_eq!(page(&segment).matches("m_total").count(), 1, "the head alone");
}

#[test]
fn family_handles_of_the_old_definition_lead_nowhere() {
    let segment = named("redefine");
    let old = segment.counter("m", "").labels(["l"]).register().unwrap();
    old.with(["1"]).inc();
    let names = ["l"];
    let dynamic = segment.counter("m", "").label_names(&names).register().unwrap();
    let new = segment.counter("m", "").labels(["k"]).replace().register().unwrap();
    new.with(["1"]).inc_by(5);
    // The same values, and others.
    for value in ["1", "2", "3"] {
        old.with([value]).inc();
        dynamic.with(&[value]).unwrap().inc();
        assert!(!old.remove([value]) && !dynamic.remove(&[value]));
    }
    assert_eq!(stale(&segment), 6.0);
    assert_eq!((old.clear(), dynamic.clear()), (0, 0), "its records serve the new one");
    assert_eq!(samples(&page(&segment)).into_iter().collect::<Vec<_>>(), [("m_total{k=\"1\"}".to_owned(), 5.0)]);
    assert_eq!(own(&segment, "shmetrics_series"), 1.0);
    assert_eq!(own(&segment, "shmetrics_overflow_lookups_total"), 0.0);
    assert_eq!(segment.reader().verify(), Vec::<String>::new());
}

#[test]
fn unregistered_families_are_gone_and_their_name_is_free() {
    let name = Name::new("redefine");
    let segment = name.open();
    let counter = segment.counter("m", "").register().unwrap();
    let info = segment.info("about", "").labels(["v"]).register().unwrap();
    info.with(["1"]);
    let stays = segment.gauge("stays", "", GaugeMode::Shared).register().unwrap();
    stays.set(2.0);
    counter.inc();
    assert!(!segment.unregister("n").unwrap());
    assert!(!segment.unregister("stays_total").unwrap(), "it is no counter");
    assert!(segment.unregister("m_total").unwrap(), "a counter may be called as pages call it");
    assert!(!segment.unregister("m").unwrap(), "once");
    assert!(segment.unregister("about_info").unwrap());
    counter.inc();
    assert_eq!(samples(&page(&segment)).into_iter().collect::<Vec<_>>(), [("stays".to_owned(), 2.0)]);
    assert_eq!((own(&segment, "shmetrics_series"), stale(&segment)), (1.0, 1.0));
    assert_eq!(name.reader().inspect().families.len(), 1);
    // What is now free: the name, and the samples that it had.
    segment.gauge("m_total", "", GaugeMode::Shared).register().unwrap().set(1.0);
    let clash = segment.counter("m", "").register();
    assert!(matches!(clash, Err(Error::Conflict(_))), "{clash:?}");
    assert!(segment.unregister("m_total").unwrap());
    segment.counter("m", "").register().unwrap();
    segment.count("about", &[], 2.0).unwrap();
    assert_eq!(samples(&page(&segment))["about_total"], 2.0);
    assert_eq!(name.reader().verify(), Vec::<String>::new());
}

#[test]
fn each_part_of_a_definition_may_change_and_limits_change_in_place() {
    let segment = named("redefine");
    let count = |n: u64| {
        let family = segment.counter("m", "").labels(["l"]).register().unwrap();
        family.with(["1"]).inc_by(n);
    };
    count(1);
    segment.counter("m", "").labels(["l"]).replace().register().unwrap();
    count(1);
    assert_eq!(samples(&page(&segment))["m_total{l=\"1\"}"], 2.0, "the same definition replaces nothing");
    let limited = segment.counter("m", "").max_series(1).labels(["l"]).replace().register().unwrap();
    count(1);
    assert_eq!(samples(&page(&segment))["m_total{l=\"1\"}"], 3.0, "a limit is no part of it");
    limited.with(["2"]).inc();
    assert!(page(&segment).contains("shmetrics_overflow"), "and is in force");
    segment.counter("m", "Other.").labels(["l"]).replace().register().unwrap();
    assert_eq!(page(&segment), "# HELP m_total Other.\n# TYPE m_total counter\n");
    segment.counter("m", "Third.").labels(["l"]).register().unwrap();
    assert!(page(&segment).starts_with("# HELP m_total Other.\n"), "without `replace` the first help stays");
    segment.gauge("m_seconds", "", GaugeMode::Sum).register().unwrap();
    for mode in [GaugeMode::Max, GaugeMode::Shared] {
        let gauge = segment.gauge("m_seconds", "", mode).replace().register().unwrap();
        gauge.set(1.0);
        let unit = segment.gauge("m_seconds", "", mode).unit("seconds").replace().register().unwrap();
        unit.set(2.0);
        gauge.set(3.0);
        assert_eq!(samples(&page(&segment))["m_seconds"], 2.0);
    }
    for buckets in [&[1.0][..], &[1.0, 2.0], &[1.0]] {
        let histogram = segment.histogram("h", "").buckets(buckets).replace().register().unwrap();
        histogram.observe(1.5);
        assert_eq!(page(&segment).matches("h_bucket").count(), buckets.len() + 1);
        assert_eq!(samples(&page(&segment))["h_count"], 1.0);
    }
    assert_eq!(segment.reader().verify(), Vec::<String>::new());
}
