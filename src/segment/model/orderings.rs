//! loom: every schedule of two threads, and every value that the memory model lets a load return, up to a number of
//! preemptions.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;

use super::super::memory::Memory;
use super::faults::{Fault, Faulty};
use super::scene::{index, link, Doubling, Scene, APART, HERE, INDEX_AT, LATER, MAX_BITS, MOVING, SAME_TAG, STAYING};
use super::words::Words;

type AtomicU64 = loom::sync::atomic::AtomicU64;
type Small = Scene<AtomicU64>;
type View<'a> = Faulty<'a, Words<AtomicU64>>;

/// The threads' own records, behind those of a crowded scene.
const OURS: u32 = 2;
const THEIRS: u32 = 3;
const RECORDS: u32 = 4;

/// Runs two threads on a scene, each with its view of it, in all ways with so many preemptions (`LOOM_MAX_PREEMPTIONS` says
/// otherwise), and each time `check` on what they left and returned.
fn explore<A: 'static, B: 'static>(
    fault: Fault,
    preemptions: usize,
    scene: fn() -> Small,
    ours: fn(&Small, &View<'_>) -> A,
    theirs: fn(&Small, &View<'_>) -> B,
    check: fn(&Small, A, B),
) {
    let executions = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&executions);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    let bound = builder.preemption_bound;
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        let scene = Arc::new(scene());
        let shared = Arc::clone(&scene);
        let other = loom::thread::spawn(move || theirs(&shared, &Faulty::new(&shared.words, fault, link(THEIRS))));
        let a = ours(&scene, &Faulty::new(&scene.words, fault, link(OURS)));
        let b = other.join().unwrap();
        check(&scene, a, b);
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
    explore(
        fault,
        2,
        empty,
        |scene, view| scene.insert(view, HERE, link(OURS), Doubling::No),
        |scene, view| scene.insert(view, HERE, link(THEIRS), Doubling::No),
        |scene, a, b| {
            assert_eq!(a, b, "one key has two entries");
            assert_eq!(scene.audit(0), [HERE]);
            assert_eq!(scene.leaked(), 0);
            assert_eq!(scene.ledger.settled.load(Relaxed), 1, "times an entry was settled");
        },
    );
}

/// Two keys that only a comparison tells apart get an entry each.
fn two_keys(fault: Fault) {
    explore(
        fault,
        2,
        empty,
        |scene, view| scene.insert(view, HERE, link(OURS), Doubling::No),
        |scene, view| scene.insert(view, SAME_TAG, link(THEIRS), Doubling::No),
        |scene, a, b| {
            assert_eq!((a, b), (link(OURS), link(THEIRS)));
            assert_eq!(scene.audit(0).len(), 2);
            assert_eq!(scene.leaked(), 0);
            assert_eq!(scene.ledger.settled.load(Relaxed), 2, "times entries were settled");
        },
    );
}

/// Whoever walks the chain, or comes by a word of the index, sees complete entries.
fn reading(fault: Fault) {
    explore(
        fault,
        3,
        empty,
        |scene, view| scene.insert(view, HERE, link(OURS), Doubling::No),
        |scene, view| {
            let found = scene.find(view, HERE);
            let walked: Vec<u64> = scene.walk().iter().map(|link| scene.key_of(*link)).collect();
            (found, walked)
        },
        |_, ours, (found, walked)| {
            assert!(found.is_none_or(|link| link == ours));
            assert!(found.is_none() || walked == [HERE], "an entry is in the index before it is in the chain");
        },
    );
}

/// An insertion while the table doubles is found afterwards, and so is everything else.
fn inserting_while_doubling(fault: Fault) {
    explore(
        fault,
        2,
        crowded,
        |scene, view| scene.insert(view, APART, link(OURS), Doubling::No),
        |_, view| {
            index(view).maintain(|_| true);
            index(view).maintain(|_| true);
        },
        |scene, ours, ()| {
            assert_eq!(index(&scene.words).bits(), MAX_BITS, "the table has not doubled");
            assert_eq!(scene.audit(0), [MOVING, STAYING, APART]);
            assert_eq!(ours, link(OURS));
        },
    );
}

/// A look-up that the table doubles under, and whose word is given away, finds its entry nevertheless.
fn finding_while_doubling(fault: Fault) {
    explore(
        fault,
        3,
        doubling,
        |scene, view| scene.find(view, MOVING),
        |scene, _| scene.insert(&scene.words, LATER, link(THEIRS), Doubling::Yes),
        |scene, found, _| {
            assert_eq!(found, Some(link(0)), "an entry that was there was not found");
            assert_eq!(scene.audit(0), [MOVING, STAYING, LATER]);
            let first = scene.words.load64(INDEX_AT, Relaxed);
            assert_eq!(first as u32, link(THEIRS), "the scene is to give the old word away");
        },
    );
}

/// Two inserters of one key, both doubling the table.
fn one_key_while_doubling(fault: Fault) {
    explore(
        fault,
        1,
        doubling,
        |scene, view| scene.insert(view, LATER, link(OURS), Doubling::Yes),
        |scene, view| scene.insert(view, LATER, link(THEIRS), Doubling::Yes),
        |scene, a, b| {
            assert_eq!(a, b, "one key has two entries");
            assert_eq!(scene.audit(0), [MOVING, STAYING, LATER]);
            assert_eq!(scene.leaked(), 0);
        },
    );
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

hold! { one_key two_keys reading inserting_while_doubling finding_while_doubling one_key_while_doubling }

fail! {
    unpublished_link: reading, RelaxedLink, "seen before it was complete";
    unpublished_word: reading, RelaxedWord, "seen before it was complete";
    unpublished_tail: one_key, RelaxedTail, "one key has two entries";
    tail_before_index: one_key, TailBeforeIndex, "one key has two entries";
    helpers_that_skip_the_index: one_key, HelpersSkipIndex, "one key has two entries";
    look_up_before_tail: one_key, LookUpBeforeTail, "one key has two entries";
    no_fence: inserting_while_doubling, NoFence, "not in the index";
    a_size_believed_for_good: finding_while_doubling, OldSize, "was not found";
}
