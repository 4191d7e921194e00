//! A family's record: what was registered, byte for byte, for every process to read.
//!
//! After the fixed part (`layout::family`): the finite bucket bounds (f64), the lengths of the label names (u16), the
//! lengths of the `le` texts (u16), then the texts: name, unit, label names, `le` texts, help. Then, aligned, the embedded
//! series: the family's only one if it has no labels, else its overflow series. It is made with the family, so a full
//! segment cannot keep it from being there.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::gauge_mode::GaugeMode;
use super::native_schema::{Native, Stored, WINDOW_SECONDS};
use crate::metric::{Shape, ROOT_SIZE};
use crate::segment::Inner;
use crate::shm::generation::{self, State};
use crate::shm::index::tag_of;
use crate::shm::layout::{
    align, counter, entry, family, gauge, histogram, FLAG_ESCAPED, FLAG_MODE_SHIFT, GRANULE, KIND_COUNTER, KIND_ENUM,
    KIND_GAUGE, KIND_GAUGE_HISTOGRAM, KIND_HISTOGRAM, KIND_INFO, KIND_STATE_SET, KIND_SUMMARY, NAMING_EXACT, NO_SCHEMA,
    SCHEMA_BIAS,
};
use crate::shm::list::{offset, Ends};
use crate::shm::memory::{Mapped, Memory};
use crate::text::names::Named;
use crate::text::number::canonical;
use crate::text::{escaping, names};
use crate::Error;

/// A scraper looks every few seconds: more than one exemplar in one is for nobody.
const EXEMPLAR_MS: u32 = 1000;

/// What an application asks for.
#[derive(Clone, Debug)]
pub(crate) struct Spec<'a> {
    pub(crate) name: &'a str,
    pub(crate) help: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) kind: u8,
    pub(crate) mode: GaugeMode,
    pub(crate) labels: &'a [&'a str],
    /// A histogram's finite bounds.
    pub(crate) buckets: &'a [f64],
    /// Nobody has asked for these: with native buckets there are none.
    pub(crate) default_buckets: bool,
    /// A histogram's native buckets.
    pub(crate) native: Option<Native>,
    /// A summary's quantiles, and seconds that they look back.
    pub(crate) quantiles: &'a [f64],
    pub(crate) window: u32,
    /// What is kept of the native buckets, or those of the quantiles.
    pub(crate) stored: Option<Stored>,
    /// The states of a state set.
    pub(crate) states: &'a [&'a str],
    pub(crate) max_series: u64,
    /// Seconds without an update after which a series expires; 0 for never.
    pub(crate) expire: u32,
    /// The least time between two exemplars of a slot.
    pub(crate) exemplar_ms: u32,
    /// Whether the texts and protobuf show a counter under this very name, without `_total`.
    pub(crate) exact: bool,
    /// Whether a family of this name that is registered otherwise gives way.
    pub(crate) replace: bool,
}

impl<'a> Spec<'a> {
    pub(crate) fn new(name: &'a str, help: &'a str, kind: u8, mode: GaugeMode) -> Self {
        Spec {
            name,
            help,
            unit: "",
            kind,
            mode,
            labels: &[],
            buckets: &[],
            default_buckets: false,
            native: None,
            quantiles: &[],
            window: WINDOW_SECONDS,
            stored: None,
            states: &[],
            max_series: 0,
            expire: 0,
            exemplar_ms: EXEMPLAR_MS,
            exact: false,
            replace: false,
        }
    }

