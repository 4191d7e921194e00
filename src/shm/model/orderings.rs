//! loom: every schedule of two or three processes, and every value that the memory model lets a
//! load return, up to a number of preemptions. Here, how entries come in.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;

use super::faults::{Fault, Faulty};
use super::scene::{
    index, link, Doubling, Extra, Scene, APART, FAMILIES, HERE, INDEX_AT, LATER, MAX_BITS, MOVING, NEXT_DOOR, SAME_TAG,
    SERIES, STAYING,
};
use super::words::Words;
use crate::shm::memory::Memory;
use crate::shm::state::SeriesAddr;

type AtomicU64 = loom::sync::atomic::AtomicU64;
pub(super) type Small = Scene<AtomicU64>;
pub(super) type View<'a> = Faulty<'a, Words<AtomicU64>>;

/// What a thread does with a scene, through its view of it and with the link of its own record. It
/// returns the word of a [`SeriesAddr`], or another number.
pub(super) type Thread = fn(&Small, &View<'_>, u32) -> u64;

/// A scene may have two records; the threads' own come behind them.
pub(super) const FIRST: u32 = 2;
pub(super) const RECORDS: u32 = FIRST + 3;

/// The first generation of a record.
pub(super) fn first_generation(i: u32) -> u64 {
    link(i).into()
}

/// Runs threads on a scene in all ways with so many preemptions (`LOOM_MAX_PREEMPTIONS` says
/// otherwise), and each time `check` on what they left and returned.
pub(super) fn explore<const N: usize>(
    fault: Fault,
    preemptions: usize,
    scene: fn() -> Small,
    threads: [Thread; N],
    check: fn(&Small, &[u64]),
) {
    let executions = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&executions);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.max_branches = 10_000;
    let bound = builder.preemption_bound;
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        let scene = Arc::new(scene());
        let run = move |scene: &Small, i: usize| {
            let own = link(FIRST + i as u32);
            threads[i](scene, &Faulty::new(&scene.words, fault, own), own)
        };
        let spawn = |i| {
            let scene = Arc::clone(&scene);
            loom::thread::spawn(move || run(&scene, i))
        };
        let others: Vec<_> = (1..N).map(spawn).collect();
        let mut found = vec![run(&scene, 0)];
        found.extend(others.into_iter().map(|other| other.join().unwrap()));
        check(&scene, &found);
    });
    println!("{} executions, at most {bound:?} preemptions each", executions.load(Relaxed));
}

pub(super) fn empty() -> Small {
    Scene::new(RECORDS, Extra::Nothing)
}

fn crowded() -> Small {
    Scene::new(RECORDS, Extra::Doubling).with(&[MOVING, STAYING]).crowded()
}

/// A crowded table that doubles, but for its last step.
fn doubling() -> Small {
    let scene = crowded();
    index(&scene.words).maintain(|_| true);
    scene
}

/// Two inserters of one key end up with one entry, complete.
fn one_key(fault: Fault) {
    let insert: Thread = |scene, view, own| scene.insert(view, FAMILIES, HERE, own, Doubling::No).into_word();
    explore(fault, 2, empty, [insert, insert], |scene, found| {
        assert_eq!(found[0], found[1], "one key has two entries");
        assert_eq!(scene.audit(false, 0), [HERE]);
    });
}

/// Two keys that only a comparison tells apart get an entry each.
fn two_keys(fault: Fault) {
    let ours: Thread = |scene, view, own| scene.insert(view, FAMILIES, HERE, own, Doubling::No).into_word();
    let theirs: Thread = |scene, view, own| scene.insert(view, FAMILIES, SAME_TAG, own, Doubling::No).into_word();
    explore(fault, 2, empty, [ours, theirs], |scene, found| {
        assert_eq!(found, [first_generation(FIRST), first_generation(FIRST + 1)]);
        assert_eq!(scene.audit(false, 0).len(), 2);
    });
}

/// Two chains want the same word of the index.
fn two_chains(fault: Fault) {
    let ours: Thread = |scene, view, own| scene.insert(view, FAMILIES, HERE, own, Doubling::No).into_word();
    let theirs: Thread = |scene, view, own| scene.insert(view, SERIES, SAME_TAG, own, Doubling::No).into_word();
    explore(fault, 2, empty, [ours, theirs], |scene, _| {
        assert_eq!(scene.audit(false, 0), [HERE]);
        assert_eq!(scene.keys(SERIES), [SAME_TAG]);
    });
}

