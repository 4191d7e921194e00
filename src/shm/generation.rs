//! The lives of a series' record. A series may be removed, and its record then serves another label set of the family: the
//! next life. Nobody needs to know who still holds a handle to an earlier one, because a handle carries the life it was
//! given for, and so does every cell: an update is a compare-and-swap that fails in any other life. No process has to be alive,
//! awake or reachable for a record to change hands.
//!
//! A removal moves the life on, in the very swap that takes the series off the pages. So an update
//! that looks at the state sees from then on that its series is over. The remover then closes the
//! cells: it takes the lane away and puts the tag of the next life into each cell, so that an
//! update that looks at its cell alone fails too. Only then does the record go to a free list. The
//! process that takes it from there finds it closed, and in the life that the next series will
//! have. A remover that is killed in between costs the record, which is then on no list.
//!
//! | state | |
//! |---|---|
//! | `HIDDEN` | an overflow series that nobody has needed |
//! | `NEW` | written, and not yet in its chain |
//! | `LIVE` | on pages |
//! | `EXPIRED` | off the pages; an update or a look-up brings it back as it was |
//! | `FREE` | removed, and in its next life; on a free list, or about to be |
//! | `CLAIMED` | taken from a free list, by the process that writes its label set |
//! | `RETIRED` | a family that was replaced or unregistered |
//! | `DRAINED` | the same, without series: they are free for a later family |
//!
//! The state word changes by compare-and-swap only, and the life in it only rises, so no such swap can mistake one life for
//! another. After its last life a record is not used again.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::index::Index;
use super::layout::{entry, FREE_LINK, GRANULE};
use super::list::{self, offset, Ends};
use super::memory::Memory;

pub(crate) const HIDDEN: u32 = 0;
pub(crate) const LIVE: u32 = 1;
pub(crate) const EXPIRED: u32 = 2;
pub(crate) const FREE: u32 = 3;
pub(crate) const CLAIMED: u32 = 4;
pub(crate) const NEW: u32 = 5;
/// Of a family alone: it was replaced or unregistered. Pages and look-ups do not know it any more.
pub(crate) const RETIRED: u32 = 6;
/// Of a family alone: retired, and none of its series is left.
pub(crate) const DRAINED: u32 = 7;

const STATE_BITS: u32 = 3;
const CLASS_SHIFT: u32 = 3;
const CLASS_BITS: u32 = 6;
const REVIVAL: u32 = 1 << 9;
const LIFE_SHIFT: u32 = 12;
/// Attempts at a list that others change, or that is damaged. Giving up costs one record.
const BOUND: u32 = 10_000;
const LAST_LIFE: u32 = (1 << 20) - 1;

/// A record's state word: {life: 20 bits, revivals of an expired series: 3, size class: 6, state: 3}.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State(pub(crate) u32);

impl State {
    pub(crate) const fn new(state: u32, class: u32) -> Self {
        State(class << CLASS_SHIFT | state)
    }

    #[inline(always)]
    pub(crate) const fn state(self) -> u32 {
        self.0 & ((1 << STATE_BITS) - 1)
    }

    /// Of the free lists that may hold the record, which.
    pub(crate) const fn class(self) -> u32 {
        (self.0 >> CLASS_SHIFT) & ((1 << CLASS_BITS) - 1)
    }

    #[inline(always)]
    pub(crate) const fn life(self) -> Life {
        Life((self.0 >> LIFE_SHIFT) as u64)
    }

    pub(crate) const fn in_state(self, state: u32) -> Self {
        State(self.0 >> STATE_BITS << STATE_BITS | state)
    }

    /// Removed: in the next life, to which no handle exists. The last life stays the last one
    /// (see `FreeList::push`).
    const fn removed(self) -> Self {
        let step = if self.life().0 < LAST_LIFE as u64 { 1 << LIFE_SHIFT } else { 0 };
        State(self.0 + step).in_state(FREE)
    }

    /// Live again. The count of revivals, modulo 8, is for who looked before, and was stopped: the series that he saw idle is not
    /// this one.
    const fn revived(self) -> Self {
        let low = (1 << LIFE_SHIFT) - 1;
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
pub(crate) struct Life(pub(crate) u64);

/// A cell's first word is a *tag*: {life: 20 bits, 44 bits of the cell's own}.
pub(crate) const TAG_BITS: u32 = 44;
pub(crate) const TAG_MASK: u64 = (1 << TAG_BITS) - 1;

/// The tag of an embedded series' cells once its family is retired: of no life that there is.
pub(crate) const CLOSED_TAG: u64 = u64::MAX << TAG_BITS;

impl Life {
    /// Of a series that is never removed: one without labels, or an overflow series. Its cells use all of their words.
    pub(crate) const FOREVER: Life = Life(u64::MAX);

    /// The life as it stands in cells.
    #[inline(always)]
    pub(crate) const fn tag(self) -> u64 {
        self.0 << TAG_BITS
    }

    /// Whether a cell with this tag belongs to another life.
    #[inline(always)]
    pub(crate) const fn is_over(self, tag: u64) -> bool {
        tag >> TAG_BITS != self.0
    }
}

/// Where a series is, and in which of its record's lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) at: u64,
    pub(crate) life: Life,
}

/// Set in the word of a place that is never removed.
const FOREVER_BIT: u64 = 1 << 63;

impl Place {
    /// A place in a word, as foreign handles have it: they fit into two registers.
    #[inline(always)]
    pub(crate) fn into_word(self) -> u64 {
        let life = if self.life == Life::FOREVER { FOREVER_BIT } else { self.life.0 << 32 };
        life | (self.at / GRANULE)
    }

