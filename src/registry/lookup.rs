//! The look-up of a labelled series, and how a series is made and removed. Values are in the order
//! of the family's labels.

use super::{expiry, recycle};
use crate::os::host::Undisturbed;
use crate::record::family;
use crate::record::family::Record;
use crate::record::series::NewSeries;
use crate::segment::Inner;
use crate::shm::index::{tag_of, Hit};
use crate::shm::layout::offset;
use crate::shm::layout::{entry, family as f, header, FLAG_ESCAPED, GRANULE};
use crate::shm::list;
use crate::shm::list::{find_or_append, Inserter, Outcome};
use crate::shm::memory::Memory;
use crate::shm::state;
use crate::shm::state::{Generation, SeriesAddr, State};
use crate::text::escaping;
use crate::text::label_set;
use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::{fence, AtomicU32, Ordering::Acquire, Ordering::Relaxed};

/// Makes room in the index for one more entry.
pub(super) fn prepare(inner: &Inner) -> bool {
    let index = inner.index();
    // The table doubles: the first half of its bytes is granted already.
    index.maintain(|bytes| {
        let granted = inner.backing.reserve(index.at + bytes / 2, index.at + bytes);
        if granted {
            inner.memory.note_granted_index((bytes / 8).ilog2());
        }
        granted
    });
    index.has_room()
}

/// Bytes that one prefetch gets.
const FETCHED: usize = 128;

/// A family as the look-up needs it.
#[derive(Clone, Copy)]
pub(crate) struct FamilyRef {
    pub(crate) inner: &'static Inner,
    pub(crate) at: u64,
    pub(crate) hash: u64,
    pub(crate) text_at: u64,
}

/// Two are equal if they lead to one family, in one order of its labels.
impl PartialEq for FamilyRef {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.inner, other.inner) && self.at == other.at
    }
}

impl Eq for FamilyRef {}

impl std::hash::Hash for FamilyRef {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (std::ptr::from_ref(self.inner), self.at).hash(state);
    }
}

impl FamilyRef {
    pub(crate) fn new(inner: &'static Inner, at: u64) -> Self {
        let record = Record::new(&inner.memory, at);
        FamilyRef { inner, at, hash: record.hash(), text_at: record.text_at() }
    }

    /// The family at `at`, and the lengths of its label names, from one look at its record.
    #[inline(always)]
    pub(crate) fn with_label_lens(inner: &'static Inner, at: u64) -> Option<(Self, &'static [u16])> {
        let (record, backed) = inner.memory.record(at)?;
        if backed < f::SIZE {
            return None;
        }
        // SAFETY: the record's fixed part is backed (checked) and aligned to 16; these fields never
        // change once published.
        let (hash, text_at, labels, buckets) = unsafe {
            (
                record.add(f::HASH as usize).cast::<u64>().read(),
                record.add(f::TEXT_AT as usize).cast::<u32>().read(),
                usize::from(record.add(f::LABEL_COUNT as usize).read()),
                usize::from(record.add(f::BUCKET_COUNT as usize).cast::<u16>().read()),
            )
        };
        let lens_at = f::SIZE as usize + 8 * buckets;
        if backed < (lens_at + 2 * labels) as u64 {
            return None;
        }
        // SAFETY: backed (checked), aligned behind f64s, immutable once published, mapped for the
        // process' lifetime.
        let lens = unsafe { std::slice::from_raw_parts(record.add(lens_at).cast::<u16>(), labels) };
        Some((FamilyRef { inner, at, hash, text_at: u64::from(text_at) }, lens))
    }

    #[inline(always)]
    fn link(&self) -> u32 {
        (self.at / GRANULE) as u32
    }

    /// Has the processor fetch the record that a look-up of this hash comes to first: of a bundle's
    /// record all will be changed.
    #[inline(always)]
    pub(super) fn expect(&self, hash: u64) {
        let index = self.inner.index();
        let Some(hit) = index.first(index.bits(), hash) else { return };
        for line in (0..self.text_at).step_by(FETCHED) {
            self.inner.memory.prefetch(offset(hit.link) + line);
        }
    }

