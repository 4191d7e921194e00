//! Families and label sets: registration, and the look-up that every labelled update goes through.

mod builder;
pub(crate) mod family;
mod hash;
pub(crate) mod labels;
pub(crate) mod names;

pub use builder::{Builder, Family, LabelledBuilder};

pub(crate) use builder::DEFAULT_BUCKETS;

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use self::family::{Record, Series, Spec};
use crate::segment::chain::{self, find_or_append, offset, Ends, Maker, Outcome};
use crate::segment::layout::{align, entry, family as f, header, FLAG_ESCAPED, GRANULE, STATE_HIDDEN, STATE_LIVE};
use crate::segment::memory::Memory;
use crate::segment::Inner;
use crate::Error;

/// Registers a family, or finds it. Returns where its record is.
pub(crate) fn register(inner: &Inner, spec: Spec<'_>) -> Result<u64, Error> {
    let result = spec.checked().and_then(|spec| register_checked(inner, &spec));
    if result.is_err() {
        inner.count(header::REFUSED_FAMILIES);
    }
    result
}

fn register_checked(inner: &Inner, spec: &Spec<'_>) -> Result<u64, Error> {
    let hash = labels::family_hash(inner.seed, spec.name);
    let mut maker = FamilyMaker { inner, spec, hash, clash: None };
    let full = |why: &str| Err(Error::Full(format!("the family {} cannot be registered: {why}", spec.name)));
    match find_or_append(&inner.index(), chain::FAMILIES, hash, &mut maker) {
        Outcome::Made(link) => Ok(offset(link)),
        Outcome::Found(link) => {
            let record = Record::new(&inner.memory, offset(link));
            match record.difference(spec) {
                None => Ok(offset(link)),
                Some(difference) => {
                    Err(Error::Conflict(format!("the family {} is registered otherwise: {difference}", spec.name)))
                }
            }
        }
        Outcome::Refused => Err(Error::Conflict(maker.clash.unwrap_or_default())),
        Outcome::Full => full("the segment has reached its ceiling, or its memory file system is full"),
    }
}

/// Makes room in the index for one more entry.
fn prepare(inner: &Inner) -> bool {
    let index = inner.index();
    index.maintain(|bytes| inner.backing.reserve(inner.index_at, inner.index_at + bytes));
    index.has_room()
}

fn count_reachable(inner: &Inner, bytes: u64) {
    inner.memory.add64(header::ARENA_REACHABLE, align(bytes, GRANULE), Relaxed);
}

struct FamilyMaker<'a> {
    inner: &'a Inner,
    spec: &'a Spec<'a>,
    hash: u64,
    clash: Option<String>,
}

impl Maker for FamilyMaker<'_> {
    fn same(&self, link: u32) -> bool {
        let memory = &self.inner.memory;
        let at = offset(link);
        memory.get32(at + entry::PARENT) == 0
            && memory.get64(at + entry::HASH) == self.hash
            && Record::new(memory, at).name_is(self.spec.name)
    }

    fn refuse(&mut self, tail: u32) -> bool {
        let memory = &self.inner.memory;
        // Not beyond the tail: a family behind it came after the look-up, and may be this very one.
        let mut link = if tail == 0 { 0 } else { memory.load32(header::FAMILY_HEAD, Acquire) };
        let mut ring = chain::Ring::default();
        while link != 0 && !ring.closes(link) {
            let record = Record::new(memory, offset(link));
            if let Some(texts) = record.texts() {
                if let Some(sample) = names::clash(self.spec.name, self.spec.kind, &texts.name, record.kind()) {
                    self.clash = Some(format!(
                        "{} {} and the registered {} {} would both expose {sample}",
                        family::kind_name(self.spec.kind),
                        self.spec.name,
                        family::kind_name(record.kind()),
                        texts.name
                    ));
                    return true;
                }
            }
            link = if link == tail { 0 } else { memory.load32(offset(link) + entry::NEXT, Acquire) };
        }
        false
    }

    fn make(&mut self) -> Option<u32> {
        self.spec.write(self.inner, self.hash, |bytes| self.inner.arena().allocate(bytes))
    }

    fn give_back(&mut self, link: u32) {
        let len = Record::new(&self.inner.memory, offset(link)).record_len();
        self.inner.arena().give_back(link, len);
    }

    fn settled(&self, link: u32) {
        let record = Record::new(&self.inner.memory, offset(link));
        count_reachable(self.inner, record.record_len());
        if record.label_count() == 0 {
            self.inner.count(header::SERIES);
        }
    }

    fn prepare(&mut self) -> bool {
        prepare(self.inner)
    }
}

