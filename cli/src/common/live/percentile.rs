//! Percentiles of observations: from classic buckets, native buckets and quantiles.

use std::collections::BTreeMap;

use shmetrics::{NativeBuckets, PointValue};

/// The observations of one or several series.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Observations {
    /// One more than the family has bounds.
    classic: Vec<u64>,
    native: Option<Native>,
    /// The quantiles of a summary. Those of several series cannot be put together.
    quantiles: Vec<(f64, f64)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Native {
    schema: i8,
    zero_threshold: f64,
    zero: u64,
    positive: BTreeMap<i32, u64>,
    negative: BTreeMap<i32, u64>,
}

impl Observations {
    pub(super) fn new(value: &PointValue) -> Option<Self> {
        let PointValue::Buckets { counts, native, quantiles, .. } = value else { return None };
        let native = native.as_deref().map(Native::new);
        Some(Observations { classic: counts.clone(), native, quantiles: quantiles.clone() })
    }

    /// The observations that `old` does not have.
    pub(super) fn since(&self, old: &Self) -> Self {
        let mut fresh = self.clone();
        if old.classic.len() == self.classic.len() {
            fresh.classic.iter_mut().zip(&old.classic).for_each(|(now, then)| *now = now.saturating_sub(*then));
        }
        if let (Some(now), Some(then)) = (&mut fresh.native, &old.native) {
            now.combine(then, u64::saturating_sub);
        }
        fresh
    }

    pub(super) fn add(&mut self, other: &Self) {
        if self.classic.is_empty() {
            *self = other.clone();
            return;
        }
        self.quantiles.clear();
        if self.classic.len() == other.classic.len() {
            self.classic.iter_mut().zip(&other.classic).for_each(|(sum, more)| *sum += more);
        }
        match (&mut self.native, &other.native) {
            (Some(sum), Some(more)) => sum.combine(more, u64::saturating_add),
            (sum, more) => *sum = sum.take().or_else(|| more.clone()),
        }
    }

    /// The value that a share of the observations does not exceed.
    pub(super) fn percentile(&self, bounds: &[f64], share: f64) -> Option<f64> {
        if let Some(native) = &self.native {
            return native.percentile(share);
        }
        if !self.quantiles.is_empty() {
            let is_it = |(quantile, value): &&(f64, f64)| (quantile - share).abs() < 1e-9 && !value.is_nan();
            return self.quantiles.iter().find(is_it).map(|(_, value)| *value);
        }
        classic(&self.classic, bounds, share)
    }
}

/// Assumes that the observations are spread evenly within a bucket, as Prometheus does.
fn classic(counts: &[u64], bounds: &[f64], share: f64) -> Option<f64> {
    let wanted = counts.iter().sum::<u64>() as f64 * share;
    let mut below = 0.0;
    for (i, count) in counts.iter().enumerate() {
        let count = *count as f64;
        if count > 0.0 && below + count >= wanted {
            // Observations above the last finite bound have no upper limit.
            let Some(upper) = bounds.get(i) else { return bounds.last().copied() };
            let lower = if i == 0 { upper.min(0.0) } else { bounds[i - 1] };
            return Some(lower + (upper - lower) * (wanted - below) / count);
        }
        below += count;
    }
    None
}

impl Native {
    fn new(native: &NativeBuckets) -> Self {
        Native {
            schema: native.schema,
            zero_threshold: native.zero_threshold,
            zero: native.zero_count,
            positive: native.positive.iter().copied().collect(),
            negative: native.negative.iter().copied().collect(),
        }
    }

