//! The header page: written once by the creator, checked by all other processes before anything is
//! believed.

use std::path::Path;
use std::sync::atomic::Ordering::Release;

use super::clock;
use super::layout;
use super::layout::PerCpu;
use super::layout::{header as h, Regions, PAGE};
use super::mapping::Backing;
use super::memory::Mapped;
use super::percpu;
use super::percpu::Plan;
use crate::os::clock::now_ns;
use crate::os::random::random;
use crate::Error;

/// Writes the header of a new segment. The magic comes last, for backends that cannot hide an
/// unfinished segment.
///
/// # Safety
/// `backing` must be new zeroed memory of `regions.total` bytes, backed up to the smallest index
/// and from `arena_at` to `watermark`.
pub(crate) unsafe fn initialise(
    backing: &dyn Backing,
    regions: &Regions,
    watermark: u64,
    max_series: u64,
    labels: &str,
    per_cpu: Plan,
    short_bounds: bool,
) {
    // SAFETY: the caller's promise.
    let memory = unsafe { Mapped::new(backing.base(), backing.len(), regions.index_at, regions.arena_at) };
    memory.put16(h::MAJOR_AT, layout::MAJOR);
    memory.put16(h::MINOR_AT, layout::MINOR);
    memory.put32(h::ENDIAN_AT, layout::ENDIAN);
    memory.put64(h::TOTAL_SIZE, regions.total);
    memory.put32(h::HASH_ID, layout::HASH_FOLDED);
    memory.put32(h::HEADER_SIZE, h::SIZE as u32);
    memory.put64(h::SEED, random());
    memory.put64(h::CREATED_NS, now_ns());
    clock::initialise(&memory);
    let boot = crate::os::identity::boot_id();
    memory.put64(h::BOOT_ID, u64::from_le_bytes(first(&boot)));
    memory.put64(h::BOOT_ID + 8, u64::from_le_bytes(first(&boot[8..])));
    memory.put64(h::PID_NAMESPACE, crate::os::identity::pid_namespace());
    memory.put64(h::SLOTS_AT, regions.slots_at);
    memory.put32(h::SLOTS_COUNT, regions.slots_count);
    memory.put32(h::SLOT_SIZE, layout::slot::SIZE as u32);
    memory.put64(h::INDEX_AT, regions.index_at);
    memory.put32(h::INDEX_MAX_BITS, regions.index_max_bits);
    memory.put64(h::ARENA_AT, regions.arena_at);
    memory.put64(h::ARENA_END, regions.total);
    let (most, stride, cpus, kind) = percpu::plan(per_cpu, regions.total - regions.arena_at);
    memory.put64(h::PER_CPU_MAX, most);
    memory.put32(h::PER_CPU_STRIDE, stride);
    memory.put32(h::CPUS, cpus);
    memory.put32(h::PER_CPU_KIND, kind as u32);
    memory.put64(h::MAX_SERIES, max_series);
    memory.put32(h::LABELS_LEN, labels.len() as u32);
    memory.fill(h::LABELS, labels.as_bytes());
    memory.put32(h::SHORT_BOUNDS, u32::from(short_bounds));
    memory.put64(h::WATERMARK, watermark);
    memory.put32(h::INDEX_BITS, layout::INDEX_MIN_BITS);
    memory.put32(h::INDEX_TARGET, layout::INDEX_MIN_BITS);
    memory.put64(h::ARENA_TAIL, regions.arena_at);
    backing.grants().raise_bits(layout::INDEX_MIN_BITS);
    if let Some(magic) = memory.u64_at(h::MAGIC_AT) {
        magic.store(layout::MAGIC, Release);
    }
}

fn first(bytes: &[u8]) -> [u8; 8] {
    let mut out = [0; 8];
    out.copy_from_slice(&bytes[..8]);
    out
}

/// Checks that a mapped file has memory where every segment has it: a sparse copy is an error here,
/// not a signal later.
#[cfg(target_os = "linux")]
pub(crate) fn check_memory(backing: &dyn Backing, regions: &Regions, path: &Path) -> Result<(), Error> {
    if backing.grants().has_fixed(regions.index_at) {
        Ok(())
    } else {
        Err(not(path, "it has holes where its index begins; it is damaged, or a copy that left them out"))
    }
}

