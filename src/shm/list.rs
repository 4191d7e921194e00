//! The insertion of an entry: the one protocol behind families and series.
//!
//! A chain is a list of entries linked by `NEXT`. The segment has a chain of families, and each
//! family has a chain of series. Entries are only appended. The record of a series may serve
//! another label set in its place (see [`super::generation`]).
//!
//! A new entry, or a new generation of an old entry, is complete before it is *announced*: one
//! compare-and-swap changes the chain's `PENDING` word, {announcements so far: 32 bits, link: 32},
//! from {n, 0} to {n + 1, link}. From that instant the entry exists. Any process that comes by does
//! the remaining steps, and each step can be repeated: link the entry to the chain's end if it is
//! not there, put it in the index, make it `LIVE`, and end the announcement. One rule makes the key
//! unique:
//!
//! - The word of the swap was read as {n, 0} before a look-up in the index that did not find the
//!   key. Every entry that was announced up to n is in the index by then.
//!
//! So no key is inserted twice, whatever the number of inserting processes, and whichever of them
//! is killed or stopped. No process waits, and there is nothing to repair. A killed process leaves
//! at most its own record, not yet announced: a leak that is counted.
//!
//! A helper that was stopped for long must not apply an old step to a new state. It has read all
//! that its step changes before it saw that the announcement was still on. Every change is a
//! compare-and-swap from the value that it read, of a word that never has that value again: a
//! `NEXT` that was 0, a tail, a generation, a count of announcements (which would have to come
//! round after exactly 2^32 announcements in one family, while the helper is stopped between two
//! instructions). Only the index may get a word that is out of date, and no look-up relies on that.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::index::Index;
use super::layout::offset;
use super::layout::{entry, family, header};
use super::memory::Memory;
use super::state;

/// Where a chain's words are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListHead {
    pub(crate) head: u64,
    pub(crate) tail: u64,
    pub(crate) pending: u64,
    /// The field of an entry that says which one it replaces; 0 where none does.
    pub(crate) replaces: u64,
    /// The field of an entry that says which one is the last of those that it brings with it,
    /// linked behind it beforehand; 0 where none does.
    pub(crate) last: u64,
}

/// The segment's families.
pub(crate) const FAMILIES: ListHead = ListHead {
    head: header::FAMILY_HEAD,
    tail: header::FAMILY_TAIL,
    pending: header::FAMILY_PENDING,
    replaces: family::REPLACES,
    last: family::LAST,
};

/// The inserting process' part: its key and its record.
pub(crate) trait Inserter {
    /// Whether the entry has the key.
    fn same(&self, link: u32) -> bool;
    /// Whether no entry may be announced any more. Asked after `PENDING` was read: the process that
    /// closes changes that word afterwards.
    fn closed(&self) -> bool {
        false
    }
    /// What is to be replaced by the inserter's entry, in view of this entry, which has the key:
    /// it, or the one that has brought it along.
    fn replaces(&mut self, _link: u32) -> Option<u32> {
        None
    }
    /// Notes, in the entries that the inserter's entry brings with it, what each of them replaces.
    /// Asked before each try to announce the entry.
    fn others_replace(&mut self, _link: u32) {}
    /// Refuses the key in view of the whole chain.
    fn refuse(&mut self) -> bool {
        false
    }
    /// Makes the complete record, once, in the state `NEW` or `CLAIMED`. `None`: no room.
    fn make(&mut self) -> Option<u32>;
    /// Another process has inserted the key: takes the record back.
    fn give_back(&mut self, link: u32);
    /// Called once for each announcement, by the process that made the entry `LIVE`, with the
    /// entry's `PARENT`.
    fn settled(&self, link: u32, parent: u32);
    /// Makes room in the index. `false`: it is full.
    fn prepare(&mut self) -> bool;
}

/// The outcome of [`find_or_append`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Found(u32),
    Made(u32),
    /// `Inserter::refuse` said so.
    Refused,
    /// `Inserter::closed` said so.
    Closed,
    /// No memory, or the index is full, or the chain is damaged.
    Full,
}

/// More rounds than any number of processes can cause, as each round is another entry. So the chain
/// is damaged.
const BOUND: u32 = 1 << 22;

