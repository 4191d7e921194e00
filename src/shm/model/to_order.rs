//! Schedules made to order: a process that is interrupted where it reads a certain word, by all
//! that others do meanwhile.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Mutex;

use super::faults::{Fault, Faulty};
use super::scene::{link, Doubling, Extra, Scene, FAMILIES, FREE, HERE, SAME_TAG};
use super::words::{Step, Watched, Words};
use crate::shm::index::Index;
use crate::shm::layout::offset;
use crate::shm::layout::{entry, header};
use crate::shm::memory::Memory;

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

/// One process inserts `HERE` and is stopped where it would end the announcement; another removes
/// it.
fn insert_stop_remove(scene: &Small, fault: Fault) {
    let view = Faulty::new(&scene.words, fault, link(0));
    scene.insert(&view.of_stopped(), FAMILIES, HERE, link(0), Doubling::No);
    assert!(scene.remove(&view.of_remover(), FAMILIES, HERE));
}

/// An inserter has looked, in vain, and is about to take a free record. Meanwhile there comes one:
/// of an entry that was inserted and removed, and whose announcement is on.
fn taking_the_record_of_an_announcement(fault: Fault) {
    let scene = Small::new(6, Extra::Nothing);
    let by: Vec<Interruption<'_>> = vec![(FREE, Box::new(|| insert_stop_remove(&scene, fault)))];
    let view = Watched { inner: &scene.words, before: in_order(by) };
    let place = scene.insert(&view, FAMILIES, SAME_TAG, link(1), Doubling::No);
    assert_eq!(scene.find(&scene.words, SAME_TAG), Some(place), "what was given to an inserter is not there");
    assert_eq!(scene.audit(true, 0), [SAME_TAG]);
}

/// The same, and a third process inserts the same key after the record was taken and before it is
/// written; once it is, there is still one entry.
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

/// Where the index of `LateHelper` begins.
const TABLE: u64 = 1 << 20;
/// Its size at first, and the largest one.
const SMALL: u32 = 3;
const LARGE: u32 = 5;
/// The word that a late helper places, which is at home in the first word in all sizes, and its
/// link.
const LATE: (u32, u32) = (1 << LARGE, 77);
/// The word of a competitor, which is at home where that one stands.
const NEAR: (u32, u32) = (1, 88);

/// A process that stops before a load, tells so, and waits to go on.
struct Stop {
    says: Sender<()>,
    waits: Mutex<Receiver<()>>,
}

/// The other end of it.
struct Stopped {
    hears: Receiver<()>,
    goes_on: Sender<()>,
}

fn stop() -> (Stop, Stopped) {
    let ((says, hears), (goes_on, waits)) = (channel(), channel());
    (Stop { says, waits: Mutex::new(waits) }, Stopped { hears, goes_on })
}

impl Stop {
    fn here(&self) {
        self.says.send(()).unwrap();
        let _ = self.waits.lock().unwrap().recv();
    }
}

