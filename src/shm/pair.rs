//! A 16-byte cell {count or tag: u64, f64} that changes as one: a histogram's bucket and its sum
//! can never disagree, whatever is killed between two instructions.

use std::marker::PhantomData;
use std::sync::atomic::{fence, AtomicU64, Ordering};

/// Two words updated by one 16-byte compare-and-swap.
///
/// Every successful update must change the first word, and the first word must not return to an
/// earlier value while a reader is between its loads. That is what lets a reader without 16-byte
/// loads (read first, second, first again) know that it saw one state. Counts that only rise never
/// return. Where counts fall, [`fallen`] counts the falls beside them.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'a> {
    at: *mut [u64; 2],
    _memory: PhantomData<&'a AtomicU64>,
}

/// Bits of a count that may fall, in the first word of a gauge histogram's pair. Above them, up to
/// the generation, is the number of times that the count has fallen.
pub(crate) const FALLING_BITS: u32 = 36;
pub(crate) const FALLING_MASK: u64 = (1 << FALLING_BITS) - 1;

/// The first word after its count, which is not 0, has fallen by one. `mask` has the bits that are
/// not the generation's.
///
/// It returns to an earlier value after 2^8 falls at the earliest (2^28 in a series that is never
/// removed), and then only if the count is the same too.
#[inline(always)]
pub(crate) const fn fallen(first: u64, mask: u64) -> u64 {
    (first & !mask) | (first.wrapping_add(FALLING_MASK) & mask)
}

impl<'a> Pair<'a> {
    /// # Safety
    /// `at` must point to 16 mapped bytes, aligned to 16, which outlive the lifetime and are only
    /// accessed atomically.
    #[inline(always)]
    pub(crate) unsafe fn new(at: *mut [u64; 2]) -> Self {
        Pair { at, _memory: PhantomData }
    }

    #[inline(always)]
    fn word(self, i: usize) -> &'a AtomicU64 {
        // SAFETY: the invariant of `new`.
        unsafe { &*self.at.cast::<AtomicU64>().add(i) }
    }

    /// Both words, perhaps of two moments: good as the first guess of a compare-and-swap.
    #[inline(always)]
    pub(crate) fn guess(self) -> [u64; 2] {
        [self.word(0).load(Ordering::Relaxed), self.word(1).load(Ordering::Relaxed)]
    }

    /// Both words of one moment. Works on read-only memory, and waits for no process.
    #[inline]
    pub(crate) fn load(self) -> [u64; 2] {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx") {
            let value: std::arch::x86_64::__m128i;
            // SAFETY: aligned and readable (`new`). Intel and AMD guarantee that aligned 16-byte
            // SSE loads are atomic on processors with AVX (Intel SDM vol. 3A, 9.1.1; AMD APM vol.
            // 2, 7.3.2).
            unsafe {
                std::arch::asm!("movdqa {v}, xmmword ptr [{p}]", v = out(xmm_reg) value, p = in(reg) self.at,
                    options(nostack, readonly, preserves_flags));
            }
            // SAFETY: both are 16 plain bytes.
            return unsafe { std::mem::transmute::<std::arch::x86_64::__m128i, [u64; 2]>(value) };
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("lse2") {
            let (first, second): (u64, u64);
            // SAFETY: aligned and readable (`new`). With FEAT_LSE2 a load pair of 16 aligned bytes
            // is single-copy atomic (Arm Architecture Reference Manual, B2.2.1).
            unsafe {
                std::arch::asm!("ldp {a}, {b}, [{p}]", a = out(reg) first, b = out(reg) second, p = in(reg) self.at,
                    options(nostack, readonly, preserves_flags));
            }
            // Acquire pairs with the Release of `cas`.
            fence(Ordering::Acquire);
            return [first, second];
        }
        self.load_twice()
    }

    /// Reads until the first word stands still, a bounded number of times.
    fn load_twice(self) -> [u64; 2] {
        let mut first = self.word(0).load(Ordering::Acquire);
        for _ in 0..128 {
            let second = self.word(1).load(Ordering::Acquire);
            fence(Ordering::Acquire);
            let again = self.word(0).load(Ordering::Relaxed);
            if again == first {
                return [first, second];
            }
            first = again;
        }
        [first, self.word(1).load(Ordering::Relaxed)]
    }

    /// Replaces the pair by what `new` makes of it, and returns the new pair. If `new` refuses a
    /// pair, nothing changes.
    #[inline(always)]
    pub(crate) fn update<E>(self, new: impl Fn([u64; 2]) -> Result<[u64; 2], E>) -> Result<[u64; 2], E> {
        let mut seen = self.guess();
        loop {
            let new = new(seen)?;
            match self.cas(seen, new) {
                Ok(()) => return Ok(new),
                Err(now) => seen = now,
            }
        }
    }

    /// Replaces `old` by `new`, or returns what is there.
    #[inline(always)]
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn cas(self, old: [u64; 2], new: [u64; 2]) -> Result<(), [u64; 2]> {
        let (mut lo, mut hi) = (old[0], old[1]);
        let done: u64;
        // SAFETY: aligned and writable (`new`); attaching refuses processors without cmpxchg16b.
        // rbx cannot be named as an operand, so it is exchanged in and out; every other register is
        // named, because the compiler may choose rbx for one that is not.
        unsafe {
            std::arch::asm!(
                "xchg rbx, rsi",
                "lock cmpxchg16b xmmword ptr [rdi]",
                "mov rbx, rsi",
                "sete sil",
                in("rdi") self.at, inout("rsi") new[0] => done, in("rcx") new[1], inout("rax") lo, inout("rdx") hi,
                options(nostack),
            );
        }
        if done as u8 != 0 {
            Ok(())
        } else {
            Err([lo, hi])
        }
    }

    /// Replaces `old` by `new`, or returns what is there.
    #[inline(always)]
    #[cfg(target_arch = "aarch64")]
    pub(crate) fn cas(self, old: [u64; 2], new: [u64; 2]) -> Result<(), [u64; 2]> {
        loop {
            let (lo, hi): (u64, u64);
            let failed: u32;
            // SAFETY: aligned and writable (`new`). A mismatch writes the old pair back, because
            // only a successful store-exclusive proves that the two words were read together.
            unsafe {
                std::arch::asm!(
                    "ldaxp {lo}, {hi}, [{p}]",
                    "cmp {lo}, {old_lo}",
                    "ccmp {hi}, {old_hi}, #0, eq",
                    "csel {a}, {new_lo}, {lo}, eq",
                    "csel {b}, {new_hi}, {hi}, eq",
                    "stlxp {failed:w}, {a}, {b}, [{p}]",
                    p = in(reg) self.at, old_lo = in(reg) old[0], old_hi = in(reg) old[1],
                    new_lo = in(reg) new[0], new_hi = in(reg) new[1],
                    lo = out(reg) lo, hi = out(reg) hi, a = out(reg) _, b = out(reg) _, failed = out(reg) failed,
                    options(nostack),
                );
            }
            if failed == 0 {
                return if [lo, hi] == old { Ok(()) } else { Err([lo, hi]) };
            }
        }
    }

    /// Without 16-byte atomics: the first word decides, the second follows. A process killed
    /// between the two leaves the count one ahead of its sum.
    #[inline(always)]
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub(crate) fn cas(self, old: [u64; 2], new: [u64; 2]) -> Result<(), [u64; 2]> {
        match self.word(0).compare_exchange(old[0], new[0], Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                let delta = f64::from_bits(new[1]) - f64::from_bits(old[1]);
                let _ = self.word(1).fetch_update(Ordering::Release, Ordering::Relaxed, |w| {
                    Some((f64::from_bits(w) + delta).to_bits())
                });
                Ok(())
            }
            Err(first) => Err([first, self.word(1).load(Ordering::Relaxed)]),
        }
    }
}

