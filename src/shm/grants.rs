//! Which part of a segment's memory this process may touch.
//!
//! The file is sparse: memory is granted below a watermark in the header, and up to the size of the
//! index that the header tells. A touch of what was never granted takes a page of the file system,
//! and is a SIGBUS where that has none. So the header's words are not believed as they stand. What
//! this process has granted itself is noted here, in ordinary memory. What others say they have
//! granted is looked at once: the file must have as many blocks as that takes, and the kernel must
//! be able to map each page of it (`MADV_POPULATE_READ`, from Linux 5.14 on).
//!
//! Growth only adds, so what was found once stays. The words are read before the file is looked at,
//! and the process that raises them has granted the memory before: so a sound segment always
//! passes, also while it grows.
//!
//! The limit: a hole that the file's owner makes later, where this process has looked already, is
//! not seen.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::layout::INDEX_MIN_BITS;
use crate::os::clock::monotonic_ms;
use crate::os::errno::Errno;

/// A claim that was found wrong is not looked at again for so many milliseconds: updates must not
/// pay for it each time.
const PAUSE_MS: u64 = 1000;

/// What asks the system about a mapping.
pub(crate) trait Source: Send + Sync {
    /// Whether the bytes from `from` to `to` have memory, in a file of which at least `sum` bytes
    /// have. It makes only calls that a signal handler may make.
    fn has_memory(&self, from: u64, to: u64, sum: u64) -> bool;
}

/// Memory that is there in full.
struct Plain;

impl Source for Plain {
    fn has_memory(&self, _: u64, _: u64, _: u64) -> bool {
        true
    }
}

/// Where the parts of a mapping are.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    /// Mapped bytes, a multiple of the page.
    pub(crate) len: u64,
    /// End of the header and the slots, which are always backed.
    pub(crate) fixed_end: u64,
    /// Start of the arena; between the two lies the index, backed up to its current size.
    pub(crate) arena_at: u64,
}

/// A claim that was found wrong: what it was, and when.
struct Refused {
    claim: AtomicU64,
    at_ms: AtomicU64,
}

impl Refused {
    const fn none() -> Self {
        Refused { claim: AtomicU64::new(0), at_ms: AtomicU64::new(0) }
    }

    /// Whether it was found wrong lately. Relaxed, as threads that look twice do no harm.
    fn holds(&self, claim: u64) -> bool {
        self.claim.load(Relaxed) == claim && monotonic_ms().wrapping_sub(self.at_ms.load(Relaxed)) < PAUSE_MS
    }

    fn note(&self, claim: u64) {
        self.at_ms.store(monotonic_ms(), Relaxed);
        self.claim.store(claim, Relaxed);
    }
}

/// The parts of one mapping that are known to be granted. It is in process memory: a forked child
/// has its own copy, which is as true.
pub(crate) struct Grants {
    /// The end of the records' memory. No further than the mapping's.
    end: AtomicU64,
    /// The size of the index, as a power of two.
    bits: AtomicU32,
    refused_end: Refused,
    refused_bits: Refused,
    /// `None`: all of the memory is there, and nothing is noted.
    source: Option<Box<dyn Source>>,
}

/// The grants of views about which nothing more is known.
pub(crate) static UNKNOWN: Grants = Grants::with(None);

impl Grants {
    const fn with(source: Option<Box<dyn Source>>) -> Self {
        Grants {
            end: AtomicU64::new(0),
            bits: AtomicU32::new(0),
            refused_end: Refused::none(),
            refused_bits: Refused::none(),
            source,
        }
    }

    pub(crate) fn new(source: Box<dyn Source>) -> Self {
        Self::with(Some(source))
    }

    /// The grants of memory that is there in full.
    pub(crate) fn plain() -> Self {
        Self::new(Box::new(Plain))
    }

    /// Whether everything in front of the index, and the smallest index, is there. These are
    /// granted before a segment is seen.
    pub(crate) fn has_fixed(&self, index_at: u64) -> bool {
        let _errno = Errno::keep();
        let end = index_at + (8 << INDEX_MIN_BITS);
        let there = self.source.as_ref().is_none_or(|source| source.has_memory(0, end, end));
        if there {
            self.raise_bits(INDEX_MIN_BITS);
        }
        there
    }

