//! Bundles: families with the same labels, whose series are in one record for each label set.
//!
//! The record of a bundle's first member has the chain of series, the free lists and the limits,
//! and is the `PARENT` of the series. The other members' records are in the same block of memory,
//! and lead to the first by their `PARENT`. A table lists all of them. A family that is registered
//! by itself is the first member of a bundle without others, and has no table.
//!
//! The first member's cells are where those of any series are. Each other member has a *seat* in
//! the record: the cells, and in front of them the words that an update needs (`layout::seat`). A
//! handle of the member leads to its seat, where everything is as far away as in a series' own
//! record. So an update does not know whether its series is in a bundle.

use std::mem::offset_of;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU8};

use super::family::{cells_end, pairs, text_at, Record};
use crate::kind::Kind;
use crate::shm::layout::offset;
use crate::shm::layout::{align, entry, family, member, seat, COUNTER_END, FLAG_MODE_SHIFT, GRANULE};
use crate::shm::memory::{Mapped, Memory};
use crate::shm::percpu;
use crate::shm::state;
use crate::shm::state::State;

/// Most members of a bundle.
pub(crate) const MEMBERS_MAX: usize = 64;
/// In place of an offset: the member gets per-CPU cells by itself, or none.
const NO_PER_CPU: u16 = u16::MAX;
/// In a row's shape: where the number of bounds is, and whether there are native buckets.
const BOUNDS: u32 = 0xffff;
const NATIVE: u32 = 1 << 16;

/// What the cells of a member depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cells {
    pub(crate) kind: Kind,
    /// Bounds, quantiles or states.
    pub(crate) bounds: usize,
    pub(crate) native: bool,
}

impl Cells {
    fn end(self) -> u64 {
        cells_end(self.kind, self.bounds, self.native)
    }

    /// Bytes of its per-CPU cells for each CPU. `None`: it gets none.
    fn per_cpu(self) -> Option<u64> {
        match self.kind {
            Kind::Counter => Some(8),
            Kind::Histogram | Kind::Summary if !self.native => Some(16 * pairs(self.kind, self.bounds, false)),
            _ => None,
        }
    }
}

/// Where each member is in a record.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seats: Vec<u64>,
    /// Where the label text begins.
    pub(crate) text_at: u64,
    /// The members' per-CPU cells among the bundle's, in cells of 8 bytes.
    per_cpu: Vec<u16>,
}

impl Plan {
    pub(crate) fn new(members: &[Cells], expires: bool) -> Self {
        let (mut seats, mut end, mut per_cpu, mut next) = (Vec::new(), 0, Vec::new(), 0);
        for (i, cells) in members.iter().enumerate() {
            let at = match cells.kind {
                _ if i == 0 => 0,
                // Nothing of an entry is read in front of a counter's seat, nor behind its cells.
                Kind::Counter => align(end, GRANULE) - seat::STATE,
                _ => align(end, GRANULE),
            };
            end = at + if i > 0 && cells.kind == Kind::Counter { COUNTER_END } else { cells.end() };
            seats.push(at);
            per_cpu.push(match cells.per_cpu() {
                Some(bytes) => {
                    let at = align(next, bytes.min(GRANULE));
                    next = at + bytes;
                    (at / 8) as u16
                }
                None => NO_PER_CPU,
            });
        }
        if next > percpu::STRIDE {
            per_cpu = vec![NO_PER_CPU; members.len()];
        }
        Plan { seats, text_at: text_at(end, expires), per_cpu }
    }
}

/// A row of the table of members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    /// The link of its family.
    pub(crate) family: u32,
    pub(crate) seat: u64,
    per_cpu_at: u16,
    pub(crate) cells: Cells,
}

