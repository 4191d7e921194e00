//! What a page may read, so that no file makes a reader work without end.
//!
//! In a sound segment no two records overlap, and a page reads each once. So what all of them hold
//! is never more than the memory that is granted to records. Everything that a record can make a
//! reader read is charged here: its cells, its label text, and what it leads to (cells for each
//! CPU, blocks of gauge cells, native buckets, exemplars). Where the sum passes [`TIMES`] the
//! memory that is granted, the segment is damaged.
//!
//! The label text of a bundle's series is read once for each member, and charged for the first. A
//! table lists the members, so this is at most 64 times.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::shm::memory::Mapped;

/// Some formats look at a block twice. Families that are replaced while a page is rendered give
/// their memory to others.
const TIMES: u64 = 4;

/// Bytes read so far. Only one thread renders a page; the words are atomic because a cursor may be
/// sent to another.
#[derive(Debug, Default)]
pub(in crate::expose) struct Allowance {
    spent: AtomicU64,
    /// The most that there was at the last look: what is granted only rises.
    most: AtomicU64,
}

impl Allowance {
    /// Charges bytes that are read. False: a sound segment has not so many.
    #[inline(always)]
    pub(in crate::expose) fn charge(&self, memory: &Mapped, bytes: u64) -> bool {
        let sum = self.spent.load(Relaxed).saturating_add(bytes);
        if sum > self.most.load(Relaxed) && !self.reaches(memory, sum) {
            return false;
        }
        self.spent.store(sum, Relaxed);
        true
    }

    #[cold]
    #[inline(never)]
    fn reaches(&self, memory: &Mapped, sum: u64) -> bool {
        let most = memory.watermark().saturating_sub(memory.arena_at()).saturating_mul(TIMES);
        self.most.store(most, Relaxed);
        sum <= most
    }

    /// Nothing may be read any more.
    #[cold]
    pub(in crate::expose) fn spend_all(&self) {
        self.spent.store(u64::MAX, Relaxed);
    }

    pub(in crate::expose) fn is_spent(&self) -> bool {
        self.spent() == u64::MAX
    }

    #[inline(always)]
    pub(in crate::expose) fn spent(&self) -> u64 {
        self.spent.load(Relaxed)
    }

    /// Takes back what was charged since, for a record that is read again.
    #[inline(always)]
    pub(in crate::expose) fn set_spent(&self, spent: u64) {
        self.spent.store(spent, Relaxed);
    }
}
