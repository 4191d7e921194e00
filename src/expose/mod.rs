//! From a segment to a page. Reads only, trusts nothing, waits for nobody.

mod check;
mod cursor;
mod format;
mod inspect;
mod line;
mod negotiate;
pub(crate) mod number;
mod own;
mod reader;
mod text;
mod trouble;

pub use cursor::Cursor;
pub use format::{Escaping, Exposition, Format};
pub use inspect::{FamilyInfo, Inspection, ProcessInfo};
pub use negotiate::accepts_gzip;
pub use reader::Reader;
