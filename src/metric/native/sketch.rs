//! Native buckets, as formats show them.

use crate::record::native_schema::index;
use crate::record::native_schema::index::SCHEMA_MIN;
use crate::record::native_schema::BucketScheme;

/// The native buckets of a series, as they were at one moment. A buffer, used for one series after
/// another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sketch {
    scheme: Option<BucketScheme>,
    /// By ordinal, in any order.
    raw: Vec<(i32, u64)>,
    pub(crate) schema: i8,
    pub(crate) zero_threshold: f64,
    pub(crate) zero_count: u64,
    /// Counts by index, rising.
    pub(crate) positive: Vec<(i32, u64)>,
    pub(crate) negative: Vec<(i32, u64)>,
}

impl Sketch {
    pub(super) fn begin(&mut self, scheme: BucketScheme) {
        self.scheme = Some(scheme);
        self.raw.clear();
    }

    pub(super) fn add(&mut self, ordinal: i32, count: u64) {
        self.raw.push((ordinal, count));
    }

    /// Puts what was read in order, in at most so many buckets.
    pub(crate) fn finish(&mut self, most: u32) {
        let Some(scheme) = self.scheme else { return };
        (self.schema, self.zero_threshold, self.zero_count) = (scheme.schema, scheme.zero_threshold, 0);
        self.positive.clear();
        self.negative.clear();
        self.raw.sort_unstable_by_key(|(ordinal, _)| *ordinal);
        for (ordinal, count) in &self.raw {
            let index = ordinal.abs() - 1 - scheme.bias();
            match ordinal.signum() {
                0 => self.zero_count = self.zero_count.saturating_add(*count),
                1 => push(&mut self.positive, index, *count),
                _ => push(&mut self.negative, index, *count),
            }
        }
        // These came in falling order.
        self.negative.reverse();
        self.limit(most as usize);
    }

    fn len(&self) -> usize {
        self.positive.len() + self.negative.len()
    }

    /// Merges buckets until there are at most so many. As what is counted only rises, what is
    /// merged once stays so: a schema never rises again, nor does the zero bucket become narrower.
    fn limit(&mut self, most: usize) {
        while self.len() > most && self.schema > SCHEMA_MIN {
            self.schema -= 1;
            halve(&mut self.positive);
            halve(&mut self.negative);
        }
        if self.len() <= most {
            return;
        }
        let mut indices: Vec<i32> = self.positive.iter().chain(&self.negative).map(|(index, _)| *index).collect();
        indices.sort_unstable();
        // The last bucket that is left out, and with it the bucket of its index on the other side.
        let last = indices[indices.len() - 1 - most];
        self.zero_threshold = index::bound(last, self.schema).min(f64::MAX).max(self.zero_threshold);
        for side in [&mut self.positive, &mut self.negative] {
            let within = side.partition_point(|(index, _)| *index <= last);
            self.zero_count = side.drain(..within).fold(self.zero_count, |sum, (_, n)| sum.saturating_add(n));
        }
    }
}

/// Appends a bucket, or adds to the last one if that is it.
fn push(buckets: &mut Vec<(i32, u64)>, index: i32, count: u64) {
    match buckets.last_mut() {
        Some((last, n)) if *last == index => *n = n.saturating_add(count),
        _ => buckets.push((index, count)),
    }
}

fn halve(buckets: &mut Vec<(i32, u64)>) {
    let mut kept = 0;
    for i in 0..buckets.len() {
        let (index, count) = buckets[i];
        let index = index::coarser(index, 1);
        if kept > 0 && buckets[kept - 1].0 == index {
            buckets[kept - 1].1 = buckets[kept - 1].1.saturating_add(count);
        } else {
            buckets[kept] = (index, count);
            kept += 1;
        }
    }
    buckets.truncate(kept);
}

