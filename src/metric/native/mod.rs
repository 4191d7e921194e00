//! Native histograms, and the quantiles of summaries: buckets whose bounds are powers, made as they
//! come to be needed.
//!
//! An observation changes one pair {count, sum} and nothing else, as in a classic histogram, so
//! whatever a page shows is derived from the very same pairs and agrees. Where each observation's
//! pair is:
//!
//! * what is at most the zero threshold: in the record;
//! * what is in a native bucket that a classic bound cuts (in families that have both): in one of
//!   two pairs in the record that each bound has, for what is below and above it in its native
//!   bucket;
//! * all else: in a *chunk* of 16 pairs. The record has links to *nodes* of links to chunks (see
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
