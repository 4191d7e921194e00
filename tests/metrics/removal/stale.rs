//! Updates through handles to removed series: counted as such from the instant of removal on, and
//! done nowhere.

use std::time::Duration;

use common::{anonymous, fork, named, own, page};
use shmetrics::{Family, GaugeMode, Metric, Native, Options, Segment};

const STALE: &str = "shmetrics_stale_updates_total";
/// Updates that make a series hot, which then has per-CPU cells.
const HOT: u32 = 20_000;
const LABELS: &[(&str, &str)] = &[("trace_id", "1")];

/// Makes a series hot and removes it. Each update counts as stale then, and only as that: while the
/// record is free, in a child too, after it serves another label set, and after that one is removed
/// as well.
fn goes_nowhere<M: Metric + 'static>(segment: &Segment, family: &Family<M, 1>, updates: &[fn(&M)]) {
    let old = family.with(["old"]);
    (0..HOT).for_each(|_| updates[0](&old));
    updates.iter().for_each(|update| update(&old));
    let before = own(segment, STALE);
    assert!(family.remove(["old"]) && old.is_removed());
    let empty = page(segment);
    let mut expected = before;
    let mut all = || {
        updates.iter().for_each(|update| update(&old));
        expected += updates.len() as f64;
        assert_eq!(own(segment, STALE), expected, "each update counts once");
    };
    all();
    all();
    assert_eq!(page(segment), empty, "there is nothing on the page");
    expected += updates.len() as f64;
    fork(|| updates.iter().for_each(|update| update(&old))).join();
    let mut all = || {
        updates.iter().for_each(|update| update(&old));
        expected += updates.len() as f64;
        assert_eq!(own(segment, STALE), expected, "each update counts once");
    };
    all();
    let new = family.with(["new"]);
    let fresh = page(segment);
    all();
    assert_eq!(page(segment), fresh, "nothing of the old handle is in the new series");
    updates.iter().for_each(|update| update(&new));
    assert!(family.remove(["new"]));
    all();
    assert_eq!(own(segment, "shmetrics_updates_rejected_total"), 0.0);
}

fn on(check: impl Fn(&Segment)) {
    for options in [Options::new(), Options::new().rseq(false), Options::new().per_cpu(false)] {
        check(&options.anonymous().open().unwrap());
    }
}

#[test]
fn of_counters() {
    on(|s| {
        let family = s.counter("a", "").labels(["n"]).register().unwrap();
        goes_nowhere(
            s,
            &family,
            &[
                |c| c.inc(),
                |c| c.inc_by(1 << 33),
                |c| c.inc_by(1 << 50),
                |c| c.add(0.5),
                |c| c.inc_with_exemplar(LABELS),
                |c| c.saturating_sub(1.0),
            ],
        );
        let old = family.with(["old"]);
        (0..HOT).for_each(|_| old.inc());
        assert!(family.remove(["old"]));
        old.inc();
        assert_eq!(old.get(), 0.0);
    });
}

/// An integer that is about to spill counts an update once.
#[test]
fn of_a_full_counter() {
    let segment = named("stale");
    let family = segment.counter("a", "").labels(["n"]).register().unwrap();
    let old = family.with(["old"]);
    old.inc_by((1 << 43) - 1);
    old.inc_by((1 << 43) - 1);
    assert!(family.remove(["old"]));
    (0..10).for_each(|_| old.inc_by((1 << 43) - 1));
    assert_eq!(own(&segment, STALE), 10.0);
}

