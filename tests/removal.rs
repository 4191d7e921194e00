//! Tests of label sets that are removed or expire, and of records that serve one label set after
//! another.
#![allow(missing_docs)]

#[path = "removal/basics.rs"]
mod basics;
#[path = "removal/churn.rs"]
mod churn;
mod common;
#[path = "removal/expiry.rs"]
mod expiry;
#[path = "removal/stale.rs"]
mod stale;