impl Member {
    fn read(memory: &Mapped, at: u64) -> Option<Self> {
        let shape = memory.get32(at + member::SHAPE);
        Some(Member {
            family: memory.get32(at + member::FAMILY),
            seat: u64::from(memory.get32(at + member::SEAT)) / GRANULE * GRANULE,
            per_cpu_at: memory.get16(at + member::PER_CPU_AT),
            cells: Cells {
                kind: Kind::from_byte(memory.get8(at + member::KIND))?,
                bounds: (shape & BOUNDS) as usize,
                native: shape & NATIVE != 0,
            },
        })
    }
}

/// A row as it is in the segment, which no process changes once the bundle is published. In a
/// damaged segment it is anything.
#[repr(C)]
pub(crate) struct Row {
    family: AtomicU32,
    seat: AtomicU32,
    per_cpu_at: AtomicU16,
    kind: AtomicU8,
    _reserved: AtomicU8,
    shape: AtomicU32,
}

const _: () = assert!(
    offset_of!(Row, seat) as u64 == member::SEAT
        && offset_of!(Row, kind) as u64 == member::KIND
        && size_of::<Row>() as u64 == member::SIZE
);

impl Row {
    /// The kind of the member, and its seat.
    #[inline(always)]
    pub(crate) fn place(&self) -> Option<(Kind, u64)> {
        // Relaxed: published with the family.
        let seat = u64::from(self.seat.load(Relaxed)) / GRANULE * GRANULE;
        Some((Kind::from_byte(self.kind.load(Relaxed))?, seat))
    }

    /// The seat of a member of this kind.
    #[inline(always)]
    pub(crate) fn seat_of(&self, kind: Kind) -> Option<u64> {
        let seat = u64::from(self.seat.load(Relaxed)) / GRANULE * GRANULE;
        (self.kind.load(Relaxed) == kind as u8).then_some(seat)
    }

    /// The family, and the number of its bounds, of a member without native buckets.
    #[inline(always)]
    pub(crate) fn classic(&self) -> Option<(u32, u64)> {
        let shape = self.shape.load(Relaxed);
        (shape & NATIVE == 0).then(|| (self.family.load(Relaxed), u64::from(shape & BOUNDS)))
    }
}

/// Bytes of a table of so many members.
pub(crate) fn table_len(members: usize) -> u64 {
    if members > 1 {
        member::SIZE * members as u64
    } else {
        0
    }
}

/// Writes the table of members at `at`.
pub(crate) fn write_table(memory: &Mapped, at: u64, families: &[u32], members: &[Cells], plan: &Plan) {
    for (i, (family, cells)) in families.iter().zip(members).enumerate() {
        let row = at + member::SIZE * i as u64;
        memory.put32(row + member::FAMILY, *family);
        memory.put32(row + member::SEAT, plan.seats[i] as u32);
        memory.put16(row + member::PER_CPU_AT, plan.per_cpu[i]);
        memory.put8(row + member::KIND, cells.kind as u8);
        memory.put32(row + member::SHAPE, cells.bounds as u32 | if cells.native { NATIVE } else { 0 });
    }
}

impl<'a> Record<'a> {
    /// How many members its table has: 0 for a family by itself, and for members but the first.
    #[inline(always)]
    pub(crate) fn member_count(&self) -> usize {
        usize::from(self.memory.get16(self.at + family::MEMBER_COUNT)).min(MEMBERS_MAX)
    }

    /// A row of the table. `None`: there is none, or it is damaged.
    #[inline]
    pub(crate) fn member(&self, i: usize) -> Option<Member> {
        if i >= self.member_count() {
            return None;
        }
        let table = offset(self.memory.get32(self.at + family::MEMBERS));
        Member::read(self.memory, table + member::SIZE * i as u64)
    }

