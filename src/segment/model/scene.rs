//! A segment small enough to be explored: two chains, an index of four words that may double once, and a record for every
//! inserter.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::super::chain::{find_or_append, offset, Ends, Maker, Outcome, FAMILIES};
use super::super::index::Index;
use super::super::layout::{entry, header, GRANULE};
use super::super::life::{self, FreeList, Life, State};
use super::super::memory::Memory;
use super::words::{Word, Words};

const BITS: u32 = 2;
/// What a crowded index doubles to.
pub(super) const MAX_BITS: u32 = 3;
/// Where nothing doubles there is room for words that nobody needs any more.
pub(super) const ROOMY_BITS: u32 = 4;
pub(super) const INDEX_AT: u64 = 4096;
pub(super) const RECORDS_AT: u64 = 8192;
pub(super) const RECORD: u64 = 64;
/// A chain beside that of the families, as each family has one.
pub(super) const SERIES: Ends = Ends { head: 2048, tail: 2052, pending: 2056 };
/// The free records of both.
pub(super) const FREE: u64 = 2064;
/// A word of the record that its maker writes before publishing it: what a reader finds here tells whether it sees all.
const CHECK: u64 = 40;
/// A counter's cell.
pub(super) const CELL: u64 = 56;

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
    Index { memory, at: INDEX_AT, max_bits: ROOMY_BITS }
}

/// The life in which a record has the key now: what `registry::Table::life_of` does.
fn life_of<M: Memory>(memory: &M, link: u32, key: u64) -> Option<Life> {
    let seen = life::state(memory, link);
    // Acquire, in place of the fence there: both before the second look at the state.
    let its = memory.load64(offset(link) + entry::HASH, Acquire);
    let check = memory.load64(offset(link) + CHECK, Acquire);
    if its != key || !seen.has_series() {
        return None;
    }
    let again = State(memory.load32(offset(link) + entry::STATE, Relaxed));
    if again == seen && seen.state() == life::LIVE {
        assert_eq!(check, !key, "an entry was seen before it was complete");
        return Some(seen.life());
    }
    life::revive(memory, link, seen.life()).then(|| seen.life())
}

/// Counts one through a handle, as `metric::Counter` does. False if the series has been removed.
pub(super) fn count<M: Memory>(memory: &M, link: u32, life: Life) -> bool {
    let at = offset(link) + CELL;
    let mut seen = memory.load64(at, Relaxed);
    loop {
        if life.is_over(seen) {
            return false;
        }
        match memory.cas64(at, seen, seen + 1, Relaxed, Relaxed) {
            Ok(_) => return true,
            Err(now) => seen = now,
        }
    }
}

/// Takes a series off the pages for a while, as `registry::expiry` does.
pub(super) fn expire<M: Memory>(memory: &M, link: u32) -> bool {
    let seen = life::state(memory, link);
    seen.state() == life::LIVE && life::change(memory, link, seen, life::EXPIRED)
}