    #[inline(always)]
    pub(super) fn look_up<'v, const CONST_COUNT: bool>(
        &self,
        hash: u64,
        count: usize,
        name_len: impl Fn(usize) -> usize + Copy,
        value: impl Fn(usize) -> &'v [u8] + Copy,
    ) -> Option<SeriesAddr> {
        let index = self.inner.index();
        let bits = index.bits();
        let hit = index.first(bits, hash)?;
        if let Some(generation) = self.generation_of::<true, CONST_COUNT>(hit.link, count, name_len, value) {
            return Some(SeriesAddr { at: offset(hit.link), generation });
        }
        // Copies, here and below: what is looked up need not be in memory then to be found.
        let (name_len, value) = (name_len, value);
        self.look_further(bits, hash, hit, count, &name_len, &value)
    }

    /// Goes on behind an entry that has the same tag and is another series, or is gone.
    #[cold]
    #[inline(never)]
    fn look_further<'v>(
        &self,
        bits: u32,
        hash: u64,
        mut hit: Hit,
        count: usize,
        name_len: &dyn Fn(usize) -> usize,
        value: &dyn Fn(usize) -> &'v [u8],
    ) -> Option<SeriesAddr> {
        loop {
            hit = self.inner.index().next(bits, hash, hit)?;
            if let Some(generation) = self.generation_of::<true, false>(hit.link, count, name_len, value) {
                return Some(SeriesAddr { at: offset(hit.link), generation });
            }
        }
    }

    /// The generation in which the record has the series with these values, if it has it now. An
    /// expired series comes back.
    #[inline(always)]
    fn generation_of<'v, const REVIVE: bool, const CONST_COUNT: bool>(
        &self,
        link: u32,
        count: usize,
        name_len: impl Fn(usize) -> usize + Copy,
        value: impl Fn(usize) -> &'v [u8] + Copy,
    ) -> Option<Generation> {
        let (record, backed) = self.inner.memory.record(offset(link))?;
        // SAFETY: a record begins with an entry's fields (`record` checked that so much is backed),
        // aligned to 16 as every link is. Those that are not atomic here change only while the
        // record has no series; then the generation moves on, which is checked below. They are read
        // as volatile, so that they are read here.
        let (state, parent, len, flags) = unsafe {
            (
                &*record.add(entry::STATE as usize).cast::<AtomicU32>(),
                record.add(entry::PARENT as usize).cast::<u32>(),
                record.add(entry::TEXT_LEN as usize).cast::<u16>(),
                record.add(entry::FLAGS as usize),
            )
        };
        // Acquire pairs with the Release that made it live: its text is there.
        let seen = State(state.load(Acquire));
        // SAFETY: as above.
        let (parent, len, flags) = unsafe { (parent.read_volatile(), len.read_volatile(), flags.read_volatile()) };
        if parent != self.link() || self.text_at + u64::from(len) > backed {
            return None;
        }
        // SAFETY: backed (checked). The bytes change only as the fields above do, and then what
        // they were compared to does not matter.
        let text = unsafe { std::slice::from_raw_parts(record.add(self.text_at as usize), usize::from(len)) };
        if !label_set::matches::<CONST_COUNT>(text, flags & FLAG_ESCAPED != 0, count, name_len, value) {
            return None;
        }
        // Acquire: all of it was read before the second look at the state (a sequence lock, of
        // which the generation is the number).
        fence(Acquire);
        let again = State(state.load(Relaxed));
        if again == seen && seen.state() == state::LIVE {
            return Some(seen.generation());
        }
        self.life_again(link, seen, REVIVE)
    }

    /// Slow path: for a series that has expired, that expires or is removed at this moment, and for
    /// a record that is free.
    #[cold]
    #[inline(never)]
    fn life_again(&self, link: u32, seen: State, revive: bool) -> Option<Generation> {
        let generation = seen.generation();
        if !seen.has_series() {
            return None;
        }
        let there = if revive {
            expiry::revive(self.inner, &Record::new(&self.inner.memory, self.at), link, generation)
        } else {
            let now = state::state(&self.inner.memory, link);
            now.has_series() && now.generation() == generation
        };
        there.then_some(generation)
    }

    #[inline(never)]
    pub(super) fn make_in_family<'v>(
        &self,
        hash: u64,
        count: usize,
        name_len: &dyn Fn(usize) -> usize,
        value: &dyn Fn(usize) -> &'v [u8],
    ) -> SeriesAddr {
        let _undisturbed = Undisturbed::new();
        let lens = (0..count).try_fold((0, 0), |(raw, escaped), i| {
            Some((raw + value(i).len(), escaped + label_set::escaped_len(value(i))?))
        });
        let Some((raw, escaped)) = lens else {
            let texts = to_utf8_lossy(count, value);
            let value = |i: usize| texts[i].as_bytes();
            let hash = label_set::hash(self.hash, count, value);
            return match self.look_up::<false>(hash, count, name_len, value) {
                Some(addr) => addr,
                None => self.make_in_family(hash, count, name_len, &value),
            };
        };
        let Some(text) = Text::new(self, count, escaped, value) else { return self.overflow() };
        let record = Record::new(&self.inner.memory, self.at);
        let series = NewSeries {
            family: self.link(),
            tag: tag_of(hash),
            kind: record.kind(),
            mode: record.mode(),
            escaped: escaped > raw,
            text_len: text.len,
        };
        let found = Cell::new(Generation(0));
        let list = record.list();
        let same = |link: u32| match self.generation_of::<true, false>(link, count, name_len, value) {
            Some(generation) => {
                found.set(generation);
                true
            }
            None => false,
        };
        let mut inserter =
            SeriesMaker { inner: self.inner, record, series, text, same, made: Generation(0), may_be_new: true };
        match find_or_append(&self.inner.index(), list, hash, &mut inserter) {
            Outcome::Found(link) => SeriesAddr { at: offset(link), generation: found.get() },
            Outcome::Made(link) => SeriesAddr { at: offset(link), generation: inserter.made },
            // Updates of a retired family change nothing.
            Outcome::Closed => self.embedded(),
            Outcome::Refused | Outcome::Full => self.overflow(),
        }
    }

    pub(super) fn remove_in_family<'v>(
        &self,
        count: usize,
        name_len: &dyn Fn(usize) -> usize,
        value: &dyn Fn(usize) -> &'v [u8],
    ) -> bool {
        let record = Record::new(&self.inner.memory, self.at);
        let place = self.peek_in_family(count, name_len, value);
        place.is_some_and(|SeriesAddr { at, generation }| {
            recycle::remove(self.inner, &record, (at / GRANULE) as u32, generation)
        })
    }

    /// The series with these values, if it is there. Nothing is made, and an expired series stays
    /// expired.
    pub(super) fn peek_in_family<'v>(
        &self,
        count: usize,
        name_len: &dyn Fn(usize) -> usize,
        value: &dyn Fn(usize) -> &'v [u8],
    ) -> Option<SeriesAddr> {
        let texts = to_utf8_lossy(count, value);
        let value = |i: usize| texts[i].as_bytes();
        let hash = label_set::hash(self.hash, count, value);
        let found = Cell::new(None);
        let same = |link: u32| {
            let generation = self.generation_of::<false, false>(link, count, name_len, value);
            found.set(generation.map(|generation| SeriesAddr { at: offset(link), generation }));
            generation.is_some()
        };
        self.inner.index().find_surely(hash, same)?;
        found.get()
    }

    pub(super) fn clear_family(&self) -> u64 {
        let record = Record::new(&self.inner.memory, self.at);
        recycle::remove_all(self.inner, &record, Some(list::announcements(&self.inner.memory, record.list())))
    }

    /// The family's only series, or its overflow series.
    pub(super) fn embedded(&self) -> SeriesAddr {
        let record = Record::new(&self.inner.memory, self.at);
        SeriesAddr { at: record.overflow_at() + record.seat(), generation: Generation::FOREVER }
    }

    /// The same, for a family that has its own series.
    pub(crate) fn overflow(&self) -> SeriesAddr {
        let memory = &self.inner.memory;
        let addr = self.embedded();
        memory.add64(self.at + f::OVERFLOW_LOOKUPS, 1, Relaxed);
        self.inner.count(header::OVERFLOW_LOOKUPS);
        let (hidden, live) = (State::new(state::HIDDEN, 0), State::new(state::LIVE, 0));
        let _ = memory.cas32(addr.at + entry::STATE, hidden.0, live.0, Relaxed, Relaxed);
        addr
    }
}

