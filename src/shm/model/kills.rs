//! shuttle: three processes that insert and remove in many schedules, one of them killed at its
//! k-th memory operation, for every k.

use std::cell::Cell;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;

use super::faults::{Fault, Faulty};
use super::scene::{link, Doubling, Extra, Scene, APART, FAMILIES, HERE, LATER, MOVING, NEXT_DOOR, SAME_TAG, STAYING};
use super::words::{Step, Watched};
use crate::shm::state::SeriesAddr;

type AtomicU64 = shuttle::sync::atomic::AtomicU64;
type Small = Scene<AtomicU64>;

/// Schedules for each k and each way to choose them; with `SHMETRICS_LONG=1` a hundred times as
/// many.
const SCHEDULES: usize = 60;
/// Preemptions at chosen places in a schedule of probabilistic concurrency testing.
const DEPTH: usize = 3;

/// How a killed thread ends: nothing runs on its way out.
struct Killed;

/// Dies instead of the k-th operation.
fn mortal(left: &Cell<usize>) -> impl Fn(Step) + '_ {
    |_| match left.get() {
        0 => resume_unwind(Box::new(Killed)),
        n => left.set(n - 1),
    }
}

#[derive(Clone, Copy)]
enum Act {
    Insert(u64),
    Remove(u64),
}
use Act::{Insert, Remove};

