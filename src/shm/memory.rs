//! The words of a segment as the protocols see them. One trait, so that the same protocol code runs
//! on the mapping and under a model checker.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, AtomicU8, Ordering};

use super::grants::{self, Extent, Grants};
use super::layout::PerCpu;
use super::layout::{entry, header, INDEX_MIN_BITS};
use super::pair;
use crate::os::clock::wall_ms;

/// Atomic words at byte offsets. A word outside of the memory reads as 0 and swallows writes: a
/// damaged offset costs the value, never the process.
pub(crate) trait Memory {
    fn load32(&self, at: u64, order: Ordering) -> u32;
    fn store32(&self, at: u64, value: u32, order: Ordering);
    fn cas32(&self, at: u64, old: u32, new: u32, ok: Ordering, fail: Ordering) -> Result<u32, u32>;
    fn load64(&self, at: u64, order: Ordering) -> u64;
    /// A word of the header, at a constant offset.
    fn load_header32(&self, at: u64, order: Ordering) -> u32 {
        self.load32(at, order)
    }
    /// As `load_header32`, of 8 bytes.
    fn load_header64(&self, at: u64, order: Ordering) -> u64 {
        self.load64(at, order)
    }
    /// A word of the index, at a position that the caller has masked by the index' size.
    fn load_index(&self, at: u64, order: Ordering) -> u64 {
        self.load64(at, order)
    }
    /// The size of the index, as a power of two: what the header says of it, as far as that is
    /// granted and at most `max`.
    fn index_bits(&self, claim: u32, max: u32) -> u32 {
        claim.min(max)
    }
    fn cas64(&self, at: u64, old: u64, new: u64, ok: Ordering, fail: Ordering) -> Result<u64, u64>;
    fn add64(&self, at: u64, value: u64, order: Ordering) -> u64;
    /// Raises a word to at least `value`.
    fn raise32(&self, at: u64, value: u32) {
        let mut seen = self.load32(at, Ordering::Relaxed);
        while seen < value {
            match self.cas32(at, seen, value, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) | Err(0) => return,
                Err(now) => seen = now,
            }
        }
    }
    /// The index' smallest size, as a power of two. Models have smaller ones than segments.
    fn index_min_bits(&self) -> u32 {
        INDEX_MIN_BITS
    }
    /// A sequentially consistent fence between a store and a later load.
    fn fence(&self);
}

/// A mapping of a segment. Copying it copies the view, not the memory.
#[derive(Clone, Copy)]
pub(crate) struct Mapped {
    base: NonNull<u8>,
    at: Extent,
    per_cpu: PerCpu,
    /// What is known to be granted.
    grants: NonNull<Grants>,
}

// SAFETY: all access goes through atomics or bounded copies; the pointer stays valid for as long as
// the mapping, which its owner keeps (writers: for ever; readers: for the life of `Reader`).
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

macro_rules! word {
    ($name:ident, $atomic:ty, $bytes:expr) => {
        #[inline(always)]
        pub(crate) fn $name(&self, at: u64) -> Option<&$atomic> {
            if !self.backed(at, $bytes) || at & ($bytes as u64).wrapping_sub(1) != 0 {
                return None;
            }
            // SAFETY: in bounds and backed (checked), aligned (the base is page-aligned), and every
            // access to segment words in every process is atomic.
            Some(unsafe { &*self.base.as_ptr().add(at as usize).cast::<$atomic>() })
        }
    };
}

impl Mapped {
    /// # Safety
    /// `base` must be a page-aligned shared mapping of `len` readable bytes (writable if anything
    /// is written), with everything below `fixed_end` backed, that outlives every copy of this
    /// value.
    pub(crate) unsafe fn new(base: NonNull<u8>, len: u64, fixed_end: u64, arena_at: u64) -> Self {
        Mapped {
            base,
            at: Extent { len, fixed_end: fixed_end.min(len), arena_at },
            per_cpu: PerCpu::NONE,
            grants: NonNull::from(&grants::UNKNOWN),
        }
    }

    /// The same, of which only what is granted is touched.
    ///
    /// # Safety
    /// `grants` is of this memory, and outlives every copy of this value.
    pub(crate) unsafe fn with_grants(self, grants: &Grants) -> Self {
        Mapped { grants: NonNull::from(grants), ..self }
    }