/// A word that is further from its home than any before it is not taken for stale by a process
/// that inserts into another chain.
fn further_than_any(fault: Fault) {
    let further: Thread = |scene, view, own| scene.insert(view, FAMILIES, SAME_TAG, own, Doubling::No).into_word();
    let there: Thread = |scene, view, own| scene.insert(view, SERIES, NEXT_DOOR, own, Doubling::No).into_word();
    // By the maximum probe distance alone, as it is for words that are at least the smallest size
    // from their homes.
    let one = || {
        let mut scene = empty();
        scene.words.min_bits = 0;
        scene.with(&[HERE])
    };
    explore(fault, 3, one, [further, there], |scene, _| {
        assert_eq!(scene.audit(false, 0), [HERE, SAME_TAG]);
        assert_eq!(scene.keys(SERIES), [NEXT_DOOR]);
    });
}

/// An inserter that is stopped while it helps does nothing to what comes later.
fn helping(fault: Fault) {
    let two: Thread = |scene, view, own| {
        scene.insert(view, FAMILIES, HERE, own, Doubling::No);
        scene.insert(view, FAMILIES, SAME_TAG, link(FIRST + 2), Doubling::No).into_word()
    };
    let helper: Thread = |scene, view, own| scene.insert(view, FAMILIES, STAYING, own, Doubling::No).into_word();
    let preemptions = if fault == Fault::Sound { 1 } else { 2 };
    explore(fault, preemptions, empty, [two, helper], |scene, _| assert_eq!(scene.audit(false, 0).len(), 3));
}

/// A thread that walks the chain, or reads a word of the index, sees complete entries.
fn reading(fault: Fault) {
    let insert: Thread = |scene, view, own| scene.insert(view, FAMILIES, HERE, own, Doubling::No).into_word();
    let read: Thread = |scene, view, _| {
        let found = scene.find(view, HERE).map_or(0, SeriesAddr::into_word);
        let walked = scene.pages(view, FAMILIES);
        assert!(found == 0 || walked == [HERE], "an entry is in the index before it is in the chain");
        found
    };
    explore(fault, 3, empty, [insert, read], |_, found| assert!(found[1] == 0 || found[1] == found[0]));
}

/// An insertion while one process begins to double the table, and another goes on with it, is found
/// afterwards.
fn inserting_while_doubling(fault: Fault) {
    let insert: Thread = |scene, view, own| scene.insert(view, FAMILIES, APART, own, Doubling::No).into_word();
    let double: Thread = |_, view, _| {
        index(view).maintain(|_| true);
        0
    };
    explore(fault, 1, crowded, [insert, double, double], |scene, found| {
        index(&scene.words).maintain(|_| true);
        assert_eq!(index(&scene.words).bits(), MAX_BITS, "the table has not doubled");
        assert_eq!(scene.audit(false, 0), [MOVING, STAYING, APART]);
        assert_eq!(found[0], first_generation(FIRST));
    });
}

/// An inserter that the table doubles under finds the entry whose word has been given away since,
/// to another chain.
fn finding_while_doubling(fault: Fault) {
    let again: Thread = |scene, view, own| scene.insert(view, FAMILIES, MOVING, own, Doubling::No).into_word();
    let other: Thread = |scene, _, own| scene.insert(&scene.words, SERIES, LATER, own, Doubling::Yes).into_word();
    explore(fault, 3, doubling, [again, other], |scene, found| {
        assert_eq!(scene.audit(false, 0), [MOVING, STAYING]);
        assert_eq!(found, [first_generation(0), first_generation(FIRST + 1)]);
        let first = scene.words.load64(INDEX_AT, Relaxed);
        assert_eq!(first as u32, found[1] as u32, "the scene is to give the old word away");
    });
}

/// Two inserters of one key, both doubling the table.
fn one_key_while_doubling(fault: Fault) {
    let insert: Thread = |scene, view, own| scene.insert(view, FAMILIES, LATER, own, Doubling::Yes).into_word();
    explore(fault, 1, doubling, [insert, insert], |scene, found| {
        assert_eq!(found[0], found[1], "one key has two entries");
        assert_eq!(scene.audit(false, 0), [MOVING, STAYING, LATER]);
    });
}

hold! {
    one_key two_keys two_chains further_than_any helping reading
    inserting_while_doubling finding_while_doubling one_key_while_doubling
}

fail! {
    unpublished_announcement: one_key, RelaxedAnnouncement, "one key has two entries";
    unpublished_end: one_key, RelaxedEnd, "one key has two entries";
    unpublished_generation: reading, RelaxedLive, "seen before it was complete";
    end_before_index: one_key, EndBeforeIndex, "one key has two entries";
    helpers_that_skip_the_index: one_key, HelpersSkipIndex, "one key has two entries";
    look_up_before_pending: one_key, LookUpBeforePending, "one key has two entries";
    helpers_that_look_once: helping, HelpersLookOnce, "the chain is a ring";
    no_fence: inserting_while_doubling, NoFence, "not in the index";
    a_max_probe_believed_for_good: further_than_any, OldMaxProbe, "not in the index";
    unpublished_max_probe: further_than_any, RelaxedWord, "not in the index";
    a_size_believed_for_good: finding_while_doubling, OldSize, "twice";
}
