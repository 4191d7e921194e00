//! Enums.

use std::sync::{Arc, OnceLock};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use shmetrics::Builder;

use super::class::{metric_class, Body};
use crate::family::{Arguments, Definition, Family, Options};
use crate::labels;

const KIND: &str = "stateset";

/// One of several states, the same for all processes.
#[pyclass(frozen, subclass, weakref, module = "shmetrics")]
pub(crate) struct Enum {
    body: OnceLock<Body<shmetrics::Enum>>,
}

/// An enum's states.
#[derive(Clone)]
pub(crate) struct EnumOptions(Vec<String>);

impl EnumOptions {
    pub(crate) fn new(name: &str, states: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let states = states.map_or_else(|| Ok(Vec::new()), strings)?;
        if states.is_empty() {
            return Err(PyValueError::new_err(format!("No states provided for Enum metric: {name}")));
        }
        Ok(EnumOptions(states))
    }

    /// A page names the label of the states as the metric.
    pub(crate) fn check(name: &str, of: &Definition) -> PyResult<()> {
        if of.labels.iter().any(|label| label == name) {
            return Err(PyValueError::new_err(format!("Overlapping labels for Enum metric: {name}")));
        }
        Ok(())
    }
}

impl Options<shmetrics::Enum> for EnumOptions {
    fn builder<'a>(
        &'a self,
        segment: shmetrics::Segment,
        of: &'a Definition,
        states: &'a [&'a str],
    ) -> Builder<'a, shmetrics::Enum> {
        segment.enumeration(&of.name, &of.documentation, states)
    }

    fn states(&self) -> &[String] {
        &self.0
    }
}

metric_class!(Enum, shmetrics::Enum, KIND,
    "(name, documentation, labelnames=(), namespace='', subsystem='', unit='', registry=None, *, states=None, segment=None, max_series=0, replace=False)",
    positional(), keywords(states: Option<Bound<'_, PyAny>> = None),
    options(name, definition) {
        EnumOptions::check(name, &definition).and_then(|()| EnumOptions::new(name, states.as_ref()))
    }
    {
    /// Sets the state.
    fn state(&self, state: &Bound<'_, PyString>) -> PyResult<()> {
        let (handle, state) = (self.metric()?, state.to_string_lossy());
        let states = &self.body()?.family.states;
        let Some(at) = states.iter().position(|s| *s == state) else {
            return Err(PyValueError::new_err(format!("{state:?} is not one of the states {states:?}")));
        };
        if let Some(states) = handle {
            states.set(at);
        }
        Ok(())
    }

    /// The state, which is the same for all processes.
    fn get(&self) -> PyResult<&str> {
        let at = self.metric()?.map_or(0, shmetrics::Enum::get);
        Ok(self.body()?.family.states.get(at).map_or("", String::as_str))
    }
});

/// Texts in a sequence, or in anything else that is iterable.
fn strings(of: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    of.try_iter()?.map(|item| Ok(item?.cast::<PyString>()?.to_string_lossy().into_owned())).collect()
}
