//! A segment's words as a checker's atomics.

use std::sync::atomic::{self, Ordering};

use crate::shm::layout::{header, INDEX_MIN_BITS};
use crate::shm::memory::Memory;

/// A checker's 64-bit atomic. 32-bit words of a segment use one each as well: no protocol looks at
/// a word in two sizes.
pub(super) trait Word: Send + Sync + 'static {
    /// Whether the checker misses conflicts (see `Words::turn`).
    const FORGETFUL: bool;
    fn new(value: u64) -> Self;
    fn load(&self, order: Ordering) -> u64;
    fn store(&self, value: u64, order: Ordering);
    fn cas(&self, old: u64, new: u64, ok: Ordering, fail: Ordering) -> Result<u64, u64>;
    fn add(&self, value: u64, order: Ordering) -> u64;
    fn fence(order: Ordering);
}

macro_rules! word {
    ($forgetful:literal, $($atomic:tt)*) => {
        impl Word for $($atomic)*::AtomicU64 {
            const FORGETFUL: bool = $forgetful;
            fn new(value: u64) -> Self {
                <$($atomic)*::AtomicU64>::new(value)
            }
            fn load(&self, order: Ordering) -> u64 {
                self.load(order)
            }
            fn store(&self, value: u64, order: Ordering) {
                self.store(value, order);
            }
            fn cas(&self, old: u64, new: u64, ok: Ordering, fail: Ordering) -> Result<u64, u64> {
                self.compare_exchange(old, new, ok, fail)
            }
            fn add(&self, value: u64, order: Ordering) -> u64 {
                self.fetch_add(value, order)
            }
            fn fence(order: Ordering) {
                $($atomic)*::fence(order);
            }
        }
    };
}

word!(true, loom::sync::atomic);
word!(false, shuttle::sync::atomic);
word!(false, std::sync::atomic);

/// The words a scene uses, by their offsets.
pub(super) struct Words<W> {
    all: Vec<(u64, W)>,
    /// Words that no process reads after another has changed them, so that no checker needs to
    /// schedule around them.
    quiet: Vec<(u64, atomic::AtomicU64)>,
    /// Changed before every access, so that any two accesses of two threads conflict. Of each
    /// atomic loom 0.7 remembers the last access alone: a thread that loads a word and then changes
    /// it hides the load of another before its own, and the order of those two would never be tried
    /// the other way around.
    turn: W,
    /// The smallest size of the index that is here, as a power of two.
    pub(super) min_bits: u32,
}

fn find<T>(words: &[(u64, T)], at: u64) -> Option<&T> {
    let i = words.binary_search_by_key(&at, |(offset, _)| *offset);
    i.ok().map(|i| &words[i].1)
}

impl<W: Word> Words<W> {
    /// Words at these offsets, all 0, some of them quiet.
    pub(super) fn at(mut offsets: Vec<u64>, quiet: &[u64]) -> Self {
        offsets.sort_unstable();
        let max_probes = header::INDEX_MAX_PROBE..header::LABELS_LEN;
        let first = offsets.iter().find(|at| max_probes.contains(at));
        let min_bits = first.map_or(INDEX_MIN_BITS, |at| ((at - max_probes.start) / 4) as u32);
        let (quiet, words): (Vec<u64>, Vec<u64>) = offsets.into_iter().partition(|at| quiet.contains(at));
        Words {
            all: words.into_iter().map(|at| (at, W::new(0))).collect(),
            quiet: quiet.into_iter().map(|at| (at, atomic::AtomicU64::new(0))).collect(),
            turn: W::new(0),
            min_bits,
        }
    }

    fn quiet(&self, at: u64) -> Option<&atomic::AtomicU64> {
        find(&self.quiet, at)
    }

    fn word(&self, at: u64) -> &W {
        if W::FORGETFUL {
            self.turn.add(1, Ordering::Relaxed);
        }
        find(&self.all, at).unwrap_or_else(|| panic!("the protocol touches {at}, which no scene has"))
    }

    pub(super) fn store64(&self, at: u64, value: u64, order: Ordering) {
        match self.quiet(at) {
            Some(quiet) => quiet.store(value, order),
            None => self.word(at).store(value, order),
        }
    }

    /// A fence where production has one of `std`'s beside the protocols' memory.
    #[allow(clippy::unused_self)] // as the other accesses
    pub(super) fn fence_of(&self, order: Ordering) {
        W::fence(order);
    }
}

/// What a thread is about to do to the memory.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// The thread loads this word next.
    Load(u64),
    Other,
}

/// Memory that tells of each step before it is done.
pub(super) struct Watched<'a, M, F> {
    pub(super) inner: &'a M,
    pub(super) before: F,
}

impl<M: Memory, F: Fn(Step)> Memory for Watched<'_, M, F> {
    fn load32(&self, at: u64, order: Ordering) -> u32 {
        (self.before)(Step::Load(at));
        self.inner.load32(at, order)
    }
    fn store32(&self, at: u64, value: u32, order: Ordering) {
        (self.before)(Step::Other);
        self.inner.store32(at, value, order);
    }
    fn cas32(&self, at: u64, old: u32, new: u32, ok: Ordering, fail: Ordering) -> Result<u32, u32> {
        (self.before)(Step::Other);
        self.inner.cas32(at, old, new, ok, fail)
    }
    fn load64(&self, at: u64, order: Ordering) -> u64 {
        (self.before)(Step::Load(at));
        self.inner.load64(at, order)
    }
    fn cas64(&self, at: u64, old: u64, new: u64, ok: Ordering, fail: Ordering) -> Result<u64, u64> {
        (self.before)(Step::Other);
        self.inner.cas64(at, old, new, ok, fail)
    }
    fn add64(&self, at: u64, value: u64, order: Ordering) -> u64 {
        (self.before)(Step::Other);
        self.inner.add64(at, value, order)
    }
    fn index_min_bits(&self) -> u32 {
        self.inner.index_min_bits()
    }
    fn fence(&self) {
        (self.before)(Step::Other);
        self.inner.fence();
    }
}

impl<W: Word> Memory for Words<W> {
    fn load32(&self, at: u64, order: Ordering) -> u32 {
        self.load64(at, order) as u32
    }
    fn store32(&self, at: u64, value: u32, order: Ordering) {
        self.store64(at, value.into(), order);
    }
    fn cas32(&self, at: u64, old: u32, new: u32, ok: Ordering, fail: Ordering) -> Result<u32, u32> {
        let result = self.cas64(at, old.into(), new.into(), ok, fail);
        result.map(|w| w as u32).map_err(|w| w as u32)
    }
    fn load64(&self, at: u64, order: Ordering) -> u64 {
        match self.quiet(at) {
            Some(quiet) => quiet.load(order),
            None => self.word(at).load(order),
        }
    }
    fn cas64(&self, at: u64, old: u64, new: u64, ok: Ordering, fail: Ordering) -> Result<u64, u64> {
        match self.quiet(at) {
            Some(quiet) => quiet.compare_exchange(old, new, ok, fail),
            None => self.word(at).cas(old, new, ok, fail),
        }
    }
    fn add64(&self, at: u64, value: u64, order: Ordering) -> u64 {
        match self.quiet(at) {
            Some(quiet) => quiet.fetch_add(value, order),
            None => self.word(at).add(value, order),
        }
    }
    fn index_min_bits(&self) -> u32 {
        self.min_bits
    }
    fn fence(&self) {
        W::fence(Ordering::SeqCst);
    }
}
