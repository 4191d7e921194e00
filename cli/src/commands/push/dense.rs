//! Native buckets in OTLP's form: all buckets between the first and the last used one.

use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use shmetrics::NativeBuckets;

/// The maximum number of buckets of one sign, empty buckets included.
const MOST: usize = 1000;
/// The coarsest scale, at which one bucket covers all numbers.
const COARSEST: i32 = -10;

pub(super) struct Dense {
    pub(super) scale: i32,
    pub(super) zero_threshold: f64,
    pub(super) zero_count: u64,
    pub(super) positive: Buckets,
    pub(super) negative: Buckets,
}

impl Dense {
    /// If the values are far apart, neighbouring buckets are merged until there are few enough.
    pub(super) fn new(native: NativeBuckets) -> Self {
        let (mut scale, mut positive, mut negative) = (i32::from(native.schema), native.positive, native.negative);
        while (width(&positive) > MOST || width(&negative) > MOST) && scale > COARSEST {
            scale -= 1;
            halve(&mut positive);
            halve(&mut negative);
        }
        let (positive, negative) = (spread(&positive), spread(&negative));
        Dense { scale, zero_threshold: native.zero_threshold, zero_count: native.zero_count, positive, negative }
    }
}

fn width(buckets: &[(i32, u64)]) -> usize {
    match buckets {
        [(first, _), .., (last, _)] => last.abs_diff(*first) as usize + 1,
        few => few.len(),
    }
}

/// An index of Prometheus belongs to the upper bound, so 1 and 2 become 1.
fn halve(buckets: &mut Vec<(i32, u64)>) {
    let mut halved: Vec<(i32, u64)> = Vec::with_capacity(buckets.len());
    for (index, count) in buckets.iter() {
        let index = (index + 1) >> 1;
        match halved.last_mut() {
            Some((last, n)) if *last == index => *n = n.saturating_add(*count),
            _ => halved.push((index, *count)),
        }
    }
    *buckets = halved;
}

/// An index of OTLP belongs to the lower bound, so it is one less.
fn spread(buckets: &[(i32, u64)]) -> Buckets {
    let Some((first, _)) = buckets.first() else { return Buckets::default() };
    let mut bucket_counts = vec![0; width(buckets)];
    for (index, count) in buckets {
        if let Some(slot) = bucket_counts.get_mut(index.abs_diff(*first) as usize) {
            *slot = *count;
        }
    }
    Buckets { offset: first - 1, bucket_counts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_between_are_filled_in() {
        let dense = spread(&[(-1, 5), (0, 1), (3, 2)]);
        assert_eq!((dense.offset, dense.bucket_counts), (-2, vec![5, 1, 0, 0, 2]));
        assert_eq!(spread(&[]), Buckets::default());
    }

    #[test]
    fn halves_keep_their_bounds() {
        // At twice the width, the bucket up to 2^(2i) becomes the bucket up to 2^i.
        let mut buckets = vec![(-3, 1), (-2, 1), (-1, 1), (0, 1), (1, 1), (2, 1), (3, 1)];
        halve(&mut buckets);
        assert_eq!(buckets, [(-1, 2), (0, 2), (1, 2), (2, 1)]);
    }

    #[test]
    fn far_apart_is_few() {
        let mut wide = vec![(-8000, 7), (262_145, 2)];
        let mut scale = 8;
        while width(&wide) > MOST {
            halve(&mut wide);
            scale -= 1;
        }
        assert!(scale >= COARSEST && width(&wide) <= MOST);
        assert_eq!(wide.iter().map(|(_, n)| n).sum::<u64>(), 9);
    }
}
