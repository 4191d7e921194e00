//! One series as it was at one moment, read from a segment that others write to.

use std::cell::Cell;
use std::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed};

use super::allowance::Allowance;
use crate::expose::format::simd::Block;
use crate::expose::format::writer::Writer;
use crate::metric::gauge_merge;
use crate::metric::gauge_merge::{Merged, Sample};
use crate::metric::{counter_read, exemplar_read, saw_negatives, states_read, whole_sum, Exemplar};
use crate::record::family::Record;
use crate::record::gauge_mode::GaugeMode;
use crate::shm::layout::offset;
use crate::shm::layout::{counter, entry, exemplar, header, COUNTER_END};
use crate::shm::list::{announcements, is_later};
use crate::shm::memory::Mapped;
use crate::shm::percpu;
use crate::shm::state;
use crate::shm::state::{Generation, SeriesAddr, State, TAG_MASK};

/// Reads the series of one family.
pub(in crate::expose) struct FamilyReader<'a> {
    pub(in crate::expose) memory: &'a Mapped,
    /// The family that has the chain: the first member of its bundle.
    pub(in crate::expose) home: u32,
    /// The kind in the records of its series, which is that of the first member.
    pub(in crate::expose) kind: u8,
    /// Where the family's own cells are in them.
    pub(in crate::expose) seat: u64,
    /// Whether they have the cells of other families, too.
    pub(in crate::expose) is_bundled: bool,
    /// What is charged for each of them, and whether the label text is.
    bytes: u64,
    pays_text: bool,
    /// Announcements in the family when the page came to it. `None`: the embedded series is read.
    pub(in crate::expose) births: Option<u32>,
    /// The generations of the living processes' slots.
    pub(in crate::expose) living: &'a [u32],
    pub(in crate::expose) digest: Digest,
    pub(in crate::expose) allowance: &'a Allowance,
}

/// What the record of a series must have to be a series of this family.
#[derive(Clone, Copy)]
pub(in crate::expose) struct Expected {
    /// These three are as in [`FamilyReader`].
    pub(in crate::expose) home: u32,
    pub(in crate::expose) kind: u8,
    pub(in crate::expose) seat: u64,
    /// Where the label text begins, from the seat on.
    pub(in crate::expose) text_at: u64,
    /// The same as in [`FamilyReader`].
    pub(in crate::expose) births: Option<u32>,
}

/// A digest of the values that were read: the same for two pages if no value has changed in
/// between, whatever their format.
#[derive(Default)]
pub(in crate::expose) struct Digest {
    /// The digest of the series that is being read.
    one: Cell<u64>,
    /// A sum over all series before, so that their order does not count.
    all: Cell<u64>,
}

/// An odd number with bits all over (of the golden ratio).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Digest {
    /// Notes the value that was read of a series. The last value before `keep` counts.
    #[inline(always)]
    pub(in crate::expose) fn note(&self, value: u64) {
        self.one.set(value);
    }

    /// Adds the series at `at` with the value that was noted.
    pub(in crate::expose) fn keep(&self, at: u64) {
        self.add(Digest::of(at, self.one.get()));
    }

    /// What the series at `at` adds to the sum. The square keeps two changes of opposite sign from
    /// cancelling each other out.
    #[inline(always)]
    pub(in crate::expose) fn of(at: u64, value: u64) -> u64 {
        let one = value ^ at.wrapping_mul(SPREAD);
        one.wrapping_mul(one | 1)
    }

    pub(in crate::expose) fn add(&self, sum: u64) {
        self.all.set(self.all.get().wrapping_add(sum));
    }

    pub(in crate::expose) fn sum(&self) -> u64 {
        self.all.get()
    }
}

impl<'a> FamilyReader<'a> {
    pub(in crate::expose) fn new(
        memory: &'a Mapped,
        family: u32,
        births: Option<u32>,
        living: &'a [u32],
        allowance: &'a Allowance,
    ) -> Self {
        let record = Record::new(memory, offset(family));
        let home = record.home();
        let kind = memory.get8(home.at + entry::KIND);
        let (home, seat, is_bundled) = (home.link(), record.seat(), home.member_count() > 1);
        let (bytes, pays_text) = record.read_for();
        FamilyReader {
            memory,
            home,
            kind,
            seat,
            is_bundled,
            bytes,
            pays_text,
            births,
            living,
            digest: Digest::default(),
            allowance,
        }
    }
}

