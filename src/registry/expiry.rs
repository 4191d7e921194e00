//! Expiry: in families that ask for it, series without updates leave the pages. Updates pay nothing
//! for expiry. Each process that renders a page and may write compares the value of each series
//! with its value at an earlier look.
//!
//! The word before a series' label text has {digest of the cells: 32 bits, time when the digest was
//! first seen: 32}. If the digest does not change for the family's time, the series leaves the
//! pages (`EXPIRED`) and keeps its value. An update through a handle, seen at the next look, or a
//! look-up of its label set brings it back. If the digest does not change for the same time again,
//! the series is removed.
//!
//! The times are in tenths of a second of `LOOK_TIME`, a time that passes while processes look. A
//! look adds the time since the look before, but no more than is usual between two looks. So after
//! a suspension of the machine, or a day without a page, the next look expires nothing that a look
//! at the usual time would not have expired.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::{recycle, redefine};
use crate::kind::Kind;
use crate::metric::{each_cell, Counted};
use crate::record::family;
use crate::record::family::Record;
use crate::segment::{Inner, Segment};
use crate::shm::layout::offset;
use crate::shm::layout::{counter, entry, gauge, header, histogram, process_cell as cell};
use crate::shm::memory::{Mapped, Memory};
use crate::shm::percpu;
use crate::shm::state::{Generation, SeriesAddr};
use crate::shm::{generation, state};

fn word_at(record: &Record<'_>, link: u32) -> u64 {
    offset(link) + record.text_at() - 8
}

