//! Histograms.

use std::sync::{Arc, OnceLock};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use shmetrics::Builder;

use super::class::{metric_class, Body};
use super::timer::Timer;
use crate::family::{Arguments, Definition, Family, Options};
use crate::labels;
use crate::python::{borrowed, exemplar};

const KIND: &str = "histogram";

/// Observations in buckets, shared by all processes.
#[pyclass(frozen, subclass, weakref, module = "shmetrics")]
pub(crate) struct Histogram {
    body: OnceLock<Body<shmetrics::Histogram>>,
}

/// Native buckets that grow by this factor, if one is given.
pub(crate) fn native(factor: Option<f64>, max_buckets: Option<u32>) -> Option<shmetrics::Native> {
    let native = shmetrics::Native::factor(factor?);
    Some(max_buckets.map_or(native, |most| native.max_buckets(most)))
}

/// The bounds of buckets given as numbers or texts, checked as prometheus_client does.
pub(crate) fn bounds(buckets: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    let float = buckets.py().get_type::<pyo3::types::PyFloat>();
    let mut bounds = Vec::new();
    for bound in buckets.try_iter()? {
        bounds.push(float.call1((bound?,))?.extract::<f64>()?);
    }
    // As `bounds != sorted(bounds)` in Python, where NaN is less than nothing.
    if bounds.windows(2).any(|pair| pair[1] < pair[0]) {
        return Err(PyValueError::new_err("Buckets not in sorted order"));
    }
    if bounds.last().is_some_and(|last| *last != f64::INFINITY) {
        bounds.push(f64::INFINITY);
    }
    if bounds.len() < 2 {
        return Err(PyValueError::new_err("Must have at least two buckets"));
    }
    Ok(bounds)
}

/// The bounds for the segment: rising and finite. Of equal bounds prometheus_client counts in the
/// first. It counts nothing at NaN, nor after a greater bound.
pub(crate) fn distinct(bounds: &[f64]) -> Vec<f64> {
    let mut distinct: Vec<f64> = Vec::with_capacity(bounds.len());
    for bound in bounds.iter().copied().filter(|bound| bound.is_finite()) {
        if distinct.last().is_none_or(|last| bound > *last) {
            distinct.push(bound);
        }
    }
    distinct
}

/// A histogram's buckets.
#[derive(Clone)]
pub(crate) struct HistogramOptions {
    /// `None`: Prometheus' default ones.
    bounds: Option<Vec<f64>>,
    native: Option<shmetrics::Native>,
}

impl HistogramOptions {
    pub(crate) fn new(
        buckets: Option<&Bound<'_, PyAny>>,
        native_factor: Option<f64>,
        native_max_buckets: Option<u32>,
    ) -> PyResult<Self> {
        let bounds = buckets.map(bounds).transpose()?.map(|bounds| distinct(&bounds));
        Ok(HistogramOptions { bounds, native: native(native_factor, native_max_buckets) })
    }
}

impl Options<shmetrics::Histogram> for HistogramOptions {
    fn builder<'a>(
        &'a self,
        segment: shmetrics::Segment,
        of: &'a Definition,
        _: &'a [&'a str],
    ) -> Builder<'a, shmetrics::Histogram> {
        let mut builder = segment.histogram(&of.name, &of.documentation).unit(&of.unit);
        if let Some(bounds) = &self.bounds {
            builder = builder.buckets(bounds);
        }
        if let Some(native) = self.native {
            builder = builder.native(native);
        }
        builder
    }
}

metric_class!(Histogram, shmetrics::Histogram, KIND,
    "(name, documentation, labelnames=(), namespace='', subsystem='', unit='', registry=None, *, buckets=None, native_factor=None, native_max_buckets=None, segment=None, max_series=0, replace=False)",
    positional(),
    keywords(buckets: Option<&Bound<'_, PyAny>> = None, native_factor: Option<f64> = None, native_max_buckets: Option<u32> = None),
    options(_, definition) { HistogramOptions::new(buckets, native_factor, native_max_buckets) }
    {
    /// Prometheus' default buckets.
    #[classattr]
    #[pyo3(name = "DEFAULT_BUCKETS")]
    fn default_buckets(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        let bounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, f64::INFINITY];
        PyTuple::new(py, bounds)
    }

    /// Counts one observation, and keeps an exemplar of it.
    #[pyo3(signature = (amount, exemplar=None))]
    fn observe(&self, amount: f64, exemplar: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let Some(histogram) = self.metric()? else { return Ok(()) };
        match exemplar {
            None => histogram.observe(amount),
            Some(labels) => with_exemplar(histogram, amount, labels)?,
        }
        Ok(())
    }

    /// The observations so far, over all processes.
    fn count(&self) -> PyResult<u64> {
        Ok(self.metric()?.map_or(0, shmetrics::Histogram::count))
    }

    /// The sum of the observations so far, over all processes.
    fn sum(&self) -> PyResult<f64> {
        Ok(self.metric()?.map_or(0.0, shmetrics::Histogram::sum))
    }

    /// Observes the seconds that a block or a function takes.
    fn time(slf: &Bound<'_, Self>) -> Timer {
        Timer::new(slf.clone().into_any().unbind(), true)
    }
});

#[cold]
fn with_exemplar(histogram: &shmetrics::Histogram, amount: f64, labels: &Bound<'_, PyAny>) -> PyResult<()> {
    if !labels.is_truthy()? {
        histogram.observe(amount);
        return Ok(());
    }
    // As in prometheus_client, a wrong exemplar is an error, and the observation is counted.
    let pairs = exemplar(labels).inspect_err(|_| histogram.observe(amount))?;
    histogram.observe_with_exemplar(amount, &borrowed(&pairs));
    Ok(())
}
