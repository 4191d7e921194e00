//! Registration, look-ups, and updates of what has no labels.

use super::{jobs, Operation, BUCKETS, OBSERVED, PLAIN};
use crate::image::header;
use common::filter::{deny, opening_calls};
use shmetrics::{Counter, Family, Gauge, GaugeMode, Segment};

fn requests(segment: &Segment) -> Family<Counter, 2> {
    segment.counter("requests", "Requests.").labels(["method", "path"]).register().unwrap()
}

fn in_use(segment: &Segment, mode: GaugeMode) -> Gauge {
    segment.gauge("in_use", "In use.", mode).register().unwrap()
}

fn filler(segment: &Segment) -> Family<Counter, 1> {
    segment.counter("filler", "").labels(["i"]).register().unwrap()
}

/// Fills the index, which has 4,096 words, up to so many entries. Doubling begins with the first
/// beyond 5/8 of it: 2,560.
fn fill_index(segment: &Segment, entries: usize) {
    let filler = filler(segment);
    for i in 1..entries {
        filler.with([&i.to_string()]);
    }
}

pub const REGISTER: Operation = Operation {
    name: "register a family",
    // One is there before, so that there is a tail to look up to.
    setup: |segment| {
        segment.gauge("old", "", GaugeMode::Shared).register().unwrap();
    },
    ready: |name| {
        let segment = name.open();
        Box::new(move || segment.counter("fresh", "New here.").register().unwrap().inc())
    },
    sample: "fresh_total",
    record: 384.0,
    moves: Some(header::FAMILY_TAIL),
    ..PLAIN
};

pub const LOOK_UP: Operation = Operation {
    name: "first look-up",
    setup: |segment| {
        requests(segment);
    },
    ready: |name| {
        let requests = requests(&name.open());
        Box::new(move || requests.with(["GET", "/"]).inc())
    },
    sample: r#"requests_total{method="GET",path="/"}"#,
    record: 80.0,
    moves: Some(header::ARENA_TAIL),
    ..PLAIN
};

pub const COUNTER_INC: Operation = Operation {
    name: "counter inc",
    ready: |name| {
        let jobs = jobs(&name.open());
        Box::new(move || jobs.inc())
    },
    sample: "jobs_total",
    setup: |segment| jobs(segment).inc_by(3),
    base: 3.0,
    ..PLAIN
};

pub const COUNTER_ADD: Operation = Operation {
    name: "counter add",
    ready: |name| {
        let seconds = name.open().counter("seconds", "").register().unwrap();
        Box::new(move || seconds.add(0.5))
    },
    sample: "seconds_total",
    setup: |segment| segment.counter("seconds", "").register().unwrap().add(3.25),
    base: 3.25,
    unit: 0.5,
    ..PLAIN
};

pub const EXEMPLAR: Operation = Operation {
    name: "counter inc with the first exemplar",
    ready: |name| {
        let jobs = jobs(&name.open());
        Box::new(move || jobs.inc_with_exemplar(&[("trace_id", "4bf92f3577b34da6")]))
    },
    // The slot, or the list of it.
    record: 256.0,
    ..COUNTER_INC
};

pub const OBSERVE: Operation = Operation {
    name: "histogram observe",
    ready: |name| {
        let latency = name.open().histogram("latency", "").buckets(&BUCKETS).register().unwrap();
        Box::new(move || latency.observe(OBSERVED))
    },
    sample: "latency_count",
    setup: |segment| {
        let latency = segment.histogram("latency", "").buckets(&BUCKETS).register().unwrap();
        latency.observe(OBSERVED);
    },
    base: 1.0,
    ..PLAIN
};

pub const GAUGE_SHARED: Operation = Operation {
    name: "shared gauge add",
    setup: |segment| in_use(segment, GaugeMode::Shared).set(4.0),
    ready: |name| {
        let gauge = in_use(&name.open(), GaugeMode::Shared);
        Box::new(move || gauge.add(1.0))
    },
    sample: "in_use",
    base: 4.0,
    ..PLAIN
};