/// Cuts buckets into spans. A span has its distance from the end of the previous span (the first
/// span: from 0), and its counts. Empty buckets are shown where there are at most `gap` of them in
/// a row, because they take less room than a span.
pub(crate) fn spans(buckets: &[(i32, u64)], gap: i32, spans: &mut Vec<(i32, u32)>, counts: &mut Vec<u64>) {
    spans.clear();
    counts.clear();
    let mut next = 0;
    for (index, count) in buckets {
        let skipped = index - next;
        match spans.last_mut() {
            Some((_, len)) if skipped <= gap => {
                counts.resize(counts.len() + skipped as usize, 0);
                *len += skipped as u32 + 1;
            }
            _ => spans.push((skipped, 1)),
        }
        counts.push(*count);
        next = index + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEME: BucketScheme = BucketScheme { schema: 3, zero_threshold: 0.0, window: 0 };

    fn sketch(values: &[f64], scheme: BucketScheme, most: u32) -> Sketch {
        let mut sketch = Sketch::default();
        sketch.begin(scheme);
        values.iter().for_each(|v| sketch.add(scheme.ordinal(*v), 1));
        sketch.finish(most);
        sketch
    }

    fn total(sketch: &Sketch) -> u64 {
        sketch.zero_count + sketch.positive.iter().chain(&sketch.negative).map(|(_, n)| n).sum::<u64>()
    }

    #[test]
    fn buckets_by_index() {
        let found = sketch(&[0.0, 1.0, 1.01, 2.0, 2.0, -1.0, -4.0, f64::INFINITY], SCHEME, 100);
        assert_eq!((found.schema, found.zero_count), (3, 1));
        assert_eq!(found.positive, [(0, 1), (1, 1), (8, 2), (8193, 1)]);
        assert_eq!(found.negative, [(0, 1), (16, 1)]);
    }

    #[test]
    fn item_51_only_the_first_offset_is_negative() {
        let (mut offsets, mut counts) = (Vec::new(), Vec::new());
        let buckets = [(-9, 1), (-8, 2), (-5, 3), (-1, 4), (0, 5), (7, 6)];
        spans(&buckets, 2, &mut offsets, &mut counts);
        assert_eq!(offsets, [(-9, 5), (3, 2), (6, 1)]);
        assert_eq!(counts, [1, 2, 0, 0, 3, 4, 5, 6]);
        spans(&buckets, 0, &mut offsets, &mut counts);
        assert_eq!(offsets, [(-9, 2), (2, 1), (3, 2), (6, 1)]);
        assert_eq!(counts, [1, 2, 3, 4, 5, 6]);
        spans(&[], 2, &mut offsets, &mut counts);
        assert!(offsets.is_empty() && counts.is_empty());
    }

    proptest::proptest! {
        /// What is added to only rises, so a page's schema only falls and its zero bucket only
        /// grows, and no bucket of a page holds less than on the page before.
        #[test]
        fn item_56_the_limit_makes_no_false_reset(
            exponents in proptest::collection::vec((-300.0..300.0f64, proptest::bool::ANY), 1..120), most in 1u32..40,
            schema in -4i8..=8,
        ) {
            let values: Vec<f64> =
                exponents.iter().map(|(e, minus)| 2f64.powf(*e) * if *minus { -1.0 } else { 1.0 }).collect();
            let scheme = BucketScheme { schema, ..SCHEME };
            let mut before: Option<Sketch> = None;
            for n in 1..=values.len() {
                let now = sketch(&values[..n], scheme, most);
                assert!(now.len() <= most as usize);
                assert_eq!(total(&now), n as u64, "item 52");
                if let Some(before) = before {
                    assert!(now.schema <= before.schema && now.zero_threshold >= before.zero_threshold);
                    let steps = (before.schema - now.schema) as u32;
                    let inner = |side: &[(i32, u64)], index| {
                        let within = side.iter().filter(|(i, _)| index::coarser(*i, steps) == index);
                        within.map(|(_, n)| n).sum::<u64>()
                    };
                    for (index, count) in &now.positive {
                        assert!(*count >= inner(&before.positive, *index));
                    }
                    for (index, count) in &now.negative {
                        assert!(*count >= inner(&before.negative, *index));
                    }
                    assert!(now.zero_count >= before.zero_count);
                }
                before = Some(now);
            }
        }

        #[test]
        fn item_50_spans_have_all_buckets(gaps in proptest::collection::vec((1i32..9, 1u64..9), 0..50), gap in 0i32..3) {
            let mut at = -20;
            let buckets: Vec<(i32, u64)> = gaps.iter().map(|(gap, n)| { at += gap; (at, *n) }).collect();
            let (mut offsets, mut counts) = (Vec::new(), Vec::new());
            spans(&buckets, gap, &mut offsets, &mut counts);
            assert_eq!(offsets.iter().map(|(_, len)| *len as usize).sum::<usize>(), counts.len());
            let (mut at, mut read, mut counts) = (0, Vec::new(), counts.into_iter());
            for (i, (offset, len)) in offsets.iter().enumerate() {
                assert!(i == 0 || *offset > gap);
                at += offset;
                for _ in 0..*len {
                    read.push((at, counts.next().unwrap()));
                    at += 1;
                }
            }
            read.retain(|(_, n)| *n > 0);
            assert_eq!(read, buckets);
        }
    }
}