/// What became of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::expose) enum Rendered {
    Shown,
    /// The series has no place on this page.
    Hidden,
    /// Nothing was appended.
    Damaged,
}

/// Bytes behind a label text that may be read: so many that 64 are from anywhere in it.
pub(in crate::expose) const READABLE: usize = 64;

/// A series' label text: in the segment, or a copy if it lies too near the segment's end for block
/// copies. `READABLE` bytes from its end on may be read, too.
#[derive(Clone, Copy)]
pub(in crate::expose) struct Text {
    at: *const u8,
    len: usize,
}

/// A series to read the values of.
pub(in crate::expose) struct Series<'a> {
    reader: &'a FamilyReader<'a>,
    record: *const u8,
    is_embedded: bool,
    place: SeriesAddr,
    pub(in crate::expose) text: Text,
    pub(in crate::expose) escaped: bool,
    /// When it was made, in tenths of a second since the segment was.
    created: u32,
}

/// A counter's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::expose) enum Total {
    Whole(u64),
    Float(f64),
}

impl Total {
    #[inline(always)]
    pub(in crate::expose) fn as_f64(self) -> f64 {
        match self {
            // One instruction, of a signed number.
            Total::Whole(n) if n >> 63 == 0 => n as i64 as f64,
            Total::Whole(n) => large(n),
            Total::Float(v) => v,
        }
    }
}

#[cold]
#[inline(never)]
fn large(n: u64) -> f64 {
    n as f64
}

/// A counter's value from its whole amounts and its fraction. It is exact if it is a whole number
/// below 2^64.
fn total(whole: u128, parts: f64) -> Total {
    match whole_sum(whole, parts).map(u64::try_from) {
        Some(Ok(n)) => Total::Whole(n),
        _ => Total::Float((whole as f64 + parts).max(0.0)),
    }
}

/// A counter's value from its own cells and its per-CPU cells, and the value for the digest.
#[inline(never)]
fn sum_of_parts(memory: &Mapped, own: u64, cells: u32, fraction: u64) -> (Total, u64) {
    let whole = u128::from(own) + percpu::sum(memory, cells);
    (total(whole, f64::from_bits(fraction)), whole as u64 ^ fraction.rotate_left(32))
}

/// A series that was seen to have its place on the page.
pub(in crate::expose) struct Seen<'a> {
    pub(in crate::expose) series: Series<'a>,
    state: &'a AtomicU32,
    was: State,
}

impl Seen<'_> {
    /// Whether all that was read of it since is of one moment: to be asked after that.
    #[inline(always)]
    pub(in crate::expose) fn is_still(&self) -> bool {
        // Acquire: all of it was read before this second look at the state (a sequence lock,
        // numbered by the generation).
        fence(Acquire);
        State(self.state.load(Relaxed)) == self.was
    }
}

/// Why a series was not seen.
pub(in crate::expose) enum Unseen<'a> {
    Hidden,
    Damaged,
    /// Its text lies too near the segment's end for block copies: see `Series::with_copy`.
    NearTheEnd(Seen<'a>),
}

impl<'a> FamilyReader<'a> {
    /// The series at `at`, if it has its place on the page now. `record` is of its memory. What it
    /// reads is for the caller to charge.
    #[inline(always)]
    pub(in crate::expose) fn look(
        &'a self,
        at: u64,
        record: Option<(*const u8, u64)>,
        expected: Expected,
    ) -> Result<Seen<'a>, Unseen<'a>> {
        let Expected { home, kind, seat, text_at, births } = expected;
        let (record, backed) = record.ok_or(Unseen::Damaged)?;
        // SAFETY: an entry's fields are backed (`record`) and aligned in a record aligned to 16, as
        // links are. Those that are not atomic here change only with the record's generation, which
        // is checked at the end; they are read as volatile, so that they are read here.
        let state = unsafe { &*record.add(entry::STATE as usize).cast::<AtomicU32>() };
        // Acquire pairs with the Release that made it live: its text is there.
        let was = State(state.load(Acquire));
        // SAFETY: as above.
        let (parent, its_kind, len, birth, created, flags) = unsafe {
            (
                record.add(entry::PARENT as usize).cast::<u32>().read_volatile(),
                record.add(entry::KIND as usize).read_volatile(),
                record.add(entry::TEXT_LEN as usize).cast::<u16>().read_volatile(),
                record.add(entry::BIRTH as usize).cast::<u32>().read_volatile(),
                record.add(entry::CREATED as usize).cast::<u32>().read_volatile(),
                record.add(entry::FLAGS as usize).read_volatile(),
            )
        };
        if parent != home || its_kind != kind || text_at < COUNTER_END {
            return Err(self.foreign(was, parent));
        }
        // What came after the family was begun might be a label set that was removed behind us: it
        // is on the next page.
        if was.state() != state::LIVE || births.is_some_and(|from| is_later(birth, from, || self.announcements())) {
            return Err(Unseen::Hidden);
        }
        let (at, record) = (at + seat, record.wrapping_add(seat as usize));
        let end = seat + text_at + u64::from(len);
        let text = Text { at: record.wrapping_add(text_at as usize), len: usize::from(len) };
        let escaped = flags & crate::shm::layout::FLAG_ESCAPED != 0;
        let place = SeriesAddr { at, generation: was.generation() };
        let series = Series { reader: self, record, is_embedded: births.is_none(), place, text, escaped, created };
        let seen = Seen { series, state, was };
        // `Text`'s promise.
        if end + READABLE as u64 <= backed {
            Ok(seen)
        } else if end > backed {
            Err(Unseen::Damaged)
        } else {
            Err(Unseen::NearTheEnd(seen))
        }
    }

