//! A label set's key: its exposition text, `method="GET",path="/"`, kept once per series. The same
//! bytes are compared at look-up and copied at rendering.
//!
//! The hash takes each value's, seeded with the family's hash, and folds them in order: no copy of
//! the values, the values' hashes do not wait for each other, and ("ab", "c") differs from ("a",
//! "bc").

use super::escaping::{self, is_escaped};
use super::hash::{fold, hash as hash_of};

/// Longest label text of one series in bytes.
pub(crate) const TEXT_MAX: usize = u16::MAX as usize;

/// A family's hash, from its name and the segment's seed.
#[inline(always)]
pub(crate) fn family_hash(seed: u64, name: &[u8]) -> u64 {
    hash_of(seed, name)
}

/// A label set's hash, from its family's and its values.
#[inline(always)]
pub(crate) fn hash<'v>(family: u64, count: usize, value: impl Fn(usize) -> &'v [u8]) -> u64 {
    let mut all = family;
    for i in 0..count {
        all = fold(all, hash_of(family, value(i)));
    }
    all
}

/// The bytes of `name="` (and a comma before it, but for the first).
#[inline(always)]
pub(crate) const fn prefix_len(index: usize, name_len: usize) -> usize {
    name_len + 2 + (index > 0) as usize
}

/// How long a value is in a text, with its escapes. `None`: it is not UTF-8.
pub(crate) fn escaped_len(value: &[u8]) -> Option<usize> {
    if is_plain(value) {
        return Some(value.len());
    }
    std::str::from_utf8(value).ok()?;
    Some(value.len() + value.iter().filter(|b| is_escaped(**b)).count())
}

/// Whether it is ASCII without anything to escape, as nearly all values are. Takes eight bytes at a
/// time.
fn is_plain(value: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    let word_is_plain = |word: u64| {
        // The high bit of each byte that is 0 (and of some above such a one).
        let zeros = |w: u64| w.wrapping_sub(ONES) & !w;
        let all = [b'\\', b'"', b'\n'].iter().fold(word, |all, b| all | zeros(word ^ (ONES * u64::from(*b))));
        all & (ONES << 7) == 0
    };
    let mut words = value.chunks_exact(8);
    let all = words.by_ref().all(|word| word_is_plain(word.iter().fold(0, |w, b| w << 8 | u64::from(*b))));
    all && word_is_plain(words.remainder().iter().fold(0, |w, b| w << 8 | u64::from(*b)))
}

/// Whether the text is that of these values. `name_len(i)` is the length of label i's name.
///
/// A text whose values have no escapes holds each as it is, and from where one begins the next
/// quote is the one that ends it. So a value that begins where it should and ends at a quote is the
/// text's own, or it is longer, and then all after it begin too late: the last would begin at the
/// last quote, with none left to end it. (Names in quotes stand between the values, and change
/// nothing of this.) A text with escapes is compared byte by byte, unescaped.
///
/// `CONST_COUNT`: the compiler knows `count`. Then it is cheaper to compare the sum of the lengths
/// once than each length.
#[inline(always)]
pub(crate) fn matches<'v, const CONST_COUNT: bool>(
    text: &[u8],
    escaped: bool,
    count: usize,
    name_len: impl Fn(usize) -> usize + Copy,
    value: impl Fn(usize) -> &'v [u8] + Copy,
) -> bool {
    if escaped {
        // Copies: the others need not be in memory.
        let (name_len, value) = (name_len, value);
        return matches_escaped(text, count, &name_len, &value);
    }
    // What is in memory is shorter than 2^56, and labels are at most 255.
    let len = || (0..count).map(|i| (prefix_len(i, name_len(i)) + 1) as u64 + value(i).len() as u64).sum::<u64>();
    if CONST_COUNT && len() != text.len() as u64 {
        return false;
    }
    let mut at = 0;
    for i in 0..count {
        at += prefix_len(i, name_len(i));
        let v = value(i);
        let end = at + v.len();
        if !CONST_COUNT && end >= text.len() {
            return false;
        }
        // SAFETY: `end < text.len()`: checked, or else what comes up to a value's quote is a part
        // of `len`. What stands before a value is never empty.
        let (before, own, after) =
            unsafe { (*text.get_unchecked(at - 1), text.get_unchecked(at..end), *text.get_unchecked(end)) };
        // What stands in front of the first value is the same in every text.
        if ((!CONST_COUNT || i > 0) && before != b'"') || after != b'"' || !same(own, v) {
            return false;
        }
        at = end + 1;
    }
    CONST_COUNT || at == text.len()
}