/// Finds the entry with this key or inserts it. Lock-free: it starts over only when another process
/// has inserted.
pub(crate) fn find_or_append<M: Memory>(
    index: &Index<'_, M>,
    list: ListHead,
    hash: u64,
    inserter: &mut impl Inserter,
) -> Outcome {
    let memory = index.memory;
    let mut mine = 0;
    let mut outcome = Outcome::Full;
    for _ in 0..BOUND {
        // Acquire pairs with the Release that ended the last announcement: all up to it are in the
        // index.
        let pending = memory.load64(list.pending, Acquire);
        if pending as u32 != 0 {
            help_pending(index, list, pending, |link, parent| inserter.settled(link, parent));
            continue;
        }
        if inserter.closed() {
            outcome = Outcome::Closed;
            break;
        }
        let mut old = None;
        if let Some(found) = index.find_surely(hash, |link| inserter.same(link)) {
            old = inserter.replaces(found);
            if old.is_none() {
                outcome = Outcome::Found(found);
                break;
            }
        }
        if inserter.refuse() {
            // What it saw may have come after the look-up, and may be this very key.
            if memory.load64(list.pending, Acquire) != pending {
                continue;
            }
            outcome = Outcome::Refused;
            break;
        }
        if mine == 0 {
            let made = if inserter.prepare() { inserter.make() } else { None };
            let Some(link) = made else { break };
            mine = link;
        }
        let birth = (pending >> 32).wrapping_add(1) as u32;
        memory.store32(offset(mine) + entry::BIRTH, birth, Relaxed);
        if list.replaces != 0 {
            memory.store32(offset(mine) + list.replaces, old.unwrap_or(0), Relaxed);
            inserter.others_replace(mine);
        }
        // Release publishes the record.
        let announced = u64::from(birth) << 32 | u64::from(mine);
        match memory.cas64(list.pending, pending, announced, AcqRel, Relaxed) {
            Ok(_) => {
                help_pending(index, list, announced, |link, parent| inserter.settled(link, parent));
                return Outcome::Made(mine);
            }
            // A word that is what it is not: the chain leads out of the memory.
            Err(now) if now == pending => break,
            Err(_) => {}
        }
    }
    if mine != 0 {
        inserter.give_back(mine);
    }
    outcome
}

/// Does what an announced entry still needs. Any process may call this, any number of times, at any
/// time.
#[inline(never)]
fn help_pending<M: Memory>(index: &Index<'_, M>, list: ListHead, announced: u64, settled: impl Fn(u32, u32)) {
    let memory = index.memory;
    let link = announced as u32;
    let state = state::state(memory, link);
    let tag = memory.load32(offset(link) + entry::TAG, Acquire);
    let parent = memory.load32(offset(link) + entry::PARENT, Acquire);
    let old = if list.replaces == 0 { 0 } else { memory.load32(offset(link) + list.replaces, Acquire) };
    let last = last_of(memory, list, link);
    let tail = memory.load32(list.tail, Acquire);
    // Acquire, here and above, in this order: if the announcement is still on, all of this belongs
    // to it.
    if memory.load64(list.pending, Acquire) != announced {
        return;
    }
    if state.state() == state::NEW && tail != last {
        let end = if tail == 0 { list.head } else { offset(tail) + entry::NEXT };
        // Release publishes the record to processes that walk the chain.
        let _ = memory.cas32(end, 0, link, Release, Relaxed);
        let _ = memory.cas32(list.tail, tail, last, Release, Relaxed);
    }
    index.insert(tag, link);
    if state.state() == state::NEW && last != link {
        brought(memory, link, last)
            .for_each(|link| index.insert(memory.load32(offset(link) + entry::TAG, Relaxed), link));
    }
    // The new one is in the chain: a page that does not show an old one any more comes to it.
    if old != 0 {
        retire(memory, old);
    }
    if state.state() == state::NEW && last != link {
        // Relaxed: published with the announcement, and not changed since.
        brought(memory, link, last)
            .map(|link| memory.load32(offset(link) + list.replaces, Relaxed))
            .filter(|old| *old != 0)
            .for_each(|old| _ = retire(memory, old));
    }
    if matches!(state.state(), state::NEW | state::CLAIMED) && state::change(memory, link, state, state::LIVE) {
        settled(link, parent);
    }
    // Release: a process that sees the announcement over finds the entry in the index.
    let _ = memory.cas64(list.pending, announced, announced >> 32 << 32, Release, Relaxed);
}

/// The last of the entries that this one brings with it, as one announcement has them all: itself
/// if it brings none.
fn last_of<M: Memory>(memory: &M, list: ListHead, link: u32) -> u32 {
    if list.last == 0 {
        return link;
    }
    match memory.load32(offset(link) + list.last, Acquire) {
        0 => link,
        last => last,
    }
}

/// More entries than any one brings with it.
const MOST_BROUGHT: usize = 1 << 10;

/// The entries that this one brings with it. They were linked before it was announced, and what
/// leads from one to the next does not change.
fn brought<M: Memory>(memory: &M, link: u32, last: u32) -> impl Iterator<Item = u32> + '_ {
    let mut at = link;
    std::iter::from_fn(move || {
        // Relaxed: published with the announcement, which the caller has seen.
        at = if at == last || at == 0 { 0 } else { memory.load32(offset(at) + entry::NEXT, Relaxed) };
        (at != 0).then_some(at)
    })
    .take(MOST_BROUGHT)
}

