//! Memory that can make one mistake in the protocol's place: what the checks must not let through.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed};

use super::scene::{
    brought_by, BITS, CELL, FAMILIES, FREE, INDEX_AT, RECORD, RECORDS_AT, REPLACES, ROOMY_BITS, SERIES,
};
use crate::shm::layout::offset;
use crate::shm::layout::{entry, header};
use crate::shm::memory::Memory;
use crate::shm::percpu;
use crate::shm::state;
use crate::shm::state::{State, TAG_MASK};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// None: the protocol as it is.
    Sound,
    /// The swap that announces an entry does not publish what is in it.
    RelaxedAnnouncement,
    /// The swap that ends an announcement does not publish the index, and neither does the fence
    /// that happens to stand before it.
    RelaxedEnd,
    /// The swap that offers a free record does not publish its link to the next one.
    RelaxedOffer,
    /// Neither the swap that makes an entry live, nor any that leads there, publishes what is in
    /// it.
    RelaxedLive,
    /// Insertions and doublings do not see each other's last word.
    NoFence,
    /// The table's size is read once and believed for good.
    OldSize,
    /// The maximum probe distance is read once and believed for good.
    OldMaxProbe,
    /// The swap that puts a word into the index does not publish how far from its home that is.
    RelaxedWord,
    /// The announcement ends first and the index follows.
    EndBeforeIndex,
    /// A process that helps with another's entry leaves the index to the entry's maker.
    HelpersSkipIndex,
    /// The look-up is done before the chain's `PENDING` is read.
    LookUpBeforePending,
    /// A helper does not look whether the announcement is still on.
    HelpersLookOnce,
    /// A reader of a record does not look whether its state is still the same.
    ReadersLookOnce,
    /// A removal of an entry does not end its announcement first.
    RemoversDoNotHelp,
    /// The free list's head has no count.
    NoCount,
    /// An update looks at the cell's generation, and then adds to whatever is there.
    AnyGeneration,
    /// An update looks at the record's generation, and then for its per-CPU cells.
    GenerationBeforePerCpu,
    /// Per-CPU cells is taken away before its series is removed, and not after that.
    CellsTakenEarly,
    /// Per-CPU cells stay with their record.
    CellsStay,
    /// The process that takes per-CPU cells away does not publish the record's generation.
    RelaxedTakeAway,
    /// A removal leaves the cell of the series open.
    CellStaysOpen,
    /// A removal leaves the record in the generation of the series.
    GenerationStays,
    /// A family that is replaced stays live.
    NeverRetires,
    /// If families are replaced together, only the first is retired: the others stay live.
    RetiresTheFirstOnly,
    /// A family is retired before the one that replaces it is announced.
    RetiresFirst,
    /// An entry that comes with others is taken for the last of them.
    ForgetsTheLast,
    /// Only the announced entry gets into the index.
    ForgetsTheBrought,
    /// The process that drains a family does not revoke the announcements that are on their way.
    DoesNotRevoke,
}

/// One process' view of the words, with a fault.
pub(super) struct Faulty<'a, M> {
    inner: &'a M,
    fault: Fault,
    /// The process' own record; 0 if it removes.
    own: u32,
    /// Whether it is stopped where it would end an announcement.
    stopped: bool,
    /// Index words as they were when the look-up was done (`LookUpBeforePending`).
    looked_up: RefCell<Vec<(u64, u64)>>,
    /// What is still to be placed (`EndBeforeIndex`).
    to_place: RefCell<Vec<(u64, u64, u64)>>,
    /// The table's size at first (`OldSize`).
    bits: u32,
    /// How far from their homes its words were at first (`OldMaxProbe`).
    max_probe: u32,
    /// The last announcement seen, and whether the next look is the second one (`HelpersLookOnce`).
    announced: Cell<u64>,
    again: Cell<bool>,
    /// A record's state at the first look (`ReadersLookOnce`).
    state: Cell<u32>,
    /// A record's state, before its per-CPU cells were looked for (`GenerationBeforePerCpu`).
    seen_first: Cell<Option<u32>>,
}

/// The maximum probe distance of a table that has not doubled.
const SMALL_MAX_PROBE: u64 = header::INDEX_MAX_PROBE + 4 * BITS as u64;

fn is_pending(at: u64) -> bool {
    at == FAMILIES.pending || at == SERIES.pending
}

fn is_index(at: u64) -> bool {
    (INDEX_AT..INDEX_AT + (8 << ROOMY_BITS)).contains(&at)
}