/// The steps of three processes, of which the first is killed.
#[derive(Clone, Copy)]
struct Case {
    scene: fn() -> Small,
    acts: [&'static [Act]; 3],
    doubling: Doubling,
}

/// The i-th process' own record for its n-th act. The scenes have two records, and the last process
/// has one for each key.
fn own(i: usize, n: usize) -> u32 {
    link((2 + 3 * i + n) as u32)
}
const AFTER: usize = 11;
const RECORDS: u32 = 18;

const fn case(scene: fn() -> Small, acts: [&'static [Act]; 3]) -> Case {
    Case { scene, acts, doubling: Doubling::No }
}

const ONE_KEY: Case = case(|| Scene::new(RECORDS, Extra::Nothing), [&[Insert(HERE)]; 3]);
const THREE_KEYS: Case =
    case(|| Scene::new(RECORDS, Extra::Nothing), [&[Insert(HERE)], &[Insert(SAME_TAG)], &[Insert(NEXT_DOOR)]]);
const CROWDED: Case = Case {
    scene: || Scene::new(RECORDS, Extra::Doubling).with(&[MOVING, STAYING]).crowded(),
    acts: [&[Insert(APART)], &[Insert(LATER)], &[Insert(APART)]],
    doubling: Doubling::Yes,
};
/// Two free records, and three that want one; one of them gives it back.
const FREE_RECORDS: Case = case(
    || Scene::new(RECORDS, Extra::Room).with(&[STAYING, NEXT_DOOR]).without(&[STAYING, NEXT_DOOR]),
    [&[Insert(HERE), Remove(HERE)], &[Insert(SAME_TAG), Insert(STAYING), Remove(SAME_TAG)], &[Insert(HERE)]],
);
const CHANGING_HANDS: Case = case(
    || Scene::new(RECORDS, Extra::Room).with(&[HERE, STAYING]),
    [&[Remove(HERE), Insert(SAME_TAG)], &[Remove(HERE), Insert(HERE)], &[Insert(HERE), Remove(STAYING)]],
);
const COMING_AND_GOING: Case = case(
    || Scene::new(RECORDS, Extra::Room).with(&[STAYING]),
    [&[Insert(HERE), Remove(HERE)], &[Remove(HERE), Insert(SAME_TAG)], &[Remove(HERE), Insert(HERE)]],
);

/// An announcement that is left on, and its entry removed.
const LEFT_ON: Case = case(
    || Scene::new(RECORDS, Extra::Room),
    [&[Insert(HERE)], &[Remove(HERE), Remove(HERE), Remove(HERE)], &[Insert(SAME_TAG)]],
);

/// One schedule. False if the first process lived to the end.
fn run(case: Case, fault: Fault, k: usize) -> bool {
    let scene = Arc::new((case.scene)());
    let before = scene.audit(false, 0);
    let spawn = |i: usize, operations: usize| {
        let scene = Arc::clone(&scene);
        let act = move |n: usize, act: Act, left: &Cell<usize>| match act {
            Insert(key) => {
                let view = Faulty::new(&scene.words, fault, own(i, n));
                let view = Watched { inner: &view, before: mortal(left) };
                scene.insert(&view, FAMILIES, key, own(i, n), case.doubling).into_word()
            }
            Remove(key) => {
                let view = Faulty::new(&scene.words, fault, 0);
                let view = Watched { inner: &view, before: mortal(left) };
                scene.remove(&view, FAMILIES, key).into()
            }
        };
        shuttle::thread::spawn(move || {
            let left = Cell::new(operations);
            let acts = || case.acts[i].iter().enumerate().map(|(n, a)| act(n, *a, &left)).collect::<Vec<u64>>();
            let end = catch_unwind(AssertUnwindSafe(acts));
            end.map_err(|cause| if cause.is::<Killed>() { Killed } else { resume_unwind(cause) })
        })
    };
    let [first, second, third] = [spawn(0, k), spawn(1, usize::MAX), spawn(2, usize::MAX)].map(|t| t.join().unwrap());
    let killed = first.is_err();
    let (Ok(second), Ok(third)) = (second, third) else { panic!("a survivor died") };

    let lost = usize::from(killed);
    let there = scene.audit(killed, lost);
    // The next process finds all that is there, and completes it.
    let mut expected = there.clone();
    let inserts = case.acts.concat().into_iter().filter_map(|act| if let Insert(key) = act { Some(key) } else { None });
    for (n, key) in before.iter().copied().chain(inserts).enumerate() {
        scene.insert(&scene.words, FAMILIES, key, link((AFTER + n) as u32), case.doubling);
        expected.push(key);
    }
    let mut keys = scene.audit(false, lost);
    for all in [&mut keys, &mut expected] {
        all.sort_unstable();
    }
    expected.dedup();
    assert_eq!(keys, expected);
    if !case.acts.concat().iter().any(|act| matches!(act, Remove(_))) {
        // Nothing goes: all that was found is still where it was.
        for (i, found) in [first.ok(), Some(second), Some(third)].into_iter().enumerate() {
            for (act, found) in case.acts[i].iter().zip(found.into_iter().flatten()) {
                let (Insert(key) | Remove(key)) = *act;
                assert_eq!(scene.find(&scene.words, key).map(SeriesAddr::into_word), Some(found), "process {i}");
            }
        }
    }
    killed
}

/// Kills at every operation until there is none left.
fn at_every_operation(case: Case, fault: Fault) {
    let schedules = if std::env::var_os("SHMETRICS_LONG").is_some() { 100 * SCHEDULES } else { SCHEDULES };
    let executions = Arc::new(AtomicUsize::new(0));
    for k in 0.. {
        let any_killed = Arc::new(AtomicBool::new(false));
        let one = || {
            let (any_killed, executions) = (Arc::clone(&any_killed), Arc::clone(&executions));
            move || {
                executions.fetch_add(1, Relaxed);
                any_killed.fetch_or(run(case, fault, k), Relaxed);
            }
        };
        shuttle::check_random(one(), schedules);
        shuttle::check_pct(one(), schedules, DEPTH);
        shuttle::check_dfs(one(), Some(schedules));
        if !any_killed.load(Relaxed) {
            println!("{} executions, kills at {k} operations", executions.load(Relaxed));
            return;
        }
    }
}

fn one_key(fault: Fault) {
    at_every_operation(ONE_KEY, fault);
}

fn three_keys(fault: Fault) {
    at_every_operation(THREE_KEYS, fault);
}

fn while_doubling(fault: Fault) {
    at_every_operation(CROWDED, fault);
}

fn free_records(fault: Fault) {
    at_every_operation(FREE_RECORDS, fault);
}

fn changing_hands(fault: Fault) {
    at_every_operation(CHANGING_HANDS, fault);
}

fn coming_and_going(fault: Fault) {
    at_every_operation(COMING_AND_GOING, fault);
}

fn left_on(fault: Fault) {
    at_every_operation(LEFT_ON, fault);
}

hold! { one_key three_keys while_doubling free_records changing_hands coming_and_going left_on }

fail! {
    end_before_index: one_key, EndBeforeIndex, "a key is";
    helpers_that_skip_the_index: one_key, HelpersSkipIndex, "a key is";
    look_up_before_pending: one_key, LookUpBeforePending, "a key is";
    helpers_that_look_once: three_keys, HelpersLookOnce, "the chain is a ring";
    no_count: free_records, NoCount, "record"; // lost, or on the free list and not free
}
