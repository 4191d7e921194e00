//! Lanes: cells for each CPU, which hot series count in beside their own.
//!
//! A series is born with one cell for all. When what it has counted there shows that it is hot, whoever notices gives it a *lane*: a cell (or one
//! for each bucket) for every CPU, at the same place in areas of [`STRIDE`] bytes that lie one behind the other. From then on it counts
//! in the cell of the CPU it runs on; its value is the sum of all. Where the lane is, its record's `LANE` says: the number of its
//! first cell, counted in cells of 8 bytes from the first record on.
//!
//! Lanes are written in one of two ways, chosen for the whole segment by its creator, and never in both, as each of them is right by itself
//! only: in restartable sequences ([`rseq`]), or by locked instructions. Who cannot write them in the segment's way leaves them alone, and
//! counts in the series' own cell.
//!
//! A lane belongs to one life of one record, and never to another. So an update need not know whether its series is removed just now: what comes
//! late goes into a lane that nobody reads any more.
//!
//! * Who counts reads `LANE` first, and then in the state whether the record is still in its life. If so the lane is one of that life.
//! * Who removes a series moves its record's state on to the next life, and then clears `LANE`.
//! * Who gives a lane puts it where there is 0. If he comes late, it is of the next life, and nobody has ever counted in it.
//!
//! The price is that lanes are never used again: 8 bytes for each CPU (16 for each bucket) of every life that was hot. They may
//! take `LANES_MOST`, an eighth of the records' memory; when they are used up, series count as they are born.

mod rseq;

use std::sync::atomic::{
    AtomicU32, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

use super::generation::Life;
use super::layout::{align, entry, header, GRANULE};
use super::list::offset;
use super::memory::{Granted, Mapped, Memory};
use super::pair::Pair;
use crate::os::errno::Errno;
use crate::os::host::Undisturbed;
use crate::segment::Inner;

/// From the cell of one CPU to that of the next.
pub(crate) const STRIDE: u64 = 1 << SHIFT;
const SHIFT: u32 = 10;
/// Two cache lines, as processors fetch them in pairs.
const LINES: u64 = 128;
/// A series asks for a lane each time its own cell has counted so many more. A power of two.
pub(crate) const HEAT: u64 = 4096;
/// The same for each bucket of a histogram.
pub(crate) const HEAT_OF_BUCKET: u64 = 1024;
/// Greater amounts go to the series' own cell. A cell that is written in restartable sequences
/// takes nothing more once it is at 2^63. A cell that is written by locked instructions has no such
/// check and wraps at 2^64: bytes at 400 Gbit/s take 11 years to get there.
pub(crate) const MOST: u64 = 1 << 32;
/// Attempts of a restartable sequence. It fails when it is interrupted; when it is single-stepped, always.
const ATTEMPTS: u32 = 8;
/// Attempts at the shared words. Giving up costs nothing but time: the series asks again.
const BOUND: u32 = 100;
/// By locked instructions a thread looks which CPU it is on about once in so many updates. A power of two.
const STAY: u64 = 1024;
/// The golden ratio's fraction: the high bits of its multiples are spread evenly, whatever the numbers have in common.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// Threads that share no hint, if they are lucky. A power of two.
const HINTS: usize = 64;
/// In place of a lane, in the embedded series of a family that was retired: updates go nowhere. No
/// lane is known by this number, so updates find it out in their slow paths. It is odd, as no
/// histogram's lane is.
pub(crate) const CLOSED: u32 = u32::MAX;
/// More CPUs than Linux can have.
const MOST_CPUS: u32 = 1 << 16;

/// How a segment's lanes are written, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    None = 0,
    /// In restartable sequences.
    Rseq = 1,
    /// By locked instructions.
    Locked = 2,
}

impl Kind {
    pub(crate) fn of(memory: &Mapped) -> Self {
        match memory.get32(header::LANE_KIND) {
            1 => Kind::Rseq,
            2 => Kind::Locked,
            _ => Kind::None,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::None => "none",
            Kind::Rseq => "rseq",
            Kind::Locked => "locked",
        }
    }
}

