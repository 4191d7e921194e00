//! Native buckets, as formats write them.

use super::protobuf::wire::{field, varint};
use super::writer::Piece;
use crate::metric::{spans, Sketch};
use crate::text::number::{float_with_point, integer};

/// Field numbers and wire types of protobuf, as in `protobuf::wire`.
mod tag {
    pub(in crate::expose) const SCHEMA: u8 = 0x28;
    pub(in crate::expose) const ZERO_THRESHOLD: u8 = 0x31;
    pub(in crate::expose) const ZERO_COUNT: u8 = 0x38;
    pub(in crate::expose) const NEGATIVE_SPAN: u8 = 0x4a;
    pub(in crate::expose) const NEGATIVE_DELTAS: u8 = 0x52;
    pub(in crate::expose) const POSITIVE_SPAN: u8 = 0x62;
    pub(in crate::expose) const POSITIVE_DELTAS: u8 = 0x6a;
    /// Its number is too large for one byte.
    pub(in crate::expose) const EXEMPLAR: [u8; 2] = [0x82, 0x01];
    pub(in crate::expose) const SPAN_OFFSET: u8 = 0x08;
    pub(in crate::expose) const SPAN_LENGTH: u8 = 0x10;
}

/// Empty buckets in a row that are written, which takes less room than a span.
const GAP: i32 = 2;

/// The fields of native buckets in a protobuf message of a histogram, and those of exemplars, which
/// are protobuf.
pub(in crate::expose) fn fields(sketch: &Sketch, exemplars: impl Iterator<Item = Vec<u8>>) -> Piece {
    let mut out = vec![tag::SCHEMA];
    varint(zigzag(i64::from(sketch.schema)), &mut out);
    out.push(tag::ZERO_THRESHOLD);
    out.extend_from_slice(&sketch.zero_threshold.to_le_bytes());
    out.push(tag::ZERO_COUNT);
    varint(sketch.zero_count, &mut out);
    let (mut offsets, mut counts) = (Vec::new(), Vec::new());
    for (buckets, span, deltas) in [
        (&sketch.negative, tag::NEGATIVE_SPAN, tag::NEGATIVE_DELTAS),
        (&sketch.positive, tag::POSITIVE_SPAN, tag::POSITIVE_DELTAS),
    ] {
        spans(buckets, GAP, &mut offsets, &mut counts);
        for (offset, len) in &offsets {
            put_span(span, *offset, *len, &mut out);
        }
        if counts.is_empty() {
            continue;
        }
        let (mut packed, mut before) = (Vec::new(), 0u64);
        for count in &counts {
            varint(zigzag(count.wrapping_sub(before) as i64), &mut packed);
            before = *count;
        }
        field(deltas, &packed, &mut out);
    }
    // Without it, nothing would say that this is a native histogram.
    let has_buckets = sketch.zero_count > 0 || !sketch.positive.is_empty() || !sketch.negative.is_empty();
    if sketch.zero_threshold == 0.0 && !has_buckets {
        put_span(tag::POSITIVE_SPAN, 0, 0, &mut out);
    }
    for exemplar in exemplars {
        out.push(tag::EXEMPLAR[0]);
        field(tag::EXEMPLAR[1], &exemplar, &mut out);
    }
    Piece::new(&out)
}

fn put_span(tag: u8, offset: i32, len: u32, out: &mut Vec<u8>) {
    let mut span = vec![tag::SPAN_OFFSET];
    varint(zigzag(i64::from(offset)), &mut span);
    span.push(tag::SPAN_LENGTH);
    varint(u64::from(len), &mut span);
    field(tag, &span, out);
}

/// A number with a sign, as protobuf's sint64 has it.
fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

/// Appends native buckets to a composite value of OpenMetrics 2.0.0, which leaves out empty ones.
pub(in crate::expose) fn openmetrics2(sketch: &Sketch, out: &mut Vec<u8>) {
    out.extend_from_slice(format!(",schema:{},zero_threshold:", sketch.schema).as_bytes());
    float_with_point(sketch.zero_threshold, out);
    out.extend_from_slice(b",zero_count:");
    integer(sketch.zero_count, out);
    let (mut offsets, mut counts) = (Vec::new(), Vec::new());
    for (sign, buckets) in [("negative", &sketch.negative), ("positive", &sketch.positive)] {
        if buckets.is_empty() {
            continue;
        }
        spans(buckets, 0, &mut offsets, &mut counts);
        let spans: Vec<String> = offsets.iter().map(|(offset, len)| format!("{offset}:{len}")).collect();
        let counts: Vec<String> = counts.iter().map(u64::to_string).collect();
        let (spans, counts) = (spans.join(","), counts.join(","));
        out.extend_from_slice(format!(",{sign}_spans:[{spans}],{sign}_buckets:[{counts}]").as_bytes());
    }
}
