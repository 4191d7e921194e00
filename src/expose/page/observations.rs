//! What histograms and summaries have observed, as all formats need it.

use super::family::View;
use super::snapshot::Series;
use crate::kind::Kind;
use crate::metric::{histogram_read, native_read, quantiles_read, Exemplar, Sketch, NATIVE_EXEMPLARS};
use crate::shm::clock;
use crate::shm::pair::FALLING_MASK;
use crate::text::hash::mix;

/// A series as it was at one moment. A buffer, used for one series after another.
#[derive(Default)]
pub(in crate::expose) struct Observed {
    /// The count of each classic bucket, `+Inf` last. A summary, and a histogram that is only
    /// native, has this one bucket.
    pub(in crate::expose) counts: Vec<u64>,
    /// The native buckets, where the family has any.
    pub(in crate::expose) sketch: Sketch,
    /// The values of a summary's quantiles.
    pub(in crate::expose) quantiles: Vec<f64>,
    buckets: Vec<(i32, u64)>,
    /// The segment's time in milliseconds, when the family was begun.
    time_ms: Option<u64>,
}

impl Observed {
    /// Reads a series, and returns the sum of the very observations that are counted.
    #[inline(always)]
    pub(in crate::expose) fn read(&mut self, series: &Series<'_>, view: &View) -> Option<f64> {
        let bounds = if view.kind == Kind::Summary { 0 } else { view.bounds.len() };
        if series.has_per_cpu() && !series.may_read_per_cpu(16 * (bounds as u64 + 1)) {
            return None;
        }
        let sum = match &view.native {
            None => histogram_read(series.memory(), series.at(), mask(series, view), bounds, &mut self.counts),
            Some(_) => self.read_native(series, view),
        }?;
        series.note(mix(self.count(), sum.to_bits()));
        Some(sum)
    }

    #[inline(never)]
    fn read_native(&mut self, series: &Series<'_>, view: &View) -> Option<f64> {
        let (stored, scheme) = (view.native?, view.scheme?);
        if view.kind == Kind::Summary {
            let time_ms = *self.time_ms.get_or_insert_with(|| clock::read_only_ns(series.memory()) / 1_000_000);
            let (ranks, values) = (&view.bounds, &mut self.quantiles);
            let may = |bytes| series.may_read(bytes);
            quantiles_read(series.memory(), series.place(), scheme, time_ms, ranks, &mut self.buckets, values, may)?;
            return histogram_read(series.memory(), series.at(), series.mask(), 0, &mut self.counts);
        }
        let (sketch, counts) = (&mut self.sketch, &mut self.counts);
        let mask = mask(series, view);
        let may = |bytes| series.may_read(bytes);
        let sum = native_read(series.memory(), series.place(), mask, scheme, &view.ordinals, sketch, counts, may)?;
        sketch.finish(stored.max_buckets);
        Some(sum)
    }

    /// All observations.
    pub(in crate::expose) fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, n| sum.wrapping_add(*n))
    }
}

/// The bits of a pair's first word that are the count.
#[inline(always)]
fn mask(series: &Series<'_>, view: &View) -> u64 {
    if view.kind == Kind::GaugeHistogram {
        FALLING_MASK
    } else {
        series.mask()
    }
}

/// The exemplars of a histogram that is only native: its last one is that of its only classic
/// bucket.
pub(in crate::expose) fn native_exemplars(series: &Series<'_>) -> Vec<Exemplar> {
    if !series.has_exemplars() {
        return Vec::new();
    }
    let mut all: Vec<Exemplar> = Vec::new();
    for exemplar in (0..NATIVE_EXEMPLARS as usize).filter_map(|i| series.exemplar(i)) {
        // So few need no sort, whose code is large.
        all.insert(all.partition_point(|other| other.at_ms <= exemplar.at_ms), exemplar);
    }
    all
}