/// The values as UTF-8, which pages need. Invalid bytes become U+FFFD.
fn to_utf8_lossy<'v>(count: usize, value: &dyn Fn(usize) -> &'v [u8]) -> Vec<Cow<'v, str>> {
    (0..count).map(|i| String::from_utf8_lossy(value(i))).collect()
}

/// The label text of a series to be made.
struct Text<'a, 'v> {
    lens: &'static [u16],
    value: &'a dyn Fn(usize) -> &'v [u8],
    len: usize,
}

impl<'a, 'v> Text<'a, 'v> {
    /// The text of values that take `values_len` bytes, escapes included. `None` if no exposition
    /// could carry the text.
    fn new(family: &FamilyRef, count: usize, values_len: usize, value: &'a dyn Fn(usize) -> &'v [u8]) -> Option<Self> {
        let (_, lens) = FamilyRef::with_label_lens(family.inner, family.at)?;
        let around = |(i, len): (usize, &u16)| label_set::prefix_len(i, usize::from(*len)) + 1;
        let len = values_len + lens.iter().enumerate().map(around).sum::<usize>();
        (lens.len() == count && len <= label_set::TEXT_MAX).then_some(Text { lens, value, len })
    }

    fn write(&self, record: &Record<'_>, at: u64, escaped: bool) {
        let (Some((_, names)), Some(mut out)) = (record.names(self.lens), record.memory.writer(at, self.len)) else {
            return;
        };
        for (i, name) in names.enumerate() {
            if i > 0 {
                out.put(b",");
            }
            out.put(name);
            out.put(b"=\"");
            let value = (self.value)(i);
            if escaped {
                escaping::escape_to(value, |piece| out.put(piece));
            } else {
                out.put(value);
            }
            out.put(b"\"");
        }
    }
}

