//! Observations in native buckets, and in the sketch of a summary's quantiles.

use std::sync::atomic::Ordering::Acquire;

use super::tree::{Bucket, Tree, PER_CPU_BYTES};
use crate::kind::Kind;
use crate::metric::histogram::bucket;
use crate::record::native_schema::BucketScheme;
use crate::segment::Inner;
use crate::shm::layout::{entry, header, histogram};
use crate::shm::memory::Granted;
use crate::shm::pair::{fallen, FALLING_MASK};
use crate::shm::percpu;
use crate::shm::state::{Generation, State, TAG_BITS, TAG_MASK};

/// Slots for exemplars of a histogram that is only native.
pub(crate) const EXEMPLARS: u64 = 8;

/// A series to observe in.
#[derive(Clone, Copy)]
pub(in crate::metric) struct Target<'a> {
    pub(in crate::metric) inner: &'a Inner,
    pub(in crate::metric) record: u64,
    pub(in crate::metric) generation: Generation,
    /// Classic bounds.
    pub(in crate::metric) bounds: &'a [f64],
    pub(in crate::metric) scheme: BucketScheme,
}

/// Why an observation was not counted: the field of the header that counts such.
type Refused = u64;
/// Its bucket is yet to be made.
const NO_PLACE: Refused = 0;

impl<'a> Target<'a> {
    fn tree(&self) -> Tree<'a> {
        let pairs = 1 + 2 * self.bounds.len() as u64;
        Tree { memory: &self.inner.memory, record: self.record, pairs, scheme: self.scheme }
    }

    /// Where the pair is that counts `v`.
    #[inline(always)]
    fn pair(&self, granted: &Granted<'_>, v: f64) -> Result<Pair, Refused> {
        let in_record = |i: usize| Pair::InRecord(self.record + histogram::SIZE + 16 * i as u64);
        if !self.bounds.is_empty() {
            let (ordinal, i) = (self.scheme.ordinal(v), bucket(self.bounds, v));
            let is_cut_by = |i: usize| self.bounds.get(i).is_some_and(|b| self.scheme.ordinal(*b) == ordinal);
            if is_cut_by(i) {
                return Ok(in_record(1 + 2 * i));
            }
            if i > 0 && is_cut_by(i - 1) {
                return Ok(in_record(2 * i));
            }
        }
        let Some(position) = self.scheme.position(v) else { return Ok(in_record(0)) };
        self.tree().find(granted, position, v < 0.0).map(Pair::InChunk).ok_or(NO_PLACE)
    }

    /// Counts `v` in the per-CPU cells of its bucket's chunk, if the chunk has any.
    #[inline(always)]
    fn count_per_cpu(&self, granted: &Granted<'_>, bucket: Bucket, v: f64) -> bool {
        // Acquire pairs with `percpu::give_to_generation`.
        let cells = percpu::in_word(granted.load64(bucket.per_cpu_at(), Acquire), self.generation);
        cells != 0
            && (self.inner.per_cpu.count(cells, bucket.number(), v)
                || self.inner.per_cpu.count_locked(cells, bucket.number(), v)
                || self.inner.per_cpu.count_slow(&self.inner.memory, cells, bucket.number(), v))
    }

    /// Counts of gauge histograms fall, and those of per-CPU cells never do.
    #[cold]
    #[inline(never)]
    fn ask_for_per_cpu(&self, bucket: Bucket) {
        if self.inner.memory.get8(self.record + entry::KIND) != Kind::GaugeHistogram as u8 {
            self.inner.ask_for_per_cpu_of_generation(bucket.per_cpu_at(), self.generation, PER_CPU_BYTES);
        }
    }
}

/// Where a pair is.
#[derive(Clone, Copy)]
enum Pair {
    InRecord(u64),
    InChunk(Bucket),
}

