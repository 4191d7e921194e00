//! The writing of cells for each CPU: one instruction in a restartable sequence, or a locked one.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::cpus::{one_store, possible_cpus};
use super::{rseq, PerCpuKind, CLOSED, HEAT, SHIFT, STRIDE};
use crate::os::errno::Errno;
use crate::os::identity::boot_id;
use crate::shm::layout::header;
use crate::shm::memory::{Granted, Mapped};
use crate::shm::pair::Pair;

/// Attempts of a restartable sequence. It fails when it is interrupted; when it is single-stepped,
/// always.
const ATTEMPTS: u32 = 8;
/// By locked instructions a thread looks which CPU it is on about once in so many updates. A power
/// of two.
const STAY: u64 = 1024;
/// The golden ratio's fraction: the high bits of its multiples are spread evenly, whatever the
/// numbers have in common.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// Threads that share no hint, if they are lucky. A power of two.
const HINTS: usize = 64;

/// A segment's per-CPU cells, as this process writes them. What every update reads stands first.
#[repr(C, align(64))]
pub(crate) struct PerCpuCells {
    /// The first record.
    arena: *mut u8,
    /// Where this process' threads have their areas; 0 if they have none.
    area: isize,
    /// Per-CPU cells from 1 up to this is known to have its cells, one for each CPU, in granted
    /// memory. Stays 0 but where restartable sequences are the way.
    known: AtomicU32,
    /// The same where locked instructions are the way.
    known_locked: AtomicU32,
    pub(crate) kind: PerCpuKind,
    /// Whether 16 bytes are stored as one.
    pub(super) pairs: bool,
    /// At most 2^16. Restartable sequences read the low half.
    pub(super) cpus: u64,
    /// What [`PerCpuCells::is_hot`] counts.
    asked: AtomicU32,
    /// By thread, or so: the CPU that it ran on lately. By locked instructions any CPU's cell is
    /// right, so this may be wrong.
    hints: [AtomicU32; HINTS],
}

/// Where restartable sequences find the number of CPUs.
const CPUS: usize = std::mem::offset_of!(PerCpuCells, cpus);
const _: () = assert!(CPUS < 64);

// SAFETY: the pointer is into a mapping that lives as long as the process, and is used for atomic
// access and in restartable sequences alone.
unsafe impl Send for PerCpuCells {}
// SAFETY: as above.
unsafe impl Sync for PerCpuCells {}

impl PerCpuCells {
    /// `rseq`: whether this process may.
    pub(crate) fn new(memory: &Mapped, rseq: bool) -> Self {
        let shape = memory.per_cpu();
        let area = rseq::area();
        // Another kernel's CPUs may have the same numbers, if it can reach this memory at all. This
        // one's are as many as ever since it was started.
        let here = memory.get64(header::BOOT_ID) == first_half(boot_id());
        // A process that cannot tell trusts the creator, which could: only then are restartable
        // sequences the segment's way.
        let fits = possible_cpus().is_none_or(|cpus| u64::from(cpus) <= shape.cpus);
        let is_usable = here && shape.stride == STRIDE && shape.cpus > 0;
        let kind = match PerCpuKind::of(memory) {
            PerCpuKind::Rseq if rseq && area.is_some() && is_usable && fits => PerCpuKind::Rseq,
            // The number of any cell is right.
            PerCpuKind::Locked if is_usable => PerCpuKind::Locked,
            _ => PerCpuKind::None,
        };
        PerCpuCells {
            arena: memory.checked_before(memory.arena_at()).cast_mut(),
            area: area.unwrap_or(0),
            known: AtomicU32::new(0),
            known_locked: AtomicU32::new(0),
            kind,
            pairs: kind == PerCpuKind::Locked || one_store(),
            cpus: shape.cpus.max(1),
            asked: AtomicU32::new(0),
            hints: [const { AtomicU32::new(0) }; HINTS],
        }
    }

