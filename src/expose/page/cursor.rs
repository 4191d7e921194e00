//! The cursor, which renders a page piece by piece.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::Ordering::Acquire;
use std::time::{Duration, Instant};

use super::allowance::Allowance;
use super::encoder;
use super::encoder::Encoder;
use super::family as shown;
use super::family::{ConstLabels, View};
use super::snapshot::{FamilyReader, Rendered};
use super::walk::{next, SeriesWalk};
use crate::expose::external::ExternalFamily;
use crate::expose::format::exposition::{Exposition, Format};
use crate::expose::self_metrics;
use crate::expose::source::{Look, Source};
use crate::expose::values;
use crate::expose::values::{Point, PointsEncoder};
use crate::kind::Kind;
use crate::os::host::Undisturbed;
use crate::record::family::{Record, Texts};
use crate::segment::const_labels::labels_in;
use crate::shm::layout::offset;
use crate::shm::layout::{entry, header, GRANULE};
use crate::shm::list::{announcements, is_later, settled, CycleDetector, FAMILIES};
use crate::shm::memory::{Mapped, Memory};
use crate::shm::state;
use crate::shm::state::State;
use crate::text::escaping::Escaping;
use crate::text::label_set;
use crate::text::names;
use crate::text::names::{samples, Named};

/// A page being rendered, a piece at a time: for event loops that must not stall, and for pages
/// larger than memory.
///
/// Each piece ends between two series, so what belongs together is read together. The page as a
/// whole is not of one instant: series are read as the cursor comes to them, as in every Prometheus
/// client.
#[allow(clippy::struct_excessive_bools)] // Each is a question of its own.
pub struct Cursor<'a> {
    /// The segments on the page: one, mostly.
    parts: Vec<Part<'a>>,
    at: Place,
    /// The part whose families are gone through, and the one whose series of a family are.
    lead: usize,
    part: usize,
    /// The family that is gone through, in `lead`.
    family: u32,
    /// The one that comes before all others, whichever was registered first; 0 for none.
    first: u32,
    first_begun: bool,
    first_ended: bool,
    /// Whether the family, a counter, is shown under its exact name.
    exact: bool,
    /// What series of the family were shown, where several parts might have the same.
    shown_texts: Option<HashSet<String>>,
    encoder: Option<Encoder>,
    /// A buffer of the encoder before, to use again.
    spare: Vec<u8>,
    /// Announcements in the family when it was begun.
    births: u32,
    /// Series shown.
    shown: u64,
    /// The chains of families and of the family's series, against damaged links.
    families: CycleDetector,
    series: CycleDetector,
    /// Steps left, in case bytes are damaged faster than they are read.
    budget: u64,
    corrupt: u64,
    /// Families and series left out because another part has them otherwise, or too.
    conflicts: u64,
    busy: Duration,
    /// What did not fit into the last small buffer.
    pending: Vec<u8>,
    taken: usize,
    exposition: Exposition,
    has_begun: bool,
    /// The only families wanted, by the names of their samples; all of them if empty.
    only: HashSet<String>,
    /// Families that are in no segment.
    external: Vec<ExternalFamily>,
    /// Points that wait to be taken, where points are wanted instead of a page.
    points: Option<VecDeque<Point>>,
}

/// A segment on a page.
struct Part<'a> {
    memory: Mapped,
    source: Source<'a>,
    /// The generations of the living processes' slots, as of the start.
    living: Vec<u32>,
    /// The values that were read so far.
    look: Look,
    /// What may still be read of it.
    allowance: Allowance,
    /// The labels that all its series have in front.
    const_labels: Labels,
    /// Those without the label `segment`, for families that have one of that name.
    plain: Labels,
    /// Those of its own families.
    self_labels: Labels,
    is_labelled: bool,
    /// Its families by name, if there are other parts.
    names: HashMap<String, u32>,
    /// Families that would be called as another one is, in a part before.
    clashing: HashSet<u32>,
    /// Families that had been announced, and settled, when the page was begun.
    families: u32,
    /// Those that the page has shown, and those that it found retired.
    begun: Vec<u32>,
    gone: Vec<u32>,
}