    /// The table. Without rows, but at the family, if the table is not backed, and for a family by
    /// itself.
    #[inline(always)]
    pub(crate) fn rows(&self) -> &'a [Row] {
        let (count, table) = (self.member_count(), offset(self.memory.get32(self.at + family::MEMBERS)));
        let backed = self.memory.bytes(table, member::SIZE * count as u64).filter(|_| count > 0);
        let (first, count) = backed.map_or((self.memory.checked_before(self.at), 0), |first| (first, count));
        // SAFETY: no row, or all of them are backed (checked). Aligned to 16 as links and families
        // are, and only accessed atomically.
        unsafe { std::slice::from_raw_parts(first.cast(), count) }
    }

    /// How many series a label set has.
    pub(crate) fn series_of_each(&self) -> u64 {
        self.member_count().max(1) as u64
    }

    /// The members of the bundle that it is the first of, itself among them: at their seats.
    pub(crate) fn members(&self) -> impl Iterator<Item = (Record<'a>, u64)> + 'a + use<'a> {
        let (record, count) = (*self, self.member_count());
        let alone = (count == 0).then_some((record, 0));
        alone.into_iter().chain((0..count).filter_map(move |i| {
            let member = record.member(i)?;
            Some((Record::new(record.memory, offset(member.family)), member.seat))
        }))
    }

    /// The first member of its bundle: itself, mostly.
    pub(crate) fn home(&self) -> Record<'a> {
        match self.memory.get32(self.at + entry::PARENT) {
            0 => *self,
            link => Record::new(self.memory, offset(link)),
        }
    }

    /// Whether it is a member other than the first.
    pub(crate) fn has_home(&self) -> bool {
        self.memory.get32(self.at + entry::PARENT) != 0
    }

    /// Where its cells' fields count from, in a record of its series.
    pub(crate) fn seat(&self) -> u64 {
        u64::from(self.memory.get32(self.at + family::SEAT)) / GRANULE * GRANULE
    }

    /// Whether its bundle has other members.
    pub(crate) fn is_bundled(&self) -> bool {
        self.home().member_count() > 1
    }

    /// Whether the entry here is a family: one that has its own series, or that a family lists as a
    /// member. A series' record has any bytes where a family has its name.
    pub(crate) fn is_family(&self) -> bool {
        if !self.has_home() {
            return true;
        }
        let home = self.home();
        !home.has_home() && (1..home.member_count()).any(|i| home.member(i).is_some_and(|m| m.family == self.link()))
    }

    /// Where its series' label text is to begin, as their seat has it, and where their seat is.
    /// `None`: a bundle's table of members is damaged.
    pub(crate) fn planned(&self) -> Option<(u64, u64)> {
        let home = self.home();
        let cells: Vec<Cells> = home.members().map(|(member, _)| member.cells()).collect();
        let whole = cells.len() as u64 == home.series_of_each();
        let plan = Plan::new(&cells, home.expire() > 0);
        let i = home.members().position(|(member, _)| member.at == self.at).filter(|_| whole)?;
        Some((plan.text_at - plan.seats[i], plan.seats[i]))
    }

    /// Bytes that a page reads of a series beside the label text: of the whole record, or of what
    /// belongs to the member. And whether the text is read for this family: in a bundle it is for
    /// the first member.
    pub(crate) fn read_for(&self) -> (u64, bool) {
        if self.is_bundled() && self.is_family() {
            (self.cells().end(), !self.has_home())
        } else {
            (self.text_at(), true)
        }
    }

    pub(crate) fn cells(&self) -> Cells {
        Cells { kind: self.kind(), bounds: self.bucket_count(), native: self.has_native() }
    }

    /// Members whose series have a cell for each process.
    pub(crate) fn members_with_cells(&self) -> u64 {
        self.members().filter(|(record, _)| record.mode().has_cells()).count() as u64
    }

    /// Fits the seats of the record at `at`, which is the caller's alone, for series in its state's
    /// generation.
    pub(crate) fn open_seats(&self, at: u64) {
        let state = state::state(self.memory, (at / GRANULE) as u32);
        for (family, seat) in self.members().filter(|(_, seat)| *seat > 0) {
            let to = at + seat;
            if !family.is_kind(Kind::Counter) {
                self.memory.put32(to + entry::PARENT, family.link());
                self.memory.put8(to + entry::KIND, self.memory.get8(family.at + entry::KIND));
                self.memory.put8(to + entry::FLAGS, (family.mode() as u8) << FLAG_MODE_SHIFT);
            }
            self.memory.put32(to + seat::HOME, (seat / GRANULE) as u32);
            // Release: as of the record's own state.
            self.memory.store32(to + seat::STATE, state.of_seat(state::LIVE).0, Release);
        }
    }
}

