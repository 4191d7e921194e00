#![doc = include_str!("../docs/crate.md")]

mod capi;
mod environment;
mod error;
mod expose;
mod host;
mod metric;
mod process;
mod registry;
mod segment;

pub use error::Error;
pub use expose::{
    accepts_gzip, Cursor, Escaping, Exposition, Extra, FamilyInfo, Format, Inspection, LastUpdate, ProcessInfo, Reader,
};
pub use expose::{Kind, NativeBuckets, Point, PointExemplar, PointFamily, PointValue, Points};
pub use metric::{
    Counter, Enum, Gauge, GaugeHistogram, GaugeMode, Histogram, InProgress, Info, Metric, Native, StateSet, Summary,
    Timer,
};
pub use registry::{Builder, DynamicBuilder, DynamicFamily, Family, LabelledBuilder};
pub use segment::account::Account;
pub use segment::mapping::Owner;
pub use segment::options::{list, Listing, Options};
pub use segment::Segment;

/// Keeps the README's example true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
