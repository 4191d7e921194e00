//! Label sets that are removed and expire, and records that serve one after another.
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
