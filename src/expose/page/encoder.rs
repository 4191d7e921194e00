use super::family::View;
use super::snapshot::{Page, Shot};
use super::walk;
use super::walk::Run;
use crate::expose::format::exposition::{Exposition, Format};
use crate::expose::format::openmetrics2::Composite;
use crate::expose::format::plain::Own;
use crate::expose::format::protobuf;
use crate::expose::format::protobuf::Messages;
use crate::expose::format::text::Lines;
use crate::expose::values::Gather;

/// What a point counts for where bytes are counted.
pub(in crate::expose) const POINT: usize = 64;

/// A family in the making, in any format.
pub(in crate::expose) enum Encoder {
    Lines(Lines),
    Composite(Composite),
    Messages(Messages),
    /// Values instead of a page.
    Points(Box<Gather>),
}

impl Encoder {
    /// Begins a family. `spare` is a buffer to use again.
    pub(in crate::expose) fn new(view: View, exposition: Exposition, spare: &mut Vec<u8>, out: &mut Vec<u8>) -> Self {
        match exposition.format() {
            Format::Text | Format::Text1 | Format::OpenMetrics => Encoder::Lines(Lines::new(view, exposition, out)),
            Format::OpenMetrics2 => Encoder::Composite(Composite::new(view, out)),
            Format::Protobuf => {
                // Nothing is appended before the family is whole: so it is made in the caller's
                // buffer, if that is empty.
                let buffer = if out.is_empty() && out.capacity() > spare.capacity() { out } else { spare };
                Encoder::Messages(Messages::new(view, std::mem::take(buffer)))
            }
        }
    }

    /// Appends the series at `at`, as it was at one moment.
    #[inline(always)]
    pub(in crate::expose) fn series(&mut self, page: &Page<'_>, at: u64, out: &mut Vec<u8>) -> Shot {
        match self {
            Encoder::Lines(lines) => lines.series(page, at, out),
            Encoder::Composite(lines) => lines.series(page, at, out),
            Encoder::Messages(messages) => messages.series(page, at),
            Encoder::Points(points) => points.series(page, at, out),
        }
    }

    /// Appends series until `until` bytes are there (or as many more held), or the walk ends.
    pub(in crate::expose) fn run(&mut self, page: &Page<'_>, run: &mut Run, out: &mut Vec<u8>, until: usize) {
        match self {
            Encoder::Lines(lines) if lines.has_usual() => return walk::run(lines, page, run, out, until),
            Encoder::Messages(messages) if messages.has_usual() => return messages.run(page, run, until - out.len()),
            _ => {}
        }
        let most = self.held().saturating_add(until - out.len());
        while out.len() < until && self.held() < most {
            let Some(at) = run.step(page.memory) else { break };
            run.note(self.series(page, at, out));
        }
    }

    /// Bytes that are put together and not yet appended.
    #[inline(always)]
    pub(in crate::expose) fn held(&self) -> usize {
        match self {
            Encoder::Messages(messages) => messages.held(),
            Encoder::Points(points) => points.len() * POINT,
            _ => 0,
        }
    }

    /// Goes on with the series of the family's namesake in another segment.
    pub(in crate::expose) fn continued(self, view: View, exposition: Exposition) -> Self {
        match self {
            Encoder::Lines(_) => Encoder::Lines(Lines::new(view, exposition, &mut Vec::new())),
            Encoder::Composite(_) => Encoder::Composite(Composite::new(view, &mut Vec::new())),
            Encoder::Messages(messages) => Encoder::Messages(messages.continued(view)),
            Encoder::Points(points) => Encoder::Points(Box::new(points.continued(view))),
        }
    }

    /// Ends the family.
    pub(in crate::expose) fn finish(self, spare: &mut Vec<u8>, out: &mut Vec<u8>) {
        if let Encoder::Messages(messages) = self {
            *spare = messages.finish(out);
        }
    }
}

/// Appends a family that is in no segment.
pub(in crate::expose) fn plain(family: &Own<'_>, format: Format, out: &mut Vec<u8>) {
    match format {
        Format::Protobuf => protobuf::own(family, out),
        _ => family.lines(format, out),
    }
}

/// Ends a page.
pub(in crate::expose) fn end(format: Format, out: &mut Vec<u8>) {
    if matches!(format, Format::OpenMetrics | Format::OpenMetrics2) {
        out.extend_from_slice(b"# EOF\n");
    }
}
