//! Updates that name the family and its labels, for hosts that cannot keep a handle. One call finds
//! the family, then the series.

use std::cell::Cell;

use super::lookup::FamilyRef;
use super::order::{family_of, Positions};
use super::register::register;
use super::spec::Spec;
use super::DEFAULT_BUCKETS;
use crate::kind::Kind;
use crate::metric::sealed::FromSeries;
use crate::metric::{Counter, Histogram};
use crate::record::family::Record;
use crate::record::gauge_mode::GaugeMode;
use crate::segment::{Inner, Segment};
use crate::shm::layout::offset;
use crate::shm::layout::{entry, header};
use crate::shm::state::SeriesAddr;
use crate::text::label_set;
use crate::Error;

/// Refuses a value that the metric cannot take, before anything is looked up or made.
#[inline(always)]
pub(crate) fn check_amount(inner: &Inner, kind: Kind, v: f64) -> Result<(), Error> {
    let right = if kind == Kind::Counter { (0.0..f64::INFINITY).contains(&v) } else { !v.is_nan() };
    if right {
        return Ok(());
    }
    Err(rejected(inner, kind, v))
}

#[cold]
fn rejected(inner: &Inner, kind: Kind, v: f64) -> Error {
    inner.count(header::REJECTED_UPDATES);
    Error::InvalidArgument(if kind == Kind::Counter {
        format!("a counter cannot add {v}: amounts are finite and not negative")
    } else {
        format!("a histogram cannot observe {v}")
    })
}

/// Updates the series with these labels of the family with this name. A missing family or series is
/// made. If both exist, nothing is allocated.
#[inline(always)]
pub(crate) fn update_by_name<'v, M: FromSeries>(
    inner: &'static Inner,
    kind: Kind,
    name: &[u8],
    count: usize,
    label: impl Fn(usize) -> &'v [u8] + Copy,
    value: impl Fn(usize) -> &'v [u8] + Copy,
    update: impl Fn(M),
) -> Result<(), Error> {
    // The slow path is a call of its own, with the update: if the two paths came together again,
    // the compiler would keep the family and the handle in memory, in pieces.
    let Some((family, lens)) = family(inner, kind, name, count, label) else {
        return update_by_name_slow(inner, kind, name, count, &label, &value, &update);
    };
    update(series_of(&family, lens, count, value));
    Ok(())
}

/// The family has as many labels.
#[inline(always)]
fn series_of<'v, M: FromSeries>(
    family: &FamilyRef,
    lens: &[u16],
    count: usize,
    value: impl Fn(usize) -> &'v [u8] + Copy,
) -> M {
    if count == 0 {
        return M::from_series(Segment { inner: family.inner }, family.embedded());
    }
    family.find::<false, _>(count, |i| lens.get(i).copied().unwrap_or(0).into(), value)
}

/// Slow path of [`update_by_name`]: the family has the labels in another order, or is made.
#[cold]
#[inline(never)]
fn update_by_name_slow<'v, M: FromSeries>(
    inner: &'static Inner,
    kind: Kind,
    name: &[u8],
    count: usize,
    label: &dyn Fn(usize) -> &'v [u8],
    value: &dyn Fn(usize) -> &'v [u8],
    update: &dyn Fn(M),
) -> Result<(), Error> {
    let addr = if let Some(addr) = in_another_order(inner, kind, name, count, label, value) {
        addr
    } else {
        let (family, lens) = make(inner, kind, name, count, label)?;
        family.addr(count, &|i| lens.get(i).copied().unwrap_or(0).into(), value)
    };
    update(M::from_series(Segment { inner }, addr));
    Ok(())
}

#[inline(always)]
fn family<'v>(
    inner: &'static Inner,
    kind: Kind,
    name: &[u8],
    count: usize,
    label: impl Fn(usize) -> &'v [u8],
) -> Option<(FamilyRef, &'static [u16])> {
    // The suffix of a counter's sample is no part of the family's name.
    let name = if kind == Kind::Counter { name.strip_suffix(b"_total").unwrap_or(name) } else { name };
    let hash = label_set::family_hash(inner.seed, name);
    let (memory, index) = (&inner.memory, inner.index());
    let bits = index.bits();
    let mut hit = index.first(bits, hash)?;
    loop {
        let at = offset(hit.link);
        let found = FamilyRef::with_label_lens(inner, at)
            .filter(|(family, _)| family.hash == hash && memory.get32(at + entry::PARENT) == 0)
            .filter(|_| !Record::new(memory, at).own_state().is_retired());
        if let Some((family, lens)) = found {
            let record = Record::new(memory, at);
            let (its_name, mut its_labels) = record.names(lens)?;
            if label_set::equal(its_name, name) {
                if !record.is_kind(kind) || lens.len() != count {
                    return None;
                }
                // A loop of its own: `all` is not inlined.
                for i in 0..count {
                    if !is_called(its_labels.next()?, label(i)) {
                        return None;
                    }
                }
                return Some((family, lens));
            }
        }
        hit = index.next(bits, hash, hit)?;
    }
}

