//! The time of a segment: nanoseconds since it was made, the same in all processes.
//!
//! Order and durations are told by `CLOCK_BOOTTIME`, which cannot be set and which runs while the
//! machine is suspended. The wall clock says when the segment was made and when an exemplar was
//! kept, and decides nothing.
//!
//! `CLOCK_BASE` is where `CLOCK_BOOTTIME` stood when the segment's time was 0. It holds for one
//! boot, which `CLOCK_BOOT` names. A segment in a file on a disk, or one that was restored with its
//! processes, may outlive the boot. The first process of another boot replaces both words by one
//! swap, so that time goes on from `CLOCK_SEEN`, the latest time that was noted. Each process
//! compares the base with the one it knows whenever it asks for the time, and so notices the swap.
//!
//! A time namespace shifts `CLOCK_BOOTTIME` by a constant. A process reads that constant when it
//! opens the segment. A child of `fork()` compares the clock with its parent's, and reads the
//! constant again if the clock has jumped: its parent may have called `unshare(CLONE_NEWTIME)`.
//!
//! A process that cannot read the name of its boot (there is no `/proc`) takes the base as its own
//! boot's. If that would put it before `CLOCK_SEEN`, it uses a base of its own instead, which
//! starts there, and leaves the header alone.

use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU64,
    Ordering::{Relaxed, Release},
};

use super::layout::header as h;
use super::memory::{Mapped, Memory};
use super::state::TAG_MASK;
use crate::os::clock::boot_ns;
use crate::os::host::Undisturbed;
use crate::os::time_namespace;

/// What a process knows of the clock, in a page that a forked child finds wiped.
pub(crate) struct Words {
    /// The base in the header for which `delta` is right; 0: not known.
    pub(crate) base: AtomicU64,
    /// The process' `CLOCK_BOOTTIME` when the segment's time was 0.
    pub(crate) delta: AtomicU64,
    /// `CLOCK_MONOTONIC_COARSE` when it was last compared with the segment's time.
    pub(crate) coarse_at: AtomicU64,
    /// The segment's time minus that clock, then.
    pub(crate) coarse_ahead: AtomicU64,
}

impl Words {
    pub(crate) const fn new() -> Self {
        Words {
            base: AtomicU64::new(0),
            delta: AtomicU64::new(0),
            coarse_at: AtomicU64::new(0),
            coarse_ahead: AtomicU64::new(0),
        }
    }

    pub(crate) fn all(&self) -> [&AtomicU64; 4] {
        [&self.base, &self.delta, &self.coarse_at, &self.coarse_ahead]
    }
}

/// The same in ordinary memory, from which a child of `fork()` restores it.
pub(crate) struct Copy {
    pub(crate) base: AtomicU64,
    pub(crate) delta: AtomicU64,
    /// Whether the process could tell its boot.
    pub(crate) is_sure: AtomicBool,
}

impl Copy {
    pub(crate) const fn new() -> Self {
        Copy { base: AtomicU64::new(0), delta: AtomicU64::new(0), is_sure: AtomicBool::new(false) }
    }

    /// In a child of `fork()`, whose clock has jumped by so much.
    pub(crate) fn restore(&self, words: &Words, jump: i64) {
        let base = self.base.load(Relaxed);
        if base != 0 {
            let delta = self.delta.load(Relaxed).wrapping_add(jump as u64);
            self.delta.store(delta, Relaxed);
            words.delta.store(delta, Relaxed);
            words.base.store(base, Release);
        }
    }
}

/// This process' `CLOCK_BOOTTIME` before its last `fork()`.
static BEFORE_FORK: AtomicU64 = AtomicU64::new(0);
/// By how much a time namespace shifts the clock of this process, when that was last read.
static SHIFT: AtomicI64 = AtomicI64::new(0);
/// A fork that takes longer than this looks like another time namespace, which costs a few system
/// calls in the child.
const LONG: u64 = 1_000_000_000;

/// In the parent, before a fork.
pub(crate) fn before_fork() {
    BEFORE_FORK.store(boot_ns(), Relaxed);
}

/// In the child: by how much another time namespace has moved its clock. No system call is made
/// where the clock just runs on.
pub(crate) fn jump_in_child() -> i64 {
    let before = BEFORE_FORK.load(Relaxed);
    let gone = boot_ns().wrapping_sub(before);
    if before == 0 || gone < LONG {
        return 0;
    }
    let _undisturbed = Undisturbed::new();
    match time_namespace::shift() {
        Some(now) => now.wrapping_sub(SHIFT.swap(now, Relaxed)),
        // The fork itself took next to no time.
        None if (gone as i64) < 0 => gone as i64,
        None => 0,
    }
}

/// What a process can say of its clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    /// A number for this boot; 0 if it cannot be told.
    pub(crate) boot: u64,
    /// Its `CLOCK_BOOTTIME` minus that of the initial time namespace.
    shift: i64,
}

