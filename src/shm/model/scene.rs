//! A segment small enough to be explored: two chains, an index of four words that may double once,
//! a free list, and a record for every insertion.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use super::words::{Word, Words};
use crate::shm::index::Index;
use crate::shm::layout::offset;
use crate::shm::layout::{counter, entry, header, FREE_LINK, GRANULE};
use crate::shm::list::ListHead;
use crate::shm::memory::Memory;

/// The size of a small index.
pub(super) const BITS: u32 = 2;
/// What a crowded index doubles to.
pub(super) const MAX_BITS: u32 = 3;
/// Where keys come and go, there is room for the words that they leave.
pub(super) const ROOMY_BITS: u32 = 4;
pub(super) const INDEX_AT: u64 = 4096;
pub(super) const RECORDS_AT: u64 = 8192;
pub(super) const RECORD: u64 = 64;
/// A chain beside that of the families, as each family has one.
pub(super) const SERIES: ListHead = ListHead { head: 2048, tail: 2052, pending: 2056, replaces: 0, last: 0 };
/// The field of a record that says which one it replaces.
pub(super) const REPLACES: u64 = 48;
/// The field of a record that says which one is the last of those that it brings with it.
pub(super) const LAST: u64 = 52;
/// The chain of families, as `list::FAMILIES`, in records that are small.
pub(super) const FAMILIES: ListHead = ListHead { replaces: REPLACES, last: LAST, ..crate::shm::list::FAMILIES };
/// The free records' list.
pub(super) const FREE: u64 = 2064;
/// A counter's cell.
pub(super) const CELL: u64 = counter::INTEGER;
/// Where the per-CPU cells are: of one CPU, as restartable sequences on one come one after the
/// other.
pub(super) const PER_CPU_CELLS: u64 = 2080;
/// Per-CPU cells there are to give, from 1 on.
pub(super) const CELLS_THERE: u32 = 3;
/// A word of the record that its maker writes before announcing it, as a label text: what a reader
/// finds here tells whether it sees all.
pub(super) const CHECK: u64 = 56;
/// The whole key: what of a record is compared.
pub(super) const KEY: u64 = counter::FRACTION;

/// Keys are hashes; what stands above bit 32 chooses the home.
pub(super) const HERE: u64 = 8 << 32;
/// Differs from `HERE` only where the index does not look.
pub(super) const SAME_TAG: u64 = 8 << 32 | 1;
/// The home of this word is the slot behind the home of `HERE`.
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

/// The link of the record that the owner of this one has for an entry that comes with it.
pub(super) fn brought_by(own: u32) -> u32 {
    own - 2 * (RECORD / GRANULE) as u32
}

pub(super) fn index<M: Memory>(memory: &M) -> Index<'_, M> {
    Index { memory, at: INDEX_AT, max_bits: ROOMY_BITS }
}

/// What happened, where no checker needs to look: a thread changes it with the operation that it is
/// for.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) made: AtomicU32,
    pub(super) given_back: AtomicU32,
    pub(super) settled: AtomicU32,
    pub(super) removed: AtomicU32,
    /// Entries that others have brought with them.
    pub(super) brought: AtomicU32,
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

/// What processes do in a scene that not all scenes need.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extra {
    Nothing,
    Doubling,
    Counting,
    PerCpu,
    Room,
}

impl<W: Word> Scene<W> {
    /// An empty segment with this many records to be made.
    pub(super) fn new(records: u32, extra: Extra) -> Self {
        let table = [header::INDEX_BITS, header::INDEX_TARGET, header::INDEX_CURSOR, header::INDEX_ENTRIES];
        let mut offsets = vec![FREE];
        for list in [FAMILIES, SERIES] {
            offsets.extend([list.head, list.tail, list.pending]);
        }
        offsets.extend(table);
        offsets.extend((BITS..=ROOMY_BITS).map(|bits| header::INDEX_MAX_PROBE + 4 * u64::from(bits)));
        offsets.extend((0..1 << ROOMY_BITS).map(|i| INDEX_AT + 8 * i));
        let mut quiet = if extra == Extra::Doubling { vec![] } else { table.to_vec() };
        for at in (0..records).map(|i| offset(link(i))) {
            offsets.extend([entry::NEXT, entry::TAG, entry::STATE, FREE_LINK, KEY, CHECK].map(|field| at + field));
            offsets.extend([at + entry::BIRTH, at + CELL, at + entry::PER_CPU]);
            // These are written before an announcement, and what is read of them is used only while
            // it is on.
            offsets.extend([at + entry::PARENT, at + REPLACES, at + LAST]);
            quiet.extend([at + entry::BIRTH, at + entry::PARENT, at + REPLACES, at + LAST]);
            if !matches!(extra, Extra::Counting | Extra::PerCpu) {
                quiet.push(at + CELL);
            }
            if extra != Extra::PerCpu {
                quiet.push(at + entry::PER_CPU);
            }
        }
        offsets.extend((1..=CELLS_THERE).map(|cells| PER_CPU_CELLS + 8 * u64::from(cells)));
        let words = Words::at(offsets, &quiet);
        let bits = if extra == Extra::Room { ROOMY_BITS } else { BITS };
        words.store32(header::INDEX_BITS, bits, Relaxed);
        words.store32(header::INDEX_TARGET, bits, Relaxed);
        Scene { words, ledger: Ledger::default() }
    }

    /// The same with these keys in the first records.
    pub(super) fn with(self, keys: &[u64]) -> Self {
        for (i, key) in keys.iter().enumerate() {
            self.insert(&self.words, FAMILIES, *key, link(i as u32), Doubling::No);
        }
        self
    }

    /// The same without these keys: their records are free, the last one's first.
    pub(super) fn without(self, keys: &[u64]) -> Self {
        assert!(keys.iter().all(|key| self.remove(&self.words, FAMILIES, *key)), "the scene has the keys");
        self
    }

    /// So full that the next insertion begins to double the table.
    pub(super) fn crowded(self) -> Self {
        self.words.store64(header::INDEX_ENTRIES, 3, Relaxed);
        self
    }
}
