//! The entries of a bundle: the children with one set of label values.

use std::sync::OnceLock;

use pyo3::exceptions::{PyAttributeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyTuple, PyType};

use crate::metrics::class::not_initialised;

/// The children with one set of label values. Each bundle has a subclass, whose slots are the
/// children.
#[pyclass(frozen, subclass, module = "shmetrics")]
pub(crate) struct BundleEntry {
    body: OnceLock<Body>,
}

struct Body {
    children: Py<PyTuple>,
    /// `None`: the label values are missing, or the bundle counts nowhere.
    found: Option<shmetrics::BundleEntry>,
}

impl BundleEntry {
    fn body(&self) -> PyResult<&Body> {
        self.body.get().ok_or_else(not_initialised)
    }

    /// Whether the label set has been removed.
    #[inline(always)]
    pub(super) fn is_removed(&self) -> bool {
        self.body.get().and_then(|body| body.found).is_some_and(|found| found.is_removed())
    }

    fn children<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        Ok(self.body()?.children.bind(py).clone())
    }
}

#[pymethods]
impl BundleEntry {
    #[new]
    fn new() -> Self {
        BundleEntry { body: OnceLock::new() }
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.children(py)?.len())
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.children(key.py())?.as_any().get_item(key)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.children(py)?.try_iter()
    }

    fn __setattr__(&self, _name: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyAttributeError::new_err("an entry cannot be changed"))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("shmetrics.BundleEntry{}", self.children(py)?.repr()?))
    }
}

/// The class of a bundle's entries, and the slot of each member.
pub(super) struct Entries {
    class: Py<PyAny>,
    slots: Vec<Py<PyAny>>,
}

impl Entries {
    /// For members with these names.
    pub(super) fn new(py: Python<'_>, names: &[String]) -> PyResult<Self> {
        if let Some(name) = names.iter().find(|name| name.starts_with('_')) {
            let message = format!("a member cannot be called {name:?}: such attributes of entries are private");
            return Err(PyValueError::new_err(message));
        }
        let content = PyDict::new(py);
        content.set_item("__slots__", PyTuple::new(py, names)?)?;
        content.set_item("__module__", "shmetrics")?;
        let bases = (py.get_type::<BundleEntry>(),);
        let class = py.get_type::<PyType>().call1(("BundleEntry", bases, content))?;
        let slots = names.iter().map(|name| Ok(class.getattr(name)?.unbind())).collect::<PyResult<Vec<_>>>()?;
        Ok(Entries { class: class.unbind(), slots })
    }

    /// An entry with these children.
    pub(super) fn entry<'py>(
        &self,
        py: Python<'py>,
        children: Vec<Bound<'py, PyAny>>,
        found: Option<shmetrics::BundleEntry>,
    ) -> PyResult<Bound<'py, BundleEntry>> {
        let entry = self.class.bind(py).call0()?.cast_into::<BundleEntry>()?;
        for (slot, child) in self.slots.iter().zip(&children) {
            slot.bind(py).call_method1(intern!(py, "__set__"), (&entry, child))?;
        }
        let children = PyTuple::new(py, children)?.unbind();
        let _ = entry.get().body.set(Body { children, found });
        Ok(entry)
    }
}
