//! Families and label sets: registration, and the look-up that every labelled update goes through.

mod builder;
pub(crate) mod by_name;
mod dynamic;
mod each;
mod expiry;
mod lookup;
mod order;
mod recycle;
mod redefine;
mod register;
mod series;
pub(crate) mod spec;

pub use self::builder::{Builder, Family, LabelledBuilder};
pub use self::dynamic::{DynamicBuilder, DynamicFamily};

pub(crate) use self::builder::DEFAULT_BUCKETS;
pub(crate) use self::lookup::FamilyRef;
pub(crate) use self::register::register;