/// Takes the entry with this key off pages and look-ups for good, if `may` allows it, or the entry
/// that has brought it along (`whole`): announces it once more, as one that replaces itself. Gives
/// the entry and whether it was retired; `None` if there is none.
pub(crate) fn retract<M: Memory>(
    index: &Index<'_, M>,
    list: ListHead,
    hash: u64,
    same: impl Fn(u32) -> bool,
    whole: impl Fn(u32) -> u32,
    may: impl Fn(u32) -> bool,
    settled: impl Fn(u32, u32),
) -> Option<(u32, bool)> {
    let memory = index.memory;
    for _ in 0..BOUND {
        // Acquire: as in `find_or_append`.
        let pending = memory.load64(list.pending, Acquire);
        if pending as u32 != 0 {
            help_pending(index, list, pending, &settled);
            continue;
        }
        let Some(link) = index.find_surely(hash, &same) else {
            // It may have been replaced under the look-up, which then found neither.
            if memory.load64(list.pending, Acquire) != pending {
                continue;
            }
            return None;
        };
        let link = whole(link);
        if !may(link) {
            return Some((link, false));
        }
        // The announcement that this field was for is over: nothing reads it again, unless the next
        // swap succeeds.
        memory.store32(offset(link) + list.replaces, link, Relaxed);
        let announced = (pending >> 32).wrapping_add(1) << 32 | u64::from(link);
        match memory.cas64(list.pending, pending, announced, AcqRel, Relaxed) {
            Ok(_) => {
                help_pending(index, list, announced, &settled);
                return Some((link, true));
            }
            Err(now) if now == pending => return None,
            Err(_) => {}
        }
    }
    None
}

fn retire<M: Memory>(memory: &M, link: u32) -> bool {
    let seen = state::state(memory, link);
    // A family is retired once: its state never leads back, so a late helper changes nothing.
    seen.state() == state::LIVE && state::change(memory, link, seen, state::RETIRED)
}

/// Has every announcement fail whose maker read the chain's `PENDING` before this call. Returns
/// once it has settled what was announced.
pub(crate) fn revoke<M: Memory>(index: &Index<'_, M>, list: ListHead, settled: impl Fn(u32, u32)) {
    for _ in 0..BOUND {
        let pending = index.memory.load64(list.pending, Acquire);
        if pending as u32 != 0 {
            help_pending(index, list, pending, &settled);
            continue;
        }
        let next = (pending >> 32).wrapping_add(1) << 32;
        // Acquire and Release: a maker that reads this word, or a later one, also sees what the
        // caller did before.
        match index.memory.cas64(list.pending, pending, next, AcqRel, Relaxed) {
            Ok(_) => return,
            // A word that is what it is not: the chain leads out of the memory.
            Err(now) if now == pending => return,
            Err(_) => {}
        }
    }
}

/// Ends the announcement of this entry, if it is on. After this call, one that began before it
/// is over.
pub(crate) fn help_pending_if<M: Memory>(index: &Index<'_, M>, list: ListHead, link: u32, settled: impl Fn(u32, u32)) {
    let pending = index.memory.load64(list.pending, Acquire);
    if pending as u32 == link {
        help_pending(index, list, pending, settled);
    }
}

/// The number of the last announcement in a chain. Later announcements have the numbers after it,
/// modulo 2^32.
pub(crate) fn announcements<M: Memory>(memory: &M, list: ListHead) -> u32 {
    (memory.load64(list.pending, Acquire) >> 32) as u32
}

/// The same without one that is still on.
pub(crate) fn settled<M: Memory>(memory: &M, list: ListHead) -> u32 {
    let pending = memory.load64(list.pending, Acquire);
    ((pending >> 32) as u32).wrapping_sub(u32::from(pending as u32 != 0))
}

/// Whether an entry was announced after `from`, an earlier result of [`announcements`]. `now` reads
/// that number again, and must be called after `birth` was read.
///
/// The numbers come round after 2^32 announcements, and an entry may be older than that. So its
/// birth alone does not tell: it is later only if it lies between `from` and `now`. The answer is
/// wrong only for an entry that is older by a multiple of 2^32 announcements than one of those made
/// between the two readings.
#[inline(always)]
pub(crate) fn is_later(birth: u32, from: u32, now: impl FnOnce() -> u32) -> bool {
    let later = birth.wrapping_sub(from);
    // The first comparison answers for most entries. Nothing makes 2^31 entries while a page is
    // read.
    later as i32 > 0 && later <= now().wrapping_sub(from)
}

