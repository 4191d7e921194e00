//! Families with typed label sets.

use std::any::TypeId;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed};

use super::labels::{combinations, LabelSet};
use crate::metric::{Counter, Metric};
use crate::record::family::Record;
use crate::registry::{Builder, DynamicFamily, Labels};
use crate::shm::layout::{entry, offset, GRANULE};
use crate::shm::state::{self, SeriesAddr, State};
use crate::{Error, Segment};

/// The labels of a [`Builder`] that are a struct: made by [`Builder::label_set`].
pub struct LabelStruct<L> {
    names: &'static [&'static str],
    /// The number of combinations of values; 0 if it is not known, or too large.
    count: usize,
    labels: PhantomData<fn(&L)>,
}

impl<L> Labels for LabelStruct<L> {}

impl<'a, M: Metric> Builder<'a, M> {
    /// The family's labels, as a struct that derives [`LabelSet`].
    pub fn label_set<L: LabelSet>(self) -> Builder<'a, M, LabelStruct<L::Family>> {
        let count = const { combinations(L::COUNTS) };
        self.with_labels(LabelStruct { names: L::NAMES, count, labels: PhantomData })
    }
}

impl<M: Metric, L: 'static> Builder<'_, M, LabelStruct<L>> {
    /// Registers the family.
    ///
    /// # Errors
    /// As [`Builder::register`].
    pub fn register(self) -> Result<TypedFamily<M, L>, Error> {
        let LabelStruct { names, count, .. } = self.labels;
        let family = self.with_labels(names).register()?;
        let words = family.family.inner.tables.words(family.family.at, TypeId::of::<L>(), count)?;
        Ok(TypedFamily { family, words, labels: PhantomData })
    }
}

/// A metric whose labels are a struct: one series for each set of label values. `L` is that struct,
/// with `'static` for its lifetimes.
///
/// A small copy, valid in every thread and over fork, as [`Family`](crate::Family) is. See
/// [`LabelSet`] for an example.
pub struct TypedFamily<M, L> {
    family: DynamicFamily<M>,
    /// By index, {state word, link} of the series that this process found last; 0 if it has found
    /// none. A series is that of its index as long as its record has that state word: the word
    /// changes when the series is removed, and never becomes the same again. The word of a seat in
    /// a bundle's record stays when the label set expires: where it may, no word leads to a
    /// seat.
    words: &'static [AtomicU64],
    labels: PhantomData<fn(&L)>,
}

impl<M: Metric, L> TypedFamily<M, L> {
    /// The series with these label values, made if there is none. As
    /// [`Family::with`](crate::Family::with).
    ///
    /// Where every label has a known number of values, this finds the series by index.
    #[inline(always)]
    pub fn with<S: LabelSet<Family = L>>(&self, labels: &S) -> M {
        if const { combinations(S::COUNTS) > 0 } {
            if let Some(cached) = self.words.get(labels.index()) {
                return self.known(cached).unwrap_or_else(|| self.look_up(cached, labels));
            }
        }
        self.find(labels)
    }

    /// The series with these label values, if it is there. As
    /// [`Family::peek`](crate::Family::peek).
    pub fn peek<S: LabelSet<Family = L>>(&self, labels: &S) -> Option<M> {
        labels.with_values(|values| self.family.peek(values))
    }

    /// As [`Family::series`](crate::Family::series).
    pub fn series(&self) -> Vec<(Vec<String>, M)> {
        self.family.series()
    }

    /// As [`Family::remove_matching`](crate::Family::remove_matching).
    ///
    /// # Errors
    /// As [`Family::remove_matching`](crate::Family::remove_matching).
    pub fn remove_matching(&self, labels: &[(&str, &str)]) -> Result<u64, Error> {
        self.family.remove_matching(labels)
    }

    /// Removes the series with these label values. As [`Family::remove`](crate::Family::remove).
    pub fn remove<S: LabelSet<Family = L>>(&self, labels: &S) -> bool {
        labels.with_values(|values| self.family.remove(values))
    }

    /// As [`Family::clear`](crate::Family::clear).
    pub fn clear(&self) -> u64 {
        self.family.clear()
    }