fn is_field(at: u64, field: u64) -> bool {
    at >= RECORDS_AT && (at - RECORDS_AT) % RECORD == field
}

fn leads_to_an_entry(at: u64) -> bool {
    at == FAMILIES.head || at == SERIES.head || is_field(at, entry::NEXT) || is_index(at) || is_field(at, entry::STATE)
}

impl<'a, M: Memory> Faulty<'a, M> {
    pub(super) fn new(inner: &'a M, fault: Fault, own: u32) -> Self {
        let now = |i: u64| (INDEX_AT + 8 * i, inner.load64(INDEX_AT + 8 * i, Acquire));
        let words = if fault == Fault::LookUpBeforePending { 1 << ROOMY_BITS } else { 0 };
        Faulty {
            inner,
            fault,
            own,
            stopped: false,
            looked_up: RefCell::new((0..words).map(now).collect()),
            to_place: RefCell::default(),
            bits: if fault == Fault::OldSize { inner.load32(header::INDEX_BITS, Acquire) } else { 0 },
            max_probe: if fault == Fault::OldMaxProbe { inner.load32(SMALL_MAX_PROBE, Acquire) } else { 0 },
            announced: Cell::new(0),
            again: Cell::new(false),
            state: Cell::new(0),
            seen_first: Cell::new(None),
        }
    }

    /// The same, of a process that removes.
    pub(super) fn of_remover(&self) -> Self {
        Self::new(self.inner, self.fault, 0)
    }

    /// The view of a process that is stopped where it would end an announcement, and never goes on.
    pub(super) fn of_stopped(&self) -> Self {
        Self { stopped: true, ..Self::new(self.inner, self.fault, self.own) }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn cas_pending(&self, at: u64, old: u64, new: u64, ok: Ordering, fail: Ordering) -> Result<u64, u64> {
        if self.stopped && old as u32 == self.own {
            return Ok(old);
        }
        if self.is(Fault::DoesNotRevoke) && old as u32 == 0 && new as u32 == 0 {
            return Ok(old);
        }
        if self.is(Fault::RetiresFirst) && new as u32 == self.own {
            let replaced = self.inner.load32(offset(self.own) + REPLACES, Relaxed);
            if replaced != 0 {
                let state = state::state(self.inner, replaced);
                state::change(self.inner, replaced, state, state::RETIRED);
            }
        }
        let weak = self.is(if new as u32 == 0 { Fault::RelaxedEnd } else { Fault::RelaxedAnnouncement });
        let result = self.inner.cas64(at, old, new, if weak { Relaxed } else { ok }, fail);
        if new as u32 == 0 {
            for (at, old, word) in self.to_place.take() {
                let _ = self.inner.cas64(at, old, word, AcqRel, Acquire);
            }
        } else if result.is_ok() {
            self.announced.set(new);
        }
        result
    }

    fn cas_index(&self, at: u64, old: u64, new: u64, ok: Ordering, fail: Ordering) -> Result<u64, u64> {
        match self.fault {
            Fault::EndBeforeIndex => {
                self.to_place.borrow_mut().push((at, old, new));
                Ok(old)
            }
            Fault::HelpersSkipIndex if new as u32 != self.own => Ok(old),
            Fault::LookUpBeforePending => {
                let result = self.inner.cas64(at, old, new, ok, fail);
                let now = result.map_or_else(|seen| seen, |_| new);
                self.looked_up.borrow_mut().iter_mut().filter(|(a, _)| *a == at).for_each(|(_, w)| *w = now);
                result
            }
            Fault::RelaxedLive | Fault::RelaxedWord => self.inner.cas64(at, old, new, Relaxed, fail),
            _ => self.inner.cas64(at, old, new, ok, fail),
        }
    }
}

impl<M: Memory> Memory for Faulty<'_, M> {
    fn load32(&self, at: u64, order: Ordering) -> u32 {
        if self.is(Fault::OldSize) && at == header::INDEX_BITS {
            return self.bits;
        }
        if self.is(Fault::OldMaxProbe) && at == SMALL_MAX_PROBE {
            return self.max_probe;
        }
        if self.is(Fault::ReadersLookOnce) && is_field(at, entry::STATE) {
            if order == Relaxed {
                return self.state.get();
            }
            self.state.set(self.inner.load32(at, order));
            return self.state.get();
        }
        // `help_pending` alone reads a tail, and `PENDING` behind it.
        if self.is(Fault::GenerationBeforePerCpu) && is_field(at, entry::PER_CPU) {
            let state = self.inner.load32(at - entry::PER_CPU + entry::STATE, Relaxed);
            let cells = self.inner.load32(at, order);
            self.seen_first.set((cells != 0).then_some(state));
            return cells;
        }
        if self.is(Fault::GenerationBeforePerCpu) && is_field(at, entry::STATE) && order == Relaxed {
            if let Some(state) = self.seen_first.take() {
                return state;
            }
        }
        self.again.set(at == FAMILIES.tail || at == SERIES.tail);
        self.inner.load32(at, order)
    }