/// Labels that all series have, as they were given and as the page has them.
struct Labels {
    given: Vec<(String, String)>,
    shown: ConstLabels,
}

impl Labels {
    fn new(given: Vec<(String, String)>) -> Self {
        Labels { given, shown: ConstLabels::default() }
    }

    fn show(&mut self, escaping: Escaping) {
        self.shown = ConstLabels::new(&self.given, escaping);
    }
}

impl Part<'_> {
    /// Whether the series of a family with these labels have the label that tells the parts apart.
    fn tells(&self, labels: &[String]) -> bool {
        self.is_labelled && !labels.iter().any(|label| label == SEGMENT)
    }

    /// The texts of a family, charged as what is read.
    fn texts(&self, record: &Record<'_>) -> Option<Texts> {
        let len = record.texts_len()?;
        self.allowance.charge(&self.memory, len).then(|| record.texts())?
    }

    fn view(&self, record: &Record<'_>, texts: Texts, exposition: Exposition) -> View {
        let const_labels =
            if self.is_labelled && !self.tells(&texts.labels) { &self.plain } else { &self.const_labels };
        View::new(record, texts, &const_labels.shown, exposition)
    }
}

/// Where a cursor is.
#[derive(Clone, Copy)]
enum Place {
    /// At this family, not begun.
    Family(u32),
    /// In a family, at this series, or at its embedded series if that is 0.
    Series(u32, u32),
    SelfMetrics,
    Done,
}

/// The label that tells the segments of a page apart.
pub(in crate::expose) const SEGMENT: &str = "segment";

/// What samples add to their family's name.
const SUFFIXES: [&str; 9] = ["", "_total", "_created", "_info", "_bucket", "_count", "_sum", "_gcount", "_gsum"];

/// A piece is ended after this many bytes.
pub(in crate::expose) const PIECE: usize = 32 * 1024;

impl<'a> Cursor<'a> {
    pub(in crate::expose) fn new(source: Source<'a>, exposition: Exposition) -> Self {
        let _undisturbed = Undisturbed::new();
        let mut cursor = Self::empty(exposition);
        cursor.add(source, None, "");
        cursor.begin_page()
    }

    pub(in crate::expose) fn empty(exposition: Exposition) -> Self {
        Cursor {
            parts: Vec::new(),
            at: Place::SelfMetrics,
            lead: 0,
            part: 0,
            family: 0,
            first: 0,
            first_begun: false,
            first_ended: false,
            exact: false,
            shown_texts: None,
            encoder: None,
            spare: Vec::new(),
            births: 0,
            shown: 0,
            families: CycleDetector::default(),
            series: CycleDetector::default(),
            budget: 0,
            corrupt: 0,
            conflicts: 0,
            busy: Duration::ZERO,
            pending: Vec::new(),
            taken: 0,
            exposition,
            has_begun: false,
            only: HashSet::new(),
            external: Vec::new(),
            points: None,
        }
    }

    /// Adds a segment to the page. Of several, the library's own families have a label with the
    /// name.
    pub(in crate::expose) fn add(&mut self, source: Source<'a>, label: Option<(&str, &str)>, name: &str) {
        let (memory, living) = (source.memory, source.living());
        let mut labels = labels_in(&memory);
        let mut self_labels = labels.clone();
        self_labels.retain(|(label, _)| label != SEGMENT);
        if !name.is_empty() {
            self_labels.push((SEGMENT.to_owned(), name.to_owned()));
        }
        let plain = labels.clone();
        if let Some((label, value)) = label {
            labels.retain(|(other, _)| other != label);
            labels.push((label.to_owned(), value.to_owned()));
        }
        self.budget += memory.len() / GRANULE;
        self.parts.push(Part {
            memory,
            source,
            living,
            look: Look::default(),
            allowance: Allowance::default(),
            const_labels: Labels::new(labels),
            plain: Labels::new(plain),
            self_labels: Labels::new(self_labels),
            is_labelled: label.is_some(),
            names: HashMap::new(),
            clashing: HashSet::new(),
            families: settled(&memory, FAMILIES),
            begun: Vec::new(),
            gone: Vec::new(),
        });
    }

