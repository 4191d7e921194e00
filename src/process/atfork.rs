//! The handlers that the C library calls around `fork()`: see `fork`.

#[cfg(unix)]
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};

#[cfg(unix)]
use super::fork::{all, count_fork, Kept};
#[cfg(target_os = "linux")]
use super::handover;
#[cfg(unix)]
use crate::os::host::Undisturbed;
#[cfg(unix)]
use crate::shm::clock;

/// Has the handlers called from now on, in this process and its children.
pub(super) fn install() {
    #[cfg(unix)]
    {
        static HANDLED: AtomicBool = AtomicBool::new(false);
        // Two threads may both come here. A handler that runs twice does no harm; one that a
        // thread waits for while another forks might.
        if !HANDLED.load(Acquire) {
            // SAFETY: the handlers stay as long as the code (the C library is never unloaded;
            // of a plug-in that is, libc drops the handlers with it).
            let failed = unsafe { libc::pthread_atfork(Some(before_fork), Some(in_parent), Some(in_child)) };
            HANDLED.store(failed == 0, Release);
        }
    }
}

/// Runs in the parent, before it forks.
#[cfg(unix)]
unsafe extern "C" fn before_fork() {
    // `fork` is no cancellation point, and is not to become one.
    let _undisturbed = Undisturbed::new();
    #[cfg(target_os = "linux")]
    handover::prepare(all());
    // After it has waited for other threads' forks, which are not to take this one for theirs.
    count_fork();
    clock::before_fork();
}

/// Runs in the parent, after it has forked.
#[cfg(unix)]
unsafe extern "C" fn in_parent() {
    let _undisturbed = Undisturbed::new();
    #[cfg(target_os = "linux")]
    handover::parent();
}

/// Runs in the child, before anything else does. Plain stores and system calls: the fork may have
/// interrupted anything.
#[cfg(unix)]
unsafe extern "C" fn in_child() {
    let _undisturbed = Undisturbed::new();
    let jump = clock::jump_in_child();
    all().for_each(Kept::close_spare);
    #[cfg(target_os = "linux")]
    handover::child();
    all().for_each(|kept| kept.renew(jump));
}
