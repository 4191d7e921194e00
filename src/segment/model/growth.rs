//! An index that grows from a small size to its largest, until no more may come: how far the probes for what is not there go.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::index::{tag_of, Index};
use super::super::layout::header;
use super::super::memory::Memory;
use super::words::Words;

const AT: u64 = 1 << 20;
const BITS: u32 = 6;
const MAX_BITS: u32 = 12;
/// So full, and without rubbish, probes take some 40 steps on average; among all rubbish of all sizes, several hundred.
const FEW: u64 = 100;

/// Memory that counts the loads of index words.
struct Counted {
    words: Words<AtomicU64>,
    loads: Cell<u64>,
    /// Nobody knows how far words are from their homes, and so which of them are rubbish.
    without_reach: bool,
}

impl Memory for Counted {
    fn load32(&self, at: u64, order: Ordering) -> u32 {
        let is_reach = (header::INDEX_REACH..header::INDEX_REACH + 4 * 41).contains(&at);
        if self.without_reach && is_reach {
            return u32::MAX;
        }
        self.words.load32(at, order)
    }
    fn store32(&self, at: u64, value: u32, order: Ordering) {
        self.words.store32(at, value, order);
    }
    fn cas32(&self, at: u64, old: u32, new: u32, ok: Ordering, fail: Ordering) -> Result<u32, u32> {
        self.words.cas32(at, old, new, ok, fail)
    }
    fn load64(&self, at: u64, order: Ordering) -> u64 {
        self.loads.set(self.loads.get() + u64::from(at >= AT));
        self.words.load64(at, order)
    }
    fn cas64(&self, at: u64, old: u64, new: u64, ok: Ordering, fail: Ordering) -> Result<u64, u64> {
        self.words.cas64(at, old, new, ok, fail)
    }
    fn add64(&self, at: u64, value: u64, order: Ordering) -> u64 {
        self.words.add64(at, value, order)
    }
    fn fence(&self) {
        self.words.fence();
    }
}

/// Hashes that have nothing in common.
fn hash(i: u64) -> u64 {
    let mixed = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// What is there when no more may come.
const FULL: u64 = (7 << MAX_BITS) / 8;

/// The steps, on average, of a probe for what is not in an index that is full.
fn steps_to_nothing(without_reach: bool) -> u64 {
    let mut offsets = vec![header::INDEX_BITS, header::INDEX_TARGET, header::INDEX_CURSOR, header::INDEX_ENTRIES];
    offsets.extend((BITS..=MAX_BITS).map(|bits| header::INDEX_REACH + 4 * u64::from(bits)));
    offsets.extend((0..1 << MAX_BITS).map(|i| AT + 8 * i));
    let memory = Counted { words: Words::at(offsets, &[]), loads: Cell::new(0), without_reach };
    memory.store32(header::INDEX_BITS, BITS, Ordering::Relaxed);
    memory.store32(header::INDEX_TARGET, BITS, Ordering::Relaxed);
    let index = Index { memory: &memory, at: AT, max_bits: MAX_BITS };
    for i in 0..FULL {
        index.maintain(|_| true);
        index.insert(tag_of(hash(i)), i as u32 + 1);
    }
    assert_eq!(index.bits(), MAX_BITS, "the index has not grown");
    if !without_reach {
        assert!(!index.has_room() && index.entries() == FULL, "{} of {FULL} are there", index.entries());
        let find = |i: u64| index.find_surely(hash(i), |link| u64::from(link) == i + 1);
        assert!((0..FULL).all(|i| find(i) == Some(i as u32 + 1)), "not all are found");
    }
    memory.loads.set(0);
    let probes = 1000;
    assert!((FULL..FULL + probes).all(|i| index.find_surely(hash(i), |_| false).is_none()));
    memory.loads.get() / probes
}

fn check(without_reach: bool) {
    let steps = steps_to_nothing(without_reach);
    println!("{steps} steps to nothing");
    assert!(steps < FEW, "{steps} steps");
}

#[test]
fn a_full_index_says_soon_that_something_is_not_there() {
    check(false);
}

#[test]
#[should_panic(expected = "steps")]
fn control_rubbish_that_nobody_knows() {
    check(true);
}
