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
    Ordering::{Acquire, Relaxed, Release},
};

use super::generation::TAG_MASK;
use super::layout::header as h;
use super::memory::{Mapped, Memory};
use crate::os::host::Undisturbed;
use crate::segment::Inner;

/// What a process knows of the clock, in a page that a forked child finds wiped.
pub(crate) struct Words {
    /// The base in the header for which `delta` is right; 0: not known.
    base: AtomicU64,
    /// The process' `CLOCK_BOOTTIME` when the segment's time was 0.
    delta: AtomicU64,
    /// `CLOCK_MONOTONIC_COARSE` when it was last compared with the segment's time.
    coarse_at: AtomicU64,
    /// The segment's time minus that clock, then.
    coarse_ahead: AtomicU64,
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
    base: AtomicU64,
    delta: AtomicU64,
    /// Whether the process could tell its boot.
    is_sure: AtomicBool,
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
    match os::shift() {
        Some(now) => now.wrapping_sub(SHIFT.swap(now, Relaxed)),
        // The fork itself took next to no time.
        None if (gone as i64) < 0 => gone as i64,
        None => 0,
    }
}

/// Nanoseconds of a clock that never steps and that counts suspended time.
#[inline(always)]
pub(crate) fn boot_ns() -> u64 {
    #[cfg(target_os = "linux")]
    return clock(libc::CLOCK_BOOTTIME);
    // Elsewhere it is known to count suspended time on Apple's systems only.
    #[cfg(all(unix, not(target_os = "linux")))]
    return clock(libc::CLOCK_MONOTONIC);
    #[cfg(not(unix))]
    crate::segment::now_ns()
}

/// The wall clock, in milliseconds since 1970, to a few of them: for people.
pub(crate) fn wall_ms() -> u64 {
    #[cfg(target_os = "linux")]
    return clock(libc::CLOCK_REALTIME_COARSE) / 1_000_000;
    #[cfg(not(target_os = "linux"))]
    return crate::segment::now_ns() / 1_000_000;
}

/// Milliseconds of a clock that does not step, for durations in this process. It is cheap to read.
pub(crate) fn monotonic_ms() -> u64 {
    #[cfg(target_os = "linux")]
    return clock(libc::CLOCK_MONOTONIC_COARSE) / 1_000_000;
    #[cfg(not(target_os = "linux"))]
    return boot_ns() / 1_000_000;
}

