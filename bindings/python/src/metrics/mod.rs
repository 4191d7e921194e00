//! The native API: a class for each type of metric.

pub(crate) mod class;
pub(crate) mod counter;
pub(crate) mod gauge;
pub(crate) mod histogram;
pub(crate) mod info;
pub(crate) mod state_set;
pub(crate) mod summary;
pub(crate) mod timer;
