//! The text format 0.0.4: the lines of one family, one series at a time.

use std::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed};

use super::line::{Line, Piece, OVER};
use super::number::{float, integer};
use crate::metric::{counter_read, gauge_shown, histogram_read, GaugeMode, Sample, Shown, SPILL};
use crate::registry::family::{Record, Texts};
use crate::segment::chain::is_later;
use crate::segment::layout::{counter, entry, KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM};
use crate::segment::life::{self, Place, State, TAG_MASK};
use crate::segment::memory::Mapped;

/// What every line of a family has in common, made once for each family of a page.
pub(super) struct Lines {
    kind: u8,
    mode: GaugeMode,
    text_at: u64,
    /// `name{`, as its samples have it.
    open: Piece,
    /// `name ` for a series without labels.
    bare: Piece,
    /// Of a histogram: `name_bucket{`, `name_sum`, `name_count`.
    bucket: Piece,
    sum: Piece,
    count: Piece,
    /// Of a histogram: `le="0.5"} ` for each bucket, `+Inf` last.
    tails: Vec<Piece>,
    counts: Vec<u64>,
    each: Vec<Sample>,
}

/// What a series is rendered in view of.
pub(super) struct Page<'a> {
    pub(super) memory: &'a Mapped,
    pub(super) family: u32,
    /// Announcements in the family when it was begun; none of them for the embedded series.
    pub(super) births: Option<u32>,
    pub(super) living: &'a [u32],
}

/// What became of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Series {
    Shown,
    /// It has no place on this page.
    Hidden,
    /// Nothing was appended.
    Damaged,
}

/// A series' label text: in the segment, or a copy if it lies too near the segment's end for block copies.
struct Text {
    at: *const u8,
    len: usize,
    _copy: Vec<u8>,
}

/// Room for a number, the separators around it and a line break.
const NUMBER: usize = 48;

/// Appends HELP and TYPE. An empty help has no line.
pub(super) fn head(kind: u8, texts: &Texts, out: &mut Vec<u8>) {
    let suffix = if kind == KIND_COUNTER { "_total" } else { "" };
    if !texts.help.is_empty() {
        out.extend_from_slice(b"# HELP ");
        out.extend_from_slice(texts.name.as_bytes());
        out.extend_from_slice(suffix.as_bytes());
        out.push(b' ');
        for b in texts.help.bytes() {
            match b {
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b => out.push(b),
            }
        }
        out.push(b'\n');
    }
    out.extend_from_slice(b"# TYPE ");
    out.extend_from_slice(texts.name.as_bytes());
    out.extend_from_slice(suffix.as_bytes());
    out.push(b' ');
    out.extend_from_slice(crate::registry::family::kind_name(kind).replace("unknown", "untyped").as_bytes());
    out.push(b'\n');
}

impl Lines {
    pub(super) fn new(record: &Record<'_>, texts: &Texts) -> Self {
        let name = texts.name.as_str();
        let kind = record.kind();
        let sample = if kind == KIND_COUNTER { format!("{name}_total") } else { name.to_owned() };
        let tails =
            texts.les.iter().map(String::as_str).chain(["+Inf"]).map(|le| Piece::new(&format!("le=\"{le}\"}} ")));
        Lines {
            kind,
            mode: record.mode(),
            text_at: record.text_at(),
            open: Piece::new(&format!("{sample}{{")),
            bare: Piece::new(&format!("{sample} ")),
            bucket: Piece::new(&format!("{name}_bucket{{")),
            sum: Piece::new(&format!("{name}_sum")),
            count: Piece::new(&format!("{name}_count")),
            tails: if kind == KIND_HISTOGRAM { tails.collect() } else { Vec::new() },
            counts: Vec::new(),
            each: Vec::new(),
        }
    }

    /// Appends the lines of the series at `at`, as it was at one moment.
    #[inline(always)]
    pub(super) fn series(&mut self, of: &Page<'_>, at: u64, out: &mut Vec<u8>) -> Series {
        let Some((record, backed)) = of.memory.record(at) else { return Series::Damaged };
        // SAFETY: an entry's fields are backed (`record`) and aligned in a record aligned to 16, as links are. Those that are
        // not atomic here change only with the record's life, which is checked at the end; they are read as volatile, so
        // that they are read here.
        let (state, parent, len, kind, birth) = unsafe {
            (
                &*record.add(entry::STATE as usize).cast::<AtomicU32>(),
                record.add(entry::PARENT as usize).cast::<u32>().read_volatile(),
                record.add(entry::TEXT_LEN as usize).cast::<u16>(),
                record.add(entry::KIND as usize).read_volatile(),
                record.add(entry::BIRTH as usize).cast::<u32>(),
            )
        };
        if parent != of.family || kind != self.kind || self.text_at < entry::SIZE {
            return Series::Damaged;
        }
        let from = out.len();
        // A record that changes hands under the copy is copied again, though not for ever.
        for _ in 0..16 {
            // Acquire pairs with the Release that made it live: its text is there.
            let seen = State(state.load(Acquire));
            // SAFETY: as above.
            let (len, birth) = unsafe { (usize::from(len.read_volatile()), birth.read_volatile()) };
            // What came after the family was begun might be a label set that was removed behind us: it is on the next page.
            if seen.state() != life::LIVE || (of.births.is_some_and(|until| is_later(birth, until))) {
                return Series::Hidden;
            }
            let end = self.text_at + len as u64;
            if end > backed {
                return Series::Damaged;
            }
            // SAFETY: the text lies within what is backed (checked).
            let text = unsafe { Text::new(record.add(self.text_at as usize), len, end + OVER as u64 <= backed) };
            if !self.lines(of, record, Place { at, life: seen.life() }, &text, out) {
                return Series::Damaged;
            }
            // Acquire: all of it was read before the second look at the state (a sequence lock, numbered by the life).
            fence(Acquire);
            if State(state.load(Relaxed)) == seen {
                return Series::Shown;
            }
            out.truncate(from);
        }
        Series::Hidden
    }

