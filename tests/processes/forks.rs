//! Every way to have a child.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::OnceLock;

use crate::scene::{reap_orphans, Scene};
use common::{fork, linger, named, page, samples, Gate, Shared};
use shmetrics::{Gauge, GaugeMode, Options};

#[test]
fn a_thread_may_fork_while_others_count_and_look_up() {
    const CHILDREN: u64 = 30;
    const UPDATES: u64 = 100;
    let segment = named("threads");
    let family = segment.counter("c", "").labels(["n"]).register().unwrap();
    let live = segment.gauge("live", "", GaugeMode::LiveSum).register().unwrap();
    let sum = segment.gauge("sum", "", GaugeMode::Sum).register().unwrap();
    let update = |n: u64| {
        family.with([&n.to_string()]).inc();
        live.inc();
        sum.inc();
    };
    let done = AtomicBool::new(false);
    let by_threads: u64 = std::thread::scope(|s| {
        let update = &update;
        let done = &done;
        let others: Vec<_> = (1..=3)
            .map(|t| {
                s.spawn(move || {
                    let mut n = 0;
                    // New series, and after a while old ones.
                    while !done.load(Ordering::Relaxed) {
                        update(t << 32 | (n % 1500));
                        n += 1;
                    }
                    n
                })
            })
            .collect();
        let forker = s.spawn(|| {
            for child in 0..CHILDREN {
                fork(|| {
                    (0..UPDATES).for_each(|n| update(child << 48 | n));
                    let me = std::process::id();
                    let processes = segment.reader().inspect().processes;
                    assert!(processes.iter().any(|p| p.alive && p.pid == me), "a slot of its own: {processes:?}");
                })
                .join();
            }
        });
        let forked = forker.join();
        done.store(true, Ordering::Relaxed);
        forked.expect("the thread that forks");
        others.into_iter().map(|t| t.join().unwrap()).sum()
    });
    let s = samples(&page(&segment));
    let total: f64 = s.iter().filter(|(k, _)| k.starts_with("c_total")).map(|(_, v)| v).sum();
    let all = (by_threads + CHILDREN * UPDATES) as f64;
    assert_eq!((total, s["sum"], s["live"]), (all, all, by_threads as f64));
    assert_eq!(segment.reader().inspect().rejected_updates, 0);
}

#[test]
fn a_grandchild_outlives_the_child_between() {
    let scene = Scene::new("double");
    // A host of its own: it reaps the orphan.
    fork(|| {
        reap_orphans();
        let (go, ready) = (Gate::new(), Gate::new());
        let told = Shared::new(1);
        let child = scene.worker(|| {
            let grandchild = fork(|| {
                go.wait();
                scene.count();
                ready.signal();
                linger();
            });
            told.set(0, grandchild.0 as u64);
            std::mem::forget(grandchild);
        });
        let first = child.0 as u32;
        child.join();
        scene.assert(1, 0, "the child is dead, though the silent grandchild has a copy of its lock");
        assert!(scene.segment.mark_dead(first));
        go.signal();
        ready.wait();
        scene.assert(2, 1, "the grandchild counts as itself");
        assert_eq!(scene.pids(), [told.get(0) as u32]);
        common::Child(told.get(0) as libc::pid_t).kill();
        scene.assert(2, 0, "until it dies");
    })
    .join();
}

/// Forks without libc's knowledge.
pub(crate) fn raw_clone(f: impl FnOnce()) -> common::Child {
    let zero: libc::c_long = 0;
    // SAFETY: as fork; the caller has one thread, so no lock of libc's is taken. The child leaves
    // by _exit.
    match unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(libc::SIGCHLD), zero, zero, zero, zero) } {
        0 => {
            let ok = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_ok();
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(if ok { 0 } else { 101 }) }
        }
        pid => {
            assert!(pid > 0, "clone: {}", std::io::Error::last_os_error());
            common::Child(pid as libc::pid_t)
        }
    }
}

#[test]
fn a_child_made_by_the_bare_system_call_is_noticed() {
    let scene = Scene::new("clone");
    fork(|| {
        scene.count();
        let ready = Gate::new();
        let child = raw_clone(|| {
            scene.count();
            ready.signal();
            linger();
        });
        ready.wait();
        scene.assert(2, 2, "parent and child");
        assert_eq!(scene.pids(), [std::process::id(), child.0 as u32]);
        child.kill();
        scene.assert(2, 1, "the parent");
    })
    .join();
    scene.assert(2, 0, "neither");
}

