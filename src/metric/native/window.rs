//! The quantiles of a summary, of the observations of all processes in a window of time.
//!
//! The sketch is a native histogram, much like DDSketch (Masson, Rim and Lee, 2019). A quantile is
//! exact to half a bucket, for any number of processes. A pair holds {tag and count of the current
//! half of the window, {number of that half, count of the previous half}}, and changes by one
//! 16-byte compare-and-swap. The first observation in a new half also moves the counts of the pair
//! on. So the window needs no timer, and quantiles cover the last half window to whole window.

use super::tree::{Counted, Tree};
use crate::record::native_schema::index;
use crate::record::native_schema::BucketScheme;
use crate::segment::Inner;
use crate::shm::layout::{header, histogram};
use crate::shm::memory::Mapped;
use crate::shm::state::{Generation, SeriesAddr, TAG_BITS, TAG_MASK};

/// Pairs in a summary's record: that of its count and sum, and the zero bucket of the sketch.
const PAIRS: u64 = 2;

/// Which half window it is at this time of the segment, in milliseconds. They are numbered from 1
/// on, for 68 years at least.
fn half(time_ms: u64, window: u32) -> u32 {
    u32::try_from(time_ms / (u64::from(window.max(1)) * 500) + 1).unwrap_or(u32::MAX)
}

/// The counts of a pair, in its current half window and in the previous one.
#[derive(Clone, Copy)]
struct Counts {
    half: u32,
    current: u64,
    before: u32,
}

impl Counts {
    fn of([tag, word]: [u64; 2], mask: u64) -> Self {
        Counts { half: (word >> 32) as u32, current: tag & mask, before: word as u32 }
    }

    /// The counts in this half. The segment's time does not go back. If it did, the window would
    /// stand still for as long.
    fn at(self, now: u32) -> Self {
        match now.saturating_sub(self.half) {
            0 => self,
            1 => Counts { half: now, current: 0, before: u32::try_from(self.current).unwrap_or(u32::MAX) },
            _ => Counts { half: now, current: 0, before: 0 },
        }
    }
}

/// Takes an observation into the sketch of a summary. Its count and sum have it already.
pub(in crate::metric) fn observe(
    inner: &Inner,
    SeriesAddr { at: record, generation }: SeriesAddr,
    scheme: BucketScheme,
    v: f64,
) {
    let tree = Tree { memory: &inner.memory, record, pairs: PAIRS, scheme };
    let at = match scheme.position(v) {
        None => record + histogram::SIZE + 16,
        Some(position) => {
            let found = tree.find(&inner.memory.granted(), position, v < 0.0);
            match found.or_else(|| tree.obtain(inner, position, v < 0.0)) {
                Some(bucket) => bucket.at(),
                None => return inner.count(header::REFUSED_OBSERVATIONS),
            }
        }
    };
    let Some(pair) = inner.memory.pair(at) else { return };
    let now = half(inner.coarse_ms(), scheme.window);
    let forever = generation == Generation::FOREVER;
    let (mask, tag) = if forever { (u64::MAX, 0) } else { (TAG_MASK, generation.tag()) };
    // What is refused is not counted here: the summary itself has told whether it is over.
    let _ = pair.update(|seen| {
        let counts = match (seen[0] >> TAG_BITS).cmp(&generation.0) {
            std::cmp::Ordering::Less if !forever => Counts { half: now, current: 0, before: 0 },
            std::cmp::Ordering::Greater if !forever => return Err(()),
            _ => Counts::of(seen, mask).at(now),
        };
        if counts.current == mask {
            return Err(());
        }
        Ok([tag | (counts.current + 1), u64::from(counts.half) << 32 | u64::from(counts.before)])
    });
}