    /// The arena as far as this process knows it to be granted; `None` if it knows nothing.
    #[inline(always)]
    pub(crate) fn granted<'m>(&self, memory: &'m Mapped) -> Option<Granted<'m>> {
        let known = u64::from(self.known.load(Relaxed));
        // There is one cell more than is known of, for pairs.
        (known > 0).then(|| memory.granted_before(8 * (known + 1)))
    }

    /// Whether this process has met any per-CPU cells that it changes in restartable sequences.
    #[inline(always)]
    pub(crate) fn are_known(&self) -> bool {
        self.known.load(Relaxed) > 0
    }

    #[inline(always)]
    fn is_known(&self, cells: u32) -> bool {
        cells.wrapping_sub(1) < self.known.load(Relaxed)
    }

    /// Adds `n` to this CPU's cell of a counter's per-CPU cells, if that is a matter of a few
    /// instructions. False: nothing was added.
    #[inline(always)]
    pub(crate) fn add(&self, cells: u32, n: u64) -> bool {
        // SAFETY: per-CPU cells that are known (checked first), as `add_once` wants it.
        self.is_known(cells) && unsafe { self.add_once(cells, n) }
    }

    /// # Safety
    /// Restartable sequences are the segment's and this process' way, and the cells of all CPUs are
    /// in granted memory.
    #[inline(always)]
    unsafe fn add_once(&self, cells: u32, n: u64) -> bool {
        // SAFETY: `cpus` cells are there (the caller's promise), aligned to 8 as per-CPU cells are,
        // and changed only so in a segment of this kind.
        unsafe { rseq::add::<SHIFT, CPUS>(self.area, std::ptr::from_ref(self).cast(), self.arena, cells, n) }
    }

    /// As [`PerCpuCells::add`], by a locked instruction.
    #[inline(always)]
    pub(crate) fn add_locked(&self, cells: u32, n: u64) -> bool {
        let known = cells.wrapping_sub(1) < self.known_locked.load(Relaxed);
        if known {
            // SAFETY: the per-CPU cells are known, and so this is their segment's way.
            unsafe { self.add_to_hinted(cells, n) };
        }
        known
    }

    /// # Safety
    /// Locked instructions are the segment's and this process' way, and the cells of all CPUs are
    /// in granted memory.
    #[inline(always)]
    unsafe fn add_to_hinted(&self, cells: u32, n: u64) {
        // SAFETY: so many cells are there (the caller's promise), aligned to 8 as per-CPU cells
        // are, and changed only by atomic operations in a segment of this kind.
        let cell =
            unsafe { &*self.arena.add((8 * u64::from(cells) + self.cpu() * STRIDE) as usize).cast::<AtomicU64>() };
        // Relaxed: a sum of its own. A load of its own for what was seen would wait for the last
        // update's lock: on Intel's processors that takes a quarter longer, and saves a tenth on
        // AMD's.
        let seen = cell.fetch_add(n, Relaxed);
        if seen.wrapping_mul(GOLDEN) >> (64 - STAY.ilog2()) == 0 {
            self.look_at_cpu();
        }
    }

    /// The same where the per-CPU cells are not known yet, or a restartable sequence was
    /// interrupted.
    pub(crate) fn add_slow(&self, memory: &Mapped, cells: u32, n: u64) -> bool {
        if cells == 0 || cells == CLOSED || !self.is_granted(memory, cells.into()) {
            return false;
        }
        if self.kind == PerCpuKind::Rseq {
            // SAFETY: `is_granted`.
            return (0..ATTEMPTS).any(|_| unsafe { self.add_once(cells, n) });
        }
        // SAFETY: `is_granted`, and neither `None` nor restartable sequences are the way.
        unsafe { self.add_to_hinted(cells, n) };
        true
    }

    /// Counts an observation in this CPU's pair of a bucket, in a histogram's per-CPU cells, as
    /// [`PerCpuCells::add`] does.
    #[inline(always)]
    pub(crate) fn count(&self, cells: u32, bucket: usize, v: f64) -> bool {
        let cell = u64::from(cells) + 2 * bucket as u64;
        // A pair takes two cells.
        let known = cells != 0 && cell < u64::from(self.known.load(Relaxed)) && cells & 1 == 0;
        // SAFETY: known, and aligned to 16 (checked first), as `count_once` wants it.
        known && unsafe { self.count_once(cell, v) }
    }

    /// # Safety
    /// As for `add_once`, with pairs aligned to 16.
    #[inline(always)]
    unsafe fn count_once(&self, cell: u64, v: f64) -> bool {
        // SAFETY: as in `add_once`. Where 16 bytes are not stored as one no histogram's per-CPU
        // cells are used.
        self.pairs
            && unsafe { rseq::count::<SHIFT, CPUS>(self.area, std::ptr::from_ref(self).cast(), self.arena, cell, v) }
    }

    /// As [`PerCpuCells::count`], by a locked instruction.
    #[inline(always)]
    pub(crate) fn count_locked(&self, cells: u32, bucket: usize, v: f64) -> bool {
        let cell = u64::from(cells) + 2 * bucket as u64;
        let known = cells != 0 && cell < u64::from(self.known_locked.load(Relaxed)) && cells & 1 == 0;
        if known {
            // SAFETY: known, and aligned to 16 (checked), and so this is its segment's way.
            unsafe { self.count_in_hinted(cell, v) };
        }
        known
    }

    /// # Safety
    /// As for `add_to_hinted`, with pairs aligned to 16.
    #[inline(always)]
    unsafe fn count_in_hinted(&self, cell: u64, v: f64) {
        // SAFETY: as in `add_to_hinted`.
        let pair = unsafe { Pair::new(self.arena.add((8 * cell + self.cpu() * STRIDE) as usize).cast()) };
        let mut seen = pair.guess();
        while let Err(now) = pair.cas(seen, [seen[0] + 1, (f64::from_bits(seen[1]) + v).to_bits()]) {
            seen = now;
        }
        if seen[0] % STAY == 0 {
            self.look_at_cpu();
        }
    }

    /// As [`PerCpuCells::add_slow`].
    pub(crate) fn count_slow(&self, memory: &Mapped, cells: u32, bucket: usize, v: f64) -> bool {
        let cell = u64::from(cells) + 2 * bucket as u64;
        if cells == 0 || cell & 1 != 0 || !self.pairs || !self.is_granted(memory, cell + 1) {
            return false;
        }
        if self.kind == PerCpuKind::Rseq {
            // SAFETY: `is_granted`, and is aligned (checked).
            return (0..ATTEMPTS).any(|_| unsafe { self.count_once(cell, v) });
        }
        // SAFETY: as in `add_slow`, aligned to 16.
        unsafe { self.count_in_hinted(cell, v) };
        true
    }

    /// The CPU whose cell to count in by locked instructions. To ask for the one that we run on
    /// takes longer than to count, so each thread does that only now and then ([`STAY`]). Meanwhile
    /// it may have moved, or share another's hint: that is slower, and right.
    #[inline(always)]
    fn cpu(&self) -> u64 {
        u64::from(self.hint().load(Relaxed))
    }

    #[inline(always)]
    fn hint(&self) -> &AtomicU32 {
        // The high bits of the product depend on all bits of the thread's number.
        let i = (rseq::thread() as u64).wrapping_mul(GOLDEN) >> (64 - HINTS.ilog2());
        &self.hints[i as usize % HINTS]
    }

    #[cold]
    #[inline(never)]
    extern "C" fn look_at_cpu(&self) {
        let errno = Errno::keep();
        #[cfg(target_os = "linux")]
        // SAFETY: a call without arguments. Where there is none such it fails, and all count in one
        // cell.
        let cpu = u64::from(unsafe { libc::sched_getcpu() } as u32);
        #[cfg(not(target_os = "linux"))]
        let cpu = 0;
        drop(errno);
        self.hint().store((cpu % self.cpus) as u32, Relaxed);
    }

    /// The cells of the CPU that this thread runs on, for several updates one after the other.
    #[inline(always)]
    pub(crate) fn here(&self) -> Here<'_> {
        let known = self.known.load(Relaxed);
        // SAFETY: where any cells are known, the threads have their areas.
        let cpu = if known > 0 { unsafe { rseq::cpu(self.area) } } else { u32::MAX };
        // The number of a thread that is not registered is above that of any CPU.
        let is_usable = u64::from(cpu) < self.cpus;
        let first = self.arena.wrapping_add(u64::from(cpu) as usize * STRIDE as usize);
        Here { per_cpu: self, cpu, first, known: if is_usable { known } else { 0 } }
    }

    /// Whether a cell, by its number, is there for all CPUs. Remembers how far they are, where that
    /// is all there is to know.
    fn is_granted(&self, memory: &Mapped, cell: u64) -> bool {
        let granted = memory.watermark().saturating_sub(memory.arena_at());
        let cells = granted.saturating_sub((self.cpus - 1) * STRIDE) / 8;
        // The last cell has the number `cells - 1`.
        let known = match self.kind {
            PerCpuKind::Rseq => Some(&self.known),
            PerCpuKind::Locked => Some(&self.known_locked),
            PerCpuKind::None => None,
        };
        if let Some(known) = known {
            // The watermark only rises, so the last writer is right too.
            // Never so far that `CLOSED` is known.
            known.store(cells.saturating_sub(1).min(u64::from(CLOSED) - 2) as u32, Relaxed);
        }
        self.kind != PerCpuKind::None && cell < cells
    }

    /// Whether a series that has added `n`, and has crossed a multiple of [`HEAT`], is hot: of
    /// amounts other than 1, one in so many is asked.
    pub(super) fn is_hot(&self, n: u64) -> bool {
        n <= 1 || u64::from(self.asked.fetch_add(1, Relaxed)) % n.min(HEAT) == 0
    }
}