    pub(crate) fn named(&self) -> Named<'a> {
        Named { base: self.name, kind: self.kind, exact: self.exact }
    }

    /// Checks it, and makes its name and buckets canonical.
    pub(crate) fn checked(mut self) -> Result<Self, Error> {
        let given = self.name;
        self.name = names::family_name(given, self.kind)?;
        // Given with `_total`, it is the usual name.
        self.exact &= self.kind == KIND_COUNTER && self.name == given;
        names::unit(self.unit, self.name, self.kind)?;
        names::help(self.help)?;
        let own: &[&str] = match self.kind {
            KIND_HISTOGRAM | KIND_GAUGE_HISTOGRAM => &["le"],
            KIND_SUMMARY => &["quantile"],
            KIND_STATE_SET | KIND_ENUM => &[self.name],
            KIND_GAUGE if self.mode.is_listed() => &["pid"],
            _ => &[],
        };
        names::labels(self.labels, own)?;
        self.buckets = names::buckets(self.buckets)?;
        self.stored = None;
        match self.kind {
            KIND_HISTOGRAM | KIND_GAUGE_HISTOGRAM => {
                self.stored = self.native.map(Native::checked).transpose()?;
                if self.stored.is_some() && self.default_buckets {
                    self.buckets = &[];
                }
                self.quantiles = &[];
            }
            KIND_SUMMARY => {
                names::quantiles(self.quantiles)?;
                self.buckets = &[];
                self.stored = (!self.quantiles.is_empty()).then(|| Stored::of_quantiles(self.window.max(1)));
            }
            _ => (self.buckets, self.quantiles) = (&[], &[]),
        }
        match self.kind {
            KIND_STATE_SET | KIND_ENUM => {
                names::states(self.states)?;
                // Its samples have a label of this name.
                names::labels(&[self.name], &[])?;
                if self.name.contains(':') {
                    return Err(Error::name("metric name", self.name, "it is a label's too, which has no `:`"));
                }
            }
            _ => self.states = &[],
        }
        Ok(self)
    }

    /// Bytes before the label text of a series.
    pub(crate) fn text_at(&self) -> u64 {
        text_at(cells_end(self.kind, self.buckets.len(), self.stored.is_some()), self.expire > 0)
    }

    /// What its values are called on pages, each with a number: bounds, as `le` has them, quantiles, or states.
    fn marks(&self) -> Vec<(f64, String)> {
        let states = self.states.iter().enumerate().map(|(i, state)| (i as f64, (*state).to_owned()));
        // -0 is 0, and would be another `le`.
        self.buckets.iter().chain(self.quantiles).map(|b| b + 0.0).map(|b| (b, canonical(b))).chain(states).collect()
    }

    /// Writes the record, not yet linked, at newly allocated memory. `allocate` gets its size.
    pub(crate) fn write(&self, inner: &Inner, hash: u64, allocate: impl FnOnce(u64) -> Option<u32>) -> Option<u32> {
        let memory = &inner.memory;
        let marks = self.marks();
        let labels: Vec<_> = self.labels.iter().map(|name| escaping::label_on_line(name)).collect();
        let mut blob = Vec::new();
        for (number, _) in &marks {
            blob.extend_from_slice(&number.to_ne_bytes());
        }
        for len in labels.iter().map(|l| l.len()).chain(marks.iter().map(|(_, text)| text.len())) {
            blob.extend_from_slice(&(len as u16).to_ne_bytes());
        }
        blob.extend_from_slice(self.name.as_bytes());
        blob.extend_from_slice(self.unit.as_bytes());
        for text in labels.iter().map(|l| &**l).chain(marks.iter().map(|(_, text)| text.as_str())) {
            blob.extend_from_slice(text.as_bytes());
        }
        blob.extend_from_slice(self.help.as_bytes());

        let own_len = align(family::SIZE + blob.len() as u64, GRANULE);
        let text = if self.labels.is_empty() { String::new() } else { format!("{}=\"true\"", names::OVERFLOW_LABEL) };
        let record_len = align(own_len + self.text_at() + text.len() as u64, GRANULE);
        let link = allocate(record_len)?;
        let at = offset(link);
        memory.put32(at + entry::TAG, tag_of(hash));
        memory.put64(at + family::HASH, hash);
        memory.put32(at + entry::STATE, State::new(generation::NEW, 0).0);
        memory.put32(at + entry::CREATED, inner.age());
        memory.put16(at + entry::TEXT_LEN, self.name.len() as u16);
        memory.put8(at + entry::KIND, self.kind);
        memory.put32(at + family::OVERFLOW, link + (own_len / GRANULE) as u32);
        memory.put32(at + family::TEXT_AT, self.text_at() as u32);
        memory.put64(at + family::MAX_SERIES, self.max_series);
        memory.put32(at + family::EXPIRE, self.expire);
        memory.put32(at + family::EXEMPLAR_MS, self.exemplar_ms);
        if let Some(stored) = self.stored {
            memory.put8(at + family::SCHEMA, (stored.schema + SCHEMA_BIAS) as u8);
            memory.put64(at + family::ZERO_THRESHOLD, stored.zero_threshold.to_bits());
            memory.put32(at + family::MAX_BUCKETS, stored.max_buckets);
            memory.put32(at + family::WINDOW, stored.window);
        }
        memory.put8(at + family::NAMING, if self.exact { NAMING_EXACT } else { 0 });
        memory.put8(at + family::MODE, self.mode as u8);
        memory.put8(at + family::LABEL_COUNT, self.labels.len() as u8);
        memory.put16(at + family::BUCKET_COUNT, marks.len() as u16);
        memory.put16(at + family::NAME_LEN, self.name.len() as u16);
        memory.put16(at + family::UNIT_LEN, self.unit.len() as u16);
        memory.put32(at + family::HELP_LEN, self.help.len() as u32);
        memory.put32(at + family::RECORD_LEN, record_len as u32);
        memory.put64(at + family::EPOCH, inner.epoch());
        memory.fill(at + family::SIZE, &blob);
        let embedded =
            Series { family: link, tag: 0, kind: self.kind, mode: self.mode, escaped: false, text_len: text.len() };
        let state = if self.labels.is_empty() { generation::LIVE } else { generation::HIDDEN };
        memory.put32(at + own_len + entry::STATE, State::new(state, 0).0);
        embedded.write(inner, at + own_len);
        memory.fill(at + own_len + self.text_at(), text.as_bytes());
        Some(link)
    }
}

