//! The record of a family: its definition, which every process reads from the segment.
//!
//! After the fixed part (`layout::family`) come the finite bucket bounds (f64), the lengths of the
//! label names (u16), the lengths of the bucket labels (u16), and the texts: name, unit, label
//! names, bucket labels, help. Then, aligned, comes the embedded series: the only series of a
//! family without labels, or the overflow series. The embedded series is made with the family, so
//! it exists even if the segment fills up later.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::gauge_mode::GaugeMode;
use super::native_schema::Stored;
use super::native_schema::{BucketScheme, ROOT_SIZE};
use crate::kind::Kind;
use crate::shm::layout::offset;
use crate::shm::layout::{
    align, counter, entry, family, gauge, header, histogram, GRANULE, NAMING_EXACT, NO_SCHEMA, SCHEMA_BIAS,
};
use crate::shm::list::{ListHead, Walk};
use crate::shm::memory::{Mapped, Memory};
use crate::shm::state;
use crate::shm::state::State;
use crate::text::names::Named;
use crate::text::{escaping, names};

/// A family's record, read field by field and never trusted: a damaged one is `None`.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) memory: &'a Mapped,
    pub(crate) at: u64,
}

/// A walk along the families of a segment, with the retired families.
pub(crate) fn walk(memory: &Mapped) -> Walk {
    // Acquire pairs with the Release that linked the family.
    Walk::from(memory.load32(header::FAMILY_HEAD, Acquire))
}

/// All families of a segment, with the retired families.
pub(crate) fn all(memory: &Mapped) -> impl Iterator<Item = Record<'_>> {
    let mut walk = walk(memory);
    std::iter::from_fn(move || walk.step(memory)).map(|link| Record::at_link(memory, link))
}

