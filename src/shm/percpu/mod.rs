//! Per-CPU cells: the additional cells of a hot series, one for each CPU.
//!
//! A series is created with one cell for all processes. When that cell has counted enough to show
//! that the series is hot, the process that notices this gives the series *per-CPU cells*: a cell
//! (or one cell for each bucket) for every CPU, at the same place in areas of [`STRIDE`] bytes that
//! follow each other. From then on a process counts in the cell of the CPU that it runs on. The
//! value of the series is the sum of all its cells. The field `PER_CPU` of the record says where
//! the per-CPU cells are: the number of the first cell, in cells of 8 bytes from the first record.
//!
//! Per-CPU cells are written in one of two ways: in restartable sequences ([`rseq`]), or by locked
//! instructions. The creator of the segment chooses the way for the whole segment, because each way
//! is right only where no process uses the other. A process that cannot write in the segment's way
//! counts in the series' own cell.
//!
//! Per-CPU cells belong to one generation of one record, and never to another. So an update does
//! not have to know whether its series is being removed: a late update goes to per-CPU cells that
//! no page reads any more.
//!
//! * An update reads `PER_CPU` first, and then the state. If the record is still in the handle's
//!   generation, the per-CPU cells are of that generation.
//! * A removal moves the record's state to the next generation, and then clears `PER_CPU`.
//! * A process that gives per-CPU cells swaps their number in where `PER_CPU` is 0. If the process
//!   comes late, the cells are of the next generation, and no process has counted in them.
//!
//! The price is that per-CPU cells are never used again: 8 bytes for each CPU (16 for each bucket)
//! and each generation that was hot. They may take `PER_CPU_MAX`, an eighth of the records' memory.
//! When that is used up, new series count in their own cells only.

mod alloc;
mod cpus;
mod rseq;
mod write;

pub(crate) use self::alloc::{ask, ask_for_generation, ask_together};
pub(crate) use self::cpus::{plan, rseq_allowed, Plan};
pub(crate) use self::write::{Here, PerCpuCells};

use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use super::layout::{entry, header, PerCpu};
use super::memory::{Mapped, Memory};
use super::pair::Pair;
use super::state::Generation;

/// The distance from the cell of one CPU to the cell of the next.
pub(crate) const STRIDE: u64 = 1 << SHIFT;
const SHIFT: u32 = 10;
/// Two cache lines, as processors fetch them in pairs.
const LINES: u64 = 128;
/// A series asks for per-CPU cells each time its own cell has counted so many more. A power of two.
pub(crate) const HEAT: u64 = 4096;
/// The same for each bucket of a histogram.
pub(crate) const HEAT_OF_BUCKET: u64 = 1024;
/// Greater amounts go to the series' own cell. A cell that is written in restartable sequences
/// takes nothing more once it is at 2^63. A cell that is written by locked instructions has no such
/// check and wraps at 2^64: bytes at 400 Gbit/s take 11 years to get there.
pub(crate) const MOST: u64 = 1 << 32;
/// In place of per-CPU cells, in the embedded series of a family that was retired: updates go
/// nowhere. No per-CPU cells are known by this number, so updates find it out in their slow paths.
/// It is odd, as no histogram's per-CPU cells are.
pub(crate) const CLOSED: u32 = u32::MAX;
/// More CPUs than Linux can have.
const MOST_CPUS: u32 = 1 << 16;

/// How a segment's per-CPU cells are written, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PerCpuKind {
    None = 0,
    /// The cells are written in restartable sequences.
    Rseq = 1,
    /// The cells are written by locked instructions.
    Locked = 2,
}

impl PerCpuKind {
    pub(crate) fn of(memory: &Mapped) -> Self {
        match memory.get32(header::PER_CPU_KIND) {
            1 => PerCpuKind::Rseq,
            2 => PerCpuKind::Locked,
            _ => PerCpuKind::None,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            PerCpuKind::None => "none",
            PerCpuKind::Rseq => "rseq",
            PerCpuKind::Locked => "locked",
        }
    }
}

impl PerCpu {
    /// What makes no sense has no per-CPU cells.
    pub(crate) fn of(memory: &Mapped) -> Self {
        let (cpus, stride) = (memory.get32(header::CPUS), u64::from(memory.get32(header::PER_CPU_STRIDE)));
        let sensible = (1..=MOST_CPUS).contains(&cpus) && (LINES..=1 << 20).contains(&stride) && stride % LINES == 0;
        // As `plan` has it, so that a read of one series' cells is bounded by the file's length.
        let sensible = sensible && u64::from(cpus) * stride <= memory.len().saturating_sub(memory.arena_at()) / 8;
        if sensible && PerCpuKind::of(memory) != PerCpuKind::None {
            PerCpu { cpus: cpus.into(), stride }
        } else {
            PerCpu::NONE
        }
    }
}

/// Whether `PER_CPU` may stand for per-CPU cells with so many bytes for each CPU.
pub(crate) fn is_sound(memory: &Mapped, cells: u32, bytes: u64) -> bool {
    let (shape, end) = (memory.per_cpu(), memory.get64(header::ARENA_TAIL));
    shape.cpus > 0 && at(memory, cells).saturating_add(shape.span(bytes)) <= end
}

