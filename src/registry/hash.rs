//! XXH3-64 (Yann Collet, "xxHash fast digest algorithm", specification 0.2.0). Label values are short and a look-up is little
//! more than their hashes, so lengths up to 16 are written out here; longer values go to the library.

use twox_hash::XxHash3_64;

/// The head of the specification's default secret.
const SECRET: [u8; 72] = [
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde, 0xd4, 0x6d,
    0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0,
    0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0,
    0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb,
];

const fn secret64(at: usize) -> u64 {
    let mut v = 0;
    let mut i = 8;
    while i > 0 {
        i -= 1;
        v = v << 8 | SECRET[at + i] as u64;
    }
    v
}

const FLIP_1_TO_3: u64 = (secret64(0) ^ secret64(0) >> 32) & 0xffff_ffff;
const FLIP_4_TO_8: u64 = secret64(8) ^ secret64(16);
const FLIP_LOW: u64 = secret64(24) ^ secret64(32);
const FLIP_HIGH: u64 = secret64(40) ^ secret64(48);
const FLIP_EMPTY: u64 = secret64(56) ^ secret64(64);

/// XXH3-64 of `bytes` with `seed`.
#[inline(always)]
pub(crate) fn xxh3(seed: u64, bytes: &[u8]) -> u64 {
    match bytes.len() {
        9..=16 => medium(seed, bytes),
        4..=8 => small(seed, bytes),
        1..=3 => tiny(seed, bytes),
        0 => xxh64_avalanche(seed ^ FLIP_EMPTY),
        _ => XxHash3_64::oneshot_with_seed(seed, bytes),
    }
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

#[inline(always)]
fn medium(seed: u64, bytes: &[u8]) -> u64 {
    let n = bytes.len();
    let low = word(bytes, 0) ^ FLIP_LOW.wrapping_add(seed);
    let high = word(bytes, n - 8) ^ FLIP_HIGH.wrapping_sub(seed);
    let product = u128::from(low) * u128::from(high);
    let folded = product as u64 ^ (product >> 64) as u64;
    let h = (n as u64).wrapping_add(low.swap_bytes()).wrapping_add(high).wrapping_add(folded);
    let h = (h ^ h >> 37).wrapping_mul(0x1656_6791_9e37_79f9);
    h ^ h >> 32
}

#[inline(always)]
fn small(seed: u64, bytes: &[u8]) -> u64 {
    let n = bytes.len();
    let seed = seed ^ u64::from((seed as u32).swap_bytes()) << 32;
    let mixed = half(bytes, n - 4).wrapping_add(half(bytes, 0) << 32) ^ FLIP_4_TO_8.wrapping_sub(seed);
    let h = (mixed ^ mixed.rotate_left(49) ^ mixed.rotate_left(24)).wrapping_mul(0x9fb2_1c65_1e98_df25);
    let h = (h ^ (h >> 35).wrapping_add(n as u64)).wrapping_mul(0x9fb2_1c65_1e98_df25);
    h ^ h >> 28
}

#[inline(always)]
fn tiny(seed: u64, bytes: &[u8]) -> u64 {
    let n = bytes.len();
    let (first, middle, last) = (u64::from(bytes[0]), u64::from(bytes[n / 2]), u64::from(bytes[n - 1]));
    let mixed = first << 16 | middle << 24 | last | (n as u64) << 8;
    xxh64_avalanche(mixed ^ FLIP_1_TO_3.wrapping_add(seed))
}

#[inline(always)]
fn xxh64_avalanche(h: u64) -> u64 {
    let h = (h ^ h >> 33).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    let h = (h ^ h >> 29).wrapping_mul(0x1656_67b1_9e37_79f9);
    h ^ h >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn every_length_is_xxh3(seed: u64, bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
            assert_eq!(xxh3(seed, &bytes), XxHash3_64::oneshot_with_seed(seed, &bytes));
        }
    }
}