const _: () =
    assert!(seat::STATE == entry::STATE && seat::PER_CPU == entry::PER_CPU && seat::EXTENSION == entry::EXTENSION);

/// Ends the generation of a seat in a record that is in its next generation, or closed for good: an
/// update that looks at the state goes nowhere from now on.
pub(crate) fn close_seat(memory: &Mapped, record: u64, seat: u64) {
    if seat > 0 {
        let state = state::state(memory, (record / GRANULE) as u32);
        // Release: as of the record's own state.
        memory.store32(record + seat + seat::STATE, state.of_seat(state::FREE).0, Release);
    }
}

/// Whether updates take the series here for one in its record's generation.
pub(crate) fn is_seat_open(memory: &Mapped, record: u64, seat: u64) -> bool {
    let own = state::state(memory, (record / GRANULE) as u32);
    let word = State(memory.load32(record + seat + seat::STATE, Acquire));
    seat == 0 || (word == own.of_seat(state::LIVE) && whole(memory, record + seat) == Some(record))
}

/// The family of the series whose handle leads here.
pub(crate) fn family_at(memory: &Mapped, at: u64) -> Record<'_> {
    let parent = |at: u64| Record::new(memory, offset(memory.load32(at + entry::PARENT, Relaxed)));
    match whole(memory, at) {
        None => parent(at),
        Some(record) => {
            let home = parent(record);
            let is_it = |(_, seat): &(Record<'_>, u64)| record + seat == at;
            home.members().find(is_it).map_or(home, |(family, _)| family)
        }
    }
}

/// The record that has the seat here; `None` if this is no seat.
fn whole(memory: &Mapped, at: u64) -> Option<u64> {
    let word = State(memory.load32(at + seat::STATE, Acquire));
    let back = u64::from(memory.get32(at + seat::HOME)) * GRANULE;
    word.is_seat().then(|| at.checked_sub(back))?
}

/// What the members of a label set get of its per-CPU cells: the place of each, and its first cell.
/// An update may be the caller, so nothing here is allocated.
pub(crate) struct PerCpuPlaces {
    places: [(u64, u32); MEMBERS_MAX],
    count: usize,
    /// The bytes of all of them, for each CPU.
    pub(crate) bytes: u64,
}

impl PerCpuPlaces {
    pub(crate) fn all(&self) -> &[(u64, u32)] {
        &self.places[..self.count]
    }
}

/// Where the per-CPU cells of a label set belong, from a handle of one of its series. `None`: this
/// series gets per-CPU cells by itself.
pub(crate) fn per_cpu_places(memory: &Mapped, at: u64) -> Option<PerCpuPlaces> {
    let record = whole(memory, at).unwrap_or(at);
    let home = Record::new(memory, offset(memory.load32(record + entry::PARENT, Relaxed)));
    let mut all = PerCpuPlaces { places: [(0, 0); MEMBERS_MAX], count: 0, bytes: 0 };
    let mut has_own = false;
    for member in (0..home.member_count()).filter_map(|i| home.member(i)) {
        let Some(bytes) = member.cells.per_cpu().filter(|_| member.per_cpu_at != NO_PER_CPU) else { continue };
        has_own |= record + member.seat == at;
        all.places[all.count] = (record + member.seat, u32::from(member.per_cpu_at));
        all.count += 1;
        all.bytes = all.bytes.max(8 * u64::from(member.per_cpu_at) + bytes);
    }
    (has_own && all.bytes <= percpu::STRIDE).then_some(all)
}
