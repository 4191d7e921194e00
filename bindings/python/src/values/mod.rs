//! The values of prometheus_client's metrics that count into the segment.
//!
//! The segment has one total for all processes. prometheus_client's objects return what their own
//! process has counted, so each value keeps that number beside the handle. In a forked child it
//! begins at 0.

pub(crate) mod children;
pub(crate) mod classes;
mod local;

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use shmetrics::{Builder, DynamicFamily, Error, GaugeMode, Metric};

use self::classes::{Bounds, CounterValue, GaugeValue, HistogramValue, SummaryValue};
use crate::labels;
use crate::metrics::{counter, gauge, histogram};
use crate::python::{exception, Text};
use crate::segment::Segment;

/// A family of one of the types that have values.
enum Family {
    Counter(DynamicFamily<shmetrics::Counter>),
    Gauge(DynamicFamily<shmetrics::Gauge>, GaugeMode),
    Histogram(DynamicFamily<shmetrics::Histogram>, Arc<Bounds>),
    Summary(DynamicFamily<shmetrics::Summary>),
}

/// A family of the segment, which makes the values of prometheus_client's metrics.
#[pyclass(frozen, module = "shmetrics")]
pub(crate) struct ValueFamily {
    family: Family,
}

/// The unit if the name ends in it, or nothing.
fn unit_in_name<'a>(unit: &'a str, name: &str) -> &'a str {
    let fits = name.strip_suffix(unit).is_some_and(|rest| rest.len() > 1 && rest.ends_with('_'));
    if fits {
        unit
    } else {
        ""
    }
}

#[pymethods]
impl ValueFamily {
    /// Registers the family. `mode` is a gauge's, `bounds` are a histogram's and end in +Inf.
    /// `replace`: this definition takes the place of another one.
    #[new]
    #[pyo3(signature = (segment, typ, name, documentation, labelnames, unit="", mode=None, bounds=None,
                        native_factor=None, replace=false))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        segment: &Bound<'_, Segment>,
        typ: &str,
        name: Text,
        documentation: Text,
        labelnames: Vec<Text>,
        unit: &str,
        mode: Option<&str>,
        bounds: Option<Vec<f64>>,
        native_factor: Option<f64>,
        replace: bool,
    ) -> PyResult<Self> {
        let (segment, Text(name), Text(documentation)) = (segment.get().inner, name, documentation);
        let labels: Vec<&str> = labelnames.iter().map(|Text(label)| label.as_str()).collect();
        let unit = unit_in_name(unit, &name);
        let family = match typ {
            "counter" => {
                let shown = counter::total(&name);
                let builder = segment.counter(&shown, &documentation).unit(unit);
                register(builder, &labels, replace).map(Family::Counter)
            }
            "gauge" => {
                let mode = gauge::mode(mode.unwrap_or("all"))?;
                let builder = segment.gauge(&name, &documentation, mode).unit(unit);
                register(builder, &labels, replace).map(|family| Family::Gauge(family, mode))
            }
            "histogram" => {
                let bounds = Bounds::new(bounds.unwrap_or_default());
                let mut builder = segment.histogram(&name, &documentation).buckets(&bounds.distinct).unit(unit);
                if let Some(native) = histogram::native(native_factor, None) {
                    builder = builder.native(native);
                }
                register(builder, &labels, replace).map(|family| Family::Histogram(family, Arc::new(bounds)))
            }
            _ => {
                let builder = segment.summary(&name, &documentation).unit(unit);
                register(builder, &labels, replace).map(Family::Summary)
            }
        };
        Ok(ValueFamily { family: family.map_err(|e| exception(&e))? })
    }

    /// The value of the series with these label values, in the order of the names that the family
    /// was registered with.
    fn value<'py>(&self, py: Python<'py>, labelvalues: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        match &self.family {
            Family::Counter(family) => object(py, CounterValue::new(series(family, labelvalues)?)),
            Family::Gauge(family, mode) => object(py, GaugeValue::new(series(family, labelvalues)?, *mode)),
            Family::Histogram(family, bounds) => {
                object(py, HistogramValue::new(series(family, labelvalues)?, Arc::clone(bounds)))
            }
            Family::Summary(family) => object(py, SummaryValue::new(series(family, labelvalues)?)),
        }
    }
}

fn object<T: pyo3::PyClass + Into<PyClassInitializer<T>>>(py: Python<'_>, value: T) -> PyResult<Bound<'_, PyAny>> {
    Ok(Bound::new(py, value)?.into_any())
}

fn register<M: Metric>(builder: Builder<'_, M>, labels: &[&str], replace: bool) -> Result<DynamicFamily<M>, Error> {
    let builder = builder.label_names(labels);
    if replace { builder.replace() } else { builder }.register()
}

fn series<M: Metric>(family: &DynamicFamily<M>, values: &Bound<'_, PyTuple>) -> PyResult<M> {
    let found = labels::with_texts(values, |texts| family.with(texts))?;
    found.ok_or_else(|| PyValueError::new_err("Incorrect label count"))
}
