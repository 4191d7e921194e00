//! Records that are used again, and handles to what was in them before.

use super::removal::{BEFORE, RECORD};
use super::{
    counted, counters, histograms, jobs, shared_gauges, sum_gauges, value, Labelled, Operation, OBSERVED, PLAIN,
};
use crate::image::header;
use common::Name;
use shmetrics::{Counter, Gauge, Metric};

/// Takes the record of a series that it has a handle to.
pub(super) fn reuser<M: Metric + 'static>(family: Labelled<M>, update: fn(&M)) -> Box<dyn Fn()> {
    let old = family.with(["old"]);
    assert!(family.remove(["old"]));
    Box::new(move || {
        update(&family.with(["new"]));
        update(&old);
    })
}

/// How often another updates what it has a handle to.
pub const HELD: f64 = 10.0;

/// Another that has one.
pub(super) fn old_holder<M: Metric + 'static>(family: Labelled<M>, n: &str, update: fn(&M)) -> Box<dyn Fn()> {
    let old = family.with([n]);
    Box::new(move || (0..HELD as u64).for_each(|_| update(&old)))
}

pub const REUSE: Operation = Operation {
    name: "first look-up, with a free record",
    setup: |segment| counters(segment).with(["old"]).inc_by(BEFORE),
    ready: |name| reuser(counters(&name.open()), Counter::inc),
    hold: Some(|name| old_holder(counters(&name.open()), "old", Counter::inc)),
    sample: r#"x_total{n="new"}"#,
    record: RECORD,
    moves: Some(header::STALE_UPDATES),
    stays: Some(header::ARENA_TAIL),
    also: |page, seen| {
        assert_eq!(value(page, "old"), None, "{seen:?}");
        let leaked = page["shmetrics_segment_leaked_bytes"];
        assert!(leaked == 0.0 || !seen.victim.alive || seen.is_acting(), "{leaked} bytes leaked: {seen:?}");
    },
    ..PLAIN
};

pub const REUSE_HISTOGRAM: Operation = Operation {
    name: "first look-up, with a free record of a histogram",
    setup: |segment| histograms(segment).with(["old"]).observe(OBSERVED),
    ready: |name| reuser(histograms(&name.open()), |h| h.observe(OBSERVED)),
    hold: Some(|name| old_holder(histograms(&name.open()), "old", |h| h.observe(OBSERVED))),
    sample: r#"x_count{n="new"}"#,
    record: 128.0,
    ..REUSE
};

pub const REUSE_SUM: Operation = Operation {
    name: "first look-up, with a free record of a sum gauge",
    setup: |segment| sum_gauges(segment).with(["old"]).set(BEFORE as f64),
    ready: |name| reuser(sum_gauges(&name.open()), Gauge::inc),
    hold: Some(|name| old_holder(sum_gauges(&name.open()), "old", Gauge::inc)),
    sample: r#"x{n="new"}"#,
    ..REUSE
};

/// If texts are this long, records of all sizes share a free list.
const LONG: usize = 300;

pub const REUSE_TOO_SMALL: Operation = Operation {
    name: "first look-up, with free records that are too small",
    setup: |segment| {
        let family = counters(segment);
        let keys = ["a", "b", "c"].map(|n| n.repeat(LONG));
        keys.iter().for_each(|n| family.with([n]).inc());
        assert_eq!(family.clear(), 3);
        jobs(segment);
    },
    ready: |name| {
        let family = counters(&name.open());
        counted(name, move || family.with([&"x".repeat(2 * LONG)]).inc())
    },
    hold: None,
    sample: "jobs_total",
    record: 688.0,
    moves: Some(header::ARENA_TAIL),
    stays: None,
    also: |_, _| (),
    ..REUSE
};

/// A victim that updates a series which others remove, and whose record they use again.
pub(super) fn holder<M: Metric + 'static>(name: &Name, family: Labelled<M>, update: fn(&M)) -> Box<dyn Fn()> {
    let old = family.with(["old"]);
    counted(name, move || update(&old))
}

/// The others.
pub(super) fn remover<M: Metric + 'static>(name: &Name, family: Labelled<M>, update: fn(&M)) -> Box<dyn Fn()> {
    counted(name, move || {
        family.remove(["old"]);
        update(&family.with(["new"]));
    })
}

pub const OLD_COUNTER: Operation = Operation {
    name: "counter inc, while others remove it",
    setup: |segment| {
        counters(segment).with(["old"]);
        jobs(segment);
    },
    ready: |name| holder(name, counters(&name.open()), Counter::inc),
    others: Some(|name| remover(name, counters(&name.open()), Counter::inc)),
    sample: "jobs_total",
    also: |page, seen| {
        let (old, new) = (value(page, "old"), value(page, "new"));
        if seen.others == 0 {
            let acts = old.expect("the series is there");
            assert!((seen.victim.done..=seen.victim.begun).any(|n| n as f64 == acts), "{acts} updates: {seen:?}");
        } else {
            assert_eq!((old, new), (None, Some(seen.others as f64)), "{seen:?}");
        }
    },
    ..PLAIN
};

pub const OLD_COUNTER_ADD: Operation = Operation {
    name: "counter add, while others remove it",
    // Two halves, so that it is the fraction that changes.
    ready: |name| holder(name, counters(&name.open()), |c| (0..2).for_each(|_| c.add(0.5))),
    also: |page, seen| {
        if seen.others > 0 {
            (OLD_COUNTER.also)(page, seen);
        }
    },
    ..OLD_COUNTER
};

pub const OLD_HISTOGRAM: Operation = Operation {
    name: "histogram observe, while others remove it",
    setup: |segment| {
        histograms(segment).with(["old"]);
        jobs(segment);
    },
    ready: |name| holder(name, histograms(&name.open()), |h| h.observe(OBSERVED)),
    others: Some(|name| remover(name, histograms(&name.open()), |h| h.observe(OBSERVED))),
    ..OLD_COUNTER
};

pub const OLD_SHARED: Operation = Operation {
    name: "shared gauge add, while others remove it",
    setup: |segment| {
        shared_gauges(segment).with(["old"]);
        jobs(segment);
    },
    ready: |name| holder(name, shared_gauges(&name.open()), Gauge::inc),
    others: Some(|name| remover(name, shared_gauges(&name.open()), Gauge::inc)),
    ..OLD_COUNTER
};

pub const OLD_SUM: Operation = Operation {
    name: "sum gauge add, while others remove it",
    // The gauge has a cell that a dead process has left.
    setup: |segment| {
        sum_gauges(segment).with(["old"]).set(0.0);
        jobs(segment);
    },
    ready: |name| holder(name, sum_gauges(&name.open()), Gauge::inc),
    others: Some(|name| remover(name, sum_gauges(&name.open()), Gauge::inc)),
    record: 528.0,
    ..OLD_COUNTER
};

pub const LOOK_UP_BESIDE_REMOVAL: Operation = Operation {
    name: "look-up, while others remove it",
    ready: |name| {
        let family = counters(&name.open());
        counted(name, move || family.with(["old"]).inc())
    },
    // The victim may make it again.
    also: |page, seen| {
        let (old, new) = (value(page, "old"), value(page, "new"));
        assert!(old.is_none_or(|v| v <= seen.victim.begun as f64), "old is {old:?}: {seen:?}");
        assert_eq!(new.unwrap_or(0.0), seen.others as f64, "{seen:?}");
    },
    record: RECORD,
    ..OLD_COUNTER
};
