//! What a process does with a scene, through a view of its memory: the protocols themselves, and
//! around them what the registry does, step by step.

use std::cell::Cell;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::scene::{brought_by, index, Doubling, Scene, CELL, CHECK, FREE, KEY, LAST, PER_CPU_CELLS, REPLACES};
use super::words::Word;
use crate::shm::generation::FreeList;
use crate::shm::index::{tag_of, Index};
use crate::shm::layout::entry;
use crate::shm::layout::offset;
use crate::shm::list::{find_or_append, Inserter, ListHead, Outcome};
use crate::shm::memory::Memory;
use crate::shm::percpu;
use crate::shm::state::{Generation, SeriesAddr, State};
use crate::shm::{generation, state};

impl<W: Word> Scene<W> {
    /// Finds the key or inserts it, in a free record or in `spare`.
    pub(super) fn insert<M: Memory>(
        &self,
        memory: &M,
        list: ListHead,
        key: u64,
        spare: u32,
        doubling: Doubling,
    ) -> SeriesAddr {
        let mut inserter = self.inserter(memory, key, spare, doubling);
        match find_or_append(&index(memory), list, key, &mut inserter) {
            Outcome::Found(link) => SeriesAddr { at: offset(link), generation: inserter.found.get() },
            Outcome::Made(link) => SeriesAddr { at: offset(link), generation: inserter.made },
            none => panic!("an insertion ended as {none:?}"),
        }
    }

