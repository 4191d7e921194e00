//! Series that nobody updates expire, in families that ask for it. Writers do nothing for it: whoever renders a page, and may
//! write, compares what each series holds with what it held at an earlier look.
//!
//! The word before a series' label text keeps that: {digest of the cells: 32 bits, when it was first seen: 32}, in tenths of a
//! second since the segment was made. Unchanged for the family's time, the series is off the pages (`EXPIRED`) but stays as it
//! is: an update through a handle, seen at the next look, or a look-up of its label set brings it back with its value. Unchanged
//! for the same time again, it is removed.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::family::Record;
use super::{recycle, redefine};
use crate::metric::{each_cell, Counted};
use crate::segment::chain::{offset, Ring};
use crate::segment::lane;
use crate::segment::layout::{counter, entry, gauge, header, histogram, process_cell as cell, KIND_COUNTER};
use crate::segment::life::{self, Life, Place};
use crate::segment::memory::{Mapped, Memory};
use crate::segment::{Inner, Segment};

fn word_at(record: &Record<'_>, link: u32) -> u64 {
    offset(link) + record.text_at() - 8
}

/// What the cells of a series hold, in 32 bits. Every update changes it (but for one in 2^32).
fn digest(memory: &Mapped, record: &Record<'_>, place: Place) -> u32 {
    let at = place.at;
    let mut sum = 0u64;
    let mut take = |value: u64| sum = (sum.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = |at| memory.load64(at, Acquire);
    let lane = lane::of(memory, at);
    match record.kind() {
        KIND_COUNTER => {
            [counter::INTEGER, counter::FRACTION].into_iter().for_each(|field| take(word(at + field)));
            take(lane::sum(memory, lane) as u64);
        }
        _ if record.pairs() > 0 => {
            (0..2 * record.pairs()).for_each(|i| take(word(at + histogram::SIZE + 8 * i)));
            lane::pairs(memory, lane, record.pairs() as usize, |_, pair| pair.into_iter().for_each(&mut take));
            if let Some(shape) = record.shape() {
                each_cell(memory, place, record.pairs(), shape, |cell| match cell {
                    Counted::Cell(cell) => [cell, cell + 8].into_iter().for_each(|at| take(word(at))),
                    Counted::Lane(pair) => pair.into_iter().for_each(&mut take),
                });
            }
        }
        _ if record.mode().has_cells() => recycle::each_cell(memory, at, |cell_at| {
            [cell::OWNER, cell::TAG, cell::VALUE].into_iter().for_each(|field| take(word(cell_at + field)));
        }),
        _ => [gauge::TAG, gauge::VALUE].into_iter().for_each(|field| take(word(at + field))),
    }
    (sum >> 32) as u32
}

/// Starts the clock of a record that is about to be announced.
pub(super) fn begin(inner: &Inner, record: &Record<'_>, link: u32) {
    if record.expire() > 0 {
        inner.memory.put64(word_at(record, link), u64::from(inner.age()));
    }
}

/// Brings a series back that a look-up has found, and starts its clock anew. False if it has been removed meanwhile.
pub(super) fn revive(inner: &Inner, record: &Record<'_>, link: u32, life: Life) -> bool {
    let found = life::revive(&inner.memory, link, life);
    if found && record.expire() > 0 {
        let at = word_at(record, link);
        let seen = inner.memory.load64(at, Relaxed);
        let _ = inner.memory.cas64(at, seen, seen >> 32 << 32 | u64::from(inner.age()), Relaxed, Relaxed);
    }
    found
}

impl Segment {
    /// Expires the series of families registered with `expire_after` that have not been updated for that time. Every page
    /// that is rendered through a `Segment` does this first; call it where pages are rendered by a read-only
    /// [`Reader`](crate::Reader) in another process alone. Returns how many series went off the pages.
    pub fn expire(&self) -> u64 {
        let (inner, mut expired) = (self.inner, 0);
        let memory = &inner.memory;
        redefine::drain_all(inner);
        if memory.get32(header::EXPIRING) == 0 {
            return 0;
        }
        let mut link = memory.load32(header::FAMILY_HEAD, Acquire);
        let mut ring = Ring::default();
        while link != 0 && !ring.closes(link) {
            let record = Record::new(memory, offset(link));
            if record.expire() > 0 && !record.is_retired() {
                expired += expire_family(inner, &record);
            }
            link = memory.load32(offset(link) + entry::NEXT, Acquire);
        }
        expired
    }
}

fn expire_family(inner: &Inner, record: &Record<'_>) -> u64 {
    let (memory, mut expired) = (&inner.memory, 0);
    let mut link = record.first();
    let mut ring = Ring::default();
    while link != 0 && !ring.closes(link) {
        expired += u64::from(expire_one(inner, record, link));
        link = memory.load32(offset(link) + entry::NEXT, Acquire);
    }
    expired
}

fn expire_one(inner: &Inner, record: &Record<'_>, link: u32) -> bool {
    let memory = &inner.memory;
    let state = life::state(memory, link);
    // In a store that another family has used, its series may still be on their way out.
    if !state.has_series() || memory.load32(offset(link) + entry::PARENT, Acquire) != record.link() {
        return false;
    }
    let at = word_at(record, link);
    let seen = memory.load64(at, Acquire);
    let (now, digest) = (inner.age(), digest(memory, record, Place { at: offset(link), life: state.life() }));
    let idle = u64::from(now.saturating_sub(seen as u32)) / 10;
    if (seen >> 32) as u32 != digest {
        let _ = memory.cas64(at, seen, u64::from(digest) << 32 | u64::from(now), AcqRel, Relaxed);
        if state.state() == life::EXPIRED {
            life::revive_from(memory, link, state);
        }
        return false;
    }
    let time = u64::from(record.expire());
    if state.state() == life::EXPIRED {
        if idle >= 2 * time {
            recycle::hide(inner, record, link, state, life::FREE);
        }
        return false;
    }
    idle >= time && recycle::hide(inner, record, link, state, life::EXPIRED)
}
