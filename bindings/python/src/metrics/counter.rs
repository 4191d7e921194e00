//! Counters.

use std::sync::{Arc, OnceLock};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::class::{metric_class, Body};
use super::timer::ExceptionCounter;
use crate::family::{Arguments, Family};
use crate::labels;
use crate::python::{borrowed, exemplar, Text};

const KIND: &str = "counter";

/// A value that only rises, one for all processes.
#[pyclass(frozen, subclass, weakref, module = "shmetrics")]
pub(crate) struct Counter {
    body: OnceLock<Body<shmetrics::Counter>>,
}

/// The name on pages. The library takes one `_total` off a name, which the name of `x_total_total`
/// must survive.
pub(crate) fn total(name: &str) -> String {
    format!("{name}_total")
}

metric_class!(Counter, shmetrics::Counter, KIND,
    "(name, documentation, labelnames=(), namespace='', subsystem='', unit='', registry=None, *, segment=None, max_series=0, exact_name=False, replace=False)",
    #[pyo3(signature = (name, documentation, labelnames=None, namespace="", subsystem="", unit="", registry=None, *, segment=None,
                        max_series=0, exact_name=false, replace=false))]
    init(this, py, registry;
        name: &str,
        documentation: Text,
        labelnames: Option<&Bound<'_, PyAny>>,
        namespace: &str,
        subsystem: &str,
        unit: &str,
        registry: Option<&Bound<'_, PyAny>>,
        segment: Option<Bound<'_, PyAny>>,
        max_series: u64,
        exact_name: bool,
        replace: bool,
    ) {
        let arguments = Arguments { name, documentation: &documentation.0, labelnames, namespace, subsystem, unit };
        let definition = arguments.definition(py, KIND)?;
        let segment = super::class::segment_argument(segment, registry)?;
        let (family, handle) = Family::new(py, definition, segment, |segment, d, names| {
            // With `_total`, which the definition is without, the usual name is the exact one.
            let exact = exact_name && !name.ends_with("_total");
            let shown = if exact { d.name.clone() } else { total(&d.name) };
            let builder = segment.counter(&shown, &d.documentation).unit(&d.unit).max_series(max_series);
            let builder = if exact { builder.exact_name() } else { builder };
            let builder = builder.label_names(names);
            if replace { builder.replace() } else { builder }.register()
        })?;
        this.initialise(Body::parent(py, family, handle))
    }
    {
    /// Adds `amount`, which may not be negative, and keeps an exemplar of it.
    #[pyo3(signature = (amount=None, exemplar=None), text_signature = "($self, amount=1, exemplar=None)")]
    fn inc(&self, amount: Option<&Bound<'_, PyAny>>, exemplar: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let Some(counter) = self.metric()? else { return Ok(()) };
        let amount = match amount {
            None if exemplar.is_none() => {
                counter.inc();
                return Ok(());
            }
            None => 1.0,
            Some(amount) => amount.extract::<f64>()?,
        };
        if amount < 0.0 {
            return Err(PyValueError::new_err("Counters can only be incremented by non-negative amounts."));
        }
        match exemplar {
            None => counter.add(amount),
            Some(labels) => with_exemplar(counter, amount, labels)?,
        }
        Ok(())
    }

    /// Sets the counter to 0, for all processes.
    fn reset(&self) -> PyResult<()> {
        if let Some(counter) = self.metric()? {
            counter.saturating_sub(counter.get());
        }
        Ok(())
    }

    /// The value, over all processes.
    fn get(&self) -> PyResult<f64> {
        Ok(self.metric()?.map_or(0.0, shmetrics::Counter::get))
    }

    /// Counts exceptions of a block or a function.
    #[pyo3(signature = (exception=None))]
    fn count_exceptions<'py>(
        slf: &Bound<'py, Self>,
        exception: Option<Bound<'py, PyAny>>,
    ) -> PyResult<ExceptionCounter> {
        slf.get().metric()?;
        let py = slf.py();
        let exception = exception.unwrap_or_else(|| py.get_type::<pyo3::exceptions::PyException>().into_any());
        Ok(ExceptionCounter::new(slf.clone().into_any().unbind(), exception.unbind()))
    }
});

#[cold]
fn with_exemplar(counter: &shmetrics::Counter, amount: f64, labels: &Bound<'_, PyAny>) -> PyResult<()> {
    if !labels.is_truthy()? {
        counter.add(amount);
        return Ok(());
    }
    let pairs = exemplar(labels)?;
    counter.add_with_exemplar(amount, &borrowed(&pairs));
    Ok(())
}
