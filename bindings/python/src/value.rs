//! What prometheus_client's metrics keep their values in, once they count into the segment.
//!
//! The segment has one total for all processes. prometheus_client's objects know their own process' share of it, and so do these: it is
//! kept beside the handle, and begun anew in a forked child.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::Mutex;

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use shmetrics::{DynamicFamily, Error, GaugeMode, Metric};

use crate::common::{borrowed, exception, exemplar};
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
    if let Ok(mut given) = given.lock() {
        *given = exemplar;
    }
}

fn kept(given: &Given, py: Python<'_>) -> Option<Py<PyAny>> {
    given.lock().ok().and_then(|g| g.as_ref().map(|e| e.clone_ref(py)))
}

/// What a value is made from: the arguments of prometheus_client's value classes.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Named {
    name: String,
    documentation: String,
    labelnames: Vec<String>,
    labelvalues: Vec<String>,
    unit: String,
}

impl Named {
    /// The unit, where the name ends in it.
    fn unit(&self) -> &str {
        let name = self.name.strip_suffix("_total").unwrap_or(&self.name);
        let fits = name.strip_suffix(&self.unit).is_some_and(|rest| rest.len() > 1 && rest.ends_with('_'));
        if fits {
            &self.unit
        } else {
            ""
        }
    }

    /// Finds the series, registering the family first.
    fn series<M: Metric>(&self, register: impl FnOnce(&[&str]) -> Result<DynamicFamily<M>, Error>) -> PyResult<M> {
        let names: Vec<&str> = self.labelnames.iter().map(String::as_str).collect();
        let values: Vec<&str> = self.labelvalues.iter().map(String::as_str).collect();
        let family = register(&names).map_err(|e| exception(&e))?;
        family.with(&values).ok_or_else(|| PyValueError::new_err("Incorrect label count"))
    }
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

    #[new]
    fn new(segment: &Bound<'_, crate::segment::Segment>, named: Named) -> PyResult<Self> {
        let segment = segment.get().inner;
        let counter = named.series(|names| {
            segment.counter(&named.name, &named.documentation).unit(named.unit()).label_names(names).register()
        })?;
        Ok(CounterValue { counter, share: Share::new(), given: Given::default() })
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

    #[new]
    fn new(segment: &Bound<'_, crate::segment::Segment>, named: Named, mode: &str) -> PyResult<Self> {
        let (segment, mode) = (segment.get().inner, crate::gauge::mode(mode)?);
        let gauge = named.series(|names| {
            let builder = segment.gauge(&named.name, &named.documentation, mode).unit(named.unit());
            builder.label_names(names).register()
        })?;
        if !matches!(mode, GaugeMode::MostRecent | GaugeMode::LiveMostRecent) {
            // A process takes part from the moment its gauge is made.
            gauge.add(0.0);
        }
        Ok(GaugeValue { gauge })
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

/// A histogram's values: those of all its buckets, and of the sum.
#[pyclass(frozen, module = "shmetrics")]
pub(crate) struct HistogramValue {
    histogram: shmetrics::Histogram,
    bounds: Vec<f64>,
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

    /// `bounds` end in +Inf.
    #[new]
    #[pyo3(signature = (segment, named, bounds, native_factor=None))]
    fn new(
        segment: &Bound<'_, crate::segment::Segment>,
        named: Named,
        bounds: Vec<f64>,
        native_factor: Option<f64>,
    ) -> PyResult<Self> {
        let segment = segment.get().inner;
        let histogram = named.series(|names| {
            let mut builder = segment.histogram(&named.name, &named.documentation).buckets(&bounds).unit(named.unit());
            if let Some(native) = crate::histogram::native(native_factor, None) {
                builder = builder.native(native);
            }
            builder.label_names(names).register()
        })?;
        let counts = bounds.iter().map(|_| Share::new()).collect();
        let given = bounds.iter().map(|_| Given::default()).collect();
        Ok(HistogramValue { histogram, bounds, sum: Share::new(), counts, given })
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
        let i = self.bounds.iter().map(|b| usize::from(*b < amount)).sum::<usize>();
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

    #[new]
    fn new(segment: &Bound<'_, crate::segment::Segment>, named: Named) -> PyResult<Self> {
        let segment = segment.get().inner;
        let summary = named.series(|names| {
            segment.summary(&named.name, &named.documentation).unit(named.unit()).label_names(names).register()
        })?;
        Ok(SummaryValue { summary, sum: Share::new(), count: Share::new() })
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
    value.cast::<SummaryValue>().is_ok_and(|value| value.get().is_removed())
}

/// The child with these label values, if they are texts, it is there, and its series has not been removed.
#[pyfunction]
#[pyo3(signature = (children, values, /))]
pub(crate) fn look_up<'py>(
    children: &Bound<'py, PyDict>,
    values: &Bound<'py, PyTuple>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if !values.iter().all(|v| v.is_exact_instance_of::<PyString>()) {
        return Ok(None);
    }
    Ok(children.get_item(values)?.filter(|child| !is_removed(child)))
}