impl Own {
    pub(crate) fn read() -> Self {
        let _undisturbed = Undisturbed::new();
        let shift = time_namespace::shift();
        SHIFT.store(shift.unwrap_or(0), Relaxed);
        // A process that does not know the shift of its clock must not move the base either.
        Own { boot: shift.map_or(0, |_| time_namespace::boot()), shift: shift.unwrap_or(0) }
    }
}

/// Writes the base of a new segment.
pub(crate) fn initialise(memory: &Mapped) {
    let own = Own::read();
    memory.put64(h::CLOCK_BOOT, own.boot);
    // 0 would be none.
    memory.put64(h::CLOCK_BASE, boot_ns().wrapping_sub(own.shift as u64) | 1);
}

/// Time goes on so much after the latest time that was noted: some may have passed unnoted.
const LATER: u64 = 1_000_000_000;

/// This process' `CLOCK_BOOTTIME` when the segment's time was 0, and the base that it belongs to.
/// The base is replaced if it is another boot's and this process can tell.
pub(crate) fn delta(memory: &Mapped, own: Own, may_write: bool) -> (u64, u64) {
    let shift = own.shift as u64;
    loop {
        let (boot, base) = (memory.get64(h::CLOCK_BOOT), memory.get64(h::CLOCK_BASE));
        let host = boot_ns().wrapping_sub(shift);
        let seen = memory.load64(h::CLOCK_SEEN, Relaxed);
        let fits = base != 0 && host.wrapping_sub(base) as i64 >= seen as i64;
        let is_its = base != 0 && own.boot != 0 && boot == own.boot;
        if is_its || (fits && (own.boot == 0 || (boot == 0 && !may_write))) {
            return (base.wrapping_add(shift), base);
        }
        let from = if own.boot == 0 { seen } else { seen.wrapping_add(LATER) };
        let new = if fits && boot == 0 { base } else { host.wrapping_sub(from) | 1 };
        if own.boot == 0 && base != 0 || !may_write {
            return (new.wrapping_add(shift), base);
        }
        let Some(pair) = memory.pair(h::CLOCK_BOOT) else { return (new.wrapping_add(shift), base) };
        // A process that fails finds the words of another process of this boot, or of one that
        // cannot tell.
        let _ = pair.cas([boot, base], [own.boot, new]);
        if pair.load() == [boot, base] {
            // Damaged: it does not take what is written.
            return (new.wrapping_add(shift), base);
        }
    }
}

/// The time of a segment that is only read, in nanoseconds. Costs a few system calls.
pub(crate) fn read_only_ns(memory: &Mapped) -> u64 {
    let (delta, _) = delta(memory, Own::read(), false);
    past(boot_ns().wrapping_sub(delta))
}

/// A damaged base may lie in the future.
#[inline(always)]
pub(crate) fn past(time: u64) -> u64 {
    (time as i64).max(0) as u64
}

/// Up to this time a tick is 8.192 µs.
const FINE: u64 = 1 << 43;
const FINE_SHIFT: u32 = 13;
/// From then on it is 131 µs.
const COARSE_SHIFT: u32 = 17;

/// Time for cells that keep it in a tag of 44 bits, never 0. It rises for 38.8 years: 2.3 years in
/// units of 8.192 µs, and the rest in units of 131.072 µs.
#[inline(always)]
pub(crate) fn ticks(ns: u64) -> u64 {
    let fine = ns >> FINE_SHIFT;
    if fine < FINE {
        fine.max(1)
    } else {
        (FINE + ((ns - (FINE << FINE_SHIFT)) >> COARSE_SHIFT)).min(TAG_MASK)
    }
}

/// How long a coarse clock is used before it is compared with the segment's time again. It does not
/// count suspended time, so the coarse time may be behind for so long after the machine resumes.
pub(crate) const COARSE: u64 = 100_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_rise_for_38_years() {
        const YEAR: u64 = 31_557_600 * 1_000_000_000;
        assert_eq!(ticks(0), 1);
        let fine = FINE << FINE_SHIFT;
        assert!((2.28..2.29).contains(&(fine as f64 / YEAR as f64)));
        let (mut last, mut at) = (0, 0u64);
        while at < 38 * YEAR + YEAR / 2 {
            let now = ticks(at);
            assert!(now > last && now <= TAG_MASK, "{at}");
            last = now;
            // No two times that are so far apart have the same tick.
            let unit = if at < fine { 1 << FINE_SHIFT } else { 1 << COARSE_SHIFT };
            assert!(ticks(at + unit) > now.max(1) || at == 0, "{at}");
            at += YEAR / 97 + 12_345;
        }
        for near in [fine - 1, fine, fine + 1] {
            assert!(ticks(near) >= ticks(near - 1) && ticks(near + (1 << COARSE_SHIFT)) > ticks(near));
        }
        // Near the bound, and beyond it.
        let end = fine + ((TAG_MASK - FINE) << COARSE_SHIFT);
        assert!((38.0..39.0).contains(&(end as f64 / YEAR as f64)));
        assert_eq!([end - 1, end, end + 1, u64::MAX].map(ticks), [TAG_MASK - 1, TAG_MASK, TAG_MASK, TAG_MASK]);
    }
}
