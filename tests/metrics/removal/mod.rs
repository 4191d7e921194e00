//! Tests of label sets that are removed or expire, and of records that serve one label set after
//! another.

mod basics;
mod expiry;
mod stale;
