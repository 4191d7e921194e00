//! A file description for each child, opened by its parent at the fork.
//!
//! A worker of a root master changes its user soon after the fork, and cannot open the segment's
//! file then. So a parent that runs as root opens the file once more before it forks, for the child
//! to lock a slot by, and closes its own copy afterwards. The child closes its copy when it takes
//! its slot. Parents without privileges have nothing to hand on: their children can open the file
//! as well as they can.
//!
//! Other threads may fork at the same time. A thread that finds another one forking opens nothing.
//! One that finds that another began to fork meanwhile closes what it has opened.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use super::fork::{forks, Kept};
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
    /// What the fork that this thread is at hands on.
    static HANDED: Cell<[Option<Handed>; MOST]> = const { Cell::new([None; MOST]) };
}

/// Threads of this process that are forking.
static FORKING: AtomicU32 = AtomicU32::new(0);

/// In the parent, before the fork, and after it was counted in `forks`.
pub(super) fn prepare(all: impl Iterator<Item = &'static Kept>) {
    // SeqCst, here and below: in one order with `forks`.
    if FORKING.fetch_add(1, SeqCst) != 0 {
        // A signal handler forks while its thread is at a fork. Its child must not share what that
        // fork hands on.
        take_back();
        return;
    }
    // SAFETY: a plain call.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
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
    take_back();
    FORKING.fetch_sub(1, SeqCst);
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
    for Handed { kept, descriptor, note } in HANDED.take().into_iter().flatten() {
        kept.forget(note);
        kept.set_spare(descriptor);
    }
}
