//! The generations of a series' record.
//!
//! When a series is removed, its record can serve another label set of the family: that is the next
//! generation of the record. A handle carries the generation that it was given for, and so does
//! every cell. An update is a compare-and-swap that fails in any other generation. So no process
//! has to know which handles are left, and no other process has to be alive, awake or reachable.
//!
//! The compare-and-swap that takes a series off the pages also moves the record to the next
//! generation. An update that looks at the state knows from then on that its series is removed. The
//! remover then closes the cells: it takes the per-CPU cells away, and puts the tag of the next
//! generation into each cell, so that an update that looks only at its cell fails too. Then the
//! record goes to a free list. The process that takes the record from the list finds it closed, and
//! in the generation that the next series will have. If a remover is killed before the record is on
//! a list, the record is lost.
//!
//! The state word is in `state`.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::index::Index;
use super::layout::offset;
use super::layout::{entry, FREE_LINK};
use super::list;
use super::list::ListHead;
use super::memory::Memory;
use super::state::{change, state, Generation, State, CLAIMED, FREE, LAST_GENERATION, LIVE};

/// Attempts at a list that others change, or that is damaged. Giving up costs one record.
const BOUND: u32 = 10_000;

/// Takes a series off the pages and the look-ups, and ends its generation, from this instant on.
/// True if it was this call that did. The record is then the caller's: to close its cells, and to
/// put it on a free list.
pub(crate) fn remove<M: Memory>(
    index: &Index<'_, M>,
    list: ListHead,
    link: u32,
    generation: Generation,
    settled: impl Fn(u32, u32),
) -> bool {
    loop {
        let seen = state(index.memory, link);
        if !seen.has_series() || seen.generation() != generation {
            return false;
        }
        if hide(index, list, link, seen, FREE, &settled) {
            return true;
        }
    }
}

/// Takes a series off the pages if its state is still `seen`: for a while (`EXPIRED`), or for good
/// (`FREE`). The generation of one that goes for good is over from this instant on; its cells are
/// then the caller's to close.
pub(crate) fn hide<M: Memory>(
    index: &Index<'_, M>,
    list: ListHead,
    link: u32,
    seen: State,
    to: u32,
    settled: impl Fn(u32, u32),
) -> bool {
    // A process that helps the entry in has to find its state as it was announced, so the
    // announcement has to be over first. Otherwise an inserting process that looked at `PENDING`
    // earlier could claim the record, and be helped in before it has announced the record.
    list::help_pending_if(index, list, link, settled);
    let new = if to == FREE { seen.removed() } else { seen.in_state(to) };
    // AcqRel: closing the cells, and giving the record away, come after this.
    index.memory.cas32(offset(link) + entry::STATE, seen.0, new.0, AcqRel, Acquire).is_ok()
}

/// Brings an expired series back. False if it has been removed meanwhile.
pub(crate) fn revive<M: Memory>(memory: &M, link: u32, generation: Generation) -> bool {
    loop {
        let seen = state(memory, link);
        if seen.generation() != generation || !seen.has_series() {
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

/// A stack of free records (Treiber, "Systems Programming: Coping with Parallelism", 1986), with a
/// count of its changes in the head's high half against the return of an old head.
pub(crate) struct FreeList<'a, M> {
    pub(crate) memory: &'a M,
    /// The address of the record's head.
    pub(crate) at: u64,
}

impl<M: Memory> FreeList<'_, M> {
    /// Offers a record in the state `FREE`, unless it is in its last generation: its removal
    /// would need another one.
    pub(crate) fn push(&self, link: u32) {
        if state(self.memory, link).generation().0 >= u64::from(LAST_GENERATION) {
            return;
        }
        let mut head = self.memory.load64(self.at, Relaxed);
        for _ in 0..BOUND {
            // Release: a process that reads this where it looks for the series' beginning will see,
            // at its second look at the state, that the generation is over.
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
            // No other process has the record: anything but success is damage.
            if seen.state() == FREE && change(self.memory, link, seen, CLAIMED) {
                return Some(link);
            }
        }
        None
    }
}