pub const GAUGE_TAKE_OVER: Operation = Operation {
    name: "sum gauge, cell of a dead process",
    setup: |segment| in_use(segment, GaugeMode::Sum).set(7.0),
    ready: |name| {
        let gauge = in_use(&name.open(), GaugeMode::Sum);
        Box::new(move || gauge.add(1.0))
    },
    base: 7.0,
    moves: Some(header::SLOT),
    ..GAUGE_SHARED
};

/// The victim cannot open the file again, so its slot is proved by an attachment.
pub const GAUGE_ATTACHED: Operation = Operation {
    name: "sum gauge, slot by an attachment",
    ready: |name| {
        let gauge = in_use(&name.open(), GaugeMode::Sum);
        deny(&opening_calls(), libc::EACCES);
        Box::new(move || gauge.add(1.0))
    },
    others: Some(GAUGE_TAKE_OVER.ready),
    ..GAUGE_TAKE_OVER
};

pub const GAUGE_NEW_CELLS: Operation = Operation {
    name: "sum gauge, first cells",
    setup: |segment| {
        in_use(segment, GaugeMode::Sum);
    },
    base: 0.0,
    record: 528.0,
    ..GAUGE_TAKE_OVER
};

pub const GAUGE_LIVING: Operation = Operation {
    name: "livesum gauge",
    setup: |segment| in_use(segment, GaugeMode::LiveSum).set(7.0),
    ready: |name| {
        let gauge = in_use(&name.open(), GaugeMode::LiveSum);
        Box::new(move || gauge.add(1.0))
    },
    base: 0.0,
    living: true,
    ..GAUGE_TAKE_OVER
};

pub const GAUGE_MIN: Operation = Operation {
    name: "min gauge, cell of a dead process",
    setup: |segment| in_use(segment, GaugeMode::Min).set(7.0),
    ready: |name| {
        let gauge = in_use(&name.open(), GaugeMode::Min);
        Box::new(move || gauge.set(8.0))
    },
    unit: 0.0,
    ..GAUGE_TAKE_OVER
};

pub const EXTENT: Operation = Operation {
    name: "arena extent",
    setup: |segment| {
        const FIRST: u64 = 192 * 1024;
        let used = || segment.reader().inspect().used;
        let empty = used();
        let requests = requests(segment);
        for method in ["a", "b", "c", "d"] {
            requests.with([method, &"x".repeat(40_000)]);
        }
        let rows = (0..).take_while(|_| used() - empty <= FIRST - LOOK_UP.record as u64);
        for i in rows {
            requests.with([&format!("{i:04}"), ""]);
        }
    },
    moves: Some(header::WATERMARK),
    ..LOOK_UP
};

pub const INDEX_GROW: Operation = Operation {
    name: "index doubling begins",
    setup: |segment| fill_index(segment, 2561),
    ready: |name| {
        let filler = filler(&name.open());
        Box::new(move || filler.with(["new"]).inc())
    },
    sample: r#"filler_total{i="new"}"#,
    record: 64.0,
    revisit: |segment| {
        let filler = filler(segment);
        for i in (1..2561).step_by(5) {
            filler.with([&i.to_string()]);
        }
    },
    moves: Some(header::INDEX_TARGET),
    ..PLAIN
};

pub const INDEX_STEP: Operation = Operation {
    name: "index doubling goes on",
    setup: |segment| fill_index(segment, 2570),
    moves: Some(header::INDEX_CURSOR),
    ..INDEX_GROW
};

pub const INDEX_LAST: Operation = Operation {
    name: "index doubling ends",
    // 64 steps of 64 words, one at each insertion after the first.
    setup: |segment| fill_index(segment, 2561 + 64),
    moves: Some(header::INDEX_BITS),
    ..INDEX_GROW
};

pub const INDEX_REUSE: Operation = Operation {
    name: "first look-up, with a free record, index doubling goes on",
    setup: |segment| {
        fill_index(segment, 2570);
        assert!(filler(segment).remove(["7"]));
    },
    stays: Some(header::ARENA_TAIL),
    ..INDEX_STEP
};

pub const ATTACH: Operation = Operation {
    name: "attach",
    ready: |name| {
        let name = name.0.clone();
        Box::new(move || {
            let segment = shmetrics::Options::new().name(&name).attach().open().unwrap();
            jobs(&segment).inc();
        })
    },
    ..COUNTER_INC
};