/// Fast path of a hot series without classic bounds: counts an observation of `v` in the per-CPU
/// cells of its bucket's chunk. `None`: it was not counted.
#[inline(always)]
pub(in crate::metric) fn count_fast(target: &Target<'_>, v: f64) -> Option<()> {
    let (inner, generation) = (target.inner, target.generation);
    let granted = inner.per_cpu.granted(&inner.memory)?;
    // `change` does the rest, and counts what it refuses.
    if generation != Generation::FOREVER {
        let state = State(granted.u32_at(target.record + entry::STATE)?.load(Acquire));
        if state.generation() != generation || !state.has_series() {
            return None;
        }
    }
    let (bucket, word) = target.tree().find_fast(&granted, v)?;
    // Acquire pairs with `percpu::give_to_generation`.
    let cells = percpu::in_word(word.load(Acquire), generation);
    inner.per_cpu.count(cells, bucket.number(), v).then_some(())
}

/// Counts an observation of `v`, which is not NaN, or takes one back.
///
/// A pair with the tag of an earlier generation begins anew. Only the pairs in the record are
/// cleared with each generation: there may be many chunks, and an old handle may make one at any
/// time. A chunk's per-CPU cells are of one generation.
#[inline(always)]
pub(in crate::metric) fn change<const UNDO: bool>(target: &Target<'_>, v: f64) -> bool {
    match try_change::<UNDO>(target, v) {
        Ok(()) => true,
        Err(why) => refused::<UNDO>(*target, v, why),
    }
}

/// Makes the bucket that was missing, or counts that the observation was refused.
#[cold]
#[inline(never)]
fn refused<const UNDO: bool>(target: Target<'_>, v: f64, mut why: Refused) -> bool {
    if why == NO_PLACE {
        why = header::REFUSED_OBSERVATIONS;
        let made = target.scheme.position(v).and_then(|at| target.tree().obtain(target.inner, at, v < 0.0));
        if made.is_some() {
            match try_change::<UNDO>(&target, v) {
                Ok(()) => return true,
                Err(NO_PLACE) => {}
                Err(other) => why = other,
            }
        }
    }
    target.inner.count(why);
    false
}

#[inline(always)]
fn try_change<const UNDO: bool>(target: &Target<'_>, v: f64) -> Result<(), Refused> {
    let generation = target.generation;
    let granted = &target.inner.memory.granted();
    let state = State(granted.load32(target.record + entry::STATE, Acquire));
    if !state.has_series() || (generation != Generation::FOREVER && state.generation() != generation) {
        return Err(header::STALE_UPDATES);
    }
    let place = target.pair(granted, v)?;
    let v = if v.is_finite() { v } else { 0.0 };
    let at = match place {
        Pair::InRecord(at) => at,
        Pair::InChunk(bucket) if !UNDO && target.count_per_cpu(granted, bucket, v) => return Ok(()),
        Pair::InChunk(bucket) => bucket.at(),
    };
    let pair = granted.pair(at).ok_or(header::REJECTED_UPDATES)?;
    let forever = generation == Generation::FOREVER;
    let (mask, tag) = if forever { (u64::MAX, 0) } else { (TAG_MASK, generation.tag()) };
    let [count, _] = pair.update(|[count, sum]| {
        let (count, sum) = match (count >> TAG_BITS).cmp(&generation.0) {
            _ if forever => (count, f64::from_bits(sum)),
            std::cmp::Ordering::Equal => (count & mask, f64::from_bits(sum)),
            std::cmp::Ordering::Less => (0, 0.0),
            std::cmp::Ordering::Greater => return Err(header::STALE_UPDATES),
        };
        if if UNDO { count & FALLING_MASK == 0 } else { count == mask } {
            return Err(header::REJECTED_UPDATES);
        }
        let (count, sum) = if UNDO { (fallen(count, mask) & mask, sum - v) } else { (count + 1, sum + v) };
        Ok([tag | count, sum.to_bits()])
    })?;
    if let (false, 0, Pair::InChunk(bucket)) = (UNDO, count & (percpu::HEAT_OF_BUCKET - 1), place) {
        target.ask_for_per_cpu(bucket);
    }
    Ok(())
}

/// Which of the slots for exemplars an observation has, in a histogram that is only native:
/// neighbouring octaves have others.
pub(in crate::metric) fn slot_of(v: f64) -> u64 {
    (v.to_bits() >> 52) % EXEMPLARS
}
