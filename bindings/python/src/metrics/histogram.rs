//! Histograms.

use std::sync::{Arc, OnceLock};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::class::{metric_class, Body};
use super::timer::Timer;
use crate::family::{Arguments, Family};
use crate::labels;
use crate::python::{borrowed, exemplar, Text};

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

metric_class!(Histogram, shmetrics::Histogram, KIND,
    "(name, documentation, labelnames=(), namespace='', subsystem='', unit='', registry=None, *, buckets=None, segment=None, max_series=0, replace=False, native_factor=None, native_max_buckets=None)",
    #[pyo3(signature = (name, documentation, labelnames=None, namespace="", subsystem="", unit="", registry=None, *, buckets=None,
                        segment=None, max_series=0, replace=false, native_factor=None, native_max_buckets=None))]
    init(this, py, registry;
        name: &str,
        documentation: Text,
        labelnames: Option<&Bound<'_, PyAny>>,
        namespace: &str,
        subsystem: &str,
        unit: &str,
        registry: Option<&Bound<'_, PyAny>>,
        buckets: Option<&Bound<'_, PyAny>>,
        segment: Option<Bound<'_, PyAny>>,
        max_series: u64,
        replace: bool,
        native_factor: Option<f64>,
        native_max_buckets: Option<u32>,
    ) {
        let native = native(native_factor, native_max_buckets);
        let bounds = buckets.map(bounds).transpose()?.map(|bounds| distinct(&bounds));
        let arguments = Arguments { name, documentation: &documentation.0, labelnames, namespace, subsystem, unit };
        let definition = arguments.definition(py, KIND)?;
        let segment = super::class::segment_argument(segment, registry)?;
        let (family, handle) = Family::new(py, definition, segment, |segment, d, names| {
            let mut builder = segment.histogram(&d.name, &d.documentation).unit(&d.unit).max_series(max_series);
            if let Some(bounds) = &bounds {
                builder = builder.buckets(bounds);
            }
            if let Some(native) = native {
                builder = builder.native(native);
            }
            let builder = builder.label_names(names);
            if replace { builder.replace() } else { builder }.register()
        })?;
        this.initialise(Body::parent(py, family, handle))
    }
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
    let pairs = exemplar(labels)?;
    histogram.observe_with_exemplar(amount, &borrowed(&pairs));
    Ok(())
}
