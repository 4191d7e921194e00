//! Schedules made to order: a process that is interrupted where it reads a certain word, by all that others do
//! meanwhile.

use std::cell::RefCell;
use std::sync::atomic::AtomicU64;

use super::super::chain::offset;
use super::super::layout::entry;
use super::faults::{Fault, Faulty};
use super::scene::{link, Doubling, Extra, Scene, FAMILIES, FREE, HERE, SAME_TAG};
use super::words::{Step, Watched};

type Interruption<'a> = (u64, Box<dyn FnOnce() + 'a>);

/// Interrupts before the first load of each of these words, in this order.
fn in_order(by: Vec<Interruption<'_>>) -> impl Fn(Step) + '_ {
    let by = RefCell::new(by);
    move |step| {
        let is_next = matches!((step, by.borrow().first()), (Step::Load(at), Some((word, _))) if *word == at);
        if is_next {
            let (_, interrupt) = by.borrow_mut().remove(0);
            interrupt();
        }
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
    let view = Watched { inner: &scene.words, before: in_order(by) };
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
    let view = Watched { inner: &scene.words, before: in_order(by) };
    scene.insert(&view, FAMILIES, SAME_TAG, link(1), Doubling::No);
    assert_eq!(scene.audit(true, 0), [SAME_TAG]);
}

hold! { taking_the_record_of_an_announcement one_key_and_the_record_of_an_announcement }

fail! {
    removers_that_do_not_help: taking_the_record_of_an_announcement, RemoversDoNotHelp, "gave back what is not its";
    one_key_twice: one_key_and_the_record_of_an_announcement, RemoversDoNotHelp, "a key is in the chain twice";
}
