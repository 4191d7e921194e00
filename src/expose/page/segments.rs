//! The segments on a page: usually one.
//!
//! With several segments, families of the same name are shown as one family. The first segment that
//! has the family leads, and the series of the other segments follow.

use super::allowance::Allowance;
use super::family::{ConstLabels, View};
use crate::expose::format::exposition::Exposition;
use crate::expose::source::{Look, Source};
use crate::kind::Kind;
use crate::os::random::{HashMap, HashSet};
use crate::record::family;
use crate::record::family::{Record, Texts};
use crate::segment::const_labels::labels_in;
use crate::shm::layout::{entry, GRANULE};
use crate::shm::list::{announcements, is_later, settled, Walk, FAMILIES};
use crate::shm::memory::Mapped;
use crate::shm::state;
use crate::text::escaping::Escaping;
use crate::text::label_set;
use crate::text::names;
use crate::text::names::{samples, Named};

/// The label that tells the segments of a page apart.
pub(in crate::expose) const SEGMENT: &str = "segment";

/// A segment on a page.
pub(super) struct Part<'a> {
    pub(super) memory: Mapped,
    pub(super) source: Source<'a>,
    /// The generations of the living processes' slots, as of the start of the page.
    pub(super) living: Vec<u32>,
    /// The values that were read so far.
    pub(super) look: Look,
    /// What the page may still read of the segment.
    pub(super) allowance: Allowance,
    /// The labels that all series of the segment have in front.
    const_labels: Labels,
    /// The same without the label `segment`, for families with a label of that name.
    plain: Labels,
    /// The labels of the library's own families.
    pub(super) self_labels: Labels,
    is_labelled: bool,
    /// Its families by name, if there are other segments.
    names: HashMap<String, u32>,
    /// Families whose samples have the names of another family in an earlier segment.
    clashing: HashSet<u32>,
    /// The number of families that were settled when the page was begun.
    families: u32,
    /// The families that the page has shown.
    begun: Vec<u32>,
    /// The families that the page found retired.
    retired: Vec<u32>,
    /// The damaged records that the page has left out.
    pub(super) corrupt: u64,
    /// Families and series that the page has left out because an earlier segment defines them
    /// otherwise, or has them too.
    pub(super) conflicts: u64,
}

/// Labels that all series have, as they were given and as the page shows them.
pub(super) struct Labels {
    given: Vec<(String, String)>,
    pub(super) shown: ConstLabels,
}

impl Labels {
    fn new(given: Vec<(String, String)>) -> Self {
        Labels { given, shown: ConstLabels::default() }
    }

    fn show(&mut self, escaping: Escaping) {
        self.shown = ConstLabels::new(&self.given, escaping);
    }
}

impl<'a> Part<'a> {
    /// A segment whose series have the label `label`, and whose own families have the label
    /// `segment` with the value `name`, if that is not empty.
    pub(super) fn new(source: Source<'a>, label: Option<(&str, &str)>, name: &str) -> Self {
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
        Part {
            memory,
            source,
            living,
            look: Look::default(),
            allowance: Allowance::default(),
            const_labels: Labels::new(labels),
            plain: Labels::new(plain),
            self_labels: Labels::new(self_labels),
            is_labelled: label.is_some(),
            names: HashMap::default(),
            clashing: HashSet::default(),
            families: settled(&memory, FAMILIES),
            begun: Vec::new(),
            retired: Vec::new(),
            corrupt: 0,
            conflicts: 0,
        }
    }

    /// The most records that the segment can hold.
    pub(super) fn records(&self) -> u64 {
        self.memory.len() / GRANULE
    }

