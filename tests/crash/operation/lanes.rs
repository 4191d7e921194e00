//! Series that are hot: given a lane, counted in it, and removed with it. A restartable sequence
//! that is single-stepped never comes to its end, so victims count in the series' own cell then.
//! Where lanes are written by locked instructions, in their lane.

use super::{counters, histograms, Operation, COUNTER_INC, OBSERVE, OBSERVED, OLD_COUNTER, REUSE};
use crate::image::{header, Image};
use shmetrics::Segment;

/// The most that an area of lanes takes, of as many CPUs as the segment of an operation has lanes
/// for.
const AREA: f64 = 55_000.0;
/// More than it takes to be given a lane.
const HOT: u64 = 5000;

/// Whether there are any in an operation's segment; with many CPUs it is too small.
pub fn are_there(segment: &Segment) -> bool {
    segment.reader().inspect().lane_kind != "none"
}

fn locked(image: &mut Image) {
    image.set_half(header::LANE_KIND, 2);
}

pub const LANE_GIVEN: Operation = Operation {
    name: "counter inc, with which it is hot",
    setup: |segment| {
        let jobs = segment.counter("jobs", "").register().unwrap();
        (0..4095).for_each(|_| jobs.inc());
    },
    base: 4095.0,
    record: AREA,
    moves: Some(header::LANE_TAIL),
    ..COUNTER_INC
};

pub const LANE_GIVEN_LOCKED: Operation =
    Operation { name: "counter inc, with which it is hot, locked", edit: locked, ..LANE_GIVEN };

pub const LANE_GIVEN_TO_HISTOGRAM: Operation = Operation {
    name: "histogram observe, with which it is hot",
    setup: |segment| {
        let latency = segment.histogram("latency", "").buckets(&[1.0, 5.0]).register().unwrap();
        (0..1023).for_each(|_| latency.observe(OBSERVED));
    },
    edit: locked,
    base: 1023.0,
    record: AREA,
    moves: Some(header::LANE_TAIL),
    ..OBSERVE
};

pub const LANE_INC: Operation = Operation {
    name: "hot counter inc",
    setup: |segment| {
        let jobs = segment.counter("jobs", "").register().unwrap();
        (0..HOT).for_each(|_| jobs.inc());
    },
    base: HOT as f64,
    stays: Some(header::LANE_TAIL),
    ..COUNTER_INC
};

pub const LANE_INC_LOCKED: Operation = Operation { name: "hot counter inc, locked", edit: locked, ..LANE_INC };

pub const LANE_OBSERVE: Operation = Operation {
    name: "hot histogram observe",
    setup: |segment| {
        let latency = segment.histogram("latency", "").buckets(&[1.0, 5.0]).register().unwrap();
        (0..HOT).for_each(|_| latency.observe(OBSERVED));
    },
    base: HOT as f64,
    stays: Some(header::LANE_TAIL),
    ..OBSERVE
};

pub const LANE_OBSERVE_LOCKED: Operation =
    Operation { name: "hot histogram observe, locked", edit: locked, ..LANE_OBSERVE };

pub const LANE_REUSE: Operation = Operation {
    name: "first look-up, with a free record that was hot",
    setup: |segment| {
        let old = counters(segment).with(["old"]);
        (0..HOT).for_each(|_| old.inc());
    },
    edit: locked,
    ..REUSE
};

pub const LANE_REUSE_HISTOGRAM: Operation = Operation {
    name: "first look-up, with a free record of a histogram that was hot",
    setup: |segment| {
        let old = histograms(segment).with(["old"]);
        (0..HOT).for_each(|_| old.observe(OBSERVED));
    },
    edit: locked,
    ..super::REUSE_HISTOGRAM
};

pub const LANE_OF_OLD: Operation = Operation {
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
            let acts = old.expect("nobody has removed it") - HOT as f64;
            assert!((seen.victim.done..=seen.victim.begun).any(|n| n as f64 == acts), "{acts} updates: {seen:?}");
        } else {
            assert_eq!((old, new), (None, Some(seen.others as f64)), "{seen:?}");
        }
    },
    ..OLD_COUNTER
};
