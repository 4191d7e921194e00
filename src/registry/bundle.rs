//! Bundles as an application has them: metrics with the same labels, which one look-up finds.

use std::marker::PhantomData;
use std::time::Duration;

use super::builder::seconds;
use super::lookup::FamilyRef;
use super::register::register_all;
use super::spec::Spec;
use super::Builder;
use crate::kind::Kind;
use crate::metric::Metric;
use crate::record::bundle::Row;
use crate::record::family::Record;
use crate::segment::Inner;
use crate::shm::state::SeriesAddr;
use crate::{Error, Segment};

/// A [`Bundle`] about to be registered, made by [`Segment::bundle`], or a
/// [`DynamicBundle`](crate::DynamicBundle), made by [`Segment::dynamic_bundle`]. `L` stands for the
/// label names: an array, or a slice.
#[derive(Clone, Debug)]
#[must_use = "nothing is registered until `register`"]
pub struct BundleBuilder<'a, L> {
    pub(super) segment: Segment,
    labels: L,
    members: Vec<Spec<'a>>,
    max_series: u64,
    expire: u32,
    replace: bool,
    /// Why it cannot be registered.
    wrong: Option<String>,
}

/// A metric of a [`Bundle`]: made by [`BundleBuilder::add`], and what [`BundleEntry::get`] takes.
pub struct Member<M> {
    number: usize,
    metric: PhantomData<fn() -> M>,
}

impl<M> Clone for Member<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Member<M> {}

impl<M> std::fmt::Debug for Member<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Member").field(&self.number).finish()
    }
}

impl Segment {
    /// A bundle of metrics with these labels: one look-up of a label set finds the series of all of
    /// them. For what is updated together, such as the metrics of a request.
    ///
    /// ```
    /// # fn main() -> Result<(), shmetrics::Error> {
    /// # let segment = shmetrics::Options::new().anonymous().open()?;
    /// let mut bundle = segment.bundle(["method", "status"]);
    /// let requests = bundle.add(segment.counter("requests_total", "Requests."));
    /// let latency = bundle.add(segment.histogram("latency_seconds", "Latency."));
    /// let http = bundle.register()?;
    ///
    /// let entry = http.with(["GET", "200"]);
    /// entry.get(requests).inc();
    /// entry.get(latency).observe(0.012);
    /// # let page = segment.page(shmetrics::Format::Text).render_to_string().unwrap();
    /// # assert!(page.contains("requests_total{method=\"GET\",status=\"200\"} 1\n"), "{page}");
    /// # assert!(page.contains("latency_seconds_count{method=\"GET\",status=\"200\"} 1\n"), "{page}");
    /// # Ok(()) }
    /// ```
    pub fn bundle<'a, const N: usize>(&self, labels: [&'a str; N]) -> BundleBuilder<'a, [&'a str; N]> {
        BundleBuilder::new(*self, labels)
    }
}

impl<'a, L> BundleBuilder<'a, L> {
    pub(super) fn new(segment: Segment, labels: L) -> Self {
        BundleBuilder { segment, labels, members: Vec::new(), max_series: 0, expire: 0, replace: false, wrong: None }
    }

    /// Adds a metric, of any kind and with options of its own. What belongs to label sets is the
    /// bundle's: labels, [`max_series`](BundleBuilder::max_series),
    /// [`expire_after`](BundleBuilder::expire_after) and [`replace`](BundleBuilder::replace).
    pub fn add<M: Metric>(&mut self, metric: Builder<'a, M>) -> Member<M> {
        let Builder { segment, spec, .. } = metric;
        if !std::ptr::eq(segment.inner, self.segment.inner) {
            self.wrong = Some(format!("the member {} of a bundle belongs to another segment", spec.name));
        }
        if spec.max_series != 0 || spec.replace {
            let name = spec.name;
            self.wrong = Some(format!(
                "the member {name} of a bundle has options that are the bundle's: max_series, or replace"
            ));
        }
        self.members.push(spec);
        Member { number: self.members.len() - 1, metric: PhantomData }
    }

