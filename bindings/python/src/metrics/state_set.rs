//! Enums.

use std::sync::{Arc, OnceLock};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::class::{metric_class, Body};
use crate::family::{Arguments, Family};
use crate::labels;
use crate::python::Text;

const KIND: &str = "stateset";

/// One of several states, the same for all processes.
#[pyclass(frozen, subclass, weakref, module = "shmetrics")]
pub(crate) struct Enum {
    body: OnceLock<Body<shmetrics::Enum>>,
}

metric_class!(Enum, shmetrics::Enum, KIND,
    "(name, documentation, labelnames=(), namespace='', subsystem='', unit='', registry=None, *, states=None, segment=None, max_series=0, replace=False)",
    #[pyo3(signature = (name, documentation, labelnames=None, namespace="", subsystem="", unit="", registry=None, *, states=None,
                        segment=None, max_series=0, replace=false))]
    init(this, py, registry;
        name: &str,
        documentation: Text,
        labelnames: Option<&Bound<'_, PyAny>>,
        namespace: &str,
        subsystem: &str,
        unit: &str,
        registry: Option<&Bound<'_, PyAny>>,
        states: Option<Bound<'_, PyAny>>,
        segment: Option<Bound<'_, PyAny>>,
        max_series: u64,
        replace: bool,
    ) {
        let arguments = Arguments { name, documentation: &documentation.0, labelnames, namespace, subsystem, unit };
        let definition = arguments.definition(py, KIND)?;
        if definition.labels.iter().any(|l| l == name) {
            return Err(PyValueError::new_err(format!("Overlapping labels for Enum metric: {name}")));
        }
        let states = states.map_or_else(|| Ok(Vec::new()), |states| strings(&states))?;
        if states.is_empty() {
            return Err(PyValueError::new_err(format!("No states provided for Enum metric: {name}")));
        }
        let segment = super::class::segment_argument(segment, registry)?;
        let (family, handle) = Family::with_states(py, definition, states.clone(), segment, |segment, d, names| {
            let states: Vec<&str> = states.iter().map(String::as_str).collect();
            let builder = segment.enumeration(&d.name, &d.documentation, &states).max_series(max_series);
            let builder = builder.label_names(names);
            if replace { builder.replace() } else { builder }.register()
        })?;
        this.initialise(Body::parent(py, family, handle))
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
});

/// Texts in a sequence, or in anything else that is iterable.
fn strings(of: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    of.try_iter()?.map(|item| Ok(item?.cast::<PyString>()?.to_string_lossy().into_owned())).collect()
}
