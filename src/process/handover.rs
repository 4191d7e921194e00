//! A file description for each child, opened by its parent at the fork.
//!
//! A worker of a root master changes its user soon after the fork, and cannot open the segment's
//! file then. So a parent that runs as root opens the file once more before it forks, for the child
//! to lock a slot by, and closes its own copy afterwards. The child closes its copy when it takes
//! its slot. Parents without privileges have nothing to hand on: their children can open the file
//! as well as they can.
//!
//! Other threads may fork at the same time. A child closes what other threads' forks hand on,
//! which is noted where the child finds it; but a fork copies the descriptors and the memory one
//! after the other, and a note may come or go in between. So forks wait for each other, as they
//! mostly do in the kernel. The wait is short, because a thread may never come back from another
//! handler. A thread that waited in vain opens nothing. A thread closes what it has opened if
//! another thread began to fork meanwhile.
//!
//! Claims of slots wait for the forks of other threads too, for the same reason: see
//! `forks_at_rest`.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use super::fork::{forks, Kept};
use crate::os::clock::monotonic_ms;
use crate::os::host::Undisturbed;
use crate::shm::mapping::linux;

/// Segments of which a fork hands a description on.
const MOST: usize = 4;

#[derive(Clone, Copy)]
struct Handed {
    kept: &'static Kept,
    descriptor: i32,
    note: usize,
}

thread_local! {
    /// What this thread's fork hands on.
    static HANDED: Cell<[Option<Handed>; MOST]> = const { Cell::new([None; MOST]) };
    /// The number of forks that this thread is in: a signal handler may fork during a fork.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Threads of this process that are forking.
static FORKING: AtomicU32 = AtomicU32::new(0);
/// The longest wait for other threads' forks.
const PATIENCE_MS: u64 = 100;

/// In the parent, before the fork, and before it is counted in `forks`.
pub(super) fn prepare(all: impl Iterator<Item = &'static Kept>) {
    let depth = DEPTH.get();
    DEPTH.set(depth + 1);
    // SAFETY: a plain call.
    let hands_on = unsafe { libc::geteuid() } == 0;
    if hands_on && depth == 0 && begin() {
        open(all);
        return;
    }
    FORKING.fetch_add(1, SeqCst);
    // A signal handler forks during a fork of its thread. Its child must not share what that fork
    // hands on.
    take_back();
}

/// A wait for other threads' forks. It ends, because such a fork may wait for a lock that the
/// calling thread has: the host's handlers run in a fork, too.
#[derive(Default)]
pub(super) struct Patience {
    start: Option<u64>,
}

impl Patience {
    /// Waits a little. False: no longer.
    fn wait(&mut self) -> bool {
        let now = monotonic_ms();
        let lasts = now.saturating_sub(*self.start.get_or_insert(now)) <= PATIENCE_MS;
        if lasts {
            // SAFETY: a plain call.
            unsafe { libc::sched_yield() };
        }
        lasts
    }
}

/// Whether other threads are in a fork. A fork of this thread is no matter: it comes wholly before
/// or after what a signal handler of the thread does.
fn others_fork() -> bool {
    FORKING.load(SeqCst) > DEPTH.get()
}

/// `forks()` at a moment at which no other thread is in a fork, if there is one soon. If the number
/// is the same later, no child has copied the descriptors at one moment since and the memory at
/// another.
pub(super) fn forks_at_rest(patience: &mut Patience) -> u64 {
    loop {
        let before = forks();
        // A fork that the number has counted is seen here until its copies are made.
        if !others_fork() || !patience.wait() {
            return before;
        }
    }
}

/// Waits for the forks of other threads, then counts this one. False: they take too long.
fn begin() -> bool {
    let mut patience = Patience::default();
    loop {
        // SeqCst, here and below: in one order with `forks`.
        if FORKING.compare_exchange(0, 1, SeqCst, SeqCst).is_ok() {
            return true;
        }
        if !patience.wait() {
            return false;
        }
    }
}

/// Opens a description of each segment for the child.
fn open(all: impl Iterator<Item = &'static Kept>) {
    let before = forks();
    let _undisturbed = Undisturbed::new();
    let mut handed = [None; MOST];
    for (kept, place) in all.filter(|kept| kept.has_gauges()).zip(&mut handed) {
        let (file, own) = kept.file();
        let Some(descriptor) = linux::open_again(own, file) else { continue };
        // Children of other threads close what is noted.
        match kept.note(descriptor) {
            Some(note) => *place = Some(Handed { kept, descriptor, note }),
            None => close(descriptor),
        }
    }
    HANDED.set(handed);
    if forks() != before {
        take_back();
    }
}

/// In the parent, after the fork.
pub(super) fn parent() {
    // Another thread may have registered the handlers since this fork began.
    let Some(depth) = DEPTH.get().checked_sub(1) else { return };
    take_back();
    FORKING.fetch_sub(1, SeqCst);
    DEPTH.set(depth);
}

fn take_back() {
    if HANDED.get().iter().all(Option::is_none) {
        return;
    }
    let _undisturbed = Undisturbed::new();
    for Handed { kept, descriptor, note } in HANDED.take().into_iter().flatten() {
        close(descriptor);
        kept.forget(note);
    }
}

fn close(descriptor: i32) {
    // SAFETY: opened by `prepare` for this fork alone.
    unsafe { libc::close(descriptor) };
}

/// In the child, before it closes what is noted: what it was handed is its own.
pub(super) fn child() {
    FORKING.store(0, SeqCst);
    DEPTH.set(0);
    for Handed { kept, descriptor, note } in HANDED.take().into_iter().flatten() {
        kept.forget(note);
        kept.set_spare(descriptor);
    }
}
