//! The records of families and series. A record is read field by field and never trusted, and
//! written whole before it is linked.
//!
//! * `family`: reads the record of a family; `series`: writes the record of a series
//! * `bundle`: the members of a bundle, and their seats in a record
//! * `gauge_mode`: the modes of gauges; `native_schema`: the schemes of native buckets

pub(crate) mod bundle;
pub(crate) mod family;
pub(crate) mod gauge_mode;
pub(crate) mod native_schema;
pub(crate) mod series;
