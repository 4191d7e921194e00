//! The way through a segment to a page: each family in turn, each of its series as it was at one
//! moment, handed to a format's encoder or kept as values.
//!
//! * `builder`: a page before it is read; `cursor`: reads it piece by piece; `segments`: what it is
//!   of; `filter`: which families it shows; `closing`: the families at its end
//! * `family`, `walk`, `snapshot`: a family, its series one after another, and one series at one
//!   moment; `observations`: histograms and summaries; `encoder`: the choice of the format
//! * `allowance`: what a page may read

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
