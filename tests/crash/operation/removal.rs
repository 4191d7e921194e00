//! Removal.

use super::reuse::{old_holder, HELD};
use super::{counted, counters, jobs, value, Labelled, Operation, Page, PLAIN};
use crate::image::header;
use crate::survivor::Seen;
use common::samples;
use shmetrics::{Counter, Format, Segment};

/// Bytes of a series of the family `x`, if it is a counter or a gauge.
pub const RECORD: f64 = 64.0;
/// What was counted before, in series that are removed: more than will ever be counted later.
pub const BEFORE: u64 = 1000;

/// Panics unless a series that acts remove is as it was, or gone; and gone once an act is complete.
fn gone(page: &Page, n: &str, seen: &Seen) {
    match value(page, n) {
        None => {}
        Some(v) => assert!(seen.complete() == 0 && v == BEFORE as f64, "{n} is {v}: {seen:?}"),
    }
}

/// Panics unless a series that each act makes, and counts 1 in after removing the last one, is in
/// one of these steps.
fn renewed(page: &Page, n: &str, seen: &Seen) {
    // One that stood still between removing and counting may count in the series of another.
    match value(page, n) {
        Some(v) if v == 1.0 || v == 2.0 => {}
        None | Some(0.0) => assert!(seen.complete() == 0 || seen.is_acting(), "{n} is not there: {seen:?}"),
        Some(v) => assert!(seen.complete() == 0 && v == BEFORE as f64, "{n} is {v}: {seen:?}"),
    }
}

pub const REMOVE: Operation = Operation {
    name: "remove",
    setup: |segment| {
        counters(segment).with(["x"]).inc_by(BEFORE);
        jobs(segment);
    },
    ready: |name| {
        let family = counters(&name.open());
        counted(name, move || _ = family.remove(["x"]))
    },
    sample: "jobs_total",
    record: RECORD,
    moves: Some(header::REMOVED_SERIES),
    also: |page, seen| {
        gone(page, "x", seen);
        let removed = page["shmetrics_series_removed_total"];
        let due = seen.victim.alive && seen.victim.done > 0;
        assert!(removed <= 1.0 && (removed == 1.0 || !due), "{removed} series were removed: {seen:?}");
    },
    ..PLAIN
};

pub const REMOVE_BESIDE_OTHERS: Operation = Operation {
    name: "remove, while others remove and make it",
    others: Some(RE_INSERT.ready),
    also: |page, seen| match (value(page, "x"), seen.others) {
        (Some(v), 0) => assert!(v == BEFORE as f64 && seen.victim.done == 0, "x is {v}: {seen:?}"),
        (Some(v), _) => assert_eq!(v, 1.0, "{seen:?}"),
        // The victim may have removed it again, when it went on.
        (None, others) => assert!(others % 10 == 0 && (others == 0 || seen.victim.alive), "x is gone: {seen:?}"),
    },
    ..REMOVE
};

pub const REMOVE_THEN_UPDATE: Operation = Operation {
    name: "remove, then update through the old handle",
    ready: |name| {
        let family = counters(&name.open());
        let old = family.with(["x"]);
        counted(name, move || {
            family.remove(["x"]);
            old.inc();
        })
    },
    // Survivors have no handle to it.
    others: Some(|name| {
        let family = counters(&name.open());
        counted(name, move || _ = family.remove(["x"]))
    }),
    hold: Some(|name| old_holder(counters(&name.open()), "x", Counter::inc)),
    moves: Some(header::STALE_UPDATES),
    also: |page, seen| {
        if let Some(v) = value(page, "x") {
            let own = BEFORE as f64 + HELD;
            assert!(seen.complete() == 0 && (v == BEFORE as f64 || v == own), "x is {v}: {seen:?}");
        }
        // Each update of the victim is stale, as it comes after the removal; those of the holder
        // may have come before it.
        let stale = page["shmetrics_stale_updates_total"];
        let range = seen.victim.done as f64..=seen.victim.begun as f64 + HELD;
        assert!(range.contains(&stale), "{stale} stale updates: {seen:?}");
        // The holder works at one moment, so all of its updates are stale, or none.
        let alive = seen.victim.alive && !seen.is_acting();
        let held = stale - seen.victim.done as f64;
        assert!(!alive || held == 0.0 || held == HELD, "{stale} stale updates: {seen:?}");
    },
    ..REMOVE
};

pub const RE_INSERT: Operation = Operation {
    name: "remove, then make it again",
    ready: |name| {
        let family = counters(&name.open());
        counted(name, move || {
            family.remove(["x"]);
            family.with(["x"]).inc();
        })
    },
    moves: Some(header::REMOVED_SERIES),
    stays: Some(header::ARENA_TAIL),
    also: |page, seen| renewed(page, "x", seen),
    ..REMOVE
};

pub const CLEAR: Operation = Operation {
    name: "clear",
    setup: |segment| {
        let family = counters(segment);
        ["a", "b", "c"].iter().for_each(|n| family.with([n]).inc_by(BEFORE));
        jobs(segment);
    },
    ready: |name| {
        let family = counters(&name.open());
        counted(name, move || {
            family.clear();
            family.with(["new"]).inc();
        })
    },
    also: |page, seen| {
        ["a", "b", "c"].iter().for_each(|n| gone(page, n, seen));
        renewed(page, "new", seen);
    },
    ..RE_INSERT
};

pub const LIMITED: Operation = Operation {
    name: "make and remove in a family with a limit",
    setup: |segment| {
        limited(segment);
        jobs(segment);
    },
    ready: |name| {
        let family = limited(&name.open());
        counted(name, move || {
            family.with(["x"]).inc();
            family.remove(["x"]);
        })
    },
    also: |page, seen| assert_eq!(page["shmetrics_overflow_lookups_total"], 0.0, "refused look-ups: {seen:?}"),
    ..REMOVE
};

fn limited(segment: &Segment) -> Labelled<Counter> {
    segment.counter("x", "").max_series(5).labels(["n"]).register().unwrap()
}

pub const RENDER: Operation = Operation {
    name: "render, while others remove and make",
    setup: |segment| {
        let family = counters(segment);
        family.with(["stays"]).inc_by(7);
        family.with(["x"]).inc_by(BEFORE);
        family.with(["stays, too"]).inc_by(7);
        jobs(segment);
    },
    ready: |name| {
        let reader = name.reader();
        counted(name, move || {
            // A series that stands twice ends the victim.
            let page = samples(std::str::from_utf8(&reader.render(Format::Text)).unwrap());
            let is = |n, expected: &[f64]| match value(&page, n) {
                Some(v) => assert!(expected.contains(&v), "{n} is {v}"),
                None => assert!(!n.starts_with("stays"), "{n} is not there"),
            };
            is("x", &[0.0, BEFORE as f64]);
            is("y", &[0.0, 5.0]);
            is("stays", &[7.0]);
            is("stays, too", &[7.0]);
            assert_eq!(page["shmetrics_corrupt_records"], 0.0);
        })
    },
    // Both live in the same record.
    others: Some(|name| {
        let family = counters(&name.open());
        counted(name, move || {
            family.remove(["x"]);
            family.with(["y"]).inc_by(5);
            family.remove(["y"]);
            family.with(["x"]).inc_by(BEFORE);
        })
    }),
    moves: None,
    also: |_, _| (),
    ..REMOVE
};
