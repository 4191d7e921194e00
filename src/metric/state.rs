//! State sets, enums and infos: the handles, and the word of states that all processes share.

use std::ffi::c_void;

use super::sealed::FromSeries;
use crate::kind::Kind;
use crate::record::family::Record;
use crate::segment::{Inner, Segment};
use crate::shm::layout::offset;
use crate::shm::layout::{entry, gauge, header};
use crate::shm::memory::Mapped;
use crate::shm::pair::Pair;
use crate::shm::state::{Generation, SeriesAddr, TAG_MASK};

/// Several states, each on or off, shared by all processes: up to 64, named when the family is
/// registered.
///
/// Every update is async-signal-safe, takes no lock, calls nothing, and cannot fail.
#[derive(Clone, Copy)]
pub struct StateSet(States);

/// One of several states, shared by all processes: the state that any process set last, or the
/// first state if none was set.
///
/// Every update is async-signal-safe, takes no lock, calls nothing, and cannot fail.
#[derive(Clone, Copy)]
pub struct Enum(States);

/// The presence of a label set: a series whose value is always 1.
///
/// The series exists from the look-up until it is removed. To replace an info, remove its series,
/// or clear its family.
#[derive(Clone, Copy)]
pub struct Info(States);

/// A pair {tag that counts changes, states}.
#[derive(Clone, Copy)]
struct States {
    inner: &'static Inner,
    at: u64,
    generation: Generation,
    count: usize,
}

impl States {
    #[inline(always)]
    fn from_series(segment: Segment, SeriesAddr { at, generation }: SeriesAddr) -> Self {
        let memory = &segment.inner.memory;
        let count = Record::new(memory, offset(memory.get32(at + entry::PARENT))).bucket_count();
        States { inner: segment.inner, at, generation, count }
    }

    fn is_over(&self) -> bool {
        self.inner.is_over(self.at, self.generation)
    }

    /// Changes the word by `new`, if there is such a state, and the family is of this kind: C has
    /// one handle for both kinds.
    #[inline(always)]
    fn change(&self, kind: Kind, state: usize, new: impl Fn(u64) -> u64) {
        let memory = &self.inner.memory;
        let may = memory.get8(self.at + entry::KIND) == kind as u8 && state < self.count.min(64);
        let Some(pair) = memory.pair(self.at + gauge::TAG).filter(|_| may) else {
            // A series that is removed may have given its memory to a family with other states.
            let why = if self.is_over() { header::STALE_UPDATES } else { header::REJECTED_UPDATES };
            return self.inner.count(why);
        };
        let generation = if self.generation == Generation::FOREVER { Generation(0) } else { self.generation };
        self.inner.update_tagged(pair, generation, |[tag, word]| [(tag + 1) & TAG_MASK, new(word)]);
    }

    /// The word of states; 0 once the series is removed.
    fn get(&self) -> u64 {
        let word = read(&self.inner.memory, self.at);
        // After the word was read: if the series is not over now, the word is of this generation.
        if self.is_over() {
            0
        } else {
            word
        }
    }
}

/// The word of a state set: a bit for each state; of an enum, the state's number.
pub(crate) fn read(memory: &Mapped, at: u64) -> u64 {
    memory.pair(at + gauge::TAG).map_or(0, |pair| Pair::load(pair)[1])
}

macro_rules! metric {
    ($name:ident) => {
        impl FromSeries for $name {
            fn fits(kind: Kind) -> bool {
                kind == Kind::$name
            }

            #[inline(always)]
            #[allow(private_interfaces)]
            fn from_series(segment: Segment, addr: SeriesAddr) -> Self {
                $name(States::from_series(segment, addr))
            }

            #[allow(private_interfaces)]
            fn seat(&self) -> (&'static Inner, SeriesAddr) {
                (self.0.inner, SeriesAddr { at: self.0.at, generation: self.0.generation })
            }
        }
    };
}
metric!(StateSet);
metric!(Enum);
metric!(Info);

impl StateSet {
    /// The words of the handle for C.
    pub(crate) fn into_words(self) -> [*const c_void; 2] {
        let addr = SeriesAddr { at: self.0.at, generation: self.0.generation }.into_word();
        [std::ptr::from_ref(self.0.inner).cast(), std::ptr::without_provenance(addr as usize)]
    }

    /// # Safety
    /// The words are NULL or came from [`StateSet::into_words`].
    pub(crate) unsafe fn from_words(p: [*const c_void; 2]) -> Option<Self> {
        // SAFETY: the caller's promise; segments live as long as the process.
        let inner = unsafe { p[0].cast::<Inner>().as_ref()? };
        Some(StateSet(States::from_series(Segment { inner }, SeriesAddr::from_word(p[1].addr() as u64))))
    }

    /// Sets the state with this number, in the family's order, on or off. A number without a state
    /// is counted in `shmetrics_updates_rejected_total`.
    pub fn set(&self, state: usize, on: bool) {
        let bit = 1 << (state & 63);
        self.0.change(Kind::StateSet, state, |bits| if on { bits | bit } else { bits & !bit });
    }

    /// Whether a state is on.
    pub fn get(&self, state: usize) -> bool {
        state < 64 && self.0.get() >> state & 1 == 1
    }
}

impl Enum {
    pub(crate) fn of(states: StateSet) -> Self {
        Enum(states.0)
    }

    /// Sets the state with this number, in the family's order. A number without a state is counted
    /// in `shmetrics_updates_rejected_total`.
    pub fn set(&self, state: usize) {
        self.0.change(Kind::Enum, state, |_| state as u64);
    }

    /// The state.
    pub fn get(&self) -> usize {
        self.0.get() as usize
    }
}

impl std::fmt::Debug for StateSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StateSet({:#b})", self.0.get())
    }
}

impl std::fmt::Debug for Enum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Enum({})", self.0.get())
    }
}

impl std::fmt::Debug for Info {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Info")
    }
}
