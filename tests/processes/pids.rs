//! Pids come back.

use crate::scene::{reap_orphans, Scene};
use common::{fork, linger, note, own, Child, Gate, Shared};

/// Forks a child with this pid. `None`: it is not permitted here.
fn fork_as(pid: libc::pid_t, f: impl FnOnce()) -> Option<Child> {
    // SAFETY: an all-zero value asks for nothing.
    let mut how: libc::clone_args = unsafe { std::mem::zeroed() };
    how.exit_signal = libc::SIGCHLD as u64;
    how.set_tid = std::ptr::from_ref(&pid) as u64;
    how.set_tid_size = 1;
    // SAFETY: as fork; the caller has one thread. The child leaves by _exit.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw mut how, size_of::<libc::clone_args>()) } {
        0 => {
            let ok = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_ok();
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(if ok { 0 } else { 101 }) }
        }
        made if made > 0 => Some(Child(made as libc::pid_t)),
        _ => {
            note("skipped: choosing a child's pid is not permitted here");
            None
        }
    }
}

#[test]
fn a_process_with_a_dead_ones_pid_is_not_the_dead_one() {
    let scene = Scene::new("pids");
    fork(|| {
        let worker = scene.worker(linger);
        let pid = worker.0;
        worker.kill();
        let (ready, go, done) = (Gate::new(), Gate::new(), Gate::new());
        let Some(successor) = fork_as(pid, || {
            ready.signal();
            go.wait();
            scene.count();
            done.signal();
            linger();
        }) else {
            return;
        };
        ready.wait();
        assert_eq!(successor.0, pid);
        scene.assert(1, 0, "the dead one's value does not come to life with its pid");
        go.signal();
        done.wait();
        scene.assert(2, 1, "the new one has a value of its own");
        successor.kill();
        scene.assert(2, 0, "and takes it along");
    })
    .join();
}

#[test]
fn a_descendant_with_its_dead_ancestors_pid_has_a_slot_of_its_own() {
    let scene = Scene::new("pids");
    fork(|| {
        reap_orphans();
        let (go, done) = (Gate::new(), Gate::new());
        let told = Shared::new(1);
        let ancestor = scene.worker(|| {
            let me = std::process::id() as libc::pid_t;
            // One that never counts, as the master of a prefork server may be, stands between them.
            let master = fork(|| {
                go.wait();
                let Some(descendant) = fork_as(me, || scene.count()) else {
                    scene.count();
                    return done.signal();
                };
                assert_eq!(descendant.0, me);
                descendant.join();
                done.signal();
            });
            told.set(0, master.0 as u64);
            std::mem::forget(master);
        });
        ancestor.join();
        scene.assert(1, 0, "the ancestor is dead");
        go.signal();
        done.wait();
        Child(told.get(0) as libc::pid_t).join();
        scene.assert(2, 0, "its descendant's update is counted");
        assert_eq!(own(&scene.segment, "shmetrics_updates_rejected_total"), 0.0);
    })
    .join();
}
