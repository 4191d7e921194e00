//! The text format 0.0.4: the lines of one family, one series at a time.

use super::number::{float, integer};
use crate::metric::{counter_value, gauge_shown, histogram_read, GaugeMode, Shown};
use crate::registry::family::{Record, Texts};
use crate::segment::layout::{entry, KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM};
use crate::segment::memory::Mapped;

/// What every line of a family has in common, made once for each family of a page.
pub(super) struct Lines {
    kind: u8,
    mode: GaugeMode,
    text_at: u64,
    /// `name` as its samples have it, with the open brace.
    open: Vec<u8>,
    /// `name` without a brace.
    bare: Vec<u8>,
    /// Of a histogram: `name_bucket{`, `name_sum`, `name_count`.
    bucket: Vec<u8>,
    sum: Vec<u8>,
    count: Vec<u8>,
    /// Of a histogram: `le="0.5"} ` for each bucket, `+Inf` last.
    tails: Vec<Vec<u8>>,
    counts: Vec<u64>,
    each: Vec<(u32, f64)>,
}

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
        let tails = texts.les.iter().map(String::as_str).chain(["+Inf"]).map(|le| format!("le=\"{le}\"}} ").into_bytes());
        Lines {
            kind,
            mode: record.mode(),
            text_at: record.text_at(),
            open: format!("{sample}{{").into_bytes(),
            bare: sample.into_bytes(),
            bucket: format!("{name}_bucket{{").into_bytes(),
            sum: format!("{name}_sum").into_bytes(),
            count: format!("{name}_count").into_bytes(),
            tails: if kind == KIND_HISTOGRAM { tails.collect() } else { Vec::new() },
            counts: Vec::new(),
            each: Vec::new(),
        }
    }

    /// Appends the lines of the series at `at`. False, and nothing appended, if its record is damaged.
    #[inline]
    pub(super) fn series(&mut self, memory: &Mapped, at: u64, living: &[u32], out: &mut Vec<u8>) -> bool {
        let text = (at + self.text_at, u64::from(memory.get16(at + entry::TEXT_LEN)));
        if memory.bytes(text.0, text.1).is_none() || memory.get8(at + entry::KIND) != self.kind {
            return false;
        }
        match self.kind {
            KIND_COUNTER => {
                let (whole, fraction) = counter_value(memory, at);
                labelled(memory, &self.open, &self.bare, text, out);
                if fraction == 0.0 {
                    integer(whole, out);
                } else {
                    float(whole as f64 + fraction, out);
                }
                out.push(b'\n');
            }
            KIND_GAUGE => self.gauge(memory, at, text, living, out),
            KIND_HISTOGRAM => return self.histogram(memory, at, text, out),
            _ => return false,
        }
        true
    }

    fn gauge(&mut self, memory: &Mapped, at: u64, text: (u64, u64), living: &[u32], out: &mut Vec<u8>) {
        match gauge_shown(memory, at, self.mode, living, &mut self.each) {
            Shown::Nothing => {}
            Shown::One(v) => {
                labelled(memory, &self.open, &self.bare, text, out);
                float(v, out);
                out.push(b'\n');
            }
            Shown::Each => {
                // Two processes may have chosen the same identity: the page still has each series once, the last slot's.
                self.each.reverse();
                self.each.sort_by_key(|(identity, _)| *identity);
                self.each.dedup_by_key(|(identity, _)| *identity);
                for (identity, v) in &self.each {
                    out.extend_from_slice(&self.open);
                    if text.1 > 0 {
                        memory.copy_to(text.0, text.1, out);
                        out.push(b',');
                    }
                    out.extend_from_slice(b"pid=\"");
                    integer(u64::from(*identity), out);
                    out.extend_from_slice(b"\"} ");
                    float(*v, out);
                    out.push(b'\n');
                }
            }
        }
    }

    fn histogram(&mut self, memory: &Mapped, at: u64, text: (u64, u64), out: &mut Vec<u8>) -> bool {
        let Some(sum) = histogram_read(memory, at, self.tails.len() - 1, &mut self.counts) else { return false };
        let mut total = 0u64;
        for (count, tail) in self.counts.iter().zip(&self.tails) {
            total = total.wrapping_add(*count);
            out.extend_from_slice(&self.bucket);
            if text.1 > 0 {
                memory.copy_to(text.0, text.1, out);
                out.push(b',');
            }
            out.extend_from_slice(tail);
            integer(total, out);
            out.push(b'\n');
        }
        for (name, value) in [(&self.sum, None), (&self.count, Some(total))] {
            out.extend_from_slice(name);
            if text.1 > 0 {
                out.push(b'{');
                memory.copy_to(text.0, text.1, out);
                out.push(b'}');
            }
            out.push(b' ');
            match value {
                None => float(sum, out),
                Some(n) => integer(n, out),
            }
            out.push(b'\n');
        }
        true
    }
}

/// Appends `name{text} `, or `name ` without labels.
#[inline(always)]
fn labelled(memory: &Mapped, open: &[u8], bare: &[u8], text: (u64, u64), out: &mut Vec<u8>) {
    if text.1 == 0 {
        out.extend_from_slice(bare);
        out.push(b' ');
        return;
    }
    out.extend_from_slice(open);
    memory.copy_to(text.0, text.1, out);
    out.extend_from_slice(b"} ");
}