/// A family as the look-up needs it.
#[derive(Clone, Copy)]
pub(crate) struct Table {
    pub(crate) inner: &'static Inner,
    pub(crate) at: u64,
    pub(crate) hash: u64,
    pub(crate) text_at: u64,
}

impl Table {
    pub(crate) fn new(inner: &'static Inner, at: u64) -> Self {
        let record = Record::new(&inner.memory, at);
        Table { inner, at, hash: record.hash(), text_at: record.text_at() }
    }

    /// The family at `at`, and the lengths of its label names, from one look at its record.
    #[inline(always)]
    pub(crate) fn with_label_lens(inner: &'static Inner, at: u64) -> Option<(Self, &'static [u16])> {
        let (record, backed) = inner.memory.record(at)?;
        if backed < f::SIZE {
            return None;
        }
        // SAFETY: the record's fixed part is backed (checked) and aligned to 16; these fields never change once published.
        let (hash, text_at, labels, buckets) = unsafe {
            (
                record.add(entry::HASH as usize).cast::<u64>().read(),
                record.add(f::TEXT_AT as usize).cast::<u32>().read(),
                usize::from(record.add(f::LABEL_COUNT as usize).read()),
                usize::from(record.add(f::BUCKET_COUNT as usize).cast::<u16>().read()),
            )
        };
        let lens_at = f::SIZE as usize + 8 * buckets;
        if backed < (lens_at + 2 * labels) as u64 {
            return None;
        }
        // SAFETY: backed (checked), aligned behind f64s, immutable once published, mapped for the process' life.
        let lens = unsafe { std::slice::from_raw_parts(record.add(lens_at).cast::<u16>(), labels) };
        Some((Table { inner, at, hash, text_at: u64::from(text_at) }, lens))
    }

    #[inline(always)]
    fn link(&self) -> u32 {
        (self.at / GRANULE) as u32
    }