#[test]
fn starting_other_programs_changes_nothing() {
    let scene = Scene::new("spawn");
    fork(|| {
        scene.count();
        // posix_spawn, and (for the directory) fork or vfork with exec.
        assert!(Command::new("/bin/true").status().unwrap().success());
        assert!(Command::new("/bin/true").current_dir("/").status().unwrap().success());
        scene.assert(1, 1, "after spawning");
        let mut running = Command::new("/bin/sleep").arg("600").spawn().unwrap();
        scene.assert(1, 1, "while the other program runs");
        assert_eq!(scene.pids(), [std::process::id()]);
        running.kill().unwrap();
        running.wait().unwrap();
    })
    .join();
    // The programs that it started had no copy of its lock.
    let worker = scene.worker(|| {
        let running = Command::new("/bin/sleep").arg("5").spawn().unwrap();
        std::mem::forget(running);
        linger();
    });
    scene.assert(2, 1, "it lives");
    worker.kill();
    scene.assert(2, 0, "dead, whatever its programs do");
}

/// Runs as a child of vfork does: in its parent's memory, while the parent waits.
extern "C" fn count_and_execute(scene: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the parent waits, so what it borrows is there.
    unsafe { (*scene.cast::<Scene>()).count() };
    let program = c"/bin/true";
    let argv = [program.as_ptr(), std::ptr::null()];
    // SAFETY: NUL-terminated strings.
    unsafe { libc::execv(program.as_ptr(), argv.as_ptr()) };
    101
}

#[test]
fn a_vfork_child_counts_as_its_parent() {
    let scene = Scene::new("vfork");
    fork(|| {
        scene.count();
        let mut stack = vec![0u128; 64 << 10];
        let top = stack.as_mut_ptr_range().end;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: a stack of its own, 16-byte aligned; it runs until it executes another program.
        let pid =
            unsafe { libc::clone(count_and_execute, top.cast(), flags, std::ptr::from_ref(&scene).cast_mut().cast()) };
        assert!(pid > 0);
        common::Child(pid).join();
        let s = samples(&page(&scene.segment));
        assert_eq!((s["count_total"], s["live"], s["sum"]), (2.0, 2.0, 2.0), "both updates are the parent's");
        assert_eq!(scene.pids(), [std::process::id()], "who lives");
    })
    .join();
    scene.assert(2, 0, "gone");
}

/// The gauge that the host's fork handler sets.
static IN_HANDLER: OnceLock<Gauge> = OnceLock::new();
const HOOK: &str = "SHMETRICS_TEST_HOOK";

extern "C" fn update_in_child() {
    if let Some(gauge) = IN_HANDLER.get() {
        gauge.set(5.0);
    }
}

/// The program of the test below, which has a handler of its own before the library has any; by
/// itself it does nothing.
#[test]
fn the_host_with_a_fork_handler() {
    unsafe extern "C" {
        fn pthread_atfork(
            before: Option<extern "C" fn()>,
            parent: Option<extern "C" fn()>,
            child: Option<extern "C" fn()>,
        ) -> libc::c_int;
    }
    if std::env::var_os(HOOK).is_none() {
        return;
    }
    // SAFETY: a handler that stays, and makes calls that a handler may make.
    assert_eq!(unsafe { pthread_atfork(None, None, Some(update_in_child)) }, 0);
    let segment = Options::new().anonymous().max_size(1 << 20).open().unwrap();
    let gauge = segment.gauge("live", "", GaugeMode::LiveSum).register().unwrap();
    IN_HANDLER.set(gauge).unwrap();
    let live = || samples(&page(&segment))["live"];
    gauge.set(100.0);
    fork(|| {
        assert_eq!(live(), 105.0);
        gauge.set(3.0);
        assert_eq!(live(), 103.0, "the process has one slot");
        fork(|| {
            assert_eq!(live(), 108.0);
            gauge.dec();
            assert_eq!(live(), 107.0);
        })
        .join();
        assert_eq!(live(), 103.0);
    })
    .join();
    assert_eq!(live(), 100.0);
}

#[test]
fn a_hosts_own_fork_handler_may_make_the_first_update_of_a_child() {
    let host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "forks::the_host_with_a_fork_handler"])
        .env(HOOK, "1")
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(host.success());
}
