//! The choice of the format that writes a family.

use super::family::View;
use super::snapshot::{FamilyReader, Rendered};
use super::walk;
use super::walk::SeriesWalk;
use crate::expose::format::exposition::{Exposition, Format};
use crate::expose::format::openmetrics2::OpenMetrics2Encoder;
use crate::expose::format::plain::PlainFamily;
use crate::expose::format::protobuf;
use crate::expose::format::protobuf::ProtobufEncoder;
use crate::expose::format::text::TextEncoder;
use crate::expose::values::PointsEncoder;

/// What a point counts for where bytes are counted.
pub(in crate::expose) const POINT: usize = 64;

/// A family in the making, in any format.
pub(in crate::expose) enum Encoder {
    Text(TextEncoder),
    OpenMetrics2(OpenMetrics2Encoder),
    Protobuf(ProtobufEncoder),
    /// Values instead of a page.
    Points(Box<PointsEncoder>),
}

impl Encoder {
    /// Begins a family. `spare` is a buffer to use again.
    pub(in crate::expose) fn new(view: View, exposition: Exposition, spare: &mut Vec<u8>, out: &mut Vec<u8>) -> Self {
        match exposition.format() {
            Format::Text | Format::Text1 | Format::OpenMetrics => {
                Encoder::Text(TextEncoder::new(view, exposition, out))
            }
            Format::OpenMetrics2 => Encoder::OpenMetrics2(OpenMetrics2Encoder::new(view, out)),
            Format::Protobuf => {
                // Nothing is appended before the family is whole: so it is made in the caller's
                // buffer, if that is empty.
                let buffer = if out.is_empty() && out.capacity() > spare.capacity() { out } else { spare };
                Encoder::Protobuf(ProtobufEncoder::new(view, std::mem::take(buffer)))
            }
        }
    }

    /// Appends the series at `at`, as it was at one moment.
    #[inline(always)]
    pub(in crate::expose) fn series(&mut self, reader: &FamilyReader<'_>, at: u64, out: &mut Vec<u8>) -> Rendered {
        match self {
            Encoder::Text(text) => text.series(reader, at, out),
            Encoder::OpenMetrics2(openmetrics2) => openmetrics2.series(reader, at, out),
            Encoder::Protobuf(protobuf) => protobuf.series(reader, at),
            Encoder::Points(points) => points.series(reader, at, out),
        }
    }

    /// Appends series until `until` bytes are there (or as many more held), or the walk ends.
    pub(in crate::expose) fn render(
        &mut self,
        reader: &FamilyReader<'_>,
        walk: &mut SeriesWalk,
        out: &mut Vec<u8>,
        until: usize,
    ) {
        match self {
            Encoder::Text(text) if text.has_fast_path() => return walk::render(text, reader, walk, out, until),
            Encoder::Protobuf(protobuf) if protobuf.has_fast_path() => {
                return protobuf.render(reader, walk, until - out.len())
            }
            _ => {}
        }
        let most = self.held().saturating_add(until - out.len());
        while out.len() < until && self.held() < most {
            let Some(at) = walk.step(reader.memory) else { break };
            walk.note(self.series(reader, at, out));
        }
    }

    /// Bytes that are put together and not yet appended.
    #[inline(always)]
    pub(in crate::expose) fn held(&self) -> usize {
        match self {
            Encoder::Protobuf(protobuf) => protobuf.held(),
            Encoder::Points(points) => points.len() * POINT,
            _ => 0,
        }
    }

    /// Goes on with the series of the family's namesake in another segment.
    pub(in crate::expose) fn continued(self, view: View, exposition: Exposition) -> Self {
        match self {
            Encoder::Text(_) => Encoder::Text(TextEncoder::new(view, exposition, &mut Vec::new())),
            Encoder::OpenMetrics2(_) => Encoder::OpenMetrics2(OpenMetrics2Encoder::new(view, &mut Vec::new())),
            Encoder::Protobuf(protobuf) => Encoder::Protobuf(protobuf.continued(view)),
            Encoder::Points(points) => Encoder::Points(Box::new(points.continued(view))),
        }
    }

    /// Ends the family.
    pub(in crate::expose) fn finish(self, spare: &mut Vec<u8>, out: &mut Vec<u8>) {
        if let Encoder::Protobuf(protobuf) = self {
            *spare = protobuf.finish(out);
        }
    }
}

/// Appends a family that is in no segment.
pub(in crate::expose) fn plain(family: &PlainFamily<'_>, format: Format, out: &mut Vec<u8>) {
    match format {
        Format::Protobuf => protobuf::plain(family, out),
        _ => family.write_text(format, out),
    }
}

/// Ends a page.
pub(in crate::expose) fn end(format: Format, out: &mut Vec<u8>) {
    if matches!(format, Format::OpenMetrics | Format::OpenMetrics2) {
        out.extend_from_slice(b"# EOF\n");
    }
}