    pub(super) fn record(&self, link: u32) -> Record<'_> {
        Record::at_link(&self.memory, link)
    }

    /// A walk along the segment's families.
    pub(super) fn walk(&self) -> Walk {
        family::walk(&self.memory)
    }

    /// Whether the series of a family with these labels have the label that tells the segments
    /// apart.
    fn tells(&self, labels: &[String]) -> bool {
        self.is_labelled && !labels.iter().any(|label| label == SEGMENT)
    }

    /// The texts of a family, charged as bytes that are read.
    pub(super) fn texts(&self, record: &Record<'_>) -> Option<Texts> {
        let len = record.texts_len()?;
        self.allowance.charge(&self.memory, len).then(|| record.texts())?
    }

    pub(super) fn view(&self, record: &Record<'_>, texts: Texts, exposition: Exposition) -> View {
        let const_labels =
            if self.is_labelled && !self.tells(&texts.labels) { &self.plain } else { &self.const_labels };
        View::new(record, texts, &const_labels.shown, exposition)
    }

    pub(super) fn note_begun(&mut self, link: u32) {
        self.begun.push(link);
    }

    pub(super) fn note_retired(&mut self, link: u32) {
        self.retired.push(link);
        // Another segment may have a family of this name.
        self.names.retain(|_, its| *its != link);
    }

    /// Families and series were left out, so the look does not cover all values.
    pub(super) fn leave_out(&mut self) {
        self.conflicts += 1;
        self.look.is_partial = true;
    }

    /// How many families [`is_in_time`](Self::is_in_time) may compare.
    pub(super) fn passed(&self) -> usize {
        self.retired.len() + self.begun.len()
    }

    /// Whether a family was registered after the page was begun.
    pub(super) fn is_new(&self, record: &Record<'_>) -> bool {
        let birth = self.memory.get32(record.home().at + entry::BIRTH);
        is_later(birth, self.families, || announcements(&self.memory, FAMILIES))
    }

    /// Whether the page may show a new family: only if the family has replaced another one that the
    /// page did not reach in time, itself or with its bundle. Other new families are on the next
    /// page. So no page has a name twice, and no page misses a family that is replaced.
    pub(super) fn is_in_time(&self, record: &Record<'_>, name: &str) -> bool {
        let named = Named { base: name, kind: record.kind(), exact: record.exact() };
        let clashes = |other: Record<'_>| {
            let texts = other.texts();
            texts.is_some_and(|texts| names::clash(named, other.named(&texts)).is_some())
        };
        let replaced: Vec<u32> = record.home().members().filter_map(|(member, _)| member.replaced()).collect();
        let gave_way = |old: Record<'_>| old.name_is(name) || replaced.contains(&old.home().link());
        self.retired.iter().any(|link| gave_way(self.record(*link)))
            && !self.begun.iter().any(|link| clashes(self.record(*link)))
    }

    /// The families of the segment, by name.
    pub(super) fn families(&self) -> HashMap<String, (u32, Kind, bool)> {
        let (mut names, allowance) = (HashMap::default(), Allowance::default());
        for record in family::all(&self.memory).take(self.records() as usize) {
            if !record.texts_len().is_none_or(|len| allowance.charge(&self.memory, len)) {
                break;
            }
            if let Some(texts) = record.texts().filter(|_| !record.is_retired()) {
                names.entry(texts.name).or_insert((record.link(), record.kind(), record.exact()));
            }
        }
        names
    }

    /// The link to the info family that describes the target of all other metrics, which
    /// OpenMetrics has first; 0 if there is none.
    fn target(&self) -> u32 {
        let is_target =
            |record: &Record<'_>| record.kind() == Kind::Info && record.name_is("target") && !record.is_retired();
        family::all(&self.memory).find(is_target).map_or(0, |record| record.link())
    }
}

/// The segments on a page, and which of them the page is at.
#[derive(Default)]
pub(super) struct Segments<'a> {
    pub(super) parts: Vec<Part<'a>>,
    /// The segment whose families the page walks along.
    pub(super) lead: usize,
    /// The segment whose series of the family the page walks along.
    pub(super) part: usize,
    /// The label sets of the family that were shown, if two segments could have the same ones.
    shown: Option<HashSet<String>>,
    /// Families of the host that were left out because a segment, or an earlier family of the host,
    /// has the name.
    pub(super) external_conflicts: u64,
}

