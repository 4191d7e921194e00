//! A histogram as a page sees it: everything is derived from the pairs as they were each read once.

use super::sketch::Sketch;
use super::tree::{Counted, Tree};
use crate::record::native_schema::BucketScheme;
use crate::shm::layout::histogram;
use crate::shm::memory::Mapped;
use crate::shm::state::{Generation, SeriesAddr};

/// Reads a series: its native buckets into `sketch`, the counts of its classic buckets, each, into
/// `counts`, and returns the sum. `mask` takes out of a count what is not its own; `bounds` are the
/// ordinals of the classic bounds. `may` is asked before a block of so many bytes is read: if it
/// says no, the series is damaged.
#[allow(clippy::too_many_arguments)] // What is read, how, and where to.
pub(crate) fn read(
    memory: &Mapped,
    SeriesAddr { at: record, generation }: SeriesAddr,
    mask: u64,
    scheme: BucketScheme,
    bounds: &[i32],
    sketch: &mut Sketch,
    counts: &mut Vec<u64>,
    may: impl Fn(u64) -> bool,
) -> Option<f64> {
    counts.clear();
    counts.resize(bounds.len() + 1, 0);
    sketch.begin(scheme);
    let mut sum = 0.0;
    let read = |at: u64, sum: &mut f64| {
        let [tag, part] = memory.pair(at)?.load();
        if generation == Generation::FOREVER {
            *sum += f64::from_bits(part);
            return Some(tag & mask);
        }
        // Pairs of an earlier generation are empty.
        if generation.is_over(tag) {
            return Some(0);
        }
        *sum += f64::from_bits(part);
        Some(tag & mask)
    };
    let mut add = |bucket: usize, ordinal: i32, count: u64| {
        if count > 0 {
            if let Some(counts) = counts.get_mut(bucket) {
                *counts = counts.saturating_add(count);
            }
            sketch.add(ordinal, count);
        }
    };
    let pair = |i: u64| record + histogram::SIZE + 16 * i;
    add(bounds.partition_point(|b| *b < 0), 0, read(pair(0), &mut sum)?);
    for (i, ordinal) in bounds.iter().enumerate() {
        add(i, *ordinal, read(pair(1 + 2 * i as u64), &mut sum)?);
        add(i + 1, *ordinal, read(pair(2 + 2 * i as u64), &mut sum)?);
    }
    Tree { memory, record, pairs: 1 + 2 * bounds.len() as u64, scheme }.each(generation, may, |ordinal, at| {
        let count = match at {
            Counted::Cell(at) => read(at, &mut sum).unwrap_or(0),
            Counted::PerCpu([count, part]) => {
                sum += f64::from_bits(part);
                count
            }
        };
        // No bound cuts a bucket that is counted in a chunk.
        add(bounds.partition_point(|b| *b < ordinal), ordinal, count);
    })?;
    Some(sum)
}