/// The series, if the family has these labels in another order, or is a member of a bundle.
#[cold]
#[inline(never)]
fn in_another_order<'v>(
    inner: &'static Inner,
    kind: Kind,
    name: &[u8],
    count: usize,
    label: &dyn Fn(usize) -> &'v [u8],
    value: &dyn Fn(usize) -> &'v [u8],
) -> Option<SeriesAddr> {
    let name = if kind == Kind::Counter { name.strip_suffix(b"_total").unwrap_or(name) } else { name };
    let hash = label_set::family_hash(inner.seed, name);
    let memory = &inner.memory;
    let is_it = |link: u32| -> Option<(FamilyRef, Positions)> {
        let at = offset(link);
        let (family, lens) = FamilyRef::with_label_lens(inner, at)?;
        let record = Record::new(memory, at);
        let wrong = !record.is_family() || !record.is_kind(kind) || record.is_retired();
        if family.hash != hash || wrong || lens.len() != count {
            return None;
        }
        let (its_name, lines) = record.names(lens)?;
        if !label_set::equal(its_name, name) {
            return None;
        }
        Some((family, Positions::find(lines, |line| (0..count).find(|i| is_called(line, label(*i))))?))
    };
    let found = Cell::new(None);
    inner.index().find_surely(hash, |link| {
        found.set(is_it(link));
        let is_found = found.get();
        is_found.is_some()
    })?;
    let (family, positions) = found.get()?;
    if count == 0 {
        return Some(family.embedded());
    }
    let value = |i: usize| value(positions.of(i));
    Some(match family_of(&family, count) {
        Some(way) => way.find(count, &value),
        None => family.find_in_order(&Positions::SAME, count, &value),
    })
}

/// Whether label text has the label of that name like this: plain, or in quotes, where a name in
/// quotes is not taken for one that contains them.
#[inline(always)]
fn is_called(line: &[u8], name: &[u8]) -> bool {
    if line.first() == Some(&b'"') {
        is_called_in_quotes(line, name)
    } else {
        label_set::equal(line, name)
    }
}

#[cold]
fn is_called_in_quotes(line: &[u8], name: &[u8]) -> bool {
    let mut inner = line.get(1..line.len() - 1).unwrap_or_default().iter();
    let mut next = || match inner.next()? {
        b'\\' => inner.next().map(|b| if *b == b'n' { b'\n' } else { *b }),
        b => Some(*b),
    };
    name.iter().all(|b| next() == Some(*b)) && next().is_none()
}

#[cold]
#[inline(never)]
fn make<'v>(
    inner: &'static Inner,
    kind: Kind,
    name: &[u8],
    count: usize,
    label: &dyn Fn(usize) -> &'v [u8],
) -> Result<(FamilyRef, &'static [u16]), Error> {
    let name = std::str::from_utf8(name)
        .map_err(|_| Error::name("metric name", &String::from_utf8_lossy(name), "it is not UTF-8"))?;
    let labels: Vec<_> = (0..count).map(|i| String::from_utf8_lossy(label(i))).collect();
    let labels: Vec<&str> = labels.iter().map(AsRef::as_ref).collect();
    let usual = Spec::new(name, "", kind, GaugeMode::Shared);
    let buckets = if kind == Kind::Histogram { DEFAULT_BUCKETS } else { &[] };
    let at = register(inner, Spec { labels: &labels, buckets, ..usual })?;
    FamilyRef::with_label_lens(inner, at)
        .ok_or_else(|| Error::Corrupt(format!("the family {name} cannot be read: the segment is damaged")))
}

impl Segment {
    /// Adds `v` to the counter of this name and these labels, in one call: for hosts that have no
    /// place to keep families and handles between two requests. The labels may be in any order;
    /// that of the family is fastest. A family or series that is missing is made. The new family
    /// has no help text and no limit: register the family beforehand where it needs them.
    ///
    /// The call takes two look-ups. If family and series exist, it takes no lock, allocates nothing
    /// and makes no system call. An update through a handle is several times as fast.
    ///
    /// # Errors
    /// Those of a registration of such a family: [`Error::Conflict`], [`Error::Full`], an invalid
    /// name. [`Error::InvalidArgument`] if `v` is negative, infinite or NaN. On an error nothing is
    /// counted.
    pub fn count(&self, name: &str, labels: &[(&str, &str)], v: f64) -> Result<(), Error> {
        check_amount(self.inner, Kind::Counter, v)?;
        self.by_name(Kind::Counter, name, labels, |counter: Counter| counter.add(v))
    }

    /// Counts an observation of the histogram of this name and these labels, as [`Segment::count`]
    /// counts. A histogram that is made has the default buckets.
    ///
    /// # Errors
    /// As for [`Segment::count`]; the only value that is refused is NaN.
    pub fn observe(&self, name: &str, labels: &[(&str, &str)], v: f64) -> Result<(), Error> {
        check_amount(self.inner, Kind::Histogram, v)?;
        self.by_name(Kind::Histogram, name, labels, |histogram: Histogram| histogram.observe(v))
    }

    #[inline(always)]
    fn by_name<M: FromSeries>(
        &self,
        kind: Kind,
        name: &str,
        labels: &[(&str, &str)],
        update: impl Fn(M),
    ) -> Result<(), Error> {
        let (label, value) = (|i: usize| labels[i].0.as_bytes(), |i: usize| labels[i].1.as_bytes());
        update_by_name(self.inner, kind, name.as_bytes(), labels.len(), label, value, update)
    }
}
