//! Bundles: several metrics that share a record for each label set.

use super::removal::BEFORE;
use super::reuse::HELD;
use super::{counted, jobs, Operation, Page, BUCKETS, OBSERVED, PLAIN};
use crate::image::{header, Image};
use crate::survivor::Seen;
use common::c::{self, Three, Update};
use common::Name;
use shmetrics::{Bundle, BundleBuilder, Counter, Histogram, Member, Segment};

/// A bundle with members of two kinds of seats.
struct Trio {
    bundle: Bundle<1>,
    a: Member<Counter>,
    h: Member<Histogram>,
    b: Member<Counter>,
}

/// Series of a label set.
const EACH: u64 = 3;
/// Bytes of its record, and of the bundle's own.
const RECORD: f64 = 240.0;
const BUNDLE: f64 = 1700.0;

fn define(
    segment: &Segment,
) -> (BundleBuilder<'static, [&'static str; 1]>, Member<Counter>, Member<Histogram>, Member<Counter>) {
    let mut builder = segment.bundle(["n"]);
    let a = builder.add(segment.counter("a", ""));
    let h = builder.add(segment.histogram("h", "").buckets(&BUCKETS));
    let b = builder.add(segment.counter("b", ""));
    (builder, a, h, b)
}

fn three(segment: &Segment) -> Trio {
    let (builder, a, h, b) = define(segment);
    Trio { bundle: builder.register().unwrap(), a, h, b }
}

impl Trio {
    fn handles(&self, n: &str) -> (Counter, Histogram, Counter) {
        let entry = self.bundle.with([n]);
        (entry.get(self.a), entry.get(self.h), entry.get(self.b))
    }

    fn update(&self, n: &str) {
        update(&self.handles(n), 1);
    }
}

/// Updates the members in the order of `values`.
fn update((a, h, b): &(Counter, Histogram, Counter), n: u64) {
    a.inc_by(n);
    (0..n).for_each(|_| h.observe(OBSERVED));
    b.inc_by(n);
}

/// The values of a label set's members; all of them are on the page, or none.
fn values(page: &Page, n: &str) -> Option<[f64; 3]> {
    let all = ["a_total", "h_count", "b_total"].map(|name| page.get(&format!("{name}{{n=\"{n}\"}}")).copied());
    match all {
        [Some(a), Some(h), Some(b)] => Some([a, h, b]),
        [None, None, None] => None,
        some => panic!("a page has some members of {n}: {some:?}"),
    }
}

/// The last member counts what is done; the others may be one ahead for each act that is not.
fn in_order(page: &Page, seen: &Seen) {
    if let Some([a, h, b]) = values(page, "x") {
        let open = (seen.victim.begun - seen.victim.done) as f64;
        assert!(a >= h && h >= b && a - b <= open, "{:?}: {seen:?}", [a, h, b]);
    }
}

pub const BUNDLE_REGISTER: Operation = Operation {
    name: "register a bundle",
    setup: |segment| {
        jobs(segment);
    },
    ready: |name| {
        let segment = name.open();
        Box::new(move || three(&segment).update("x"))
    },
    sample: r#"b_total{n="x"}"#,
    record: BUNDLE,
    series: EACH,
    moves: Some(header::FAMILY_TAIL),
    also: in_order,
    ..PLAIN
};

pub const BUNDLE_LOOK_UP: Operation = Operation {
    name: "first look-up in a bundle",
    setup: |segment| {
        three(segment);
    },
    ready: |name| {
        let three = three(&name.open());
        Box::new(move || three.update("x"))
    },
    record: RECORD,
    moves: Some(header::ARENA_TAIL),
    stays: Some(header::FAMILY_TAIL),
    ..BUNDLE_REGISTER
};

