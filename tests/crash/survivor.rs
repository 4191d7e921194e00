//! What others do beside a stopped process or after a dead one, and what they must find.

use std::collections::{BTreeMap, BTreeSet};

use shmetrics::Format;

use super::common::{samples, Name};
use super::operation::{Operation, ACTS, OBSERVED};

/// How often a survivor does the operation.
const EACH: u64 = 10;

/// What is known of the victim: how many of its acts have returned, how many have begun, and whether it lives.
#[derive(Clone, Copy, Debug)]
pub struct Victim {
    pub done: u64,
    pub begun: u64,
    pub alive: bool,
}

/// Works in the segment as the process that comes after `before` others, and checks what it shows. Panics with what is
/// wrong.
pub fn survive(op: &Operation, name: &Name, victim: Victim, before: u64) {
    let gone = if op.living { 0 } else { EACH * before };
    let seen = check(op, name, victim, gone);
    let segment = name.open();
    (op.revisit)(&segment);
    let bystanders = segment.counter("bystanders", "").labels(["n"]).register().unwrap();
    bystanders.with([&before.to_string()]).inc();
    let act = (op.ready)(name);
    (0..EACH).for_each(|_| act());
    let still = check(op, name, victim, gone + EACH);
    assert_eq!(still, seen, "the victim's acts that count, before and after others worked");
    let page = read(name);
    let ones: Vec<f64> = page.iter().filter(|(k, _)| k.starts_with("bystanders_total")).map(|(_, v)| *v).collect();
    assert_eq!(ones, vec![1.0; before as usize + 1], "what the survivors counted once each");
}

/// Checks a page and returns how many acts of the victim it shows beside those of others.
fn check(op: &Operation, name: &Name, victim: Victim, others: u64) -> u64 {
    let page = read(name);
    let value = page.get(op.sample).copied().unwrap_or(0.0);
    let range = if op.living && !victim.alive { 0..=0 } else { victim.done..=victim.begun };
    let acts = range.clone().find(|acts| value == op.base + op.unit * (acts + others) as f64);
    let Some(acts) = acts else {
        panic!("{} is {value} with {others} acts of others and {range:?} of the victim", op.sample)
    };
    if let (Some(count), Some(sum)) = (page.get("latency_count"), page.get("latency_sum")) {
        assert_eq!(*sum, count * OBSERVED, "the sum of {count} observations");
    }
    let leaked = page["shmetrics_segment_leaked_bytes"];
    assert!(leaked <= op.record, "{leaked} bytes leaked; the victim's record has {}", op.record);
    assert_eq!(page["shmetrics_corrupt_records"], 0.0, "damaged records");

    let inspection = name.reader().inspect();
    let series: u64 = inspection.families.iter().map(|f| f.series).sum();
    let off = u64::from(!victim.alive || victim.done < ACTS);
    assert!(series.abs_diff(inspection.series) <= off, "{series} series, counted as {}", inspection.series);
    acts
}

/// A page's samples. Panics on what no page may hold.
fn read(name: &Name) -> BTreeMap<String, f64> {
    let page = String::from_utf8(name.reader().render(Format::Text)).expect("a page is UTF-8");
    let mut families = BTreeSet::new();
    for family in page.lines().filter_map(|l| l.strip_prefix("# TYPE ")) {
        assert!(families.insert(family), "a family is on the page twice: {family}");
    }
    samples(&page)
}
