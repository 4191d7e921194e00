//! Free lists: how the records of removed series are used again.
//!
//! A record stays in its family's chain for good, and serves one label set of the family after
//! another. So that most label sets fit most records, the room for a label text comes in classes of
//! 1 to 8, 10, 12, 14, 16, 20 ... granules; each family has a free list for each class, up to the
//! last, which is for all the rest.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::record::bundle;
use crate::record::family::Record;
use crate::record::gauge_mode::GaugeMode;
use crate::segment::Inner;
use crate::shm::generation::FreeList;
use crate::shm::layout::offset;
use crate::shm::layout::{
    entry, family, gauge, header, histogram, process_cell as cell, CELLS_PER_BLOCK, CELL_BLOCK_HEAD, GRANULE,
    MAX_PROCESSES,
};
use crate::shm::list::{announcements, is_later};
use crate::shm::memory::{Mapped, Memory};
use crate::shm::percpu;
use crate::shm::state::{Generation, State};
use crate::shm::{generation, state};

/// The last class holds the longest label text.
const CLASSES: u32 = 45;
/// The last free list is for all larger classes, which are rare.
const LISTS: u32 = 16;
const _: () = assert!(family::FREE_LISTS + 8 * LISTS as u64 == family::ZERO_THRESHOLD);

/// Granules of a class: 1 to 8, then four steps to each doubling.
const fn granules(class: u32) -> u64 {
    if class < 8 {
        class as u64 + 1
    } else {
        (5 + class as u64 % 4) << ((class - 4) / 4)
    }
}

/// Bytes of a record of this class.
fn size(text_at: u64, class: u32) -> u64 {
    (text_at / GRANULE + granules(class)) * GRANULE
}

/// The smallest class that holds a text.
fn class_of(text_at: u64, len: usize) -> u32 {
    let wanted = (text_at % GRANULE + len as u64).div_ceil(GRANULE).max(1);
    if wanted <= 8 {
        return wanted as u32 - 1;
    }
    (8..CLASSES - 1).find(|class| granules(*class) >= wanted).unwrap_or(CLASSES - 1)
}

fn list<'a>(record: &Record<'a>, class: u32) -> FreeList<'a, Mapped> {
    FreeList { memory: record.memory, at: record.store_at() + family::FREE_LISTS + 8 * u64::from(class.min(LISTS - 1)) }
}

fn account(inner: &Inner, record: &Record<'_>, link: u32, comes: bool) {
    let bytes = size(record.text_at(), state::state(&inner.memory, link).class());
    inner.memory.add64(header::ARENA_REACHABLE, if comes { bytes } else { bytes.wrapping_neg() }, Relaxed);
}

/// Counts a label set that is made or removed: a series for each member.
fn count(inner: &Inner, record: &Record<'_>, comes: bool) {
    let sign = |n: u64| if comes { n } else { n.wrapping_neg() };
    inner.memory.add64(header::SERIES, sign(record.series_of_each()), Relaxed);
    inner.memory.add64(record.at + family::SERIES, sign(1), Relaxed);
}

/// A series was made. `parent` is its family, which may share its store with another.
pub(super) fn settled(inner: &Inner, parent: u32, link: u32) {
    let record = Record::new(&inner.memory, offset(parent));
    count(inner, &record, true);
    account(inner, &record, link, true);
}

/// A record for a text of this length, a free one that is `CLAIMED` and wiped, or a new one; and
/// the state that it is to have.
///
/// `may_be_new`: whether the index has room for a record more.
pub(super) fn obtain(inner: &Inner, record: &Record<'_>, len: usize, may_be_new: bool) -> Option<(u32, State)> {
    let text_at = record.text_at();
    let class = class_of(text_at, len);
    let new = || {
        if !may_be_new {
            return None;
        }
        let allocate = || inner.arena().allocate(size(text_at, class));
        let link = with_cells(inner, record.members_with_cells(), allocate);
        Some((link?, State::new(state::NEW, class)))
    };
    // Larger ones only if there is no other.
    reuse(inner, record, class)
        .or_else(new)
        .or_else(|| (class + 1..LISTS).find_map(|larger| reuse(inner, record, larger)))
        .inspect(|(link, state)| {
            if state.state() == state::NEW {
                inner.memory.put32(offset(*link) + entry::STATE, state.0);
            }
        })
}