/// A series about to be written.
pub(crate) struct Series {
    pub(crate) family: u32,
    /// Of its hash.
    pub(crate) tag: u32,
    pub(crate) kind: u8,
    pub(crate) mode: GaugeMode,
    pub(crate) escaped: bool,
    pub(crate) text_len: usize,
}

impl Series {
    /// Writes all but the state, the cells and the text. The record is the caller's alone.
    pub(crate) fn write(&self, inner: &Inner, at: u64) {
        let memory = &inner.memory;
        inner.updated();
        memory.put32(at + entry::PARENT, self.family);
        memory.put32(at + entry::TAG, self.tag);
        memory.put32(at + entry::CREATED, inner.age());
        memory.put16(at + entry::TEXT_LEN, self.text_len as u16);
        memory.put8(at + entry::KIND, self.kind);
        memory
            .put8(at + entry::FLAGS, ((self.mode as u8) << FLAG_MODE_SHIFT) | (u8::from(self.escaped) * FLAG_ESCAPED));
    }
}

/// A family's record, read field by field and never trusted: a damaged one is `None`.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) memory: &'a Mapped,
    pub(crate) at: u64,
}

impl<'a> Record<'a> {
    pub(crate) fn new(memory: &'a Mapped, at: u64) -> Self {
        Record { memory, at }
    }
    #[inline(always)]
    pub(crate) fn kind(&self) -> u8 {
        self.memory.get8(self.at + entry::KIND)
    }
    pub(crate) fn mode(&self) -> GaugeMode {
        GaugeMode::from_byte(self.memory.get8(self.at + family::MODE))
    }
    /// Whether the texts and protobuf show it, a counter, under the name it was registered with.
    pub(crate) fn exact(&self) -> bool {
        self.kind() == KIND_COUNTER && self.memory.get8(self.at + family::NAMING) & NAMING_EXACT != 0
    }
    pub(crate) fn named<'t>(&self, texts: &'t Texts) -> Named<'t> {
        Named { base: &texts.name, kind: self.kind(), exact: self.exact() }
    }
    pub(crate) fn hash(&self) -> u64 {
        self.memory.get64(self.at + family::HASH)
    }
    #[inline(always)]
    pub(crate) fn label_count(&self) -> usize {
        usize::from(self.memory.get8(self.at + family::LABEL_COUNT)).min(names::LABELS_MAX)
    }
    #[inline(always)]
    pub(crate) fn bucket_count(&self) -> usize {
        usize::from(self.memory.get16(self.at + family::BUCKET_COUNT)).min(names::BUCKETS_MAX)
    }
    pub(crate) fn text_at(&self) -> u64 {
        u64::from(self.memory.get32(self.at + family::TEXT_AT))
    }
    pub(crate) fn overflow_at(&self) -> u64 {
        offset(self.memory.get32(self.at + family::OVERFLOW))
    }
    pub(crate) fn record_len(&self) -> u64 {
        u64::from(self.memory.get32(self.at + family::RECORD_LEN))
    }
    pub(crate) fn max_series(&self) -> u64 {
        self.memory.get64(self.at + family::MAX_SERIES)
    }
    pub(crate) fn refused(&self) -> u64 {
        self.memory.load64(self.at + family::REFUSED, Relaxed)
    }
    /// The chain of its series.
    pub(crate) fn ends(&self) -> Ends {
        let at = self.store_at();
        Ends { head: at + family::HEAD, tail: at + family::TAIL, pending: at + family::PENDING, replaces: 0 }
    }
    /// Its first series, or what was one.
    pub(crate) fn first(&self) -> u32 {
        // Acquire pairs with the Release that linked it.
        self.memory.load32(self.store_at() + family::HEAD, Acquire)
    }
    /// The family whose chain and free lists it uses: itself, or an earlier one whose series are of
    /// the same shape.
    pub(crate) fn store_at(&self) -> u64 {
        match self.memory.get32(self.at + family::STORE) {
            0 => self.at,
            link => offset(link),
        }
    }
    pub(crate) fn link(&self) -> u32 {
        (self.at / GRANULE) as u32
    }
    #[inline(always)]
    pub(crate) fn state(&self) -> State {
        generation::state(self.memory, self.link())
    }
    #[inline(always)]
    pub(crate) fn is_retired(&self) -> bool {
        self.state().is_retired()
    }
    /// The {count, sum} pairs of its series: 0 if they have other cells.
    pub(crate) fn pairs(&self) -> u64 {
        let room = self.text_at().saturating_sub(histogram::SIZE) / 16;
        pairs(self.kind(), self.bucket_count(), self.has_native()).min(room)
    }
    /// Whether its series have native buckets, or those of quantiles.
    #[inline(always)]
    pub(crate) fn has_native(&self) -> bool {
        self.memory.get8(self.at + family::SCHEMA) != NO_SCHEMA
    }
    /// The native buckets of its series. A damaged schema is some schema.
    pub(crate) fn native(&self) -> Option<Stored> {
        let schema = self.memory.get8(self.at + family::SCHEMA);
        let zero_threshold = f64::from_bits(self.memory.get64(self.at + family::ZERO_THRESHOLD));
        (schema != NO_SCHEMA).then(|| Stored {
            schema: (schema.min(13) as i8) - SCHEMA_BIAS,
            // Of NaN it would be less than nothing.
            zero_threshold: zero_threshold.max(0.0),
            max_buckets: self.memory.get32(self.at + family::MAX_BUCKETS),
            window: self.memory.get32(self.at + family::WINDOW),
        })
    }
    /// What of that an observation needs.
    #[inline(always)]
    pub(crate) fn shape(&self) -> Option<Shape> {
        // A damaged schema must not lead beyond the record.
        if !self.has_native() || self.text_at() < cells_end(self.kind(), self.bucket_count(), true) {
            return None;
        }
        self.native().map(|n| Shape { schema: n.schema, zero_threshold: n.zero_threshold, window: n.window })
    }
    /// Series now, the embedded one not counted. Where processes were killed at the wrong moment it may be a little off.
    pub(crate) fn series(&self) -> u64 {
        count_of(self.memory.load64(self.at + family::SERIES, Relaxed))
    }
    /// Seconds without an update after which a series expires; 0 for never.
    pub(crate) fn expire(&self) -> u32 {
        self.memory.get32(self.at + family::EXPIRE)
    }

    #[inline(always)]
    fn bounds_at(&self) -> u64 {
        self.at + family::SIZE
    }
    fn label_lens_at(&self) -> u64 {
        self.bounds_at() + 8 * self.bucket_count() as u64
    }
    fn le_lens_at(&self) -> u64 {
        self.label_lens_at() + 2 * self.label_count() as u64
    }
    #[inline(always)]
    fn name_at(&self) -> u64 {
        // Behind the bounds, and the lengths.
        let (buckets, labels) = (self.bucket_count() as u64, self.label_count() as u64);
        self.bounds_at() + (8 + 2) * buckets + 2 * labels
    }
    pub(crate) fn label_len(&self, i: usize) -> usize {
        usize::from(self.memory.get16(self.label_lens_at() + 2 * i as u64))
    }
    pub(crate) fn bound(&self, i: usize) -> f64 {
        f64::from_bits(self.memory.get64(self.bounds_at() + 8 * i as u64))
    }
    /// Where the bucket bounds begin, if they are all there.
    #[inline(always)]
    pub(crate) fn bounds(&self) -> Option<&'a [f64]> {
        let count = self.bucket_count();
        let at = self.memory.bytes(self.bounds_at(), 8 * count as u64)?;
        // SAFETY: backed (checked), aligned (records are aligned to 16, the fixed part is a multiple of 8), and never
        // written after the family was published.
        Some(unsafe { std::slice::from_raw_parts(at.cast(), count) })
    }

    fn string(&self, at: u64, len: u64) -> Option<String> {
        let mut bytes = Vec::new();
        self.memory.copy_to(at, len, &mut bytes).then(|| String::from_utf8(bytes).ok())?
    }

    /// Bytes of the record in front of its embedded series. `None`: it is longer than any that is
    /// registered.
    pub(crate) fn texts_len(&self) -> Option<u64> {
        let within = |len: u64, most: usize| (len <= most as u64).then_some(len);
        let m = self.memory;
        let name = within(m.get16(self.at + family::NAME_LEN).into(), names::NAME_MAX)?;
        let unit = within(m.get16(self.at + family::UNIT_LEN).into(), names::NAME_MAX)?;
        let help = within(m.get32(self.at + family::HELP_LEN).into(), names::HELP_MAX)?;
        // In quotes, and each of its characters escaped.
        let label = |i| within(self.label_len(i) as u64, 2 * names::NAME_MAX + 2);
        let labels = (0..self.label_count()).try_fold(0, |sum, i| Some(sum + label(i)?))?;
        let mark = |i| within(m.get16(self.le_lens_at() + 2 * i as u64).into(), names::NAME_MAX);
        let marks = (0..self.bucket_count()).try_fold(0, |sum, i| Some(sum + mark(i)?))?;
        Some(self.name_at() - self.at + name + unit + labels + marks + help)
    }

    /// The texts, copied.
    pub(crate) fn texts(&self) -> Option<Texts> {
        self.texts_len()?;
        let name_len = u64::from(self.memory.get16(self.at + family::NAME_LEN));
        let unit_len = u64::from(self.memory.get16(self.at + family::UNIT_LEN));
        let help_len = u64::from(self.memory.get32(self.at + family::HELP_LEN));
        let mut at = self.name_at();
        let mut take = |len: u64| {
            let text = self.string(at, len);
            at += len;
            text
        };
        let name = take(name_len)?;
        let unit = take(unit_len)?;
        let labels = (0..self.label_count()).map(|i| take(self.label_len(i) as u64)).collect::<Option<_>>()?;
        let marks = (0..self.bucket_count())
            .map(|i| take(u64::from(self.memory.get16(self.le_lens_at() + 2 * i as u64))))
            .collect::<Option<_>>()?;
        let help = take(help_len)?;
        (!name.is_empty()).then_some(Texts { name, unit, help, labels, marks })
    }

    pub(crate) fn name_is(&self, name: &str) -> bool {
        let len = u64::from(self.memory.get16(self.at + family::NAME_LEN));
        len == name.len() as u64 && self.text_is(self.name_at(), name.as_bytes())
    }

    /// Its name, and those of its labels as lines have them, of these lengths.
    #[inline(always)]
    pub(crate) fn names(&self, lens: &'a [u16]) -> Option<(&'a [u8], impl Iterator<Item = &'a [u8]>)> {
        let [name, unit] = [family::NAME_LEN, family::UNIT_LEN].map(|field| self.memory.get16(self.at + field));
        let before = usize::from(name) + usize::from(unit);
        let all = lens.iter().fold(before, |all, len| all + usize::from(*len));
        let its = self.memory.bytes(self.name_at(), all as u64)?;
        // SAFETY: all of them are backed (checked). A family's texts are never written after it was published.
        let its = unsafe { std::slice::from_raw_parts(its, all) };
        let mut rest = its.get(before..)?;
        // The lengths may be other ones by now, in a damaged segment.
        let labels = lens.iter().map_while(move |len| {
            let (name, after) = rest.split_at_checked(usize::from(*len))?;
            rest = after;
            Some(name)
        });
        Some((its.get(..usize::from(name))?, labels))
    }

    fn text_is(&self, at: u64, text: &[u8]) -> bool {
        let Some(its) = self.memory.bytes(at, text.len() as u64) else { return false };
        // SAFETY: backed (checked). A family's texts are never written after it was published.
        unsafe { std::slice::from_raw_parts(its, text.len()) == text }
    }

    /// What keeps this family from being the one that `spec` describes.
    pub(crate) fn difference(&self, spec: &Spec<'_>) -> Option<String> {
        let texts = self.texts()?;
        if self.kind() != spec.kind {
            return Some(format!("it is {}, not {}", a_kind(self.kind()), a_kind(spec.kind)));
        }
        let labels = texts.label_names();
        // In another order it is the same family: see `order`.
        if labels.len() != spec.labels.len() || !labels.iter().all(|label| spec.labels.contains(&label.as_str())) {
            return Some(format!("its labels are {labels:?}, not {:?}", spec.labels));
        }
        if self.exact() != spec.exact {
            let shown = |exact: bool| format!("{}{}", spec.name, if exact { "" } else { "_total" });
            return Some(format!("text 0.0.4 shows it as {}, not {}", shown(self.exact()), shown(spec.exact)));
        }
        if spec.replace && texts.help != spec.help {
            return Some(format!("its help is {:?}, not {:?}", texts.help, spec.help));
        }
        if self.mode() != spec.mode {
            return Some(format!("its gauge mode is {}, not {}", self.mode(), spec.mode));
        }
        if texts.unit != spec.unit {
            return Some(format!("its unit is {:?}, not {:?}", texts.unit, spec.unit));
        }
        if self.expire() != spec.expire {
            let after = |seconds| if seconds == 0 { "never".to_owned() } else { format!("after {seconds} s") };
            return Some(format!("its series expire {}, not {}", after(self.expire()), after(spec.expire)));
        }
        if self.native() != spec.stored {
            let what = |native: Option<Stored>| native.map_or_else(|| "none".to_owned(), |native| native.to_string());
            return Some(format!("its native buckets are {}, not {}", what(self.native()), what(spec.stored)));
        }
        let bounds: Vec<f64> = (0..self.bucket_count()).map(|i| self.bound(i)).collect();
        match spec.kind {
            KIND_STATE_SET | KIND_ENUM => {
                (texts.marks != spec.states).then(|| format!("its states are {:?}, not {:?}", texts.marks, spec.states))
            }
            KIND_SUMMARY => {
                (bounds != spec.quantiles).then(|| format!("its quantiles are {bounds:?}, not {:?}", spec.quantiles))
            }
            _ => (bounds != spec.buckets).then(|| format!("its buckets are {bounds:?}, not {:?}", spec.buckets)),
        }
    }
}