    #[inline(always)]
    fn grants(&self) -> &Grants {
        // SAFETY: a static, or as `with_grants` promises.
        unsafe { self.grants.as_ref() }
    }

    /// Notes that this process has granted the records' memory up to `end`.
    pub(crate) fn note_granted(&self, end: u64) {
        self.grants().raise_end(end.min(self.at.len));
    }

    /// The same of the index, up to this size as a power of two.
    pub(crate) fn note_granted_index(&self, bits: u32) {
        self.grants().raise_bits(bits);
    }

    /// The same, with these cells for each CPU.
    pub(crate) fn with_per_cpu(self, per_cpu: PerCpu) -> Self {
        Mapped { per_cpu, ..self }
    }

    /// Adds to one of the header's own counts.
    pub(crate) fn count(&self, field: u64) {
        self.add64(field, 1, Ordering::Relaxed);
    }

    /// Notes that the segment is being changed, in ways that are slow anyhow. Readers only show the
    /// time.
    pub(crate) fn note_update(&self) {
        self.put64(header::UPDATED_MS, wall_ms());
    }

    /// Where the records begin.
    #[inline(always)]
    pub(crate) fn arena_at(&self) -> u64 {
        self.at.arena_at
    }

    /// How the per-CPU cells lie.
    #[inline(always)]
    pub(crate) fn per_cpu(&self) -> PerCpu {
        self.per_cpu
    }

    pub(crate) fn len(&self) -> u64 {
        self.at.len
    }

    /// End of the header and the slots.
    pub(crate) fn fixed_end(&self) -> u64 {
        self.at.fixed_end
    }

    /// The offset of a pointer into the mapping.
    #[inline(always)]
    pub(crate) fn offset_of(&self, p: *const u8) -> u64 {
        p.addr().wrapping_sub(self.base.as_ptr().addr()) as u64
    }

    /// End of the backed arena, never past the mapping: what the header says, as far as it is known
    /// to be granted.
    #[inline(always)]
    pub(crate) fn watermark(&self) -> u64 {
        debug_assert!(header::WATERMARK + 8 <= self.at.fixed_end);
        // SAFETY: the header page is mapped and backed.
        let word = unsafe { &*self.base.as_ptr().add(header::WATERMARK as usize).cast::<AtomicU64>() };
        // Acquire pairs with the Release `fetch_max` in `Arena::extend`: what lies below has been
        // granted by the system.
        let claim = word.load(Ordering::Acquire);
        let grants = self.grants();
        if claim <= grants.end() {
            claim
        } else {
            grants.look_at_end(&self.at, claim)
        }
    }

    #[inline(always)]
    fn backed(&self, at: u64, bytes: u64) -> bool {
        let Some(end) = at.checked_add(bytes) else { return false };
        if at < self.at.arena_at {
            return end <= self.at.fixed_end;
        }
        // What is known to be granted stays so, whatever the header says.
        end <= self.grants().end() || self.is_granted(end)
    }

    /// Whether these bytes are a part of the arena that this process knows to be granted. Where it
    /// does not, `bytes` may still find them backed.
    #[inline(always)]
    pub(crate) fn is_known(&self, at: u64, bytes: u64) -> bool {
        at >= self.at.arena_at && at.saturating_add(bytes) <= self.grants().end()
    }

    /// Bytes of the arena from `at` on that this process knows to be granted.
    #[inline(always)]
    pub(crate) fn known_from(&self, at: u64) -> u64 {
        if at >= self.at.arena_at {
            self.grants().end().saturating_sub(at)
        } else {
            0
        }
    }

    /// A word of the arena that this process knows to be granted. Where it does not, `u32_at` may
    /// still find it.
    #[inline(always)]
    pub(crate) fn known_u32(&self, at: u64) -> Option<&AtomicU32> {
        if at % 4 != 0 || !self.is_known(at, 4) {
            return None;
        }
        // SAFETY: `is_known` says that the four bytes are mapped and backed; they are aligned.
        Some(unsafe { &*self.base.as_ptr().add(at as usize).cast::<AtomicU32>() })
    }

    #[cold]
    #[inline(never)]
    fn is_granted(&self, end: u64) -> bool {
        end <= self.watermark()
    }

    word!(u8_at, AtomicU8, 1);
    word!(u16_at, AtomicU16, 2);
    word!(u32_at, AtomicU32, 4);
    word!(u64_at, AtomicU64, 8);

