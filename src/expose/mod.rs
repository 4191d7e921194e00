//! From a segment to a page. It only reads, trusts no byte, and waits for no process.

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
