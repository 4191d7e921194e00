//! Memory for records: a bump allocator whose state is two words of the segment.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::layout::offset;
use super::layout::SPARE_MOST;
use super::layout::{align, header, CELLS_PER_BLOCK, CELL_BLOCK, EXTENT, GRANULE, PAGE};
use super::mapping::Backing;
use super::memory::{Mapped, Memory};
use crate::os::host::Undisturbed;

/// Processes that each series with a cell for each process has room for, however many such series
/// there are.
const LEAST: u64 = 64;
/// So much of what is kept for cells is granted by the system beforehand, in case that its memory
/// is full later.
const AHEAD: u64 = EXTENT / 2;

pub(crate) struct Arena<'a> {
    pub(crate) memory: &'a Mapped,
    pub(crate) backing: &'a dyn Backing,
}

impl Arena<'_> {
    /// A zeroed block of at least `bytes`, as a link. `None`: the maximum size is reached or the
    /// system has no memory; the segment goes on with what it has. Leaves the room that is kept for
    /// the cells of processes.
    pub(crate) fn allocate(&self, bytes: u64) -> Option<u32> {
        self.allocate_beside(self.kept(), bytes)
    }

    /// A block of cells, from the room that is kept for them.
    pub(crate) fn allocate_cells(&self) -> Option<u32> {
        self.allocate_beside(0, CELL_BLOCK)
    }

    /// Bytes that are kept for the cells of processes: of each series with such cells, for as many
    /// processes as the segment takes, up to an eighth of the arena for all; but at least for
    /// `LEAST` processes, or for twice as many as there ever were at one time.
    ///
    /// Series and blocks are only ever added. A process that is killed between a block and its
    /// count keeps a block too much.
    pub(crate) fn kept(&self) -> u64 {
        let memory = self.memory;
        let series = memory.get64(header::CELL_SERIES);
        if series == 0 {
            return 0;
        }
        let (slots, high) = (u64::from(memory.get32(header::SLOTS_COUNT)), u64::from(memory.get32(header::SLOTS_HIGH)));
        let blocks = memory.get64(header::CELL_BLOCKS);
        let arena = memory.get64(header::ARENA_END).saturating_sub(memory.get64(header::ARENA_AT));
        let missing = |processes: u64| {
            let all = series.saturating_mul(processes.div_ceil(CELLS_PER_BLOCK));
            all.saturating_sub(blocks).saturating_mul(CELL_BLOCK)
        };
        // If the count is damaged, the result is at most the whole arena.
        missing(slots).min(arena / 8).max(missing(LEAST.max(2 * high).min(slots))).min(arena)
    }

    fn allocate_beside(&self, kept: u64, bytes: u64) -> Option<u32> {
        let memory = self.memory;
        let bytes = align(bytes, GRANULE);
        let end_of_arena = memory.get64(header::ARENA_END).min(memory.len());
        let mut tail = memory.load64(header::ARENA_TAIL, Relaxed);
        loop {
            let end = tail.checked_add(bytes)?;
            if end.checked_add(kept)? > end_of_arena {
                return None;
            }
            // The memory is granted before the block is claimed, so a refusal leaks nothing.
            let granted = end + kept.min(AHEAD);
            if granted > memory.watermark() && !self.extend(granted, end_of_arena) {
                return None;
            }
            // Acquire pairs with the Release in `give_back`: a block that was in use before has
            // been wiped. This swap publishes nothing; the one that links the record does.
            match memory.cas64(header::ARENA_TAIL, tail, end, Acquire, Relaxed) {
                Ok(_) => return u32::try_from(tail / GRANULE).ok(),
                Err(now) => tail = now,
            }
        }
    }

    /// Takes a block back that was never published, if nothing was allocated behind it. Otherwise
    /// it stays unused.
    pub(crate) fn give_back(&self, link: u32, bytes: u64) {
        let (from, bytes) = (offset(link), align(bytes, GRANULE));
        self.memory.wipe(from, bytes);
        // Release: the next owner of the block finds it wiped.
        let _ = self.memory.cas64(header::ARENA_TAIL, from + bytes, from, Release, Acquire);
    }

    /// Links a written block of `bytes` at `word`, which led nowhere. If another process has linked
    /// a block there meanwhile, gives this one back, and returns the other's link.
    pub(crate) fn link_or_give_back(&self, word: u64, link: u32, bytes: u64) -> Result<u32, u32> {
        // Release publishes the block; Acquire pairs with the Release of the other process.
        match self.memory.cas32(word, 0, link, Release, Acquire) {
            Ok(_) => {
                self.memory.add64(header::ARENA_REACHABLE, align(bytes, GRANULE), Relaxed);
                Ok(link)
            }
            Err(other) => {
                self.give_back(link, bytes);
                Err(other)
            }
        }
    }

    /// Asks the system for memory up to `end` (with some to spare) and publishes it. Any number of
    /// processes may do so at once: granting a range twice is harmless, and the watermark only
    /// rises.
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
