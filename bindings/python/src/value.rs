//! What prometheus_client's metrics keep their values in, once they count into the segment.
//!
//! The segment has one total for all processes. prometheus_client's objects know their own process'
//! share of it, and so do these: it is kept beside the handle, and begun anew in a forked child.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use shmetrics::{Builder, DynamicFamily, Error, GaugeMode, Metric};

use crate::common::{borrowed, exception, exemplar, Text};
use crate::fork;

/// A process' own part of a total.
struct Share {
    bits: AtomicU64,
    generation: AtomicU32,
}

impl Share {
    fn new() -> Self {
        Share { bits: AtomicU64::new(0), generation: AtomicU32::new(fork::generation()) }
    }

    /// Begins anew in a forked child.
    #[inline(always)]
    fn fresh(&self) -> &AtomicU64 {
        let generation = fork::generation();
        if self.generation.load(Relaxed) != generation {
            self.bits.store(0, Relaxed);
            self.generation.store(generation, Relaxed);
        }
        &self.bits
    }

    /// Threads take turns: updates keep the GIL.
    #[inline(always)]
    fn add(&self, v: f64) {
        let bits = self.fresh();
        bits.store((f64::from_bits(bits.load(Relaxed)) + v).to_bits(), Relaxed);
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.fresh().load(Relaxed))
    }
}

/// The last exemplar, as it was given.
type Given = Mutex<Option<Py<PyAny>>>;

fn keep(given: &Given, exemplar: Option<Py<PyAny>>) {
    let before = match given.lock() {
        Ok(mut given) => std::mem::replace(&mut *given, exemplar),
        Err(_) => exemplar,
    };
    // A destructor may count on the same value, so the lock is free by now.
    drop(before);
}

fn kept(given: &Given, py: Python<'_>) -> Option<Py<PyAny>> {
    given.lock().ok().and_then(|g| g.as_ref().map(|e| e.clone_ref(py)))
}

/// The kinds of families that values are of.
#[derive(Clone)]
enum Kind {
    Counter(DynamicFamily<shmetrics::Counter>),
    Gauge(DynamicFamily<shmetrics::Gauge>, GaugeMode),
    Histogram(DynamicFamily<shmetrics::Histogram>, Arc<Bounds>),
    Summary(DynamicFamily<shmetrics::Summary>),
}

/// A family of the segment, which makes the values of prometheus_client's metrics.
#[pyclass(frozen, module = "shmetrics")]
pub(crate) struct ValueFamily {
    kind: Kind,
}

/// The unit, where the name ends in it.
fn fitting<'a>(unit: &'a str, name: &str) -> &'a str {
    let fits = name.strip_suffix(unit).is_some_and(|rest| rest.len() > 1 && rest.ends_with('_'));
    if fits {
        unit
    } else {
        ""
    }
}

