//! The cursor, which renders a page piece by piece.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use super::closing;
use super::closing::Shown;
use super::encoder;
use super::encoder::Encoder;
use super::family as shown;
use super::filter::Filter;
use super::segments::{Part, Segments};
use super::snapshot::{FamilyReader, Rendered};
use super::walk::SeriesWalk;
use crate::expose::external::ExternalFamily;
use crate::expose::format::exposition::Exposition;
use crate::expose::source::Look;
use crate::expose::values;
use crate::expose::values::{Point, PointsEncoder};
use crate::kind::Kind;
use crate::os::host::Undisturbed;
use crate::record::family::Record;
use crate::shm::list::{announcements, CycleDetector, Walk};

/// A page being rendered, a piece at a time: for event loops that must not stall, and for pages
/// larger than memory.
///
/// Each piece ends between two series, so what belongs together is read together. The page as a
/// whole is not of one instant: series are read as the cursor comes to them, as in every Prometheus
/// client.
///
/// Made by [`Page::cursor`](crate::Page::cursor). A cursor implements [`Read`], for the body of an
/// HTTP response or a compressor.
pub struct Cursor<'a> {
    segments: Segments<'a>,
    at: Position,
    /// The walk along the families of the leading segment.
    families: Walk,
    /// The family that is rendered, in the leading segment.
    family: u32,
    /// The family of the first segment that comes before all others; 0 for none.
    first: u32,
    /// Whether the family, a counter, is shown under its exact name.
    exact: bool,
    encoder: Option<Encoder>,
    /// A buffer of the encoder before, to use again.
    spare: Vec<u8>,
    /// Announcements in the family when it was begun.
    births: u32,
    /// Series shown.
    shown: u64,
    /// Detects a cycle in the chain of the family's series.
    series: CycleDetector,
    /// Steps left, in case bytes are damaged faster than they are read.
    budget: u64,
    busy: Duration,
    pending: Pending,
    exposition: Exposition,
    filter: Filter,
    /// Families that are in no segment.
    external: Vec<ExternalFamily>,
    /// Gauges that merge the values of processes are shown process by process.
    is_per_process: bool,
    /// Points that wait to be taken, where points are wanted instead of a page.
    points: Option<VecDeque<Point>>,
}

/// What did not fit into the caller's last buffer.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    taken: usize,
}

impl Pending {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    fn take(&mut self, len: usize) {
        self.taken += len;
    }
}

/// Where a cursor is.
#[derive(Clone, Copy)]
enum Position {
    /// At this family, which comes before all others.
    First(u32),
    /// Before the next family of the walk.
    Families,
    /// In a family, at this series, or at its embedded series if that is 0.
    Series(u32, u32),
    Closing,
    Done,
}

/// A piece is ended after this many bytes.
pub(in crate::expose) const PIECE: usize = 32 * 1024;

impl<'a> Cursor<'a> {
    pub(super) fn new(
        mut segments: Segments<'a>,
        exposition: Exposition,
        filter: Filter,
        external: Vec<ExternalFamily>,
        is_per_process: bool,
    ) -> Self {
        let _undisturbed = Undisturbed::new();
        let start = Instant::now();
        segments.prepare(exposition.escaping());
        let mut cursor = Cursor {
            at: Position::Closing,
            families: Walk::default(),
            family: 0,
            first: segments.target(),
            exact: false,
            encoder: None,
            spare: Vec::new(),
            births: 0,
            shown: 0,
            series: CycleDetector::default(),
            budget: segments.parts.iter().map(Part::records).sum(),
            busy: Duration::ZERO,
            pending: Pending::default(),
            segments,
            exposition,
            filter,
            external,
            is_per_process,
            points: None,
        };
        cursor.lead(0);
        if cursor.first > 0 {
            cursor.at = Position::First(cursor.first);
        }
        cursor.busy = start.elapsed();
        cursor
    }