pub const BUNDLE_RE_INSERT: Operation = Operation {
    name: "remove from a bundle, then make it again",
    setup: |segment| {
        update(&three(segment).handles("x"), BEFORE);
        jobs(segment);
    },
    ready: |name| {
        let three = three(&name.open());
        counted(name, move || {
            three.bundle.remove(["x"]);
            three.update("x");
        })
    },
    sample: "jobs_total",
    moves: Some(header::REMOVED_SERIES),
    stays: Some(header::ARENA_TAIL),
    also: |page, seen| match values(page, "x") {
        None => assert!(seen.complete() == 0 || seen.is_acting(), "it is not there: {seen:?}"),
        // One that stood still between removing and counting may count in the series of another.
        Some(all) if all.iter().all(|v| *v <= 2.0) => {
            assert!(all[2] > 0.0 || seen.complete() == 0 || seen.is_acting(), "{all:?}: {seen:?}");
        }
        Some(all) => assert!(seen.complete() == 0 && all == [BEFORE as f64; 3], "{all:?}: {seen:?}"),
    },
    ..BUNDLE_LOOK_UP
};

pub const BUNDLE_REUSE: Operation = Operation {
    name: "first look-up in a bundle, with a free record",
    setup: |segment| update(&three(segment).handles("old"), BEFORE),
    ready: |name| {
        let three = three(&name.open());
        let old = three.handles("old");
        assert!(three.bundle.remove(["old"]));
        Box::new(move || {
            three.update("x");
            update(&old, 1);
        })
    },
    hold: Some(|name| {
        let old = three(&name.open()).handles("old");
        Box::new(move || (0..HELD as u64).for_each(|_| update(&old, 1)))
    }),
    moves: Some(header::STALE_UPDATES),
    stays: Some(header::ARENA_TAIL),
    also: |page, seen| {
        assert_eq!(values(page, "old"), None, "{seen:?}");
        in_order(page, seen);
    },
    ..BUNDLE_LOOK_UP
};

pub const BUNDLE_OLD: Operation = Operation {
    name: "updates of a bundle's members, while others remove them",
    setup: |segment| {
        three(segment).handles("x");
        jobs(segment);
    },
    ready: |name| {
        let old = three(&name.open()).handles("x");
        counted(name, move || update(&old, 1))
    },
    others: Some(|name| {
        let three = three(&name.open());
        counted(name, move || {
            three.bundle.remove(["x"]);
            three.update("new");
        })
    }),
    sample: "jobs_total",
    moves: None,
    stays: None,
    also: |page, seen| {
        if seen.others == 0 {
            in_order(page, seen);
            assert!(values(page, "x").is_some(), "no process has removed it");
        } else {
            assert_eq!((values(page, "x"), values(page, "new")), (None, Some([seen.others as f64; 3])), "{seen:?}");
        }
    },
    ..BUNDLE_LOOK_UP
};

/// As `update`, by one call.
fn update_at_once(entry: Three, n: u64) {
    let updates = [Update::add_whole(0, n), Update::observe(1, OBSERVED), Update::add(2, n as f64)];
    c::update(entry, &updates);
}

