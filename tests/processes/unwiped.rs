//! Kernels, and emulators of kernels, that do not wipe the page by which a fork is noticed.

use crate::forks::raw_clone;
use crate::scene::Scene;
use common::{fork, linger, note, page, samples, Child, Gate};

/// From here on `madvise(MADV_WIPEONFORK)` returns this error (0: success) and does nothing.
fn take_wiping_away(error: i32) -> bool {
    let is = |value: u32, otherwise: u8| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: otherwise,
        k: value,
    };
    let load =
        |at: u32| libc::sock_filter { code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, jt: 0, jf: 0, k: at };
    let answer = |k: u32| libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k };
    let third_argument = 16 + 2 * 8 + if cfg!(target_endian = "big") { 4 } else { 0 };
    let mut filter = [
        load(0),
        is(libc::SYS_madvise as u32, 3),
        load(third_argument),
        is(libc::MADV_WIPEONFORK as u32, 1),
        answer(libc::SECCOMP_RET_ERRNO | error as u32),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: plain calls with locals.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    }
}

/// A child without wiping, which has counted, has children of each of these kinds.
fn without_wiping(error: i32, ways: &[fn(&Scene, &Gate) -> Child]) {
    fork(|| {
        if !take_wiping_away(error) {
            return note("skipped: system call filters are not permitted here");
        }
        let scene = Scene::new("unwiped");
        scene.segment.set_identity(7);
        scene.count();
        for (i, way) in (0..).zip(ways) {
            let ready = Gate::new();
            let child = way(&scene, &ready);
            ready.wait();
            scene.assert(2 + i, 2, "the child has a slot of its own");
            assert_eq!(scene.pids(), [std::process::id(), child.0 as u32]);
            let s = samples(&page(&scene.segment));
            assert_eq!(s["all{pid=\"7\"}"], 1.0, "and does not touch its parent's value");
            assert_eq!(s[&format!("all{{pid=\"{}\"}}", child.0)], 1.0, "nor has it its parent's identity");
            child.kill();
            scene.assert(2 + i, 1, "the parent lives on");
        }
    })
    .join();
}

fn counts(scene: &Scene, ready: &Gate) {
    scene.count();
    ready.signal();
    linger();
}

const BY_FORK: fn(&Scene, &Gate) -> Child = |scene, ready| fork(|| counts(scene, ready));
const BY_CLONE: fn(&Scene, &Gate) -> Child = |scene, ready| raw_clone(|| counts(scene, ready));

#[test]
fn a_fork_is_noticed_where_the_kernel_says_that_it_wipes_and_does_not() {
    without_wiping(0, &[BY_FORK, BY_FORK]);
}

#[test]
fn any_fork_is_noticed_where_the_kernel_cannot_wipe() {
    without_wiping(libc::EINVAL, &[BY_FORK, BY_CLONE, BY_FORK]);
}
