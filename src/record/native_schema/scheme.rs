//! What an observation in native buckets needs of its family's record, and the layout of the links
//! to the buckets.

use std::ops::Range;

use super::index::{self, SCHEMA_MAX};
use crate::shm::layout::native_block;

/// Octaves below 2^0 that there is room for: more than there are, so that the usual values share a
/// node.
pub(crate) const OCTAVES_BELOW: i32 = 1088;
pub(crate) const NODES: u32 = 17;
/// The node of what is positive and usual.
pub(crate) const USUAL: u32 = 8;
/// The octaves whose buckets are all on it, in whichever schema that is not negative: the last
/// bucket of the next one is not.
pub(crate) const USUAL_OCTAVES: Range<i32> = -64..63;
/// Links in a record: to the nodes of positive buckets, then of negative ones.
pub(crate) const ROOT_SIZE: u64 = 2 * 4 * NODES as u64;
/// What an observation needs of its family's record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BucketScheme {
    pub(crate) schema: i8,
    pub(crate) zero_threshold: f64,
    /// The seconds that the quantiles of a summary look back; 0 for a histogram.
    pub(crate) window: u32,
}

impl BucketScheme {
    /// The number of steps by which this schema is coarser than the finest schema.
    #[inline(always)]
    pub(crate) fn steps(&self) -> u32 {
        (SCHEMA_MAX - self.schema) as u32
    }

    /// Added to a bucket's index, this is not negative.
    pub(crate) fn bias(&self) -> i32 {
        index::buckets(OCTAVES_BELOW, self.steps())
    }

    /// The position of `v` among the buckets of its sign; `None`: the zero bucket. `v` is no NaN.
    #[inline(always)]
    pub(crate) fn position(&self, v: f64) -> Option<u32> {
        let size = v.abs();
        (size > self.zero_threshold).then(|| index::from::<OCTAVES_BELOW>(size, self.steps()) as u32)
    }

    /// Which bucket: as numbers are in order, so are ordinals. Not of NaN.
    #[inline(always)]
    pub(crate) fn ordinal(&self, v: f64) -> i32 {
        match self.position(v) {
            None => 0,
            Some(position) if v < 0.0 => -(position as i32) - 1,
            Some(position) => position as i32 + 1,
        }
    }

    #[inline(always)]
    pub(crate) fn link_bits(&self) -> u32 {
        3 + u32::from(self.schema.max(0).unsigned_abs())
    }

    pub(crate) fn node_size(&self) -> u64 {
        native_block::SIZE + (4 << self.link_bits())
    }
}