/// Reads the quantiles of a series at these ranks, of 0 to 1, into `values`: NaN for what nothing
/// was observed of. `time_ms` is the segment's time.
#[allow(clippy::too_many_arguments)] // Each is a thing of its own.
pub(crate) fn read(
    memory: &Mapped,
    SeriesAddr { at: record, generation }: SeriesAddr,
    scheme: BucketScheme,
    time_ms: u64,
    ranks: &[f64],
    buckets: &mut Vec<(i32, u64)>,
    values: &mut Vec<f64>,
    may: impl Fn(u64) -> bool,
) -> Option<()> {
    let now = half(time_ms, scheme.window);
    let forever = generation == Generation::FOREVER;
    buckets.clear();
    let mut take = |ordinal: i32, at: u64| {
        let Some(pair) = memory.pair(at) else { return };
        let seen = pair.load();
        if forever || !generation.is_over(seen[0]) {
            let counts = Counts::of(seen, if forever { u64::MAX } else { TAG_MASK }).at(now);
            let count = counts.current.saturating_add(u64::from(counts.before));
            if count > 0 {
                buckets.push((ordinal, count));
            }
        }
    };
    take(0, record + histogram::SIZE + 16);
    Tree { memory, record, pairs: PAIRS, scheme }.each(generation, may, |ordinal, at| {
        // Pairs of quantiles have no per-CPU cells.
        if let Counted::Cell(at) = at {
            take(ordinal, at);
        }
    })?;
    buckets.sort_unstable();
    let all = buckets.iter().fold(0u64, |all, (_, n)| all.saturating_add(*n));
    values.clear();
    values.extend(ranks.iter().map(|rank| {
        // The smallest observation that so many are at most as large as.
        let wanted = ((rank * all as f64).ceil() as u64).max(1);
        let mut seen = 0u64;
        let found = buckets.iter().find(|(_, n)| {
            seen = seen.saturating_add(*n);
            seen >= wanted
        });
        found.map_or(f64::NAN, |(ordinal, _)| middle(*ordinal, scheme))
    }));
    Some(())
}

/// The value from which all in the bucket are equally far, in proportion.
fn middle(ordinal: i32, scheme: BucketScheme) -> f64 {
    if ordinal == 0 {
        return 0.0;
    }
    let i = ordinal.abs() - 1 - scheme.bias();
    let growth = index::bound(1, scheme.schema);
    let below = index::bound(i - 1, scheme.schema);
    // A bucket beyond the largest number is that of infinity.
    let size = if below.is_infinite() { below } else { below * (2.0 * growth / (1.0 + growth)) };
    if ordinal < 0 {
        -size
    } else {
        size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_move_on_with_the_halves() {
        let counts = |half, current, before| Counts { half, current, before };
        let shown = |c: Counts| (c.half, c.current, c.before);
        assert_eq!(shown(counts(5, 7, 3).at(5)), (5, 7, 3));
        assert_eq!(shown(counts(5, 7, 3).at(6)), (6, 0, 7));
        assert_eq!(shown(counts(5, 7, 3).at(7)), (7, 0, 0));
        assert_eq!(shown(counts(5, 7, 3).at(4)), (5, 7, 3), "the clock was set back");
        assert_eq!(shown(counts(5, 1 << 40, 3).at(6)), (6, 0, u32::MAX));
    }

    proptest::proptest! {
        #[test]
        fn the_middle_is_near_to_all_of_the_bucket(bits: u64, schema in 0i8..=8) {
            let v = f64::from_bits(bits);
            let scheme = BucketScheme { schema, zero_threshold: f64::MIN_POSITIVE, window: 0 };
            if v.is_finite() {
                let (middle, growth) = (middle(scheme.ordinal(v), scheme), index::bound(1, schema));
                let most = (growth - 1.0) / (growth + 1.0) + 1e-12;
                assert!(v.abs() <= f64::MIN_POSITIVE || ((middle - v) / v).abs() <= most, "{v:e} {middle:e} {schema}");
            }
        }
    }

    #[test]
    fn the_middle_of_the_edges() {
        let scheme = BucketScheme { schema: 5, zero_threshold: 0.0, window: 0 };
        for v in [f64::INFINITY, f64::NEG_INFINITY, 0.0] {
            assert_eq!(middle(scheme.ordinal(v), scheme), v);
        }
        assert!(middle(scheme.ordinal(f64::MAX), scheme).is_finite());
    }
}
