//! loom: every schedule of two threads, and every value that the memory model lets a load return, up to a number of
//! preemptions.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;

use super::super::chain::FAMILIES;
use super::super::life::Life;
use super::super::memory::Memory;
use super::faults::{Fault, Faulty};
use super::scene::{
    count, expire, index, link, Doubling, Scene, APART, HERE, INDEX_AT, LATER, MAX_BITS, MOVING, NEXT_DOOR, SAME_TAG,
    SERIES, STAYING,
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
    explore(fault, 1, empty, [ours, theirs], |scene, found| {
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

/// Whoever comes by an entry that is live, by the index or along the chain, sees all of it.
fn reading(fault: Fault) {
    let insert: Thread = |scene, view, own| scene.insert(view, FAMILIES, HERE, own, Doubling::No);
    let read: Thread = |scene, view, _| scene.find(view, HERE).map_or(0, |(link, _)| link);
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

/// A scene with one entry.
fn one() -> Small {
    Scene::with(RECORDS, &[HERE])
}

/// And with a free record behind it.
fn one_free() -> Small {
    let scene = Scene::with(RECORDS, &[HERE, NEXT_DOOR]);
    assert!(scene.remove(&scene.words, NEXT_DOOR));
    scene
}

/// Of two that remove a key one does, and its record can be used again.
fn removing_twice(fault: Fault) {
    let remove: Thread = |scene, view, _| u32::from(scene.remove(view, HERE));
    explore(fault, 2, one, [remove, remove], |scene, found| {
        assert_eq!(found[0] + found[1], 1, "removals that took place");
        assert_eq!(scene.audit(FAMILIES, 0), [0; 0]);
        assert_eq!(scene.leaked(), 0);
    });
}

/// A key that is removed while it is inserted is there afterwards if the removal came first or not at all, and then found.
fn removing_while_inserting(fault: Fault) {
    let insert: Thread = |scene, view, own| scene.insert(view, FAMILIES, SAME_TAG, own, Doubling::No);
    let remove: Thread = |scene, view, _| u32::from(scene.remove(view, SAME_TAG));
    explore(fault, 2, one_free, [insert, remove], |scene, found| {
        let there = scene.audit(FAMILIES, 0).contains(&SAME_TAG);
        assert_eq!(there, found[1] == 0, "there, and removed: {}", found[1]);
        assert_eq!(scene.leaked(), 0);
        let (settled, removed) = (&scene.ledger.settled, &scene.ledger.removed);
        let series = scene.audit(FAMILIES, 0).len() as u32;
        assert_eq!(settled.load(Relaxed) - removed.load(Relaxed), series, "settled and not removed");
    });
}

/// Two keys and one free record: one gets it, and both get in.
fn one_free_record_for_two(fault: Fault) {
    let ours: Thread = |scene, view, own| scene.insert(view, FAMILIES, SAME_TAG, own, Doubling::No);
    let theirs: Thread = |scene, view, own| scene.insert(view, FAMILIES, NEXT_DOOR, own, Doubling::No);
    explore(fault, 1, one_free, [ours, theirs], |scene, found| {
        assert_ne!(found[0], found[1], "two keys in one record");
        assert_eq!(scene.audit(FAMILIES, 0).len(), 3);
        assert_eq!(scene.leaked(), 0);
    });
}

/// A look-up of a key finds it or not while its record changes hands, and never as another's.
fn looking_up_while_it_changes_hands(fault: Fault) {
    let change: Thread = |scene, view, own| {
        assert!(scene.remove(view, HERE));
        scene.insert(view, FAMILIES, SAME_TAG, own, Doubling::No)
    };
    let look_up: Thread = |scene, view, _| {
        let old = scene.find(view, HERE);
        let new = scene.find(view, SAME_TAG);
        assert!(old.is_none_or(|(_, life)| life == Life(0)) && new.is_none_or(|(_, life)| life == Life(1)));
        u32::from(new.is_some())
    };
    explore(fault, 2, one, [change, look_up], |scene, found| {
        assert_eq!(scene.audit(FAMILIES, 0), [SAME_TAG]);
        assert_eq!(found[0], link(0), "the record was used again");
    });
}

/// An update through an old handle never counts into the record's next life.
fn counting_through_an_old_handle(fault: Fault) {
    let change: Thread = |scene, view, own| {
        assert!(scene.remove(view, HERE));
        scene.insert(view, FAMILIES, SAME_TAG, own, Doubling::No)
    };
    let update: Thread = |_, view, _| u32::from(count(view, link(0), Life(0)));
    explore(fault, 2, one, [change, update], |scene, found| {
        assert_eq!(scene.counted(found[0]), 0, "counted into another series");
    });
}

/// A series that expires while it is looked up or removed is found, or gone for good.
fn expiring(fault: Fault) {
    let hide: Thread = |_, view, _| u32::from(expire(view, link(0)));
    let insert: Thread = |scene, view, own| scene.insert(view, FAMILIES, HERE, own, Doubling::No);
    let remove: Thread = |scene, view, _| u32::from(scene.remove(view, HERE));
    explore(fault, 2, one, [hide, insert], |scene, found| {
        assert_eq!((found[1], scene.audit(FAMILIES, 0)), (link(0), vec![HERE]));
    });
    explore(fault, 2, one, [hide, remove], |scene, found| {
        assert_eq!((found[1], scene.audit(FAMILIES, 0)), (1, vec![]));
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

hold! {
    one_key two_keys two_chains reading inserting_while_doubling finding_while_doubling one_key_while_doubling
    removing_twice removing_while_inserting one_free_record_for_two looking_up_while_it_changes_hands
    counting_through_an_old_handle expiring
}

fail! {
    unpublished_announcement: one_key, RelaxedAnnouncement, "two entries";
    unpublished_end: one_key, RelaxedEnd, "two entries";
    end_before_index: one_key, EndBeforeIndex, "two entries";
    helpers_that_skip_the_index: one_key, HelpersSkipIndex, "two entries";
    look_up_before_pending: one_key, LookUpBeforePending, "two entries";
    no_fence: inserting_while_doubling, NoFence, "not in the index";
    a_size_believed_for_good: finding_while_doubling, OldSize, "twice";
    an_update_of_any_life: counting_through_an_old_handle, AnyLife, "counted into another series";
}