    #[inline(always)]
    pub(crate) fn get8(&self, at: u64) -> u8 {
        self.u8_at(at).map_or(0, |w| w.load(Ordering::Relaxed))
    }
    #[inline(always)]
    pub(crate) fn get16(&self, at: u64) -> u16 {
        self.u16_at(at).map_or(0, |w| w.load(Ordering::Relaxed))
    }
    #[inline(always)]
    pub(crate) fn get32(&self, at: u64) -> u32 {
        self.load32(at, Ordering::Relaxed)
    }
    #[inline(always)]
    pub(crate) fn get64(&self, at: u64) -> u64 {
        self.load64(at, Ordering::Relaxed)
    }
    pub(crate) fn put8(&self, at: u64, v: u8) {
        if let Some(w) = self.u8_at(at) {
            w.store(v, Ordering::Relaxed);
        }
    }
    pub(crate) fn put16(&self, at: u64, v: u16) {
        if let Some(w) = self.u16_at(at) {
            w.store(v, Ordering::Relaxed);
        }
    }
    pub(crate) fn put32(&self, at: u64, v: u32) {
        self.store32(at, v, Ordering::Relaxed);
    }
    pub(crate) fn put64(&self, at: u64, v: u64) {
        if let Some(w) = self.u64_at(at) {
            w.store(v, Ordering::Relaxed);
        }
    }

    /// A record in the arena and how many backed bytes there are from its start: at least an
    /// entry's.
    #[inline(always)]
    pub(crate) fn record(&self, at: u64) -> Option<(*const u8, u64)> {
        self.record_below(at, self.watermark())
    }

    /// The same, by a watermark that was read before: it only rises, and what it granted stays,
    /// whatever the bytes say later.
    #[inline(always)]
    pub(crate) fn record_below(&self, at: u64, watermark: u64) -> Option<(*const u8, u64)> {
        debug_assert!(watermark <= self.at.len);
        let backed = watermark.checked_sub(at)?;
        if at < self.at.arena_at || backed < entry::SIZE {
            return None;
        }
        // SAFETY: in bounds (checked).
        Some((unsafe { self.base.as_ptr().add(at as usize).cast_const() }, backed))
    }

    /// Tells the processor that a record will be read soon.
    #[inline(always)]
    pub(crate) fn prefetch(&self, at: u64) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
            let record = self.base.as_ptr().wrapping_add(at as usize).cast::<i8>();
            // SAFETY: a hint; it does not access memory, whatever the address.
            unsafe {
                _mm_prefetch(record, _MM_HINT_T0);
                _mm_prefetch(record.wrapping_add(64), _MM_HINT_T0);
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }

    /// The arena as far as it is granted now.
    #[inline(always)]
    pub(crate) fn granted(&self) -> Granted<'_> {
        let room = self.watermark().wrapping_sub(self.at.arena_at);
        // If the watermark is damaged, nothing counts as granted.
        let sound = (16..=self.at.len).contains(&room) && self.at.arena_at <= self.at.len - room;
        let (from, last) = if sound { (self.at.arena_at, room - 16) } else { (u64::MAX, 0) };
        Granted { base: self.base, from, last, memory: PhantomData }
    }

    /// The same of an arena of which so many bytes were granted before: more than 8.
    #[inline(always)]
    pub(crate) fn granted_before(&self, bytes: u64) -> Granted<'_> {
        debug_assert!(bytes >= 16 && bytes <= self.at.len - self.at.arena_at);
        Granted { base: self.base, from: self.at.arena_at, last: bytes - 16, memory: PhantomData }
    }

    /// A pointer into the mapping that was checked before, by `bytes`.
    #[inline(always)]
    pub(crate) fn checked_before(&self, at: u64) -> *const u8 {
        self.base.as_ptr().cast_const().wrapping_add(at as usize)
    }

    /// A pointer to `len` backed bytes, for copying published, immutable text.
    #[inline(always)]
    pub(crate) fn bytes(&self, at: u64, len: u64) -> Option<*const u8> {
        // SAFETY: in bounds (checked).
        self.backed(at, len).then(|| unsafe { self.base.as_ptr().add(at as usize).cast_const() })
    }

    /// Appends `len` bytes at `at` to `out`. False, and nothing appended, if they are not there.
    pub(crate) fn copy_to(&self, at: u64, len: u64, out: &mut Vec<u8>) -> bool {
        let Some(from) = self.bytes(at, len) else { return false };
        let len = len as usize;
        out.reserve(len);
        // SAFETY: the source is backed (checked), the destination has the capacity (reserved) and
        // is private memory. A damaged segment may change the bytes under the copy: they are bytes
        // of some value either way.
        unsafe {
            std::ptr::copy_nonoverlapping(from, out.as_mut_ptr().add(out.len()), len);
            out.set_len(out.len() + len);
        }
        true
    }

    /// Writes bytes of a record that is not published yet.
    pub(crate) fn fill(&self, at: u64, bytes: &[u8]) -> bool {
        let Some(to) = self.bytes(at, bytes.len() as u64) else { return false };
        // SAFETY: in bounds (checked); the block was allocated to this thread, and no other
        // thread reaches it before its link is published.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.cast_mut(), bytes.len()) };
        true
    }

    /// As `fill`, piece by piece.
    pub(crate) fn writer(&self, at: u64, len: usize) -> Option<Writer<'_>> {
        let to = self.bytes(at, len as u64)?.cast_mut();
        Some(Writer { to, left: len, memory: PhantomData })
    }

    /// Zeroes a block that no other process can reach.
    pub(crate) fn wipe(&self, at: u64, len: u64) {
        if let Some(to) = self.bytes(at, len) {
            // SAFETY: as in `fill`.
            unsafe { std::ptr::write_bytes(to.cast_mut(), 0, len as usize) };
        }
    }

    /// The 16-byte cell at `at`.
    #[inline(always)]
    pub(crate) fn pair(&self, at: u64) -> Option<pair::Pair<'_>> {
        if at % 16 != 0 {
            return None;
        }
        let p = self.bytes(at, 16)?;
        // SAFETY: backed, aligned, and accessed only through `Pair` and atomic words.
        Some(unsafe { pair::Pair::new(p.cast_mut().cast()) })
    }

    /// The index word at `at`, which the caller has bounded by the index' backed size.
    #[inline(always)]
    pub(crate) fn index_word(&self, at: u64) -> &AtomicU64 {
        debug_assert!(at + 8 <= self.at.arena_at && at >= self.at.fixed_end && at % 8 == 0);
        // SAFETY: `Index` masks positions with its backed size, which lies within [fixed_end,
        // arena_at).
        unsafe { &*self.base.as_ptr().add(at as usize).cast::<AtomicU64>() }
    }

    #[inline(always)]
    fn word64(&self, at: u64) -> Option<&AtomicU64> {
        // Both ends are multiples of 8, so a word that begins between them also ends there. A
        // damaged link may lead to what the index has not been granted yet.
        if at >= self.at.fixed_end && at < self.at.arena_at && at % 8 == 0 {
            return self.grants().has_index(at - self.at.fixed_end).then(|| self.index_word(at));
        }
        self.u64_at(at)
    }
}

/// Writes to a record that is not published yet.
pub(crate) struct Writer<'a> {
    to: *mut u8,
    left: usize,
    memory: PhantomData<&'a Mapped>,
}

impl Writer<'_> {
    /// Writes the next bytes, unless they are more than were announced.
    #[inline(always)]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let Some(left) = self.left.checked_sub(bytes.len()) else { return };
        // SAFETY: `left` bytes from `to` are backed (`Mapped::writer`), and as in `fill`. In a
        // damaged segment the bytes may be what is written over.
        unsafe {
            std::ptr::copy(bytes.as_ptr(), self.to, bytes.len());
            self.to = self.to.add(bytes.len());
        }
        self.left = left;
    }
}

/// The arena as far as it was granted at one moment, for callers that read several of its words:
/// each costs one comparison.
#[derive(Clone, Copy)]
pub(crate) struct Granted<'a> {
    base: NonNull<u8>,
    from: u64,
    /// Where the last 16 bytes begin, from `from`.
    last: u64,
    memory: PhantomData<&'a Mapped>,
}

impl<'a> Granted<'a> {
    #[inline(always)]
    fn at(&self, at: u64, align: u64) -> Option<NonNull<u8>> {
        // An `at` before the arena wraps around.
        if at % align != 0 || at.wrapping_sub(self.from) > self.last {
            return None;
        }
        // SAFETY: in bounds (checked).
        Some(unsafe { self.base.add(at as usize) })
    }