#[cold]
#[inline(never)]
fn matches_escaped<'v>(
    text: &[u8],
    count: usize,
    name_len: &impl Fn(usize) -> usize,
    value: &impl Fn(usize) -> &'v [u8],
) -> bool {
    let mut at = 0;
    for i in 0..count {
        at += prefix_len(i, name_len(i));
        for &b in value(i) {
            let (expected, len): (&[u8], usize) = match b {
                b'\\' => (b"\\\\", 2),
                b'"' => (b"\\\"", 2),
                b'\n' => (b"\\n", 2),
                _ => (std::slice::from_ref(&b), 1),
            };
            if text.get(at..at + len) != Some(expected) {
                return false;
            }
            at += len;
        }
        if text.get(at) != Some(&b'"') {
            return false;
        }
        at += 1;
    }
    at == text.len()
}

/// The values in a label text; `None` if it is not one of these labels.
pub(crate) fn values(text: &[u8], escaped: bool, names: &[String]) -> Option<Vec<String>> {
    let mut rest = std::str::from_utf8(text).ok()?;
    let mut values = Vec::new();
    for (i, name) in names.iter().enumerate() {
        rest = rest.strip_prefix(if i > 0 { "," } else { "" })?.strip_prefix(name.as_str())?.strip_prefix("=\"")?;
        let (mut value, mut chars) = (String::new(), rest.chars());
        loop {
            match chars.next()? {
                '"' => break,
                '\\' if escaped => value.push(match chars.next()? {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    _ => return None,
                }),
                '\\' | '\n' => return None,
                c => value.push(c),
            }
        }
        rest = chars.as_str();
        values.push(value);
    }
    rest.is_empty().then_some(values)
}

/// The labels of any label text.
pub(crate) fn pairs(text: &[u8]) -> Option<Vec<(String, String)>> {
    let mut rest = std::str::from_utf8(text).ok()?;
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        rest = rest.strip_prefix(if pairs.is_empty() { "" } else { "," })?;
        let (name, value) = split_name(rest)?;
        let is_end = |(at, _): &(usize, &str)| value[..*at].bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 0;
        let (end, _) = value.match_indices('"').find(is_end)?;
        let (own, after) = rest.split_at(name.len() + 2 + end + 1);
        let found = values(own.as_bytes(), true, std::slice::from_ref(&name.to_owned()))?;
        pairs.push((escaping::label_from_line(name).into_owned(), found.into_iter().next()?));
        rest = after;
    }
    Some(pairs)
}

/// Splits a label behind its name and `="`.
fn split_name(text: &str) -> Option<(&str, &str)> {
    if !text.starts_with('"') {
        return text.split_once("=\"");
    }
    let end = 1 + value_end(&text.as_bytes()[1..]) + 1;
    Some((text.get(..end)?, text.get(end..)?.strip_prefix("=\"")?))
}

/// Where the quote is that ends an escaped text; its length if there is none.
pub(crate) fn value_end(text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() && text[at] != b'"' {
        at += 1 + usize::from(text[at] == b'\\');
    }
    at.min(text.len())
}

/// Equality of two, usually short, texts, without a call.
#[inline(always)]
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && same(a, b)
}