    fn store32(&self, at: u64, value: u32, order: Ordering) {
        self.inner.store32(at, value, order);
    }

    fn cas32(&self, at: u64, old: u32, new: u32, ok: Ordering, fail: Ordering) -> Result<u32, u32> {
        if is_field(at, entry::PER_CPU) && new == 0 {
            match self.fault {
                Fault::CellsTakenEarly | Fault::CellsStay => return Ok(old),
                Fault::RelaxedTakeAway => return self.inner.cas32(at, old, new, Relaxed, Relaxed),
                _ => {}
            }
        }
        if self.is(Fault::ForgetsTheLast) && at == FAMILIES.tail && new == brought_by(self.own) {
            return self.inner.cas32(at, old, self.own, ok, fail);
        }
        if self.is(Fault::CellsTakenEarly) && is_field(at, entry::STATE) && State(new).state() == state::FREE {
            percpu::take_away(self.inner, at - entry::STATE);
        }
        if self.is(Fault::NeverRetires) && is_field(at, entry::STATE) && State(new).state() == state::RETIRED {
            return Ok(old);
        }
        if self.is(Fault::RetiresTheFirstOnly)
            && is_field(at, entry::STATE)
            && State(new).state() == state::RETIRED
            && at - entry::STATE != offset(self.inner.load32(offset(self.own) + REPLACES, Relaxed))
        {
            return Ok(old);
        }
        if self.is(Fault::GenerationStays) && is_field(at, entry::STATE) && State(new).state() == state::FREE {
            return self.inner.cas32(at, old, State(old).in_state(state::FREE).0, ok, fail);
        }
        let weak = self.is(Fault::RelaxedLive) && leads_to_an_entry(at);
        self.inner.cas32(at, old, new, if weak { Relaxed } else { ok }, fail)
    }

    fn load64(&self, at: u64, order: Ordering) -> u64 {
        match self.fault {
            Fault::LookUpBeforePending if is_index(at) => {
                self.looked_up.borrow().iter().find(|(a, _)| *a == at).map_or(0, |(_, w)| *w)
            }
            Fault::HelpersLookOnce if is_pending(at) && self.again.take() => self.announced.get(),
            Fault::HelpersLookOnce if is_pending(at) => {
                self.announced.set(self.inner.load64(at, order));
                self.announced.get()
            }
            Fault::RemoversDoNotHelp if is_pending(at) && self.own == 0 => self.inner.load64(at, order) >> 32 << 32,
            _ => self.inner.load64(at, order),
        }
    }

    fn cas64(&self, at: u64, old: u64, new: u64, ok: Ordering, fail: Ordering) -> Result<u64, u64> {
        match self.fault {
            _ if is_pending(at) => self.cas_pending(at, old, new, ok, fail),
            Fault::ForgetsTheBrought if is_index(at) && new as u32 == brought_by(self.own) => Ok(old),
            _ if is_index(at) => self.cas_index(at, old, new, ok, fail),
            Fault::RelaxedOffer if at == FREE => self.inner.cas64(at, old, new, Relaxed, fail),
            Fault::NoCount if at == FREE => {
                self.inner.cas64(at, old, old >> 32 << 32 | u64::from(new as u32), ok, fail)
            }
            Fault::CellStaysOpen if is_field(at, CELL) && new & TAG_MASK == 0 => Ok(old),
            Fault::AnyGeneration if is_field(at, CELL) && new & TAG_MASK != 0 => {
                self.inner.add64(at, new - old, ok);
                Ok(old)
            }
            _ => self.inner.cas64(at, old, new, ok, fail),
        }
    }

    fn add64(&self, at: u64, value: u64, order: Ordering) -> u64 {
        self.inner.add64(at, value, order)
    }

    fn index_min_bits(&self) -> u32 {
        self.inner.index_min_bits()
    }

    fn fence(&self) {
        if !matches!(self.fault, Fault::NoFence | Fault::RelaxedEnd | Fault::RelaxedLive) {
            self.inner.fence();
        }
    }
}