    /// Where the series with these values is. Never fails: without room, it is the family's overflow series.
    ///
    /// No lock, no allocation and no system call when the series exists.
    #[inline(always)]
    pub(crate) fn find<'v>(
        &self,
        count: usize,
        prefix: impl Fn(usize) -> usize + Copy,
        value: impl Fn(usize) -> &'v [u8] + Copy,
    ) -> u64 {
        let hash = labels::hash(self.hash, count, value);
        match self.inner.index().find(hash, |link| self.is(link, hash, count, prefix, value)) {
            Some(link) => offset(link),
            None => self.make(hash, count, &prefix, &value, true),
        }
    }

    #[inline(always)]
    fn is<'v>(
        &self,
        link: u32,
        hash: u64,
        count: usize,
        prefix: impl Fn(usize) -> usize,
        value: impl Fn(usize) -> &'v [u8],
    ) -> bool {
        let Some((record, backed)) = self.inner.memory.record(offset(link)) else { return false };
        // SAFETY: a record begins with an entry's fields (`record` checked that so much is backed), aligned to 16 as every
        // link is. These fields of a published series never change.
        let (parent, its_hash, len, flags) = unsafe {
            (
                record.add(entry::PARENT as usize).cast::<u32>().read(),
                record.add(entry::HASH as usize).cast::<u64>().read(),
                record.add(entry::TEXT_LEN as usize).cast::<u16>().read(),
                record.add(entry::FLAGS as usize).read(),
            )
        };
        if its_hash != hash || parent != self.link() || self.text_at + u64::from(len) > backed {
            return false;
        }
        // SAFETY: backed (checked) and never written after the series was published.
        let text = unsafe { std::slice::from_raw_parts(record.add(self.text_at as usize), usize::from(len)) };
        labels::matches(text, flags & FLAG_ESCAPED != 0, count, prefix, value)
    }

    #[cold]
    #[inline(never)]
    fn make<'v>(
        &self,
        hash: u64,
        count: usize,
        prefix: &dyn Fn(usize) -> usize,
        value: &dyn Fn(usize) -> &'v [u8],
        mend: bool,
    ) -> u64 {
        if count == 0 {
            return Record::new(&self.inner.memory, self.at).overflow_at();
        }
        if mend && (0..count).any(|i| std::str::from_utf8(value(i)).is_err()) {
            return self.find_mended(count, prefix, value);
        }
        let Some((text, escaped)) = self.text(count, value) else { return self.overflow() };
        let record = Record::new(&self.inner.memory, self.at);
        let series = Series {
            family: self.link(),
            hash,
            state: STATE_LIVE,
            kind: record.kind(),
            mode: record.mode(),
            escaped,
            text_at: self.text_at,
            text: &text,
        };
        let same = |link: u32| self.is(link, hash, count, prefix, value);
        let mut maker = SeriesMaker { inner: self.inner, record, series, same };
        let ends = Ends { head: self.at + f::HEAD, tail: self.at + f::TAIL };
        match find_or_append(&self.inner.index(), ends, hash, &mut maker) {
            Outcome::Found(link) | Outcome::Made(link) => offset(link),
            Outcome::Refused | Outcome::Full => self.overflow(),
        }
    }

    /// Values that are not UTF-8, which no exposition can carry, with U+FFFD in place of what is not.
    fn find_mended<'v>(&self, count: usize, prefix: &dyn Fn(usize) -> usize, value: &dyn Fn(usize) -> &'v [u8]) -> u64 {
        let mended: Vec<String> = (0..count).map(|i| String::from_utf8_lossy(value(i)).into_owned()).collect();
        let value = |i: usize| mended[i].as_bytes();
        let hash = labels::hash(self.hash, count, value);
        match self.inner.index().find(hash, |link| self.is(link, hash, count, prefix, value)) {
            Some(link) => offset(link),
            None => self.make(hash, count, prefix, &value, false),
        }
    }

    /// The label text of these values; `None` if no exposition could carry it.
    fn text<'v>(&self, count: usize, value: &dyn Fn(usize) -> &'v [u8]) -> Option<(Vec<u8>, bool)> {
        let texts = Record::new(&self.inner.memory, self.at).texts()?;
        let (mut out, mut escaped) = (Vec::with_capacity(128), false);
        for (i, name) in texts.labels.iter().enumerate().take(count) {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"=\"");
            escaped |= labels::escape(std::str::from_utf8(value(i)).ok()?, &mut out);
            out.push(b'"');
        }
        (texts.labels.len() == count && out.len() <= labels::TEXT_MAX).then_some((out, escaped))
    }

    fn overflow(&self) -> u64 {
        let memory = &self.inner.memory;
        let at = Record::new(memory, self.at).overflow_at();
        memory.add64(self.at + f::REFUSED, 1, Relaxed);
        self.inner.count(header::REFUSED_SERIES);
        let _ = memory.cas32(at + entry::STATE, STATE_HIDDEN, STATE_LIVE, Relaxed, Relaxed);
        at
    }
}

struct SeriesMaker<'a, S> {
    inner: &'a Inner,
    record: Record<'a>,
    series: Series<'a>,
    same: S,
}

impl<S: Fn(u32) -> bool> Maker for SeriesMaker<'_, S> {
    fn same(&self, link: u32) -> bool {
        (self.same)(link)
    }

    fn refuse(&mut self, tail: u32) -> bool {
        let memory = &self.inner.memory;
        let mine = self.record.max_series();
        let all = memory.get64(header::MAX_SERIES);
        let have = if tail == 0 { 0 } else { u64::from(memory.get32(offset(tail) + entry::SEQUENCE)) };
        (mine != 0 && have >= mine) || (all != 0 && memory.get64(header::SERIES) >= all)
    }

    fn make(&mut self) -> Option<u32> {
        let link = self.inner.arena().allocate(self.series.size())?;
        self.series.write(self.inner, offset(link));
        Some(link)
    }

    fn give_back(&mut self, link: u32) {
        self.inner.arena().give_back(link, self.series.size());
    }

    fn settled(&self, link: u32) {
        let memory = &self.inner.memory;
        memory.add64(header::SERIES, 1, Relaxed);
        let text = u64::from(memory.get16(offset(link) + entry::TEXT_LEN));
        count_reachable(self.inner, self.series.text_at + text);
    }

    fn prepare(&mut self) -> bool {
        prepare(self.inner)
    }
}
