//! Turns of the threads of a process that want its slot.
//!
//! Threads that claimed at the same time would have several slots for a moment, and all but one
//! would be given up. Where there are just enough slots, a thread, or another process, would find
//! none left, and its update would be refused. So threads take turns. A thread that waits finds
//! what the other one got. They also take turns at the cells of gauges, where a thread that is not
//! given the processor for a moment would have the updates of the others refused.
//!
//! The word is in the page that a child finds wiped: a child does not wait for a thread that it
//! does not have. A signal handler does not wait for the thread that it interrupts. No thread waits
//! for long, because the other one may be stopped: then both claim, which is right, if there are
//! slots enough.

use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};

use crate::os::clock::monotonic_ms;

/// The longest wait for another thread.
const PATIENCE_MS: u64 = 100;

/// A thread's turn, until it is dropped.
pub(crate) struct Turn<'a> {
    /// The word, if it names this thread. `None`: the thread claims without a turn.
    word: Option<&'a AtomicU64>,
    /// Whether another thread had its turn before.
    pub(super) has_waited: bool,
}

impl<'a> Turn<'a> {
    /// `word` names the thread that has the turn; 0: none.
    pub(super) fn take(word: &'a AtomicU64) -> Self {
        let (me, mut since) = (this_thread(), None);
        loop {
            // Acquire pairs with the Release in `drop`: what the other thread noted is seen.
            let Err(other) = word.compare_exchange(0, me, AcqRel, Acquire) else {
                return Turn { word: Some(word), has_waited: since.is_some() };
            };
            let now = monotonic_ms();
            if other == me || now.saturating_sub(*since.get_or_insert(now)) > PATIENCE_MS {
                return Turn { word: None, has_waited: since.is_some() };
            }
            yield_now();
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(word) = self.word {
            word.store(0, Release); // pairs with `take`
        }
    }
}

/// A number that no other thread of this process has. Async-signal-safe.
#[cfg(unix)]
fn this_thread() -> u64 {
    // SAFETY: a plain call.
    (unsafe { libc::pthread_self() }) as u64
}

#[cfg(not(unix))]
fn this_thread() -> u64 {
    1
}

fn yield_now() {
    #[cfg(unix)]
    // SAFETY: a plain call.
    unsafe {
        libc::sched_yield()
    };
    #[cfg(not(unix))]
    std::thread::yield_now();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

    #[test]
    fn threads_take_turns() {
        let (word, inside, most) = (AtomicU64::new(0), AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let turn = Turn::take(&word);
                        // A thread that was not given the processor for long claims without.
                        if turn.word.is_some() {
                            most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                            yield_now();
                            inside.fetch_sub(1, SeqCst);
                        }
                    }
                });
            }
        });
        assert_eq!((most.load(SeqCst), word.load(SeqCst)), (1, 0));
    }

    #[test]
    fn the_interrupted_thread_is_not_waited_for_nor_is_a_stopped_one_for_long() {
        let word = AtomicU64::new(0);
        let first = Turn::take(&word);
        let second = Turn::take(&word);
        assert!(first.word.is_some() && second.word.is_none() && !second.has_waited);
        drop(second);
        assert_ne!(word.load(SeqCst), 0, "the turn is the first one's");
        let waited = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let turn = Turn::take(&word);
                waited.store(turn.has_waited && turn.word.is_none(), SeqCst);
            });
        });
        assert!(waited.load(SeqCst), "it goes on without");
        drop(first);
        assert_eq!(word.load(SeqCst), 0);
    }
}
