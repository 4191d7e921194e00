//! Gives per-CPU cells to hot series, in areas that are taken from the arena.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::write::PerCpuCells;
use super::{at, give, give_to_generation, in_word, PerCpuKind, LINES, STRIDE};
use crate::os::host::Undisturbed;
use crate::shm::arena::Arena;
use crate::shm::layout::{align, entry, header, offset, GRANULE};
use crate::shm::memory::{Mapped, Memory};
use crate::shm::state::Generation;

/// Attempts at the shared words. Giving up costs nothing but time: the series asks again.
const BOUND: u32 = 100;

/// Gives per-CPU cells with so many bytes for each CPU to the series in this record, which has just
/// added `n`, if there is room for one.
#[cold]
#[inline(never)]
pub(crate) fn ask(per_cpu: &PerCpuCells, arena: &Arena<'_>, record: u64, bytes: u64, n: u64) {
    let memory = arena.memory;
    if per_cpu.kind == PerCpuKind::None
        || memory.load32(record + entry::PER_CPU, Relaxed) != 0
        || (bytes > 8 && !per_cpu.pairs)
        || !per_cpu.is_hot(n)
    {
        return;
    }
    allocate_for(per_cpu, arena, bytes, |cells| give(memory, record, cells));
}

/// As [`ask`], for several series of one record at a time: `places` has the place of each, and
/// which of the per-CPU cells are its own, counted from the first. `bytes` is for all of them.
#[cold]
#[inline(never)]
pub(crate) fn ask_together(per_cpu: &PerCpuCells, arena: &Arena<'_>, places: &[(u64, u32)], bytes: u64, n: u64) {
    let memory = arena.memory;
    let has_none = |(place, _): &(u64, u32)| memory.load32(place + entry::PER_CPU, Relaxed) == 0;
    if per_cpu.kind == PerCpuKind::None
        || (bytes > 8 && !per_cpu.pairs)
        || !places.iter().any(has_none)
        || !per_cpu.is_hot(n)
    {
        return;
    }
    // Each of them is right by itself: a process that is killed between two has given some.
    let give_all = |cells: u32| {
        places.iter().fold(false, |given, (place, per_cpu_at)| {
            cells.checked_add(*per_cpu_at).is_some_and(|cells| give(memory, *place, cells)) || given
        })
    };
    allocate_for(per_cpu, arena, bytes, give_all);
}

/// Gives per-CPU cells with so many bytes for each CPU to the pairs whose word this is, one of
/// which has just counted enough to be hot.
#[cold]
#[inline(never)]
pub(crate) fn ask_for_generation(
    per_cpu: &PerCpuCells,
    arena: &Arena<'_>,
    word: u64,
    generation: Generation,
    bytes: u64,
) {
    let memory = arena.memory;
    if per_cpu.kind != PerCpuKind::None
        && per_cpu.pairs
        && in_word(memory.load64(word, Relaxed), generation) == 0
        && per_cpu.is_hot(1)
    {
        allocate_for(per_cpu, arena, bytes, |cells| give_to_generation(memory, word, generation, cells));
    }
}

fn allocate_for(per_cpu: &PerCpuCells, arena: &Arena<'_>, bytes: u64, give: impl FnOnce(u32) -> bool) {
    // An update may be called by a signal handler, and must not change what it finds.
    let undisturbed = Undisturbed::new();
    if let Some(cells) = allocate(per_cpu, arena, bytes) {
        if !give(cells) {
            give_back(arena.memory, cells, bytes);
        }
    }
    drop(undisturbed);
}

/// Takes per-CPU cells from the area that is in use, or from a new one.
fn allocate(per_cpu: &PerCpuCells, arena: &Arena<'_>, bytes: u64) -> Option<u32> {
    let memory = arena.memory;
    let size = per_cpu.cpus * STRIDE + LINES - GRANULE;
    // Acquire: a new area was granted before it was published.
    let mut tail = memory.load64(header::PER_CPU_TAIL, Acquire);
    for _ in 0..BOUND {
        let (area, used) = (offset((tail >> 32) as u32), u64::from(tail as u32));
        let from = align(used, bytes.min(GRANULE));
        if area != 0 && from + bytes <= STRIDE {
            let cells = u32::try_from((area + from).checked_sub(memory.arena_at())? >> 3).ok()?;
            match memory.cas64(header::PER_CPU_TAIL, tail, tail >> 32 << 32 | (from + bytes), AcqRel, Acquire) {
                Ok(_) => return Some(cells),
                Err(now) => tail = now,
            }
            continue;
        }
        if bytes > STRIDE || memory.get64(header::PER_CPU_BYTES) + size > memory.get64(header::PER_CPU_MAX) {
            return None;
        }
        if !is_addressable(memory, memory.load64(header::ARENA_TAIL, Relaxed).saturating_add(size)) {
            return None;
        }
        let link = arena.allocate(size)?;
        // Others may have allocated meanwhile.
        if !is_addressable(memory, offset(link) + size) {
            arena.give_back(link, size);
            return None;
        }
        let area = align(offset(link), LINES) / GRANULE;
        // Release publishes the granted memory.
        match memory.cas64(header::PER_CPU_TAIL, tail, area << 32, AcqRel, Acquire) {
            Ok(_) => {
                memory.add64(header::PER_CPU_BYTES, size, Relaxed);
                memory.add64(header::ARENA_REACHABLE, align(size, GRANULE), Relaxed);
                tail = area << 32;
            }
            Err(now) => {
                arena.give_back(link, size);
                tail = now;
            }
        }
    }
    None
}

/// Whether cells before `end` have numbers: 32 bits count the first 32 GiB of the records' memory.
fn is_addressable(memory: &Mapped, end: u64) -> bool {
    u32::try_from(end.saturating_sub(memory.arena_at()) >> 3).is_ok()
}

/// Takes per-CPU cells back that were never given, if none were allocated behind it.
fn give_back(memory: &Mapped, cells: u32, bytes: u64) {
    let tail = memory.load64(header::PER_CPU_TAIL, Relaxed);
    let from = at(memory, cells).wrapping_sub(offset((tail >> 32) as u32));
    if from + bytes == u64::from(tail as u32) {
        let _ = memory.cas64(header::PER_CPU_TAIL, tail, tail >> 32 << 32 | from, AcqRel, Relaxed);
    }
}
