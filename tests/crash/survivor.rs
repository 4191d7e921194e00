//! What others do beside a stopped process or after a dead one, and what they must find.

use std::collections::BTreeSet;

use shmetrics::Format;

use super::operation::{Operation, Page, ACTS, OBSERVED};
use common::{samples, Name};

/// How often a survivor does the operation.
const EACH: u64 = 10;

/// What is known of the victim: how many of its acts have returned, how many have begun, and
/// whether it lives.
#[derive(Clone, Copy, Debug)]
pub struct Victim {
    pub done: u64,
    pub begun: u64,
    pub alive: bool,
}

/// What is known of all when a page is rendered: of the others, how many acts have returned.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub victim: Victim,
    pub others: u64,
}

impl Seen {
    /// Acts that have returned, whosever.
    pub fn complete(&self) -> u64 {
        self.victim.done + self.others
    }

    /// Whether the victim is in the middle of an act, or died in it.
    pub fn is_acting(&self) -> bool {
        self.victim.begun > self.victim.done
    }
}

/// Works in the segment as the process that comes after `before` others, and checks what it shows.
/// Panics with what is wrong.
pub fn survive(op: &Operation, name: &Name, victim: Victim, before: u64) {
    let gone = if op.living { 0 } else { EACH * before };
    let seen = check(op, name, Seen { victim, others: gone });
    let segment = name.open();
    (op.revisit)(&segment);
    let bystanders = segment.counter("bystanders", "").labels(["n"]).register().unwrap();
    bystanders.with([&before.to_string()]).inc();
    let act = op.others.unwrap_or(op.ready)(name);
    (0..EACH).for_each(|_| act());
    let still = check(op, name, Seen { victim, others: gone + EACH });
    assert_eq!(still, seen, "the victim's acts that count, before and after others worked");
    let page = read(name);
    let ones: Vec<f64> = page.iter().filter(|(k, _)| k.starts_with("bystanders_total")).map(|(_, v)| *v).collect();
    assert_eq!(ones, vec![1.0; before as usize + 1], "what the survivors counted once each");
    assert_eq!(name.reader().verify(), Vec::<String>::new(), "what is wrong with the segment");
}

/// Checks a page and returns how many acts of the victim it shows beside those of others.
fn check(op: &Operation, name: &Name, seen: Seen) -> u64 {
    if op.expire {
        name.open().expire();
    }
    let page = read(name);
    let Seen { victim, others } = seen;
    let value = page.get(op.sample).copied().unwrap_or(if others == 0 { op.absent } else { 0.0 });
    let range = if op.living && !victim.alive { 0..=0 } else { victim.done..=victim.begun };
    let acts = range.clone().find(|acts| value == op.base + op.unit * (acts + others) as f64);
    let Some(acts) = acts else {
        panic!("{} is {value} with {others} acts of others and {range:?} of the victim", op.sample)
    };
    (op.also)(&page, &seen);
    for (sample, sum) in page.iter().filter(|(sample, _)| sample.contains("_sum")) {
        let count = page[&sample.replace("_sum", "_count")];
        assert_eq!(*sum, count * OBSERVED, "the sum of {count} observations");
    }
    let leaked = page["shmetrics_segment_leaked_bytes"];
    assert!(leaked <= op.record, "{leaked} bytes leaked; the victim's record has {}", op.record);
    assert_eq!(page["shmetrics_corrupt_records"], 0.0, "damaged records");

    let inspection = name.reader().inspect();
    let series: u64 = inspection.families.iter().fold(0, |sum, f| sum.wrapping_add(f.series));
    let off = op.series * u64::from(!victim.alive || victim.done < ACTS);
    let apart = (series.wrapping_sub(inspection.series) as i64).unsigned_abs();
    assert!(apart <= off, "{series} series, counted as {}", inspection.series);
    acts
}

/// A page's samples. Panics on what no page may hold.
fn read(name: &Name) -> Page {
    let page = String::from_utf8(name.reader().render(Format::Text)).expect("a page is UTF-8");
    let mut families = BTreeSet::new();
    for family in page.lines().filter_map(|l| l.strip_prefix("# TYPE ")) {
        assert!(families.insert(family), "a family is on the page twice: {family}");
    }
    samples(&page)
}
