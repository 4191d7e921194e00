//! Families and bundles whose label names are known at run time only, as bindings of other
//! languages have them.

use std::marker::PhantomData;

use super::builder::Labels;
use super::bundle::{BundleBuilder, BundleEntry, BundleRef};
use super::lookup::FamilyRef;
use super::register::register;
use super::spec::Spec;
use super::Builder;
use crate::metric::Metric;
use crate::segment::Inner;
use crate::{Error, Segment};

impl Labels for &[&str] {}

impl<'a, M: Metric> Builder<'a, M> {
    /// The names of the family's labels, of which the number is known at run time only. Where it is
    /// known beforehand, [`Builder::labels`] has it checked by the compiler.
    pub fn label_names(self, names: &'a [&'a str]) -> Builder<'a, M, &'a [&'a str]> {
        self.with_labels(names)
    }
}

impl<'a, M: Metric> Builder<'a, M, &'a [&'a str]> {
    /// Registers the family.
    ///
    /// # Errors
    /// As [`Builder::register`].
    pub fn register(self) -> Result<DynamicFamily<M>, Error> {
        let (inner, labels) = (self.segment.inner, self.labels);
        // The one series of a family without labels does not expire.
        let expire = if labels.is_empty() { 0 } else { self.spec.expire };
        let (family, lens) = found(inner, register(inner, Spec { labels, expire, ..self.spec })?)?;
        Ok(DynamicFamily { family, lens, metric: PhantomData })
    }
}

/// The family whose record is at `at`, and the lengths of its label names.
fn found(inner: &'static Inner, at: u64) -> Result<(FamilyRef, &'static [u16]), Error> {
    FamilyRef::with_label_lens(inner, at)
        .ok_or_else(|| Error::Corrupt("the family's record is not there: the segment is damaged; remove it".into()))
}

/// A metric with labels of which the number is known at run time only: one series for each set of
/// label values.
///
/// A small copy, valid in every thread and over fork, as [`Family`](crate::Family) is.
///
/// ```
/// # fn main() -> Result<(), shmetrics::Error> {
/// # let segment = shmetrics::Options::new().anonymous().open()?;
/// let names = vec!["method", "status"];
/// let requests = segment.counter("http_requests_total", "Requests served.").label_names(&names).register()?;
/// if let Some(counter) = requests.with(&["GET", "200"]) {
///     counter.inc();
/// }
/// assert!(requests.with(&["GET"]).is_none(), "it has two labels");
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DynamicFamily<M> {
    pub(crate) family: FamilyRef,
    pub(crate) lens: &'static [u16],
    metric: PhantomData<M>,
}

impl<M: Metric> DynamicFamily<M> {
    /// The series with these label values, made if there is none. As
    /// [`Family::with`](crate::Family::with), but for `None`: the number of values is not that of
    /// the labels.
    #[inline]
    pub fn with(&self, values: &[&str]) -> Option<M> {
        if values.len() != self.lens.len() {
            return None;
        }
        Some(self.family.find::<false, _>(values.len(), |i| usize::from(self.lens[i]), |i| values[i].as_bytes()))
    }

    /// As [`Family::peek`](crate::Family::peek). `None` also where the number of values is not that
    /// of the labels.
    pub fn peek(&self, values: &[&str]) -> Option<M> {
        if values.len() != self.lens.len() {
            return None;
        }
        self.family.peek(values.len(), &|i| usize::from(self.lens[i]), &|i| values[i].as_bytes())
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

    /// As [`Family::remove`](crate::Family::remove). False also where the number of values is not
    /// that of the labels, or 0.
    pub fn remove(&self, values: &[&str]) -> bool {
        !values.is_empty()
            && values.len() == self.lens.len()
            && self.family.remove(values.len(), &|i| usize::from(self.lens[i]), &|i| values[i].as_bytes())
    }

    /// As [`Family::clear`](crate::Family::clear).
    pub fn clear(&self) -> u64 {
        self.family.clear()
    }
}

impl<M> std::fmt::Debug for DynamicFamily<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DynamicFamily").field("labels", &self.lens.len()).finish_non_exhaustive()
    }
}

