//! Reading a segment: its pages, and its families as values.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use shmetrics::{Format, Inspection, Page};

use crate::exposition::{escaping_of, Exposition};
use crate::page::{compat, families};
use crate::python::exception;

/// A segment to read. It needs the permission to read the file, and takes files of any owner.
/// `Segment` is the subclass for segments that this process counts in.
#[pyclass(frozen, subclass, weakref, module = "shmetrics")]
pub(crate) struct Reader {
    source: Source,
}

enum Source {
    Segment(shmetrics::Segment),
    ReadOnly(shmetrics::Reader),
}

impl Reader {
    pub(crate) fn of(segment: shmetrics::Segment) -> Self {
        Reader { source: Source::Segment(segment) }
    }

    /// The page with only the families of these names.
    fn page(&self, exposition: shmetrics::Exposition, names: Option<Vec<String>>) -> Page<'_> {
        let page = match &self.source {
            Source::Segment(segment) => segment.page(exposition),
            Source::ReadOnly(reader) => reader.page(exposition),
        };
        match names {
            // No family has this name.
            Some(names) if names.is_empty() => page.only([""]),
            names => page.only(names.into_iter().flatten()),
        }
    }

    fn inspect(&self) -> Inspection {
        match &self.source {
            Source::Segment(segment) => segment.reader().inspect(),
            Source::ReadOnly(reader) => reader.inspect(),
        }
    }
}

#[pymethods]
impl Reader {
    #[new]
    fn new(py: Python<'_>, name: &str) -> PyResult<Self> {
        let reader = py.detach(|| shmetrics::Reader::open(name)).map_err(|e| exception(&e))?;
        Ok(Reader { source: Source::ReadOnly(reader) })
    }

    /// The file; `None` for an anonymous segment.
    #[getter]
    fn path(&self) -> Option<String> {
        let path = match &self.source {
            Source::Segment(segment) => segment.path(),
            Source::ReadOnly(reader) => reader.path(),
        };
        path.map(|p| p.to_string_lossy().into_owned())
    }

    /// Whether the name still leads to it, whole.
    #[getter]
    fn is_current(&self) -> bool {
        match &self.source {
            Source::Segment(segment) => segment.is_current(),
            Source::ReadOnly(reader) => reader.is_current(),
        }
    }

    /// The page, as the library writes it. `names`: only the families with samples of these names.
    #[pyo3(signature = (exposition=None, names=None))]
    fn render<'py>(
        &self,
        py: Python<'py>,
        exposition: Option<&Bound<'py, Exposition>>,
        names: Option<Vec<String>>,
    ) -> Bound<'py, PyBytes> {
        let exposition = exposition.map_or_else(shmetrics::Exposition::default, |e| e.get().inner);
        let page = py.detach(|| self.page(exposition, names).render());
        PyBytes::new(py, &page)
    }

    /// The page as prometheus_client writes it: labels sorted, values with a point. `names`: the
    /// only samples wanted.
    #[pyo3(signature = (openmetrics=false, names=None, escaping=None, created=false))]
    fn render_compat<'py>(
        &self,
        py: Python<'py>,
        openmetrics: bool,
        names: Option<Vec<String>>,
        escaping: Option<&str>,
        created: bool,
    ) -> Bound<'py, PyBytes> {
        let format = if openmetrics { Format::OpenMetrics } else { Format::Text1 };
        let exposition = shmetrics::Exposition::new(format).with_escaping(escaping_of(escaping)).with_created(created);
        let page = py.detach(|| compat::render(self.page(exposition, names.clone()).cursor(), names));
        PyBytes::new(py, &page)
    }

    /// The families with their samples: (name, type, documentation, unit, mode, [(sample name,
    /// labels, value)]).
    #[pyo3(signature = (names=None))]
    fn families<'py>(&self, py: Python<'py>, names: Option<Vec<String>>) -> PyResult<Vec<families::Family<'py>>> {
        let all = names.is_none();
        let (points, infos) = py.detach(|| {
            let points: Vec<_> = self.page(Format::OpenMetrics.into(), names).points().collect();
            // Read after the points, so there is an entry for each family that has points.
            (points, self.inspect().families)
        });
        families::group(py, &points, infos, all)
    }

    /// All families: (name, type).
    fn family_types(&self, py: Python<'_>) -> Vec<(String, &'static str)> {
        let infos = py.detach(|| self.inspect().families);
        infos.into_iter().map(|info| (info.name, families::type_of(info.kind))).collect()
    }

    fn __repr__(&self) -> String {
        let class = if matches!(self.source, Source::Segment(_)) { "Segment" } else { "Reader" };
        match self.path() {
            Some(path) => format!("<shmetrics.{class} {path}>"),
            None => format!("<shmetrics.{class}, anonymous>"),
        }
    }
}
