//! Memory for records: a bump allocator whose state is two words of the segment.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::chain::offset;
use super::layout::{align, header, EXTENT, GRANULE, PAGE};
use super::mapping::Backing;
use super::memory::{Mapped, Memory};
use crate::host::Undisturbed;

/// The most bytes that are granted beyond those that are needed.
pub(crate) const SPARE_MOST: u64 = 4 << 20;

pub(crate) struct Arena<'a> {
    pub(crate) memory: &'a Mapped,
    pub(crate) backing: &'a dyn Backing,
}

impl Arena<'_> {
    /// A zeroed block of at least `bytes`, as a link. `None`: the ceiling is reached or the system has no memory; the
    /// segment goes on with what it has.
    pub(crate) fn allocate(&self, bytes: u64) -> Option<u32> {
        let memory = self.memory;
        let bytes = align(bytes, GRANULE);
        let end_of_arena = memory.get64(header::ARENA_END).min(memory.len());
        let mut tail = memory.load64(header::ARENA_TAIL, Relaxed);
        loop {
            let end = tail.checked_add(bytes)?;
            if end > end_of_arena {
                return None;
            }
            // The memory is granted before the block is claimed, so a refusal leaks nothing.
            if end > memory.watermark() && !self.extend(end, end_of_arena) {
                return None;
            }
            // Acquire pairs with the Release in `give_back`: a block that was somebody's before has been wiped. This swap
            // publishes nothing; the one that links the record does.
            match memory.cas64(header::ARENA_TAIL, tail, end, Acquire, Relaxed) {
                Ok(_) => return u32::try_from(tail / GRANULE).ok(),
                Err(now) => tail = now,
            }
        }
    }

    /// Takes a block back that was never published, if nothing was allocated behind it. Otherwise it stays unused.
    pub(crate) fn give_back(&self, link: u32, bytes: u64) {
        let (from, bytes) = (offset(link), align(bytes, GRANULE));
        self.memory.wipe(from, bytes);
        // Release: the next owner of the block finds it wiped.
        let _ = self.memory.cas64(header::ARENA_TAIL, from + bytes, from, Release, Acquire);
    }

    /// Asks the system for memory up to `end` (with some to spare) and publishes it. Any number of processes may do so
    /// at once: granting a range twice is harmless, and the watermark only rises.
    fn extend(&self, end: u64, end_of_arena: u64) -> bool {
        let memory = self.memory;
        let from = memory.watermark();
        if end <= from {
            return true;
        }
        let _undisturbed = Undisturbed::new();
        let used = from.saturating_sub(memory.get64(header::ARENA_AT));
        let spare = (used / 16).clamp(EXTENT, SPARE_MOST);
        let generous = align(end + spare, PAGE).min(end_of_arena);
        let granted = if self.backing.reserve(from, generous) {
            generous
        } else {
            let exact = align(end, PAGE).min(end_of_arena);
            if !self.backing.reserve(from, exact) {
                return false;
            }
            exact
        };
        memory.note_granted(granted);
        if let Some(watermark) = memory.u64_at(header::WATERMARK) {
            // Release pairs with `Mapped::watermark`.
            watermark.fetch_max(granted, Release);
        }
        true
    }
}
