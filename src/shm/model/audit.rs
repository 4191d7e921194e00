//! What must hold of a scene when no process is at work on it.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::scene::{Scene, CELL, CHECK, FAMILIES, FREE, KEY, PER_CPU_CELLS, SERIES};
use super::words::Word;
use crate::shm::layout::offset;
use crate::shm::layout::{entry, FREE_LINK};
use crate::shm::list::{announcements, ListHead};
use crate::shm::memory::Memory;
use crate::shm::percpu;
use crate::shm::state;
use crate::shm::state::{SeriesAddr, State};

impl<W: Word> Scene<W> {
    /// The chain's links, as a reader walks it.
    pub(super) fn walk(&self, list: ListHead) -> Vec<u32> {
        let mut links = Vec::new();
        let mut next = self.words.load32(list.head, Acquire);
        while next != 0 {
            assert!(!links.contains(&next), "the chain is a ring");
            links.push(next);
            next = self.words.load32(offset(next) + entry::NEXT, Acquire);
        }
        links
    }

    /// The records on the free list, the first one first.
    pub(super) fn free(&self) -> Vec<u32> {
        let mut links = Vec::new();
        let mut next = self.words.load64(FREE, Acquire) as u32;
        while next != 0 {
            assert!(!links.contains(&next), "the free list is a ring");
            assert_eq!(self.state(next).state(), state::FREE, "a record on the free list is not free");
            links.push(next);
            next = self.words.load32(offset(next) + FREE_LINK, Acquire);
        }
        links
    }

    /// What was counted of the series that a place's word stands for. `None`: it is over.
    pub(super) fn counted(&self, word: u64) -> Option<u64> {
        let place = SeriesAddr::from_word(word);
        let cell = self.words.load64(place.at + CELL, Relaxed);
        let in_per_cpu = match percpu::of(&self.words, place.at) {
            0 => 0,
            cells => self.words.load64(PER_CPU_CELLS + 8 * u64::from(cells), Relaxed),
        };
        (!place.generation.is_over(cell)).then_some((cell & state::TAG_MASK) + in_per_cpu)
    }

    fn state(&self, link: u32) -> State {
        state::state(&self.words, link)
    }

    /// The entries of a chain that have a series.
    fn entries(&self, list: ListHead) -> Vec<u32> {
        self.walk(list).into_iter().filter(|link| self.state(*link).has_series()).collect()
    }

    /// The announcement that is on. The next process finishes it.
    fn announced(&self, list: ListHead) -> Option<u32> {
        Some(self.words.load64(list.pending, Acquire) as u32).filter(|link| *link != 0)
    }

    /// The keys of a chain's entries, each checked.
    pub(super) fn keys(&self, list: ListHead) -> Vec<u64> {
        let (mut keys, mut births) = (Vec::new(), Vec::new());
        let entries = self.entries(list);
        for link in &entries {
            let field = |field| self.words.load64(offset(*link) + field, Relaxed);
            let key = field(KEY);
            assert_eq!(field(CHECK), !key, "an entry is not complete");
            assert!(!keys.contains(&key), "a key is in the chain twice");
            let birth = self.words.load32(offset(*link) + entry::BIRTH, Relaxed);
            assert!(!births.contains(&birth), "two entries were born at once");
            let now = announcements(&self.words, list);
            assert!(birth.wrapping_sub(now) as i32 <= 0, "an entry was never announced");
            keys.push(key);
            births.push(birth);
        }
        for (link, key) in entries.iter().zip(&keys) {
            let found = self.find(&self.words, *key).map(|place| place.at);
            assert_eq!(found, Some(offset(*link)), "a key is not in the index");
        }
        keys
    }

    /// Checks both chains, the free list and what became of every record. Returns the families'
    /// keys. An announcement may be left on if it is `unfinished`, and so many records may be lost:
    /// a kill's price.
    pub(super) fn audit(&self, unfinished: bool, lost: usize) -> Vec<u64> {
        let keys = self.keys(FAMILIES);
        self.keys(SERIES);
        let (mut series, mut waiting, mut births) = (0, 0, 0);
        for list in [FAMILIES, SERIES] {
            series += self.entries(list).len();
            births += announcements(&self.words, list) as usize;
            if let Some(link) = self.announced(list) {
                assert!(unfinished, "an announcement was left on");
                waiting += usize::from(matches!(self.state(link).state(), state::NEW | state::CLAIMED));
            } else {
                let tail = self.words.load32(list.tail, Acquire);
                assert_eq!(tail, self.walk(list).last().copied().unwrap_or(0), "the tail is not the last entry");
            }
        }
        let [made, given_back, settled, removed] =
            [&self.ledger.made, &self.ledger.given_back, &self.ledger.settled, &self.ledger.removed]
                .map(|count| count.load(Relaxed) as usize);
        assert_eq!(settled, births - waiting, "times that entries were settled");
        let brought = self.ledger.brought.load(Relaxed) as usize;
        assert_eq!(series, settled + brought - removed, "entries that are there");
        let kept = series + self.free().len() + waiting;
        let gone = (made - given_back).checked_sub(kept).expect("there are records that no process made");
        assert!(gone <= lost, "{gone} records are lost");
        keys
    }
}