/// What happened outside of the segment, where no checker needs to look.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) made: AtomicU32,
    pub(super) given_back: AtomicU32,
    pub(super) settled: AtomicU32,
    pub(super) removed: AtomicU32,
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
        Self::sized(ROOMY_BITS, records)
    }

    fn sized(bits: u32, records: u32) -> Self {
        let mut offsets = vec![
            header::INDEX_BITS,
            header::INDEX_TARGET,
            header::INDEX_CURSOR,
            header::INDEX_ENTRIES,
            FAMILIES.head,
            FAMILIES.tail,
            SERIES.head,
            SERIES.tail,
            FAMILIES.pending,
            SERIES.pending,
            FREE,
        ];
        offsets.extend((BITS..=ROOMY_BITS).map(|bits| header::INDEX_REACH + 4 * u64::from(bits)));
        offsets.extend((0..1 << ROOMY_BITS).map(|i| INDEX_AT + 8 * i));
        for i in 0..records {
            offsets.extend(
                [entry::NEXT, entry::HASH, entry::STATE, entry::FREE, entry::BIRTH, CHECK, CELL]
                    .map(|field| offset(link(i)) + field),
            );
        }
        let words = Words::at(offsets);
        words.store32(header::INDEX_BITS, bits, Relaxed);
        words.store32(header::INDEX_TARGET, bits, Relaxed);
        Scene { words, ledger: Ledger::default() }
    }

    /// As `new`, with these keys in the first records.
    pub(super) fn with(records: u32, keys: &[u64]) -> Self {
        Self::new(records).filled(keys)
    }

    fn filled(self, keys: &[u64]) -> Self {
        for (i, key) in keys.iter().enumerate() {
            self.insert(&self.words, FAMILIES, *key, link(i as u32), Doubling::No);
        }
        self
    }

    /// As `with`, and with a small index so full that the next insertion begins to double it.
    pub(super) fn crowded(records: u32, keys: &[u64]) -> Self {
        let scene = Self::sized(BITS, records).filled(keys);
        scene.words.store64(header::INDEX_ENTRIES, 3, Relaxed);
        scene
    }

    /// Writes a record that is not announced.
    pub(super) fn write(&self, link: u32, key: u64) {
        self.words.store64(offset(link) + entry::HASH, key, Relaxed);
        self.words.store64(offset(link) + CHECK, !key, Relaxed);
    }

    /// Finds the key or appends the record `spare`, through `memory`: the scene's words, or a wrapper of them.
    pub(super) fn insert<M: Memory>(&self, memory: &M, ends: Ends, key: u64, spare: u32, doubling: Doubling) -> u32 {
        let mut maker = Inserter { scene: self, index: index(memory), key, spare, doubling };
        match find_or_append(&index(memory), ends, key, &mut maker) {
            Outcome::Found(link) | Outcome::Made(link) => link,
            none => panic!("an insertion ended as {none:?}"),
        }
    }

    /// Finds the key as a look-up does.
    #[allow(clippy::unused_self)] // as `insert` and `remove`
    pub(super) fn find<M: Memory>(&self, memory: &M, key: u64) -> Option<(u32, Life)> {
        let mut life = Life(0);
        let same = |link| life_of(memory, link, key).map(|its| life = its).is_some();
        let link = index(memory).find_surely(key, same)?;
        Some((link, life))
    }

    /// Removes the key and offers its record.
    pub(super) fn remove<M: Memory>(&self, memory: &M, key: u64) -> bool {
        let Some((link, life)) = self.find(memory, key) else { return false };
        let removed = life::remove(memory, link, life);
        if removed {
            self.ledger.removed.fetch_add(1, Relaxed);
            FreeList { memory, at: FREE }.push(link);
        }
        removed
    }

    /// What has been counted of a series.
    pub(super) fn counted(&self, link: u32) -> u64 {
        self.words.load64(offset(link) + CELL, Relaxed) & life::TAG_MASK
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

    /// The link that is announced.
    fn announced(&self, ends: Ends) -> u32 {
        self.words.load64(ends.pending, Acquire) as u32
    }

    /// The records on the free list.
    fn free(&self) -> Vec<u32> {
        let mut links = Vec::new();
        let mut next = self.words.load64(FREE, Acquire) as u32;
        while next != 0 {
            assert!(!links.contains(&next), "the free list is a ring");
            links.push(next);
            next = self.words.load32(offset(next) + entry::FREE, Acquire);
        }
        links
    }

    /// Checks what must hold when nobody is at work, but for so many who were killed, and returns the keys that are there.
    pub(super) fn audit(&self, ends: Ends, killed: usize) -> Vec<u64> {
        let links = self.walk(ends);
        let mut keys = Vec::new();
        for link in &links {
            if !life::state(&self.words, *link).has_series() {
                continue;
            }
            let key = self.words.load64(offset(*link) + entry::HASH, Relaxed);
            assert!(!keys.contains(&key), "a key is in the chain twice");
            let found = self.find(&self.words, key).map(|(link, _)| link);
            assert!(found == Some(*link) || self.announced(ends) == *link, "a key is not in the index");
            keys.push(key);
        }
        assert!(self.announced(ends) == 0 || killed > 0, "an announcement was left on");
        let tail = self.words.load32(ends.tail, Acquire);
        let at_end = links.last().copied().unwrap_or(0) == tail;
        assert!(at_end || killed > 0, "the tail is not at the end");
        keys
    }

    /// Records that nobody can use any more.
    pub(super) fn leaked(&self) -> usize {
        let kept = self.ledger.made.load(Relaxed) - self.ledger.given_back.load(Relaxed);
        let chains = [FAMILIES, SERIES].map(|ends| (self.walk(ends), self.announced(ends)));
        let (mut reached, mut lost) = (0, 0);
        let free = self.free();
        for (links, announced) in chains {
            reached += links.len() + usize::from(announced != 0 && !links.contains(&announced));
            lost += links
                .iter()
                .filter(|link| **link != announced)
                .filter(|link| {
                    let state = life::state(&self.words, **link);
                    !(state.has_series() || (state.state() == life::FREE && free.contains(link)))
                })
                .count();
        }
        lost + (kept as usize).checked_sub(reached).expect("an entry that nobody made")
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
        life_of(self.index.memory, link, self.key).is_some()
    }

    /// What `registry::recycle` does: a free record, out of the index and with its cell closed to earlier lives; or the
    /// spare one.
    fn make(&mut self) -> Option<u32> {
        let memory = self.index.memory;
        let link = if let Some(link) = (FreeList { memory, at: FREE }).pop(|_| true) {
            self.index.erase(memory.load64(offset(link) + entry::HASH, Relaxed), link);
            let tag = life::state(memory, link).life().tag();
            let mut seen = memory.load64(offset(link) + CELL, Relaxed);
            while let Err(now) = memory.cas64(offset(link) + CELL, seen, tag, Relaxed, Relaxed) {
                seen = now;
            }
            link
        } else {
            self.scene.ledger.made.fetch_add(1, Relaxed);
            memory.store32(offset(self.spare) + entry::STATE, State::new(life::NEW, 0).0, Relaxed);
            self.spare
        };
        self.scene.write(link, self.key);
        Some(link)
    }

    fn give_back(&mut self, link: u32) {
        let memory = self.index.memory;
        let state = life::state(memory, link);
        if state.state() == life::NEW {
            assert_eq!(link, self.spare, "an inserter gave back what it did not make");
            self.scene.ledger.given_back.fetch_add(1, Relaxed);
        } else {
            assert!(life::change(memory, link, state, life::FREE), "a claimed record changed hands");
            FreeList { memory, at: FREE }.push(link);
        }
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