/// A helper that has read the sizes of the index places its word for the small one after the table
/// has doubled. A competitor takes that word for stale, and is stopped where it would overwrite
/// it; meanwhile the helper finds its own word, for the present size, and does nothing more.
/// The index still has both words. `doublings`: how often the table doubles while the helper is
/// stopped. `by_max_probe_alone`: as it would be if every word beyond
/// the maximum probe distance were stale.
fn a_late_helper(doublings: u32, by_max_probe_alone: bool) {
    let mut offsets = vec![header::INDEX_BITS, header::INDEX_TARGET, header::INDEX_CURSOR, header::INDEX_ENTRIES];
    offsets.extend((SMALL..=LARGE).map(|bits| header::INDEX_MAX_PROBE + 4 * u64::from(bits)));
    offsets.extend((0..1 << LARGE).map(|i| TABLE + 8 * i));
    let mut words = Words::<AtomicU64>::at(offsets, &[]);
    assert_eq!(words.min_bits, SMALL);
    if by_max_probe_alone {
        words.min_bits = 0;
    }
    let words = &words;
    words.store32(header::INDEX_BITS, SMALL, Relaxed);
    words.store32(header::INDEX_TARGET, SMALL, Relaxed);
    let index = Index { memory: words, at: TABLE, max_bits: LARGE };
    // Words that are at home in all sizes, and so many that the table doubles.
    let others = [(0, 1), (2, 2), (4, 3), (5, 4), (6, 5)];
    others.iter().for_each(|(tag, link)| index.insert(*tag, *link));
    let grow = |bits: u32| {
        let entries = words.load64(header::INDEX_ENTRIES, Relaxed);
        words.store64(header::INDEX_ENTRIES, (5 << bits) / 8 + 1, Relaxed);
        index.maintain(|_| true);
        words.store64(header::INDEX_ENTRIES, entries, Relaxed);
    };
    grow(SMALL);
    assert_eq!(words.load32(header::INDEX_TARGET, Relaxed), SMALL + 1);
    let (helper, of_helper) = stop();
    let (competitor, of_competitor) = stop();
    let max_probe = |bits: u32| header::INDEX_MAX_PROBE + 4 * u64::from(bits);
    std::thread::scope(|s| {
        let helping = s.spawn(move || {
            let stops = AtomicUsize::new(0);
            let before = |step: Step| {
                let Step::Load(at) = step else { return };
                let its = words.load64(TABLE + 8, Relaxed) as u32 == LATE.1;
                let is_next = match stops.load(Relaxed) {
                    // It has read both sizes.
                    0 => at == max_probe(SMALL),
                    // Its word is there, and it is about to look for the other size.
                    1 => at == max_probe(SMALL + 1) && its,
                    _ => false,
                };
                if is_next {
                    stops.fetch_add(1, Relaxed);
                    helper.here();
                }
            };
            let memory = Watched { inner: words, before };
            Index { memory: &memory, at: TABLE, max_bits: LARGE }.insert(LATE.0, LATE.1);
        });
        of_helper.hears.recv().unwrap();
        index.maintain(|_| true);
        for bits in SMALL + 1..SMALL + doublings {
            grow(bits);
            index.maintain(|_| true);
        }
        assert_eq!(words.load32(header::INDEX_BITS, Relaxed), SMALL + doublings, "the table has doubled");
        of_helper.goes_on.send(()).unwrap();
        of_helper.hears.recv().unwrap();
        assert_eq!(words.load64(TABLE + 8, Relaxed) as u32, LATE.1, "its word is one step from its home");
        let competing = s.spawn(move || {
            let (seen, stopped) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let before = |step: Step| match step {
                Step::Load(at) if at == TABLE + 8 => seen.store(1, Relaxed),
                Step::Other if seen.load(Relaxed) == 1 && stopped.fetch_add(1, Relaxed) == 0 => competitor.here(),
                _ => {}
            };
            let memory = Watched { inner: words, before };
            Index { memory: &memory, at: TABLE, max_bits: LARGE }.insert(NEAR.0, NEAR.1);
        });
        of_competitor.hears.recv().unwrap();
        of_helper.goes_on.send(()).unwrap();
        helping.join().unwrap();
        of_competitor.goes_on.send(()).unwrap();
        competing.join().unwrap();
    });
    for (tag, link) in others.into_iter().chain([LATE, NEAR]) {
        let found = index.find_surely(u64::from(tag) << 32, |its| its == link);
        assert_eq!(found, Some(link), "an entry is not in the index");
    }
}

#[test]
fn a_word_that_is_placed_for_a_size_that_is_over_stays() {
    a_late_helper(1, false);
}

#[test]
fn a_word_that_is_placed_for_a_size_that_was_over_long_ago_stays() {
    a_late_helper(2, false);
}

#[test]
#[should_panic(expected = "an entry is not in the index")]
fn control_stale_by_the_max_probe_alone() {
    a_late_helper(1, true);
}

hold! { taking_the_record_of_an_announcement one_key_and_the_record_of_an_announcement }

fail! {
    removers_that_do_not_help: taking_the_record_of_an_announcement, RemoversDoNotHelp, "gave back what is not its";
    one_key_twice: one_key_and_the_record_of_an_announcement, RemoversDoNotHelp, "a key is in the chain twice";
}
