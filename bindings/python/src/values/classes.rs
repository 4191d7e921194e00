//! The values themselves.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use shmetrics::{GaugeMode, Metric};

use super::local::{LastExemplar, LocalValue};
use crate::metrics::histogram;
use crate::python::{borrowed, exemplar};

/// A counter's value.
#[pyclass(frozen, module = "shmetrics")]
pub(crate) struct CounterValue {
    counter: shmetrics::Counter,
    local: LocalValue,
    last_exemplar: LastExemplar,
}

impl CounterValue {
    pub(super) fn new(counter: shmetrics::Counter) -> Self {
        CounterValue { counter, local: LocalValue::new(), last_exemplar: LastExemplar::default() }
    }
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
        self.local.add(amount);
        Ok(())
    }

    /// Adds with an exemplar: its labels, and prometheus_client's object for it.
    fn inc_with_exemplar(&self, amount: f64, labels: &Bound<'_, PyAny>, given: Py<PyAny>) -> PyResult<()> {
        let pairs = exemplar(labels)?;
        self.counter.add_with_exemplar(amount, &borrowed(&pairs));
        self.local.add(amount);
        self.last_exemplar.set(Some(given));
        Ok(())
    }

    /// Sets this process' own value.
    #[pyo3(signature = (value, timestamp=None))]
    fn set(&self, value: f64, timestamp: Option<f64>) {
        let _ = timestamp;
        let difference = value - self.local.get();
        if difference >= 0.0 {
            self.counter.add(difference);
        } else {
            self.counter.saturating_sub(-difference);
        }
        self.local.add(difference);
    }

    /// This process' own value.
    fn get(&self) -> f64 {
        self.local.get()
    }

    /// The value over all processes.
    fn total(&self) -> f64 {
        self.counter.get()
    }

    fn set_exemplar(&self, exemplar: Option<Py<PyAny>>) {
        self.last_exemplar.set(exemplar);
    }

    fn get_exemplar(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.last_exemplar.get(py)
    }

    /// Whether the series has been removed.
    pub(super) fn is_removed(&self) -> bool {
        self.counter.is_removed()
    }
}

/// A gauge's value: this process' own.
#[pyclass(frozen, module = "shmetrics")]
pub(crate) struct GaugeValue {
    gauge: shmetrics::Gauge,
}

impl GaugeValue {
    pub(super) fn new(gauge: shmetrics::Gauge, mode: GaugeMode) -> Self {
        if !matches!(mode, GaugeMode::MostRecent | GaugeMode::LiveMostRecent) {
            // The process takes part in the gauge from now on, and not from its first update.
            gauge.add(0.0);
        }
        GaugeValue { gauge }
    }
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

    pub(super) fn is_removed(&self) -> bool {
        self.gauge.is_removed()
    }
}

/// A histogram's bounds.
pub(super) struct Bounds {
    /// The given bounds, with +Inf at the end.
    all: Vec<f64>,
    /// Those that the segment has.
    pub(super) distinct: Vec<f64>,
    /// Each bound is greater than the one before.
    rising: bool,
}

impl Bounds {
    pub(super) fn new(all: Vec<f64>) -> Self {
        let rising = all.windows(2).all(|pair| pair[0] < pair[1]);
        let distinct = histogram::distinct(&all);
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

/// The values of a histogram: those of all buckets, and of the sum.
#[pyclass(frozen, module = "shmetrics")]
pub(crate) struct HistogramValue {
    histogram: shmetrics::Histogram,
    bounds: Arc<Bounds>,
    sum: LocalValue,
    /// This process' observations, bucket by bucket.
    counts: Vec<LocalValue>,
    last_exemplars: Vec<LastExemplar>,
}

impl HistogramValue {
    pub(super) fn new(histogram: shmetrics::Histogram, bounds: Arc<Bounds>) -> Self {
        let counts = bounds.all.iter().map(|_| LocalValue::new()).collect();
        let last_exemplars = bounds.all.iter().map(|_| LastExemplar::default()).collect();
        HistogramValue { histogram, bounds, sum: LocalValue::new(), counts, last_exemplars }
    }
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
            self.last_exemplars[i].set(Some(given));
        }
        Ok(())
    }

    /// The observations of this process in a bucket alone; their sum if there is no such bucket.
    fn get(&self, bucket: usize) -> f64 {
        self.counts.get(bucket).unwrap_or(&self.sum).get()
    }

    fn get_exemplar(&self, py: Python<'_>, bucket: usize) -> Option<Py<PyAny>> {
        self.last_exemplars.get(bucket).and_then(|last| last.get(py))
    }

    pub(super) fn is_removed(&self) -> bool {
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
    sum: LocalValue,
    count: LocalValue,
}

impl SummaryValue {
    pub(super) fn new(summary: shmetrics::Summary) -> Self {
        SummaryValue { summary, sum: LocalValue::new(), count: LocalValue::new() }
    }
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

    pub(super) fn is_removed(&self) -> bool {
        self.summary.is_removed()
    }
}