/// A count that is raised and lowered. Whoever is killed between a change and its count leaves it one off, so it may be below 0.
pub(crate) fn count_of(word: u64) -> u64 {
    if (word as i64) < 0 {
        0
    } else {
        word
    }
}

/// A family's texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Texts {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) help: String,
    /// The names of labels as lines have them: in quotes, unless they are legal without.
    pub(crate) labels: Vec<String>,
    /// The texts of bounds or states.
    pub(crate) marks: Vec<String>,
}

impl Texts {
    /// The names of its labels as they were given.
    pub(crate) fn label_names(&self) -> Vec<String> {
        self.labels.iter().map(|label| escaping::label_from_line(label).into_owned()).collect()
    }
}

pub(crate) fn kind_name(kind: u8) -> &'static str {
    match kind {
        KIND_COUNTER => "counter",
        KIND_GAUGE => "gauge",
        KIND_HISTOGRAM => "histogram",
        KIND_INFO => "info",
        KIND_STATE_SET => "state set",
        KIND_ENUM => "enum",
        KIND_SUMMARY => "summary",
        KIND_GAUGE_HISTOGRAM => "gauge histogram",
        _ => "metric of unknown type",
    }
}

pub(crate) fn a_kind(kind: u8) -> String {
    let article = if matches!(kind, KIND_INFO | KIND_ENUM) { "an" } else { "a" };
    format!("{article} {}", kind_name(kind))
}