/// The cells of one CPU that are written in restartable sequences, as far as they are known. The
/// thread may have left the CPU: then nothing is written.
#[derive(Clone, Copy)]
pub(crate) struct Here<'a> {
    per_cpu: &'a PerCpuCells,
    cpu: u32,
    /// Where its cell of the first number would be.
    first: *mut u8,
    /// The end of the known cells, as in `PerCpuCells`; 0 if there are no cells of this CPU.
    known: u32,
}

impl Here<'_> {
    /// As [`PerCpuCells::add`].
    #[inline(always)]
    pub(crate) fn add(&self, cells: u32, n: u64) -> bool {
        let at = self.first.wrapping_add(8 * cells as usize);
        // SAFETY: the CPU's cell is known (checked first), aligned to 8 as per-CPU cells are, and
        // changed only so in a segment of this kind.
        cells.wrapping_sub(1) < self.known && unsafe { rseq::add_on(self.per_cpu.area, self.cpu, at, n) }
    }

    /// As [`PerCpuCells::count`].
    #[inline(always)]
    pub(crate) fn count(&self, cells: u32, bucket: usize, v: f64) -> bool {
        let cell = u64::from(cells) + 2 * bucket as u64;
        let known = cells != 0 && cell < u64::from(self.known) && cells & 1 == 0 && self.per_cpu.pairs;
        let at = self.first.wrapping_add(8 * cell as usize);
        // SAFETY: as in `add`, aligned to 16 (checked first). 16 bytes are stored as one.
        known && unsafe { rseq::count_on(self.per_cpu.area, self.cpu, at, v) }
    }
}