    /// The series that a word of the table leads to, if it is live.
    #[inline(always)]
    fn known(&self, cached: &AtomicU64) -> Option<M> {
        let inner = self.family.family.inner;
        // Relaxed: all that it leads to was there before this process mapped it, or is atomic.
        let word = cached.load(Relaxed);
        let at = offset(word as u32);
        if word == 0 {
            return None;
        }
        // SAFETY: `look_up` has seen an entry's record there, so its fields are backed, aligned to
        // 16 as every link is, and mapped for the process' lifetime. States are only accessed
        // atomically.
        let now = unsafe { &*inner.memory.checked_before(at + entry::STATE).cast::<AtomicU32>() };
        // Acquire pairs with the Release that made the series live.
        let now = State(now.load(Acquire));
        if u64::from(now.0) != word >> 32 {
            return None;
        }
        // SAFETY: as above.
        Some(unsafe { M::from_entry(Segment { inner }, SeriesAddr { at, generation: now.generation() }) })
    }

    #[cold]
    #[inline(never)]
    fn look_up<S: LabelSet<Family = L>>(&self, cached: &AtomicU64, labels: &S) -> M {
        let (family, inner) = (self.family.family, self.family.family.inner);
        let lens = self.family.lens;
        let found = labels.with_values(|values| {
            (values.len() == lens.len())
                .then(|| family.addr(values.len(), &|i| usize::from(lens[i]), &|i| values[i].as_bytes()))
        });
        let addr = found.unwrap_or_else(|| family.overflow());
        let link = (addr.at / GRANULE) as u32;
        let now = state::state(&inner.memory, link);
        let live = now.state() == state::LIVE && now.generation() == addr.generation;
        let expires_unseen = now.is_seat() && Record::new(&inner.memory, family.at).expire() > 0;
        if live && !expires_unseen && inner.memory.record(addr.at).is_some() {
            // Relaxed: as in `known`.
            cached.store(u64::from(now.0) << 32 | u64::from(link), Relaxed);
        }
        M::from_series(Segment { inner }, addr)
    }

    #[inline(always)]
    fn find<S: LabelSet<Family = L>>(&self, labels: &S) -> M {
        labels.with_values(|values| {
            self.family.with(values).unwrap_or_else(|| {
                let family = self.family.family;
                M::from_series(Segment { inner: family.inner }, family.overflow())
            })
        })
    }
}

impl<L> TypedFamily<Counter, L> {
    /// Adds 1 to the series with these label values. The same as `with(labels).inc()`, and faster
    /// where every label has a known number of values.
    #[inline(always)]
    pub fn inc<S: LabelSet<Family = L>>(&self, labels: &S) {
        self.inc_by(labels, 1);
    }

    /// Adds a whole number to the series with these label values, as [`TypedFamily::inc`] does.
    #[inline(always)]
    pub fn inc_by<S: LabelSet<Family = L>>(&self, labels: &S, n: u64) {
        if const { combinations(S::COUNTS) > 0 } {
            if let Some(cached) = self.words.get(labels.index()) {
                // Relaxed: as in `known`.
                let word = cached.load(Relaxed);
                let (at, state) = (offset(word as u32), (word >> 32) as u32);
                // SAFETY: `look_up` has seen an entry's record there.
                if word != 0 && unsafe { Counter::add_in_state(self.family.family.inner, at, state, n) } {
                    return;
                }
            }
        }
        self.inc_slow(labels, n);
    }

    #[inline(never)]
    fn inc_slow<S: LabelSet<Family = L>>(&self, labels: &S, n: u64) {
        self.with(labels).inc_by(n);
    }
}

impl<M, L> Clone for TypedFamily<M, L>
where
    M: Clone,
{
    fn clone(&self) -> Self {
        TypedFamily { family: self.family.clone(), words: self.words, labels: PhantomData }
    }
}

impl<M: Copy, L> Copy for TypedFamily<M, L> {}

impl<M: PartialEq, L> PartialEq for TypedFamily<M, L> {
    fn eq(&self, other: &Self) -> bool {
        self.family == other.family
    }
}

impl<M: Eq, L> Eq for TypedFamily<M, L> {}

impl<M: std::hash::Hash, L> std::hash::Hash for TypedFamily<M, L> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.family.hash(state);
    }
}

impl<M, L> std::fmt::Debug for TypedFamily<M, L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TypedFamily").field("labels", &std::any::type_name::<L>()).finish_non_exhaustive()
    }
}
