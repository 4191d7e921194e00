//! The hash of a name or a label value. Label values are short, and a look-up is little more than
//! their hashes: values of up to 16 bytes take one multiplication of two words with the seed in
//! them, whose halves are folded (after Wang Yi's wyhash, final version 4, whose way of reading
//! short values it is too). Longer ones take XXH3-64 (Yann Collet, specification 0.2.0).
//! `docs/format.md` says it exactly, with values to check an implementation by.
//!
//! The seed is random for each segment, so that a client that chooses label values cannot choose
//! their hashes.

use twox_hash::XxHash3_64;

/// The golden ratio's fraction.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of `bytes` with `seed`.
#[inline(always)]
pub(crate) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let n = bytes.len();
    let (a, b) = match n {
        8..=16 => (word(bytes, 0), word(bytes, n - 8)),
        4..=7 => {
            let (first, last) = (half(bytes, 0), half(bytes, n - 4));
            (first << 32 | last, last << 32 | first)
        }
        1..=3 => {
            let all = u64::from(bytes[0]) << 16 | u64::from(bytes[n / 2]) << 8 | u64::from(bytes[n - 1]);
            (all, all << 40)
        }
        0 => (0, 0),
        _ => return long(seed, bytes),
    };
    let product = u128::from(a ^ seed) * u128::from(b ^ seed.rotate_left(32).wrapping_add(n as u64 ^ GOLDEN));
    product as u64 ^ (product >> 64) as u64
}

/// Two words as one: the halves of their product, folded, with constants so that zeros count.
#[inline(always)]
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0xa076_1d64_78bd_642f) * u128::from(b ^ 0xe703_7ed1_a0b4_28db);
    product as u64 ^ (product >> 64) as u64
}

#[inline(never)]
fn long(seed: u64, bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, bytes)
}

/// Takes one more value's hash into a label set's. A bijection of `h` for each value, and what
/// waits for it is short: the values' hashes are as random as those of a table, whose sums are good
/// enough for probing in steps (M. Pătraşcu, M. Thorup, "The power of simple tabulation hashing",
/// 2012). Turned each time, so that their order counts.
#[inline(always)]
pub(crate) fn fold(h: u64, value: u64) -> u64 {
    h.rotate_left(23).wrapping_add(value)
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    debug_assert!(at + 8 <= bytes.len());
    // SAFETY: callers have matched the length.
    u64::from_le(unsafe { bytes.as_ptr().add(at).cast::<u64>().read_unaligned() })
}

#[inline(always)]
fn half(bytes: &[u8], at: usize) -> u64 {
    debug_assert!(at + 4 <= bytes.len());
    // SAFETY: callers have matched the length.
    u64::from(u32::from_le(unsafe { bytes.as_ptr().add(at).cast::<u32>().read_unaligned() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Label sets as applications have them fill an index as evenly as random numbers do.
    #[test]
    fn tags_are_as_good_as_random() {
        let texts: [fn(u32) -> String; 6] = [
            |i| i.to_string(),
            |i| format!("/item/{i}"),
            |i| format!("{i:08x}"),
            |i| format!("tenant-{}.example", i * 7),
            |i| format!("{}", f64::from(i) * 0.25),
            |i| char::from_u32(0x4e00 + i % 20_000).unwrap_or('x').to_string() + &(i / 20_000).to_string(),
        ];
        for seed in [0x1117_d6fe_0336_0159, 0x0123_4567_89ab_cdef, 0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4] {
            for text in texts {
                let n = 100_000;
                let tags: Vec<u64> = (0..n).map(|i| fold(seed, hash(seed, text(i).as_bytes())) >> 32).collect();
                let distinct = tags.iter().collect::<HashSet<_>>().len();
                // Among 100,000 random tags, 1.2 are the same as another.
                assert!(n as usize - distinct < 12, "{} of {n} share a tag: {}", n as usize - distinct, text(7));
                // 100,000 random tags have 69,957 different homes among 131,072 words, give or take
                // 130.
                let homes = tags.iter().map(|tag| tag & 0x1_ffff).collect::<HashSet<_>>().len();
                assert!((69_000..71_000).contains(&homes), "{homes} homes: {}", text(7));
            }
        }
    }

    #[test]
    fn every_byte_and_the_length_count() {
        for n in 0..40usize {
            let bytes: Vec<u8> = (0..n as u8).collect();
            let mut seen = HashSet::from([hash(5, &bytes)]);
            for i in 0..n {
                let mut other = bytes.clone();
                other[i] ^= 1;
                assert!(seen.insert(hash(5, &other)), "byte {i} of {n}");
            }
            assert!(seen.insert(hash(5, &[&bytes[..], &[0]].concat())), "one more than {n}");
        }
        assert_ne!(hash(5, b"a"), hash(5, b"aa"));
        assert_ne!(hash(5, b""), hash(6, b""));
    }
}