    /// Combines bucket by bucket, at the lower of the two resolutions.
    fn combine(&mut self, other: &Self, with: impl Fn(u64, u64) -> u64) {
        let schema = self.schema.min(other.schema);
        for (own, of_other) in [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)] {
            let mut all = rescaled(own, self.schema, schema);
            for (index, count) in rescaled(of_other, other.schema, schema) {
                let sum = all.entry(index).or_default();
                *sum = with(*sum, count);
            }
            *own = all;
        }
        self.schema = schema;
        self.zero = with(self.zero, other.zero);
        self.zero_threshold = self.zero_threshold.max(other.zero_threshold);
    }

    fn percentile(&self, share: f64) -> Option<f64> {
        let count: u64 = self.zero + self.positive.values().sum::<u64>() + self.negative.values().sum::<u64>();
        if count == 0 {
            return None;
        }
        let bound = |index: i32| (f64::from(index) * 2f64.powi(-i32::from(self.schema))).exp2();
        let negative = self.negative.iter().rev().map(|(i, n)| (-bound(*i), -bound(i - 1), *n));
        let lower = if self.negative.is_empty() { 0.0 } else { -self.zero_threshold };
        let zero = std::iter::once((lower, self.zero_threshold, self.zero));
        let positive = self.positive.iter().map(|(i, n)| (bound(i - 1), bound(*i), *n));
        let (wanted, mut below, mut last) = (count as f64 * share, 0.0, None);
        for (lower, upper, n) in negative.chain(zero).chain(positive).filter(|(_, _, n)| *n > 0) {
            let part = ((wanted - below) / n as f64).clamp(0.0, 1.0);
            // Observations are spread evenly on the bucket's own scale, as Prometheus assumes.
            last = Some(if lower * upper > 0.0 {
                lower * (upper / lower).powf(part)
            } else {
                lower + (upper - lower) * part
            });
            below += n as f64;
            if below >= wanted {
                break;
            }
        }
        last
    }
}

/// The buckets at a lower resolution, where two neighbours or more become one.
fn rescaled(buckets: &BTreeMap<i32, u64>, from: i8, to: i8) -> BTreeMap<i32, u64> {
    let shift = u32::from((from - to).unsigned_abs()).min(31);
    let mut all = BTreeMap::new();
    for (index, count) in buckets {
        *all.entry(((index - 1) >> shift) + 1).or_default() += count;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_classic_buckets_as_in_prometheus() {
        let bounds = [1.0, 2.0, 4.0];
        assert_eq!(classic(&[4, 4, 0, 0], &bounds, 0.5), Some(1.0));
        assert_eq!(classic(&[0, 0, 10, 0], &bounds, 0.5), Some(3.0));
        assert_eq!(classic(&[0, 0, 0, 3], &bounds, 0.99), Some(4.0));
        assert_eq!(classic(&[0; 4], &bounds, 0.5), None);
        assert_eq!(classic(&[7], &[], 0.5), None, "a summary has no buckets");
    }

    fn native(schema: i8, positive: &[(i32, u64)], negative: &[(i32, u64)]) -> Observations {
        let (positive, negative) = (positive.iter().copied().collect(), negative.iter().copied().collect());
        let native = Native { schema, zero_threshold: 0.0, zero: 0, positive, negative };
        Observations { classic: vec![0], native: Some(native), quantiles: Vec::new() }
    }

    #[test]
    fn of_native_buckets_at_different_resolutions() {
        let near = |found: Option<f64>, expected: f64| {
            assert!(found.is_some_and(|found| (found - expected).abs() < 1e-9), "{found:?}, not {expected}");
        };
        let mut sum = native(0, &[(1, 2), (2, 2)], &[]);
        near(sum.percentile(&[], 0.5), 2.0);
        near(sum.percentile(&[], 0.25), 2f64.sqrt());
        // At schema 1 the indexes 3 and 4 are of 2 to 4, which is index 2 at schema 0.
        sum.add(&native(1, &[(3, 1), (4, 3)], &[]));
        assert_eq!(sum, native(0, &[(1, 2), (2, 6)], &[]));
        assert_eq!(sum.since(&native(0, &[(2, 2)], &[])), native(0, &[(1, 2), (2, 4)], &[]));
        near(native(0, &[], &[(1, 1), (3, 1)]).percentile(&[], 0.5), -4.0);
        assert_eq!(native(0, &[], &[]).percentile(&[], 0.5), None);
    }

    #[test]
    fn of_quantiles_of_one_series_only() {
        let of = |value: f64| Observations { classic: vec![3], quantiles: vec![(0.5, value)], ..Default::default() };
        assert_eq!(of(7.0).percentile(&[], 0.5), Some(7.0));
        assert_eq!(of(7.0).percentile(&[], 0.99), None);
        assert_eq!(of(f64::NAN).percentile(&[], 0.5), None);
        let mut sum = of(7.0);
        sum.add(&of(9.0));
        assert_eq!((sum.percentile(&[], 0.5), sum.classic), (None, vec![6]));
    }
}
