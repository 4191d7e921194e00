//! Families that are replaced and unregistered.

use super::removal::{BEFORE, REMOVE};
use super::{counted, counters, jobs, sum_gauges, Operation, Page, ACTS, BUCKETS, OBSERVED, PLAIN};
use crate::image::header;
use crate::survivor::Seen;
use common::{samples, Name};
use shmetrics::{Counter, Format, Gauge, GaugeMode, Histogram, Segment};

/// Bytes of the record of a family `x`, and of all else that one kill may cost.
const FAMILY: f64 = 560.0;

/// The successor of `counters`: without labels, so that a page always has a sample of it.
fn successor(segment: &Segment) -> Option<Counter> {
    // A survivor is of a later revision, and may have registered it otherwise.
    segment.counter("x", "Another.").replace().register().ok()
}

fn old(page: &Page) -> Option<f64> {
    page.get(r#"x_total{n="x"}"#).copied()
}

fn new(page: &Page) -> Option<f64> {
    page.get("x_total").copied()
}

pub const REPLACE: Operation = Operation {
    name: "replace a family",
    ready: |name| {
        let segment = name.open();
        counted(name, move || successor(&segment).unwrap().inc())
    },
    record: FAMILY,
    moves: Some(header::FAMILY_TAIL),
    also: |page, seen| match (old(page), new(page)) {
        (Some(v), None) => assert!(seen.complete() == 0 && v == BEFORE as f64, "the old one is {v}: {seen:?}"),
        (None, Some(v)) => {
            let range = seen.complete() as f64..=(seen.victim.begun + seen.others) as f64;
            assert!(range.contains(&v), "the new one is {v}: {seen:?}");
        }
        both => panic!("the old and the new one are {both:?}: {seen:?}"),
    },
    ..REMOVE
};

pub const UNREGISTER: Operation = Operation {
    name: "unregister a family",
    ready: |name| {
        let segment = name.open();
        counted(name, move || {
            segment.unregister("x").unwrap();
        })
    },
    moves: Some(header::FAMILY_COUNT),
    stays: Some(header::ARENA_TAIL),
    also: |page, seen| {
        if let Some(v) = old(page) {
            assert!(seen.complete() == 0 && v == BEFORE as f64, "it is {v}: {seen:?}");
        }
    },
    ..REPLACE
};

pub const ALTERNATE: Operation = Operation {
    name: "replace a family and go back",
    setup: |segment| {
        // Series of both shapes are free.
        counters(segment).with(["x"]).inc_by(BEFORE);
        let histogram = segment.histogram("x", "").buckets(&BUCKETS).labels(["n"]).replace().register().unwrap();
        histogram.with(["x"]).observe(OBSERVED);
        segment.counter("x", "").labels(["n"]).replace().register().unwrap().with(["x"]).inc_by(BEFORE);
        jobs(segment);
    },
    ready: |name| {
        let segment = name.open();
        counted(name, move || {
            let histograms = segment.histogram("x", "").buckets(&BUCKETS).labels(["n"]).replace().register();
            if let Ok(histograms) = histograms {
                histograms.with(["x"]).observe(OBSERVED);
            }
            if let Ok(counters) = segment.counter("x", "").labels(["n"]).replace().register() {
                counters.with(["x"]).inc();
            }
        })
    },
    record: 700.0,
    also: |page, seen| {
        let counts = page.keys().filter(|k| k.starts_with("x_total")).count();
        let histograms = page.keys().filter(|k| k.starts_with("x_count")).count();
        assert!(counts + histograms <= 1, "{counts} counters, {histograms} histograms: {seen:?}");
        let value = old(page).unwrap_or(0.0);
        // The last survivor's, and those of a victim that may go on but not replace it.
        assert!(value == BEFORE as f64 || value <= 1.0 + ACTS as f64, "{value}: {seen:?}");
    },
    ..REPLACE
};

/// The other processes, which count in the successor.
fn replaces(name: &Name) -> Box<dyn Fn()> {
    let segment = name.open();
    counted(name, move || {
        let new = segment.counter("x", "").labels(["m"]).replace().register().unwrap();
        new.with(["new"]).inc();
    })
}

/// Before others replace it, the sample counts what the victim did; afterwards the successor has
/// the others' counts alone.
fn apart(page: &Page, seen: &Seen, sample: &str, unit: f64) {
    let (old, new) = (page.get(sample), page.get(r#"x_total{m="new"}"#));
    if seen.others == 0 {
        let acts = *old.expect("the family is there") / unit;
        assert!((seen.victim.done..=seen.victim.begun).any(|n| n as f64 == acts), "{acts} updates: {seen:?}");
    } else {
        assert_eq!((old, new), (None, Some(&(seen.others as f64))), "{seen:?}");
    }
}

pub const REPLACED_COUNTER: Operation = Operation {
    name: "counter inc, while others replace its family",
    setup: |segment| {
        segment.counter("x", "").register().unwrap();
        jobs(segment);
    },
    ready: |name| {
        let counter = name.open().counter("x", "").register().unwrap();
        counted(name, move || counter.inc())
    },
    others: Some(replaces),
    sample: "jobs_total",
    record: FAMILY,
    also: |page, seen| apart(page, seen, "x_total", 1.0),
    ..PLAIN
};

pub const REPLACED_GAUGE: Operation = Operation {
    name: "shared gauge add, while others replace its family",
    setup: |segment| {
        segment.gauge("x", "", GaugeMode::Shared).register().unwrap();
        jobs(segment);
    },
    ready: |name| {
        let gauge = name.open().gauge("x", "", GaugeMode::Shared).register().unwrap();
        counted(name, move || Gauge::inc(&gauge))
    },
    also: |page, seen| apart(page, seen, "x", 1.0),
    ..REPLACED_COUNTER
};

pub const REPLACED_SUM: Operation = Operation {
    name: "sum gauge add, while others replace its family",
    setup: |segment| {
        segment.gauge("x", "", GaugeMode::Sum).register().unwrap().set(0.0);
        jobs(segment);
    },
    ready: |name| {
        let gauge = name.open().gauge("x", "", GaugeMode::Sum).register().unwrap();
        counted(name, move || Gauge::inc(&gauge))
    },
    record: 1100.0,
    ..REPLACED_GAUGE
};

pub const REPLACED_HISTOGRAM: Operation = Operation {
    name: "histogram observe, while others replace its family",
    setup: |segment| {
        segment.histogram("x", "").buckets(&BUCKETS).register().unwrap();
        jobs(segment);
    },
    ready: |name| {
        let histogram = name.open().histogram("x", "").buckets(&BUCKETS).register().unwrap();
        counted(name, move || Histogram::observe(&histogram, OBSERVED))
    },
    also: |page, seen| apart(page, seen, "x_count", 1.0),
    ..REPLACED_COUNTER
};

pub const REPLACED_LABELLED: Operation = Operation {
    name: "look-up and inc, while others replace the family",
    setup: |segment| {
        counters(segment).with(["x"]);
        jobs(segment);
    },
    ready: |name| {
        let family = counters(&name.open());
        counted(name, move || family.with(["x"]).inc())
    },
    also: |page, seen| apart(page, seen, r#"x_total{n="x"}"#, 1.0),
    ..REPLACED_COUNTER
};

pub const REPLACED_FIRST_LOOK_UP: Operation = Operation {
    name: "first look-up, while others replace the family",
    setup: |segment| {
        sum_gauges(segment).with(["y"]).set(0.0);
        jobs(segment);
    },
    ready: |name| {
        let family = sum_gauges(&name.open());
        counted(name, move || family.with(["x"]).inc())
    },
    record: 1100.0,
    also: |page, seen| {
        if seen.others > 0 {
            assert!(!page.contains_key(r#"x{n="x"}"#) && !page.contains_key(r#"x{n="y"}"#), "{seen:?}");
            assert_eq!(page[r#"x_total{m="new"}"#], seen.others as f64, "{seen:?}");
        }
    },
    ..REPLACED_COUNTER
};

pub const RENDER_BESIDE_REPLACEMENT: Operation = Operation {
    name: "render, while others replace and go back",
    setup: |segment| {
        segment.gauge("first", "", GaugeMode::Shared).register().unwrap().set(7.0);
        counters(segment).with(["x"]).inc();
        segment.gauge("last", "", GaugeMode::Shared).register().unwrap().set(7.0);
        jobs(segment);
    },
    ready: |name| {
        let reader = name.reader();
        counted(name, move || {
            let page = String::from_utf8(reader.render(Format::Text)).unwrap();
            let heads = page.lines().filter(|line| line.starts_with("# TYPE x")).count();
            assert_eq!(heads, 1, "{page}");
            let samples = samples(&page);
            assert_eq!([samples["first"], samples["last"], samples["shmetrics_corrupt_records"]], [7.0, 7.0, 0.0]);
        })
    },
    others: Some(|name| {
        let segment = name.open();
        counted(name, move || {
            successor(&segment).unwrap().inc();
            let counters = segment.counter("x", "").labels(["n"]).replace().register().unwrap();
            counters.with(["x"]).inc();
        })
    }),
    moves: None,
    also: |_, _| (),
    ..REPLACE
};
