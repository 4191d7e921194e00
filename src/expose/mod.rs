//! From a segment to a page. Reads only, trusts nothing, waits for nobody.

mod allowance;
mod block;
mod check;
mod composite;
mod cursor;
mod encoder;
mod extra;
mod family;
mod format;
mod inspect;
mod line;
mod lines;
mod messages;
mod native;
mod negotiate;
pub(crate) mod number;
mod observed;
mod own;
mod points;
mod quick;
mod reader;
mod run;
mod snapshot;
mod trouble;
mod whole;

pub use cursor::Cursor;
pub use extra::Extra;
pub use format::{Escaping, Exposition, Format};
pub use inspect::{FamilyInfo, Inspection, ProcessInfo};
pub use negotiate::accepts_gzip;
pub use points::{Kind, NativeBuckets, Point, PointExemplar, PointFamily, PointValue, Points};
pub use reader::Reader;
pub(crate) use reader::MEMORY_TO_RENDER;
pub use whole::LastUpdate;