    #[inline(always)]
    fn lines(&mut self, of: &Page<'_>, record: *const u8, place: Place, text: &Text, out: &mut Vec<u8>) -> bool {
        // The embedded series is never removed: its cells have no tags.
        let mask = if of.births.is_some() { TAG_MASK } else { u64::MAX };
        match self.kind {
            KIND_COUNTER if self.text_at >= counter::SIZE => {
                // SAFETY: backed up to the text (checked), aligned to 8 in a record aligned to 16, accessed atomically.
                let cells = unsafe { &*record.add(counter::INTEGER as usize).cast::<[AtomicU64; 2]>() };
                let [whole, fraction] = counter_read(cells);
                let whole = whole & mask;
                let parts = f64::from_bits(fraction);
                // Of a large whole number a part may stand in the fraction.
                let large = parts >= SPILL as f64 && parts < (1u64 << 63) as f64 && parts % 1.0 == 0.0;
                let exact = if large { whole.checked_add(parts as u64) } else { (fraction == 0).then_some(whole) };
                let mut line = self.labelled(text, out);
                if let Some(whole) = exact {
                    line.integer(whole);
                    line.end();
                } else {
                    line.keep();
                    float(whole as f64 + parts, out);
                    out.push(b'\n');
                }
            }
            KIND_GAUGE => self.gauge(of, place, text, out),
            KIND_HISTOGRAM => return self.histogram(of.memory, place.at, mask, text, out),
            _ => return false,
        }
        true
    }

    /// Begins a line: `name{text} `, or `name ` without labels.
    #[inline(always)]
    fn labelled<'o>(&self, text: &Text, out: &'o mut Vec<u8>) -> Line<'o> {
        let mut line = Line::new(out, self.bare.len() + text.len + NUMBER);
        if text.len == 0 {
            line.piece(&self.bare);
        } else {
            line.piece(&self.open);
            text.put(&mut line);
            line.byte(b'}');
            line.byte(b' ');
        }
        line
    }

    fn gauge(&mut self, of: &Page<'_>, place: Place, text: &Text, out: &mut Vec<u8>) {
        match gauge_shown(of.memory, place, self.mode, of.living, &mut self.each) {
            Shown::Nothing => {}
            Shown::One(v) => {
                self.labelled(text, out).keep();
                float(v, out);
                out.push(b'\n');
            }
            Shown::Each => {
                // A worker that takes the identity of one that died takes over its series: the page has each series once.
                self.each.sort_by_key(|s| (s.identity, !s.alive, std::cmp::Reverse(s.since)));
                self.each.dedup_by_key(|s| s.identity);
                for sample in &self.each {
                    let mut line = Line::new(out, self.open.len() + text.len + NUMBER);
                    line.piece(&self.open);
                    if text.len > 0 {
                        text.put(&mut line);
                        line.byte(b',');
                    }
                    line.keep();
                    out.extend_from_slice(b"pid=\"");
                    integer(u64::from(sample.identity), out);
                    out.extend_from_slice(b"\"} ");
                    float(sample.value, out);
                    out.push(b'\n');
                }
            }
        }
    }

    fn histogram(&mut self, memory: &Mapped, at: u64, mask: u64, text: &Text, out: &mut Vec<u8>) -> bool {
        let Some(sum) = histogram_read(memory, at, mask, self.tails.len() - 1, &mut self.counts) else { return false };
        let mut total = 0u64;
        for (count, tail) in self.counts.iter().zip(&self.tails) {
            total = total.wrapping_add(*count);
            let mut line = Line::new(out, self.bucket.len() + text.len + tail.len() + NUMBER);
            line.piece(&self.bucket);
            if text.len > 0 {
                text.put(&mut line);
                line.byte(b',');
            }
            line.piece(tail);
            line.integer(total);
            line.end();
        }
        for (name, count) in [(&self.sum, None), (&self.count, Some(total))] {
            let mut line = Line::new(out, name.len() + text.len + NUMBER);
            line.piece(name);
            if text.len > 0 {
                line.byte(b'{');
                text.put(&mut line);
                line.byte(b'}');
            }
            line.byte(b' ');
            line.keep();
            match count {
                None => float(sum, out),
                Some(n) => integer(n, out),
            }
            out.push(b'\n');
        }
        true
    }
}

impl Text {
    /// # Safety
    /// `len` bytes at `at` must stay readable for as long as this value, and `OVER` more if `padded`.
    #[inline(always)]
    unsafe fn new(at: *const u8, len: usize, padded: bool) -> Self {
        if padded {
            return Text { at, len, _copy: Vec::new() };
        }
        let mut copy = vec![0; len + OVER];
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(at, copy.as_mut_ptr(), len) };
        Text { at: copy.as_ptr(), len, _copy: copy }
    }

    #[inline(always)]
    fn put(&self, line: &mut Line<'_>) {
        // SAFETY: readable for `len` bytes and `OVER` more (`new`). In a record that changes
        // hands, or a damaged one, they are some bytes or other.
        unsafe { line.raw(self.at, self.len) };
    }
}
