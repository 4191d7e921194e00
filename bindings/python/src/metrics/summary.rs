//! Summaries.

use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::class::{metric_class, Body};
use super::timer::Timer;
use crate::family::{Arguments, Family};
use crate::labels;
use crate::python::Text;

const KIND: &str = "summary";

/// The count and the sum of observations, shared by all processes.
#[pyclass(frozen, subclass, weakref, module = "shmetrics")]
pub(crate) struct Summary {
    body: OnceLock<Body<shmetrics::Summary>>,
}

metric_class!(Summary, shmetrics::Summary, KIND,
    "(name, documentation, labelnames=(), namespace='', subsystem='', unit='', registry=None, *, quantiles=None, segment=None, max_series=0, replace=False)",
    #[pyo3(signature = (name, documentation, labelnames=None, namespace="", subsystem="", unit="", registry=None, *, quantiles=None,
                        segment=None, max_series=0, replace=false))]
    init(this, py, registry;
        name: &str,
        documentation: Text,
        labelnames: Option<&Bound<'_, PyAny>>,
        namespace: &str,
        subsystem: &str,
        unit: &str,
        registry: Option<&Bound<'_, PyAny>>,
        quantiles: Option<Vec<f64>>,
        segment: Option<Bound<'_, PyAny>>,
        max_series: u64,
        replace: bool,
    ) {
        let arguments = Arguments { name, documentation: &documentation.0, labelnames, namespace, subsystem, unit };
        let definition = arguments.definition(py, KIND)?;
        let segment = super::class::segment_argument(segment, registry)?;
        let (family, handle) = Family::new(py, definition, segment, |segment, d, names| {
            let mut builder = segment.summary(&d.name, &d.documentation).unit(&d.unit).max_series(max_series);
            if let Some(quantiles) = &quantiles {
                builder = builder.quantiles(quantiles);
            }
            let builder = builder.label_names(names);
            if replace { builder.replace() } else { builder }.register()
        })?;
        this.initialise(Body::parent(py, family, handle))
    }
    {
    /// Counts one observation.
    fn observe(&self, amount: f64) -> PyResult<()> {
        if let Some(summary) = self.metric()? {
            summary.observe(amount);
        }
        Ok(())
    }

    /// Observes the seconds that a block or a function takes.
    fn time(slf: &Bound<'_, Self>) -> Timer {
        Timer::new(slf.clone().into_any().unbind(), true)
    }
});