    /// The number of the family's last announcement at this moment.
    #[cold]
    fn announcements(&self) -> u32 {
        announcements(self.memory, Record::new(self.memory, offset(self.home)).list())
    }

    /// What a record is that does not serve this family: of its store, it may be free, or serve
    /// another one.
    #[cold]
    #[inline(never)]
    fn foreign(&self, was: State, parent: u32) -> Unseen<'a> {
        let [own, other] = [self.home, parent].map(|link| Record::new(self.memory, offset(link)).store_at());
        if parent != self.home && (!was.has_series() || own == other) {
            Unseen::Hidden
        } else {
            Unseen::Damaged
        }
    }

    /// Charges what was read of so many series, with label texts of so many bytes.
    #[inline(always)]
    pub(in crate::expose) fn charge(&self, series: u64, text: u64) -> bool {
        let text = if self.pays_text { text } else { 0 };
        self.allowance.charge(self.memory, series * self.bytes + text)
    }

    /// Gives the series at `at` to `write`, which appends it, or says that it cannot.
    #[inline(always)]
    pub(in crate::expose) fn series(
        &'a self,
        at: u64,
        text_at: u64,
        out: &mut Vec<u8>,
        mut write: impl FnMut(&Series<'a>, &mut Vec<u8>) -> bool,
    ) -> Rendered {
        let from = out.len();
        let FamilyReader { home, kind, seat, births, .. } = *self;
        let expected = Expected { home, kind, seat, text_at, births };
        // A record that changes hands under the copy is copied again, though not for ever.
        for _ in 0..16 {
            let spent = self.allowance.spent();
            let looked = self.look(at, self.memory.record(at), expected);
            if let Ok(seen) | Err(Unseen::NearTheEnd(seen)) = &looked {
                if !self.charge(1, seen.series.text.len() as u64) {
                    return Rendered::Damaged;
                }
            }
            let (written, is_still) = match looked {
                Ok(seen) => (write(&seen.series, out), seen.is_still()),
                Err(Unseen::Hidden) => return Rendered::Hidden,
                Err(Unseen::Damaged) => return Rendered::Damaged,
                Err(Unseen::NearTheEnd(seen)) => (seen.series.with_copy(out, &mut write), seen.is_still()),
            };
            match (written, is_still) {
                (true, true) => {
                    self.digest.keep(at + seat);
                    return Rendered::Shown;
                }
                (true, false) => {
                    self.allowance.set_spent(spent);
                    out.truncate(from);
                }
                (false, _) => {
                    out.truncate(from);
                    return Rendered::Damaged;
                }
            }
        }
        Rendered::Hidden
    }

    /// Nanoseconds since 1970, of tenths of a second since the segment was made.
    pub(in crate::expose) fn time(&self, tenths: u32) -> u64 {
        self.memory.get64(header::CREATED_NS).saturating_add(u64::from(tenths) * 100_000_000)
    }
}

impl<'a> Series<'a> {
    /// Whether it is the family's only series, or its overflow series.
    #[inline(always)]
    pub(in crate::expose) fn is_embedded(&self) -> bool {
        self.is_embedded
    }