impl Segment {
    /// A bundle of metrics with labels of which the number is known at run time only. Where it is
    /// known beforehand, [`Segment::bundle`] has it checked by the compiler.
    pub fn dynamic_bundle<'a>(&self, labels: &'a [&'a str]) -> BundleBuilder<'a, &'a [&'a str]> {
        BundleBuilder::new(*self, labels)
    }
}

impl<'a> BundleBuilder<'a, &'a [&'a str]> {
    /// Registers the bundle.
    ///
    /// # Errors
    /// As for a [`Bundle`](crate::Bundle).
    pub fn register(&self) -> Result<DynamicBundle, Error> {
        let (family, lens) = found(self.segment.inner, self.record()?)?;
        Ok(DynamicBundle { bundle: BundleRef::new(family), lens })
    }
}

/// Metrics with the same labels, of which the number is known at run time only: one look-up of a
/// label set finds the series of all of them.
///
/// A small copy, valid in every thread and over fork, as [`Bundle`](crate::Bundle) is.
///
/// ```
/// # fn main() -> Result<(), shmetrics::Error> {
/// # let segment = shmetrics::Options::new().anonymous().open()?;
/// let names = vec!["method", "status"];
/// let mut bundle = segment.dynamic_bundle(&names);
/// let requests = bundle.add(segment.counter("requests_total", "Requests."));
/// let latency = bundle.add(segment.histogram("latency_seconds", "Latency."));
/// let http = bundle.register()?;
///
/// if let Some(entry) = http.with(&["GET", "200"]) {
///     entry.get(requests).inc();
///     entry.get(latency).observe(0.012);
/// }
/// assert!(http.with(&["GET"]).is_none(), "it has two labels");
/// # let page = String::from_utf8(segment.render(shmetrics::Format::Text)).unwrap();
/// # assert!(page.contains("latency_seconds_count{method=\"GET\",status=\"200\"} 1\n"), "{page}");
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DynamicBundle {
    bundle: BundleRef,
    lens: &'static [u16],
}

impl DynamicBundle {
    /// The series with these label values, made if there are none. As
    /// [`Bundle::with`](crate::Bundle::with), but for `None`: the number of values is not that of
    /// the labels.
    #[inline]
    pub fn with(&self, values: &[&str]) -> Option<BundleEntry> {
        if values.len() != self.lens.len() {
            return None;
        }
        let (name_len, value) = (|i: usize| usize::from(self.lens[i]), |i: usize| values[i].as_bytes());
        Some(self.bundle.entry(self.bundle.family.find_addr::<false>(values.len(), name_len, value)))
    }

    /// As [`Bundle::peek`](crate::Bundle::peek). `None` also where the number of values is not that
    /// of the labels.
    pub fn peek(&self, values: &[&str]) -> Option<BundleEntry> {
        if values.len() != self.lens.len() {
            return None;
        }
        let (name_len, value) = (|i: usize| usize::from(self.lens[i]), |i: usize| values[i].as_bytes());
        self.bundle.family.peek_addr(values.len(), &name_len, &value).map(|addr| self.bundle.entry(addr))
    }

    /// As [`Bundle::entries`](crate::Bundle::entries).
    pub fn entries(&self) -> Vec<(Vec<String>, BundleEntry)> {
        self.bundle.entries()
    }

    /// As [`Bundle::remove`](crate::Bundle::remove). False also where the number of values is not
    /// that of the labels, or 0.
    pub fn remove(&self, values: &[&str]) -> bool {
        !values.is_empty()
            && values.len() == self.lens.len()
            && self.bundle.family.remove(values.len(), &|i| usize::from(self.lens[i]), &|i| values[i].as_bytes())
    }

    /// As [`Bundle::remove_matching`](crate::Bundle::remove_matching).
    ///
    /// # Errors
    /// As [`Family::remove_matching`](crate::Family::remove_matching).
    pub fn remove_matching(&self, labels: &[(&str, &str)]) -> Result<u64, Error> {
        self.bundle.family.remove_matching(labels)
    }

    /// As [`Bundle::clear`](crate::Bundle::clear).
    pub fn clear(&self) -> u64 {
        self.bundle.family.clear()
    }
}

impl std::fmt::Debug for DynamicBundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DynamicBundle").field("labels", &self.lens.len()).finish_non_exhaustive()
    }
}