    fn inserter<'a, M: Memory>(
        &'a self,
        memory: &'a M,
        key: u64,
        spare: u32,
        doubling: Doubling,
    ) -> KeyInserter<'a, W, M> {
        let (found, made) = (Cell::new(Generation(0)), Generation(0));
        let index = index(memory);
        KeyInserter {
            scene: self,
            index,
            key,
            spare,
            doubling,
            found,
            made,
            replaces: false,
            family: None,
            brings: None,
        }
    }

    /// The same, where an entry that has the key gives way, or where the chain is closed once this
    /// family is retired.
    pub(super) fn find_or_insert<M: Memory>(
        &self,
        memory: &M,
        list: ListHead,
        key: u64,
        spare: u32,
        replaces: bool,
        family: Option<u32>,
    ) -> Outcome {
        let mut inserter = KeyInserter { replaces, family, ..self.inserter(memory, key, spare, Doubling::No) };
        find_or_append(&index(memory), list, key, &mut inserter)
    }

    /// Inserts the key, with the entry of another key that comes with it.
    pub(super) fn bring<M: Memory>(&self, memory: &M, list: ListHead, keys: [u64; 2], spare: u32) -> Outcome {
        let own = self.inserter(memory, keys[0], spare, Doubling::No);
        find_or_append(
            &index(memory),
            list,
            keys[0],
            &mut KeyInserter { brings: Some((keys[1], brought_by(spare))), ..own },
        )
    }

    /// The same with two records, where both entries take the places of those that have the keys.
    pub(super) fn bring_anew<M: Memory>(&self, memory: &M, list: ListHead, keys: [u64; 2], own: [u32; 2]) -> Outcome {
        let inserter = self.inserter(memory, keys[0], own[0], Doubling::No);
        let mut inserter = KeyInserter { replaces: true, brings: Some((keys[1], own[1])), ..inserter };
        find_or_append(&index(memory), list, keys[0], &mut inserter)
    }

    /// Whether the entry has the key, and is there.
    pub(super) fn is_there<M: Memory>(&self, memory: &M, link: u32, key: u64) -> bool {
        self.generation_of(memory, link, key, true).is_some()
    }

    pub(super) fn key_of(&self, link: u32) -> u64 {
        self.words.load64(offset(link) + KEY, Relaxed)
    }

    /// Finds the key, as a look-up does.
    pub(super) fn find<M: Memory>(&self, memory: &M, key: u64) -> Option<SeriesAddr> {
        self.find_certain(memory, key, true)
    }

    fn find_certain<M: Memory>(&self, memory: &M, key: u64, revive: bool) -> Option<SeriesAddr> {
        let mut generation = Generation(0);
        let same = |link| self.generation_of(memory, link, key, revive).map(|its| generation = its).is_some();
        let link = index(memory).find_surely(key, same)?;
        Some(SeriesAddr { at: offset(link), generation })
    }

    /// A record's state, then its key and its check, then its state again: a sequence lock.
    fn look<M: Memory>(&self, memory: &M, link: u32) -> (State, [u64; 2], State) {
        let at = offset(link);
        let seen = state::state(memory, link);
        let text = [KEY, CHECK].map(|field| self.words.load64(at + field, Relaxed));
        self.words.fence_of(Acquire);
        let again = State(memory.load32(at + entry::STATE, Relaxed));
        let [key, check] = text;
        assert!(again != seen || !seen.has_series() || check == !key, "an entry was seen before it was complete");
        (seen, text, again)
    }

    /// The keys that a page shows.
    pub(super) fn pages<M: Memory>(&self, memory: &M, list: ListHead) -> Vec<u64> {
        let looks = self.walk(list).into_iter().map(|link| self.look(memory, link));
        looks
            .filter(|(seen, _, again)| again == seen && seen.state() == state::LIVE)
            .map(|(_, text, _)| text[0])
            .collect()
    }

    /// The generation of the record in which it has the key, if that is now: as
    /// `registry::FamilyRef::generation_of`.
    fn generation_of<M: Memory>(&self, memory: &M, link: u32, key: u64, revive: bool) -> Option<Generation> {
        let (seen, text, again) = self.look(memory, link);
        if text != [key, !key] || !seen.has_series() {
            return None;
        }
        if again == seen && seen.state() == state::LIVE {
            return Some(seen.generation());
        }
        let there = if revive {
            generation::revive(memory, link, seen.generation())
        } else {
            let now = state::state(memory, link);
            now.has_series() && now.generation() == seen.generation()
        };
        there.then_some(seen.generation())
    }

    /// Removes the key, as `registry::recycle` does. True if it was this call that did.
    pub(super) fn remove<M: Memory>(&self, memory: &M, list: ListHead, key: u64) -> bool {
        let Some(place) = self.find_certain(memory, key, false) else { return false };
        let link = place.into_word() as u32;
        let removed = generation::remove(&index(memory), list, link, place.generation, |_, _| self.settled());
        if removed {
            self.ledger.removed.fetch_add(1, Relaxed);
            self.close(memory, link);
            FreeList { memory, at: FREE }.push(link);
        }
        removed
    }

    /// Closes the cell of an entry whose generation is over, as `registry::recycle::close` does.
    #[allow(clippy::unused_self)] // as what the others do
    fn close<M: Memory>(&self, memory: &M, link: u32) {
        percpu::take_away(memory, offset(link));
        let tag = state::state(memory, link).generation().tag();
        let at = offset(link) + CELL;
        let mut seen = memory.load64(at, Relaxed);
        // AcqRel, as a pair's swap is.
        while let Err(now) = memory.cas64(at, seen, tag, AcqRel, Relaxed) {
            seen = now;
        }
    }

    /// Takes a series off the pages, as `registry::expiry` does. True if it was this call that did.
    pub(super) fn expire<M: Memory>(&self, memory: &M, list: ListHead, link: u32) -> bool {
        let seen = state::state(memory, link);
        seen.state() == state::LIVE
            && generation::hide(&index(memory), list, link, seen, state::EXPIRED, |_, _| self.settled())
    }

    /// Counts one through a handle, as `metric::Counter` does. False if its series is over.
    pub(super) fn count<M: Memory>(&self, memory: &M, handle: SeriesAddr) -> bool {
        let cells = percpu::of(memory, handle.at);
        if cells != 0 && State(memory.load32(handle.at + entry::STATE, Relaxed)).generation() == handle.generation {
            memory.add64(PER_CPU_CELLS + 8 * u64::from(cells), 1, Relaxed);
            return true;
        }
        self.count_in_cell(memory, handle)
    }

    /// The same where there are no per-CPU cells, or they cannot be used.
    #[allow(clippy::unused_self)] // as what the others do
    pub(super) fn count_in_cell<M: Memory>(&self, memory: &M, handle: SeriesAddr) -> bool {
        let at = handle.at + CELL;
        let mut seen = memory.load64(at, Relaxed);
        loop {
            if handle.generation.is_over(seen) {
                return false;
            }
            match memory.cas64(at, seen, seen + 1, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    pub(super) fn settled(&self) {
        self.ledger.settled.fetch_add(1, Relaxed);
    }
}

struct KeyInserter<'a, W, M> {
    scene: &'a Scene<W>,
    index: Index<'a, M>,
    key: u64,
    spare: u32,
    doubling: Doubling,
    found: Cell<Generation>,
    made: Generation,
    replaces: bool,
    family: Option<u32>,
    /// The key and the record of an entry that it brings with its own.
    brings: Option<(u64, u32)>,
}

impl<M: Memory, W: Word> KeyInserter<'_, W, M> {
    /// As `registry::recycle::claim`: out of the index. The remover has closed the cell.
    fn claim(&self, link: u32) -> Generation {
        let memory = self.index.memory;
        self.index.erase(memory.load32(offset(link) + entry::TAG, Relaxed), link);
        state::state(memory, link).generation()
    }
}