/// Whether this processor has what [`Pair::cas`] needs.
pub(crate) fn supported() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("cmpxchg16b");
    #[cfg(not(target_arch = "x86_64"))]
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(align(16))]
    struct Cell([u64; 2]);

    /// One thread observes and another forgets, so that counts come back: where 16 bytes are not
    /// loaded as one, a reader sees both words of one moment all the same.
    #[test]
    fn counts_that_fall_are_never_torn() {
        torn(|first| fallen(first, u64::MAX), true);
    }

    /// The control: a fall that gives back the word that was there before.
    #[test]
    fn control_a_word_that_comes_back() {
        torn(|first| first - 1, false);
    }

    /// The reader is stopped between its two looks at the first word, while others change the pair.
    fn torn(fall: impl Fn(u64) -> u64, is_noticed: bool) {
        const V: f64 = 2.5;
        let mut cell = Cell([7, (7.0 * V).to_bits()]);
        // SAFETY: the cell outlives the pair and is aligned.
        let pair = unsafe { Pair::new(std::ptr::addr_of_mut!(cell.0)) };
        let change = |by: &dyn Fn(u64) -> u64, v: f64| {
            let seen = pair.guess();
            pair.cas(seen, [by(seen[0]), (f64::from_bits(seen[1]) + v).to_bits()]).unwrap();
        };
        let first = pair.word(0).load(Ordering::Acquire);
        change(&|first| first + 1, V);
        let second = pair.word(1).load(Ordering::Acquire);
        change(&fall, -V);
        let again = pair.word(0).load(Ordering::Relaxed);
        assert_ne!(f64::from_bits(second), (first & FALLING_MASK) as f64 * V, "the two loads are of two moments");
        assert_eq!(again != first, is_noticed);
        let [first, second] = pair.load_twice();
        assert_eq!(f64::from_bits(second), (first & FALLING_MASK) as f64 * V);
    }

    #[test]
    fn a_count_falls_within_its_bits() {
        let generation = 5 << 44;
        let mask = (1 << 44) - 1;
        let mut first = generation | 3;
        for _ in 0..1000 {
            let before = first;
            first = fallen(first, mask);
            assert_eq!((first >> 44, first & FALLING_MASK), (5, 2));
            first += 1;
            assert_ne!(first, before);
            assert_eq!((first >> 44, first & FALLING_MASK), (5, 3));
        }
    }

    #[test]
    fn count_and_sum_never_disagree() {
        let mut cell = Cell([0, 0]);
        let at = std::ptr::addr_of_mut!(cell.0) as usize;
        // SAFETY: the cell outlives the scope below and is aligned.
        let pair = || unsafe { Pair::new(at as *mut [u64; 2]) };
        const EACH: u64 = 200_000;
        std::thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(move || {
                    let p = pair();
                    for _ in 0..EACH {
                        let mut seen = p.guess();
                        while let Err(now) = p.cas(seen, [seen[0] + 1, (f64::from_bits(seen[1]) + 2.0).to_bits()]) {
                            seen = now;
                        }
                    }
                });
            }
            s.spawn(move || {
                let p = pair();
                for _ in 0..EACH {
                    for [count, sum] in [p.load(), p.load_twice()] {
                        assert_eq!(f64::from_bits(sum), count as f64 * 2.0);
                    }
                }
            });
        });
        assert_eq!(pair().load(), [2 * EACH, (4.0 * EACH as f64).to_bits()]);
    }
}
