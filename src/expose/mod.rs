//! From a segment to a page. Reads only, trusts nothing, waits for nobody.

mod check;
mod cursor;
mod inspect;
mod line;
pub(crate) mod number;
mod own;
mod reader;
mod text;
mod trouble;

pub use cursor::Cursor;
pub use inspect::{FamilyInfo, Inspection, ProcessInfo};
pub use reader::Reader;

/// An exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Format {
    /// Prometheus' text format, version 0.0.4.
    #[default]
    Text,
}

impl Format {
    /// The `Content-Type` to answer with. Prometheus 3 refuses a page without it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}
