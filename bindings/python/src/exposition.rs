//! How a page is written.

use pyo3::prelude::*;
use shmetrics::{Escaping, Format};

/// How a page is written.
#[pyclass(frozen, module = "shmetrics")]
pub(crate) struct Exposition {
    pub(crate) inner: shmetrics::Exposition,
}

pub(crate) fn escaping_of(name: Option<&str>) -> Escaping {
    match name {
        Some("allow-utf-8") => Escaping::AllowUtf8,
        Some("dots") => Escaping::Dots,
        Some("values") => Escaping::Values,
        _ => Escaping::Underscores,
    }
}

#[pymethods]
impl Exposition {
    /// How to answer a scraper that sends this `Accept` header.
    #[new]
    #[pyo3(signature = (accept=None, *, created=false))]
    fn new(accept: Option<&str>, created: bool) -> Self {
        Exposition { inner: shmetrics::Exposition::negotiate(accept.unwrap_or_default()).with_created(created) }
    }

    /// The `Content-Type` to answer with.
    #[getter]
    fn content_type(&self) -> &'static str {
        self.inner.content_type()
    }

    /// Whether pages are in one of Prometheus' text formats, or else `openmetrics` or `protobuf`.
    #[getter]
    fn format(&self) -> &'static str {
        match self.inner.format() {
            Format::OpenMetrics | Format::OpenMetrics2 => "openmetrics",
            Format::Protobuf => "protobuf",
            _ => "text",
        }
    }

    /// The version of the text format, or nothing.
    #[getter]
    fn version(&self) -> &'static str {
        match self.inner.format() {
            Format::Text => "0.0.4",
            Format::Text1 | Format::OpenMetrics => "1.0.0",
            Format::OpenMetrics2 => "2.0.0",
            _ => "",
        }
    }

    /// How names are escaped that are not plain.
    #[getter]
    fn escaping(&self) -> &'static str {
        match self.inner.escaping() {
            Escaping::AllowUtf8 => "allow-utf-8",
            Escaping::Dots => "dots",
            Escaping::Values => "values",
            _ => "underscores",
        }
    }

    /// Whether to compress the answer to a request with this `Accept-Encoding` header.
    #[staticmethod]
    fn accepts_gzip(accept_encoding: &str) -> bool {
        shmetrics::accepts_gzip(accept_encoding)
    }
}