fn first_half(id: [u8; 16]) -> u64 {
    u64::from_le_bytes([id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    /// A process that was moved to a machine with more CPUs may run on one for which there is no
    /// cell.
    #[test]
    fn a_cpu_without_a_cell_writes_nothing() {
        let segment = Options::new().anonymous().max_size(4 << 20).open().unwrap();
        let counter = segment.counter("c", "").register().unwrap();
        let histogram = segment.histogram("h", "").buckets(&[1.0]).register().unwrap();
        let inner = segment.inner;
        if inner.per_cpu.kind != PerCpuKind::Rseq {
            eprintln!("skipped: a_cpu_without_a_cell_writes_nothing (no restartable sequences)");
            return;
        }
        (0..2 * HEAT).for_each(|_| counter.inc());
        (0..2 * HEAT).for_each(|_| histogram.observe(0.5));
        let memory = &inner.memory;
        let mut per_cpu = PerCpuCells::new(memory, true);
        // All that is granted is known, as it is to a process that has counted there.
        per_cpu.is_granted(memory, 1);
        let cells = 64;
        let all = || {
            let mut bytes = Vec::new();
            memory.copy_to(memory.arena_at(), memory.watermark() - memory.arena_at(), &mut bytes);
            bytes
        };
        let before = all();
        per_cpu.cpus = 0;
        assert!(!per_cpu.add(cells, 1) && !per_cpu.count(cells, 0, 1.0));
        assert!(!per_cpu.add(cells, crate::shm::percpu::MOST - 1) && !per_cpu.count(cells + 2, 1, 1.0));
        assert_eq!(all(), before, "it has written where there is no cell");
    }
}
