//! loom: every schedule of two threads, and every value that the memory model lets a load return, up to a number of
//! preemptions.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;

use super::super::chain::FAMILIES;
use super::super::memory::Memory;
use super::faults::{Fault, Faulty};
use super::scene::{
    index, link, Doubling, Scene, APART, HERE, INDEX_AT, LATER, MAX_BITS, MOVING, SAME_TAG, SERIES, STAYING,
};
use super::words::Words;

type AtomicU64 = loom::sync::atomic::AtomicU64;
type Small = Scene<AtomicU64>;
type View<'a> = Faulty<'a, Words<AtomicU64>>;

/// What a thread does with a scene, through its view of it and with the link of its own record, and what it finds.
type Thread = fn(&Small, &View<'_>, u32) -> u32;

/// A crowded scene has two entries; the threads' records come behind them.
const FIRST: u32 = 2;
const RECORDS: u32 = FIRST + 3;

/// Runs threads on a scene in all ways with so many preemptions (`LOOM_MAX_PREEMPTIONS` says otherwise), and each time
/// `check` on what they left and returned.
fn explore<const N: usize>(
    fault: Fault,
    preemptions: usize,
    scene: fn() -> Small,
    threads: [Thread; N],
    check: fn(&Small, &[u32]),
) {
    let executions = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&executions);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
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

fn empty() -> Small {
    Scene::new(RECORDS)
}

fn crowded() -> Small {
    Scene::crowded(RECORDS, &[MOVING, STAYING])
}

/// A crowded table that doubles, but for its last step.
fn doubling() -> Small {
    let scene = crowded();
    index(&scene.words).maintain(|_| true);
    scene
}

/// Two inserters of one key end up with one entry, complete.
fn one_key(fault: Fault) {
    let insert: Thread = |scene, view, own| scene.insert(view, FAMILIES, HERE, own, Doubling::No);
    explore(fault, 2, empty, [insert, insert], |scene, found| {
        assert_eq!(found[0], found[1], "one key has two entries");
        assert_eq!(scene.audit(FAMILIES, 0), [HERE]);
        assert_eq!(scene.leaked(), 0);
        assert_eq!(scene.ledger.settled.load(Relaxed), 1, "times an entry was settled");
    });
}

/// Two keys that only a comparison tells apart get an entry each.
fn two_keys(fault: Fault) {
    let ours: Thread = |scene, view, own| scene.insert(view, FAMILIES, HERE, own, Doubling::No);
    let theirs: Thread = |scene, view, own| scene.insert(view, FAMILIES, SAME_TAG, own, Doubling::No);
    explore(fault, 2, empty, [ours, theirs], |scene, found| {
        assert_eq!(found, [link(FIRST), link(FIRST + 1)]);
        assert_eq!(scene.audit(FAMILIES, 0).len(), 2);
        assert_eq!(scene.leaked(), 0);
        assert_eq!(scene.ledger.settled.load(Relaxed), 2, "times entries were settled");
    });
}

/// Two chains want the same word of the index.
fn two_chains(fault: Fault) {
    let ours: Thread = |scene, view, own| scene.insert(view, FAMILIES, HERE, own, Doubling::No);
    let theirs: Thread = |scene, view, own| scene.insert(view, SERIES, SAME_TAG, own, Doubling::No);
    explore(fault, 2, empty, [ours, theirs], |scene, _| {
        assert_eq!(scene.audit(FAMILIES, 0), [HERE]);
        assert_eq!(scene.audit(SERIES, 0), [SAME_TAG]);
    });
}

/// Whoever walks the chain, or comes by a word of the index, sees complete entries.
fn reading(fault: Fault) {
    let insert: Thread = |scene, view, own| scene.insert(view, FAMILIES, HERE, own, Doubling::No);
    let read: Thread = |scene, view, _| {
        let found = scene.find(view, HERE).unwrap_or(0);
        let walked: Vec<u64> = scene.walk(FAMILIES).iter().map(|link| scene.key_of(*link)).collect();
        assert!(found == 0 || walked == [HERE], "an entry is in the index before it is in the chain");
        found
    };
    explore(fault, 3, empty, [insert, read], |_, found| assert!(found[1] == 0 || found[1] == found[0]));
}

/// An insertion while one process begins to double the table, and another goes on with it, is found afterwards.
fn inserting_while_doubling(fault: Fault) {
    let insert: Thread = |scene, view, own| scene.insert(view, FAMILIES, APART, own, Doubling::No);
    let double: Thread = |_, view, _| {
        index(view).maintain(|_| true);
        0
    };
    explore(fault, 1, crowded, [insert, double, double], |scene, found| {
        index(&scene.words).maintain(|_| true);
        assert_eq!(index(&scene.words).bits(), MAX_BITS, "the table has not doubled");
        assert_eq!(scene.audit(FAMILIES, 0), [MOVING, STAYING, APART]);
        assert_eq!(found[0], link(FIRST));
    });
}

/// An inserter that the table doubles under finds the entry whose word has been given away since, to another chain.
fn finding_while_doubling(fault: Fault) {
    let again: Thread = |scene, view, own| scene.insert(view, FAMILIES, MOVING, own, Doubling::No);
    let other: Thread = |scene, _, own| scene.insert(&scene.words, SERIES, LATER, own, Doubling::Yes);
    explore(fault, 3, doubling, [again, other], |scene, found| {
        assert_eq!(scene.audit(FAMILIES, 0), [MOVING, STAYING]);
        assert_eq!(found, [link(0), link(FIRST + 1)]);
        let first = scene.words.load64(INDEX_AT, Relaxed);
        assert_eq!(first as u32, found[1], "the scene is to give the old word away");
    });
}

/// Two inserters of one key, both doubling the table.
fn one_key_while_doubling(fault: Fault) {
    let insert: Thread = |scene, view, own| scene.insert(view, FAMILIES, LATER, own, Doubling::Yes);
    explore(fault, 1, doubling, [insert, insert], |scene, found| {
        assert_eq!(found[0], found[1], "one key has two entries");
        assert_eq!(scene.audit(FAMILIES, 0), [MOVING, STAYING, LATER]);
        assert_eq!(scene.leaked(), 0);
    });
}

macro_rules! hold {
    ($($property:ident)*) => {
        mod hold {
            $(#[test] fn $property() { super::$property(super::Fault::Sound); })*
        }
    };
}

macro_rules! fail {
    ($($name:ident: $property:ident, $fault:ident, $message:literal;)*) => {
        mod fail {
            $(#[test] #[should_panic(expected = $message)] fn $name() { super::$property(super::Fault::$fault); })*
        }
    };
}

hold! { one_key two_keys two_chains reading inserting_while_doubling finding_while_doubling one_key_while_doubling }

fail! {
    unpublished_link: reading, RelaxedLink, "seen before it was complete";
    unpublished_word: reading, RelaxedWord, "seen before it was complete";
    unpublished_tail: one_key, RelaxedTail, "one key has two entries";
    tail_before_index: one_key, TailBeforeIndex, "one key has two entries";
    helpers_that_skip_the_index: one_key, HelpersSkipIndex, "one key has two entries";
    look_up_before_tail: one_key, LookUpBeforeTail, "one key has two entries";
    no_fence: inserting_while_doubling, NoFence, "not in the index";
    a_size_believed_for_good: finding_while_doubling, OldSize, "twice";
}
