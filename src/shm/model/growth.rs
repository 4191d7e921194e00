//! An index that grows from a small size to its largest, until no more may come: how far the probes
//! for what is not there go.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::words::{Step, Watched, Words};
use crate::shm::index::{tag_of, Index};
use crate::shm::layout::header;
use crate::shm::memory::Memory;

const AT: u64 = 1 << 20;
const BITS: u32 = 6;
const MAX_BITS: u32 = 12;
/// So full, and without stale words, probes take some 40 steps on average; among all stale words of
/// all sizes, several hundred.
const FEW: u64 = 100;

/// Hashes that have nothing in common.
fn hash(i: u64) -> u64 {
    let mixed = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// What is there when no more may come.
const FULL: u64 = (7 << MAX_BITS) / 8;

/// The steps, on average, of a probe for what is not in an index that is full.
/// `without_max_probe`: any word may be any distance from its home, so none is known to be stale.
fn steps_to_nothing(without_max_probe: bool) -> u64 {
    let mut offsets = vec![header::INDEX_BITS, header::INDEX_TARGET, header::INDEX_CURSOR, header::INDEX_ENTRIES];
    offsets.extend((BITS..=MAX_BITS).map(|bits| header::INDEX_MAX_PROBE + 4 * u64::from(bits)));
    offsets.extend((0..1 << MAX_BITS).map(|i| AT + 8 * i));
    let (words, loads) = (Words::<AtomicU64>::at(offsets, &[]), Cell::new(0));
    words.store32(header::INDEX_BITS, BITS, Relaxed);
    words.store32(header::INDEX_TARGET, BITS, Relaxed);
    if without_max_probe {
        (BITS..=MAX_BITS).for_each(|bits| words.raise32(header::INDEX_MAX_PROBE + 4 * u64::from(bits), u32::MAX));
    }
    let count = |step: Step| loads.set(loads.get() + u64::from(matches!(step, Step::Load(AT..))));
    let memory = Watched { inner: &words, before: count };
    let index = Index { memory: &memory, at: AT, max_bits: MAX_BITS };
    for i in 0..FULL {
        index.maintain(|_| true);
        index.insert(tag_of(hash(i)), i as u32 + 1);
    }
    assert_eq!(index.bits(), MAX_BITS, "the index has not grown");
    if !without_max_probe {
        assert!(!index.has_room() && index.entries() == FULL, "{} of {FULL} are there", index.entries());
        let find = |i: u64| index.find_surely(hash(i), |link| u64::from(link) == i + 1);
        assert!((0..FULL).all(|i| find(i) == Some(i as u32 + 1)), "not all are found");
    }
    loads.set(0);
    let probes = 1000;
    assert!((FULL..FULL + probes).all(|i| index.find_surely(hash(i), |_| false).is_none()));
    loads.get() / probes
}

fn check(without_max_probe: bool) {
    let steps = steps_to_nothing(without_max_probe);
    println!("{steps} steps to nothing");
    assert!(steps < FEW, "{steps} steps");
}

#[test]
fn a_full_index_says_soon_that_something_is_not_there() {
    check(false);
}

#[test]
#[should_panic(expected = "steps")]
fn control_stale_words_that_are_unknown() {
    check(true);
}
