//! loom, as in `orderings`: how families are replaced, and what comes of their series. One
//! preemption finds each mutant in a second; `LOOM_MAX_PREEMPTIONS=2` takes minutes.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::faults::Fault;
use super::orderings::{explore, Small, Thread, RECORDS};
use super::scene::{index, link, Extra, Scene, FAMILIES, HERE, SAME_TAG, SERIES};
use crate::shm::layout::entry;
use crate::shm::layout::offset;
use crate::shm::list;
use crate::shm::list::Outcome;
use crate::shm::memory::Memory;
use crate::shm::state::State;
use crate::shm::{generation, state};

/// One family.
fn one() -> Small {
    Scene::new(RECORDS, Extra::Nothing).with(&[HERE])
}

const REPLACE: Thread = |scene, view, own| scene.replace(view, HERE, own).into();
const INSERT: Thread =
    |scene, view, own| scene.insert(view, FAMILIES, HERE, own, crate::shm::model::scene::Doubling::No).at;
/// How often a page shows the family.
const LOOK: Thread = |scene, view, _| scene.page_of_families(view, HERE);
const UNREGISTER: Thread = |scene, view, _| scene.unregister(view, HERE).into();

/// What is retired is in the ledger as what was removed.
fn audit(scene: &Small, retired: usize) -> Vec<u64> {
    scene.ledger.removed.fetch_add(retired as u32, Relaxed);
    scene.audit(false, retired)
}

/// A look-up of the family finds the old one or the new one, and the new one stays.
fn replacing_while_inserting(fault: Fault) {
    explore(fault, 1, one, [REPLACE, INSERT], |scene, _| assert_eq!(audit(scene, 1), [HERE]));
}

/// Two that replace it: one after the other.
fn replacing_twice(fault: Fault) {
    explore(fault, 1, one, [REPLACE, REPLACE], |scene, _| assert_eq!(audit(scene, 2), [HERE]));
}

/// A page shows the old one or the new one: never both, never none.
fn shown_while_replaced(fault: Fault) {
    explore(fault, 1, one, [LOOK, REPLACE], |scene, found| {
        assert_eq!(found[0], 1, "times that a page shows a family that is replaced");
        assert_eq!(audit(scene, 1), [HERE]);
    });
}

/// What is unregistered beside its replacement: both come one after the other.
fn unregistering_while_replacing(fault: Fault) {
    explore(fault, 1, one, [UNREGISTER, REPLACE], |scene, found| {
        assert_eq!(found[0], 1, "the family was there");
        let there = scene.page_of_families(&scene.words, HERE) as usize;
        assert_eq!(audit(scene, 2 - there).len(), there);
    });
}

/// Once a family is drained, it has no series, even if a process makes one meanwhile.
fn draining_while_inserting(fault: Fault) {
    let insert: Thread = |scene, view, own| scene.insert_in(view, SAME_TAG, own, link(0)).into();
    let drain: Thread = |scene, view, _| {
        let (words, at) = (&scene.words, offset(link(0)) + entry::STATE);
        let state = State(words.load32(at, Acquire));
        words
            .cas32(at, state.0, state.in_state(state::RETIRED).0, AcqRel, Acquire)
            .expect("no other thread retires it");
        list::revoke(&index(view), SERIES, |_, _| scene.settled());
        for link in scene.walk(SERIES) {
            let state = state::state(view, link);
            if state.has_series() {
                let done = generation::remove(&index(view), SERIES, link, state.generation(), |_, _| scene.settled());
                scene.ledger.removed.fetch_add(u32::from(done), Relaxed);
            }
        }
        0
    };
    explore(fault, 1, one, [insert, drain], |scene, _| {
        assert_eq!(scene.keys(SERIES), [], "series of a family that is drained");
    });
}

impl<W: crate::shm::model::words::Word> Scene<W> {
    /// Inserts a series of this family, unless that is retired.
    fn insert_in<M: Memory>(&self, memory: &M, key: u64, spare: u32, family: u32) -> bool {
        matches!(self.find_or_insert(memory, SERIES, key, spare, false, Some(family)), Outcome::Made(_))
    }

    /// Inserts the key in the place of the entry that has it.
    fn replace<M: Memory>(&self, memory: &M, key: u64, spare: u32) -> u32 {
        match self.find_or_insert(memory, FAMILIES, key, spare, true, None) {
            Outcome::Made(link) => link,
            none => panic!("a replacement ended as {none:?}"),
        }
    }

    fn unregister<M: Memory>(&self, memory: &M, key: u64) -> bool {
        let same = |link| self.is_there(memory, link, key);
        let done = list::retract(&index(memory), FAMILIES, key, same, |link| link, |_| true, |_, _| self.settled());
        let done = done.is_some_and(|(_, done)| done);
        if done {
            // An announcement of what is there, and then is not.
            self.settled();
            self.ledger.removed.fetch_add(1, Relaxed);
        }
        done
    }

    /// How often a page shows the family of this key: as `expose::Cursor` goes through families.
    fn page_of_families<M: Memory>(&self, memory: &M, key: u64) -> u64 {
        let from = list::settled(memory, FAMILIES);
        let (mut shown, mut gone) = (0, false);
        let mut next = memory.load32(FAMILIES.head, Acquire);
        while next != 0 {
            let birth = memory.load32(offset(next) + entry::BIRTH, Relaxed);
            let later = list::is_later(birth, from, || list::announcements(memory, FAMILIES));
            if state::state(memory, next).is_retired() {
                gone = true;
            } else if (!later || (gone && shown == 0)) && self.key_of(next) == key {
                shown += 1;
            }
            next = memory.load32(offset(next) + entry::NEXT, Acquire);
        }
        shown
    }
}

hold! {
    replacing_while_inserting replacing_twice shown_while_replaced unregistering_while_replacing draining_while_inserting
}

fail! {
    a_family_that_is_not_retired: replacing_while_inserting, NeverRetires, "a key is in the chain twice";
    a_family_retired_before_its_successor_is_announced: shown_while_replaced, RetiresFirst, "times that a page shows";
    a_family_that_is_drained_while_series_are_announced: draining_while_inserting, DoesNotRevoke, "series of a family that is drained";
}