impl<'a> Segments<'a> {
    pub(super) fn lead(&self) -> &Part<'a> {
        &self.parts[self.lead]
    }

    pub(super) fn lead_mut(&mut self) -> &mut Part<'a> {
        &mut self.parts[self.lead]
    }

    pub(super) fn part(&self) -> &Part<'a> {
        &self.parts[self.part]
    }

    pub(super) fn part_mut(&mut self) -> &mut Part<'a> {
        &mut self.parts[self.part]
    }

    /// The family of the first segment that comes before all others; 0 for none.
    pub(super) fn target(&self) -> u32 {
        self.parts.first().map_or(0, Part::target)
    }

    /// Escapes the constant labels, and decides which families of several segments clash.
    pub(super) fn prepare(&mut self, escaping: Escaping) {
        for part in &mut self.parts {
            part.const_labels.show(escaping);
            part.plain.show(escaping);
            part.self_labels.show(escaping);
        }
        if self.parts.len() < 2 {
            return;
        }
        // Within a segment, registration ensures that no two families have samples of one name.
        let mut owners: HashMap<String, String> = HashMap::default();
        let mut kinds: HashMap<String, Kind> = HashMap::default();
        for part in &mut self.parts {
            for (name, (link, kind, exact)) in part.families() {
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

    /// Whether a family of the leading segment clashes with a family of an earlier segment. If so,
    /// the page leaves the family out.
    pub(super) fn is_clashing(&mut self, link: u32) -> bool {
        let is_clashing = self.lead().clashing.contains(&link);
        if is_clashing {
            self.lead_mut().leave_out();
        }
        is_clashing
    }

    /// Whether the page has shown this family of the leading segment, with the family of an earlier
    /// segment.
    pub(super) fn is_done(&self, name: &str) -> bool {
        self.parts[..self.lead].iter().any(|part| part.names.contains_key(name))
    }

    /// Begins a family, in the leading segment.
    pub(super) fn begin(&mut self, link: u32, texts: &Texts) {
        let with_it = self.parts.iter().filter(|part| part.names.contains_key(&texts.name));
        self.shown = (with_it.filter(|part| !part.tells(&texts.labels)).count() > 1).then(HashSet::default);
        self.part = self.lead;
        self.lead_mut().note_begun(link);
    }

    /// Goes on to the next segment that has the family. Returns the link and the texts of that
    /// family; `None` at the last segment.
    pub(super) fn continue_in_next(&mut self, kind: Kind, name: &str) -> Option<(u32, Texts)> {
        while self.part + 1 < self.parts.len() {
            self.part += 1;
            let part = self.part();
            let Some(mut link) = part.names.get(name).copied() else { continue };
            if part.record(link).is_retired() {
                // Since the page was begun.
                let Some((now, ..)) = part.families().get(name).copied() else { continue };
                link = now;
            }
            let record = part.record(link);
            if let Some(texts) = part.texts(&record).filter(|_| record.kind() == kind) {
                return Some((link, texts));
            }
            self.part_mut().leave_out();
        }
        None
    }

    /// Whether two segments could have series with the same labels in this family.
    pub(super) fn has_doubles(&self) -> bool {
        self.shown.is_some()
    }

    /// Whether an earlier segment has shown a series with the labels of the series at `at`.
    pub(super) fn is_double(&mut self, at: u64, escaping: Escaping) -> bool {
        let Some(shown) = &mut self.shown else { return false };
        let part = &mut self.parts[self.part];
        if state::State(part.memory.get32(at + entry::STATE)).state() != state::LIVE {
            return false;
        }
        let text_at = part.record(part.memory.get32(at + entry::PARENT)).text_at();
        let mut text = Vec::new();
        part.memory.copy_to(at + text_at, u64::from(part.memory.get16(at + entry::TEXT_LEN)), &mut text);
        let mut labels = ConstLabels::new(&label_set::pairs(&text).unwrap_or_default(), escaping).labels;
        labels.extend(part.plain.shown.labels.iter().cloned());
        labels.sort_unstable();
        let is_double = !shown.insert(format!("{labels:?}"));
        if is_double {
            part.leave_out();
        }
        is_double
    }
}
