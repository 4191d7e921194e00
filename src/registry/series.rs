//! Look-up and removal of a series by its label values, in the label order of the handle.

use super::lookup::FamilyRef;
use super::order;
use crate::metric::sealed::FromSeries;
use crate::os::host::Undisturbed;
use crate::segment::Segment;
use crate::shm::state::SeriesAddr;
use crate::text::label_set;

impl FamilyRef {
    /// The series with these values. Never fails: without room, it is the family's overflow series.
    ///
    /// When the series exists, this takes no lock, allocates nothing and makes no system call.
    /// `CONST_COUNT`: the compiler knows `count`.
    #[inline(always)]
    pub(crate) fn find<'v, const CONST_COUNT: bool, M: FromSeries>(
        &self,
        count: usize,
        name_len: impl Fn(usize) -> usize + Copy,
        value: impl Fn(usize) -> &'v [u8] + Copy,
    ) -> M {
        let segment = Segment { inner: self.inner };
        let hash = label_set::hash(self.hash, count, value);
        if let Some(addr) = self.look_up::<CONST_COUNT>(hash, count, name_len, value) {
            // SAFETY: `generation_of` has looked at the record, which is an entry's.
            return unsafe { M::from_entry(segment, addr) };
        }
        // The copies are for the closures, as in `look_up`.
        let (name_len, value) = (name_len, value);
        made(segment, self.make(hash, count, &name_len, &value))
    }

    /// As [`FamilyRef::find`]: where the series is.
    #[inline(always)]
    pub(crate) fn find_addr<'v, const CONST_COUNT: bool>(
        &self,
        count: usize,
        name_len: impl Fn(usize) -> usize + Copy,
        value: impl Fn(usize) -> &'v [u8] + Copy,
    ) -> SeriesAddr {
        let hash = label_set::hash(self.hash, count, value);
        self.expect(hash);
        if let Some(addr) = self.look_up::<CONST_COUNT>(hash, count, name_len, value) {
            return addr;
        }
        // The copies are for the closures, as in `look_up`.
        let (name_len, value) = (name_len, value);
        self.make(hash, count, &name_len, &value)
    }

    /// The same, as a call.
    pub(crate) fn addr<'v>(
        &self,
        count: usize,
        name_len: &dyn Fn(usize) -> usize,
        value: &dyn Fn(usize) -> &'v [u8],
    ) -> SeriesAddr {
        let hash = label_set::hash(self.hash, count, value);
        match self.look_up::<false>(hash, count, name_len, value) {
            Some(addr) => addr,
            None => self.make(hash, count, name_len, value),
        }
    }

    #[cold]
    #[inline(never)]
    fn make<'v>(
        &self,
        hash: u64,
        count: usize,
        name_len: &dyn Fn(usize) -> usize,
        value: &dyn Fn(usize) -> &'v [u8],
    ) -> SeriesAddr {
        if count == 0 {
            return self.embedded();
        }
        if let Some(way) = order::family_of(self, count) {
            return way.find(count, value);
        }
        self.make_in_family(hash, count, name_len, value)
    }

    /// Removes the series with these values. False if there is none.
    pub(crate) fn remove<'v>(
        &self,
        count: usize,
        name_len: &dyn Fn(usize) -> usize,
        value: &dyn Fn(usize) -> &'v [u8],
    ) -> bool {
        let _undisturbed = Undisturbed::new();
        match order::family_of(self, count) {
            None => self.remove_in_family(count, name_len, value),
            Some(order::Way { family, positions, .. }) => {
                let Some((_, lens)) = FamilyRef::with_label_lens(self.inner, family.at) else { return false };
                lens.len() == count
                    && family.remove_in_family(count, &|i| usize::from(lens[i]), &|i| value(positions.of(i)))
            }
        }
    }

    /// Removes all series that are there now, but for the overflow series. Returns how many.
    pub(crate) fn clear(&self) -> u64 {
        match order::family_of(self, 0) {
            Some(way) => way.family.clear_family(),
            None => self.clear_family(),
        }
    }
}

/// The handle of a series that was not found, and is made. Inlined, the handle of a histogram is as
/// large as the search.
#[cold]
#[inline(never)]
fn made<M: FromSeries>(segment: Segment, addr: SeriesAddr) -> M {
    M::from_series(segment, addr)
}