    /// The most label sets; further ones share one of overflow series. 0: no limit of its own.
    pub fn max_series(&mut self, label_sets: u64) -> &mut Self {
        self.max_series = label_sets;
        self
    }

    /// Label sets of which no process updates any series for this time go off the pages, as
    /// [`Builder::expire_after`] says. Without labels it says nothing.
    pub fn expire_after(&mut self, time: Duration) -> &mut Self {
        self.expire = seconds(time);
        self
    }

    /// Puts this definition in the place of all definitions that have the members' names, bundles
    /// and families by themselves, as [`Builder::replace`] does. A bundle that gives way is off the
    /// pages with all of its members.
    pub fn replace(&mut self) -> &mut Self {
        self.replace = true;
        self
    }
}

impl<'a, L: AsRef<[&'a str]>> BundleBuilder<'a, L> {
    /// Where the record is that look-ups begin at.
    pub(super) fn record(&self) -> Result<u64, Error> {
        if let Some(wrong) = &self.wrong {
            return Err(Error::InvalidArgument(wrong.clone()));
        }
        let labels = self.labels.as_ref();
        let member = |spec: &Spec<'a>| Spec {
            labels,
            max_series: self.max_series,
            expire: if labels.is_empty() { 0 } else { self.expire },
            replace: self.replace,
            ..spec.clone()
        };
        register_all(self.segment.inner, self.members.iter().map(member).collect())
    }
}

impl<'a, const N: usize> BundleBuilder<'a, [&'a str; N]> {
    /// Registers the bundle, which any process may do at any time: the same members in the same
    /// order are the same bundle.
    ///
    /// # Errors
    /// As for [`Builder::register`], for any member. [`Error::Conflict`] also if some of the names
    /// are registered otherwise: by themselves, or in another bundle.
    pub fn register(&self) -> Result<Bundle<N>, Error> {
        let (inner, at) = (self.segment.inner, self.record()?);
        let record = Record::new(&inner.memory, at);
        let lens = std::array::from_fn(|i| record.label_len(i) as u16);
        Ok(Bundle { bundle: BundleRef::new(FamilyRef::new(inner, at)), lens })
    }
}

/// A bundle, as look-ups need it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct BundleRef {
    /// Its first member, or another order of its labels.
    pub(crate) family: FamilyRef,
    /// Its first member.
    home: u64,
}

impl BundleRef {
    pub(crate) fn new(family: FamilyRef) -> Self {
        BundleRef { family, home: Record::new(&family.inner.memory, family.at).home().at }
    }

    #[inline]
    pub(crate) fn entry(&self, addr: SeriesAddr) -> BundleEntry {
        let inner = self.family.inner;
        let rows = Record::new(&inner.memory, self.home).rows();
        BundleEntry { segment: Segment { inner }, rows, addr }
    }

    pub(super) fn entries(&self) -> Vec<(Vec<String>, BundleEntry)> {
        let mut all = Vec::new();
        self.family.each(|values, record, _| {
            all.push((values.iter().map(|&value| value.to_owned()).collect(), self.entry(record)));
        });
        all
    }
}

/// Metrics with the same `N` labels, which are found by one look-up.
///
/// A small copy, valid in every thread and over fork. Each metric is a family on pages. A label set
/// has a series in all of them: it is made, removed and expires as a whole.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bundle<const N: usize> {
    bundle: BundleRef,
    /// The lengths of the label names.
    lens: [u16; N],
}

impl<const N: usize> Bundle<N> {
    /// The series with these label values, made if there are none: as
    /// [`Family::with`](crate::Family::with), which never fails.
    #[inline]
    pub fn with(&self, values: [&str; N]) -> BundleEntry {
        let (lens, family) = (&self.lens, &self.bundle.family);
        self.bundle.entry(family.find_addr::<true>(N, |i| usize::from(lens[i]), move |i| values[i].as_bytes()))
    }

