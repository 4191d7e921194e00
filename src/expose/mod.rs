//! From a segment to a page. It only reads, trusts no byte, and waits for no process.
//!
//! * `page`: the way through the segments; `format`: how each format writes what is found
//! * `reader`: read-only mappings, and what begins a page; `points`, `values`: a page as values
//! * `external`: families that are in no segment; `collectors`: functions of the host that make
//!   them, `processes` among them; `self_metrics`: the library's own families
//! * `source`: what is known of a segment as a whole; `inspect`, `verify`, `warnings`: for people

mod collectors;
mod external;
mod format;
mod inspect;
mod page;
mod points;
#[cfg(target_os = "linux")]
mod processes;
mod reader;
mod self_metrics;
mod source;
mod values;
mod verify;
mod warnings;

pub use self::collectors::Collector;
pub(crate) use self::collectors::{count_failure, Added, Collectors};
pub use self::external::ExternalFamily;
pub use self::format::exposition::{Exposition, Format};
pub use self::format::negotiate::accepts_gzip;
pub use self::inspect::{FamilyInfo, Inspection, ProcessInfo};
pub use self::page::builder::Page;
pub use self::page::cursor::Cursor;
pub use self::points::Points;
pub use self::reader::Reader;
pub(crate) use self::reader::MEMORY_TO_RENDER;
pub use self::source::LastUpdate;
pub use self::values::{NativeBuckets, Point, PointExemplar, PointFamily, PointValue};
