//! The time of a segment as this process tells it: see `shm::clock`.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::Inner;
use crate::os::clock::{boot_ns, clock};
use crate::shm::clock::{delta, past, ticks, Own, COARSE};
use crate::shm::layout::header as h;
use crate::shm::memory::Memory;

impl Inner {
    /// Nanoseconds since the segment was made. Async-signal-safe; no system call but in a process
    /// that asks for the first time, or finds that the segment came from another boot.
    #[inline(always)]
    pub(crate) fn time_ns(&self) -> u64 {
        let words = self.process.clock();
        let base = self.memory.load_header64(h::CLOCK_BASE, Relaxed);
        // Acquire pairs with the Release in `settle_clock`: the delta is that base's.
        let delta =
            if words.base.load(Acquire) == base && base != 0 { words.delta.load(Relaxed) } else { self.settle_clock() };
        past(boot_ns().wrapping_sub(delta))
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn settle_clock(&self) -> u64 {
        let own = Own::read();
        let (delta, base) = delta(&self.memory, own, true);
        let (words, copy) = (self.process.clock(), self.process.clock_copy());
        words.delta.store(delta, Relaxed);
        copy.delta.store(delta, Relaxed);
        copy.base.store(base, Relaxed);
        copy.is_sure.store(own.boot != 0, Relaxed);
        words.base.store(base, Release);
        self.note_time(past(boot_ns().wrapping_sub(delta)));
        delta
    }

    /// Notes that it is so late: from there time goes on in another boot.
    pub(crate) fn note_time(&self, ns: u64) {
        let mut seen = self.memory.load64(h::CLOCK_SEEN, Relaxed);
        // The clock of a process that cannot tell its boot may be shifted, too.
        while seen < ns && self.process.clock_copy().is_sure.load(Relaxed) {
            match self.memory.cas64(h::CLOCK_SEEN, seen, ns, Relaxed, Relaxed) {
                Err(now) if now != seen => seen = now,
                _ => return,
            }
        }
    }

    /// Time for cells that keep it in a tag.
    #[inline(always)]
    pub(crate) fn ticks(&self) -> u64 {
        ticks(self.time_ns())
    }

    /// Milliseconds since the segment was made, by a clock that is cheap to read: a few less,
    /// mostly.
    #[inline]
    pub(crate) fn coarse_ms(&self) -> u64 {
        #[cfg(target_os = "linux")]
        {
            let (words, now) = (self.process.clock(), clock(libc::CLOCK_MONOTONIC_COARSE));
            // Acquire pairs with the Release below. Of a later comparison either is as good.
            if now.wrapping_sub(words.coarse_at.load(Acquire)) < COARSE {
                return past(now.wrapping_add(words.coarse_ahead.load(Relaxed))) / 1_000_000;
            }
            let time = self.time_ns();
            words.coarse_ahead.store(time.wrapping_sub(now), Relaxed);
            words.coarse_at.store(now, Release);
            time / 1_000_000
        }
        #[cfg(not(target_os = "linux"))]
        {
            self.time_ns() / 1_000_000
        }
    }

    /// Tenths of a second since the segment was made, for 13.6 years.
    pub(crate) fn age(&self) -> u32 {
        u32::try_from(self.coarse_ms() / 100).unwrap_or(u32::MAX)
    }
}
