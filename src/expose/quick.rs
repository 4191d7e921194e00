//! A metric of protobuf with one value, as most are, written from its beginning to its end: all of it is known beforehand, or as long as
//! the label text. So no length is filled in later, and nothing is moved.

use super::line::{varint_len, Line, Piece};
use super::messages::tag;
use super::snapshot::Text;
use crate::registry::labels;

/// What the metrics of a family have in common, whose labels' names are short.
pub(super) struct Quick {
    heads: Vec<Head>,
    /// The labels that all series have in front of theirs.
    fixed: Piece,
    /// By how much the labels take more bytes than in the label text; it may be negative.
    more: isize,
    /// Room for all but the label text and what follows the labels.
    room: usize,
}

/// A label before its value: `0a P 0a N name 12 V`, where P and V are to be filled in.
struct Head {
    bytes: [u8; HEAD],
    len: usize,
    /// The length of the pair without the value, and the longest value whose pair is short.
    pair: usize,
    most: usize,
    /// Bytes before the value in the label text.
    prefix: usize,
}

/// Room for a head: a whole number of blocks.
const HEAD: usize = 48;
/// Lengths below this take a byte.
const SHORT: usize = 0x80;

impl Quick {
    /// Of these labels: as they stand in the label text, and their names. `None` if one is too long.
    pub(super) fn new<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>, fixed: &[u8]) -> Option<Self> {
        let mut quick = Quick { heads: Vec::new(), fixed: Piece::new(fixed), more: 0, room: fixed.len() + 16 };
        for (i, (stored, name)) in labels.enumerate() {
            let (prefix, len) = (labels::prefix_len(i, stored.len()), name.len() + 6);
            let mut bytes = [0; HEAD];
            let head = bytes.get_mut(..len)?;
            head[..4].copy_from_slice(&[tag::METRIC_LABEL, 0, tag::LABEL_NAME, name.len() as u8]);
            head[4..len - 2].copy_from_slice(name.as_bytes());
            head[len - 2] = tag::LABEL_VALUE;
            quick.more += len as isize - (prefix as isize + 1);
            quick.room += len;
            let pair = name.len() + 4;
            quick.heads.push(Head { bytes, len, pair, most: SHORT - 1 - pair, prefix });
        }
        quick.more += fixed.len() as isize;
        Some(quick)
    }

    /// Appends a metric with the labels of a text without escapes, and what follows them, with the value in its place there. False, and
    /// nothing is appended, if a value is too long for it, or the text is not of these labels.
    #[inline(always)]
    pub(super) fn metric(&self, text: &Text, tail: &Tail, value: f64, out: &mut Vec<u8>) -> bool {
        let len = (text.len() + tail.0.len()).wrapping_add_signed(self.more);
        let mut line = Line::new(out, self.room + text.len() + tail.0.len());
        let head = if len < SHORT {
            line.two([tag::FAMILY_METRIC, len as u8]);
            2
        } else {
            line.byte(tag::FAMILY_METRIC);
            line.varint(len as u64);
            1 + varint_len(len as u64)
        };
        if self.fixed.len() > 0 {
            line.piece(&self.fixed);
        }
        let is_whole = if text.len() <= 64 {
            // All quotes at once: to look for one after the other takes as long as all the rest.
            let quotes = text.quotes();
            self.labels(text, &mut line, |at| (quotes >> (at & 63)).trailing_zeros() as usize)
        } else {
            self.labels(text, &mut line, |at| text.quote(at.min(text.len())).wrapping_sub(at))
        };
        if !is_whole {
            return false;
        }
        line.piece_with(&tail.0, Tail::VALUE, value.to_le_bytes());
        line.keep_bytes(head + len);
        true
    }

    /// Appends the labels. `value_len` is how long a value is that begins at a place; if none does, too long. False: they are not all of the
    /// text, and so not as long as was said.
    #[inline(always)]
    fn labels(&self, text: &Text, line: &mut Line<'_>, value_len: impl Fn(usize) -> usize) -> bool {
        let mut at = 0;
        for head in &self.heads {
            at += head.prefix;
            let len = value_len(at);
            if len > head.most || at + len >= text.len() {
                return false;
            }
            line.head(&head.bytes, head.len, (head.pair + len) as u8, len as u8);
            text.put_part(at, len, line);
            at += len + 1;
        }
        at == text.len()
    }
}

/// A metric after its labels: a message of the value and, of a counter, when it began.
#[derive(Default)]
pub(super) struct Tail(Piece);

impl Tail {
    /// Where the value stands.
    const VALUE: usize = 3;

    /// Makes it anew. `began` is the contents of a field.
    pub(super) fn set(&mut self, tag: u8, began: Option<(u8, &Piece)>) {
        let began_len = began.map_or(0, |(_, piece)| piece.len() + 2);
        self.0.set(|bytes| {
            bytes.extend_from_slice(&[tag, 9 + began_len as u8, tag::VALUE]);
            bytes.extend_from_slice(&[0; 8]);
            if let Some((tag, piece)) = began {
                bytes.extend_from_slice(&[tag, piece.len() as u8]);
                bytes.extend_from_slice(piece.bytes());
            }
        });
    }
}
