//! loom, as in `orderings`: an entry that brings another with it, as the first member of a bundle
//! does. One announcement has both.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::faults::Fault;
use super::orderings::{empty, explore, first_generation, Small, Thread, FIRST, RECORDS};
use super::scene::{link, Doubling, Extra, Scene, APART, FAMILIES, HERE, NEXT_DOOR};
use crate::shm::layout::entry;
use crate::shm::layout::offset;
use crate::shm::list::Outcome;
use crate::shm::memory::Memory;

const BRING: Thread = |scene, view, own| match scene.bring(view, FAMILIES, [HERE, NEXT_DOOR], own) {
    Outcome::Made(link) | Outcome::Found(link) => link.into(),
    none => panic!("an insertion ended as {none:?}"),
};
const INSERT: Thread = |scene, view, own| scene.insert(view, FAMILIES, APART, own, Doubling::No).into_word();
const REPLACE: Thread =
    |scene, view, own| match scene.bring_anew(view, FAMILIES, [HERE, NEXT_DOOR], [own, link(RECORDS - 1)]) {
        Outcome::Made(link) => link.into(),
        none => panic!("a replacement ended as {none:?}"),
    };
const FIND: Thread = |scene, view, own| scene.insert(view, FAMILIES, NEXT_DOOR, own, Doubling::No).into_word();
/// Whether a page shows both: 2, or none.
const LOOK: Thread = |scene, view, _| scene.brought_on_page(view);

/// Two that bring the same: one of them does.
fn bringing_twice(fault: Fault) {
    explore(fault, 1, empty, [BRING, BRING], |scene, found| {
        assert_eq!(found[0], found[1], "one key has two entries");
        assert_eq!(scene.audit(false, 0), [HERE, NEXT_DOOR]);
    });
}

/// Another entry comes before both or after both.
fn bringing_while_inserting(fault: Fault) {
    explore(fault, 1, empty, [BRING, INSERT], |scene, found| {
        assert_eq!(found, [first_generation(FIRST), first_generation(FIRST + 1)]);
        let keys = scene.audit(false, 0);
        assert!(keys == [HERE, NEXT_DOOR, APART] || keys == [APART, HERE, NEXT_DOOR], "{keys:x?}");
    });
}

/// A page shows both or none.
fn shown_while_brought(fault: Fault) {
    explore(fault, 1, empty, [LOOK, BRING], |scene, found| {
        assert!(found[0] == 0 || found[0] == 2, "a page shows one of two that come together");
        assert_eq!(scene.audit(false, 0), [HERE, NEXT_DOOR]);
    });
}

/// The two that are replaced, by themselves.
fn apart() -> Small {
    Scene::new(RECORDS, Extra::Nothing).with(&[HERE, NEXT_DOOR])
}

/// Two that come together in the places of two: a look-up finds the old one or the new one, and
/// both old ones are gone at the end.
fn replacing_both(fault: Fault) {
    explore(fault, 1, apart, [REPLACE, FIND], |scene, _| {
        scene.ledger.removed.fetch_add(2, Relaxed);
        assert_eq!(scene.audit(false, 2), [HERE, NEXT_DOOR]);
    });
}

impl<W: crate::shm::model::words::Word> Scene<W> {
    fn brought_on_page<M: Memory>(&self, memory: &M) -> u64 {
        let (mut shown, mut next) = (0, memory.load32(FAMILIES.head, Acquire));
        while next != 0 {
            shown +=
                u64::from(matches!(self.words.load64(offset(next) + super::scene::KEY, Relaxed), HERE | NEXT_DOOR));
            next = memory.load32(offset(next) + entry::NEXT, Acquire);
        }
        shown
    }
}

hold! {
    bringing_twice bringing_while_inserting shown_while_brought replacing_both
}

fail! {
    a_tail_that_is_not_the_last_one: bringing_while_inserting, ForgetsTheLast, "the tail is not the last entry";
    another_old_entry_that_is_not_retired: replacing_both, RetiresTheFirstOnly, "a key is in the chain twice";
    entries_that_the_index_does_not_get: bringing_twice, ForgetsTheBrought, "a key is not in the index";
}