    pub(in crate::expose) fn begin_page(mut self) -> Self {
        self.first = self.parts.first().map_or(0, |part| target(&part.memory));
        self.at = if self.first > 0 { Place::Family(self.first) } else { self.head(0) };
        self
    }

    /// What depends on how the page is written.
    fn prepare(&mut self) {
        let escaping = self.exposition.escaping();
        for part in &mut self.parts {
            part.const_labels.show(escaping);
            part.plain.show(escaping);
            part.self_labels.show(escaping);
        }
        if self.parts.len() < 2 {
            return;
        }
        // Within a segment, registration sees to it that no two families have samples of one name.
        let mut owners: HashMap<String, String> = HashMap::new();
        let mut kinds: HashMap<String, Kind> = HashMap::new();
        for part in &mut self.parts {
            for (name, (link, kind, exact)) in families(&part.memory) {
                if *kinds.entry(name.clone()).or_insert(kind) != kind {
                    // Not shown, for its type: see `continue_in_next`.
                    part.names.insert(name, link);
                    continue;
                }
                let samples: Vec<String> = samples(Named { base: &name, kind, exact }, escaping).collect();
                if samples.iter().any(|sample| owners.get(sample).is_some_and(|owner| *owner != name)) {
                    part.clashing.insert(link);
                    continue;
                }
                samples.into_iter().for_each(|sample| _ = owners.entry(sample).or_insert_with(|| name.clone()));
                part.names.insert(name, link);
            }
        }
    }

    /// The first family of a part.
    fn head(&self, part: usize) -> Place {
        let Some(part) = self.parts.get(part) else { return Place::SelfMetrics };
        Place::Family(part.memory.load32(header::FAMILY_HEAD, Acquire))
    }

    /// Whether some of the page was rendered.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// As what the page is written; before it is begun.
    pub(crate) fn set_exposition(&mut self, exposition: Exposition) {
        self.exposition = exposition;
    }

    pub(crate) fn add_only(&mut self, name: &str) {
        self.only.insert(name.to_owned());
    }