    /// Goes to the families of a segment, or beyond those of the last one.
    fn lead(&mut self, part: usize) {
        self.segments.lead = part;
        self.at = Position::Closing;
        if let Some(part) = self.segments.parts.get(part) {
            (self.at, self.families) = (Position::Families, part.walk());
        }
    }

    /// From here on, points are gathered instead of a page.
    pub(in crate::expose) fn gather(&mut self) {
        self.points = Some(VecDeque::new());
    }

    /// Appends the next points. False: these were the last.
    pub(in crate::expose) fn gather_more(&mut self, to: &mut VecDeque<Point>) -> bool {
        let more = self.render(&mut Vec::new(), PIECE);
        if let Some(points) = &mut self.points {
            to.append(points);
        }
        if let Some(Encoder::Points(gather)) = &mut self.encoder {
            gather.take(to);
        }
        more
    }

    /// Appends the next piece, about 32 KiB, to `out`. `false`: the page is complete, and nothing
    /// was appended. (Nor is anything appended by some calls that return `true`, where a large
    /// family is put together in protobuf.)
    pub fn fill(&mut self, out: &mut Vec<u8>) -> bool {
        let rest = self.pending.rest();
        if rest.is_empty() {
            return self.render(out, PIECE);
        }
        out.extend_from_slice(rest);
        self.pending.take(rest.len());
        true
    }

