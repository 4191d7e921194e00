//! Exemplars: one slot for a counter, one for each bucket.
//!
//! A slot has a hash of its contents. If a writer is killed, stopped or overtaken while it writes,
//! the hash does not match, and readers ignore the slot. So no writer waits for another, and no
//! exemplar mixes the contents of two. To write, a process first advances the slot's stamp with a
//! compare-and-swap, at most once in the family's interval.

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use crate::os::clock::wall_ms;
use crate::record::bundle;
use crate::segment::Inner;
use crate::shm::layout::offset;
use crate::shm::layout::{align, entry, exemplar as slot, family, header, GRANULE};
use crate::shm::memory::{Mapped, Memory};
use crate::shm::state::{Generation, TAG_BITS, TAG_MASK};
use crate::text::{escaping, names};

/// Most code points of the label names and values together (OpenMetrics 1.0).
pub(crate) const CODE_POINTS: usize = 128;
/// Bytes of the label text, escaped.
const TEXT: usize = (slot::SIZE - slot::TEXT) as usize;
const WORDS: usize = TEXT / 8;

/// An exemplar as it was given.
#[derive(Clone, Copy)]
pub(crate) struct Exemplar {
    pub(crate) value: f64,
    /// Milliseconds since 1970.
    pub(crate) at_ms: u64,
    len: usize,
    text: [u8; TEXT],
}

impl Exemplar {
    /// The labels, as between the braces of a line.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text[..self.len.min(TEXT)]
    }
}

/// A slot's text in the making.
struct Writer<'a> {
    text: &'a mut [u8; TEXT],
    len: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.text.get_mut(self.len..self.len + bytes.len())?.copy_from_slice(bytes);
        self.len += bytes.len();
        Some(())
    }

    /// Appends a value, or a name, in quotes.
    fn quoted(&mut self, text: &str) -> Option<()> {
        self.put(b"\"")?;
        let mut fits = Some(());
        escaping::escape_to(text.as_bytes(), |piece| fits = fits.and_then(|()| self.put(piece)));
        fits?;
        self.put(b"\"")
    }
}

/// The labels as text, without allocation. `None`: no exposition could carry them.
fn write_labels(labels: &[(&str, &str)], text: &mut [u8; TEXT]) -> Option<usize> {
    let (mut out, mut code_points) = (Writer { text, len: 0 }, 0);
    for (i, (name, value)) in labels.iter().enumerate() {
        let alike = |(other, _): &(&str, &str)| other == name || escaping::same_labels(other, name).is_some();
        if !names::is_any_label(name) || labels[..i].iter().any(alike) {
            return None;
        }
        code_points += name.chars().count() + value.chars().count();
        out.put(if i > 0 { b"," } else { b"" })?;
        if escaping::is_label(name) {
            out.put(name.as_bytes())?;
        } else {
            out.quoted(name)?;
        }
        out.put(b"=")?;
        out.quoted(value)?;
    }
    (code_points <= CODE_POINTS).then_some(out.len)
}

/// The hash of a slot's contents.
fn digest(generation: u64, value: u64, at_ms: u64, len: u64, text: &[u64; WORDS]) -> u64 {
    let mut sum = 0x9e37_79b9_7f4a_7c15 ^ generation;
    let mut take = |word: u64| {
        // As label values are hashed: one 128-bit multiplication for each word.
        let product = u128::from(sum ^ word) * u128::from(0x9fb2_1c65_1e98_df25 ^ sum.rotate_left(32));
        sum = product as u64 ^ (product >> 64) as u64 ^ word.rotate_left(17);
    };
    [value, at_ms, len].into_iter().for_each(&mut take);
    text.iter().take(len.div_ceil(8) as usize).for_each(|word| take(*word));
    sum
}

/// Bytes that the list of a series' slots takes.
fn list_len(slots: u64) -> u64 {
    align(4 * slots, GRANULE)
}

/// Keeps an exemplar of the `i`th of so many slots of the series at `record`, unless one was kept a
/// short while ago. Without room nothing is kept: an exemplar is an example.
pub(super) fn offer(
    inner: &Inner,
    record: u64,
    generation: Generation,
    [i, slots]: [u64; 2],
    value: f64,
    labels: &[(&str, &str)],
) {
    let memory = &inner.memory;
    let Some(list) = obtain(inner, record + entry::EXTENSION, list_len(slots)) else { return };
    let Some(at) = obtain(inner, list + 4 * i, slot::SIZE) else { return };
    let generation = if generation == Generation::FOREVER { 0 } else { generation.0 };
    let interval = memory.get32(bundle::family_at(memory, record).at + family::EXEMPLAR_MS);
    // By the segment's time: a step of the wall clock keeps no exemplar out. Never 0, which is an
    // unused slot's.
    let time = (inner.coarse_ms() & TAG_MASK).max(1);
    let stamp = time | generation << TAG_BITS;
    let seen = memory.load64(at + slot::STAMP, Relaxed);
    // A stamp from the future, as of a damaged segment, is not fresh.
    let fresh = time.wrapping_sub(seen & TAG_MASK) < u64::from(interval);
    if seen != 0 && seen >> TAG_BITS == generation && fresh {
        return;
    }
    let mut text = [0; TEXT];
    let Some(len) = write_labels(labels, &mut text) else { return inner.count(header::REJECTED_UPDATES) };
    // Relaxed: the stamp only chooses the writer. Readers rely on the hash.
    if memory.cas64(at + slot::STAMP, seen, stamp, Relaxed, Relaxed).is_err() {
        return;
    }
    let words = words(&text);
    let now = wall_ms();
    let Some(cells) = cells(memory, at) else { return };
    let (value, len) = (value.to_bits(), len as u64);
    let content = [value, now, len];
    for (cell, word) in cells[2..].iter().zip(content.iter().chain(&words[..len.div_ceil(8) as usize])) {
        cell.store(*word, Relaxed);
    }
    // Release pairs with the Acquire in `read`: a reader of this hash sees the contents.
    cells[1].store(digest(generation, value, now, len, &words), Release);
}

