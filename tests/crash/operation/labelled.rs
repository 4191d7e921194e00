//! Updates through handles to labelled series, in their records' second generations.

use super::{counters, histograms, live_again, shared_gauges, sum_gauges, Operation, OBSERVED, PLAIN};
use crate::image::header;
use shmetrics::{Counter, Gauge};

pub const LABELLED_INC: Operation = Operation {
    name: "labelled counter inc",
    setup: |segment| live_again(&counters(segment), Counter::inc).inc_by(3),
    ready: |name| {
        let counter = counters(&name.open()).with(["x"]);
        Box::new(move || counter.inc())
    },
    sample: r#"x_total{n="x"}"#,
    base: 3.0,
    ..PLAIN
};

pub const LABELLED_ADD: Operation = Operation {
    name: "labelled counter add",
    ready: |name| {
        let counter = counters(&name.open()).with(["x"]);
        Box::new(move || counter.add(0.5))
    },
    unit: 0.5,
    ..LABELLED_INC
};

pub const LABELLED_OBSERVE: Operation = Operation {
    name: "labelled histogram observe",
    setup: |segment| live_again(&histograms(segment), |h| h.observe(OBSERVED)).observe(OBSERVED),
    ready: |name| {
        let histogram = histograms(&name.open()).with(["x"]);
        Box::new(move || histogram.observe(OBSERVED))
    },
    sample: r#"x_count{n="x"}"#,
    base: 1.0,
    ..PLAIN
};

pub const LABELLED_SHARED: Operation = Operation {
    name: "labelled shared gauge add",
    setup: |segment| live_again(&shared_gauges(segment), Gauge::inc).set(4.0),
    ready: |name| {
        let gauge = shared_gauges(&name.open()).with(["x"]);
        Box::new(move || gauge.add(1.0))
    },
    sample: r#"x{n="x"}"#,
    base: 4.0,
    ..PLAIN
};

pub const LABELLED_TAKE_OVER: Operation = Operation {
    name: "labelled sum gauge, cell of a dead process",
    setup: |segment| live_again(&sum_gauges(segment), Gauge::inc).set(7.0),
    ready: |name| {
        let gauge = sum_gauges(&name.open()).with(["x"]);
        Box::new(move || gauge.add(1.0))
    },
    base: 7.0,
    moves: Some(header::SLOT),
    ..LABELLED_SHARED
};

pub const LABELLED_OLD_CELL: Operation = Operation {
    name: "labelled sum gauge, cell of an earlier generation",
    setup: |segment| {
        live_again(&sum_gauges(segment), Gauge::inc);
    },
    base: 0.0,
    ..LABELLED_TAKE_OVER
};
