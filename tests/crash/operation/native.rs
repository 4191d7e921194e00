//! Native histograms and quantiles: buckets that are made, and those that another generation has
//! left.

use shmetrics::{Histogram, Native, Segment, Summary};

use super::reuse::{holder, old_holder, remover, reuser};
use super::{jobs, Labelled, Operation, BUCKETS, OBSERVED, OLD_COUNTER, PLAIN, REUSE};
use crate::image::header;

/// A page of links to chunks at schema 3, and a chunk.
const BLOCK: f64 = 272.0;

fn native(segment: &Segment) -> Histogram {
    segment.histogram("latency", "").native(Native::schema(3)).register().unwrap()
}

/// A bound cuts the bucket that all is observed in.
fn both(segment: &Segment) -> Histogram {
    segment.histogram("latency", "").native(Native::schema(0)).buckets(&BUCKETS).register().unwrap()
}

fn natives(segment: &Segment) -> Labelled<Histogram> {
    segment.histogram("x", "").native(Native::schema(3)).labels(["n"]).register().unwrap()
}

fn quantiles(segment: &Segment) -> Summary {
    segment.summary("latency", "").quantiles(&[0.5]).register().unwrap()
}

pub const NATIVE_FIRST: Operation = Operation {
    name: "native histogram, the first observation of all",
    setup: |segment| _ = native(segment),
    ready: |name| {
        let latency = native(&name.open());
        Box::new(move || latency.observe(OBSERVED))
    },
    sample: "latency_count",
    record: BLOCK,
    moves: Some(header::ARENA_TAIL),
    ..PLAIN
};

pub const NATIVE_OBSERVE: Operation = Operation {
    name: "native histogram observe",
    setup: |segment| native(segment).observe(OBSERVED),
    base: 1.0,
    record: 0.0,
    moves: None,
    stays: Some(header::ARENA_TAIL),
    ..NATIVE_FIRST
};

pub const NATIVE_AND_CLASSIC: Operation = Operation {
    name: "native and classic histogram, the first observation",
    setup: |segment| _ = both(segment),
    ready: |name| {
        let latency = both(&name.open());
        Box::new(move || latency.observe(OBSERVED))
    },
    also: |page, _| {
        let count = page["latency_count"];
        let buckets = ["1.0", "5.0", "+Inf"].map(|le| page[&format!("latency_bucket{{le=\"{le}\"}}")]);
        assert_eq!(buckets, [0.0, count, count]);
    },
    ..NATIVE_FIRST
};

pub const QUANTILES: Operation = Operation {
    name: "summary with quantiles, the first observation",
    // A page at schema 5.
    record: 1040.0,
    setup: |segment| _ = quantiles(segment),
    ready: |name| {
        let latency = quantiles(&name.open());
        Box::new(move || latency.observe(OBSERVED))
    },
    also: |page, seen| {
        let (found, count) = (page["latency{quantile=\"0.5\"}"], page["latency_count"]);
        // An observation is in the count first.
        let missing = found.is_nan() && (count == 0.0 || (seen.others == 0 && seen.is_acting()));
        assert!(missing || (found / OBSERVED - 1.0).abs() < 0.011, "{found} of {count}: {seen:?}");
    },
    ..NATIVE_FIRST
};

pub const REUSE_NATIVE: Operation = Operation {
    name: "first look-up, with a free record of a native histogram",
    setup: |segment| natives(segment).with(["old"]).observe(OBSERVED),
    ready: |name| reuser(natives(&name.open()), |h| h.observe(OBSERVED)),
    hold: Some(|name| old_holder(natives(&name.open()), "old", |h| h.observe(OBSERVED))),
    sample: r#"x_count{n="new"}"#,
    record: 272.0,
    ..REUSE
};

pub const OLD_NATIVE: Operation = Operation {
    name: "native histogram observe, while others remove it",
    setup: |segment| {
        natives(segment).with(["old"]).observe(OBSERVED);
        natives(segment).remove(["old"]);
        natives(segment).with(["old"]);
        jobs(segment);
    },
    ready: |name| holder(name, natives(&name.open()), |h| h.observe(OBSERVED)),
    others: Some(|name| remover(name, natives(&name.open()), |h| h.observe(OBSERVED))),
    ..OLD_COUNTER
};

pub const OLD_NATIVE_FIRST: Operation = Operation {
    name: "native histogram, the first observation, while others remove it",
    setup: |segment| {
        natives(segment).with(["old"]);
        jobs(segment);
    },
    record: BLOCK,
    ..OLD_NATIVE
};
