//! Native histograms, and the quantiles of summaries: buckets whose bounds are powers. A bucket is
//! made when an observation first needs it.
//!
//! As in a classic histogram, an observation changes exactly one {count, sum} pair. All numbers of
//! a page are derived from these pairs, so they agree. The pair of an observation is:
//!
//! * in the record, if the value is at most the zero threshold;
//! * in the record, if the family also has classic bounds, and a bound lies inside the native
//!   bucket of the value: each bound has a pair for the values below it, and one for the values
//!   above it;
//! * in a *chunk* of 16 pairs otherwise. The record has links to *nodes* of links to chunks (see
//!   `tree`). A hot chunk of a histogram has per-CPU cells.

mod observe;
mod read;
mod sketch;
mod tree;
mod window;

pub(crate) use self::read::read;
pub(crate) use self::sketch::{spans, Sketch};
pub(crate) use self::tree::{each_block, each_cell, per_cpu_is_sound, Block, Counted};
pub(crate) use self::window::read as quantiles_read;

pub(crate) use self::observe::EXEMPLARS;
pub(super) use self::observe::{change, count_fast, slot_of, Target};
pub(super) use self::window::observe as observe_recent;
