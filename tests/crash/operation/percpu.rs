//! Series that are hot: given per-CPU cells, counted in them, and removed with them. A restartable
//! sequence that is single-stepped never comes to its end, so victims count in the series' own cell
//! then. Where per-CPU cells are written by locked instructions, in their per-CPU cells.

use super::{counters, histograms, jobs, Operation, COUNTER_INC, OBSERVE, OBSERVED, OLD_COUNTER, REUSE};
use crate::image::{header, Image};
use shmetrics::Segment;

/// The most that an area of per-CPU cells takes, of as many CPUs as the segment of an operation has
/// cells for.
const AREA: f64 = 55_000.0;
/// More than it takes to be given per-CPU cells.
const HOT: u64 = 5000;

/// Whether there are any in an operation's segment; with many CPUs it is too small.
pub fn are_there(segment: &Segment) -> bool {
    segment.reader().inspect().per_cpu_kind != "none"
}

fn locked(image: &mut Image) {
    image.set_half(header::PER_CPU_KIND, 2);
}

pub const PER_CPU_GIVEN: Operation = Operation {
    name: "counter inc, with which it is hot",
    setup: |segment| {
        let jobs = jobs(segment);
        (0..4095).for_each(|_| jobs.inc());
    },
    base: 4095.0,
    record: AREA,
    moves: Some(header::PER_CPU_TAIL),
    ..COUNTER_INC
};

pub const PER_CPU_GIVEN_LOCKED: Operation =
    Operation { name: "counter inc, with which it is hot, locked", edit: locked, ..PER_CPU_GIVEN };

pub const PER_CPU_GIVEN_TO_HISTOGRAM: Operation = Operation {
    name: "histogram observe, with which it is hot",
    setup: |segment| {
        let latency = segment.histogram("latency", "").buckets(&[1.0, 5.0]).register().unwrap();
        (0..1023).for_each(|_| latency.observe(OBSERVED));
    },
    edit: locked,
    base: 1023.0,
    record: AREA,
    moves: Some(header::PER_CPU_TAIL),
    ..OBSERVE
};

pub const PER_CPU_INC: Operation = Operation {
    name: "hot counter inc",
    setup: |segment| {
        let jobs = jobs(segment);
        (0..HOT).for_each(|_| jobs.inc());
    },
    base: HOT as f64,
    stays: Some(header::PER_CPU_TAIL),
    ..COUNTER_INC
};

pub const PER_CPU_INC_LOCKED: Operation = Operation { name: "hot counter inc, locked", edit: locked, ..PER_CPU_INC };

pub const PER_CPU_OBSERVE: Operation = Operation {
    name: "hot histogram observe",
    setup: |segment| {
        let latency = segment.histogram("latency", "").buckets(&[1.0, 5.0]).register().unwrap();
        (0..HOT).for_each(|_| latency.observe(OBSERVED));
    },
    base: HOT as f64,
    stays: Some(header::PER_CPU_TAIL),
    ..OBSERVE
};

pub const PER_CPU_OBSERVE_LOCKED: Operation =
    Operation { name: "hot histogram observe, locked", edit: locked, ..PER_CPU_OBSERVE };

pub const PER_CPU_REUSE: Operation = Operation {
    name: "first look-up, with a free record that was hot",
    setup: |segment| {
        let old = counters(segment).with(["old"]);
        (0..HOT).for_each(|_| old.inc());
    },
    edit: locked,
    ..REUSE
};

pub const PER_CPU_REUSE_HISTOGRAM: Operation = Operation {
    name: "first look-up, with a free record of a histogram that was hot",
    setup: |segment| {
        let old = histograms(segment).with(["old"]);
        (0..HOT).for_each(|_| old.observe(OBSERVED));
    },
    edit: locked,
    ..super::REUSE_HISTOGRAM
};

pub const PER_CPU_OF_OLD: Operation = Operation {
    name: "hot counter inc, while others remove it",
    setup: |segment| {
        (OLD_COUNTER.setup)(segment);
        let old = counters(segment).with(["old"]);
        (0..HOT).for_each(|_| old.inc());
    },
    edit: locked,
    also: |page, seen| {
        let (old, new) = (super::value(page, "old"), super::value(page, "new"));
        if seen.others == 0 {
            let acts = old.expect("the series is there") - HOT as f64;
            assert!((seen.victim.done..=seen.victim.begun).any(|n| n as f64 == acts), "{acts} updates: {seen:?}");
        } else {
            assert_eq!((old, new), (None, Some(seen.others as f64)), "{seen:?}");
        }
    },
    ..OLD_COUNTER
};
