//! Series that expire.

use std::time::Duration;

use super::{counted, jobs, value, Labelled, Operation, PLAIN};
use crate::image::{header, EXPIRED};
use shmetrics::{Counter, Segment};

/// Seconds: so long that no run takes as much. The segment is made older instead.
const TIME: u64 = 1000;

fn expiring(segment: &Segment) -> Labelled<Counter> {
    segment.counter("x", "").labels(["n"]).expire_after(Duration::from_secs(TIME)).register().unwrap()
}

pub const EXPIRE: Operation = Operation {
    name: "expire",
    setup: |segment| {
        expiring(segment).with(["idle"]).inc_by(3);
        jobs(segment);
        // The first look at what it holds.
        assert_eq!(segment.expire(), 0);
    },
    edit: |image| image.make_older(TIME * 3 / 2),
    ready: |name| {
        let segment = name.open();
        counted(name, move || _ = segment.expire())
    },
    sample: "jobs_total",
    also: |page, seen| {
        let idle = value(page, "idle");
        // A look that ends between the swap of the word and that of the state has started the clock
        // anew.
        let may_stay = seen.complete() == 0 || seen.victim.done == 0;
        assert!(idle.is_none() || (idle == Some(3.0) && may_stay), "it is {idle:?}: {seen:?}");
    },
    ..PLAIN
};

/// The others.
const UPDATE: super::Ready = |name| {
    let family = expiring(&name.open());
    counted(name, move || family.with(["idle"]).inc())
};

pub const EXPIRE_BESIDE_UPDATES: Operation = Operation {
    name: "expire, while others update it",
    others: Some(UPDATE),
    expire: true,
    also: |page, seen| match value(page, "idle") {
        Some(v) => assert_eq!(v, 3.0 + seen.others as f64, "{seen:?}"),
        None => assert_eq!(seen.others, 0, "it was updated, and is not there: {seen:?}"),
    },
    ..EXPIRE
};

pub const EXPIRE_FOR_GOOD: Operation = Operation {
    name: "expire for good",
    edit: |image| {
        image.make_older(TIME * 5 / 2);
        image.set_state_of_first_series(EXPIRED);
    },
    moves: Some(header::REMOVED_SERIES),
    record: 80.0,
    also: |page, seen| assert_eq!(value(page, "idle"), None, "{seen:?}"),
    ..EXPIRE
};

pub const EXPIRE_FOR_GOOD_BESIDE_UPDATES: Operation = Operation {
    name: "expire for good, while others look it up",
    others: Some(UPDATE),
    also: |page, seen| {
        let (idle, others) = (value(page, "idle"), seen.others as f64);
        let (new, revived) = (Some(others), Some(3.0 + others));
        // Either it was gone before, or it came back.
        assert!(if others == 0.0 { idle.is_none() } else { idle == new || idle == revived }, "{idle:?}: {seen:?}");
    },
    ..EXPIRE_FOR_GOOD
};

pub const REVIVE: Operation = Operation {
    name: "look-up of an expired series",
    edit: |image| {
        image.make_older(TIME * 3 / 2);
        image.set_state_of_first_series(EXPIRED);
    },
    ready: |name| {
        let family = expiring(&name.open());
        Box::new(move || family.with(["idle"]).inc())
    },
    sample: r#"x_total{n="idle"}"#,
    base: 3.0,
    absent: 3.0,
    also: |_, _| (),
    ..EXPIRE
};

pub const REMOVE_EXPIRED: Operation = Operation {
    name: "remove an expired series",
    ready: |name| {
        let family = expiring(&name.open());
        counted(name, move || _ = family.remove(["idle"]))
    },
    sample: "jobs_total",
    base: 0.0,
    absent: 0.0,
    record: 80.0,
    moves: Some(header::REMOVED_SERIES),
    also: |page, seen| assert_eq!(value(page, "idle"), None, "{seen:?}"),
    ..REVIVE
};