/// The view of a segment whose header has been checked. The places of its regions are not read
/// again, because the bytes may be damaged later.
///
/// # Safety
/// The regions are those that `check`, `check_bytes` or `initialise` had of this memory, and the
/// view must not outlive it.
pub(crate) unsafe fn view(backing: &dyn Backing, regions: &Regions) -> Mapped {
    debug_assert_eq!(regions.total, backing.len());
    // SAFETY: they lie within the memory (the caller's promise).
    let memory = unsafe { Mapped::new(backing.base(), backing.len(), regions.index_at, regions.arena_at) };
    // SAFETY: the backing keeps its grants where they are, and outlives the view (the caller's
    // promise).
    let memory = unsafe { memory.with_grants(backing.grants()) };
    memory.with_per_cpu(PerCpu::of(&memory))
}

fn not(path: &Path, reason: impl Into<String>) -> Error {
    Error::NotASegment { path: path.to_path_buf(), reason: reason.into() }
}

#[cfg(any(feature = "portable", not(target_os = "linux")))]
pub(crate) fn unfinished(path: &Path) -> Error {
    not(path, "its header was never finished; remove it")
}

/// Checks a segment's file by reading, before mapping it: a short file is an error here, not a
/// signal later. Says where its regions are.
#[cfg(target_os = "linux")]
pub(crate) fn check(file: &std::fs::File, path: &Path) -> Result<Regions, Error> {
    use std::os::unix::fs::FileExt;
    let len = file.metadata().map_err(|e| Error::system(format!("looking at {}", path.display()), e))?.len();
    let mut page = vec![0u8; PAGE as usize];
    if file.read_exact_at(&mut page, 0).is_err() {
        return Err(not(path, "it is shorter than a segment's header"));
    }
    check_page(&page, len, path)
}

/// As [`check`], of memory that is mapped already.
pub(crate) fn check_bytes(backing: &dyn Backing, path: &Path) -> Result<Regions, Error> {
    if backing.len() < PAGE {
        return Err(not(path, "it is shorter than a segment's header"));
    }
    // SAFETY: one page is there (checked).
    let memory = unsafe { Mapped::new(backing.base(), backing.len(), PAGE, u64::MAX) };
    let mut page = Vec::with_capacity(PAGE as usize);
    memory.copy_to(0, PAGE, &mut page);
    check_page(&page, backing.len(), path)
}

fn check_page(page: &[u8], len: u64, path: &Path) -> Result<Regions, Error> {
    let u16_at = |at: u64| u16::from_ne_bytes([page[at as usize], page[at as usize + 1]]);
    let u64_at = |at: u64| u64::from_ne_bytes(first(&page[at as usize..]));
    let u32_at = |at: u64| {
        let at = at as usize;
        u32::from_ne_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]])
    };
    if u64_at(h::MAGIC_AT) != layout::MAGIC {
        return Err(not(path, "it does not begin with a segment's magic number"));
    }
    if u32_at(h::ENDIAN_AT) != layout::ENDIAN {
        return Err(not(path, "it was made on a machine of the other byte order"));
    }
    let found = (u16_at(h::MAJOR_AT), u16_at(h::MINOR_AT));
    if found.0 != layout::MAJOR {
        return Err(Error::WrongVersion { path: path.to_path_buf(), found, supported: (layout::MAJOR, layout::MINOR) });
    }
    if u32_at(h::HASH_ID) != layout::HASH_FOLDED {
        return Err(Error::Unsupported(format!(
            "the segment uses hash {}, which this library does not have",
            u32_at(h::HASH_ID)
        )));
    }
    let total = u64_at(h::TOTAL_SIZE);
    if total != len {
        return Err(not(path, format!("it is {len} bytes long, its header says {total}")));
    }
    let regions = Regions {
        total,
        slots_at: u64_at(h::SLOTS_AT),
        slots_count: u32_at(h::SLOTS_COUNT),
        index_at: u64_at(h::INDEX_AT),
        index_max_bits: u32_at(h::INDEX_MAX_BITS),
        arena_at: u64_at(h::ARENA_AT),
    };
    if are_in_order(&regions, u64_at(h::ARENA_END)) {
        Ok(regions)
    } else {
        Err(not(path, "its header is damaged: the regions overlap or pass the end"))
    }
}

fn are_in_order(regions: &Regions, arena_end: u64) -> bool {
    let Regions { total, slots_at, slots_count, index_at, index_max_bits: bits, arena_at } = *regions;
    slots_at >= h::SIZE
        && (1..=layout::MAX_PROCESSES).contains(&slots_count)
        && slots_at.checked_add(u64::from(slots_count) * layout::slot::SIZE).is_some_and(|end| end <= index_at)
        && (layout::INDEX_MIN_BITS..=40).contains(&bits)
        && index_at.checked_add(8 << bits).is_some_and(|end| end <= arena_at)
        && arena_at <= arena_end
        && arena_end <= total
        && [slots_at, index_at, arena_at].iter().all(|at| at % PAGE == 0)
}