/// Equality of two slices of the same, usually small, length, without a call.
#[inline(always)]
fn same(a: &[u8], b: &[u8]) -> bool {
    let n = a.len();
    debug_assert_eq!(n, b.len());
    let word = |s: &[u8], at: usize| {
        debug_assert!(at + 8 <= n);
        // SAFETY: within both slices, whose length is `n`: every use below has `at + 8 <= n`.
        unsafe { s.as_ptr().add(at).cast::<u64>().read_unaligned() }
    };
    let half = |s: &[u8], at: usize| {
        debug_assert!(at + 4 <= n);
        // SAFETY: as above, with `at + 4 <= n`.
        unsafe { s.as_ptr().add(at).cast::<u32>().read_unaligned() }
    };
    match n {
        8..=16 => (word(a, 0) ^ word(b, 0)) | (word(a, n - 8) ^ word(b, n - 8)) == 0,
        4..=7 => (half(a, 0) ^ half(b, 0)) | (half(a, n - 4) ^ half(b, n - 4)) == 0,
        1..=3 => a[0] == b[0] && a[n / 2] == b[n / 2] && a[n - 1] == b[n - 1],
        0 => true,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn text_of(names: &[&str], values: &[&str]) -> (Vec<u8>, bool) {
        let (mut out, mut escaped) = (Vec::new(), false);
        for (i, (n, v)) in names.iter().zip(values).enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(n.as_bytes());
            out.extend_from_slice(b"=\"");
            escaped |= escaping::escape_value(v, &mut out);
            out.push(b'"');
        }
        (out, escaped)
    }

    proptest::proptest! {
        #[test]
        fn a_text_matches_its_own_values_only(
            a in proptest::collection::vec("[a\\\\\"\n,=é]{0,20}", 3),
            b in proptest::collection::vec("[a\\\\\"\n,=é]{0,20}", 3),
            quoted: bool,
        ) {
            let names = if quoted { ["\"m.\\\"=\"", "\"pa th\"", "\"a\""] } else { ["m", "path", "x"] };
            let values: Vec<&str> = a.iter().map(String::as_str).collect();
            let (text, escaped) = text_of(&names, &values);
            let check = |v: &[String]| {
                let found = matches::<true>(&text, escaped, 3, |i| names[i].len(), |i| v[i].as_bytes());
                assert_eq!(found, matches::<false>(&text, escaped, 3, |i| names[i].len(), |i| v[i].as_bytes()));
                found
            };
            let owned = names.map(str::to_owned);
            assert_eq!(super::values(&text, escaped, &owned).as_deref(), Some(&a[..]));
            assert!(check(&a));
            assert_eq!(check(&b), a == b);
        }
    }

    #[test]
    fn a_value_cannot_reach_over_its_quotes() {
        let (text, escaped) = text_of(&["x", "y"], &["a", "bbbbcc"]);
        let values = ["a\",y=", "cc"];
        assert!(!matches::<true>(&text, escaped, 2, |_| 1, |i| values[i].as_bytes()));
        assert!(!matches::<false>(&text, escaped, 2, |_| 1, |i| values[i].as_bytes()));
    }

    #[test]
    fn an_escape_in_the_text_is_not_a_value_that_looks_like_it() {
        let (text, escaped) = text_of(&["a"], &["x\ny"]);
        assert!(escaped);
        assert!(!matches::<true>(&text, escaped, 1, |_| 1, |_| b"x\\ny"));
        assert!(matches::<true>(&text, escaped, 1, |_| 1, |_| b"x\ny"));
    }

    /// The layout promises this function: these values are part of format 1 (`docs/format.md`).
    /// They were computed by another implementation.
    #[test]
    fn hash_vectors() {
        let of = |values: &[&str]| hash(family_hash(1, b"http_requests"), values.len(), |i| values[i].as_bytes());
        assert_eq!(of(&[]), family_hash(1, b"http_requests"));
        assert_eq!(family_hash(1, b"http_requests"), 0x4810_3b19_d1bd_c998);
        assert_eq!(of(&["GET", "/", "200"]), 0x61a1_5dd1_b640_4223);
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
    }

    #[test]
    fn label_sets_of_few_values_spread_as_random_numbers_do() {
        let value = |label: usize, i: usize| match label {
            0 => format!("/api/v1/items/{i}"),
            1 => format!("{}", 200 + i),
            _ => format!("pod-{i:04}"),
        };
        for seed in 0..20 {
            let family = family_hash(seed, b"http_requests");
            // As full as an index becomes: 5/8.
            let (mut table, mut steps, mut seen) = (vec![false; 1 << 16], 0u64, HashSet::new());
            for i in 0..40_960 {
                let values = [value(0, i % 32), value(1, i / 32 % 20), value(2, i / 640)];
                let hash = hash(family, 3, |label| values[label].as_bytes());
                assert!(seen.insert(hash), "{values:?}");
                let home = (hash >> 32) as usize;
                let distance = (0..1 << 16).find(|d| !table[(home + d) % table.len()]).unwrap();
                table[(home + distance) % (1 << 16)] = true;
                steps += 1 + distance as u64;
            }
            // D. Knuth: (1 + 1 / (1 - 5/8)) / 2 is 1.83.
            let mean = steps as f64 / 40_960.0;
            assert!((1.7..2.0).contains(&mean), "{mean} steps");
        }
    }

    #[test]
    fn plain_is_what_needs_nothing() {
        for n in 1..20 {
            for i in 0..n {
                for byte in 0..=255 {
                    let mut value = vec![b'!'; n];
                    value[i] = byte;
                    assert_eq!(is_plain(&value), byte < 0x80 && !is_escaped(byte), "{byte} at {i} of {n}");
                    let len = std::str::from_utf8(&value).ok().map(|_| n + usize::from(is_escaped(byte)));
                    assert_eq!(escaped_len(&value), len);
                }
            }
        }
        assert_eq!(escaped_len("é\n\"\"\\ü".as_bytes()), Some(12));
        assert_eq!(escaped_len(b""), Some(0));
    }

    #[test]
    fn every_length_is_compared_whole() {
        for n in 0..40 {
            let a: Vec<u8> = (0..n).map(|i| i as u8).collect();
            assert!(same(&a, &a.clone()));
            for i in 0..n {
                let mut b = a.clone();
                b[i] ^= 0x80;
                assert!(!same(&a, &b), "length {n}, byte {i}");
            }
        }
    }
}