    /// Gives the series to `write` with a copy of its label text, behind which bytes may be read.
    #[cold]
    #[inline(never)]
    fn with_copy(&self, out: &mut Vec<u8>, write: &mut dyn FnMut(&Series<'a>, &mut Vec<u8>) -> bool) -> bool {
        self.with_text(self.text.bytes(), |series| write(series, out))
    }

    /// Gives the series with another label text to `write`.
    pub(in crate::expose) fn with_text<R>(&self, mut text: Vec<u8>, write: impl FnOnce(&Series<'a>) -> R) -> R {
        text.resize(text.len() + READABLE, 0);
        // As `Text` promises: the copy stays as it is until `write` has returned.
        let text_of_copy = Text::of(&text);
        let with = Series { text: text_of_copy, reader: self.reader, record: self.record, place: self.place, ..*self };
        write(&with)
    }

    /// The embedded series is never removed: its cells have no tags.
    pub(in crate::expose) fn mask(&self) -> u64 {
        if self.is_embedded() {
            u64::MAX
        } else {
            TAG_MASK
        }
    }

    /// Reads a counter, whose cells end before its text at `text_at`.
    #[inline(always)]
    pub(in crate::expose) fn counter(&self, text_at: u64) -> Option<Total> {
        let (total, value) = self.counter_and_digest(text_at)?;
        self.note(value);
        Some(total)
    }

    /// As `counter`, with the value for the digest. Nothing here takes a reference to the series,
    /// so that the fast path keeps it in registers.
    #[inline(always)]
    pub(in crate::expose) fn counter_and_digest(&self, text_at: u64) -> Option<(Total, u64)> {
        if text_at < COUNTER_END {
            return None;
        }
        // SAFETY: backed up to the text (checked by `series`), aligned to 8 in a record aligned to
        // 16, accessed atomically.
        let cells = unsafe { &*self.record.add(counter::INTEGER as usize).cast::<[AtomicU64; 2]>() };
        let [whole, fraction] = counter_read(cells);
        // SAFETY: as above. Acquire: as `percpu::of`.
        let cells = unsafe { &*self.record.add(entry::PER_CPU as usize).cast::<AtomicU32>() }.load(Acquire);
        if cells != 0 && !self.may_read_per_cpu(8) {
            return None;
        }
        let own = whole & self.mask();
        if cells == 0 && fraction == 0 {
            return Some((Total::Whole(own), own));
        }
        Some(sum_of_parts(self.reader.memory, own, cells, fraction))
    }

    /// Reads a gauge. What each process has comes in the order of pages, in `each`.
    pub(in crate::expose) fn gauge(&self, mode: GaugeMode, each: &mut Vec<Sample>) -> Merged {
        let reader = self.reader;
        let may = |bytes| reader.allowance.charge(reader.memory, bytes);
        let (merged, digest) = gauge_merge::merge(reader.memory, self.place, mode, reader.living, each, may);
        self.note(digest);
        if merged == Merged::Each {
            // A worker that takes the identity of one that died takes over its series: the page has
            // each series once.
            each.sort_unstable_by_key(|s| (s.identity, !s.alive, std::cmp::Reverse(s.since)));
            each.dedup_by_key(|s| s.identity);
        }
        merged
    }

    pub(in crate::expose) fn memory(&self) -> &Mapped {
        self.reader.memory
    }

    /// Charges a block that it leads to.
    #[inline(always)]
    pub(in crate::expose) fn may_read(&self, bytes: u64) -> bool {
        self.reader.allowance.charge(self.reader.memory, bytes)
    }

    /// Charges cells for each CPU, of so many bytes each.
    #[inline(always)]
    pub(in crate::expose) fn may_read_per_cpu(&self, bytes: u64) -> bool {
        self.may_read(self.reader.memory.per_cpu().cpus * bytes)
    }

    pub(in crate::expose) fn has_per_cpu(&self) -> bool {
        percpu::of(self.reader.memory, self.place.at) != 0
    }

    pub(in crate::expose) fn at(&self) -> u64 {
        self.place.at
    }

    /// Where it is, as its cells have it.
    pub(in crate::expose) fn place(&self) -> SeriesAddr {
        SeriesAddr {
            generation: if self.is_embedded() { Generation::FOREVER } else { self.place.generation },
            ..self.place
        }
    }

    /// Whether a histogram, or a summary, has ever observed a negative value: to be asked after its
    /// values were read.
    pub(in crate::expose) fn saw_negatives(&self) -> bool {
        // SAFETY: so much is backed in front of the text (`FamilyReader::look`).
        unsafe { saw_negatives(self.record, self.place.generation) }
    }

    /// Reads the word of a state set.
    pub(in crate::expose) fn states(&self) -> u64 {
        let states = states_read(self.reader.memory, self.place.at);
        self.note(states);
        states
    }

    /// Notes what was read of it, for the page's digest.
    #[inline(always)]
    pub(in crate::expose) fn note(&self, value: u64) {
        self.reader.digest.note(value);
    }

    #[inline(always)]
    pub(in crate::expose) fn has_exemplars(&self) -> bool {
        // SAFETY: backed, as so much is in front of the text (`FamilyReader::look`), aligned to 4
        // in a record aligned to 16, accessed atomically. Relaxed: a reader that follows the link
        // reads it again.
        unsafe { &*self.record.add(entry::EXTENSION as usize).cast::<AtomicU32>() }.load(Relaxed) != 0
    }

    /// The exemplar in one of its slots.
    #[inline(always)]
    pub(in crate::expose) fn exemplar(&self, slot: usize) -> Option<Exemplar> {
        if !self.has_exemplars() || !self.may_read(exemplar::SIZE) {
            return None;
        }
        exemplar_read(self.reader.memory, self.place.at, self.place.generation, slot as u64)
    }

    /// When it began, in tenths of a second since the segment was made.
    #[inline(always)]
    pub(in crate::expose) fn age(&self) -> u32 {
        self.created
    }

    /// When it began, in nanoseconds since 1970.
    #[inline(always)]
    pub(in crate::expose) fn created(&self) -> u64 {
        self.reader.time(self.created)
    }
}

impl Text {
    #[inline(always)]
    pub(in crate::expose) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    pub(in crate::expose) fn put(&self, writer: &mut Writer<'_>) {
        // SAFETY: readable for `len` bytes and more than a block behind them (`Text`). In a record
        // that changes hands, or a damaged one, they are some bytes or other.
        unsafe { writer.text(self.at, self.len) };
    }

    /// Copies some of it: `from + len` may not pass its length.
    #[inline(always)]
    pub(in crate::expose) fn put_part(&self, from: usize, len: usize, writer: &mut Writer<'_>) {
        debug_assert!(from + len <= self.len);
        // SAFETY: as above; a part of it.
        unsafe { writer.raw(self.at.add(from), len) };
    }

    /// Which of its bytes are `"`, a bit for each, if they are no more than 64; bits behind its end
    /// are any.
    #[inline(always)]
    pub(in crate::expose) fn quotes(&self) -> u64 {
        debug_assert!(self.len <= 64);
        // SAFETY: 64 bytes are readable from anywhere in the text (`Text`).
        let block = |from: usize| u64::from(unsafe { Block::read(self.at.add(from)) }.find(b'"')) << from;
        block(0) | block(16) | block(32) | block(48)
    }

    /// Where the next `"` is from `from` on; its length if there is none.
    #[inline(always)]
    pub(in crate::expose) fn quote(&self, from: usize) -> usize {
        let mut at = from;
        while at < self.len {
            // SAFETY: 16 bytes from within the text are readable (`Text`).
            let found = unsafe { Block::read(self.at.add(at)) }.find(b'"');
            if found != 0 {
                return (at + found.trailing_zeros() as usize).min(self.len);
            }
            at += 16;
        }
        self.len
    }

    /// The 16 bytes from `from` on, which is no more than its length.
    #[inline(always)]
    pub(in crate::expose) fn block(&self, from: usize) -> Block {
        debug_assert!(from <= self.len);
        // SAFETY: as in `quote`.
        unsafe { Block::read(self.at.add(from)) }
    }

    /// A text of all bytes but the last `READABLE`, which stand behind the text. The bytes must
    /// stay for as long as the text is in use.
    pub(in crate::expose) fn of(padded: &[u8]) -> Self {
        Text { at: padded.as_ptr(), len: padded.len() - READABLE }
    }

    /// A copy, to make another of.
    pub(in crate::expose) fn padded(&self) -> Vec<u8> {
        let mut copy = self.bytes();
        copy.resize(self.len + READABLE, 0);
        copy
    }

    /// A copy.
    pub(in crate::expose) fn bytes(&self) -> Vec<u8> {
        let mut copy = vec![0; self.len];
        // SAFETY: readable for `len` bytes (`Text`).
        unsafe { std::ptr::copy_nonoverlapping(self.at, copy.as_mut_ptr(), self.len) };
        copy
    }
}
