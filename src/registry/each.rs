//! Series that are there: found without being made, visited one after another, removed by some of
//! their labels.

use super::lookup::FamilyRef;
use super::{order, recycle};
use crate::metric::Metric;
use crate::os::host::Undisturbed;
use crate::record::family::Record;
use crate::segment::Segment;
use crate::shm::layout::offset;
use crate::shm::layout::{entry, FLAG_ESCAPED};
use crate::shm::state::SeriesAddr;
use crate::text::label_set;
use crate::Error;

impl FamilyRef {
    /// The series with these values, if it is there.
    pub(crate) fn peek<'v, M: Metric>(
        &self,
        count: usize,
        name_len: &dyn Fn(usize) -> usize,
        value: &dyn Fn(usize) -> &'v [u8],
    ) -> Option<M> {
        let addr = self.peek_addr(count, name_len, value);
        addr.map(|addr| M::from_series(Segment { inner: self.inner }, addr))
    }

    /// The same: where it is.
    pub(crate) fn peek_addr<'v>(
        &self,
        count: usize,
        name_len: &dyn Fn(usize) -> usize,
        value: &dyn Fn(usize) -> &'v [u8],
    ) -> Option<SeriesAddr> {
        let _undisturbed = Undisturbed::new();
        match order::family_of(self, count) {
            _ if count == 0 => Some(self.embedded()),
            None => self.peek_in_family(count, name_len, value),
            Some(way) => {
                let (_, lens) = FamilyRef::with_label_lens(self.inner, way.family.at)?;
                let name_len = |i: usize| usize::from(lens[i]);
                let value = |i: usize| value(way.positions.of(i));
                let found =
                    (lens.len() == count).then(|| way.family.peek_in_family(count, &name_len, &value)).flatten();
                found.map(|addr| way.seat_of(addr))
            }
        }
    }

    /// Visits the family's series that are there now, without the overflow series: the values of
    /// the labels, in the order of this handle, the offset of the record, and that of the series in
    /// it.
    pub(super) fn each(&self, mut visit: impl FnMut(&[&str], SeriesAddr, SeriesAddr)) {
        let memory = &self.inner.memory;
        let own = Record::new(memory, self.at);
        let count = own.label_count();
        let way = order::family_of(self, count);
        let family = way.as_ref().map_or(*self, |way| way.family);
        let positions = way.as_ref().map(|way| way.positions);
        let record = Record::new(memory, family.at);
        let Some(texts) = record.texts() else { return };
        let names = texts.label_names();
        let lines: Vec<String> =
            names.iter().map(|name| crate::text::escaping::label_on_line(name).into_owned()).collect();
        recycle::each(self.inner, &record, None, |link, state| {
            let at = offset(link);
            let (len, flags) = (u64::from(memory.get16(at + entry::TEXT_LEN)), memory.get8(at + entry::FLAGS));
            let mut text = Vec::new();
            memory.copy_to(at + record.text_at(), len, &mut text);
            // The record serves another series by now.
            if crate::shm::state::state(memory, link) != state {
                return;
            }
            let Some(values) = label_set::values(&text, flags & FLAG_ESCAPED != 0, &lines) else { return };
            let mut in_order = vec![""; values.len()];
            for (i, value) in values.iter().enumerate() {
                if let Some(to) = in_order.get_mut(positions.map_or(i, |positions| positions.of(i))) {
                    *to = value;
                }
            }
            let addr = SeriesAddr { at, generation: state.generation() };
            visit(&in_order, addr, way.as_ref().map_or(addr, |way| way.seat_of(addr)));
        });
    }

    /// See [`Family::series`](crate::Family::series).
    pub(crate) fn series<M: Metric>(&self) -> Vec<(Vec<String>, M)> {
        let _undisturbed = Undisturbed::new();
        let mut all = Vec::new();
        self.each(|values, _, addr| {
            let values = values.iter().map(|&value| value.to_owned()).collect();
            all.push((values, M::from_series(Segment { inner: self.inner }, addr)));
        });
        all
    }

    /// See [`Family::remove_matching`](crate::Family::remove_matching).
    pub(crate) fn remove_matching(&self, labels: &[(&str, &str)]) -> Result<u64, Error> {
        let _undisturbed = Undisturbed::new();
        let memory = &self.inner.memory;
        let count = Record::new(memory, self.at).label_count();
        let (family, positions) = match order::family_of(self, count) {
            Some(order::Way { family, positions, .. }) => (family, Some(positions)),
            None => (*self, None),
        };
        let record = Record::new(memory, family.at);
        let names = record.texts().map(|texts| texts.label_names()).unwrap_or_default();
        let mut wanted = Vec::new();
        for (label, value) in labels {
            let Some(i) = names.iter().position(|name| name == label) else {
                return Err(Error::InvalidArgument(format!(
                    "the family has no label {label:?}: its labels are {names:?}"
                )));
            };
            wanted.push((positions.map_or(i, |positions| positions.of(i)), *value));
        }
        let mut removed = 0;
        self.each(|values, addr, _| {
            if wanted.iter().all(|(i, value)| values.get(*i) == Some(value)) {
                let link = (addr.at / crate::shm::layout::GRANULE) as u32;
                removed += u64::from(recycle::remove(self.inner, &record, link, addr.generation));
            }
        });
        Ok(removed)
    }
}
