//! Children of the test that say what went wrong in them.

use std::any::Any;
use std::fs::File;
use std::io::{Error, Read, Write};
use std::os::fd::FromRawFd;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Seconds after which a child must be waiting for something that never comes. The kernel ends it
/// then.
const PATIENCE: u32 = 60;
/// The same for children that are stopped for most of the time.
pub const PATIENCE_FOR_VICTIMS: u32 = 600;

/// Forks a child that calls `f` and exits: 0, or 101 if it panics. It ends with the thread that
/// forked it.
pub fn fork(patience: u32, f: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child calls the closure and leaves by _exit, so it runs none of the parent's
    // destructors. glibc makes malloc safe in it, whatever other threads of the test were doing.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: plain calls of the child on itself.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::alarm(patience);
            }
            let end = catch_unwind(AssertUnwindSafe(f));
            if let Err(cause) = &end {
                let _ = writeln!(std::io::stderr(), "a child panicked: {}", words(&**cause));
            }
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(if end.is_ok() { 0 } else { 101 }) }
        }
        pid => {
            assert!(pid > 0, "fork: {}", Error::last_os_error());
            pid
        }
    }
}

/// Runs `f` in a child, to its end. The error is what `f` panicked with, or how the child died.
pub fn run(f: impl FnOnce()) -> Result<(), String> {
    let mut ends = [0; 2];
    // SAFETY: a plain call with a local; then each descriptor gets one owner.
    let (mut out, mut report) = unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0, "pipe: {}", Error::last_os_error());
        (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
    };
    let pid = fork(PATIENCE, || {
        if let Err(cause) = catch_unwind(AssertUnwindSafe(f)) {
            let _ = report.write_all(words(&*cause).as_bytes());
        }
    });
    drop(report);
    let mut text = String::new();
    let read = out.read_to_string(&mut text);
    let mut status = 0;
    // SAFETY: our own child, not reaped yet.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    match (status, read) {
        (0, Ok(0)) => Ok(()),
        (0, Ok(_)) => Err(text),
        _ => Err(format!("a survivor ended with status {status:#x}: {text}")),
    }
}

fn words(cause: &(dyn Any + Send)) -> &str {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    text.or(cause.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}