#[inline(always)]
fn at(memory: &Mapped, cells: u32) -> u64 {
    memory.arena_at() + (u64::from(cells) << 3)
}

/// The sum of a counter's per-CPU cells, which may be more than one of them can hold. What is no
/// position has none.
#[inline(always)]
pub(crate) fn sum(memory: &Mapped, cells: u32) -> u128 {
    if cells == 0 {
        return 0;
    }
    sum_of(memory, cells)
}

#[inline(never)]
fn sum_of(memory: &Mapped, cells: u32) -> u128 {
    let (shape, mut sum) = (memory.per_cpu(), 0);
    if shape.cpus == 0 || cells == CLOSED {
        return 0;
    }
    let Some(first) = memory.bytes(at(memory, cells), shape.span(8)) else { return 0 };
    for cpu in 0..shape.cpus {
        // SAFETY: within what was checked, aligned to 8 as all per-CPU cells are and the stride,
        // and all access is atomic.
        let cell = unsafe { &*first.add((cpu * shape.stride) as usize).cast::<AtomicU64>() };
        // Relaxed: each of them only rises, and so does their sum.
        sum += u128::from(cell.load(Relaxed));
    }
    sum
}

/// Gives the pairs in the per-CPU cells of a histogram, with their bucket, to `take`: each as it
/// was at one moment.
#[inline]
pub(crate) fn pairs(memory: &Mapped, cells: u32, buckets: usize, mut take: impl FnMut(usize, [u64; 2])) {
    let shape = memory.per_cpu();
    if cells == 0 || cells & 1 != 0 || shape.cpus == 0 {
        return;
    }
    let Some(first) = memory.bytes(at(memory, cells), shape.span(16 * buckets as u64)) else { return };
    for cpu in 0..shape.cpus {
        for bucket in 0..buckets {
            // SAFETY: within what was checked, aligned to 16 (the per-CPU cells are, and so is the
            // stride), and all access is atomic.
            let pair = unsafe { Pair::new(first.add((cpu * shape.stride) as usize + 16 * bucket).cast_mut().cast()) };
            take(bucket, pair.load());
        }
    }
}

/// The position of the record's per-CPU cells; 0 if it has none. A process that counts in them
/// checks *after* this call that the record is in the generation of its handle.
pub(crate) fn of<M: Memory>(memory: &M, record: u64) -> u32 {
    // Acquire pairs with `give` and `take_away`: a process that sees cells of a later generation
    // sees that generation too.
    memory.load32(record + entry::PER_CPU, Acquire)
}

/// Gives the record per-CPU cells that no record has had before. False: it has some.
pub(crate) fn give<M: Memory>(memory: &M, record: u64, cells: u32) -> bool {
    // Release publishes the granted memory; it also hands on what the last `take_away` did.
    memory.cas32(record + entry::PER_CPU, 0, cells, AcqRel, Relaxed).is_ok()
}

/// Takes the per-CPU cells of an earlier generation away, from a record that is in its next one.
pub(crate) fn take_away<M: Memory>(memory: &M, record: u64) {
    let mut seen = memory.load32(record + entry::PER_CPU, Relaxed);
    // Release: a process that finds nothing, or what is given after this, sees the generation that
    // the record is in. For that reason there is a swap also where there is nothing.
    while let Err(now) = memory.cas32(record + entry::PER_CPU, seen, 0, Release, Relaxed) {
        // Damaged: it is not there at all.
        if now == seen {
            return;
        }
        seen = now;
    }
}

/// Closes the embedded series of a retired family to updates that go by per-CPU cells.
pub(crate) fn close<M: Memory>(memory: &M, record: u64) {
    let mut seen = memory.load32(record + entry::PER_CPU, Relaxed);
    while seen != CLOSED {
        // Release: as in `take_away`.
        match memory.cas32(record + entry::PER_CPU, seen, CLOSED, Release, Relaxed) {
            Ok(_) => return,
            // Damaged: it is not there at all.
            Err(now) if now == seen => return,
            Err(now) => seen = now,
        }
    }
}

/// The per-CPU cells that a word gives to this generation of a record, {generation: high 32 bits,
/// cells: low 32}; 0 if it gives none.
///
/// Such a word needs no clearing: what an earlier generation has left is not taken for a later
/// one's.
#[inline(always)]
pub(crate) fn in_word(word: u64, generation: Generation) -> u32 {
    if (word >> 32) as u32 == generation.0 as u32 {
        word as u32
    } else {
        0
    }
}

/// Gives this generation of a record per-CPU cells that no record has had before, by the word at
/// `at`. False: it has some, or a later generation has.
pub(crate) fn give_to_generation<M: Memory>(memory: &M, at: u64, generation: Generation, cells: u32) -> bool {
    let seen = memory.load64(at, Relaxed);
    // Generations only rise, so what comes late fails here, or in the swap.
    let is_first = seen == 0 || (seen >> 32) < u64::from(generation.0 as u32);
    // Release publishes the granted memory.
    is_first && memory.cas64(at, seen, u64::from(generation.0 as u32) << 32 | u64::from(cells), AcqRel, Relaxed).is_ok()
}