/// How the lanes of a segment lie, as its header has it: never changed, and so read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// 0 if there are none.
    pub(crate) cpus: u64,
    pub(crate) stride: u64,
}

impl Shape {
    pub(crate) const NONE: Shape = Shape { cpus: 0, stride: 0 };

    /// What makes no sense has no lanes.
    pub(crate) fn of(memory: &Mapped) -> Self {
        let (cpus, stride) = (memory.get32(header::LANE_CPUS), u64::from(memory.get32(header::LANE_STRIDE)));
        let sensible = (1..=MOST_CPUS).contains(&cpus) && (LINES..=1 << 20).contains(&stride) && stride % LINES == 0;
        // As `plan` has it, so that a read of one lane is bounded by the file's length.
        let sensible = sensible && u64::from(cpus) * stride <= memory.len().saturating_sub(memory.arena_at()) / 8;
        if sensible && Kind::of(memory) != Kind::None {
            Shape { cpus: cpus.into(), stride }
        } else {
            Shape::NONE
        }
    }

    /// From a lane's first byte to its last, and one more, with so many bytes for each CPU.
    fn reach(self, bytes: u64) -> u64 {
        (self.cpus - 1) * self.stride + bytes
    }
}

/// Whether `LANE` may stand for a lane with so many bytes for each CPU.
pub(crate) fn is_lane(memory: &Mapped, lane: u32, bytes: u64) -> bool {
    let (shape, end) = (memory.lanes(), memory.get64(header::ARENA_TAIL));
    shape.cpus > 0 && at(memory, lane).saturating_add(shape.reach(bytes)) <= end
}

#[inline(always)]
fn at(memory: &Mapped, lane: u32) -> u64 {
    memory.arena_at() + (u64::from(lane) << 3)
}

/// The sum of a counter's lane, which may be more than one of its cells can hold. What is no lane
/// has none.
#[inline(always)]
pub(crate) fn sum(memory: &Mapped, lane: u32) -> u128 {
    if lane == 0 {
        return 0;
    }
    sum_of(memory, lane)
}

#[inline(never)]
fn sum_of(memory: &Mapped, lane: u32) -> u128 {
    let (shape, mut sum) = (memory.lanes(), 0);
    if shape.cpus == 0 || lane == CLOSED {
        return 0;
    }
    let Some(first) = memory.bytes(at(memory, lane), shape.reach(8)) else { return 0 };
    for cpu in 0..shape.cpus {
        // SAFETY: within what was checked, aligned to 8 as every lane is and the stride, and all access is atomic.
        let cell = unsafe { &*first.add((cpu * shape.stride) as usize).cast::<AtomicU64>() };
        // Relaxed: each of them only rises, and so does their sum.
        sum += u128::from(cell.load(Relaxed));
    }
    sum
}

/// Gives the pairs in the lane of a histogram, with their bucket, to `take`: each as it was at one moment.
#[inline]
pub(crate) fn pairs(memory: &Mapped, lane: u32, buckets: usize, mut take: impl FnMut(usize, [u64; 2])) {
    let shape = memory.lanes();
    if lane == 0 || lane & 1 != 0 || shape.cpus == 0 {
        return;
    }
    let Some(first) = memory.bytes(at(memory, lane), shape.reach(16 * buckets as u64)) else { return };
    for cpu in 0..shape.cpus {
        for bucket in 0..buckets {
            // SAFETY: within what was checked, aligned to 16 (the lane is, and so is the stride), and all access is atomic.
            let pair = unsafe { Pair::new(first.add((cpu * shape.stride) as usize + 16 * bucket).cast_mut().cast()) };
            take(bucket, pair.load());
        }
    }
}

/// The record's lane: 0 if it has none. Whoever counts in it looks *after* this whether the record is in his life.
pub(crate) fn of<M: Memory>(memory: &M, record: u64) -> u32 {
    // Acquire pairs with `give` and `take_away`: of a lane that was given in a later life, that life is seen.
    memory.load32(record + entry::LANE, Acquire)
}