/// A free record of this class. In the last list it may be larger; a smaller one in front keeps
/// those behind it from being used.
fn reuse(inner: &Inner, record: &Record<'_>, class: u32) -> Option<(u32, State)> {
    let link = list(record, class).pop(|state| state.class() >= class)?;
    account(inner, record, link, false);
    Some((link, claim(inner, link)))
}

/// Makes a record that was taken from a free list fit for its next label set: out of the index. Its
/// cells were closed to all handles of earlier generations when its last series was removed.
fn claim(inner: &Inner, link: u32) -> State {
    let (memory, index) = (&inner.memory, inner.index());
    let is_full = !index.has_room();
    index.erase(memory.get32(offset(link) + entry::TAG), link);
    let state = state::state(memory, link);
    if is_full {
        // The generation makes it another part of a large index each time.
        index.erase_all(link, state.generation().0.wrapping_mul(1 << 14));
    }
    state
}

/// Makes a record with so many series that have a cell for each process, and counts them as some
/// that room is kept for: beforehand, so that the room is there.
pub(super) fn with_cells(inner: &Inner, series: u64, make: impl FnOnce() -> Option<u32>) -> Option<u32> {
    if series == 0 {
        return make();
    }
    inner.memory.add64(header::CELL_SERIES, series, Relaxed);
    let made = make();
    if made.is_none() {
        without_cells(inner, series);
    }
    made
}

/// Undoes the count of such series.
pub(super) fn without_cells(inner: &Inner, series: u64) {
    if series > 0 {
        inner.memory.add64(header::CELL_SERIES, series.wrapping_neg(), Relaxed);
    }
}

/// Closes the cells of a series whose generation is over, in a record that no list has yet:
/// whatever its type, an update through a handle fails and is counted as stale from then on. The
/// record's state has moved on to the next generation, to which no handle exists; the per-CPU cells
/// go first, then each cell becomes {the next generation's tag, 0}. An update that read the state
/// or the per-CPU cells before that counts as done before the removal.
///
/// Chunks of native buckets and exemplars stay as they are. Their updates check the state first,
/// and their contents carry the tag of a generation.
///
/// In a bundle, the state of each seat first follows the state of the record.
pub(super) fn close(inner: &Inner, record: &Record<'_>, link: u32) {
    let (memory, at) = (&inner.memory, offset(link));
    let tag = state::state(memory, link).generation().tag();
    for (member, seat) in record.members() {
        bundle::close_seat(memory, at, seat);
        close_cells(memory, &member, at + seat, tag);
    }
}

fn close_cells(memory: &Mapped, record: &Record<'_>, at: u64, tag: u64) {
    percpu::take_away(memory, at);
    match record.pairs() {
        pairs @ 1.. => {
            for i in 0..pairs {
                put(memory, at + histogram::SIZE + 16 * i, |_| [tag, 0]);
            }
        }
        _ if record.mode().has_cells() => {
            put(memory, at + gauge::TAG, |[_, blocks]| [tag, blocks]);
            each_cell(memory, at, |cell_at| {
                put(memory, cell_at + cell::TAG, |_| [tag, 0]);
                put(memory, cell_at + cell::OWNER, |_| [0, 0]);
            });
        }
        _ => put(memory, at + gauge::TAG, |_| [tag, 0]),
    }
}

/// Replaces a pair, whatever it holds.
pub(super) fn put(memory: &Mapped, at: u64, new: impl Fn([u64; 2]) -> [u64; 2]) {
    let Some(pair) = memory.pair(at) else { return };
    let mut seen = pair.guess();
    while let Err(now) = pair.cas(seen, new(seen)) {
        seen = now;
    }
}

