//! The formats a page can have, and which of them a scraper asks for.

use std::ffi::CStr;

use crate::text::escaping::Escaping;

/// An exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Format {
    /// Prometheus' text format, version 0.0.4: understood by everything.
    #[default]
    Text,
    /// Prometheus' text format, version 1.0.0: as 0.0.4, and names may be any UTF-8.
    Text1,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// OpenMetrics 2.0.0, as of its release candidate: only for scrapers that ask for it.
    OpenMetrics2,
    /// Length-delimited `io.prometheus.client.MetricFamily` messages: the only format with native
    /// histograms that Prometheus reads.
    Protobuf,
}

/// How a page is written: a [`Format`] and its details.
///
/// ```
/// use shmetrics::{Exposition, Format};
/// let asked = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
/// let exposition = Exposition::negotiate(asked);
/// assert_eq!(exposition.format(), Format::OpenMetrics);
/// assert_eq!(exposition.content_type(), "application/openmetrics-text; version=1.0.0; charset=utf-8");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Exposition {
    format: Format,
    escaping: Escaping,
    /// The scraper named an escaping, so the answer does.
    named: bool,
    created: bool,
}

impl Format {
    /// The `Content-Type` to answer with, as by [`Exposition::content_type`].
    pub const fn content_type(self) -> &'static str {
        Exposition::new(self).content_type()
    }
}

impl From<Format> for Exposition {
    fn from(format: Format) -> Self {
        Exposition::new(format)
    }
}

impl Exposition {
    /// A format, with names escaped by underscores.
    pub const fn new(format: Format) -> Self {
        Exposition { format, escaping: Escaping::Underscores, named: false, created: false }
    }

    /// With this escaping of names. Text 0.0.4 cannot have names in quotes, and escapes by
    /// underscores then.
    #[must_use]
    pub const fn with_escaping(mut self, escaping: Escaping) -> Self {
        self.escaping = match (self.format, escaping) {
            (Format::Text, Escaping::AllowUtf8) => Escaping::Underscores,
            _ => escaping,
        };
        self.named = true;
        self
    }

    /// With `_created` samples (OpenMetrics 1.0.0 only, where each is a series more for the
    /// scraper). Protobuf and OpenMetrics 2.0.0 have the time a series began in its sample, always;
    /// the text formats have no place for it.
    #[must_use]
    pub const fn with_created(mut self, created: bool) -> Self {
        self.created = created;
        self
    }

    /// The format.
    pub const fn format(self) -> Format {
        self.format
    }

    /// The escaping of names.
    pub const fn escaping(self) -> Escaping {
        self.escaping
    }

    pub(crate) const fn names_escaping(self) -> bool {
        self.named
    }

    pub(crate) const fn created(self) -> bool {
        self.created
    }

    /// The `Content-Type` to answer with. Prometheus 3 refuses a page without it.
    pub const fn content_type(self) -> &'static str {
        match self.content_type_c().to_str() {
            Ok(text) => text,
            Err(_) => "",
        }
    }

    pub(crate) const fn content_type_c(self) -> &'static CStr {
        macro_rules! types {
            ($base:literal) => {
                match (self.named, self.escaping) {
                    (false, _) => const { ending(concat!($base, "\0")) },
                    (true, Escaping::Underscores) => const { ending(concat!($base, "; escaping=underscores\0")) },
                    (true, Escaping::Dots) => const { ending(concat!($base, "; escaping=dots\0")) },
                    (true, Escaping::Values) => const { ending(concat!($base, "; escaping=values\0")) },
                    (true, Escaping::AllowUtf8) => const { ending(concat!($base, "; escaping=allow-utf-8\0")) },
                }
            };
        }
        match self.format {
            Format::Text => types!("text/plain; version=0.0.4; charset=utf-8"),
            Format::Text1 => types!("text/plain; version=1.0.0; charset=utf-8"),
            Format::OpenMetrics => types!("application/openmetrics-text; version=1.0.0; charset=utf-8"),
            Format::OpenMetrics2 => types!("application/openmetrics-text; version=2.0.0; charset=utf-8"),
            Format::Protobuf => {
                types!("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited")
            }
        }
    }
}

const fn ending(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => c"",
    }
}
