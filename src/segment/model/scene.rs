//! A segment small enough to be explored: two chains, an index of four words that may double once, and a record for every
//! inserter.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::super::chain::{find_or_append, offset, Ends, Maker, Outcome, FAMILIES};
use super::super::index::Index;
use super::super::layout::{entry, header, GRANULE};
use super::super::memory::Memory;
use super::words::{Word, Words};

const BITS: u32 = 2;
pub(super) const MAX_BITS: u32 = 3;
pub(super) const INDEX_AT: u64 = 4096;
pub(super) const RECORDS_AT: u64 = 8192;
pub(super) const RECORD: u64 = 64;
/// A chain beside that of the families, as each family has one.
pub(super) const SERIES: Ends = Ends { head: 512, tail: 516 };
/// A word of the record that its maker writes before publishing it: what a reader finds here tells whether it sees all.
const CHECK: u64 = 48;

/// Keys are hashes; what stands above bit 32 chooses the home. No word may come to stand half a table from its home, or
/// `Index` takes it for rubbish: with so few words that means at most one place behind it.
pub(super) const HERE: u64 = 8 << 32;
/// Differs from `HERE` only where the index does not look.
pub(super) const SAME_TAG: u64 = 8 << 32 | 1;
/// At home behind it.
pub(super) const NEXT_DOOR: u64 = 1 << 32;
/// At home in the first word, and elsewhere in the doubled table.
pub(super) const MOVING: u64 = 4 << 32;
/// At home in the last word of the small table, in both.
pub(super) const STAYING: u64 = 3 << 32;
/// Moves as well.
pub(super) const APART: u64 = 6 << 32;
/// At home in the first word, in both: where `MOVING` stood.
pub(super) const LATER: u64 = 16 << 32;

/// The link of the i-th record.
pub(super) fn link(i: u32) -> u32 {
    ((RECORDS_AT + u64::from(i) * RECORD) / GRANULE) as u32
}

pub(super) fn index<M: Memory>(memory: &M) -> Index<'_, M> {
    Index { memory, at: INDEX_AT, max_bits: MAX_BITS }
}

/// What happened outside of the segment, where no checker needs to look.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) made: AtomicU32,
    pub(super) given_back: AtomicU32,
    pub(super) settled: AtomicU32,
}

pub(super) struct Scene<W> {
    pub(super) words: Words<W>,
    pub(super) ledger: Ledger,
}

/// Whether inserters double the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubling {
    No,
    Yes,
}

impl<W: Word> Scene<W> {
    /// An empty segment with this many records to be made.
    pub(super) fn new(records: u32) -> Self {
        let mut offsets = vec![
            header::INDEX_BITS,
            header::INDEX_TARGET,
            header::INDEX_CURSOR,
            header::INDEX_ENTRIES,
            FAMILIES.head,
            FAMILIES.tail,
            SERIES.head,
            SERIES.tail,
        ];
        offsets.extend((0..1 << MAX_BITS).map(|i| INDEX_AT + 8 * i));
        for i in 0..records {
            offsets.extend([entry::NEXT, entry::HASH, entry::SEQUENCE, CHECK].map(|field| offset(link(i)) + field));
        }
        let words = Words::at(offsets);
        words.store32(header::INDEX_BITS, BITS, Relaxed);
        words.store32(header::INDEX_TARGET, BITS, Relaxed);
        Scene { words, ledger: Ledger::default() }
    }

    /// As `new`, with these keys in the first records, and so full that the next insertion begins to double the table.
    pub(super) fn crowded(records: u32, keys: &[u64]) -> Self {
        let scene = Self::new(records);
        for (i, key) in keys.iter().enumerate() {
            scene.insert(&scene.words, FAMILIES, *key, link(i as u32), Doubling::No);
        }
        scene.words.store64(header::INDEX_ENTRIES, 3, Relaxed);
        scene
    }

