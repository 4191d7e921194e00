//! Blocks of sixteen bytes, each in one SSE2 register where the processor has SSE2.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8, _mm_storeu_si128};

/// Bytes of a block.
pub(in crate::expose) const BLOCK: usize = 16;

/// A block: in one register where SSE2 is, as it is on every x86_64.
#[derive(Clone, Copy)]
pub(in crate::expose) struct Block(
    #[cfg(target_arch = "x86_64")] __m128i,
    #[cfg(not(target_arch = "x86_64"))] [u8; BLOCK],
);

impl Block {
    /// # Safety
    /// 16 bytes are readable at `from`. They may change meanwhile, and are some bytes or other
    /// then.
    #[inline(always)]
    pub(in crate::expose) unsafe fn read(from: *const u8) -> Self {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller's promise.
        let block = unsafe { _mm_loadu_si128(from.cast()) };
        #[cfg(not(target_arch = "x86_64"))]
        // SAFETY: the caller's promise.
        let block = unsafe { from.cast::<[u8; BLOCK]>().read_unaligned() };
        Block(block)
    }

    /// # Safety
    /// 16 bytes are writable at `to`.
    #[inline(always)]
    pub(in crate::expose) unsafe fn write(self, to: *mut u8) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller's promise.
        unsafe {
            _mm_storeu_si128(to.cast(), self.0);
        }
        #[cfg(not(target_arch = "x86_64"))]
        // SAFETY: the caller's promise.
        unsafe {
            to.cast::<[u8; BLOCK]>().write_unaligned(self.0);
        }
    }

    /// Which of its bytes are this one, a bit for each.
    #[inline(always)]
    pub(in crate::expose) fn find(self, byte: u8) -> u32 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE2 is part of x86_64.
        let found = unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(self.0, _mm_set1_epi8(byte as i8))) as u32 };
        #[cfg(not(target_arch = "x86_64"))]
        let found = (0..BLOCK).fold(0, |found, i| found | u32::from(self.0[i] == byte) << i);
        found
    }
}