/// The link to the entry after this one in its chain; 0 at the end.
#[inline(always)]
pub(crate) fn next<M: Memory>(memory: &M, link: u32) -> u32 {
    // Acquire pairs with the Release that linked the entry.
    memory.load32(offset(link) + entry::NEXT, Acquire)
}

/// A walk along a chain, which the caller may interrupt between two steps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Walk {
    /// The first entry, until the walk reaches it.
    first: u32,
    /// The entry that the walk has reached; 0 before the first entry, and at the end.
    at: u32,
    cycle: CycleDetector,
    /// The damaged link that ended the walk, because it closes a cycle.
    closing: u32,
}

impl Walk {
    /// A walk that begins at the link `first`.
    pub(crate) fn from(first: u32) -> Self {
        Walk { first, ..Walk::default() }
    }

    /// The next entry. Its link is read now, so the walk sees entries that were added during the
    /// walk. `None`: the walk is at its end, and stays there.
    pub(crate) fn step<M: Memory>(&mut self, memory: &M) -> Option<u32> {
        let link = if self.at == 0 { std::mem::take(&mut self.first) } else { next(memory, self.at) };
        self.at = link;
        if link != 0 && self.cycle.closes(link) {
            (self.at, self.closing) = (0, link);
        }
        (self.at != 0).then_some(self.at)
    }

    /// The damaged link that ended the walk, if one did.
    pub(crate) fn closing(&self) -> Option<u32> {
        (self.closing != 0).then_some(self.closing)
    }
}

/// Notices, on a walk along a chain, that a damaged link has made a cycle of it: after Brent ("An
/// Improved Monte Carlo Factorization Algorithm", BIT 1980), within three times as many steps as
/// there are entries.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CycleDetector {
    /// Where the walk was when its steps were last a power of two.
    mark: u32,
    /// Steps from there to the next power, and how many are left of them.
    lap: u64,
    left: u64,
}

impl CycleDetector {
    /// Takes a step to an entry. True if the walk has been there before.
    #[inline(always)]
    pub(crate) fn closes(&mut self, link: u32) -> bool {
        let closes = link == self.mark;
        if self.left == 0 {
            self.mark = link;
            self.lap = (2 * self.lap).max(1);
            self.left = self.lap;
        }
        self.left -= 1;
        closes
    }

    /// How many steps do not move the mark, and where it is: a caller that compares with the mark
    /// may take so many steps without `closes`, and then say so.
    pub(crate) fn ahead(&self) -> (u64, u32) {
        (self.left, self.mark)
    }

    /// Notes that so many of the steps ahead were taken.
    pub(crate) fn pass(&mut self, steps: u64) {
        self.left -= steps;
    }
}

#[cfg(test)]
mod tests {
    use crate::shm::list::{is_later, CycleDetector};

    #[test]
    fn an_entry_is_later_only_if_it_was_announced_since() {
        for from in [0, 1, 1000, (1 << 31) - 2, 1 << 31, (1 << 31) + 1, u32::MAX - 2, u32::MAX] {
            for made in [0, 1, 2, 5, 1 << 20] {
                let later = |after: u32| is_later(from.wrapping_add(after), from, || from.wrapping_add(made));
                assert!([0, made + 1, 1 << 30, 1 << 31, u32::MAX - 5, u32::MAX].iter().all(|after| !later(*after)));
                assert!((1..=made.min(9)).all(later) && (made == 0 || later(made)), "{from} {made}");
            }
        }
    }

    #[test]
    fn a_cycle_is_noticed_and_a_chain_is_not_mistaken_for_one() {
        for before in [0, 1, 7, 100] {
            for length in [1, 2, 3, 8, 100] {
                let walk = (0u32..).map(|i| 1 + if i < before { i } else { before + (i - before) % length });
                let mut cycle = CycleDetector::default();
                let steps = walk.take_while(|link| !cycle.closes(*link)).count() as u32;
                assert!(steps >= length && steps <= 3 * (before + length), "{before}, {length}: {steps} steps");
            }
        }
        let mut cycle = CycleDetector::default();
        assert!(!(1..100_000).any(|link| cycle.closes(link)));
        // Steps taken ahead are as good as others.
        let (mut cycle, mut taken) = (CycleDetector::default(), 0);
        while !cycle.closes(1 + taken % 100) {
            let (steps, mark) = cycle.ahead();
            let free = (0..steps as u32).take_while(|i| 1 + (taken + 1 + i) % 100 != mark).count();
            cycle.pass(free as u64);
            taken += 1 + free as u32;
        }
        assert!((100..=300).contains(&taken), "{taken} steps");
    }
}
