//! A segment as somebody reads it who does not count in it: another user, or a process beside the
//! application.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use shmetrics::{Format, Reader};

use crate::common::exception;
use crate::compat;
use crate::segment::{escaping_of, families, filled, Exposition, FamilyOf};

/// A view of a segment. It needs the right to read the file, and takes files of any owner.
#[pyclass(frozen, weakref, module = "shmetrics")]
pub(crate) struct Reading {
    reader: Reader,
}

#[pymethods]
impl Reading {
    #[new]
    fn new(py: Python<'_>, name: &str) -> PyResult<Self> {
        let reader = py.detach(|| Reader::open(name)).map_err(|e| exception(&e))?;
        Ok(Reading { reader })
    }

    /// The file.
    #[getter]
    fn path(&self) -> Option<String> {
        self.reader.path().map(|p| p.to_string_lossy().into_owned())
    }

    /// Whether the name still leads to it, whole.
    #[getter]
    fn is_current(&self) -> bool {
        self.reader.is_current()
    }

    /// As a segment's.
    #[pyo3(signature = (exposition=None, names=None))]
    fn render<'py>(
        &self,
        py: Python<'py>,
        exposition: Option<&Bound<'py, Exposition>>,
        names: Option<Vec<String>>,
    ) -> Bound<'py, PyBytes> {
        let exposition = exposition.map_or_else(shmetrics::Exposition::default, |e| e.get().inner);
        let page = py.detach(|| {
            let cursor = self.reader.cursor(exposition);
            filled(match names {
                Some(names) => cursor.only(names),
                None => cursor,
            })
        });
        PyBytes::new(py, &page)
    }

    /// As a segment's.
    #[pyo3(signature = (openmetrics=false, names=None, escaping=None, created=false, own=true))]
    fn render_compat<'py>(
        &self,
        py: Python<'py>,
        openmetrics: bool,
        names: Option<Vec<String>>,
        escaping: Option<&str>,
        created: bool,
        own: bool,
    ) -> Bound<'py, PyBytes> {
        let format = if openmetrics { Format::OpenMetrics } else { Format::Text1 };
        let exposition = shmetrics::Exposition::new(format).with_escaping(escaping_of(escaping)).with_created(created);
        let page = py.detach(|| compat::render(&self.reader, exposition, names, own));
        PyBytes::new(py, &page)
    }

    /// As a segment's.
    #[pyo3(signature = (names=None, own=false))]
    fn families<'py>(&self, py: Python<'py>, names: Option<Vec<String>>, own: bool) -> PyResult<Vec<FamilyOf<'py>>> {
        families(py, &self.reader, names, own)
    }

    fn __repr__(&self) -> String {
        format!("<shmetrics reading {}>", self.path().unwrap_or_default())
    }
}