#[pymethods]
impl ValueFamily {
    /// Registers the family. `mode` is a gauge's, `bounds` are a histogram's and end in +Inf.
    /// `replace`: this definition takes the place of another one.
    #[new]
    #[pyo3(signature = (segment, typ, name, documentation, labelnames, unit="", mode=None, bounds=None,
                        native_factor=None, replace=false))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        segment: &Bound<'_, crate::segment::Segment>,
        typ: &str,
        name: Text,
        documentation: Text,
        labelnames: Vec<Text>,
        unit: &str,
        mode: Option<&str>,
        bounds: Option<Vec<f64>>,
        native_factor: Option<f64>,
        replace: bool,
    ) -> PyResult<Self> {
        let (segment, Text(name), Text(documentation)) = (segment.get().inner, name, documentation);
        let labels: Vec<&str> = labelnames.iter().map(|Text(label)| label.as_str()).collect();
        let unit = fitting(unit, &name);
        let kind = match typ {
            "counter" => {
                let shown = crate::counter::total(&name);
                let builder = segment.counter(&shown, &documentation).unit(unit);
                registered(builder, &labels, replace).map(Kind::Counter)
            }
            "gauge" => {
                let mode = crate::gauge::mode(mode.unwrap_or("all"))?;
                let builder = segment.gauge(&name, &documentation, mode).unit(unit);
                registered(builder, &labels, replace).map(|family| Kind::Gauge(family, mode))
            }
            "histogram" => {
                let bounds = Bounds::new(bounds.unwrap_or_default());
                let mut builder = segment.histogram(&name, &documentation).buckets(&bounds.distinct).unit(unit);
                if let Some(native) = crate::histogram::native(native_factor, None) {
                    builder = builder.native(native);
                }
                registered(builder, &labels, replace).map(|family| Kind::Histogram(family, Arc::new(bounds)))
            }
            _ => {
                let builder = segment.summary(&name, &documentation).unit(unit);
                registered(builder, &labels, replace).map(Kind::Summary)
            }
        };
        Ok(ValueFamily { kind: kind.map_err(|e| exception(&e))? })
    }

    /// The value of the series with these label values, in the order of the names that the family
    /// was registered with.
    fn value<'py>(&self, py: Python<'py>, labelvalues: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        match &self.kind {
            Kind::Counter(family) => {
                let counter = series(family, labelvalues)?;
                Ok(Bound::new(py, CounterValue { counter, share: Share::new(), given: Given::default() })?.into_any())
            }
            Kind::Gauge(family, mode) => {
                let gauge = series(family, labelvalues)?;
                if !matches!(mode, GaugeMode::MostRecent | GaugeMode::LiveMostRecent) {
                    // A process takes part from the moment its gauge is made.
                    gauge.add(0.0);
                }
                Ok(Bound::new(py, GaugeValue { gauge })?.into_any())
            }
            Kind::Histogram(family, bounds) => {
                let histogram = series(family, labelvalues)?;
                let counts = bounds.all.iter().map(|_| Share::new()).collect();
                let given = bounds.all.iter().map(|_| Given::default()).collect();
                let value = HistogramValue { histogram, bounds: Arc::clone(bounds), sum: Share::new(), counts, given };
                Ok(Bound::new(py, value)?.into_any())
            }
            Kind::Summary(family) => {
                let summary = series(family, labelvalues)?;
                Ok(Bound::new(py, SummaryValue { summary, sum: Share::new(), count: Share::new() })?.into_any())
            }
        }
    }
}

fn registered<M: Metric>(builder: Builder<'_, M>, labels: &[&str], replace: bool) -> Result<DynamicFamily<M>, Error> {
    let builder = builder.label_names(labels);
    if replace { builder.replace() } else { builder }.register()
}

fn series<M: Metric>(family: &DynamicFamily<M>, values: &Bound<'_, PyTuple>) -> PyResult<M> {
    let found = crate::labels::with_texts(values, |texts| family.with(texts))?;
    found.ok_or_else(|| PyValueError::new_err("Incorrect label count"))
}

/// A counter's value.
#[pyclass(frozen, module = "shmetrics")]
pub(crate) struct CounterValue {
    counter: shmetrics::Counter,
    share: Share,
    given: Given,
}

#[pymethods]
impl CounterValue {
    #[classattr]
    fn _multiprocess() -> bool {
        true
    }

    #[pyo3(signature = (amount, /))]
    fn inc(&self, amount: f64) -> PyResult<()> {
        if amount < 0.0 {
            return Err(PyValueError::new_err("Counters can only be incremented by non-negative amounts."));
        }
        self.counter.add(amount);
        self.share.add(amount);
        Ok(())
    }

    /// Adds with an exemplar: its labels, and the object that prometheus_client made of them.
    fn inc_with_exemplar(&self, amount: f64, labels: &Bound<'_, PyAny>, given: Py<PyAny>) -> PyResult<()> {
        let pairs = exemplar(labels)?;
        self.counter.add_with_exemplar(amount, &borrowed(&pairs));
        self.share.add(amount);
        keep(&self.given, Some(given));
        Ok(())
    }