/// Gives the record a lane that nobody else has ever had. False: it has one.
pub(crate) fn give<M: Memory>(memory: &M, record: u64, lane: u32) -> bool {
    // Release publishes the granted memory; it also hands on what the last `take_away` did.
    memory.cas32(record + entry::LANE, 0, lane, AcqRel, Relaxed).is_ok()
}

/// Takes the lane of an earlier life away, from a record that is in its next one.
pub(crate) fn take_away<M: Memory>(memory: &M, record: u64) {
    let mut seen = memory.load32(record + entry::LANE, Relaxed);
    // Release: who finds nothing, or what is given after this, sees the life that the record is in. A swap also where there is nothing,
    // for that reason.
    while let Err(now) = memory.cas32(record + entry::LANE, seen, 0, Release, Relaxed) {
        // Damaged: it is not there at all.
        if now == seen {
            return;
        }
        seen = now;
    }
}

/// Closes the embedded series of a retired family to updates that go by lanes.
pub(crate) fn close<M: Memory>(memory: &M, record: u64) {
    let mut seen = memory.load32(record + entry::LANE, Relaxed);
    while seen != CLOSED {
        // Release: as in `take_away`.
        match memory.cas32(record + entry::LANE, seen, CLOSED, Release, Relaxed) {
            Ok(_) => return,
            // Damaged: it is not there at all.
            Err(now) if now == seen => return,
            Err(now) => seen = now,
        }
    }
}

/// The lane that a word gives to this life of a record, {life: high 32 bits, lane: low 32}; 0 if it gives none.
///
/// Such a word needs no clearing: what an earlier life has left is not taken for a later one's.
#[inline(always)]
pub(crate) fn in_word(word: u64, life: Life) -> u32 {
    if (word >> 32) as u32 == life.0 as u32 {
        word as u32
    } else {
        0
    }
}

/// Gives this life of a record a lane that nobody else has ever had, by the word at `at`. False: it has one, or a later life has.
pub(crate) fn give_to_life<M: Memory>(memory: &M, at: u64, life: Life, lane: u32) -> bool {
    let seen = memory.load64(at, Relaxed);
    // Lives only rise, so what comes late fails here, or in the swap.
    let is_first = seen == 0 || (seen >> 32) < u64::from(life.0 as u32);
    // Release publishes the granted memory.
    is_first && memory.cas64(at, seen, u64::from(life.0 as u32) << 32 | u64::from(lane), AcqRel, Relaxed).is_ok()
}

/// A segment's lanes, as this process writes them. What every update reads stands first.
#[repr(C, align(64))]
pub(crate) struct Lanes {
    /// The first record.
    arena: *mut u8,
    /// Where this process' threads have their areas; 0 if they have none.
    area: isize,
    /// A lane from 1 up to this is known to have its cells, one for each CPU, in granted memory. Stays 0 but where restartable sequences are
    /// the way.
    known: AtomicU32,
    /// The same where locked instructions are the way.
    known_locked: AtomicU32,
    kind: Kind,
    /// Whether 16 bytes are stored as one.
    pairs: bool,
    /// At most 2^16. Restartable sequences read the low half.
    cpus: u64,
    /// What [`Lanes::is_hot`] counts.
    asked: AtomicU32,
    /// By thread, or so: the CPU that it ran on lately. By locked instructions any CPU's cell is right, so this may be wrong.
    hints: [AtomicU32; HINTS],
}

/// Where restartable sequences find the number of CPUs.
const CPUS: usize = std::mem::offset_of!(Lanes, cpus);
const _: () = assert!(CPUS < 64);

// SAFETY: the pointer is into a mapping that lives as long as the process, and is used for atomic access and in restartable sequences alone.
unsafe impl Send for Lanes {}
// SAFETY: as above.
unsafe impl Sync for Lanes {}

