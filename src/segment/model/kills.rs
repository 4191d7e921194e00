//! shuttle: three inserters in many schedules, one of them killed at its k-th memory operation, for every k.

use std::cell::Cell;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, Ordering::Relaxed};
use std::sync::Arc;

use super::super::chain::FAMILIES;
use super::super::memory::Memory;
use super::faults::{Fault, Faulty};
use super::scene::{link, Doubling, Scene, APART, HERE, LATER, MOVING, NEXT_DOOR, SAME_TAG, STAYING};

type AtomicU64 = shuttle::sync::atomic::AtomicU64;
type Small = Scene<AtomicU64>;

/// Schedules for each k and each way to choose them; with `SHMETRICS_LONG=1` a hundred times as many.
const SCHEDULES: usize = 60;
/// Preemptions at chosen places in a schedule of probabilistic concurrency testing.
const DEPTH: usize = 3;

/// How a killed thread ends: nothing runs on its way out.
struct Killed;

/// Memory whose user dies instead of its k-th operation.
struct Mortal<M> {
    inner: M,
    left: Cell<usize>,
}

impl<M> Mortal<M> {
    fn live(&self) -> &M {
        match self.left.get() {
            0 => resume_unwind(Box::new(Killed)),
            n => self.left.set(n - 1),
        }
        &self.inner
    }
}

impl<M: Memory> Memory for Mortal<M> {
    fn load32(&self, at: u64, order: Ordering) -> u32 {
        self.live().load32(at, order)
    }
    fn store32(&self, at: u64, value: u32, order: Ordering) {
        self.live().store32(at, value, order);
    }
    fn cas32(&self, at: u64, old: u32, new: u32, ok: Ordering, fail: Ordering) -> Result<u32, u32> {
        self.live().cas32(at, old, new, ok, fail)
    }
    fn load64(&self, at: u64, order: Ordering) -> u64 {
        self.live().load64(at, order)
    }
    fn cas64(&self, at: u64, old: u64, new: u64, ok: Ordering, fail: Ordering) -> Result<u64, u64> {
        self.live().cas64(at, old, new, ok, fail)
    }
    fn add64(&self, at: u64, value: u64, order: Ordering) -> u64 {
        self.live().add64(at, value, order)
    }
    fn fence(&self) {
        self.live().fence();
    }
}

/// The keys of the inserters, the first of whom is killed, and what they find.
#[derive(Clone, Copy)]
struct Case {
    scene: fn() -> Small,
    keys: [u64; 3],
    doubling: Doubling,
}

const ONE_KEY: Case = Case { scene: || Scene::new(6), keys: [HERE, HERE, HERE], doubling: Doubling::No };
const THREE_KEYS: Case = Case { scene: || Scene::new(6), keys: [HERE, SAME_TAG, NEXT_DOOR], doubling: Doubling::No };
const CROWDED: Case =
    Case { scene: || Scene::crowded(6, &[MOVING, STAYING]), keys: [APART, LATER, APART], doubling: Doubling::Yes };

/// One schedule. False if the first inserter lived to the end.
fn run(case: Case, fault: Fault, k: usize) -> bool {
    let scene = Arc::new((case.scene)());
    let before = scene.audit(FAMILIES, 0);
    let spawn = |i: usize, operations: usize| {
        let scene = Arc::clone(&scene);
        shuttle::thread::spawn(move || {
            let own = link(2 + i as u32);
            let view = Mortal { inner: Faulty::new(&scene.words, fault, own), left: Cell::new(operations) };
            let end =
                catch_unwind(AssertUnwindSafe(|| scene.insert(&view, FAMILIES, case.keys[i], own, case.doubling)));
            end.map_err(|cause| if cause.is::<Killed>() { Killed } else { resume_unwind(cause) })
        })
    };
    let inserters = [spawn(0, k), spawn(1, usize::MAX), spawn(2, usize::MAX)];
    let [first, second, third] = inserters.map(|i| i.join().unwrap());
    let killed = first.is_err();
    let unmoved = usize::from(killed);
    let (Ok(second), Ok(third)) = (second, third) else { panic!("a survivor died") };

    scene.audit(FAMILIES, unmoved);
    assert!(scene.leaked() <= unmoved, "a kill cost {} records", scene.leaked());
    let settled = scene.ledger.settled.load(Relaxed) as usize;
    let linked = scene.walk(FAMILIES).len();
    assert!(settled <= linked && settled + unmoved >= linked, "{settled} of {linked} entries were settled");

    // Whoever comes next finds all that is there, and completes it.
    for (i, (key, found)) in case.keys.into_iter().zip([first.ok(), Some(second), Some(third)]).enumerate() {
        let link = scene.insert(&scene.words, FAMILIES, key, link(5), case.doubling);
        assert!(found.is_none_or(|f| f == link), "inserter {i} was given another entry");
    }
    let mut keys = scene.audit(FAMILIES, 0);
    let mut expected = [&before[..], &case.keys[..]].concat();
    for all in [&mut keys, &mut expected] {
        all.sort_unstable();
    }
    expected.dedup();
    assert_eq!(keys, expected);
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

#[test]
fn one_key() {
    at_every_operation(ONE_KEY, Fault::Sound);
}

#[test]
fn three_keys() {
    at_every_operation(THREE_KEYS, Fault::Sound);
}

#[test]
fn while_doubling() {
    at_every_operation(CROWDED, Fault::Sound);
}

#[test]
#[should_panic(expected = "twice")]
fn tail_before_index_is_caught() {
    at_every_operation(ONE_KEY, Fault::TailBeforeIndex);
}

#[test]
#[should_panic(expected = "twice")]
fn helpers_that_skip_the_index_are_caught() {
    at_every_operation(ONE_KEY, Fault::HelpersSkipIndex);
}

#[test]
#[should_panic(expected = "twice")]
fn look_up_before_tail_is_caught() {
    at_every_operation(ONE_KEY, Fault::LookUpBeforeTail);
}
