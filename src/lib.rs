#![doc = include_str!("../docs/crate.md")]
// Many items are there for the C interface alone. Builds with `capi` tell which are really unused.
#![cfg_attr(not(feature = "capi"), allow(dead_code, unused_imports))]

#[cfg(feature = "capi")]
mod capi;
mod error;
mod expose;
mod global;
mod kind;
mod metric;
mod os;
mod process;
mod record;
mod registry;
mod segment;
mod shm;
pub mod testing;
mod text;
mod typed;

pub use crate::error::Error;
pub use crate::expose::{
    accepts_gzip, Collector, Cursor, Exposition, ExternalFamily, FamilyInfo, Format, Inspection, LastUpdate, Page,
    ProcessInfo, Reader,
};
pub use crate::expose::{NativeBuckets, Point, PointExemplar, PointFamily, PointValue, Points};
pub use crate::global::{Global, Metrics};
pub use crate::kind::Kind;
pub use crate::metric::{
    Counter, Enum, Gauge, GaugeHistogram, Histogram, InProgress, Info, Metric, StateSet, Summary, Timer,
};
pub use crate::record::gauge_mode::GaugeMode;
pub use crate::record::native_schema::Native;
pub use crate::registry::{Builder, Bundle, BundleBuilder, BundleEntry, DynamicBundle, DynamicFamily, Family, Member};
pub use crate::segment::options::{list, Listing, Options};
pub use crate::segment::Segment;
pub use crate::shm::mapping::account::Account;
pub use crate::shm::mapping::Owner;
pub use crate::text::buckets::{exponential_buckets, linear_buckets};
pub use crate::text::escaping::Escaping;
/// What `metrics!` expands to.
#[doc(hidden)]
pub use crate::typed::declare;
pub use crate::typed::{LabelSet, LabelStruct, LabelText, LabelValue, TypedFamily};
/// Derives of the traits of the same names.
#[cfg(feature = "derive")]
pub use shmetrics_derive::{LabelSet, LabelValue};

/// Keeps the README's example true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