/// Visits the places of a per-process gauge's cells.
pub(super) fn each_cell(memory: &Mapped, at: u64, mut visit: impl FnMut(u64)) {
    let mut word = at + gauge::VALUE;
    for _ in 0..u64::from(MAX_PROCESSES) / CELLS_PER_BLOCK {
        let link = memory.load32(word, Acquire);
        if link == 0 {
            return;
        }
        word = offset(link);
        (0..CELLS_PER_BLOCK).for_each(|i| visit(word + CELL_BLOCK_HEAD + i * cell::SIZE));
    }
}

/// Gives a record back that was obtained and not announced.
pub(super) fn give_back(inner: &Inner, record: &Record<'_>, link: u32) {
    let state = state::state(&inner.memory, link);
    if state.state() == state::NEW {
        inner.arena().give_back(link, size(record.text_at(), state.class()));
        without_cells(inner, record.members_with_cells());
    } else if state::change(&inner.memory, link, state, state::FREE) {
        list(record, state.class()).push(link);
        account(inner, record, link, true);
    }
}

/// Removes a series. True if it was this call that did.
pub(super) fn remove(inner: &Inner, record: &Record<'_>, link: u32, generation: Generation) -> bool {
    let done = generation::remove(&inner.index(), record.list(), link, generation, |link, parent| {
        settled(inner, parent, link);
    });
    if done {
        removed(inner, record, link);
        inner.memory.note_update();
    }
    done
}

/// Takes a series off the pages if its state is still `seen`: for a while (`EXPIRED`) or for good
/// (`FREE`).
pub(super) fn hide(inner: &Inner, record: &Record<'_>, link: u32, seen: State, to: u32) -> bool {
    let done =
        generation::hide(&inner.index(), record.list(), link, seen, to, |link, parent| settled(inner, parent, link));
    if done && to == state::FREE {
        removed(inner, record, link);
    }
    done
}

/// Removes all series of a family, but for those that came after so many announcements. Returns how
/// many.
pub(super) fn remove_all(inner: &Inner, record: &Record<'_>, until: Option<u32>) -> u64 {
    let mut removed = 0;
    each(inner, record, until, |link, state| {
        removed += u64::from(remove(inner, record, link, state.generation()));
    });
    removed
}

/// Visits the series of a family, but for those that came after so many announcements.
pub(super) fn each(inner: &Inner, record: &Record<'_>, until: Option<u32>, mut visit: impl FnMut(u32, State)) {
    let memory = &inner.memory;
    for link in record.records() {
        let state = state::state(memory, link);
        // After the state: of another generation, the removal fails.
        let birth = memory.load32(offset(link) + entry::BIRTH, Acquire);
        let is_its = memory.load32(offset(link) + entry::PARENT, Acquire) == record.home().link();
        let later = until.is_some_and(|until| is_later(birth, until, || announcements(memory, record.list())));
        if state.has_series() && is_its && !later {
            visit(link, state);
        }
    }
}

fn removed(inner: &Inner, record: &Record<'_>, link: u32) {
    close(inner, record, link);
    count(inner, record, false);
    inner.memory.add64(header::REMOVED_SERIES, record.series_of_each(), Relaxed);
    // Killed between these two, this process leaks the record, and the leak shows.
    account(inner, record, link, false);
    list(record, state::state(&inner.memory, link).class()).push(link);
    account(inner, record, link, true);
}

impl GaugeMode {
    /// Whether each process has a cell.
    pub(crate) fn has_cells(self) -> bool {
        !matches!(self, GaugeMode::Shared | GaugeMode::MostRecent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_what_they_are_chosen_for() {
        assert_eq!((6..14).map(granules).collect::<Vec<_>>(), [7, 8, 10, 12, 14, 16, 20, 24]);
        assert!((1..CLASSES).all(|class| granules(class) > granules(class - 1)));
        for text_at in [56, 64, 72 + 16 * 14] {
            for len in (1..300).chain([1000, 65_534, 65_535]) {
                let class = class_of(text_at, len);
                let end = text_at + len as u64;
                assert!(size(text_at, class) >= end, "{text_at} {len}");
                assert!(class == 0 || size(text_at, class - 1) < end, "{text_at} {len}");
            }
        }
    }
}
