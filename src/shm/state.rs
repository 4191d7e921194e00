//! The state word of a record, and the tag that cells have of it.
//!
//! | state | |
//! |---|---|
//! | `HIDDEN` | an overflow series that was not needed yet |
//! | `NEW` | written, and not yet in its chain |
//! | `LIVE` | on pages |
//! | `EXPIRED` | off the pages; an update or a look-up brings it back as it was |
//! | `FREE` | removed, and in its next generation; on a free list, or about to be |
//! | `CLAIMED` | taken from a free list, by the process that writes its label set |
//! | `RETIRED` | a family that was replaced or unregistered |
//! | `DRAINED` | the same, without series: they are free for a later family |
//!
//! The state word changes by compare-and-swap only, and the generation in it only rises, so no such
//! swap can mistake one generation for another. After its last generation a record is not used
//! again.

use std::sync::atomic::Ordering::{AcqRel, Acquire};

use super::layout::{entry, offset, GRANULE};
use super::memory::Memory;

pub(crate) const HIDDEN: u32 = 0;
pub(crate) const LIVE: u32 = 1;
pub(crate) const EXPIRED: u32 = 2;
pub(crate) const FREE: u32 = 3;
pub(crate) const CLAIMED: u32 = 4;
pub(crate) const NEW: u32 = 5;
/// Only a family has this state: it was replaced or unregistered. No page and no look-up finds it.
pub(crate) const RETIRED: u32 = 6;
/// Only a family has this state: it is retired, and none of its series is left.
pub(crate) const DRAINED: u32 = 7;

const STATE_BITS: u32 = 3;
const CLASS_SHIFT: u32 = 3;
const CLASS_BITS: u32 = 6;
const REVIVAL: u32 = 1 << 9;
const GENERATION_SHIFT: u32 = 12;
/// In place of a size class: the word is not a record's, but that of a member's seat in it.
const SEAT: u32 = (1 << CLASS_BITS) - 1;
pub(super) const LAST_GENERATION: u32 = (1 << 20) - 1;

/// A record's state word: {generation: 20 bits, revivals of an expired series: 3, size class: 6,
/// state: 3}.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State(pub(crate) u32);

impl State {
    pub(crate) const fn new(state: u32, class: u32) -> Self {
        State(class << CLASS_SHIFT | state)
    }

    /// The state of a seat in a record of this generation.
    pub(crate) const fn of_seat(self, state: u32) -> Self {
        State(self.0 >> GENERATION_SHIFT << GENERATION_SHIFT | SEAT << CLASS_SHIFT | state)
    }

    /// Whether it is the word of a seat.
    pub(crate) const fn is_seat(self) -> bool {
        self.class() == SEAT
    }

    #[inline(always)]
    pub(crate) const fn state(self) -> u32 {
        self.0 & ((1 << STATE_BITS) - 1)
    }

    /// The number of the free list that may hold the record.
    pub(crate) const fn class(self) -> u32 {
        (self.0 >> CLASS_SHIFT) & ((1 << CLASS_BITS) - 1)
    }

    #[inline(always)]
    pub(crate) const fn generation(self) -> Generation {
        Generation((self.0 >> GENERATION_SHIFT) as u64)
    }

    /// Whether a series of this generation is not there any more.
    #[inline(always)]
    pub(crate) fn is_after(self, generation: Generation) -> bool {
        !self.has_series() || (generation != Generation::FOREVER && self.generation() != generation)
    }

    pub(crate) const fn in_state(self, state: u32) -> Self {
        State(self.0 >> STATE_BITS << STATE_BITS | state)
    }

    /// Removed: in the next generation, to which no handle exists. The last generation stays the
    /// last one (see `FreeList::push`).
    pub(super) const fn removed(self) -> Self {
        let step = if self.generation().0 < LAST_GENERATION as u64 { 1 << GENERATION_SHIFT } else { 0 };
        State(self.0 + step).in_state(FREE)
    }

    /// Live again. The count of revivals, modulo 8, is for a process that looked before and was
    /// stopped: the series that it saw idle is not this one.
    pub(super) const fn revived(self) -> Self {
        let low = (1 << GENERATION_SHIFT) - 1;
        State((self.0 & !low) | (self.0.wrapping_add(REVIVAL) & low)).in_state(LIVE)
    }

    /// Whether it is a family's that was replaced or unregistered.
    #[inline(always)]
    pub(crate) const fn is_retired(self) -> bool {
        self.state() >= RETIRED
    }

    /// Whether it has the series that a look-up finds.
    #[inline(always)]
    pub(crate) const fn has_series(self) -> bool {
        matches!(self.state(), LIVE | EXPIRED)
    }
}

/// Which of a record's series a handle, or a cell, belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Generation(pub(crate) u64);

/// A cell's first word is a *tag*: {generation: 20 bits, 44 bits of the cell's own}.
pub(crate) const TAG_BITS: u32 = 44;
pub(crate) const TAG_MASK: u64 = (1 << TAG_BITS) - 1;

/// The tag of an embedded series' cells once its family is retired: of no generation that there is.
pub(crate) const CLOSED_TAG: u64 = u64::MAX << TAG_BITS;

impl Generation {
    /// The generation of a series that is never removed: a series without labels, or an overflow
    /// series. Its cells use all bits of their words.
    pub(crate) const FOREVER: Generation = Generation(u64::MAX);

    /// The generation as it stands in cells.
    #[inline(always)]
    pub(crate) const fn tag(self) -> u64 {
        self.0 << TAG_BITS
    }

    /// Whether a cell with this tag belongs to another generation.
    #[inline(always)]
    pub(crate) const fn is_over(self, tag: u64) -> bool {
        tag >> TAG_BITS != self.0
    }
}

/// Where a series is, and in which of its record's generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeriesAddr {
    pub(crate) at: u64,
    pub(crate) generation: Generation,
}

/// Set in the word of a place that is never removed.
const FOREVER_BIT: u64 = 1 << 63;

impl SeriesAddr {
    /// A place in a word, as foreign handles have it: they fit into two registers.
    #[inline(always)]
    pub(crate) fn into_word(self) -> u64 {
        let generation = if self.generation == Generation::FOREVER { FOREVER_BIT } else { self.generation.0 << 32 };
        generation | (self.at / GRANULE)
    }

    #[inline(always)]
    pub(crate) fn from_word(word: u64) -> Self {
        let generation = if word & FOREVER_BIT != 0 { Generation::FOREVER } else { Generation(word >> 32) };
        SeriesAddr { at: offset(word as u32), generation }
    }
}

#[inline(always)]
pub(crate) fn state<M: Memory>(memory: &M, link: u32) -> State {
    // Acquire pairs with the Release of every change: what the record held in this state is seen.
    State(memory.load32(offset(link) + entry::STATE, Acquire))
}

/// Changes a record's state, if it is still `seen`.
pub(crate) fn change<M: Memory>(memory: &M, link: u32, seen: State, to: u32) -> bool {
    memory.cas32(offset(link) + entry::STATE, seen.0, seen.in_state(to).0, AcqRel, Acquire).is_ok()
}
