//! Summaries.

use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use shmetrics::Builder;

use super::class::{metric_class, Body};
use super::timer::Timer;
use crate::family::{Arguments, Definition, Family, Options};
use crate::labels;

const KIND: &str = "summary";

/// The count and the sum of observations, shared by all processes.
#[pyclass(frozen, subclass, weakref, module = "shmetrics")]
pub(crate) struct Summary {
    body: OnceLock<Body<shmetrics::Summary>>,
}

/// A summary's quantiles.
#[derive(Clone)]
pub(crate) struct SummaryOptions(pub(crate) Option<Vec<f64>>);

impl Options<shmetrics::Summary> for SummaryOptions {
    fn builder<'a>(
        &'a self,
        segment: shmetrics::Segment,
        of: &'a Definition,
        _: &'a [&'a str],
    ) -> Builder<'a, shmetrics::Summary> {
        let builder = segment.summary(&of.name, &of.documentation).unit(&of.unit);
        match &self.0 {
            Some(quantiles) => builder.quantiles(quantiles),
            None => builder,
        }
    }
}

metric_class!(Summary, shmetrics::Summary, KIND,
    "(name, documentation, labelnames=(), namespace='', subsystem='', unit='', registry=None, *, quantiles=None, segment=None, max_series=0, replace=False)",
    positional(), keywords(quantiles: Option<Vec<f64>> = None),
    options(_, definition) { PyResult::Ok(SummaryOptions(quantiles)) }
    {
    /// Counts one observation.
    fn observe(&self, amount: f64) -> PyResult<()> {
        if let Some(summary) = self.metric()? {
            summary.observe(amount);
        }
        Ok(())
    }

    /// The observations so far, over all processes.
    fn count(&self) -> PyResult<u64> {
        Ok(self.metric()?.map_or(0, shmetrics::Summary::count))
    }

    /// The sum of the observations so far, over all processes.
    fn sum(&self) -> PyResult<f64> {
        Ok(self.metric()?.map_or(0.0, shmetrics::Summary::sum))
    }

    /// Observes the seconds that a block or a function takes.
    fn time(slf: &Bound<'_, Self>) -> Timer {
        Timer::new(slf.clone().into_any().unbind(), true)
    }
});