impl<'a> Record<'a> {
    pub(crate) fn new(memory: &'a Mapped, at: u64) -> Self {
        Record { memory, at }
    }
    pub(crate) fn at_link(memory: &'a Mapped, link: u32) -> Self {
        Record::new(memory, offset(link))
    }
    /// The type of the family. A damaged byte is `Unknown` here, and keeps the family off pages:
    /// see [`Record::texts`].
    #[inline(always)]
    pub(crate) fn kind(&self) -> Kind {
        Kind::from_byte(self.memory.get8(self.at + entry::KIND)).unwrap_or(Kind::Unknown)
    }
    #[inline(always)]
    pub(crate) fn is_kind(&self, kind: Kind) -> bool {
        self.memory.get8(self.at + entry::KIND) == kind as u8
    }
    pub(crate) fn mode(&self) -> GaugeMode {
        GaugeMode::from_byte(self.memory.get8(self.at + family::MODE))
    }
    /// Whether the texts and protobuf show it, a counter, under the name it was registered with.
    pub(crate) fn exact(&self) -> bool {
        self.is_kind(Kind::Counter) && self.memory.get8(self.at + family::NAMING) & NAMING_EXACT != 0
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
        self.memory.get64(self.home().at + family::MAX_SERIES)
    }
    pub(crate) fn overflow_lookups(&self) -> u64 {
        self.memory.load64(self.home().at + family::OVERFLOW_LOOKUPS, Relaxed)
    }
    /// The chain of its series.
    pub(crate) fn list(&self) -> ListHead {
        let at = self.store_at();
        ListHead {
            head: at + family::HEAD,
            tail: at + family::TAIL,
            pending: at + family::PENDING,
            replaces: 0,
            last: 0,
        }
    }
    /// The link to the first record of its chain; 0 if the chain is empty.
    pub(crate) fn first(&self) -> u32 {
        // Acquire pairs with the Release that linked the record.
        self.memory.load32(self.store_at() + family::HEAD, Acquire)
    }
    /// A walk along the records of its chain: its series, removed series too, and the records of
    /// other families in the same store.
    pub(crate) fn walk(&self) -> Walk {
        Walk::from(self.first())
    }
    /// The records of its chain, as [`walk`](Self::walk) reaches them.
    pub(crate) fn records(&self) -> impl Iterator<Item = u32> + 'a + use<'a> {
        let (memory, mut walk) = (self.memory, self.walk());
        std::iter::from_fn(move || walk.step(memory))
    }
    /// The family whose chain and free lists it uses: itself, or an earlier one whose series are of
    /// the same layout.
    pub(crate) fn store_at(&self) -> u64 {
        let home = self.home().at;
        match self.memory.get32(home + family::STORE) {
            0 => home,
            link => offset(link),
        }
    }
    /// The family that it has replaced.
    pub(crate) fn replaced(&self) -> Option<u32> {
        Some(self.memory.get32(self.at + family::REPLACES)).filter(|link| *link != 0)
    }
    pub(crate) fn link(&self) -> u32 {
        (self.at / GRANULE) as u32
    }
    /// Its state: that of all members of its bundle.
    pub(crate) fn state(&self) -> State {
        self.home().own_state()
    }
    /// The state of a family that has its own series.
    #[inline(always)]
    pub(crate) fn own_state(&self) -> State {
        state::state(self.memory, self.link())
    }
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
            // `max` turns NaN into 0.
            zero_threshold: zero_threshold.max(0.0),
            max_buckets: self.memory.get32(self.at + family::MAX_BUCKETS),
            window: self.memory.get32(self.at + family::WINDOW),
        })
    }
    /// The part of the native buckets' definition that an observation needs.
    #[inline(always)]
    pub(crate) fn scheme(&self) -> Option<BucketScheme> {
        // A damaged schema must not lead beyond the record.
        if !self.has_native() || self.text_at() < cells_end(self.kind(), self.bucket_count(), true) {
            return None;
        }
        self.native().map(|n| BucketScheme { schema: n.schema, zero_threshold: n.zero_threshold, window: n.window })
    }
    /// Series now, the embedded one not counted. Where processes were killed at the wrong moment it
    /// may be a little off.
    pub(crate) fn series(&self) -> u64 {
        count_of(self.memory.load64(self.home().at + family::SERIES, Relaxed))
    }
    /// Seconds without an update after which a series expires; 0 for never.
    pub(crate) fn expire(&self) -> u32 {
        self.memory.get32(self.home().at + family::EXPIRE)
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
        // SAFETY: backed (checked), aligned (records are aligned to 16, the fixed part is a
        // multiple of 8), and never written after the family was published.
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
        let bucket = |i| within(m.get16(self.le_lens_at() + 2 * i as u64).into(), names::NAME_MAX);
        let bucket_labels = (0..self.bucket_count()).try_fold(0, |sum, i| Some(sum + bucket(i)?))?;
        Some(self.name_at() - self.at + name + unit + labels + bucket_labels + help)
    }

    /// A copy of the texts. `None`: the record is damaged, or its type is unknown to this version.
    pub(crate) fn texts(&self) -> Option<Texts> {
        Kind::from_byte(self.memory.get8(self.at + entry::KIND))?;
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
        let bucket_labels = (0..self.bucket_count())
            .map(|i| take(u64::from(self.memory.get16(self.le_lens_at() + 2 * i as u64))))
            .collect::<Option<_>>()?;
        let help = take(help_len)?;
        (!name.is_empty()).then_some(Texts { name, unit, help, labels, bucket_labels })
    }

    pub(crate) fn name_is(&self, name: &str) -> bool {
        let len = u64::from(self.memory.get16(self.at + family::NAME_LEN));
        len == name.len() as u64 && self.text_is(self.name_at(), name.as_bytes())
    }

    /// Its name, and those of its labels as lines have them, of these lengths.
    #[inline(always)]
    pub(crate) fn names(&self, lens: &'a [u16]) -> Option<(&'a [u8], impl Iterator<Item = &'a [u8]> + use<'a>)> {
        let [name, unit] = [family::NAME_LEN, family::UNIT_LEN].map(|field| self.memory.get16(self.at + field));
        let before = usize::from(name) + usize::from(unit);
        let all = lens.iter().fold(before, |all, len| all + usize::from(*len));
        let its = self.memory.bytes(self.name_at(), all as u64)?;
        // SAFETY: all of them are backed (checked). A family's texts are never written after it was
        // published.
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
}

/// A count that rises and falls. A process that is killed between a change and its count leaves the
/// count one off, so the count may be below 0.
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
    pub(crate) bucket_labels: Vec<String>,
}

impl Texts {
    /// The names of its labels as they were given.
    pub(crate) fn label_names(&self) -> Vec<String> {
        self.labels.iter().map(|label| escaping::label_from_line(label).into_owned()).collect()
    }
}

/// How many {count, sum} pairs a series has.
pub(crate) fn pairs(kind: Kind, bounds: usize, native: bool) -> u64 {
    match kind {
        // There is a pair for the zero bucket, and there are two for each bound.
        Kind::Histogram | Kind::GaugeHistogram if native => 2 * bounds as u64 + 1,
        // The second pair is that of the zero bucket.
        Kind::Summary if native => 2,
        Kind::Histogram | Kind::GaugeHistogram => bounds as u64 + 1,
        Kind::Summary => 1,
        _ => 0,
    }
}

/// Where the label text of a series is whose cells end here. The word before it is for `expiry`,
/// where series expire.
pub(crate) fn text_at(cells_end: u64, expires: bool) -> u64 {
    if expires {
        align(cells_end, 8) + 8
    } else {
        cells_end
    }
}

/// Where the cells of a series end.
pub(crate) fn cells_end(kind: Kind, bounds: usize, native: bool) -> u64 {
    match kind {
        Kind::Counter => counter::SIZE,
        Kind::Histogram | Kind::GaugeHistogram | Kind::Summary => {
            histogram::SIZE + 16 * pairs(kind, bounds, native) + if native { ROOT_SIZE } else { 0 }
        }
        _ => gauge::SIZE,
    }
}
