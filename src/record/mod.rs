//! What the bytes of a family's and a series' record mean: read field by field and never trusted,
//! written whole before they are linked.

pub(crate) mod family;
pub(crate) mod gauge_mode;
pub(crate) mod native_schema;
pub(crate) mod series;