    /// Copies the next bytes of the page to `buffer` and returns how many; 0 once the page is
    /// complete.
    pub(crate) fn copy_to(&mut self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.pending.rest().is_empty() {
                let mut bytes = std::mem::take(&mut self.pending).bytes;
                bytes.clear();
                let more = self.render(&mut bytes, PIECE.min(buffer.len() - filled));
                self.pending.bytes = bytes;
                if !more {
                    break;
                }
            }
            let rest = self.pending.rest();
            let n = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + n].copy_from_slice(&rest[..n]);
            self.pending.take(n);
            filled += n;
        }
        filled
    }

    /// Renders at least `piece` bytes, if there are so many.
    pub(in crate::expose) fn render(&mut self, out: &mut Vec<u8>, piece: usize) -> bool {
        let _undisturbed = Undisturbed::new();
        let start = Instant::now();
        let from = out.len();
        let held = self.held();
        while (out.len() - from).max(self.held().saturating_sub(held)) < piece {
            match self.at {
                Position::Closing => {
                    self.at = Position::Done;
                    let busy = self.busy + start.elapsed();
                    self.close(busy, out);
                }
                Position::Done => break,
                _ => self.advance(out, from.saturating_add(piece)),
            }
        }
        self.busy += start.elapsed();
        out.len() > from || !matches!(self.at, Position::Done)
    }

    /// Looks at all values of the only segment. `None`: it is damaged.
    pub(in crate::expose) fn look(mut self) -> Option<Look> {
        let mut page = Vec::new();
        while !matches!(self.at, Position::Closing | Position::Done) {
            page.clear();
            self.advance(&mut page, PIECE);
        }
        let is_whole = self.budget > 0;
        self.segments.parts.pop().map(|part| part.look).filter(|_| is_whole)
    }

    /// Renders what comes next in the segments: a family's beginning, series until `until` bytes
    /// are there, or a family's end.
    fn advance(&mut self, out: &mut Vec<u8>, until: usize) {
        match self.at {
            Position::First(link) => {
                self.at = Position::Families;
                self.begin(link, out);
            }
            Position::Families => self.next_family(out),
            Position::Series(family, 0) => self.end(family, out),
            Position::Series(family, link) => self.series(family, link, out, until),
            Position::Closing | Position::Done => {}
        }
    }

    /// Renders the families that are in no segment, and the end of the page.
    fn close(&mut self, busy: Duration, out: &mut Vec<u8>) {
        let external = closing::without_clashes(std::mem::take(&mut self.external), &mut self.segments);
        let is_whole = self.filter.is_empty() && self.budget > 0;
        let shown = Shown { series: self.shown, busy, is_whole };
        let own = closing::own_families(&self.segments, shown, !external.is_empty());
        for family in external.iter().map(ExternalFamily::plain).chain(own) {
            if family.samples.is_empty() || !self.filter.admits(family.name, family.name) {
                continue;
            }
            match &mut self.points {
                Some(points) => values::plain(&family, points),
                None => encoder::plain(&family, self.exposition.format(), out),
            }
        }
        if self.points.is_none() {
            encoder::end(self.exposition.format(), out);
        }
    }

    fn held(&self) -> usize {
        let points = self.points.as_ref().map_or(0, |points| points.len() * encoder::POINT);
        self.encoder.as_ref().map_or(0, Encoder::held) + points
    }

    fn spend(&mut self) -> bool {
        self.budget = self.budget.saturating_sub(1);
        if self.budget == 0 {
            self.stop();
        }
        self.budget > 0
    }

    /// Ends the families, for damage.
    fn stop(&mut self) {
        self.segments.lead_mut().corrupt += 1;
        self.at = Position::Closing;
    }

    fn next_family(&mut self, out: &mut Vec<u8>) {
        match self.families.step(&self.segments.lead().memory) {
            // Shown already, out of its place.
            Some(link) if self.segments.lead == 0 && link == self.first => _ = self.spend(),
            Some(link) => self.begin(link, out),
            None => {
                // A damaged chain ends the families of its own segment alone.
                self.segments.lead_mut().corrupt += u64::from(self.families.closing().is_some());
                self.lead(self.segments.lead + 1);
            }
        }
    }

    /// Begins a family of the leading segment, if the page shows the family.
    fn begin(&mut self, link: u32, out: &mut Vec<u8>) {
        if !self.spend() {
            return;
        }
        let memory = self.segments.lead().memory;
        let record = Record::at_link(&memory, link);
        if record.is_retired() {
            return self.segments.lead_mut().note_retired(link);
        }
        let Some(texts) = self.segments.lead().texts(&record) else {
            self.segments.lead_mut().corrupt += 1;
            return;
        };
        if self.segments.lead().is_new(&record) {
            // The families that are compared are charged, as this may happen for each family.
            self.budget = self.budget.saturating_sub(self.segments.lead().passed() as u64);
            let is_in_time = self.segments.lead().is_in_time(&record, &texts.name);
            if !is_in_time {
                if self.budget == 0 {
                    self.at = Position::Closing;
                }
                return;
            }
        }
        if self.segments.is_clashing(link) || self.segments.is_done(&texts.name) {
            return;
        }
        let shown = shown::base(&record, &texts, self.exposition);
        if !self.filter.admits(&texts.name, &shown) {
            return;
        }
        self.segments.begin(link, &texts);
        self.family = link;
        let view = self.segments.lead().view(&record, texts, self.exposition).per_process(self.is_per_process);
        self.exact = view.exact;
        self.encoder = Some(match self.points {
            Some(_) => Encoder::Points(Box::new(PointsEncoder::new(view))),
            None => Encoder::new(view, self.exposition, &mut self.spare, out),
        });
        self.enter(link);
    }

    /// Goes on with the series of a family.
    fn enter(&mut self, link: u32) {
        let record = self.segments.part().record(link);
        let (births, first) = (announcements(record.memory, record.list()), record.first());
        self.series = CycleDetector::default();
        (self.births, self.at) = (births, Position::Series(link, first));
    }

    /// To the same family in the next segment that has it. False: there is none.
    fn continue_in_next(&mut self, kind: Kind, name: &str) -> bool {
        let Some((link, texts)) = self.segments.continue_in_next(kind, name) else { return false };
        let part = self.segments.part();
        let view = part.view(&part.record(link), texts, self.exposition).called(self.exact);
        let view = view.per_process(self.is_per_process);
        self.encoder = self.encoder.take().map(|encoder| encoder.continued(view, self.exposition));
        self.enter(link);
        true
    }

    /// Renders series from this one on, until `until` bytes are there (or as many more held) or the
    /// family ends.
    fn series(&mut self, family: u32, link: u32, out: &mut Vec<u8>, until: usize) {
        let Some(mut encoder) = self.encoder.take() else { return };
        let corrupt = self.segments.part().corrupt;
        let mut walk = SeriesWalk { link, cycle: self.series, budget: self.budget, shown: self.shown, corrupt };
        if self.segments.has_doubles() {
            let most = encoder.held().saturating_add(until - out.len());
            while out.len() < until && encoder.held() < most {
                let Some(at) = walk.step(&self.segments.part().memory) else { break };
                if let Some(rendered) = self.render_unless_double(&mut encoder, family, Some(self.births), at, out) {
                    walk.note(rendered);
                }
            }
        } else {
            self.read_family(family, Some(self.births), |reader| encoder.render(reader, &mut walk, out, until));
        }
        self.encoder = Some(encoder);
        (self.series, self.budget, self.shown) = (walk.cycle, walk.budget, walk.shown);
        self.segments.part_mut().corrupt = walk.corrupt;
        self.at = if self.budget > 0 { Position::Series(family, walk.link) } else { Position::Closing };
    }

    /// Calls `read` with a reader of a family's series, and adds the values to the look.
    #[inline(always)]
    fn read_family<T>(&mut self, family: u32, births: Option<u32>, read: impl FnOnce(&FamilyReader<'_>) -> T) -> T {
        let Part { memory, living, allowance, look, .. } = self.segments.part_mut();
        let reader = FamilyReader::new(memory, family, births, living, allowance);
        let result = read(&reader);
        look.add(reader.digest.sum());
        result
    }

    /// Renders a series. `None`: an earlier segment has shown a series with these labels.
    fn render_unless_double(
        &mut self,
        encoder: &mut Encoder,
        family: u32,
        births: Option<u32>,
        at: u64,
        out: &mut Vec<u8>,
    ) -> Option<Rendered> {
        if self.segments.is_double(at, self.exposition.escaping()) {
            return None;
        }
        Some(self.read_family(family, births, |reader| encoder.series(reader, at, out)))
    }

    /// The embedded series comes last: the only one, or the overflow series if it was used.
    fn end(&mut self, family: u32, out: &mut Vec<u8>) {
        let memory = self.segments.part().memory;
        let record = Record::at_link(&memory, family);
        if let Some(mut encoder) = self.encoder.take() {
            match self.render_unless_double(&mut encoder, family, None, record.overflow_at(), out) {
                // An overflow series is not one of its own.
                Some(Rendered::Shown) => self.shown += u64::from(record.label_count() == 0),
                Some(Rendered::Hidden) | None => {}
                Some(Rendered::Damaged) => self.segments.part_mut().corrupt += 1,
            }
            self.encoder = Some(encoder);
        }
        if self.segments.parts.len() > 1 {
            let name = record.texts().map(|t| t.name).unwrap_or_default();
            if self.continue_in_next(record.kind(), &name) {
                return;
            }
        }
        match (self.encoder.take(), &mut self.points) {
            (Some(Encoder::Points(mut gather)), Some(points)) => gather.take(points),
            (Some(encoder), _) => encoder.finish(&mut self.spare, out),
            (None, _) => {}
        }
        self.at = Position::Families;
    }
}

/// Reads the bytes of the page, with buffers of any size, down to one byte. It never fails.
///
/// ```
/// use shmetrics::{Format, Options};
/// use std::io::Read;
/// let segment = Options::new().anonymous().open()?;
/// let (mut cursor, mut page) = (segment.page(Format::OpenMetrics).cursor(), String::new());
/// cursor.read_to_string(&mut page)?;
/// assert!(page.ends_with("# EOF\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Read for Cursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.copy_to(buffer))
    }

    fn read_to_end(&mut self, out: &mut Vec<u8>) -> io::Result<usize> {
        let from = out.len();
        while self.fill(out) {}
        Ok(out.len() - from)
    }
}

impl std::fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("done", &matches!(self.at, Position::Done)).finish_non_exhaustive()
    }
}