pub(crate) fn is_kind(kind: u8) -> bool {
    (KIND_COUNTER..=KIND_GAUGE_HISTOGRAM).contains(&kind)
}

/// How many {count, sum} pairs a series has.
pub(crate) fn pairs(kind: u8, bounds: usize, native: bool) -> u64 {
    match kind {
        // Of the zero bucket, and two for each bound.
        KIND_HISTOGRAM | KIND_GAUGE_HISTOGRAM if native => 2 * bounds as u64 + 1,
        // And of the zero bucket.
        KIND_SUMMARY if native => 2,
        KIND_HISTOGRAM | KIND_GAUGE_HISTOGRAM => bounds as u64 + 1,
        KIND_SUMMARY => 1,
        _ => 0,
    }
}

/// Where the label text of a series is whose cells end here. The word before it is for `expiry`, where series expire.
pub(crate) fn text_at(cells_end: u64, expires: bool) -> u64 {
    if expires {
        align(cells_end, 8) + 8
    } else {
        cells_end
    }
}

/// Where the cells of a series end.
pub(crate) fn cells_end(kind: u8, bounds: usize, native: bool) -> u64 {
    match kind {
        KIND_COUNTER => counter::SIZE,
        KIND_HISTOGRAM | KIND_GAUGE_HISTOGRAM | KIND_SUMMARY => {
            histogram::SIZE + 16 * pairs(kind, bounds, native) + if native { ROOT_SIZE } else { 0 }
        }
        _ => gauge::SIZE,
    }
}