    /// Sets this process' share.
    #[pyo3(signature = (value, timestamp=None))]
    fn set(&self, value: f64, timestamp: Option<f64>) {
        let _ = timestamp;
        let difference = value - self.share.get();
        if difference >= 0.0 {
            self.counter.add(difference);
        } else {
            self.counter.take_back(-difference);
        }
        self.share.add(difference);
    }

    /// This process' share.
    fn get(&self) -> f64 {
        self.share.get()
    }

    /// The value over all processes.
    fn total(&self) -> f64 {
        self.counter.get()
    }

    fn set_exemplar(&self, exemplar: Option<Py<PyAny>>) {
        keep(&self.given, exemplar);
    }

    fn get_exemplar(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        kept(&self.given, py)
    }

    /// Whether the series has been removed.
    fn is_removed(&self) -> bool {
        self.counter.is_removed()
    }
}

/// A gauge's value: this process' own.
#[pyclass(frozen, module = "shmetrics")]
pub(crate) struct GaugeValue {
    gauge: shmetrics::Gauge,
}

#[pymethods]
impl GaugeValue {
    #[classattr]
    fn _multiprocess() -> bool {
        true
    }

    #[pyo3(signature = (amount, /))]
    fn inc(&self, amount: f64) {
        self.gauge.add(amount);
    }

    #[pyo3(signature = (amount, /))]
    fn dec(&self, amount: f64) {
        self.gauge.add(-amount);
    }

    #[pyo3(signature = (value, timestamp=None))]
    fn set(&self, value: f64, timestamp: Option<f64>) {
        let _ = timestamp;
        self.gauge.set(value);
    }

    fn get(&self) -> f64 {
        self.gauge.get()
    }

    fn set_exemplar(&self, exemplar: Py<PyAny>) {
        let _ = exemplar;
    }

    fn get_exemplar(&self) {}

    fn is_removed(&self) -> bool {
        self.gauge.is_removed()
    }
}

/// A histogram's bounds.
struct Bounds {
    /// As they were given, with +Inf at the end.
    all: Vec<f64>,
    /// Those that the segment has.
    distinct: Vec<f64>,
    /// Each bound is greater than the one before.
    rising: bool,
}

impl Bounds {
    fn new(all: Vec<f64>) -> Self {
        let rising = all.windows(2).all(|pair| pair[0] < pair[1]);
        let distinct = crate::histogram::distinct(&all);
        Bounds { all, distinct, rising }
    }

    /// The bucket of an observation.
    #[inline(always)]
    fn bucket(&self, amount: f64) -> usize {
        if self.rising {
            self.all.iter().map(|b| usize::from(*b < amount)).sum()
        } else {
            self.all.iter().position(|b| amount <= *b).unwrap_or(self.all.len())
        }
    }
}

/// A histogram's values: those of all its buckets, and of the sum.
#[pyclass(frozen, module = "shmetrics")]
pub(crate) struct HistogramValue {
    histogram: shmetrics::Histogram,
    bounds: Arc<Bounds>,
    sum: Share,
    /// This process' observations, bucket by bucket.
    counts: Vec<Share>,
    given: Vec<Given>,
}

#[pymethods]
impl HistogramValue {
    #[classattr]
    fn _multiprocess() -> bool {
        true
    }

    #[pyo3(signature = (amount, /))]
    fn observe(&self, amount: f64) {
        self.histogram.observe(amount);
        self.count(amount);
    }

    fn observe_with_exemplar(&self, amount: f64, labels: &Bound<'_, PyAny>, given: Py<PyAny>) -> PyResult<()> {
        let pairs = exemplar(labels)?;
        self.histogram.observe_with_exemplar(amount, &borrowed(&pairs));
        if let Some(i) = self.count(amount) {
            keep(&self.given[i], Some(given));
        }
        Ok(())
    }

    /// This process' observations in a bucket alone, or their sum where there is no such bucket.
    fn get(&self, bucket: usize) -> f64 {
        self.counts.get(bucket).unwrap_or(&self.sum).get()
    }

