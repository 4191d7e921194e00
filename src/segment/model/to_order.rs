//! Schedules made to order: a process that is interrupted where it reads a certain word, by all that others do
//! meanwhile.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::chain::{offset, FAMILIES};
use super::super::layout::entry;
use super::super::memory::Memory;
use super::faults::{Fault, Faulty};
use super::scene::{link, Doubling, Extra, Scene, FREE, HERE, SAME_TAG};

type Interruption<'a> = (u64, Box<dyn FnOnce() + 'a>);

/// Memory whose user is interrupted before the first load of each of these words, in this order.
struct Interrupted<'a, M> {
    inner: &'a M,
    by: RefCell<Vec<Interruption<'a>>>,
}

impl<M> Interrupted<'_, M> {
    fn before_load(&self, at: u64) {
        let is_next = self.by.borrow().first().is_some_and(|(word, _)| *word == at);
        if is_next {
            let (_, interrupt) = self.by.borrow_mut().remove(0);
            interrupt();
        }
    }
}

impl<M: Memory> Memory for Interrupted<'_, M> {
    fn load32(&self, at: u64, order: Ordering) -> u32 {
        self.before_load(at);
        self.inner.load32(at, order)
    }
    fn store32(&self, at: u64, value: u32, order: Ordering) {
        self.inner.store32(at, value, order);
    }
    fn cas32(&self, at: u64, old: u32, new: u32, ok: Ordering, fail: Ordering) -> Result<u32, u32> {
        self.inner.cas32(at, old, new, ok, fail)
    }
    fn load64(&self, at: u64, order: Ordering) -> u64 {
        self.before_load(at);
        self.inner.load64(at, order)
    }
    fn cas64(&self, at: u64, old: u64, new: u64, ok: Ordering, fail: Ordering) -> Result<u64, u64> {
        self.inner.cas64(at, old, new, ok, fail)
    }
    fn add64(&self, at: u64, value: u64, order: Ordering) -> u64 {
        self.inner.add64(at, value, order)
    }
    fn fence(&self) {
        self.inner.fence();
    }
}

type Small = Scene<AtomicU64>;

/// One process inserts `HERE` and is stopped where it would end the announcement; another removes it.
fn insert_stop_remove(scene: &Small, fault: Fault) {
    let view = Faulty::new(&scene.words, fault, link(0));
    scene.insert(&view.of_stopped(), FAMILIES, HERE, link(0), Doubling::No);
    assert!(scene.remove(&view.of_remover(), FAMILIES, HERE));
}

/// An inserter has looked, in vain, and is about to take a free record. Meanwhile there comes one: of an entry that was
/// inserted and removed, and whose announcement is on.
fn taking_the_record_of_an_announcement(fault: Fault) {
    let scene = Small::new(6, Extra::Nothing);
    let by: Vec<Interruption<'_>> = vec![(FREE, Box::new(|| insert_stop_remove(&scene, fault)))];
    let view = Interrupted { inner: &scene.words, by: RefCell::new(by) };
    let place = scene.insert(&view, FAMILIES, SAME_TAG, link(1), Doubling::No);
    assert_eq!(scene.find(&scene.words, SAME_TAG), Some(place), "what was given to an inserter is not there");
    assert_eq!(scene.audit(true, 0), [SAME_TAG]);
}

/// The same, and a third process inserts the same key after the record was taken and before it is written; once it is,
/// there is still one entry.
fn one_key_and_the_record_of_an_announcement(fault: Fault) {
    let scene = Small::new(6, Extra::Nothing);
    let other = || {
        scene.insert(&scene.words, FAMILIES, SAME_TAG, link(2), Doubling::No);
    };
    let by: Vec<Interruption<'_>> = vec![
        (FREE, Box::new(|| insert_stop_remove(&scene, fault))),
        (offset(link(0)) + entry::TAG, Box::new(other)),
        (FAMILIES.pending, Box::new(|| assert_eq!(scene.keys(FAMILIES), [SAME_TAG]))),
    ];
    let view = Interrupted { inner: &scene.words, by: RefCell::new(by) };
    scene.insert(&view, FAMILIES, SAME_TAG, link(1), Doubling::No);
    assert_eq!(scene.audit(true, 0), [SAME_TAG]);
}

hold! { taking_the_record_of_an_announcement one_key_and_the_record_of_an_announcement }

fail! {
    removers_that_do_not_help: taking_the_record_of_an_announcement, RemoversDoNotHelp, "gave back what is not its";
    one_key_twice: one_key_and_the_record_of_an_announcement, RemoversDoNotHelp, "a key is in the chain twice";
}