struct SeriesMaker<'a, 'v, S> {
    inner: &'a Inner,
    record: Record<'a>,
    series: NewSeries,
    text: Text<'a, 'v>,
    same: S,
    /// The generation in which the record was made.
    made: Generation,
    /// Whether the index has room for a record more.
    may_be_new: bool,
}

impl<S: Fn(u32) -> bool> Inserter for SeriesMaker<'_, '_, S> {
    fn same(&self, link: u32) -> bool {
        (self.same)(link)
    }

    fn closed(&self) -> bool {
        self.record.is_retired()
    }

    fn refuse(&mut self) -> bool {
        let memory = &self.inner.memory;
        let mine = self.record.max_series();
        let all = memory.get64(header::MAX_SERIES);
        (mine != 0 && self.record.series() >= mine)
            || (all != 0 && family::count_of(memory.get64(header::SERIES)) + self.record.series_of_each() > all)
    }

    fn make(&mut self) -> Option<u32> {
        let (link, state) = recycle::obtain(self.inner, &self.record, self.series.text_len, self.may_be_new)?;
        self.made = state.generation();
        self.series.write(self.inner, offset(link));
        self.record.open_seats(offset(link));
        self.text.write(&self.record, offset(link) + self.record.text_at(), self.series.escaped);
        expiry::begin(self.inner, &self.record, link);
        Some(link)
    }

    fn give_back(&mut self, link: u32) {
        recycle::give_back(self.inner, &self.record, link);
    }

    fn settled(&self, link: u32, parent: u32) {
        recycle::settled(self.inner, parent, link);
    }

    fn prepare(&mut self) -> bool {
        self.may_be_new = prepare(self.inner);
        // A record that is used again gives the place of its last label set back first.
        self.may_be_new || self.inner.index().has_room_for_reuse()
    }
}
