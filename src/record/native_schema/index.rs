//! Which bucket a value belongs to: exactly, by comparing bits.
//!
//! In schema n, bucket i holds what is above 2^((i - 1) / 2^n) and at most 2^(i / 2^n). A bucket of
//! a schema is two of the next finer one, so all are told from the finest, whose bounds within an
//! octave stand in a table (as in Go's client, and with one table).

use std::ops::Range;

use super::bounds::BOUNDS;

pub(crate) const SCHEMA_MIN: i8 = -4;
pub(crate) const SCHEMA_MAX: i8 = 8;

const MANTISSA: u32 = 52;
const MASK: u64 = (1 << MANTISSA) - 1;

/// What there is to know of the mantissas that begin with the same 8 bits: how many bounds are
/// below all of them, and the next two, of which they may be above. One line of memory, mostly, and
/// no second look that would have to wait for the first.
#[derive(Clone, Copy)]
struct Slice {
    next: [u64; 2],
    below: i32,
}

const SLICES: [Slice; 256] = {
    let mut slices = [Slice { next: [0; 2], below: 0 }; 256];
    let mut i = 0;
    while i < 256 {
        let mut n = 0;
        while BOUNDS[n] < (i as u64) << (MANTISSA - 8) {
            n += 1;
        }
        assert!(BOUNDS[if n < 256 { n + 2 } else { 257 }] >= ((i as u64 + 1) << (MANTISSA - 8)), "three in one");
        slices[i] = Slice { next: [BOUNDS[n], BOUNDS[n + 1]], below: n as i32 };
        i += 1;
    }
    slices
};

/// Where in the slices' order the bucket of a mantissa is: from 0 to 256.
#[inline(always)]
fn within_octave(mantissa: u64) -> i32 {
    let slice = &SLICES[(mantissa >> (MANTISSA - 8)) as usize];
    // Without a branch: the numbers are in no order that a processor could learn.
    slice.below + i32::from(slice.next[0] < mantissa) + i32::from(slice.next[1] < mantissa)
}

/// The bucket of a positive value in the finest schema; not of `+Inf`.
#[inline(always)]
fn finest(v: f64) -> i32 {
    let mut bits = v.to_bits();
    let mut exponent = (bits >> MANTISSA) as i32;
    if exponent == 0 {
        // Subnormal.
        let shift = bits.leading_zeros() as i32 - 11;
        bits <<= shift;
        exponent = 1 - shift;
    }
    within_octave(bits & MASK) + (exponent - 1023) * 256
}

/// The bucket that `index` of this schema is part of in one that is coarser by so many steps.
#[inline(always)]
pub(crate) const fn coarser(index: i32, steps: u32) -> i32 {
    // Rounded up: a bucket is numbered by its upper bound.
    (index + ((1 << steps) - 1)) >> steps
}

/// How many buckets there are in so many octaves, in a schema that is coarser than the finest by so
/// many steps. A whole number of them.
pub(crate) const fn buckets(octaves: i32, steps: u32) -> i32 {
    (octaves * 256) >> steps
}

/// The bucket of a positive value in such a schema, counted from so many octaves below 2^0 on.
/// `+Inf` has one of its own, after that of the largest number.
#[inline(always)]
pub(crate) fn from<const OCTAVES: i32>(v: f64, steps: u32) -> i32 {
    // That many octaves are a whole number of buckets in all schemas, so they may be added
    // beforehand.
    const { assert!(OCTAVES % 16 == 0) };
    if v < f64::INFINITY {
        coarser(finest(v) + OCTAVES * 256, steps)
    } else {
        coarser((1024 + OCTAVES) * 256, steps) + 1
    }
}

/// As `from`, of what is positive and lies in these octaves; `None` if it does not.
#[inline(always)]
pub(crate) fn from_within<const OCTAVES: i32>(v: f64, octaves: Range<i32>, steps: u32) -> Option<u32> {
    const { assert!(OCTAVES % 16 == 0) };
    let (bits, first) = (v.to_bits(), (1023 + octaves.start) as u64);
    // A negative number or a NaN is out of range by its sign or its exponent.
    let octave = (bits >> MANTISSA).wrapping_sub(first);
    if octave >= octaves.len() as u64 {
        return None;
    }
    Some(coarser(within_octave(bits & MASK) + (octave as i32 + octaves.start + OCTAVES) * 256, steps) as u32)
}