#[cfg(unix)]
#[inline(always)]
fn clock(id: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a plain, async-signal-safe call with a local. On Linux it is a call of the vDSO.
    unsafe { libc::clock_gettime(id, &raw mut now) };
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

/// What a process can say of its clock.
#[derive(Clone, Copy, Debug)]
struct Own {
    /// A number for this boot; 0 if it cannot be told.
    boot: u64,
    /// Its `CLOCK_BOOTTIME` minus that of the initial time namespace.
    shift: i64,
}

impl Own {
    fn read() -> Self {
        let _undisturbed = Undisturbed::new();
        let shift = os::shift();
        SHIFT.store(shift.unwrap_or(0), Relaxed);
        // Who cannot tell how its clock is shifted must not move the base either.
        Own { boot: shift.map_or(0, |_| os::boot()), shift: shift.unwrap_or(0) }
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
fn delta(memory: &Mapped, own: Own, may_write: bool) -> (u64, u64) {
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
fn past(time: u64) -> u64 {
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
fn ticks(ns: u64) -> u64 {
    let fine = ns >> FINE_SHIFT;
    if fine < FINE {
        fine.max(1)
    } else {
        (FINE + ((ns - (FINE << FINE_SHIFT)) >> COARSE_SHIFT)).min(TAG_MASK)
    }
}

/// How long a coarse clock is used before it is compared with the segment's time again. It does not
/// count suspended time, so the coarse time may be behind for so long after the machine resumes.
const COARSE: u64 = 100_000_000;

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

#[cfg(not(target_os = "linux"))]
mod os {
    pub(crate) fn shift() -> Option<i64> {
        Some(0)
    }

    /// Memory of such a system does not outlive a boot.
    pub(crate) fn boot() -> u64 {
        1
    }
}

/// What `/proc` tells. Nothing here allocates: a signal handler's update may come here.
#[cfg(target_os = "linux")]
mod os {
    use std::ffi::CStr;

    /// The kernel's number for the initial time namespace (`PROC_TIME_INIT_INO`).
    const INITIAL: u64 = 0xEFFF_FFFA;

    /// The inode that a path leads to.
    fn inode(path: &CStr) -> Option<u64> {
        // SAFETY: zeros are a valid `stat`.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: a C string, and a local to fill in.
        (unsafe { libc::stat(path.as_ptr(), &raw mut stat) } == 0).then_some(stat.st_ino)
    }

    /// The beginning of a file.
    fn read<'b>(path: &CStr, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        // SAFETY: a C string.
        let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
        if file < 0 {
            return None;
        }
        // SAFETY: our own descriptor, and a buffer of that length.
        let len = unsafe { libc::read(file, buffer.as_mut_ptr().cast(), buffer.len()) };
        // SAFETY: our own descriptor.
        unsafe { libc::close(file) };
        buffer.get(..usize::try_from(len).ok()?)
    }

    /// A number for this boot; 0 if it cannot be told.
    pub(crate) fn boot() -> u64 {
        let mut buffer = [0; 64];
        let Some(text) = read(c"/proc/sys/kernel/random/boot_id", &mut buffer) else { return 0 };
        let digits = text.iter().filter_map(|b| char::from(*b).to_digit(16));
        // All 128 bits take part; 0 means that it cannot be told.
        digits.fold(0u64, |sum, digit| (sum.rotate_left(4) ^ u64::from(digit)).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1
    }

    /// By how much this process' `CLOCK_BOOTTIME` is ahead of the initial time namespace's. `None`
    /// if it cannot be told.
    pub(crate) fn shift() -> Option<i64> {
        let Some(own) = inode(c"/proc/self/ns/time") else {
            // A kernel without time namespaces, or no `/proc`.
            return inode(c"/proc/self/ns/pid").map(|_| 0);
        };
        if own == INITIAL {
            return Some(0);
        }
        // The file tells of the namespace of the children that a process will have.
        if inode(c"/proc/self/ns/time_for_children") == Some(own) {
            return offset(c"/proc/self/timens_offsets");
        }
        // This one has called `unshare(CLONE_NEWTIME)`. Its parent may be where it is itself.
        let mut path = [0; 64];
        // SAFETY: a plain call.
        let parent = unsafe { libc::getppid() };
        if inode(of_process(parent, b"/ns/time_for_children", &mut path)?) == Some(own) {
            return offset(of_process(parent, b"/timens_offsets", &mut path)?);
        }
        None
    }

    /// A path below `/proc/PID`.
    fn of_process<'b>(pid: i32, file: &[u8], path: &'b mut [u8; 64]) -> Option<&'b CStr> {
        let (mut digits, mut n, mut left) = ([0; 10], 0, u32::try_from(pid).ok()?);
        while left > 0 || n == 0 {
            digits[n] = b'0' + (left % 10) as u8;
            (left, n) = (left / 10, n + 1);
        }
        let pieces = b"/proc/".iter().chain(digits[..n].iter().rev()).chain(file).chain(&[0]);
        path.iter_mut().zip(pieces).for_each(|(to, from)| *to = *from);
        CStr::from_bytes_until_nul(path).ok()
    }

    fn offset(path: &CStr) -> Option<i64> {
        offset_in(read(path, &mut [0; 256])?)
    }

    /// The offset of `CLOCK_BOOTTIME` in lines such as `boottime -10 500000000`.
    pub(crate) fn offset_in(text: &[u8]) -> Option<i64> {
        for line in std::str::from_utf8(text).ok()?.lines() {
            let mut words = line.split_ascii_whitespace();
            if words.next() == Some("boottime") {
                let (seconds, ns): (i64, i64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                return seconds.checked_mul(1_000_000_000)?.checked_add(ns);
            }
        }
        None
    }
}

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

    #[cfg(target_os = "linux")]
    #[test]
    fn offsets_of_time_namespaces() {
        let text = |s: &str| os::offset_in(s.as_bytes());
        assert_eq!(text("monotonic           1         0\nboottime            -5 500000000\n"), Some(-4_500_000_000));
        assert_eq!(text("monotonic 0 0\nboottime 86400 0\n"), Some(86_400_000_000_000));
        assert_eq!(text("monotonic 0 0\n"), None);
        assert_eq!(text("boottime x 0\n"), None);
        assert_eq!(os::shift(), Some(0), "these tests run in the initial time namespace");
        assert!(os::boot() != 0 && os::boot() == os::boot());
    }
}
