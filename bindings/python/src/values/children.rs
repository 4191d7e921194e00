//! The children of prometheus_client's metrics: `labels()` finds them here.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::classes::{CounterValue, GaugeValue, HistogramValue, SummaryValue};
use crate::labels;
use crate::metrics::class::MetricClass;
use crate::metrics::state_set::Enum;

/// Whether any process has removed the series of a child.
#[pyfunction]
pub(crate) fn is_removed(child: &Bound<'_, PyAny>) -> bool {
    let Ok(Some(value)) = child.getattr_opt(intern!(child.py(), "_shmetrics")) else { return false };
    if let Ok(value) = value.cast::<CounterValue>() {
        return value.get().is_removed();
    }
    if let Ok(value) = value.cast::<GaugeValue>() {
        return value.get().is_removed();
    }
    if let Ok(value) = value.cast::<HistogramValue>() {
        return value.get().is_removed();
    }
    if let Ok(value) = value.cast::<Enum>() {
        return value.get().is_removed();
    }
    value.cast::<SummaryValue>().is_ok_and(|value| value.get().is_removed())
}

/// The child with these labels, if there is one and its series was not removed; otherwise its label
/// values as texts. `None`: the labels do not fit.
#[pyfunction]
#[pyo3(signature = (children, names, values, keywords, /))]
pub(crate) fn find<'py>(
    children: &Bound<'py, PyDict>,
    names: &Bound<'py, PyTuple>,
    values: &Bound<'py, PyTuple>,
    keywords: &Bound<'py, PyDict>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let key = if keywords.is_empty() {
        if values.len() != names.len() {
            return Ok(None);
        }
        labels::texts(values)?
    } else {
        match labels::by_name(names, keywords)? {
            Some(key) if values.is_empty() => key,
            _ => return Ok(None),
        }
    };
    match children.get_item(&key)? {
        Some(child) if !is_removed(&child) => Ok(Some(child)),
        _ => Ok(Some(key.into_any())),
    }
}

/// The child with these label values, if they are texts, there is a child, and its series was not
/// removed.
#[pyfunction]
#[pyo3(signature = (children, values, /))]
pub(crate) fn look_up<'py>(
    children: &Bound<'py, PyDict>,
    values: &Bound<'py, PyTuple>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if !values.iter_borrowed().all(|v| v.is_exact_instance_of::<PyString>()) {
        return Ok(None);
    }
    Ok(children.get_item(values)?.filter(|child| !is_removed(child)))
}

/// Adds a child, and returns it; or the child that another thread has added meanwhile.
#[pyfunction]
#[pyo3(signature = (children, key, child, /))]
pub(crate) fn add<'py>(
    children: &Bound<'py, PyDict>,
    key: &Bound<'py, PyTuple>,
    child: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    labels::sweep(children, &|child| is_removed(child))?;
    if let Some(other) = children.get_item(key)? {
        if !is_removed(&other) {
            return Ok(other);
        }
    }
    children.set_item(key, &child)?;
    Ok(child)
}
