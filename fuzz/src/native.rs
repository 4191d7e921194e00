//! The expected state of native histograms and quantiles: the count of each bucket.

use std::collections::BTreeMap;

/// What a registration asks for beyond classic buckets, as C has it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Native {
    pub(crate) factor: f64,
    pub(crate) zero_threshold: f64,
    pub(crate) max_buckets: u32,
    pub(crate) quantiles: &'static [f64],
}

impl Native {
    pub(crate) const NONE: Native = Native { factor: 0.0, zero_threshold: 0.0, max_buckets: 0, quantiles: &[] };

    /// By the family's name, so that registrations meet, and inputs mean what they meant.
    pub(crate) fn of(name: Option<&[u8]>) -> Self {
        match name {
            Some(b"b") => Native { factor: 1.1, quantiles: &[0.0, 0.5, 1.0], ..Native::NONE },
            Some(b"d") => Native { factor: 2.0, zero_threshold: -1.0, ..Native::NONE },
            Some(b"f") => Native { factor: 1e9, zero_threshold: 0.5, max_buckets: 1, ..Native::NONE },
            Some(b"_") => Native { factor: 0.5, quantiles: &[0.5, 0.25], ..Native::NONE },
            _ => Native::NONE,
        }
    }

    /// Whether a registration is refused for it.
    pub(crate) fn is_wrong(&self) -> bool {
        self.factor == 0.5
    }

    fn schema(&self) -> i32 {
        match self.factor {
            1.1 => 3,
            2.0 => 0,
            _ => -4,
        }
    }

    /// In which native bucket it is: 0, or its sign, and its index.
    fn bucket(&self, v: f64) -> (i32, i64) {
        let threshold = match self.zero_threshold {
            0.0 => 2f64.powi(-128),
            t => t.max(0.0),
        };
        let size = v.abs();
        if size <= threshold {
            return (0, 0);
        }
        let index = if size == f64::INFINITY { self.index(f64::MAX) + 1 } else { self.index(size) };
        (if v < 0.0 { -1 } else { 1 }, index)
    }

    /// The index of the bucket of a finite number.
    fn index(&self, size: f64) -> i64 {
        // size = fraction * 2^exponent, with a fraction from 1 on, and below 2.
        let (mut fraction, mut exponent) = (size, 0);
        while fraction >= 2.0 {
            (fraction, exponent) = (fraction / 2.0, exponent + 1);
        }
        while fraction < 1.0 {
            (fraction, exponent) = (fraction * 2.0, exponent - 1);
        }
        let up = |n: i64, by: i64| -(-n).div_euclid(by);
        let octave = exponent + i64::from(fraction > 1.0);
        match self.schema() {
            3 => 8 * exponent + (0..=8).find(|i| fraction <= 2f64.powf(*i as f64 / 8.0)).expect("it is below 2"),
            0 => octave,
            _ => up(octave, 16),
        }
    }
}

/// A series' pairs, in the order in which pages add them up: of the zero bucket, of what bounds
/// cut, of positive and of negative buckets. With the classic bucket of each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pairs(BTreeMap<(u8, i64), (usize, u64, f64)>);

impl Pairs {
    fn at(&mut self, native: Native, bounds: &[f64], v: f64) -> &mut (usize, u64, f64) {
        let bucket = native.bucket(v);
        let classic = bounds.iter().filter(|b| **b < v).count();
        let cut = |i: usize| bounds.get(i).is_some_and(|b| native.bucket(*b) == bucket);
        let key = if cut(classic) {
            (1, 2 * classic as i64)
        } else if classic > 0 && cut(classic - 1) {
            (1, 2 * classic as i64 - 1)
        } else {
            match bucket {
                (0, _) => (0, 0),
                (sign, index) => (if sign > 0 { 2 } else { 3 }, index),
            }
        };
        self.0.entry(key).or_insert((classic, 0, 0.0))
    }

    pub(crate) fn observe(&mut self, native: Native, bounds: &[f64], v: f64) {
        let (_, count, sum) = self.at(native, bounds, v);
        (*count, *sum) = (*count + 1, *sum + if v.is_finite() { v } else { 0.0 });
    }

    /// False: there is none of it.
    pub(crate) fn unobserve(&mut self, native: Native, bounds: &[f64], v: f64) -> bool {
        let (_, count, sum) = self.at(native, bounds, v);
        if *count == 0 {
            return false;
        }
        (*count, *sum) = (*count - 1, *sum - if v.is_finite() { v } else { 0.0 });
        true
    }

    /// The counts of the classic buckets, each, and the sum.
    pub(crate) fn read(&self, bounds: usize) -> (Vec<u64>, f64) {
        let (mut counts, mut all) = (vec![0; bounds + 1], 0.0);
        for (classic, count, sum) in self.0.values() {
            counts[*classic] += count;
            all += sum;
        }
        (counts, all)
    }
}

/// The observation of this rank; NaN if there is none. Pages show what is near.
pub(crate) fn quantile(observed: &[f64], rank: f64) -> f64 {
    let mut sorted = observed.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((rank * sorted.len() as f64).ceil() as usize).max(1) - 1;
    match sorted.get(at) {
        Some(v) if v.abs() <= 2f64.powi(-128) => 0.0,
        Some(v) => *v,
        None => f64::NAN,
    }
}
