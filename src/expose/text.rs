//! The text format 0.0.4: the lines of one family, one series at a time.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::line::{Line, Piece, OVER};
use super::number::{float, integer};
use crate::metric::{gauge_shown, histogram_read, GaugeMode, Sample, Shown};
use crate::registry::family::{Record, Texts};
use crate::segment::layout::{counter, entry, KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM, STATE_LIVE};
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

    /// Appends the lines of a family's series, unless it is hidden. False, and nothing appended, if its record is damaged.
    #[inline(always)]
    pub(super) fn series(&mut self, memory: &Mapped, family: u32, at: u64, living: &[u32], out: &mut Vec<u8>) -> bool {
        let Some((record, backed)) = memory.record(at) else { return false };
        // SAFETY: an entry's fields are backed (`record`) and aligned in a record aligned to 16, as links are. All but the
        // state never change once published.
        let (parent, state, len, kind) = unsafe {
            (
                record.add(entry::PARENT as usize).cast::<u32>().read(),
                &*record.add(entry::STATE as usize).cast::<AtomicU32>(),
                record.add(entry::TEXT_LEN as usize).cast::<u16>().read(),
                record.add(entry::KIND as usize).read(),
            )
        };
        if parent != family {
            return false;
        }
        if state.load(Relaxed) & 0xff != STATE_LIVE {
            return true;
        }
        let len = usize::from(len);
        let end = self.text_at + len as u64;
        if kind != self.kind || end > backed || self.text_at < entry::SIZE {
            return false;
        }
        // SAFETY: the text lies within what is backed (checked).
        let text = unsafe { Text::new(record.add(self.text_at as usize), len, end + OVER as u64 <= backed) };
        match self.kind {
            KIND_COUNTER if self.text_at >= counter::SIZE => {
                // SAFETY: backed up to the text (checked), aligned to 8 in a record aligned to 16, accessed atomically.
                let cells = unsafe { &*record.add(counter::INTEGER as usize).cast::<[AtomicU64; 2]>() };
                let (whole, fraction) = (cells[0].load(Relaxed), cells[1].load(Relaxed));
                let mut line = self.labelled(&text, out);
                if fraction == 0 {
                    line.integer(whole);
                    line.end();
                } else {
                    line.keep();
                    float(whole as f64 + f64::from_bits(fraction), out);
                    out.push(b'\n');
                }
            }
            KIND_GAUGE => self.gauge(memory, at, &text, living, out),
            KIND_HISTOGRAM => return self.histogram(memory, at, &text, out),
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

    fn gauge(&mut self, memory: &Mapped, at: u64, text: &Text, living: &[u32], out: &mut Vec<u8>) {
        match gauge_shown(memory, at, self.mode, living, &mut self.each) {
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

    fn histogram(&mut self, memory: &Mapped, at: u64, text: &Text, out: &mut Vec<u8>) -> bool {
        let Some(sum) = histogram_read(memory, at, self.tails.len() - 1, &mut self.counts) else { return false };
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
        // SAFETY: readable for `len` bytes and `OVER` more (`new`). Label texts never change once published; in a damaged
        // segment they are some bytes or other.
        unsafe { line.raw(self.at, self.len) };
    }
}
