//! Every way to die or to stop.

use std::ffi::CString;

use crate::scene::Scene;
use common::{fork, linger, Gate};

/// Dies of a signal, whatever handler it had.
fn die_of(signal: i32) {
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain calls.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core);
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Waits until a child is dead, and leaves it a zombie.
fn wait_for_the_zombie(pid: libc::pid_t) {
    // SAFETY: an all-zero siginfo is a valid value to be filled in.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: a plain call with a local.
    let r = unsafe { libc::waitid(libc::P_PID, pid as libc::id_t, &raw mut info, libc::WEXITED | libc::WNOWAIT) };
    assert_eq!(r, 0);
}

#[test]
fn a_dead_process_is_gone_from_the_gauges_of_the_living_however_it_died() {
    let ways: [(&str, fn()); 6] = [
        ("SIGKILL", || die_of(libc::SIGKILL)),
        ("SIGTERM", || die_of(libc::SIGTERM)),
        ("a crash", || die_of(libc::SIGSEGV)),
        ("abort", || die_of(libc::SIGABRT)),
        ("exit", || std::process::exit(3)),
        // SAFETY: ends the child at once.
        ("_exit", || unsafe { libc::_exit(3) }),
    ];
    let scene = Scene::new("deaths");
    for (updates, (way, die)) in (1..).zip(ways) {
        let go = Gate::new();
        let mut worker = scene.worker(|| {
            go.wait();
            die();
        });
        scene.assert(updates, 1, &format!("before {way}"));
        assert_eq!(scene.pids(), [worker.0 as u32]);
        assert!(!scene.segment.mark_dead(worker.0 as u32), "it lives");
        go.signal();
        wait_for_the_zombie(worker.0);
        scene.assert(updates, 0, &format!("{way}, not reaped yet"));
        assert!(scene.segment.mark_dead(worker.0 as u32), "it is dead");
        assert_ne!(worker.wait(), 0, "{way}");
        scene.assert(updates, 0, way);
    }
    assert_eq!(scene.name.reader().inspect().processes.len(), 1, "one slot for all");
}

#[test]
fn a_process_that_executes_another_program_is_gone() {
    let scene = Scene::new("exec");
    let (to, from) = (Gate::new(), Gate::new());
    let cat = CString::new("/bin/cat").unwrap();
    let worker = scene.worker(|| {
        let argv = [cat.as_ptr(), std::ptr::null()];
        // SAFETY: our own descriptors, and NUL-terminated strings.
        unsafe {
            libc::dup2(to.descriptors()[0], 0);
            libc::dup2(from.descriptors()[1], 1);
            libc::execv(cat.as_ptr(), argv.as_ptr());
        }
        panic!("exec: {}", std::io::Error::last_os_error());
    });
    // What comes back, comes from the new program.
    to.signal();
    from.wait();
    scene.assert(1, 0, "the process lives on as another program");
    scene.count();
    scene.assert(2, 1, "its slot can be taken");
    worker.kill();
}

#[test]
fn a_stopped_process_lives() {
    let scene = Scene::new("stopped");
    let worker = scene.worker(linger);
    worker.signal(libc::SIGSTOP);
    let mut status = 0;
    // SAFETY: our own child, not reaped yet.
    assert_eq!(unsafe { libc::waitpid(worker.0, &raw mut status, libc::WUNTRACED) }, worker.0);
    assert!(libc::WIFSTOPPED(status));
    scene.assert(1, 1, "stopped");
    assert!(!scene.segment.mark_dead(worker.0 as u32), "and is not marked dead");
    let second = scene.worker(linger);
    scene.assert(2, 2, "a stopped process keeps its slot");
    worker.signal(libc::SIGCONT);
    scene.assert(2, 2, "continued");
    worker.kill();
    scene.assert(2, 1, "killed");
    second.kill();
}

#[test]
fn marking_a_process_dead_changes_nothing() {
    let scene = Scene::new("marking");
    let me = std::process::id();
    assert!(scene.segment.mark_dead(me), "without a gauge of its own a process has nothing to lose");
    scene.count();
    let worker = scene.worker(linger);
    for pid in [me, worker.0 as u32] {
        assert!(!scene.segment.mark_dead(pid));
    }
    for pid in [0, 1, u32::MAX] {
        assert!(scene.segment.mark_dead(pid), "{pid} is no process here");
    }
    scene.assert(2, 2, "all live as before");
    fork(|| assert!(!scene.segment.mark_dead(me), "a child, too, sees its parent alive")).join();
    worker.kill();
    scene.assert(2, 1, "the dead are gone, marked or not");
}
