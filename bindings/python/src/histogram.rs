use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::common::{borrowed, exemplar, Arguments, Family, Handle};
use crate::labels;
use crate::timer::Timer;

const KIND: &str = "histogram";

/// Observations in buckets, shared by all processes.
#[pyclass(frozen, subclass, weakref, module = "shmetrics")]
pub(crate) struct Histogram {
    handle: Handle<shmetrics::Histogram>,
    family: Arc<Family<shmetrics::Histogram>>,
    values: Option<Py<PyTuple>>,
    /// The children by label values: the parent's alone, so that nothing refers to itself.
    children: Option<Py<PyDict>>,
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
    if !bounds.is_sorted() {
        return Err(PyValueError::new_err("Buckets not in sorted order"));
    }
    let finite = bounds.iter().filter(|b| **b != f64::INFINITY).count();
    if finite == 0 {
        return Err(PyValueError::new_err("Must have at least two buckets"));
    }
    Ok(bounds)
}

crate::metric_class!(Histogram, shmetrics::Histogram, KIND, {
    #[new]
    #[pyo3(signature = (name, documentation, labelnames=None, namespace="", subsystem="", unit="", registry=None, *, buckets=None,
                        segment=None, max_series=0, replace=false, native_factor=None, native_max_buckets=None))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        name: &str,
        documentation: &str,
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
    ) -> PyResult<Self> {
        let native = native(native_factor, native_max_buckets);
        let bounds = buckets.map(bounds).transpose()?;
        let arguments = Arguments { name, documentation, labelnames, namespace, subsystem, unit };
        let definition = arguments.definition(py, KIND)?;
        let segment = crate::common::chosen(segment, registry)?;
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
        Ok(Histogram { handle, family, values: None, children: Some(PyDict::new(py).unbind()) })
    }

    /// Prometheus' default buckets.
    #[classattr]
    #[pyo3(name = "DEFAULT_BUCKETS")]
    fn default_buckets() -> Vec<f64> {
        vec![0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, f64::INFINITY]
    }

    /// Counts one observation, and keeps an exemplar of it.
    #[pyo3(signature = (amount, exemplar=None))]
    fn observe(&self, amount: f64, exemplar: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let Handle::At(histogram) = &self.handle else { return self.handle.get(KIND).map(|_| ()) };
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
