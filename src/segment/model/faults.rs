//! Memory that can make one mistake in the protocol's place: what the checks must not let through.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering::{self, Relaxed};

use super::super::chain::FAMILIES;
use super::super::layout::{entry, header};
use super::super::life::TAG_MASK;
use super::super::memory::Memory;
use super::scene::{CELL, INDEX_AT, RECORD, RECORDS_AT, ROOMY_BITS, SERIES};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// None: the protocol as it is.
    Sound,
    /// The swap that announces an entry does not publish what is in it.
    RelaxedAnnouncement,
    /// The swap that ends an announcement does not publish the index, and neither does the fence that happens to stand before
    /// it, nor the swap that makes the entry live.
    RelaxedEnd,
    /// Insertions and doublings do not see each other's last word.
    NoFence,
    /// The table's size is read once and believed for good.
    OldSize,
    /// The announcement ends first and the index follows.
    EndBeforeIndex,
    /// Whoever helps another's entry leaves the index to its maker.
    HelpersSkipIndex,
    /// The look-up is done before the chain's `PENDING` is read.
    LookUpBeforePending,
    /// A helper does not look whether the announcement is still on.
    NoSecondLook,
    /// An update does not care which life a cell is in.
    AnyLife,
}

/// One thread's view of the words, with a fault.
pub(super) struct Faulty<'a, M> {
    inner: &'a M,
    fault: Fault,
    /// The thread's own record.
    own: u32,
    /// Index words as they were when the look-up was done (`LookUpBeforePending`), or what is still to be placed
    /// (`EndBeforeIndex`).
    index: RefCell<Vec<(u64, u64)>>,
    bits: u32,
    /// The announcement seen last (`NoSecondLook`).
    announced: Cell<u64>,
}

fn is_pending(at: u64) -> bool {
    at == FAMILIES.pending || at == SERIES.pending
}

fn is_index(at: u64) -> bool {
    (INDEX_AT..INDEX_AT + (8 << ROOMY_BITS)).contains(&at)
}

fn is_field(at: u64, field: u64) -> bool {
    at >= RECORDS_AT && (at - RECORDS_AT) % RECORD == field
}

impl<'a, M: Memory> Faulty<'a, M> {
    pub(super) fn new(inner: &'a M, fault: Fault, own: u32) -> Self {
        let now = |i: u64| (INDEX_AT + 8 * i, inner.load64(INDEX_AT + 8 * i, Ordering::Acquire));
        let looked_up =
            if fault == Fault::LookUpBeforePending { (0..1 << ROOMY_BITS).map(now).collect() } else { Vec::new() };
        let bits = if fault == Fault::OldSize { inner.load32(header::INDEX_BITS, Ordering::Acquire) } else { 0 };
        Faulty { inner, fault, own, index: RefCell::new(looked_up), bits, announced: Cell::new(0) }
    }

    fn remember(&self, at: u64, word: u64) {
        self.index.borrow_mut().iter_mut().filter(|(a, _)| *a == at).for_each(|(_, w)| *w = word);
    }
}

impl<M: Memory> Memory for Faulty<'_, M> {
    fn load32(&self, at: u64, order: Ordering) -> u32 {
        if self.fault == Fault::OldSize && at == header::INDEX_BITS {
            return self.bits;
        }
        self.inner.load32(at, order)
    }

    fn store32(&self, at: u64, value: u32, order: Ordering) {
        self.inner.store32(at, value, order);
    }

    fn cas32(&self, at: u64, old: u32, new: u32, ok: Ordering, fail: Ordering) -> Result<u32, u32> {
        let weak = self.fault == Fault::RelaxedEnd && (at == FAMILIES.tail || is_field(at, entry::STATE));
        self.inner.cas32(at, old, new, if weak { Relaxed } else { ok }, fail)
    }

    fn load64(&self, at: u64, order: Ordering) -> u64 {
        match self.fault {
            Fault::LookUpBeforePending if is_index(at) => {
                self.index.borrow().iter().find(|(a, _)| *a == at).map_or(0, |(_, w)| *w)
            }
            Fault::NoSecondLook if is_pending(at) => match self.announced.take() {
                0 => {
                    let now = self.inner.load64(at, order);
                    self.announced.set(if now as u32 == 0 { 0 } else { now });
                    now
                }
                before => before,
            },
            Fault::AnyLife if is_field(at, CELL) => self.inner.load64(at, order) & TAG_MASK,
            _ => self.inner.load64(at, order),
        }
    }

    fn cas64(&self, at: u64, old: u64, new: u64, ok: Ordering, fail: Ordering) -> Result<u64, u64> {
        if is_pending(at) {
            let ends = new as u32 == 0;
            let weak = match self.fault {
                Fault::RelaxedAnnouncement => !ends,
                Fault::RelaxedEnd => ends,
                _ => false,
            };
            let result = self.inner.cas64(at, old, new, if weak { Relaxed } else { ok }, fail);
            if self.fault == Fault::EndBeforeIndex && ends {
                for (at, word) in self.index.take() {
                    let _ = self.inner.cas64(at, 0, word, Ordering::AcqRel, Ordering::Acquire);
                }
            }
            return result;
        }
        if self.fault == Fault::AnyLife && is_field(at, CELL) && new & TAG_MASK != 0 {
            let now = self.inner.load64(at, Relaxed);
            return self.inner.cas64(at, now, now + 1, ok, fail);
        }
        if !is_index(at) {
            return self.inner.cas64(at, old, new, ok, fail);
        }
        match self.fault {
            Fault::EndBeforeIndex => {
                self.index.borrow_mut().push((at, new));
                Ok(old)
            }
            Fault::HelpersSkipIndex if new as u32 != self.own => Ok(old),
            Fault::LookUpBeforePending => {
                let result = self.inner.cas64(at, old, new, ok, fail);
                self.remember(at, if result.is_ok() { new } else { result.unwrap_or_else(|seen| seen) });
                result
            }
            Fault::RelaxedEnd => self.inner.cas64(at, old, new, Relaxed, fail),
            _ => self.inner.cas64(at, old, new, ok, fail),
        }
    }

    fn add64(&self, at: u64, value: u64, order: Ordering) -> u64 {
        self.inner.add64(at, value, order)
    }

    fn fence(&self) {
        if !matches!(self.fault, Fault::NoFence | Fault::RelaxedEnd) {
            self.inner.fence();
        }
    }
}