    /// Relaxed, here and below: the words say what the kernel has done, and nothing else depends on
    /// them.
    #[inline(always)]
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Relaxed)
    }

    #[inline(always)]
    pub(crate) fn bits(&self) -> u32 {
        self.bits.load(Relaxed)
    }

    /// Whether the index' byte at this offset may be touched.
    #[inline(always)]
    pub(crate) fn has_index(&self, offset: u64) -> bool {
        offset < 8 << self.bits() || self.source.is_none()
    }

    /// Notes that this process has granted the records' memory up to `end`, from some place on that
    /// was granted already.
    pub(crate) fn raise_end(&self, end: u64) {
        if self.source.is_some() {
            self.end.fetch_max(end, Relaxed);
        }
    }

    /// The same of the index.
    pub(crate) fn raise_bits(&self, bits: u32) {
        if self.source.is_some() {
            self.bits.fetch_max(bits, Relaxed);
        }
    }

    /// The end of the records' memory, of which the header says that it is `claim`.
    #[cold]
    #[inline(never)]
    pub(crate) fn look_at_end(&self, at: &Extent, claim: u64) -> u64 {
        let (claim, known) = (claim.min(at.len), self.end());
        let Some(source) = &self.source else { return claim };
        if claim <= known || self.refused_end.holds(claim) {
            return claim.min(known);
        }
        let _errno = Errno::keep();
        let (arena_at, index) = (at.arena_at, 8 << self.bits());
        let sum = at.fixed_end + index + claim.saturating_sub(arena_at);
        if claim <= arena_at || !source.has_memory(known.max(arena_at), claim, sum) {
            self.refused_end.note(claim);
            return known;
        }
        self.raise_end(claim);
        claim
    }

    /// The size of the index, of which the header says that it is `claim`, as a power of two and at
    /// most `max`.
    #[cold]
    #[inline(never)]
    pub(crate) fn look_at_bits(&self, at: &Extent, claim: u32, max: u32) -> u32 {
        let (claim, known) = (claim.min(max), self.bits());
        let Some(source) = &self.source else { return claim };
        if claim <= known || self.refused_bits.holds(claim.into()) {
            return claim.min(known);
        }
        let _errno = Errno::keep();
        let (from, end) = (if known == 0 { 0 } else { 8 << known }, 8u64 << claim);
        let sum = at.fixed_end + end + self.end().saturating_sub(at.arena_at);
        if !source.has_memory(at.fixed_end + from, at.fixed_end + end, sum) {
            self.refused_bits.note(claim.into());
            return known;
        }
        self.raise_bits(claim);
        claim
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::Arc;

    use super::*;

    struct Scripted(Arc<AtomicBool>, Arc<AtomicU64>);

    impl Source for Scripted {
        fn has_memory(&self, from: u64, to: u64, sum: u64) -> bool {
            assert!(from < to && to - from <= sum);
            self.1.fetch_add(1, Relaxed);
            self.0.load(Relaxed)
        }
    }

    #[test]
    fn what_is_claimed_is_looked_at_once() {
        let (there, looks) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        let grants = Grants::new(Box::new(Scripted(there.clone(), looks.clone())));
        let memory = Extent { len: 1 << 20, fixed_end: 4096, arena_at: 1 << 16 };
        assert_eq!(grants.look_at_end(&memory, 1 << 17), 1 << 17);
        assert_eq!(grants.look_at_end(&memory, 1 << 17), 1 << 17);
        assert_eq!(looks.load(Relaxed), 1);
        there.store(false, Relaxed);
        // Nothing beyond the mapping, and nothing in front of the records.
        for (claim, found) in [(1 << 18, 1 << 17), (1 << 18, 1 << 17), (u64::MAX, 1 << 17), (5000, 5000)] {
            assert_eq!(grants.look_at_end(&memory, claim), found, "{claim}");
        }
        assert_eq!(looks.load(Relaxed), 3, "what was refused is not looked at again at once");
        // What this process grants itself needs no look.
        grants.raise_end(1 << 18);
        assert_eq!(grants.look_at_end(&memory, 1 << 18), 1 << 18);
        assert_eq!(grants.look_at_bits(&memory, 12, 13), 0);
        there.store(true, Relaxed);
        grants.refused_bits.claim.store(0, Relaxed);
        assert_eq!([12, 12, 40].map(|claim| grants.look_at_bits(&memory, claim, 13)), [12, 12, 13]);
        assert_eq!(looks.load(Relaxed), 6);
    }
}