    /// Only the families that have samples of these names (or are called so), whole, as scrapers
    /// ask for by `name[]`; to be called before the page is begun. A name may be as it was
    /// registered, or as the page shows it.
    #[must_use]
    pub fn only<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.only.extend(names.into_iter().map(Into::into));
        self
    }

    /// With a family that is in no segment, before those of the library. One whose name a family of
    /// a segment has, or one that was added before, is left out, and counted in
    /// `shmetrics_conflicts`. To be called before the page is begun.
    #[must_use]
    pub fn with(mut self, family: ExternalFamily) -> Self {
        self.external.push(family);
        self
    }

    /// From here on, points are gathered instead of a page, with names as they are.
    pub(in crate::expose) fn gather(&mut self) {
        self.exposition = Exposition::new(Format::OpenMetrics).with_escaping(Escaping::AllowUtf8);
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
        if self.taken < self.pending.len() {
            out.extend_from_slice(&self.pending[self.taken..]);
            self.taken = self.pending.len();
            return true;
        }
        self.render(out, PIECE)
    }

    /// Copies the next bytes of the page to `buffer` and returns how many; 0 once the page is
    /// complete. Any size of buffer will do, down to one byte.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.taken == self.pending.len() {
                let mut pending = std::mem::take(&mut self.pending);
                pending.clear();
                self.taken = 0;
                let more = self.render(&mut pending, PIECE.min(buffer.len() - filled));
                self.pending = pending;
                if !more {
                    break;
                }
            }
            let n = (buffer.len() - filled).min(self.pending.len() - self.taken);
            buffer[filled..filled + n].copy_from_slice(&self.pending[self.taken..self.taken + n]);
            self.taken += n;
            filled += n;
        }
        filled
    }

    /// Renders at least `piece` bytes, if there are so many.
    pub(in crate::expose) fn render(&mut self, out: &mut Vec<u8>, piece: usize) -> bool {
        let _undisturbed = Undisturbed::new();
        let start = Instant::now();
        if !self.has_begun {
            self.has_begun = true;
            self.prepare();
        }
        let from = out.len();
        let held = self.held();
        while (out.len() - from).max(self.held().saturating_sub(held)) < piece {
            match self.at {
                Place::Family(0) => {
                    self.lead += 1;
                    self.families = CycleDetector::default();
                    self.at = self.head(self.lead);
                }
                Place::Family(link) => self.begin(link, out),
                Place::Series(family, 0) => self.end(family, out),
                Place::Series(family, link) => self.series(family, link, out, from.saturating_add(piece)),
                Place::SelfMetrics => {
                    self.at = Place::Done;
                    let busy = self.busy + start.elapsed();
                    self.self_metrics(busy, out);
                    if self.points.is_none() {
                        encoder::end(self.exposition.format(), out);
                    }
                }
                Place::Done => break,
            }
        }
        self.busy += start.elapsed();
        out.len() > from || !matches!(self.at, Place::Done)
    }

    /// Looks at all values of the only segment. `None`: it is damaged.
    pub(in crate::expose) fn look(mut self) -> Option<Look> {
        self.prepare();
        let mut page = Vec::new();
        while !matches!(self.at, Place::SelfMetrics | Place::Done) {
            page.clear();
            match self.at {
                Place::Family(0) => {
                    self.lead += 1;
                    self.at = self.head(self.lead);
                }
                Place::Family(link) => self.begin(link, &mut page),
                Place::Series(family, 0) => self.end(family, &mut page),
                Place::Series(family, link) => self.series(family, link, &mut page, PIECE),
                _ => {}
            }
        }
        let is_whole = self.budget > 0;
        self.parts.pop().map(|part| part.look).filter(|_| is_whole)
    }

    fn self_metrics(&mut self, busy: Duration, out: &mut Vec<u8>) {
        let several = self.parts.len() > 1;
        let external = self.external_families();
        let mut families: Vec<crate::expose::format::plain::PlainFamily<'_>> = Vec::new();
        let is_whole = self.only.is_empty() && self.budget > 0;
        for part in &self.parts {
            let mut state = part.source.state();
            state.updated = part.source.updated(Some(&part.look).filter(|_| is_whole));
            for (i, mut family) in
                self_metrics::segment_families(&part.memory, &part.living, &state).into_iter().enumerate()
            {
                family.add_labels(&part.self_labels.shown);
                match families.get_mut(i) {
                    Some(first) => first.samples.append(&mut family.samples),
                    None => families.push(family),
                }
            }
        }
        let const_labels = if several {
            ConstLabels::default()
        } else {
            self.parts.first().map_or_else(ConstLabels::default, |p| p.self_labels.shown.clone())
        };
        for mut family in self_metrics::page_families(
            [self.shown, self.corrupt, self.conflicts],
            busy,
            several || !external.is_empty(),
        ) {
            family.add_labels(&const_labels);
            families.push(family);
        }
        for family in external.iter().map(ExternalFamily::plain).chain(families) {
            if family.samples.is_empty() || !self.wanted(family.name, family.name) {
                continue;
            }
            match &mut self.points {
                Some(points) => values::plain(&family, points),
                None => encoder::plain(&family, self.exposition.format(), out),
            }
        }
    }

    /// The families that are in no segment and clash with none that is, nor with each other.
    fn external_families(&mut self) -> Vec<ExternalFamily> {
        let mut taken: Vec<(String, Kind, bool)> = Vec::new();
        if !self.external.is_empty() {
            for memory in self.parts.iter().map(|part| part.memory) {
                taken.extend(families(&memory).into_iter().map(|(name, (_, kind, exact))| (name, kind, exact)));
            }
        }
        let mut kept = Vec::new();
        for external in std::mem::take(&mut self.external) {
            let clashes =
                |(base, kind, exact): &(String, _, _)| external.clashes(Named { base, kind: *kind, exact: *exact });
            if taken.iter().any(clashes) {
                self.conflicts += 1;
            } else {
                taken.push((external.name().to_owned(), external.kind(), false));
                kept.push(external);
            }
        }
        kept
    }

    fn held(&self) -> usize {
        let points = self.points.as_ref().map_or(0, |points| points.len() * encoder::POINT);
        self.encoder.as_ref().map_or(0, Encoder::held) + points
    }

    fn spend(&mut self) -> bool {
        self.budget = self.budget.saturating_sub(1);
        if self.budget == 0 {
            self.corrupt += 1;
            self.at = Place::SelfMetrics;
        }
        self.budget > 0
    }

    fn begin(&mut self, link: u32, out: &mut Vec<u8>) {
        if !self.spend() {
            return;
        }
        if self.families.closes(link) {
            self.corrupt += 1;
            self.at = Place::SelfMetrics;
            return;
        }
        let memory = self.parts[self.lead].memory;
        let record = Record::new(&memory, offset(link));
        if self.lead == 0 && link == self.first && std::mem::replace(&mut self.first_begun, true) {
            self.at = self.after(link);
            return;
        }
        if record.is_retired() {
            let part = &mut self.parts[self.lead];
            part.gone.push(link);
            // Another part may have a family of this name.
            part.names.retain(|_, its| *its != link);
            self.at = self.after(link);
            return;
        }
        let Some(texts) = self.parts[self.lead].texts(&record) else {
            self.corrupt += 1;
            self.at = self.after(link);
            return;
        };
        if !self.is_in_time(&record, &texts.name) {
            self.at = if self.budget > 0 { self.after(link) } else { Place::SelfMetrics };
            return;
        }
        if self.parts[self.lead].clashing.contains(&link) {
            self.conflicts += 1;
            self.parts[self.lead].look.is_partial = true;
            self.at = self.after(link);
            return;
        }
        // A part before this one had it, and showed this one's with its own.
        let is_done = self.parts[..self.lead].iter().any(|part| part.names.contains_key(&texts.name));
        let shown = shown::base(&record, &texts, self.exposition);
        if is_done || !self.wanted(&texts.name, &shown) {
            self.at = self.after(link);
            return;
        }
        let with_it = self.parts.iter().filter(|part| part.names.contains_key(&texts.name));
        self.shown_texts = (with_it.filter(|part| !part.tells(&texts.labels)).count() > 1).then(HashSet::new);
        (self.family, self.part) = (link, self.lead);
        self.parts[self.lead].begun.push(link);
        let view = self.parts[self.lead].view(&record, texts, self.exposition);
        self.exact = view.exact;
        self.encoder = Some(match self.points {
            Some(_) => Encoder::Points(Box::new(PointsEncoder::new(view))),
            None => Encoder::new(view, self.exposition, &mut self.spare, out),
        });
        self.enter(link);
    }

    /// Whether the page may show a family: what came in after the page was begun is on the next
    /// one, unless it has replaced a family that this page did not come to in time. So no page has
    /// a name twice, and none misses a family that is replaced.
    fn is_in_time(&mut self, record: &Record<'_>, name: &str) -> bool {
        let part = &self.parts[self.lead];
        let memory = &part.memory;
        if !is_later(memory.get32(record.at + entry::BIRTH), part.families, || announcements(memory, FAMILIES)) {
            return true;
        }
        // All that is gone through here is charged, as it may be for each family.
        self.budget = self.budget.saturating_sub((part.gone.len() + part.begun.len()) as u64);
        let of = |link: &u32| Record::new(memory, offset(*link));
        let named = Named { base: name, kind: record.kind(), exact: record.exact() };
        let clashes = |other: Record<'_>| {
            let texts = other.texts();
            texts.is_some_and(|texts| names::clash(named, other.named(&texts)).is_some())
        };
        part.gone.iter().any(|link| of(link).name_is(name)) && !part.begun.iter().any(|link| clashes(of(link)))
    }

    /// To the series of a family of `part`.
    fn enter(&mut self, link: u32) {
        let memory = &self.parts[self.part].memory;
        self.series = CycleDetector::default();
        self.births = announcements(memory, Record::new(memory, offset(link)).list());
        self.at = Place::Series(link, Record::new(memory, offset(link)).first());
    }

    /// To the same family in the next part that has it. False: there is none.
    fn continue_in_next(&mut self, kind: Kind, name: &str) -> bool {
        while self.part + 1 < self.parts.len() {
            self.part += 1;
            let part = &self.parts[self.part];
            let Some(mut link) = part.names.get(name).copied() else { continue };
            let mut record = Record::new(&part.memory, offset(link));
            if record.is_retired() {
                // Since the page was begun.
                let Some((now, ..)) = families(&part.memory).get(name).copied() else { continue };
                link = now;
                record = Record::new(&part.memory, offset(link));
            }
            let texts = part.texts(&record).filter(|_| record.kind() == kind);
            match (texts, self.encoder.take()) {
                (Some(texts), Some(encoder)) => {
                    let view = part.view(&record, texts, self.exposition).called(self.exact);
                    self.encoder = Some(encoder.continued(view, self.exposition));
                    self.enter(link);
                    return true;
                }
                (_, encoder) => {
                    self.conflicts += 1;
                    self.parts[self.part].look.is_partial = true;
                    self.encoder = encoder;
                }
            }
        }
        false
    }

    /// Whether an earlier part has shown a series with these labels.
    fn is_double(&mut self, at: u64) -> bool {
        let Some(shown) = &mut self.shown_texts else { return false };
        let part = &self.parts[self.part];
        if State(part.memory.get32(at + entry::STATE)).state() != state::LIVE {
            return false;
        }
        let parent = part.memory.get32(at + entry::PARENT);
        let text_at = Record::new(&part.memory, offset(parent)).text_at();
        let mut text = Vec::new();
        part.memory.copy_to(at + text_at, u64::from(part.memory.get16(at + entry::TEXT_LEN)), &mut text);
        let mut labels =
            ConstLabels::new(&label_set::pairs(&text).unwrap_or_default(), self.exposition.escaping()).labels;
        labels.extend(part.plain.shown.labels.iter().cloned());
        labels.sort();
        let double = !shown.insert(format!("{labels:?}"));
        self.conflicts += u64::from(double);
        if double {
            self.parts[self.part].look.is_partial = true;
        }
        double
    }

    /// Whether the page is to have a family, by its name as it was registered and as it is shown.
    fn wanted(&self, family: &str, shown: &str) -> bool {
        let is = |n: &str, of: &str| n.strip_prefix(of).is_some_and(|suffix| SUFFIXES.contains(&suffix));
        self.only.is_empty() || self.only.iter().any(|n| is(n, family) || is(n, shown))
    }

    /// Renders series from this one on, until `until` bytes are there (or as many more held) or the
    /// family ends.
    fn series(&mut self, family: u32, link: u32, out: &mut Vec<u8>, until: usize) {
        let Some(mut encoder) = self.encoder.take() else { return };
        let mut walk =
            SeriesWalk { link, cycle: self.series, budget: self.budget, shown: self.shown, corrupt: self.corrupt };
        let memory = self.parts[self.part].memory;
        if self.shown_texts.is_none() {
            let Part { living, allowance, .. } = &self.parts[self.part];
            let reader = FamilyReader::new(&memory, family, Some(self.births), living, allowance);
            encoder.render(&reader, &mut walk, out, until);
            let digest = reader.digest.sum();
            self.parts[self.part].look.add(digest);
        } else {
            let most = encoder.held().saturating_add(until - out.len());
            while out.len() < until && encoder.held() < most {
                let Some(at) = walk.step(&memory) else { break };
                if !self.is_double(at) {
                    let Part { living, allowance, .. } = &self.parts[self.part];
                    let reader = FamilyReader::new(&memory, family, Some(self.births), living, allowance);
                    walk.note(encoder.series(&reader, at, out));
                    let digest = reader.digest.sum();
                    self.parts[self.part].look.add(digest);
                }
            }
        }
        self.encoder = Some(encoder);
        (self.series, self.budget, self.shown, self.corrupt) = (walk.cycle, walk.budget, walk.shown, walk.corrupt);
        self.at = if self.budget > 0 { Place::Series(family, walk.link) } else { Place::SelfMetrics };
    }

    /// The embedded series comes last: the only one, or the overflow series if it was used.
    fn end(&mut self, family: u32, out: &mut Vec<u8>) {
        let memory = self.parts[self.part].memory;
        let record = Record::new(&memory, offset(family));
        let at = record.overflow_at();
        if let Some(mut encoder) = self.encoder.take() {
            if self.shown_texts.is_none() || !self.is_double(at) {
                let Part { living, allowance, .. } = &self.parts[self.part];
                let reader = FamilyReader::new(&memory, family, None, living, allowance);
                let rendered = encoder.series(&reader, at, out);
                let digest = reader.digest.sum();
                self.parts[self.part].look.add(digest);
                match rendered {
                    // An overflow series is not one of its own.
                    Rendered::Shown => self.shown += u64::from(record.label_count() == 0),
                    Rendered::Hidden => {}
                    Rendered::Damaged => self.corrupt += 1,
                }
            }
            self.encoder = Some(encoder);
        }
        if self.parts.len() > 1 {
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
        self.at = self.after(self.family);
    }

    /// The family after this one of `lead`.
    fn after(&mut self, link: u32) -> Place {
        if self.lead == 0 && link == self.first && !self.first_ended {
            // Shown out of its place: now all of them, from the beginning.
            self.first_ended = true;
            self.families = CycleDetector::default();
            return self.head(0);
        }
        Place::Family(next(&self.parts[self.lead].memory, link))
    }
}

