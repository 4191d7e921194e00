//! The way through a segment to a page: each family in turn, each of its series as it was at one
//! moment, handed to a format's encoder or kept as values.

pub(super) mod allowance;
pub(super) mod builder;
mod closing;
pub(super) mod cursor;
pub(super) mod encoder;
pub(super) mod family;
mod filter;
pub(super) mod observations;
pub(super) mod segments;
pub(super) mod snapshot;
pub(super) mod walk;
