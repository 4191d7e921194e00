//! Bundles: metrics with the same labels. One look-up of a label set finds the children of all of
//! them.

mod entry;
mod member;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use shmetrics::{DynamicBundle, Error};

pub(crate) use self::entry::BundleEntry;
use self::entry::Entries;
pub(crate) use self::member::BundleMember;
use self::member::{Common, MemberKind, Registered, Unregistered};
use crate::family::{borrowed, refusal, LabelSets};
use crate::labels;
use crate::metrics::class::{register_with, segment_argument};
use crate::metrics::gauge;
use crate::metrics::histogram::HistogramOptions;
use crate::metrics::state_set::EnumOptions;
use crate::metrics::summary::SummaryOptions;
use crate::python::{exception, warn, Text};
use crate::segment::Segment;

/// Metrics with the same labels. `labels()` returns an entry, which has their children.
#[pyclass(frozen, weakref, module = "shmetrics")]
pub(crate) struct Bundle {
    table: Table,
    members: Vec<Box<dyn Registered>>,
    /// The name of the first member's family, which has the label sets of all.
    first: String,
    class: Entries,
    /// The entry without label values.
    metrics: Py<BundleEntry>,
    /// The entries that this process has used, by label values.
    entries: Py<PyDict>,
}

/// The label sets of a bundle.
struct Table {
    /// For messages.
    name: String,
    labels: Vec<String>,
    label_tuple: Py<PyTuple>,
    segment: Option<shmetrics::Segment>,
    /// `None`: the bundle is refused, and counts nowhere.
    bundle: Option<DynamicBundle>,
}

impl LabelSets for Table {
    fn name(&self) -> &str {
        &self.name
    }

    fn labels(&self) -> (&[String], &Py<PyTuple>) {
        (&self.labels, &self.label_tuple)
    }

    fn segment(&self) -> Option<shmetrics::Segment> {
        self.segment.filter(|_| self.bundle.is_some())
    }

    fn remove(&self, values: &[&str]) -> bool {
        self.bundle.is_some_and(|bundle| bundle.remove(values))
    }

    fn clear(&self) {
        if let Some(bundle) = self.bundle {
            bundle.clear();
        }
    }
}

/// Registers a bundle. `None`: the segment refuses it, and the application was warned.
fn register(
    py: Python<'_>,
    segment: shmetrics::Segment,
    labels: &[String],
    members: &[Box<dyn Unregistered>],
    max_series: u64,
    replace: bool,
) -> PyResult<Option<DynamicBundle>> {
    let (labels, states) = (borrowed(labels), members.iter().map(|member| member.states()).collect::<Vec<_>>());
    let mut builder = segment.dynamic_bundle(&labels);
    for (member, states) in members.iter().zip(&states) {
        member.add(segment, states, &mut builder);
    }
    builder.max_series(max_series);
    if replace {
        builder.replace();
    }
    match builder.register() {
        Ok(bundle) => Ok(Some(bundle)),
        Err(error @ (Error::InvalidName(_) | Error::InvalidArgument(_))) => Err(exception(&error)),
        Err(error) => {
            warn(py, &refusal("the bundle of", &names(members), "counts nowhere", segment, &error))?;
            Ok(None)
        }
    }
}

fn names(members: &[Box<dyn Unregistered>]) -> String {
    members.iter().map(|member| member.name()).collect::<Vec<_>>().join(", ")
}

fn member(name: &str, documentation: Text, unit: Option<&str>, kind: MemberKind) -> BundleMember {
    BundleMember {
        name: name.to_owned(),
        documentation: documentation.0,
        unit: unit.unwrap_or_default().to_owned(),
        kind,
    }
}