#[test]
fn of_gauges() {
    use GaugeMode::{All, LiveAll, LiveMax, LiveMin, LiveMostRecent, LiveSum, Max, Min, MostRecent, Shared, Sum};
    for mode in [Shared, All, LiveAll, Sum, LiveSum, Min, LiveMin, Max, LiveMax, MostRecent, LiveMostRecent] {
        let segment = anonymous();
        let family = segment.gauge("a", "", mode).labels(["n"]).register().unwrap();
        goes_nowhere(&segment, &family, &[|g| g.set(1.0), |g| g.add(2.0), |g| g.dec()]);
        let old = family.with(["old"]);
        old.set(3.0);
        assert!(family.remove(["old"]));
        old.set(4.0);
        assert_eq!(old.get(), 0.0, "{mode}");
        // One that this process has never touched: no cell is made for it either.
        let untouched = family.with(["untouched"]);
        assert!(family.remove(["untouched"]));
        let (stale, used) = (own(&segment, STALE), own(&segment, "shmetrics_segment_used_bytes"));
        untouched.inc();
        assert_eq!(own(&segment, STALE), stale + 1.0, "{mode}");
        assert_eq!(own(&segment, "shmetrics_segment_used_bytes"), used, "{mode}");
    }
}

#[test]
fn of_histograms() {
    on(|s| {
        let family = s.histogram("a", "").buckets(&[1.0, 2.0]).labels(["n"]).register().unwrap();
        goes_nowhere(s, &family, &[|h| h.observe(1.5), |h| h.observe(-1.0), |h| h.observe_with_exemplar(9.0, LABELS)]);
        let family = s.histogram("b", "").native(Native::schema(3)).labels(["n"]).register().unwrap();
        goes_nowhere(s, &family, &[|h| h.observe(1.5), |h| h.observe(0.0), |h| h.observe_with_exemplar(9.0, LABELS)]);
        let native = s.histogram("c", "").native(Native::schema(3));
        let family = native.buckets(&[1.0, 2.0]).labels(["n"]).register().unwrap();
        goes_nowhere(s, &family, &[|h| h.observe(1.5), |h| h.observe(1.0), |h| h.observe(1e9)]);
        let family = s.summary("d", "").labels(["n"]).register().unwrap();
        goes_nowhere(s, &family, &[|h| h.observe(1.5), |h| h.observe(-1.0)]);
        let quantiles = s.summary("e", "").quantiles(&[0.5]).max_age(Duration::from_secs(60));
        goes_nowhere(s, &quantiles.labels(["n"]).register().unwrap(), &[|h| h.observe(1.5), |h| h.observe(0.0)]);
        let family = s.gauge_histogram("f", "").buckets(&[1.0, 2.0]).labels(["n"]).register().unwrap();
        goes_nowhere(s, &family, &[|h| h.observe(1.5), |h| h.unobserve(1.5)]);
    });
}

#[test]
fn of_states() {
    let segment = anonymous();
    let sets = segment.state_set("a", "", &["x", "y"]).labels(["n"]).register().unwrap();
    goes_nowhere(&segment, &sets, &[|s| s.set(1, true), |s| s.set(1, false)]);
    let enums = segment.enumeration("b", "", &["x", "y"]).labels(["n"]).register().unwrap();
    goes_nowhere(&segment, &enums, &[|e| e.set(1)]);
    let (set, state) = (sets.with(["old"]), enums.with(["old"]));
    set.set(1, true);
    state.set(1);
    assert!(sets.remove(["old"]) && enums.remove(["old"]));
    assert!(!set.get(1) && state.get() == 0);
    // While the records serve others.
    sets.with(["new"]).set(1, true);
    enums.with(["new"]).set(1);
    assert!(!set.get(1) && state.get() == 0);
}

/// However a series goes: cleared, or expired for good.
#[test]
fn of_what_is_cleared() {
    let segment = anonymous();
    let family = segment.counter("a", "").labels(["n"]).register().unwrap();
    let all = ["1", "2", "3"].map(|n| family.with([n]));
    assert_eq!(family.clear(), 3);
    all.iter().for_each(shmetrics::Counter::inc);
    assert_eq!(own(&segment, STALE), 3.0);
    assert!(all.iter().all(|c| c.get() == 0.0 && c.is_removed()));
}