    /// A word that begins at a multiple of 4, and at most 16 bytes before the end.
    #[inline(always)]
    pub(crate) fn u32_at(&self, at: u64) -> Option<&'a AtomicU32> {
        // SAFETY: backed and aligned (`at`), mapped as long as the view, and accessed atomically.
        Some(unsafe { self.at(at, 4)?.cast::<AtomicU32>().as_ref() })
    }

    /// As `u32_at`, of 8 bytes.
    #[inline(always)]
    pub(crate) fn u64_at(&self, at: u64) -> Option<&'a AtomicU64> {
        // SAFETY: as above.
        Some(unsafe { self.at(at, 8)?.cast::<AtomicU64>().as_ref() })
    }

    /// Two words of 8 bytes, the first of which begins at a multiple of 16.
    #[inline(always)]
    pub(crate) fn two_at(&self, at: u64) -> Option<&'a [AtomicU64; 2]> {
        // SAFETY: backed, as 16 bytes from any place are that `at` gives; else as above.
        Some(unsafe { self.at(at, 16)?.cast::<[AtomicU64; 2]>().as_ref() })
    }

    #[inline(always)]
    pub(crate) fn load32(&self, at: u64, order: Ordering) -> u32 {
        self.u32_at(at).map_or(0, |w| w.load(order))
    }

    #[inline(always)]
    pub(crate) fn load64(&self, at: u64, order: Ordering) -> u64 {
        self.u64_at(at).map_or(0, |w| w.load(order))
    }

    /// The 16-byte cell at `at`.
    #[inline(always)]
    pub(crate) fn pair(&self, at: u64) -> Option<pair::Pair<'a>> {
        let p = self.at(at, 16)?;
        // SAFETY: backed and aligned (`at`), and accessed only through `Pair` and atomic words.
        Some(unsafe { pair::Pair::new(p.cast().as_ptr()) })
    }
}

impl Memory for Mapped {
    #[inline(always)]
    fn load32(&self, at: u64, order: Ordering) -> u32 {
        self.u32_at(at).map_or(0, |w| w.load(order))
    }
    #[inline(always)]
    fn store32(&self, at: u64, value: u32, order: Ordering) {
        if let Some(w) = self.u32_at(at) {
            w.store(value, order);
        }
    }
    fn cas32(&self, at: u64, old: u32, new: u32, ok: Ordering, fail: Ordering) -> Result<u32, u32> {
        self.u32_at(at).map_or(Err(0), |w| w.compare_exchange(old, new, ok, fail))
    }
    #[inline(always)]
    fn load64(&self, at: u64, order: Ordering) -> u64 {
        self.word64(at).map_or(0, |w| w.load(order))
    }
    #[inline(always)]
    fn load_header32(&self, at: u64, order: Ordering) -> u32 {
        debug_assert!(at + 4 <= header::SIZE && at % 4 == 0);
        // SAFETY: the header page is mapped and backed.
        unsafe { &*self.base.as_ptr().add(at as usize).cast::<AtomicU32>() }.load(order)
    }
    #[inline(always)]
    fn load_header64(&self, at: u64, order: Ordering) -> u64 {
        debug_assert!(at + 8 <= header::SIZE && at % 8 == 0);
        // SAFETY: the header page is mapped and backed.
        unsafe { &*self.base.as_ptr().add(at as usize).cast::<AtomicU64>() }.load(order)
    }
    #[inline(always)]
    fn load_index(&self, at: u64, order: Ordering) -> u64 {
        self.index_word(at).load(order)
    }
    #[inline(always)]
    fn index_bits(&self, claim: u32, max: u32) -> u32 {
        let grants = self.grants();
        if claim <= grants.bits() {
            claim
        } else {
            grants.look_at_bits(&self.at, claim, max)
        }
    }
    fn cas64(&self, at: u64, old: u64, new: u64, ok: Ordering, fail: Ordering) -> Result<u64, u64> {
        self.word64(at).map_or(Err(0), |w| w.compare_exchange(old, new, ok, fail))
    }
    fn add64(&self, at: u64, value: u64, order: Ordering) -> u64 {
        self.word64(at).map_or(0, |w| w.fetch_add(value, order))
    }
    fn fence(&self) {
        std::sync::atomic::fence(Ordering::SeqCst);
    }
}