/// The upper bound of a bucket, rounded down; `+Inf` where it is beyond the largest number.
pub(crate) fn bound(index: i32, schema: i8) -> f64 {
    let fine = i64::from(index) << (SCHEMA_MAX - schema);
    let (octave, i) = (fine >> 8, (fine & 255) as usize);
    match octave {
        1024.. => f64::INFINITY,
        -1022..=1023 => f64::from_bits(((octave + 1023) as u64) << MANTISSA | BOUNDS[i]),
        // Below these are subnormal.
        _ => {
            let shift = -1022 - octave;
            f64::from_bits(if shift > 52 { 0 } else { (1 << MANTISSA | BOUNDS[i]) >> shift })
        }
    }
}

/// The coarsest schema whose buckets grow by at most this factor; the finest one if none does.
pub(crate) fn schema_of(factor: f64) -> i8 {
    (SCHEMA_MIN..SCHEMA_MAX).find(|schema| bound(1, *schema) <= factor).unwrap_or(SCHEMA_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of any length, for powers that are exact.
    #[derive(Clone, PartialEq, Eq, Debug)]
    struct Big(Vec<u32>);

    impl Big {
        fn new(n: u64) -> Self {
            Big(vec![n as u32, (n >> 32) as u32])
        }

        fn square(&self) -> Self {
            let mut out = vec![0u32; 2 * self.0.len()];
            for (i, a) in self.0.iter().enumerate() {
                let mut carry = 0u64;
                for (j, b) in self.0.iter().enumerate() {
                    let sum = u64::from(*a) * u64::from(*b) + u64::from(out[i + j]) + carry;
                    out[i + j] = sum as u32;
                    carry = sum >> 32;
                }
                out[i + self.0.len()] = carry as u32;
            }
            Big(out)
        }

        /// Whether it is at most 2^n.
        fn at_most_power(&self, n: usize) -> bool {
            let bits =
                self.0.iter().rposition(|w| *w != 0).map_or(0, |i| 32 * i + 32 - self.0[i].leading_zeros() as usize);
            let ones: u32 = self.0.iter().map(|w| w.count_ones()).sum();
            bits <= n || (bits == n + 1 && ones == 1)
        }
    }

    #[test]
    fn within_its_octaves_the_quick_way_says_the_same() {
        let mut random = 1u64;
        for i in 0..400_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let any = f64::from_bits(random);
            let near = f64::from_bits((959 + random % 128) << MANTISSA | BOUNDS[(random >> 40) as usize % 256]);
            let steps = i % 9;
            for v in [
                any,
                near,
                f64::from_bits(near.to_bits() + 1),
                f64::from_bits(near.to_bits() - 1),
                2f64.powi(i as i32 % 70 - 3),
            ] {
                let found = from_within::<1088>(v, -64..63, steps);
                let is_there = (2f64.powi(-64)..2f64.powi(63)).contains(&v);
                assert_eq!(found, is_there.then(|| from::<1088>(v, steps) as u32), "{v:e}");
            }
        }
    }

    /// Whether v <= 2^(index / 2^schema), in whole numbers.
    fn at_most(v: f64, index: i32, schema: i8) -> bool {
        // v = m * 2^e
        let (bits, field) = (v.to_bits() & MASK, (v.to_bits() >> MANTISSA) as i64);
        let (m, e) = if field == 0 { (bits, -1074) } else { (bits | 1 << MANTISSA, field - 1075) };
        if schema <= 0 {
            let power = i64::from(index) << -schema;
            return power >= e && Big::new(m).at_most_power(((power - e) as usize).min(200));
        }
        // Both sides are raised to the power of 2^schema.
        let power = i64::from(index) - (e << schema);
        let mut big = Big::new(m);
        (0..schema).for_each(|_| big = big.square());
        power >= 0 && big.at_most_power(power as usize)
    }

    fn of(v: f64, schema: i8) -> i32 {
        super::from::<0>(v, (SCHEMA_MAX - schema) as u32)
    }

    fn check(v: f64) {
        for schema in SCHEMA_MIN..=SCHEMA_MAX {
            let i = of(v, schema);
            assert!(at_most(v, i, schema) && !at_most(v, i - 1, schema), "{v:e} in schema {schema}: {i}");
        }
    }

    #[test]
    fn item_54_powers_belong_to_the_lower_bucket() {
        for schema in SCHEMA_MIN..=SCHEMA_MAX {
            for power in [-1074, -1073, -1022, -64, -1, 0, 1, 3, 16, 17, 1023] {
                let v = 2f64.powf(f64::from(power));
                let per_octave = |n: i32| if schema < 0 { n.div_euclid(1 << -schema) } else { n << schema };
                let i = if schema < 0 { -per_octave(-power) } else { per_octave(power) };
                assert_eq!(of(v, schema), i, "2^{power} in schema {schema}");
                check(v);
            }
        }
        assert_eq!([of(1.0, 3), of(1.0 + f64::EPSILON, 3), of(2.0, 0), of(2.1, 0)], [0, 1, 1, 2]);
    }

    #[test]
    fn item_53_the_extremes_have_buckets() {
        assert_eq!([of(f64::MAX, 3), of(f64::INFINITY, 3), of(f64::MAX, 8)], [8192, 8193, 262_144]);
        assert_eq!([of(f64::MAX, -4), of(f64::INFINITY, -4)], [64, 65]);
        for schema in SCHEMA_MIN..SCHEMA_MAX {
            assert_eq!(coarser(of(f64::INFINITY, schema + 1), 1), of(f64::INFINITY, schema), "{schema}");
        }
        assert_eq!([of(5e-324, 0), of(5e-324, 8), of(f64::MIN_POSITIVE, 0)], [-1074, -1074 * 256, -1022]);
        [5e-324, 1e-323, 1.5e-323, f64::MIN_POSITIVE, f64::MIN_POSITIVE - 5e-324, f64::MAX].into_iter().for_each(check);
    }

    #[test]
    fn bounds_are_exact_to_the_last_bit() {
        for (i, bits) in BOUNDS[..256].iter().enumerate() {
            let (v, next) = (f64::from_bits(1023 << 52 | bits), f64::from_bits((1023 << 52 | bits) + 1));
            assert!(at_most(v, i as i32, 8) && !at_most(next, i as i32, 8), "{i}");
            assert_eq!([of(v, 8), of(next, 8)], [i as i32, i as i32 + 1]);
            for v in [v, next, v / 4.0, next * 1024.0, v * f64::MIN_POSITIVE] {
                check(v);
            }
            assert_eq!(bound(i as i32, 8), v);
            assert_eq!(bound(i as i32 + 256, 8), 2.0 * v);
        }
        assert_eq!(
            [bound(1, 0), bound(-3, 0), bound(0, 5), bound(1, -4), bound(1024, 0)],
            [2.0, 0.125, 1.0, 65536.0, f64::INFINITY]
        );
        assert_eq!([bound(-1074, 0), bound(-1073, 0), bound(-1075, 0)], [5e-324, 1e-323, 0.0]);
    }

    #[test]
    fn a_factor_is_a_schema() {
        for (factor, schema) in [(2.0, 0), (1.1, 3), (1.05, 4), (1.9, 1), (4.0, -1), (1e9, -4), (1.001, 8), (1.0028, 8)]
        {
            assert_eq!(schema_of(factor), schema, "{factor}");
        }
        assert_eq!(schema_of(2f64.powf(0.125)), 3);
    }

    proptest::proptest! {
        #[test]
        fn every_number_is_within_its_bucket(bits: u64) {
            let v = f64::from_bits(bits).abs();
            if v > 0.0 && v.is_finite() {
                check(v);
            }
        }

        #[test]
        fn usual_numbers_are_within_their_buckets(v in 1e-9..1e9f64) {
            check(v);
        }

        #[test]
        fn a_coarser_bucket_holds_its_finer_ones(bits: u64, schema in SCHEMA_MIN..SCHEMA_MAX) {
            let v = f64::from_bits(bits).abs();
            if v > 0.0 {
                assert_eq!(coarser(of(v, schema + 1), 1), of(v, schema));
            }
        }
    }
}