impl Lanes {
    /// `rseq`: whether this process may.
    pub(crate) fn new(memory: &Mapped, rseq: bool) -> Self {
        let shape = memory.lanes();
        let area = rseq::area();
        // Another kernel's CPUs may have the same numbers, if it can reach this memory at all. This one's are as many as ever since it
        // was started.
        let here = memory.get64(header::BOOT_ID) == first_half(crate::process::boot_id());
        // Who cannot tell trusts the creator, who could: only then restartable sequences are the segment's way.
        let fits = possible_cpus().is_none_or(|cpus| u64::from(cpus) <= shape.cpus);
        let is_lanes = here && shape.stride == STRIDE && shape.cpus > 0;
        let kind = match Kind::of(memory) {
            Kind::Rseq if rseq && area.is_some() && is_lanes && fits => Kind::Rseq,
            // The number of any cell is right.
            Kind::Locked if is_lanes => Kind::Locked,
            _ => Kind::None,
        };
        Lanes {
            arena: memory.checked_before(memory.arena_at()).cast_mut(),
            area: area.unwrap_or(0),
            known: AtomicU32::new(0),
            known_locked: AtomicU32::new(0),
            kind,
            pairs: kind == Kind::Locked || one_store(),
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

    /// Whether this process has met any lane that it changes in restartable sequences.
    #[inline(always)]
    pub(crate) fn are_known(&self) -> bool {
        self.known.load(Relaxed) > 0
    }

    #[inline(always)]
    fn is_known(&self, lane: u32) -> bool {
        lane.wrapping_sub(1) < self.known.load(Relaxed)
    }

    /// Adds `n` to this CPU's cell of a counter's lane, if that is a matter of a few instructions. False: nothing was added.
    #[inline(always)]
    pub(crate) fn add(&self, lane: u32, n: u64) -> bool {
        // SAFETY: a lane that is known (checked first), as `add_once` wants it.
        self.is_known(lane) && unsafe { self.add_once(lane, n) }
    }

    /// # Safety
    /// Restartable sequences are the segment's and this process' way, and the cells of all CPUs are in granted memory.
    #[inline(always)]
    unsafe fn add_once(&self, lane: u32, n: u64) -> bool {
        // SAFETY: `cpus` cells are there (the caller's promise), aligned to 8 as lanes are, and
        // changed only so in a segment of this kind.
        unsafe { rseq::add::<SHIFT, CPUS>(self.area, std::ptr::from_ref(self).cast(), self.arena, lane, n) }
    }

    /// As [`Lanes::add`], by a locked instruction.
    #[inline(always)]
    pub(crate) fn add_locked(&self, lane: u32, n: u64) -> bool {
        let known = lane.wrapping_sub(1) < self.known_locked.load(Relaxed);
        if known {
            // SAFETY: the lane is known, and so this is its segment's way.
            unsafe { self.add_to_hinted(lane, n) };
        }
        known
    }

    /// # Safety
    /// Locked instructions are the segment's and this process' way, and the cells of all CPUs are in granted memory.
    #[inline(always)]
    unsafe fn add_to_hinted(&self, lane: u32, n: u64) {
        // SAFETY: so many cells are there (the caller's promise), aligned to 8 as lanes are, and changed only by atomic operations in a
        // segment of this kind.
        let cell =
            unsafe { &*self.arena.add((8 * u64::from(lane) + self.cpu() * STRIDE) as usize).cast::<AtomicU64>() };
        // Relaxed: a sum of its own. A load of its own for what was seen would wait for the last update's lock: on Intel's processors that
        // takes a quarter longer, and saves a tenth on AMD's.
        let seen = cell.fetch_add(n, Relaxed);
        if seen.wrapping_mul(GOLDEN) >> (64 - STAY.ilog2()) == 0 {
            self.look_at_cpu();
        }
    }

    /// The same where the lane is not known yet, or a restartable sequence was interrupted.
    pub(crate) fn add_otherwise(&self, memory: &Mapped, lane: u32, n: u64) -> bool {
        if lane == 0 || lane == CLOSED || !self.reaches(memory, lane.into()) {
            return false;
        }
        if self.kind == Kind::Rseq {
            // SAFETY: it reaches.
            return (0..ATTEMPTS).any(|_| unsafe { self.add_once(lane, n) });
        }
        // SAFETY: it reaches, and neither `None` nor restartable sequences are the way.
        unsafe { self.add_to_hinted(lane, n) };
        true
    }

    /// Counts an observation in this CPU's pair of a bucket, in a histogram's lane, as [`Lanes::add`] does.
    #[inline(always)]
    pub(crate) fn count(&self, lane: u32, bucket: usize, v: f64) -> bool {
        let cell = u64::from(lane) + 2 * bucket as u64;
        // Of a pair, two cells.
        let known = lane != 0 && cell < u64::from(self.known.load(Relaxed)) && lane & 1 == 0;
        // SAFETY: known, and aligned to 16 (checked first), as `count_once` wants it.
        known && unsafe { self.count_once(cell, v) }
    }

    /// # Safety
    /// As of `add_once`, of pairs aligned to 16.
    #[inline(always)]
    unsafe fn count_once(&self, cell: u64, v: f64) -> bool {
        // SAFETY: as in `add_once`. Where 16 bytes are not stored as one no histogram's lane is used.
        self.pairs
            && unsafe { rseq::count::<SHIFT, CPUS>(self.area, std::ptr::from_ref(self).cast(), self.arena, cell, v) }
    }

    /// As [`Lanes::count`], by a locked instruction.
    #[inline(always)]
    pub(crate) fn count_locked(&self, lane: u32, bucket: usize, v: f64) -> bool {
        let cell = u64::from(lane) + 2 * bucket as u64;
        let known = lane != 0 && cell < u64::from(self.known_locked.load(Relaxed)) && lane & 1 == 0;
        if known {
            // SAFETY: known, and aligned to 16 (checked), and so this is its segment's way.
            unsafe { self.count_in_hinted(cell, v) };
        }
        known
    }

    /// # Safety
    /// As of `add_to_hinted`, of pairs aligned to 16.
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

    /// As [`Lanes::add_otherwise`].
    pub(crate) fn count_otherwise(&self, memory: &Mapped, lane: u32, bucket: usize, v: f64) -> bool {
        let cell = u64::from(lane) + 2 * bucket as u64;
        if lane == 0 || cell & 1 != 0 || !self.pairs || !self.reaches(memory, cell + 1) {
            return false;
        }
        if self.kind == Kind::Rseq {
            // SAFETY: it reaches, and is aligned (checked).
            return (0..ATTEMPTS).any(|_| unsafe { self.count_once(cell, v) });
        }
        // SAFETY: as in `add_otherwise`, aligned to 16.
        unsafe { self.count_in_hinted(cell, v) };
        true
    }

    /// The CPU whose cell to count in by locked instructions. To ask for the one that we run on takes longer than to count, so each
    /// thread does that only now and then ([`STAY`]). Meanwhile it may have moved, or share another's hint: that is slower, and right.
    #[inline(always)]
    fn cpu(&self) -> u64 {
        u64::from(self.hint().load(Relaxed))
    }

    #[inline(always)]
    fn hint(&self) -> &AtomicU32 {
        // Of the product the high bits depend on all of the thread's.
        let i = (rseq::thread() as u64).wrapping_mul(GOLDEN) >> (64 - HINTS.ilog2());
        &self.hints[i as usize % HINTS]
    }

    #[cold]
    #[inline(never)]
    extern "C" fn look_at_cpu(&self) {
        let errno = Errno::keep();
        #[cfg(target_os = "linux")]
        // SAFETY: a call without arguments. Where there is none such it fails, and all count in one cell.
        let cpu = u64::from(unsafe { libc::sched_getcpu() } as u32);
        #[cfg(not(target_os = "linux"))]
        let cpu = 0;
        drop(errno);
        self.hint().store((cpu % self.cpus) as u32, Relaxed);
    }

    /// Whether a cell, by the numbers of lanes, is there for all CPUs. Remembers how far they are, where that is all there is to know.
    fn reaches(&self, memory: &Mapped, cell: u64) -> bool {
        let granted = memory.watermark().saturating_sub(memory.arena_at());
        let cells = granted.saturating_sub((self.cpus - 1) * STRIDE) / 8;
        // The last cell has the number `cells - 1`.
        let known = match self.kind {
            Kind::Rseq => Some(&self.known),
            Kind::Locked => Some(&self.known_locked),
            Kind::None => None,
        };
        if let Some(known) = known {
            // The watermark only rises, so whoever writes this last is right too.
            // Never so far that `CLOSED` is known.
            known.store(cells.saturating_sub(1).min(u64::from(CLOSED) - 2) as u32, Relaxed);
        }
        self.kind != Kind::None && cell < cells
    }

    /// Whether a series that has added `n`, and has crossed a multiple of [`HEAT`], is hot: of amounts other than 1, one in so many is asked.
    fn is_hot(&self, n: u64) -> bool {
        n <= 1 || u64::from(self.asked.fetch_add(1, Relaxed)) % n.min(HEAT) == 0
    }
}

/// Gives a lane with so many bytes for each CPU to the series in this record, which has just added `n`, if there is room for one.
#[cold]
#[inline(never)]
pub(crate) fn ask(inner: &Inner, record: u64, bytes: u64, n: u64) {
    let memory = &inner.memory;
    if inner.lanes.kind == Kind::None
        || memory.load32(record + entry::LANE, Relaxed) != 0
        || (bytes > 8 && !inner.lanes.pairs)
        || !inner.lanes.is_hot(n)
    {
        return;
    }
    allocate_for(inner, bytes, |lane| give(memory, record, lane));
}

/// Gives a lane with so many bytes for each CPU to the pairs whose word this is, one of which has just counted enough to be hot.
#[cold]
#[inline(never)]
pub(crate) fn ask_for_life(inner: &Inner, word: u64, life: Life, bytes: u64) {
    let (memory, lanes) = (&inner.memory, &inner.lanes);
    if lanes.kind != Kind::None && lanes.pairs && in_word(memory.load64(word, Relaxed), life) == 0 && lanes.is_hot(1) {
        allocate_for(inner, bytes, |lane| give_to_life(memory, word, life, lane));
    }
}

fn allocate_for(inner: &Inner, bytes: u64, give: impl FnOnce(u32) -> bool) {
    // An update may be called by a signal handler, and must not change what it finds.
    let undisturbed = Undisturbed::new();
    if let Some(lane) = allocate(inner, bytes) {
        if !give(lane) {
            give_back(&inner.memory, lane, bytes);
        }
    }
    drop(undisturbed);
}

/// Takes a lane from the area that is in use, or from a new one.
fn allocate(inner: &Inner, bytes: u64) -> Option<u32> {
    let memory = &inner.memory;
    let size = inner.lanes.cpus * STRIDE + LINES - GRANULE;
    // Acquire: a new area was granted before it was published.
    let mut tail = memory.load64(header::LANE_TAIL, Acquire);
    for _ in 0..BOUND {
        let (area, used) = (offset((tail >> 32) as u32), u64::from(tail as u32));
        let from = align(used, bytes.min(GRANULE));
        if area != 0 && from + bytes <= STRIDE {
            let lane = u32::try_from((area + from).checked_sub(memory.arena_at())? >> 3).ok()?;
            match memory.cas64(header::LANE_TAIL, tail, tail >> 32 << 32 | (from + bytes), AcqRel, Acquire) {
                Ok(_) => return Some(lane),
                Err(now) => tail = now,
            }
            continue;
        }
        if bytes > STRIDE || memory.get64(header::LANE_BYTES) + size > memory.get64(header::LANES_MOST) {
            return None;
        }
        if !is_in_reach(memory, memory.load64(header::ARENA_TAIL, Relaxed).saturating_add(size)) {
            return None;
        }
        let arena = inner.arena();
        let link = arena.allocate(size)?;
        // Others may have allocated meanwhile.
        if !is_in_reach(memory, offset(link) + size) {
            arena.give_back(link, size);
            return None;
        }
        let area = align(offset(link), LINES) / GRANULE;
        // Release publishes the granted memory.
        match memory.cas64(header::LANE_TAIL, tail, area << 32, AcqRel, Acquire) {
            Ok(_) => {
                memory.add64(header::LANE_BYTES, size, Relaxed);
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
fn is_in_reach(memory: &Mapped, end: u64) -> bool {
    u32::try_from(end.saturating_sub(memory.arena_at()) >> 3).is_ok()
}

/// Takes a lane back that was never given, if none was allocated behind it.
fn give_back(memory: &Mapped, lane: u32, bytes: u64) {
    let tail = memory.load64(header::LANE_TAIL, Relaxed);
    let from = at(memory, lane).wrapping_sub(offset((tail >> 32) as u32));
    if from + bytes == u64::from(tail as u32) {
        let _ = memory.cas64(header::LANE_TAIL, tail, tail >> 32 << 32 | from, AcqRel, Relaxed);
    }
}

/// What a process wants of lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// That there are any, in a new segment.
    pub(crate) lanes: bool,
    /// Restartable sequences.
    pub(crate) rseq: bool,
}

/// What the header of a new segment says of its lanes: {most bytes, stride, CPUs, kind}.
pub(crate) fn plan(Plan { lanes, rseq }: Plan, arena: u64) -> (u64, u32, u32, Kind) {
    let (possible, most) = (possible_cpus(), arena / 8);
    let cpus = possible.unwrap_or_else(configured_cpus).min(MOST_CPUS);
    let kind = if !lanes || cpus == 0 || u64::from(cpus) * STRIDE + LINES > most {
        Kind::None
    } else if rseq && possible == Some(cpus) && rseq::area().is_some() {
        Kind::Rseq
    } else {
        Kind::Locked
    };
    (most, STRIDE as u32, cpus, kind)
}

/// Whether the environment lets processes use restartable sequences: `SHMETRICS_RSEQ=0` does not.
pub(crate) fn rseq_allowed() -> bool {
    crate::os::environment::var_os("SHMETRICS_RSEQ").is_none_or(|v| v != "0")
}

/// One more than the greatest number a CPU may ever have in this boot. `None` if that cannot be told for sure, as where there is no `/sys`:
/// a restartable sequence finds its cell by the CPU's number, whatever that is.
fn possible_cpus() -> Option<u32> {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/possible").ok()?;
    list.trim().rsplit([',', '-']).next()?.parse::<u32>().ok()?.checked_add(1)
}

/// How many CPUs there are, or so: without `/sys` the C library counts those that are online, or that this thread may run on. Enough for
/// locked instructions, which may use any cell; 0 if that cannot be told.
fn configured_cpus() -> u32 {
    #[cfg(target_os = "linux")]
    // SAFETY: a plain call.
    return u32::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) }).unwrap_or(0);
    #[cfg(not(target_os = "linux"))]
    0
}

/// Whether this processor stores 16 aligned bytes as one (see `Pair::load`).
fn one_store() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx");
    #[cfg(not(target_arch = "x86_64"))]
    false
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
        let segment = Options::new().anonymous().ceiling(4 << 20).open().unwrap();
        let counter = segment.counter("c", "").register().unwrap();
        let histogram = segment.histogram("h", "").buckets(&[1.0]).register().unwrap();
        let inner = segment.inner;
        if inner.lanes.kind != Kind::Rseq {
            eprintln!("skipped: a_cpu_without_a_cell_writes_nothing (no restartable sequences)");
            return;
        }
        (0..2 * HEAT).for_each(|_| counter.inc());
        (0..2 * HEAT).for_each(|_| histogram.observe(0.5));
        let memory = &inner.memory;
        let mut lanes = Lanes::new(memory, true);
        // All that is granted is known, as it is to a process that has counted there.
        lanes.reaches(memory, 1);
        let lane = 64;
        let all = || {
            let mut bytes = Vec::new();
            memory.copy_to(memory.arena_at(), memory.watermark() - memory.arena_at(), &mut bytes);
            bytes
        };
        let before = all();
        lanes.cpus = 0;
        assert!(!lanes.add(lane, 1) && !lanes.count(lane, 0, 1.0));
        assert!(!lanes.add(lane, MOST - 1) && !lanes.count(lane + 2, 1, 1.0));
        assert_eq!(all(), before, "it has written where there is no cell");
    }
}