/// The entry of a label set of `three`, for C.
fn entry(name: &Name, n: &str) -> Three {
    let members: [c::Described<'_>; 3] =
        [(c::COUNTER, 0, "a", "", &[]), (c::HISTOGRAM, 0, "h", "", &BUCKETS), (c::COUNTER, 0, "b", "", &[])];
    c::entry(c::bundle(name.path().to_str().unwrap(), "n", &members, 0), n)
}

pub const BUNDLE_AT_ONCE: Operation = Operation {
    name: "updates of a bundle's members by one call",
    setup: |segment| {
        three(segment).handles("x");
    },
    ready: |name| {
        let entry = entry(name, "x");
        Box::new(move || update_at_once(entry, 1))
    },
    moves: None,
    ..BUNDLE_LOOK_UP
};

pub const BUNDLE_AT_ONCE_OLD: Operation = Operation {
    name: "updates of a bundle's members by one call, while others remove them",
    ready: |name| {
        let old = entry(name, "x");
        counted(name, move || {
            update_at_once(old, 1);
        })
    },
    ..BUNDLE_OLD
};

pub const BUNDLE_REPLACE: Operation = Operation {
    name: "replace a bundle",
    ready: |name| {
        let segment = name.open();
        counted(name, move || {
            let mut new = segment.bundle([]);
            let b = new.add(segment.counter("b", ""));
            let c = new.add(segment.counter("c", ""));
            let entry = new.replace().register().unwrap().with([]);
            entry.get(b).inc();
            entry.get(c).inc();
        })
    },
    record: BUNDLE,
    stays: None,
    moves: Some(header::FAMILY_TAIL),
    also: |page, seen| {
        let new = ["b_total", "c_total"].map(|sample| page.get(sample).copied());
        match (values(page, "x"), new) {
            (Some(all), [None, None]) => {
                assert!(seen.complete() == 0 && all == [BEFORE as f64; 3], "{all:?}: {seen:?}")
            }
            (None, [Some(b), Some(c)]) => {
                let range = seen.complete() as f64..=(seen.victim.begun + seen.others) as f64;
                assert!(range.contains(&b) && range.contains(&c) && b >= c, "{b} and {c}: {seen:?}");
            }
            both => panic!("the old and the new one are {both:?}: {seen:?}"),
        }
    },
    ..BUNDLE_RE_INSERT
};

pub const BUNDLE_REPLACE_TWO: Operation = Operation {
    name: "replace two families by a bundle",
    setup: |segment| {
        for name in ["a", "b"] {
            segment.counter(name, "").labels(["n"]).register().unwrap().with(["x"]).inc_by(BEFORE);
        }
        jobs(segment);
    },
    ready: |name| {
        let segment = name.open();
        counted(name, move || {
            let mut new = segment.bundle([]);
            let c = new.add(segment.counter("c", ""));
            let b = new.add(segment.counter("b", ""));
            let a = new.add(segment.counter("a", ""));
            let entry = new.replace().register().unwrap().with([]);
            [a, b, c].iter().for_each(|member| entry.get(*member).inc());
        })
    },
    also: |page, seen| {
        let range = seen.complete() as f64..=(seen.victim.begun + seen.others) as f64;
        for name in ["a_total", "b_total"] {
            match (page.get(&format!("{name}{{n=\"x\"}}")), page.get(name)) {
                (Some(old), None) => assert!(seen.complete() == 0 && *old == BEFORE as f64, "{name} {old}: {seen:?}"),
                (None, Some(new)) => assert!(range.contains(new), "{name} {new}: {seen:?}"),
                both => panic!("the old and the new {name} are {both:?}: {seen:?}"),
            }
        }
    },
    ..BUNDLE_REPLACE
};

/// The most that an area of per-CPU cells takes.
const AREA: f64 = 55_000.0;

pub const BUNDLE_GIVEN: Operation = Operation {
    name: "update with which a bundle's label set is hot, locked",
    setup: |segment| {
        let (a, h, b) = three(segment).handles("x");
        // The histogram is not hot by itself.
        (0..1000).for_each(|_| h.observe(OBSERVED));
        a.inc_by(4095);
        b.inc_by(4095);
    },
    edit: |image: &mut Image| image.set_half(header::PER_CPU_KIND, 2),
    ready: BUNDLE_LOOK_UP.ready,
    base: 4095.0,
    record: AREA,
    moves: Some(header::PER_CPU_TAIL),
    stays: None,
    also: |page, seen| {
        let [a, h, b] = values(page, "x").expect("no process removes it");
        let open = (seen.victim.begun - seen.victim.done) as f64;
        assert!(a - b <= open && a >= b && (b..=a).contains(&(h + 3095.0)), "{:?}: {seen:?}", [a, h, b]);
    },
    ..BUNDLE_LOOK_UP
};

/// More than it takes to be given per-CPU cells.
const HOT: u64 = 5000;

pub const BUNDLE_AT_ONCE_HOT: Operation = Operation {
    name: "updates of a hot bundle's members by one call",
    setup: |segment| {
        let all = three(segment).handles("x");
        (0..HOT).for_each(|_| update(&all, 1));
    },
    base: HOT as f64,
    record: AREA,
    stays: Some(header::PER_CPU_TAIL),
    ..BUNDLE_AT_ONCE
};

pub const BUNDLE_AT_ONCE_LOCKED: Operation = Operation {
    name: "updates of a hot bundle's members by one call, locked",
    edit: |image: &mut Image| image.set_half(header::PER_CPU_KIND, 2),
    ..BUNDLE_AT_ONCE_HOT
};