    #[inline(always)]
    pub(crate) fn from_word(word: u64) -> Self {
        let life = if word & FOREVER_BIT != 0 { Life::FOREVER } else { Life(word >> 32) };
        Place { at: offset(word as u32), life }
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

/// Takes a series off the pages and the look-ups, and ends its life, from this instant on. True if
/// it was this call that did. The record is then the caller's: to close its cells, and to put it on
/// a free list.
pub(crate) fn remove<M: Memory>(
    index: &Index<'_, M>,
    ends: Ends,
    link: u32,
    life: Life,
    settled: impl Fn(u32, u32),
) -> bool {
    loop {
        let seen = state(index.memory, link);
        if !seen.has_series() || seen.life() != life {
            return false;
        }
        if hide(index, ends, link, seen, FREE, &settled) {
            return true;
        }
    }
}

/// Takes a series off the pages if its state is still `seen`: for a while (`EXPIRED`), or for good
/// (`FREE`). The life of one that goes for good is over from this instant on; its cells are then
/// the caller's to close.
pub(crate) fn hide<M: Memory>(
    index: &Index<'_, M>,
    ends: Ends,
    link: u32,
    seen: State,
    to: u32,
    settled: impl Fn(u32, u32),
) -> bool {
    // Whoever helps the entry in has to find its state as it was announced, so that has to be over first. Else an inserter who
    // looked at `PENDING` before that could claim the record, and be helped in before he has announced it.
    list::settle_if(index, ends, link, settled);
    let new = if to == FREE { seen.removed() } else { seen.in_state(to) };
    // AcqRel: closing the cells, and giving the record away, come after this.
    index.memory.cas32(offset(link) + entry::STATE, seen.0, new.0, AcqRel, Acquire).is_ok()
}

/// Brings an expired series back. False if it has been removed meanwhile.
pub(crate) fn revive<M: Memory>(memory: &M, link: u32, life: Life) -> bool {
    loop {
        let seen = state(memory, link);
        if seen.life() != life || !seen.has_series() {
            return false;
        }
        if seen.state() == LIVE || revive_from(memory, link, seen) {
            return true;
        }
    }
}

/// Brings a series back that was `seen` expired.
pub(crate) fn revive_from<M: Memory>(memory: &M, link: u32, seen: State) -> bool {
    memory.cas32(offset(link) + entry::STATE, seen.0, seen.revived().0, AcqRel, Acquire).is_ok()
}

/// A stack of free records (Treiber, "Systems Programming: Coping with Parallelism", 1986), with a count of its changes in the
/// head's high half against the return of an old head.
pub(crate) struct FreeList<'a, M> {
    pub(crate) memory: &'a M,
    /// Where its head is.
    pub(crate) at: u64,
}

impl<M: Memory> FreeList<'_, M> {
    /// Offers a record in the state `FREE`, unless it has lived its last life: its removal would
    /// need another one.
    pub(crate) fn push(&self, link: u32) {
        if state(self.memory, link).life().0 >= u64::from(LAST_LIFE) {
            return;
        }
        let mut head = self.memory.load64(self.at, Relaxed);
        for _ in 0..BOUND {
            // Release: who reads this where he looked for the series' beginning will see, at his second look at the state, that it
            // is over.
            self.memory.store32(offset(link) + FREE_LINK, head as u32, Release);
            let new = (head >> 32).wrapping_add(1) << 32 | u64::from(link);
            // Release publishes the link to the next one.
            match self.memory.cas64(self.at, head, new, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes the first record, if it `fits`; it is then `CLAIMED`, and the caller's alone.
    pub(crate) fn pop(&self, fits: impl Fn(State) -> bool) -> Option<u32> {
        for _ in 0..BOUND {
            // Acquire pairs with the Release in `push`.
            let head = self.memory.load64(self.at, Acquire);
            let link = head as u32;
            // A record's class never changes.
            if link == 0 || !fits(state(self.memory, link)) {
                return None;
            }
            let next = self.memory.load32(offset(link) + FREE_LINK, Relaxed);
            let new = (head >> 32).wrapping_add(1) << 32 | u64::from(next);
            if self.memory.cas64(self.at, head, new, AcqRel, Relaxed).is_err() {
                continue;
            }
            let seen = state(self.memory, link);
            // Nobody else has it; anything but success is damage.
            if seen.state() == FREE && change(self.memory, link, seen, CLAIMED) {
                return Some(link);
            }
        }
        None
    }
}
