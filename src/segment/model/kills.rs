//! shuttle: three processes that insert and remove in many schedules, one of them killed at its k-th memory operation, for
//! every k.

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

/// Two that may be there before, three for each process, and one for whoever comes after.
const RECORDS: u32 = 12;
const SPARE: u32 = RECORDS - 1;

/// How a killed thread ends: nothing runs on its way out.
struct Killed;

/// Memory whose user dies instead of its k-th operation.
struct Mortal<'a, M> {
    inner: M,
    left: &'a Cell<usize>,
}

impl<M> Mortal<'_, M> {
    fn live(&self) -> &M {
        match self.left.get() {
            0 => resume_unwind(Box::new(Killed)),
            n => self.left.set(n - 1),
        }
        &self.inner
    }
}

impl<M: Memory> Memory for Mortal<'_, M> {
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

/// What a process does.
#[derive(Clone, Copy)]
enum Act {
    Insert(u64),
    Remove(u64),
}
use Act::{Insert, Remove};

/// What three processes do, the first of whom is killed.
#[derive(Clone, Copy)]
struct Case {
    scene: fn() -> Small,
    acts: [&'static [Act]; 3],
    doubling: Doubling,
}

const fn inserting(scene: fn() -> Small, acts: [&'static [Act]; 3]) -> Case {
    Case { scene, acts, doubling: Doubling::No }
}

const ONE_KEY: Case = inserting(|| Scene::new(RECORDS), [&[Insert(HERE)], &[Insert(HERE)], &[Insert(HERE)]]);
const THREE_KEYS: Case =
    inserting(|| Scene::new(RECORDS), [&[Insert(HERE)], &[Insert(SAME_TAG)], &[Insert(NEXT_DOOR)]]);
const CROWDED: Case = Case {
    scene: || Scene::crowded(RECORDS, &[MOVING, STAYING]),
    acts: [&[Insert(APART)], &[Insert(LATER)], &[Insert(APART)]],
    doubling: Doubling::Yes,
};
const CHANGING_HANDS: Case = inserting(
    || Scene::with(RECORDS, &[HERE, NEXT_DOOR]),
    [&[Remove(HERE), Insert(SAME_TAG)], &[Remove(HERE), Insert(HERE)], &[Insert(HERE), Remove(NEXT_DOOR)]],
);
const ONE_KEY_COMES_AND_GOES: Case = inserting(
    || Scene::with(RECORDS, &[NEXT_DOOR]),
    [&[Insert(HERE), Remove(HERE)], &[Insert(HERE), Remove(HERE), Insert(SAME_TAG)], &[Remove(HERE), Insert(HERE)]],
);

/// One schedule. False if the first process lived to the end.
fn run(case: Case, fault: Fault, k: usize) -> bool {
    let scene = Arc::new((case.scene)());
    let removing = case.acts.iter().any(|acts| acts.iter().any(|act| matches!(act, Remove(_))));
    let spawn = |i: usize, operations: usize| {
        let scene = Arc::clone(&scene);
        shuttle::thread::spawn(move || {
            let left = Cell::new(operations);
            let end = catch_unwind(AssertUnwindSafe(|| {
                for (n, act) in case.acts[i].iter().enumerate() {
                    let own = link((2 + 3 * i + n) as u32);
                    match *act {
                        Insert(key) => {
                            let view = Mortal { inner: Faulty::new(&scene.words, fault, own), left: &left };
                            scene.insert(&view, FAMILIES, key, own, case.doubling);
                        }
                        Remove(key) => {
                            let view = Mortal { inner: Faulty::new(&scene.words, fault, 0), left: &left };
                            scene.remove(&view, key);
                        }
                    }
                }
            }));
            end.map_err(|cause| if cause.is::<Killed>() { Killed } else { resume_unwind(cause) })
        })
    };
    let [first, second, third] = [spawn(0, k), spawn(1, usize::MAX), spawn(2, usize::MAX)].map(|t| t.join().unwrap());
    let killed = first.is_err();
    assert!(second.is_ok() && third.is_ok(), "a survivor died");
    let kills = usize::from(killed);

    scene.audit(FAMILIES, kills);
    assert!(scene.leaked() <= kills, "a kill cost {} records", scene.leaked());
    // Whoever comes next finds all that is there, and completes it.
    let before = scene.audit(FAMILIES, kills);
    for key in &before {
        scene.insert(&scene.words, FAMILIES, *key, link(SPARE), case.doubling);
    }
    scene.insert(&scene.words, FAMILIES, LATER, link(SPARE), case.doubling);
    let keys = scene.audit(FAMILIES, 0);
    assert!(before.iter().all(|key| keys.contains(key)), "what was there is there");
    assert!(scene.leaked() <= kills, "a kill cost {} records", scene.leaked());
    let settled = (scene.ledger.settled.load(Relaxed) - scene.ledger.removed.load(Relaxed)) as usize;
    assert!(settled.abs_diff(keys.len()) <= kills, "{settled} of {} entries were settled", keys.len());
    if !removing {
        let survivors = case.acts[1..].iter().flat_map(|acts| acts.iter());
        assert!(survivors.map(|(Insert(key) | Remove(key))| key).all(|key| keys.contains(key)), "a key is missing");
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
fn records_that_change_hands() {
    at_every_operation(CHANGING_HANDS, Fault::Sound);
}

#[test]
fn one_key_that_comes_and_goes() {
    at_every_operation(ONE_KEY_COMES_AND_GOES, Fault::Sound);
}

macro_rules! caught {
    ($($name:ident: $case:ident, $fault:ident, $message:literal;)*) => {
        $(#[test] #[should_panic(expected = $message)] fn $name() { at_every_operation($case, Fault::$fault); })*
    };
}

caught! {
    end_before_index_is_caught: ONE_KEY, EndBeforeIndex, "a key is";
    helpers_that_skip_the_index_are_caught: ONE_KEY, HelpersSkipIndex, "a key is";
    look_up_before_pending_is_caught: ONE_KEY, LookUpBeforePending, "a key is";
}