    /// Finds the key or appends the record `spare`, through `memory`: the scene's words, or a wrapper of them.
    pub(super) fn insert<M: Memory>(&self, memory: &M, ends: Ends, key: u64, spare: u32, doubling: Doubling) -> u32 {
        let mut maker = Inserter { scene: self, index: index(memory), key, spare, doubling };
        match find_or_append(&index(memory), ends, key, &mut maker) {
            Outcome::Found(link) | Outcome::Made(link) => link,
            none => panic!("an insertion ended as {none:?}"),
        }
    }

    pub(super) fn find<M: Memory>(&self, memory: &M, key: u64) -> Option<u32> {
        index(memory).find_surely(key, |link| self.key_of(link) == key)
    }

    /// The key of an entry that a reader came by.
    pub(super) fn key_of(&self, link: u32) -> u64 {
        let key = self.words.load64(offset(link) + entry::HASH, Relaxed);
        let check = self.words.load64(offset(link) + CHECK, Relaxed);
        assert_eq!(check, !key, "an entry was seen before it was complete");
        key
    }

    /// The chain's links, as a reader walks it.
    pub(super) fn walk(&self, ends: Ends) -> Vec<u32> {
        let mut links = Vec::new();
        let mut next = self.words.load32(ends.head, Acquire);
        while next != 0 {
            assert!(!links.contains(&next), "the chain is a ring");
            links.push(next);
            next = self.words.load32(offset(next) + entry::NEXT, Acquire);
        }
        links
    }

    /// Checks what must hold at any instant, `unmoved` being how many entries the tail may be behind, and returns the keys.
    pub(super) fn audit(&self, ends: Ends, unmoved: usize) -> Vec<u64> {
        let links = self.walk(ends);
        let keys: Vec<u64> = links.iter().map(|link| self.key_of(*link)).collect();
        for (i, (link, key)) in links.iter().zip(&keys).enumerate() {
            assert!(!keys[..i].contains(key), "a key is in the chain twice");
            let sequence = self.words.load32(offset(*link) + entry::SEQUENCE, Relaxed);
            assert_eq!(sequence as usize, i + 1, "the entries are not numbered in their order");
        }
        let tail = self.words.load32(ends.tail, Acquire);
        let passed =
            if tail == 0 { 0 } else { 1 + links.iter().position(|l| *l == tail).expect("I2: the tail is an entry") };
        assert!(links.len() - passed <= unmoved, "the tail is {} entries behind", links.len() - passed);
        for (link, key) in links[..passed].iter().zip(&keys) {
            assert_eq!(self.find(&self.words, *key), Some(*link), "I1: an entry before the tail is not in the index");
        }
        keys
    }

    /// Records that were made and are neither in the chain nor given back.
    pub(super) fn leaked(&self) -> usize {
        let kept = self.ledger.made.load(Relaxed) - self.ledger.given_back.load(Relaxed);
        let linked = self.walk(FAMILIES).len() + self.walk(SERIES).len();
        (kept as usize).checked_sub(linked).expect("an entry that nobody made")
    }
}

struct Inserter<'a, W, M> {
    scene: &'a Scene<W>,
    index: Index<'a, M>,
    key: u64,
    spare: u32,
    doubling: Doubling,
}

impl<W: Word, M: Memory> Maker for Inserter<'_, W, M> {
    fn same(&self, link: u32) -> bool {
        self.scene.key_of(link) == self.key
    }

    fn make(&mut self) -> Option<u32> {
        self.scene.ledger.made.fetch_add(1, Relaxed);
        let words = &self.scene.words;
        words.store64(offset(self.spare) + entry::HASH, self.key, Relaxed);
        words.store64(offset(self.spare) + CHECK, !self.key, Relaxed);
        Some(self.spare)
    }

    fn give_back(&mut self, link: u32) {
        assert_eq!(link, self.spare, "an inserter gave back what it did not make");
        self.scene.ledger.given_back.fetch_add(1, Relaxed);
    }

    fn settled(&self, _link: u32) {
        self.scene.ledger.settled.fetch_add(1, Relaxed);
    }

    fn prepare(&mut self) -> bool {
        if self.doubling == Doubling::Yes {
            self.index.maintain(|_| true);
        }
        true
    }
}
