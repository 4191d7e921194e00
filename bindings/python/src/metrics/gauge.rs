//! Gauges.

use std::sync::{Arc, OnceLock};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use shmetrics::{Builder, GaugeMode};

use super::class::{metric_class, Body};
use super::timer::{InProgress, Timer};
use crate::family::{Arguments, Definition, Family, Options};
use crate::labels;
use crate::python::set_function;

const KIND: &str = "gauge";

/// A value that goes up and down.
#[pyclass(frozen, subclass, weakref, module = "shmetrics")]
pub(crate) struct Gauge {
    body: OnceLock<Body<shmetrics::Gauge>>,
}

/// The mode of this name.
pub(crate) fn mode(name: &str) -> PyResult<GaugeMode> {
    name.parse().map_err(|_| PyValueError::new_err(format!("Invalid multiprocess mode: {name}")))
}

impl Gauge {
    /// The gauge, unless its mode shows the last value set: then an increment has no meaning.
    fn addable(&self, what: &str) -> PyResult<Option<&shmetrics::Gauge>> {
        if matches!(self.body()?.family.mode, GaugeMode::MostRecent | GaugeMode::LiveMostRecent) {
            return Err(PyRuntimeError::new_err(format!("{what} must not be used with the mostrecent mode")));
        }
        self.metric()
    }

    fn add(&self, what: &str, amount: Option<&Bound<'_, PyAny>>, sign: f64) -> PyResult<()> {
        let gauge = self.addable(what)?;
        let amount = amount.map_or(Ok(1.0), pyo3::prelude::PyAnyMethods::extract::<f64>)?;
        if let Some(gauge) = gauge {
            gauge.add(sign * amount);
        }
        Ok(())
    }
}

impl Options<shmetrics::Gauge> for GaugeMode {
    fn builder<'a>(
        &'a self,
        segment: shmetrics::Segment,
        of: &'a Definition,
        _: &'a [&'a str],
    ) -> Builder<'a, shmetrics::Gauge> {
        segment.gauge(&of.name, &of.documentation, *self).unit(&of.unit)
    }

    fn mode(&self) -> GaugeMode {
        *self
    }
}

metric_class!(Gauge, shmetrics::Gauge, KIND,
    "(name, documentation, labelnames=(), namespace='', subsystem='', unit='', registry=None, multiprocess_mode='all', *, segment=None, max_series=0, replace=False)",
    positional(multiprocess_mode: &str = "all"), keywords(),
    options(_, definition) { mode(multiprocess_mode) }
    {
    /// Adds `amount`.
    #[pyo3(signature = (amount=None), text_signature = "($self, amount=1)")]
    fn inc(&self, amount: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.add("inc", amount, 1.0)
    }

    /// Subtracts `amount`.
    #[pyo3(signature = (amount=None), text_signature = "($self, amount=1)")]
    fn dec(&self, amount: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.add("dec", amount, -1.0)
    }

    /// Sets the value.
    fn set(&self, value: f64) -> PyResult<()> {
        if let Some(gauge) = self.metric()? {
            gauge.set(value);
        }
        Ok(())
    }

    /// Sets the value to the time now, in seconds since 1970.
    fn set_to_current_time(&self) -> PyResult<()> {
        if let Some(gauge) = self.metric()? {
            gauge.set_to_now();
        }
        Ok(())
    }

    /// This process' own value; the value of all in the modes that have one.
    fn get(&self) -> PyResult<f64> {
        Ok(self.metric()?.map_or(0.0, shmetrics::Gauge::get))
    }

    /// Adds 1 for as long as a block or a function runs.
    fn track_inprogress(slf: &Bound<'_, Self>) -> PyResult<InProgress> {
        let gauge = slf.get().addable("inc")?;
        Ok(InProgress::new(gauge.copied()))
    }

    /// Sets the value to the seconds that a block or a function took.
    fn time(slf: &Bound<'_, Self>) -> Timer {
        Timer::new(slf.clone().into_any().unbind(), false)
    }

    /// The value is what `f` returns, whenever this process renders a page.
    fn set_function(slf: &Bound<'_, Self>, f: Bound<'_, PyAny>) -> PyResult<()> {
        slf.get().metric()?;
        set_function(slf.as_any(), f)
    }
});
