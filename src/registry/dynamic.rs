//! Families whose label names are known at run time only, as bindings of other languages have them.

use std::marker::PhantomData;
use std::time::Duration;

use super::lookup::FamilyRef;
use super::register::register;
use super::spec::Spec;
use super::Builder;
use crate::metric::Metric;
use crate::{Error, Segment};

/// A [`Builder`] with label names that are known at run time only: made by
/// [`Builder::label_names`].
#[derive(Clone, Debug)]
#[must_use = "nothing is registered until `register`"]
pub struct DynamicBuilder<'a, M> {
    pub(super) segment: Segment,
    pub(super) spec: Spec<'a>,
    pub(super) metric: PhantomData<M>,
}

impl<'a, M: Metric> Builder<'a, M> {
    /// The names of the family's labels, of which the number is known at run time only. Where it is
    /// known beforehand, [`Builder::labels`] has it checked by the compiler.
    pub fn label_names(self, names: &'a [&'a str]) -> DynamicBuilder<'a, M> {
        let Builder { segment, spec, metric } = self;
        DynamicBuilder { segment, spec: Spec { labels: names, ..spec }, metric }
    }
}

impl<M: Metric> DynamicBuilder<'_, M> {
    /// As [`Builder::replace`].
    pub fn replace(mut self) -> Self {
        self.spec.replace = true;
        self
    }

    /// As [`LabelledBuilder::expire_after`](crate::LabelledBuilder::expire_after). Without labels
    /// it says nothing.
    pub fn expire_after(mut self, time: Duration) -> Self {
        let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
        self.spec.expire = if self.spec.labels.is_empty() { 0 } else { u32::try_from(seconds).unwrap_or(u32::MAX) };
        self
    }

    /// Registers the family.
    ///
    /// # Errors
    /// As [`Builder::register`].
    pub fn register(self) -> Result<DynamicFamily<M>, Error> {
        let inner = self.segment.inner;
        let at = register(inner, self.spec)?;
        match FamilyRef::with_label_lens(inner, at) {
            Some((family, lens)) => Ok(DynamicFamily { family, lens, metric: PhantomData }),
            None => Err(Error::Corrupt("the family's record is not there: the segment is damaged; remove it".into())),
        }
    }
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
    /// As there.
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