/// A digest of the cells of a series. Each update changes it, but for one in 2^32.
fn digest(memory: &Mapped, record: &Record<'_>, addr: SeriesAddr) -> u32 {
    let mut sum = 0u64;
    let mut take = |value: u64| sum = (sum.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for (member, seat) in record.members() {
        take_cells(memory, &member, SeriesAddr { at: addr.at + seat, ..addr }, &mut take);
    }
    (sum >> 32) as u32
}

fn take_cells(memory: &Mapped, record: &Record<'_>, addr: SeriesAddr, mut take: impl FnMut(u64)) {
    let at = addr.at;
    let word = |at| memory.load64(at, Acquire);
    let cells = percpu::of(memory, at);
    match record.kind() {
        Kind::Counter => {
            [counter::INTEGER, counter::FRACTION].into_iter().for_each(|field| take(word(at + field)));
            take(percpu::sum(memory, cells) as u64);
        }
        _ if record.pairs() > 0 => {
            (0..2 * record.pairs()).for_each(|i| take(word(at + histogram::SIZE + 8 * i)));
            percpu::pairs(memory, cells, record.pairs() as usize, |_, pair| pair.into_iter().for_each(&mut take));
            if let Some(scheme) = record.scheme() {
                each_cell(memory, addr, record.pairs(), scheme, |cell| match cell {
                    Counted::Cell(cell) => [cell, cell + 8].into_iter().for_each(|at| take(word(at))),
                    Counted::PerCpu(pair) => pair.into_iter().for_each(&mut take),
                });
            }
        }
        _ if record.mode().has_cells() => recycle::each_cell(memory, at, |cell_at| {
            [cell::OWNER, cell::TAG, cell::VALUE].into_iter().for_each(|field| take(word(cell_at + field)));
        }),
        _ => [gauge::TAG, gauge::VALUE].into_iter().for_each(|field| take(word(at + field))),
    }
}

/// Starts the clock of a record that is about to be announced.
pub(super) fn begin(inner: &Inner, record: &Record<'_>, link: u32) {
    if record.expire() > 0 {
        inner.memory.put64(word_at(record, link), u64::from(look_time(&inner.memory)));
    }
}

/// Brings a series back that a look-up has found, and starts its clock anew. False if it has been
/// removed meanwhile.
pub(super) fn revive(inner: &Inner, record: &Record<'_>, link: u32, generation: Generation) -> bool {
    let found = generation::revive(&inner.memory, link, generation);
    if found && record.expire() > 0 {
        let at = word_at(record, link);
        let seen = inner.memory.load64(at, Relaxed);
        let _ = inner.memory.cas64(at, seen, seen >> 32 << 32 | u64::from(look_time(&inner.memory)), Relaxed, Relaxed);
    }
    found
}

impl Segment {
    /// Expires the series of families registered with `expire_after` that have not been updated for
    /// that time. Every page that is rendered through a `Segment` does this first; call it where
    /// pages are rendered by a read-only [`Reader`](crate::Reader) in another process alone.
    /// Returns how many series went off the pages.
    pub fn expire(&self) -> u64 {
        let (inner, mut expired) = (self.inner, 0);
        let memory = &inner.memory;
        redefine::drain_all(inner);
        let time = inner.time_ns();
        inner.note_time(time);
        if memory.get32(header::EXPIRING) == 0 {
            return 0;
        }
        look(memory, time / 1_000_000);
        for record in
            family::all(memory).filter(|record| !record.has_home() && record.expire() > 0 && !record.is_retired())
        {
            let idle = record.records().filter(|link| expire_one(inner, &record, *link)).count() as u64;
            expired += idle * record.series_of_each();
        }
        expired
    }
}

/// The time of looks, in tenths of a second, modulo 2^32.
fn look_time(memory: &Mapped) -> u32 {
    (memory.load64(header::LOOK_TIME, Relaxed) / 100) as u32
}

/// The usual time between two looks grows by at most a quarter and so many milliseconds with each
/// look.
const SLACK: u64 = 1000;

/// The time of looks and the usual time between two looks, after a look `gap` milliseconds after
/// the one before.
fn looked(time: u64, usual: u64, gap: u64) -> (u64, u64) {
    // The usual time changes by small steps, so that one gap does not make the next one usual.
    let next = gap.min(usual + usual / 4 + SLACK).max(usual - usual / 4);
    (time.wrapping_add(gap.min(usual)), next)
}

/// Lets the time of looks pass, as a process looks at this time of the segment.
fn look(memory: &Mapped, now: u64) {
    let Some(pair) = memory.pair(header::LOOKED_AT) else { return };
    let mut seen = pair.load();
    loop {
        let usual = memory.get64(header::LOOKS_EVERY).min(u64::from(u32::MAX));
        // If a look had a clock that is ahead, the looks after it add no time, and set the clock
        // right.
        let gap = if seen[0] == 0 { 0 } else { now.saturating_sub(seen[0]) };
        let (time, next) = looked(seen[1], usual, gap);
        if seen[0] == now {
            return;
        }
        match pair.cas(seen, [now, time]) {
            Ok(()) => return memory.put64(header::LOOKS_EVERY, next),
            Err(now) => seen = now,
        }
    }
}

fn expire_one(inner: &Inner, record: &Record<'_>, link: u32) -> bool {
    let memory = &inner.memory;
    let state = state::state(memory, link);
    // In a store that served another family before, series of that family may be there still.
    if !state.has_series() || memory.load32(offset(link) + entry::PARENT, Acquire) != record.link() {
        return false;
    }
    let at = word_at(record, link);
    let seen = memory.load64(at, Acquire);
    let digest = || digest(memory, record, SeriesAddr { at: offset(link), generation: state.generation() });
    let (now, before) = (look_time(memory), digest());
    let word = u64::from(before) << 32 | u64::from(now);
    if (seen >> 32) as u32 != before {
        let _ = memory.cas64(at, seen, word, AcqRel, Relaxed);
        if state.state() == state::EXPIRED {
            generation::revive_from(memory, link, state);
        }
        return false;
    }
    // Times wrap after 13.6 years; a longer time never ends.
    let idle = now.wrapping_sub(seen as u32);
    let is_idle = record.expire().checked_mul(10).is_some_and(|time| idle >= time);
    // The word with the time changes first. If another look has seen an update since, or has
    // started the clock anew, nothing is done: a process may be stopped for long before it comes
    // here.
    if !is_idle || memory.cas64(at, seen, word, AcqRel, Relaxed).is_err() {
        return false;
    }
    if state.state() == state::EXPIRED {
        // A series that was updated since is not removed: the next look brings it back.
        if digest() == before {
            recycle::hide(inner, record, link, state, state::FREE);
        }
        return false;
    }
    if !recycle::hide(inner, record, link, state, state::EXPIRED) {
        return false;
    }
    let hidden = state::state(memory, link);
    // An update that came before the series was off the pages brings it back at once.
    if digest() != before && hidden.state() == state::EXPIRED && hidden.generation() == state.generation() {
        return !generation::revive_from(memory, link, hidden);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks after these gaps; what passes in the time of looks, in milliseconds.
    fn passed(gaps: impl IntoIterator<Item = u64>) -> u64 {
        gaps.into_iter().fold((0, 0), |(time, usual), gap| looked(time, usual, gap)).0
    }

    #[test]
    fn looks_at_usual_times_let_time_pass() {
        for every in [50, 1000, 15_000, 3_600_000] {
            let time = passed([every; 200]);
            assert!(time >= 150 * every && time <= 200 * every, "{every}: {time}");
        }
        // Two scrapers, one a second after the other.
        let time = passed([1000, 14_000].into_iter().cycle().take(200));
        assert!(time > 1_000_000, "{time}");
    }

    #[test]
    fn a_late_look_adds_no_more_than_a_usual_one() {
        const DAY: u64 = 86_400_000;
        let usual = passed([15_000; 50]);
        let gaps = |late: &[u64]| [15_000; 50].into_iter().chain(late.iter().copied()).collect::<Vec<_>>();
        assert_eq!(passed(gaps(&[DAY])), usual + 15_000);
        // The next one that is late gets no day either.
        assert!(passed(gaps(&[DAY, DAY])) < usual + 50_000);
        assert!(passed(gaps(&[DAY, 15_000, DAY, 15_000, DAY])) < usual + 150_000);
        assert_eq!(passed([DAY]), 0, "the first look");
    }

    #[test]
    fn a_clock_that_is_ahead_stops_nothing() {
        let segment = crate::Options::new().anonymous().max_size(1 << 20).open().unwrap();
        let memory = &segment.inner.memory;
        (1..100).for_each(|i| look(memory, 1000 * i));
        let before = memory.get64(header::LOOK_TIME);
        assert!((90_000..100_000).contains(&before), "{before}");
        look(memory, 1 << 40);
        look(memory, 101_000);
        (101..200).for_each(|i| look(memory, 1000 * i));
        let gone = memory.get64(header::LOOK_TIME) - before;
        assert!((90_000..120_000).contains(&gone), "{gone}");
    }
}