    /// As [`Family::peek`](crate::Family::peek).
    pub fn peek(&self, values: [&str; N]) -> Option<BundleEntry> {
        let addr = self.bundle.family.peek_addr(N, &|i| usize::from(self.lens[i]), &|i| values[i].as_bytes());
        addr.map(|addr| self.bundle.entry(addr))
    }

    /// The label sets that are there now. Without the overflow series.
    pub fn entries(&self) -> Vec<(Vec<String>, BundleEntry)> {
        self.bundle.entries()
    }

    /// Removes the series with these label values from all members at once, as
    /// [`Family::remove`](crate::Family::remove). False if there are none.
    pub fn remove(&self, values: [&str; N]) -> bool {
        N > 0 && self.bundle.family.remove(N, &|i| usize::from(self.lens[i]), &|i| values[i].as_bytes())
    }

    /// As [`Family::remove_matching`](crate::Family::remove_matching). Returns how many label sets.
    ///
    /// # Errors
    /// As [`Family::remove_matching`](crate::Family::remove_matching).
    pub fn remove_matching(&self, labels: &[(&str, &str)]) -> Result<u64, Error> {
        self.bundle.family.remove_matching(labels)
    }

    /// As [`Family::clear`](crate::Family::clear). Returns how many label sets.
    pub fn clear(&self) -> u64 {
        self.bundle.family.clear()
    }
}

impl<const N: usize> std::fmt::Debug for Bundle<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundle").field("labels", &N).finish_non_exhaustive()
    }
}

/// The series of one label set of a [`Bundle`]. It is valid as long as the handles that it gives:
/// see [`Metric`].
#[derive(Clone, Copy)]
pub struct BundleEntry {
    segment: Segment,
    rows: &'static [Row],
    addr: SeriesAddr,
}

impl PartialEq for BundleEntry {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.segment.inner, other.segment.inner) && self.addr == other.addr
    }
}

impl Eq for BundleEntry {}

impl BundleEntry {
    /// The handle of a member's series. A member that was added to another bundle may have no
    /// series here: updates through such a handle count nowhere.
    #[inline]
    pub fn get<M: Metric>(&self, member: Member<M>) -> M {
        let addr = match self.place(member.number) {
            Some((kind, addr)) if M::fits(kind) => addr,
            // No memory is at this address, so the handle is inert.
            _ => SeriesAddr { at: self.segment.inner.memory.len(), ..self.addr },
        };
        M::from_series(self.segment, addr)
    }

    /// As [`Metric::is_removed`], of all of them.
    pub fn is_removed(&self) -> bool {
        self.segment.inner.is_over(self.addr.at, self.addr.generation)
    }

    /// The kind of the member of this number, and where its series is. `None`: there is no such
    /// member.
    #[inline(always)]
    pub(crate) fn place(&self, member: usize) -> Option<(Kind, SeriesAddr)> {
        let Some(row) = self.rows.get(member) else { return self.alone(member) };
        let (kind, seat) = row.place()?;
        Some((kind, SeriesAddr { at: self.addr.at + seat, ..self.addr }))
    }

    /// The same of a bundle of one. Its kind is not that of the series' record, which may serve
    /// another family by now.
    #[cold]
    #[inline(never)]
    fn alone(&self, member: usize) -> Option<(Kind, SeriesAddr)> {
        let memory = &self.segment.inner.memory;
        let family = Record::new(memory, memory.offset_of(self.rows.as_ptr().cast()));
        (member == 0 && self.rows.is_empty() && family.member_count() == 0).then(|| (family.kind(), self.addr))
    }

    /// The parts of the entry that a handle of C keeps.
    #[inline(always)]
    pub(crate) fn parts(&self) -> (&'static Inner, SeriesAddr, &'static [Row]) {
        (self.segment.inner, self.addr, self.rows)
    }

    /// From what [`BundleEntry::parts`] gave.
    #[inline(always)]
    pub(crate) fn of(inner: &'static Inner, addr: SeriesAddr, rows: &'static [Row]) -> Self {
        BundleEntry { segment: Segment { inner }, rows, addr }
    }
}

impl std::fmt::Debug for BundleEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BundleEntry").finish_non_exhaustive()
    }
}