fn words(text: &[u8; TEXT]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(text.chunks_exact(8)) {
        *word = bytes.iter().rev().fold(0, |word, b| word << 8 | u64::from(*b));
    }
    words
}

/// The words of a slot: stamp, hash, value, time, length, text.
fn cells(memory: &Mapped, at: u64) -> Option<&[AtomicU64; 5 + WORDS]> {
    let p = in_arena(memory, at, slot::SIZE).filter(|_| at % 8 == 0)?;
    // SAFETY: backed and aligned (checked), and accessed only atomically.
    Some(unsafe { &*p.cast() })
}

/// A damaged link must not lead to the header, and what is written there.
fn in_arena(memory: &Mapped, at: u64, bytes: u64) -> Option<*const u8> {
    memory.record(at).filter(|(_, backed)| bytes <= *backed).map(|(p, _)| p)
}

/// Where the link at `word` leads; if nowhere, to a new block.
fn obtain(inner: &Inner, word: u64, bytes: u64) -> Option<u64> {
    let memory = &inner.memory;
    in_arena(memory, word, 4)?;
    // Acquire pairs with the Release of `link_or_give_back`.
    let link = match memory.load32(word, Acquire) {
        0 => {
            let new = inner.arena().allocate(bytes)?;
            inner.arena().link_or_give_back(word, new, bytes).unwrap_or_else(|other| other)
        }
        link => link,
    };
    (link != 0).then(|| offset(link))
}

/// The exemplar of a series, in this generation, in its `i`th slot.
#[inline]
pub(crate) fn read(memory: &Mapped, record: u64, generation: Generation, i: u64) -> Option<Exemplar> {
    match memory.load32(record + entry::EXTENSION, Acquire) {
        0 => None,
        list => read_slot(memory, offset(list) + 4 * i, generation),
    }
}

#[cold]
fn read_slot(memory: &Mapped, word: u64, generation: Generation) -> Option<Exemplar> {
    let link = memory.load32(word, Acquire);
    if link == 0 {
        return None;
    }
    let cells = cells(memory, offset(link))?;
    let hash = cells[1].load(Acquire);
    let [value, at_ms, len] = [2, 3, 4].map(|i| cells[i].load(Relaxed));
    let mut words = [0; WORDS];
    words.iter_mut().zip(&cells[5..]).for_each(|(word, cell)| *word = cell.load(Relaxed));
    if len > TEXT as u64 || hash != digest(generation.0, value, at_ms, len, &words) {
        return None;
    }
    let mut text = [0; TEXT];
    text.chunks_exact_mut(8).zip(words).for_each(|(bytes, word)| bytes.copy_from_slice(&word.to_le_bytes()));
    let len = len as usize;
    std::str::from_utf8(&text[..len]).is_ok().then_some(Exemplar { value: f64::from_bits(value), at_ms, len, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_61_labels_of_128_code_points_and_no_more() {
        let mut text = [0; TEXT];
        assert_eq!(write_labels(&[("a", &"é".repeat(100))], &mut text), Some(204));
        assert_eq!(write_labels(&[("a", &"x".repeat(127))], &mut text), Some(131));
        assert_eq!(write_labels(&[("a", &"x".repeat(128))], &mut text), None);
        assert_eq!(write_labels(&[("a", &"\n".repeat(110))], &mut text), None, "no room");
        assert_eq!(write_labels(&[], &mut text), Some(0));
        for bad in [&[("", "x")][..], &[("a\nb", "x")], &[("a", "x"), ("a", "y")], &[("a.b", "x"), ("a_b", "y")]] {
            assert_eq!(write_labels(bad, &mut text), None, "{bad:?}");
        }
        let len = write_labels(&[("trace_id", "4b\"\\\n"), ("b", "")], &mut text).unwrap();
        assert_eq!(&text[..len], b"trace_id=\"4b\\\"\\\\\\n\",b=\"\"");
        let len = write_labels(&[("trace.\"id\"", "4b"), ("b", "")], &mut text).unwrap();
        assert_eq!(&text[..len], b"\"trace.\\\"id\\\"\"=\"4b\",b=\"\"");
    }

    #[test]
    fn item_64_every_bit_of_a_slot_matters() {
        let mut text = [0; TEXT];
        let len = write_labels(&[("trace_id", "0123456789abcdef")], &mut text).unwrap() as u64;
        let words = words(&text);
        let at = 99;
        let right = digest(3, 1.5f64.to_bits(), 99, len, &words);
        let mut wrong =
            vec![digest(2, 1.5f64.to_bits(), 99, len, &words), digest(3, 1.5f64.to_bits(), 99, len - 1, &words)];
        for bit in 0..64 {
            wrong.push(digest(3, 1.5f64.to_bits() ^ 1 << bit, 99, len, &words));
            wrong.push(digest(3, 1.5f64.to_bits(), at ^ 1 << bit, len, &words));
            for i in 0..len.div_ceil(8) as usize {
                let mut other = words;
                other[i] ^= 1 << bit;
                wrong.push(digest(3, 1.5f64.to_bits(), 99, len, &other));
            }
        }
        assert!(!wrong.contains(&right));
    }
}