impl<W: Word, M: Memory> Inserter for KeyInserter<'_, W, M> {
    fn same(&self, link: u32) -> bool {
        let its = self.scene.generation_of(self.index.memory, link, self.key, true);
        its.map(|generation| self.found.set(generation)).is_some()
    }

    fn closed(&self) -> bool {
        self.family.is_some_and(|family| state::state(self.index.memory, family).is_retired())
    }

    fn replaces(&mut self, link: u32) -> Option<u32> {
        self.replaces.then_some(link)
    }

    fn others_replace(&mut self, link: u32) {
        let Some((key, brought)) = self.brings else { return };
        assert_eq!(self.index.memory.load32(offset(link) + LAST, Relaxed), brought, "another entry's");
        let there = |link| self.scene.is_there(self.index.memory, link, key);
        let old = if self.replaces { self.index.find_surely(key, there) } else { None };
        self.index.memory.store32(offset(brought) + REPLACES, old.unwrap_or(0), Relaxed);
    }

    fn make(&mut self) -> Option<u32> {
        let (memory, words) = (self.index.memory, &self.scene.words);
        let link = if let Some(link) = (FreeList { memory, at: FREE }).pop(|_| true) {
            self.made = self.claim(link);
            link
        } else {
            self.scene.ledger.made.fetch_add(1, Relaxed);
            memory.store32(offset(self.spare) + entry::STATE, State::new(state::NEW, 0).0, Relaxed);
            self.spare
        };
        let write = |link: u32, key: u64| {
            words.store64(offset(link) + KEY, key, Relaxed);
            words.store32(offset(link) + entry::TAG, tag_of(key), Relaxed);
            words.store64(offset(link) + CHECK, !key, Relaxed);
        };
        write(link, self.key);
        if let Some((key, brought)) = self.brings {
            self.scene.ledger.made.fetch_add(1, Relaxed);
            write(brought, key);
            memory.store32(offset(brought) + entry::STATE, State::new(state::LIVE, 0).0, Relaxed);
            memory.store32(offset(link) + entry::NEXT, brought, Relaxed);
            memory.store32(offset(link) + LAST, brought, Relaxed);
        }
        Some(link)
    }

    fn give_back(&mut self, link: u32) {
        let memory = self.index.memory;
        let state = state::state(memory, link);
        if state.state() == state::NEW {
            assert_eq!(link, self.spare, "an inserter gave back what it did not make");
            self.scene.ledger.given_back.fetch_add(1 + u32::from(self.brings.is_some()), Relaxed);
        } else {
            assert_eq!(
                (state.state(), state.generation()),
                (state::CLAIMED, self.made),
                "an inserter gave back what is not its"
            );
            assert!(state::change(memory, link, state, state::FREE), "a claimed record was changed");
            FreeList { memory, at: FREE }.push(link);
        }
    }

    fn settled(&self, link: u32, _parent: u32) {
        let brings = self.scene.words.load32(offset(link) + LAST, Relaxed) != 0;
        self.scene.ledger.brought.fetch_add(u32::from(brings), Relaxed);
        self.scene.settled();
    }

    fn prepare(&mut self) -> bool {
        if self.doubling == Doubling::Yes {
            self.index.maintain(|_| true);
        }
        true
    }
}