impl Bundle {
    /// Makes the entry with these label values.
    #[cold]
    fn make<'py>(&self, key: Bound<'py, PyTuple>) -> PyResult<Bound<'py, BundleEntry>> {
        let (py, entries) = (key.py(), self.entries.bind(key.py()));
        let found = labels::with_texts(&key, |texts| self.table.bundle.and_then(|bundle| bundle.with(texts)))?;
        let children = self.members.iter().map(|member| member.child(found, &key)).collect::<PyResult<Vec<_>>>()?;
        let entry = self.class.entry(py, children, found)?;
        labels::sweep(entries, &is_removed)?;
        entries.set_item(key, &entry)?;
        Ok(entry)
    }

    fn families<'py>(&self, py: Python<'py>, method: &str) -> PyResult<Bound<'py, PyList>> {
        let all = PyList::empty(py);
        for metric in self.metrics.bind(py).try_iter()? {
            all.call_method1("extend", (metric?.call_method0(method)?,))?;
        }
        Ok(all)
    }
}

fn is_removed(entry: &Bound<'_, PyAny>) -> bool {
    entry.cast::<BundleEntry>().is_ok_and(|entry| entry.get().is_removed())
}

#[pymethods]
impl Bundle {
    /// Registers the metrics. `members` has their definitions, by the names that they get in
    /// entries.
    #[new]
    #[pyo3(signature = (labelnames, members, namespace="", subsystem="", registry=None, *, segment=None, max_series=0,
                        replace=false))]
    #[allow(clippy::too_many_arguments)]
    fn new<'py>(
        py: Python<'py>,
        labelnames: &Bound<'py, PyAny>,
        members: &Bound<'py, PyAny>,
        namespace: Option<&str>,
        subsystem: Option<&str>,
        registry: Option<&Bound<'py, PyAny>>,
        segment: Option<Bound<'py, PyAny>>,
        max_series: u64,
        replace: bool,
    ) -> PyResult<Py<Self>> {
        let wrong = || PyTypeError::new_err("members must be a dict of {name: Bundle.counter(...)}");
        let members = members.cast::<PyDict>().map_err(|_| wrong())?;
        let label_tuple = PyTuple::new(py, labelnames.try_iter()?.collect::<PyResult<Vec<_>>>()?)?;
        let labels = label_tuple.extract::<Vec<String>>()?;
        let class = Entries::new(py, &members.keys().extract::<Vec<String>>()?)?;
        let common = Common { labelnames: &label_tuple, namespace, subsystem };
        let mut pending = Vec::with_capacity(members.len());
        for definition in members.values() {
            pending.push(definition.cast::<BundleMember>().map_err(|_| wrong())?.get().of(&common)?);
        }
        let given = Segment::of(py, segment_argument(segment, registry)?)?;
        let bundle = match given {
            Some(segment) => register(py, segment, &labels, &pending, max_series, replace)?,
            None => None,
        };
        let segment = given.filter(|_| bundle.is_some());
        let (name, first) =
            (format!("the bundle of {}", names(&pending)), pending.first().map_or("", |m| m.name()).to_owned());
        let (mut registered, mut metrics) = (Vec::with_capacity(pending.len()), Vec::with_capacity(pending.len()));
        for member in pending {
            let (member, metric) = member.registered(py, segment)?;
            registered.push(member);
            metrics.push(metric);
        }
        let metrics = class.entry(py, metrics, None)?.unbind();
        let this = Bundle {
            table: Table { name, labels, label_tuple: label_tuple.unbind(), segment, bundle },
            members: registered,
            first,
            class,
            metrics,
            entries: PyDict::new(py).unbind(),
        };
        let this = Bound::new(py, this)?;
        register_with(this.as_any(), registry)?;
        Ok(this.unbind())
    }

    /// A counter.
    #[staticmethod]
    #[pyo3(signature = (name, documentation, *, unit="", exact_name=false))]
    fn counter(name: &str, documentation: Text, unit: Option<&str>, exact_name: bool) -> BundleMember {
        member(name, documentation, unit, MemberKind::Counter { exact_name })
    }

    /// A gauge.
    #[staticmethod]
    #[pyo3(signature = (name, documentation, *, unit="", multiprocess_mode="all"))]
    fn gauge(name: &str, documentation: Text, unit: Option<&str>, multiprocess_mode: &str) -> PyResult<BundleMember> {
        Ok(member(name, documentation, unit, MemberKind::Gauge(gauge::mode(multiprocess_mode)?)))
    }

    /// A histogram.
    #[staticmethod]
    #[pyo3(signature = (name, documentation, *, unit="", buckets=None, native_factor=None, native_max_buckets=None))]
    fn histogram(
        name: &str,
        documentation: Text,
        unit: Option<&str>,
        buckets: Option<&Bound<'_, PyAny>>,
        native_factor: Option<f64>,
        native_max_buckets: Option<u32>,
    ) -> PyResult<BundleMember> {
        let options = HistogramOptions::new(buckets, native_factor, native_max_buckets)?;
        Ok(member(name, documentation, unit, MemberKind::Histogram(options)))
    }

    /// A summary.
    #[staticmethod]
    #[pyo3(signature = (name, documentation, *, unit="", quantiles=None))]
    fn summary(name: &str, documentation: Text, unit: Option<&str>, quantiles: Option<Vec<f64>>) -> BundleMember {
        member(name, documentation, unit, MemberKind::Summary(SummaryOptions(quantiles)))
    }

    /// One of several states.
    #[staticmethod]
    #[pyo3(name = "enum", signature = (name, documentation, *, states))]
    fn enumeration(name: &str, documentation: Text, states: &Bound<'_, PyAny>) -> PyResult<BundleMember> {
        Ok(member(name, documentation, None, MemberKind::Enum(EnumOptions::new(name, Some(states))?)))
    }

    /// The metrics without label values, in an entry.
    #[getter]
    fn members(&self, py: Python<'_>) -> Py<BundleEntry> {
        self.metrics.clone_ref(py)
    }

    /// Returns the entry with these label values, given in the order of the label names or by name.
    #[pyo3(signature = (*labelvalues, **labelkwargs))]
    fn labels<'py>(
        &self,
        labelvalues: &Bound<'py, PyTuple>,
        labelkwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, BundleEntry>> {
        let py = labelvalues.py();
        if self.table.labels.is_empty() && labelvalues.is_empty() && labelkwargs.is_none() {
            return Ok(self.metrics.bind(py).clone());
        }
        let key = labels::values_of(&self.table.name, &self.table.label_tuple, labelvalues, labelkwargs)?;
        match self.entries.bind(py).get_item(&key)?.map(Bound::cast_into::<BundleEntry>) {
            Some(Ok(entry)) if !entry.get().is_removed() => Ok(entry),
            _ => self.make(key),
        }
    }

    /// Removes the entry with these label values, for all processes.
    #[pyo3(signature = (*labelvalues))]
    fn remove(&self, labelvalues: &Bound<'_, PyTuple>) -> PyResult<()> {
        labels::remove(&self.table, Some(&self.entries), labelvalues)
    }

    /// Removes the entries that have these labels, for all processes.
    fn remove_by_labels(&self, labels: &Bound<'_, PyAny>) -> PyResult<()> {
        labels::remove_by_labels(&self.table, &self.first, Some(&self.entries), labels)
    }

    /// Removes all entries, for all processes.
    fn clear(&self, py: Python<'_>) {
        labels::clear(&self.table, Some(&self.entries), py);
    }

    /// The families with their samples over all processes.
    fn collect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.families(py, "collect")
    }

    /// The families without samples.
    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.families(py, "describe")
    }

    /// The bundle itself: a copy counts into the same series.
    fn __copy__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    #[getter]
    fn _labelnames(&self, py: Python<'_>) -> Py<PyTuple> {
        self.table.label_tuple.clone_ref(py)
    }

    fn __repr__(&self) -> String {
        format!("<shmetrics.Bundle: {}>", self.table.name)
    }
}