/// The info that describes what all other metrics are of, which OpenMetrics has first.
fn target(memory: &Mapped) -> u32 {
    let (mut link, mut cycle) = (memory.load32(header::FAMILY_HEAD, Acquire), CycleDetector::default());
    while link != 0 && !cycle.closes(link) {
        let record = Record::new(memory, offset(link));
        if record.kind() == Kind::Info && record.name_is("target") && !record.is_retired() {
            return link;
        }
        link = next(memory, link);
    }
    0
}

/// The families of a segment, by name.
fn families(memory: &Mapped) -> HashMap<String, (u32, Kind, bool)> {
    let (mut names, mut cycle) = (HashMap::new(), CycleDetector::default());
    let mut link = memory.load32(header::FAMILY_HEAD, Acquire);
    let allowance = Allowance::default();
    for _ in 0..memory.len() / GRANULE {
        if link == 0 || cycle.closes(link) {
            break;
        }
        let record = Record::new(memory, offset(link));
        if !record.texts_len().is_none_or(|len| allowance.charge(memory, len)) {
            break;
        }
        if let Some(texts) = record.texts().filter(|_| !record.is_retired()) {
            names.entry(texts.name).or_insert((link, record.kind(), record.exact()));
        }
        link = next(memory, link);
    }
    names
}

impl std::fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("done", &matches!(self.at, Place::Done)).finish_non_exhaustive()
    }
}
