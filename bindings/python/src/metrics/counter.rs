//! Counters.

use std::sync::{Arc, OnceLock};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use shmetrics::Builder;

use super::class::{metric_class, Body};
use super::timer::ExceptionCounter;
use crate::family::{Arguments, Definition, Family, Options};
use crate::labels;
use crate::python::{borrowed, exemplar};

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

/// A counter's name on pages.
pub(crate) struct CounterOptions {
    shown: String,
    exact: bool,
}

impl CounterOptions {
    pub(crate) fn new(name: &str, exact_name: bool, of: &Definition) -> Self {
        // With `_total`, which the definition is without, the usual name is the exact one.
        let exact = exact_name && !name.ends_with("_total");
        CounterOptions { shown: if exact { of.name.clone() } else { total(&of.name) }, exact }
    }
}

impl Options<shmetrics::Counter> for CounterOptions {
    fn builder<'a>(
        &'a self,
        segment: shmetrics::Segment,
        of: &'a Definition,
        _: &'a [&'a str],
    ) -> Builder<'a, shmetrics::Counter> {
        let builder = segment.counter(&self.shown, &of.documentation).unit(&of.unit);
        if self.exact {
            builder.exact_name()
        } else {
            builder
        }
    }
}

metric_class!(Counter, shmetrics::Counter, KIND,
    "(name, documentation, labelnames=(), namespace='', subsystem='', unit='', registry=None, *, exact_name=False, segment=None, max_series=0, replace=False)",
    positional(), keywords(exact_name: bool = false),
    options(name, definition) { PyResult::Ok(CounterOptions::new(name, exact_name, &definition)) }
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
    // As in prometheus_client, a wrong exemplar is an error, and the amount is counted.
    let pairs = exemplar(labels).inspect_err(|_| counter.add(amount))?;
    counter.add_with_exemplar(amount, &borrowed(&pairs));
    Ok(())
}
