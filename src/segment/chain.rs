//! How an entry comes into being: the one protocol behind families and series.
//!
//! A chain is a queue of entries linked by `NEXT`, after Michael and Scott ("Simple, Fast, and Practical Non-Blocking and
//! Blocking Concurrent Queue Algorithms", PODC 1996). The segment has a chain of families; each family has a
//! chain of series. An entry is complete before one compare-and-swap links it, and exists from that instant: it
//! is rendered, and it is counted. The index only makes it quick to find, under two invariants:
//!
//! - **I1** the tail moves past an entry only after the index holds it: all entries up to the tail can be found;
//! - **I2** an entry is linked only behind the tail, by the swap of that one word from 0, after a certain look-up that
//!   began when the tail was already there: so the look-up covered every entry of the chain.
//!
//! From I1 and I2: no key twice, however many processes insert it, and whoever of them is killed or stopped. There is
//! no "being inserted" state, so nothing to wait for and nothing to repair: an entry whose maker died before moving
//! the tail is indexed, and the tail moved, by the next who comes. What a kill can cost is the maker's own record, never
//! linked: a leak that is counted.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::index::Index;
use super::layout::{entry, header, GRANULE};
use super::memory::Memory;

/// Where a chain's two ends are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) head: u64,
    pub(crate) tail: u64,
}

/// The segment's families.
pub(crate) const FAMILIES: Ends = Ends { head: header::FAMILY_HEAD, tail: header::FAMILY_TAIL };

/// The byte offset a link stands for.
#[inline(always)]
pub(crate) const fn offset(link: u32) -> u64 {
    link as u64 * GRANULE
}

/// What the inserter knows about its key and its record.
pub(crate) trait Maker {
    /// Whether the entry has the key.
    fn same(&self, link: u32) -> bool;
    /// Refuses the key in view of the whole chain (which ends, for now, behind `tail`).
    fn refuse(&mut self, _tail: u32) -> bool {
        false
    }
    /// Makes the complete record, once. `None`: no room.
    fn make(&mut self) -> Option<u32>;
    /// The key came in by somebody else: takes the record back.
    fn give_back(&mut self, link: u32);
    /// Called once by whoever moves the tail over an entry.
    fn settled(&self, link: u32);
    /// Makes room in the index. `false`: it is full.
    fn prepare(&mut self) -> bool;
}

/// The outcome of [`find_or_append`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Found(u32),
    Made(u32),
    /// `Maker::refuse` said so.
    Refused,
    /// No memory, or the index is full; or somebody has scribbled over the chain.
    Full,
}

/// Finds the entry with this key or appends it. Lock-free: it starts over only when somebody else has appended.
pub(crate) fn find_or_append<M: Memory>(
    index: &Index<'_, M>,
    ends: Ends,
    hash: u64,
    maker: &mut impl Maker,
) -> Outcome {
    let memory = index.memory;
    let mut mine = 0;
    let mut ring = Ring::default();
    let outcome = loop {
        // Acquire pairs with the Release in `advance`: entries up to here are in the index (I1).
        let tail = memory.load32(ends.tail, Acquire);
        let last = if tail == 0 { ends.head } else { offset(tail) + entry::NEXT };
        // Acquire pairs with the Release of the swap below: the entry is complete.
        let next = memory.load32(last, Acquire);
        if next != 0 {
            if ring.closes(next) {
                break Outcome::Full;
            }
            advance(index, ends, tail, next, maker);
            continue;
        }
        if let Some(found) = index.find_surely(hash, |link| maker.same(link)) {
            break Outcome::Found(found);
        }
        if maker.refuse(tail) {
            break Outcome::Refused;
        }
        if mine == 0 {
            let made = if maker.prepare() { maker.make() } else { None };
            let Some(link) = made else { break Outcome::Full };
            mine = link;
        }
        let sequence = if tail == 0 { 0 } else { memory.load32(offset(tail) + entry::SEQUENCE, Relaxed) };
        memory.store32(offset(mine) + entry::SEQUENCE, sequence.wrapping_add(1), Relaxed);
        // Release publishes the record (I2: the word was 0 from the look-up on, or this fails).
        match memory.cas32(last, 0, mine, Release, Relaxed) {
            Ok(_) => {
                advance(index, ends, tail, mine, maker);
                return Outcome::Made(mine);
            }
            // A word that is 0 and is not: the tail leads out of the memory.
            Err(0) => break Outcome::Full,
            Err(_) => {}
        }
    };
    if mine != 0 {
        maker.give_back(mine);
    }
    outcome
}

/// Indexes the entry behind the tail and moves the tail over it. Anybody may do it, any number of times.
fn advance<M: Memory>(index: &Index<'_, M>, ends: Ends, tail: u32, next: u32, maker: &impl Maker) {
    let memory = index.memory;
    let hash = memory.load64(offset(next) + entry::HASH, Relaxed);
    index.insert(hash, next);
    // Release: whoever sees the tail here finds the entry in the index (I1).
    if memory.cas32(ends.tail, tail, next, AcqRel, Relaxed).is_ok() {
        maker.settled(next);
    }
}

/// Notices, on a walk along a chain, that a damaged link has made a ring of it: after Brent ("An Improved Monte Carlo
/// Factorization Algorithm", BIT 1980), within three times as many steps as there are entries.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ring {
    steps: u64,
    /// Where the walk was when its steps were last a power of two.
    mark: u32,
}

impl Ring {
    /// Takes a step to an entry. True if the walk has been there before.
    #[inline(always)]
    pub(crate) fn closes(&mut self, link: u32) -> bool {
        let closes = link == self.mark;
        self.steps += 1;
        if self.steps.is_power_of_two() {
            self.mark = link;
        }
        closes
    }
}

#[cfg(test)]
mod tests {
    use super::Ring;

    #[test]
    fn a_ring_is_noticed_and_a_chain_is_not_mistaken_for_one() {
        for before in [0, 1, 7, 100] {
            for length in [1, 2, 3, 8, 100] {
                let walk = (0u32..).map(|i| 1 + if i < before { i } else { before + (i - before) % length });
                let mut ring = Ring::default();
                let steps = walk.take_while(|link| !ring.closes(*link)).count() as u32;
                assert!(steps >= length && steps <= 3 * (before + length), "{before}, {length}: {steps} steps");
            }
        }
        let mut ring = Ring::default();
        assert!(!(1..100_000).any(|link| ring.closes(link)));
    }
}
