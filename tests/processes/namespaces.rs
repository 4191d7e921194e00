//! Workers in PID namespaces of their own, as in containers.

use crate::scene::Scene;
use common::{fork, is_root, linger, note, Gate};

#[test]
fn a_worker_in_another_pid_namespace_lives_and_dies_in_plain_sight() {
    let scene = Scene::new("namespace");
    fork(|| {
        let flags = libc::CLONE_NEWPID | if is_root() { 0 } else { libc::CLONE_NEWUSER };
        // SAFETY: a plain call, in a child with one thread.
        if unsafe { libc::unshare(flags) } != 0 {
            return note("skipped: PID namespaces are not permitted here");
        }
        scene.count();
        let (go, seen) = (Gate::new(), Gate::new());
        let worker = scene.worker(|| {
            assert_eq!(std::process::id(), 1, "the first of its namespace");
            scene.assert(2, 2, "from inside, both live");
            seen.signal();
            go.wait();
            linger();
        });
        seen.wait();
        scene.assert(2, 2, "from outside, both live");
        assert!(scene.pids().contains(&1));
        assert!(scene.segment.mark_dead(1), "no process has its pid out here");
        scene.assert(2, 2, "and is no way to it");
        worker.signal(libc::SIGSTOP);
        scene.assert(2, 2, "stopped");
        worker.kill();
        // There is a process 1 out here.
        scene.assert(2, 1, "killed");
    })
    .join();
}
