//! The handlers that the C library calls around `fork()`: see `fork`.

#[cfg(unix)]
use std::sync::atomic::{AtomicU32, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};

#[cfg(unix)]
use super::fork::{all, count_fork, Kept};
#[cfg(target_os = "linux")]
use super::handover;
#[cfg(unix)]
use super::proof::Hold;
#[cfg(unix)]
use crate::os::host::Undisturbed;
#[cfg(unix)]
use crate::shm::clock;

/// Has the handlers called from now on, in this process and its children.
pub(super) fn install() {
    #[cfg(unix)]
    if ACTIVE.load(Acquire) == NONE {
        register();
    }
}

/// Threads may register at the same time. A lock would not do: a child may be forked while another
/// thread has the lock. So each thread registers a set of handlers of its own, and one set acts.
/// Two sets that both act would take one fork for two, the second inside the first.
#[cfg(unix)]
const SETS: [Handlers; 8] = [
    handlers::<1>(),
    handlers::<2>(),
    handlers::<3>(),
    handlers::<4>(),
    handlers::<5>(),
    handlers::<6>(),
    handlers::<7>(),
    handlers::<8>(),
];
/// The number of the set that acts. It never changes again.
#[cfg(unix)]
static ACTIVE: AtomicU32 = AtomicU32::new(NONE);
#[cfg(unix)]
const NONE: u32 = 0;
/// A bit for each set that a thread has taken.
#[cfg(unix)]
static TAKEN: AtomicU32 = AtomicU32::new(0);
/// Looks at `ACTIVE` of a thread that finds all sets taken. The registrations of the other threads
/// take microseconds.
#[cfg(unix)]
const LOOKS: usize = 1000;

#[cfg(unix)]
type Handler = unsafe extern "C" fn();

#[cfg(unix)]
struct Handlers {
    number: u32,
    before: Handler,
    parent: Handler,
    child: Handler,
}

#[cfg(unix)]
const fn handlers<const NUMBER: u32>() -> Handlers {
    Handlers { number: NUMBER, before: before_fork::<NUMBER>, parent: in_parent::<NUMBER>, child: in_child::<NUMBER> }
}

#[cfg(unix)]
fn register() {
    // Relaxed, here and below: a set is only a number.
    let free = |set: &&Handlers| TAKEN.fetch_or(1 << set.number, Relaxed) & (1 << set.number) == 0;
    let Some(set) = SETS.iter().find(free) else {
        for _ in 0..LOOKS {
            if ACTIVE.load(Acquire) != NONE {
                return;
            }
            // SAFETY: a plain call.
            unsafe { libc::sched_yield() };
        }
        return;
    };
    // SAFETY: the handlers stay as long as the code (the C library is never unloaded; of a plug-in
    // that is, libc drops the handlers with it).
    let failed = unsafe { libc::pthread_atfork(Some(set.before), Some(set.parent), Some(set.child)) };
    if failed == 0 {
        // Release pairs with the Acquire in `install`: the set is registered.
        let _ = ACTIVE.compare_exchange(NONE, set.number, AcqRel, Acquire);
    } else {
        TAKEN.fetch_and(!(1 << set.number), Relaxed);
    }
}

#[cfg(unix)]
fn acts<const NUMBER: u32>() -> bool {
    ACTIVE.load(Acquire) == NUMBER
}

/// Runs in the parent, before it forks.
#[cfg(unix)]
unsafe extern "C" fn before_fork<const NUMBER: u32>() {
    if !acts::<NUMBER>() {
        return;
    }
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
unsafe extern "C" fn in_parent<const NUMBER: u32>() {
    if !acts::<NUMBER>() {
        return;
    }
    let _undisturbed = Undisturbed::new();
    #[cfg(target_os = "linux")]
    handover::parent();
}

/// Runs in the child, before anything else does. Plain stores and system calls: the fork may have
/// interrupted anything.
#[cfg(unix)]
unsafe extern "C" fn in_child<const NUMBER: u32>() {
    if !acts::<NUMBER>() {
        return;
    }
    let _undisturbed = Undisturbed::new();
    let jump = clock::jump_in_child();
    all().for_each(Kept::close_spare);
    #[cfg(target_os = "linux")]
    handover::child();
    all().for_each(|kept| kept.renew(jump, |lock| Hold::of(lock).as_descriptor()));
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::fork::forks;
    use super::*;

    /// What threads do that come to `register` at the same time.
    #[test]
    fn one_set_of_handlers_acts_however_many_are_registered() {
        install();
        let active = ACTIVE.load(Acquire);
        assert_ne!(active, NONE);
        std::thread::scope(|scope| (0..16).for_each(|_| drop(scope.spawn(register))));
        assert_eq!(ACTIVE.load(Acquire), active);
        assert_eq!(TAKEN.load(Relaxed).count_ones() as usize, SETS.len());
        let before = forks();
        // SAFETY: the child calls nothing but `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: a plain call.
            unsafe { libc::_exit(0) };
        }
        // SAFETY: our own child.
        assert_eq!(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }, child);
        assert_eq!(forks(), before + 1, "no other test of this program forks");
    }
}