    fn get_exemplar(&self, py: Python<'_>, bucket: usize) -> Option<Py<PyAny>> {
        self.given.get(bucket).and_then(|g| kept(g, py))
    }

    fn is_removed(&self) -> bool {
        self.histogram.is_removed()
    }
}

impl HistogramValue {
    #[inline(always)]
    fn count(&self, amount: f64) -> Option<usize> {
        let i = self.bounds.bucket(amount);
        self.sum.add(amount);
        if amount.is_nan() {
            return None;
        }
        self.counts.get(i)?.add(1.0);
        Some(i)
    }
}

/// A summary's values.
#[pyclass(frozen, module = "shmetrics")]
pub(crate) struct SummaryValue {
    summary: shmetrics::Summary,
    sum: Share,
    count: Share,
}

#[pymethods]
impl SummaryValue {
    #[classattr]
    fn _multiprocess() -> bool {
        true
    }

    #[pyo3(signature = (amount, /))]
    fn observe(&self, amount: f64) {
        self.summary.observe(amount);
        self.count.add(1.0);
        self.sum.add(amount);
    }

    /// This process' observations (0), or their sum (1).
    fn get(&self, which: usize) -> f64 {
        if which == 0 {
            self.count.get()
        } else {
            self.sum.get()
        }
    }

    fn is_removed(&self) -> bool {
        self.summary.is_removed()
    }
}

/// Whether the series behind a child has been removed, by whichever process.
#[pyfunction]
pub(crate) fn is_removed(child: &Bound<'_, PyAny>) -> bool {
    let Ok(Some(value)) = child.getattr_opt(intern!(child.py(), "_shmetrics")) else { return false };
    if let Ok(value) = value.cast::<CounterValue>() {
        return value.get().is_removed();
    }
    if let Ok(value) = value.cast::<GaugeValue>() {
        return value.get().is_removed();
    }
    if let Ok(value) = value.cast::<HistogramValue>() {
        return value.get().is_removed();
    }
    if let Ok(value) = value.cast::<crate::state::Enum>() {
        return value.get().is_removed();
    }
    value.cast::<SummaryValue>().is_ok_and(|value| value.get().is_removed())
}

/// The child with these labels, if there is one whose series has not been removed; if not, its
/// label values as texts. `None`: the labels do not fit.
#[pyfunction]
#[pyo3(signature = (children, names, values, keywords, /))]
pub(crate) fn find<'py>(
    children: &Bound<'py, PyDict>,
    names: &Bound<'py, PyTuple>,
    values: &Bound<'py, PyTuple>,
    keywords: &Bound<'py, PyDict>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let key = if keywords.is_empty() {
        if values.len() != names.len() {
            return Ok(None);
        }
        crate::labels::texts(values)?
    } else {
        match crate::labels::by_name(names, keywords)? {
            Some(key) if values.is_empty() => key,
            _ => return Ok(None),
        }
    };
    match children.get_item(&key)? {
        Some(child) if !is_removed(&child) => Ok(Some(child)),
        _ => Ok(Some(key.into_any())),
    }
}

/// The child with these label values, if they are texts, it is there, and its series has not been
/// removed.
#[pyfunction]
#[pyo3(signature = (children, values, /))]
pub(crate) fn look_up<'py>(
    children: &Bound<'py, PyDict>,
    values: &Bound<'py, PyTuple>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if !values.iter_borrowed().all(|v| v.is_exact_instance_of::<PyString>()) {
        return Ok(None);
    }
    Ok(children.get_item(values)?.filter(|child| !is_removed(child)))
}

/// Adds a child, and returns it; or the one that another thread has added meanwhile.
#[pyfunction]
#[pyo3(signature = (children, key, child, /))]
pub(crate) fn add<'py>(
    children: &Bound<'py, PyDict>,
    key: &Bound<'py, PyTuple>,
    child: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    crate::labels::sweep(children, &|child| is_removed(child))?;
    if let Some(other) = children.get_item(key)? {
        if !is_removed(&other) {
            return Ok(other);
        }
    }
    children.set_item(key, &child)?;
    Ok(child)
}
