#![doc = include_str!("../docs/crate.md")]

mod capi;
mod error;
mod expose;
mod metric;
mod os;
mod process;
mod record;
mod registry;
mod segment;
mod shm;
mod text;

pub use error::Error;
pub use expose::{
    accepts_gzip, Cursor, Escaping, Exposition, Extra, FamilyInfo, Format, Inspection, LastUpdate, ProcessInfo, Reader,
};
pub use expose::{Kind, NativeBuckets, Point, PointExemplar, PointFamily, PointValue, Points};
pub use metric::{Counter, Enum, Gauge, GaugeHistogram, Histogram, InProgress, Info, Metric, StateSet, Summary, Timer};
pub use record::gauge_mode::GaugeMode;
pub use record::native_schema::Native;
pub use registry::{Builder, DynamicBuilder, DynamicFamily, Family, LabelledBuilder};
pub use segment::options::{list, Listing, Options};
pub use segment::Segment;
pub use shm::mapping::account::Account;
pub use shm::mapping::Owner;

/// Keeps the README's example true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
