//! Families that are replaced or unregistered: how they leave the pages, and what becomes of their
//! series.
//!
//! A family is retired by one compare-and-swap of its state, and is never live again. A replacement
//! is announced with a link to the family that it replaces, and settling the announcement retires
//! the old family before it makes the new one live (see [`list`]). So at most one family of a name
//! is live, after a kill at any instruction.
//!
//! A retired family is then *drained*: announcements of series that are on their way are revoked,
//! all its series are removed, and its embedded series is closed to updates. Each step may be
//! repeated, and any process does them: the one that retired the family, and every later
//! registration and page.
//!
//! The records of its series stay in its *store*, a chain and free lists. A later family whose
//! records have the same layout uses the same store. The `PARENT` of a record says which family the
//! record serves, and changes only between two generations.

use std::sync::atomic::Ordering::{AcqRel, Relaxed};

use super::recycle;
use super::spec::Spec;
use crate::kind::Kind;
use crate::metric::{each_block, Block};
use crate::os::random::HashSet;
use crate::record::bundle;
use crate::record::family;
use crate::record::family::Record;
use crate::segment::{Inner, Segment};
use crate::shm::layout::offset;
use crate::shm::layout::{
    align, entry, family as f, gauge, header, histogram, native_block, process_cell as cell, GRANULE,
};
use crate::shm::list;
use crate::shm::list::FAMILIES;
use crate::shm::memory::Memory;
use crate::shm::percpu;
use crate::shm::state;
use crate::shm::state::CLOSED_TAG;
use crate::text::label_set;
use crate::Error;

impl Segment {
    /// Removes the family of this name, for all processes: no page that begins after this call has
    /// it. False if there is none.
    ///
    /// Updates through its handles, and through handles that its family handles give from now on,
    /// change nothing and are counted in `shmetrics_stale_updates_total`. The name may then be
    /// registered anew, with any type, labels or options. A family that is a member of a
    /// [bundle](Segment::bundle) takes the other members with it. Its memory serves later families
    /// whose series have the same layout. To replace a definition, register the new one with
    /// [`Builder::replace`](crate::Builder::replace), which leaves no page without the family.
    ///
    /// # Errors
    /// [`Error::Conflict`]: a later revision has registered the family (see
    /// [`Options::revision`](crate::Options::revision)).
    pub fn unregister(&self, name: &str) -> Result<bool, Error> {
        let inner = self.inner;
        drain_all(inner);
        let names = [Some((name, None)), name.strip_suffix("_total").map(|n| (n, Some(Kind::Counter)))]
            .into_iter()
            .chain([name.strip_suffix("_info").map(|n| (n, Some(Kind::Info)))]);
        for (name, kind) in names.flatten() {
            let hash = label_set::family_hash(inner.seed, name.as_bytes());
            let record = |link| Record::new(&inner.memory, offset(link));
            let is_kind = |link| kind.is_none_or(|kind| record(link).is_kind(kind));
            let same = |link| is_called(inner, link, hash, name) && is_kind(link);
            let may = |link| {
                inner.memory.put32(header::RETIRING, 1);
                may_redefine(inner, &record(link))
            };
            let whole = |link| record(link).home().link();
            match list::retract(&inner.index(), FAMILIES, hash, same, whole, may, |link, _| settled(inner, link)) {
                Some((link, true)) => {
                    drain(inner, link);
                    return Ok(true);
                }
                Some((_, false)) => {
                    return Err(Error::Conflict(format!("the family {name} cannot be unregistered: {NEWER}")));
                }
                None => {}
            }
        }
        Ok(false)
    }
}

/// Why a process may not redefine a family.
pub(super) const NEWER: &str = "a process of a later revision has registered it; \
    a process belongs to the revision of its last explicit opening of the segment, and forked children to their parent's";

/// Whether this entry is the live family of this name.
pub(super) fn is_called(inner: &Inner, link: u32, hash: u64, name: &str) -> bool {
    let (memory, at) = (&inner.memory, offset(link));
    let record = Record::new(memory, at);
    memory.get64(at + f::HASH) == hash && record.is_family() && record.name_is(name) && !record.is_retired()
}

/// The live family of this name.
pub(super) fn find(inner: &Inner, hash: u64, name: &str) -> Option<u32> {
    inner.index().find_surely(hash, |link| is_called(inner, link, hash, name))
}

/// A family was made.
pub(super) fn settled(inner: &Inner, link: u32) {
    let record = Record::new(&inner.memory, offset(link));
    let bytes = align(record.record_len(), GRANULE);
    inner.memory.add64(header::ARENA_REACHABLE, bytes, Relaxed);
    if record.label_count() == 0 {
        inner.memory.add64(header::SERIES, record.series_of_each(), Relaxed);
    }
}

/// Whether this process is of the family's revision, or a later one.
pub(super) fn may_redefine(inner: &Inner, record: &Record<'_>) -> bool {
    // Relaxed: `raise` revokes the announcement of a process that read the word too early.
    inner.revision() >= inner.memory.load64(record.at + f::REVISION, Relaxed)
}

/// Notes that this process has registered the family as it is. False: it was retired meanwhile.
pub(super) fn raise(inner: &Inner, link: u32) -> bool {
    let (memory, revision) = (&inner.memory, inner.revision());
    let Some(word) = memory.u64_at(offset(link) + f::REVISION) else { return true };
    if word.load(Relaxed) >= revision || word.fetch_max(revision, AcqRel) >= revision {
        return true;
    }
    // A process of an earlier revision may have read the old word and be about to announce its
    // own definition.
    list::revoke(&inner.index(), FAMILIES, |link, _| settled(inner, link));
    !Record::new(memory, offset(link)).is_retired()
}

/// Puts the limits of a registration in force that are no part of the definition, because no value
/// depends on them.
pub(super) fn set_limits(inner: &Inner, record: &Record<'_>, specs: &[Spec<'_>]) {
    let [spec] = specs else {
        inner.memory.put64(record.at + f::MAX_SERIES, specs[0].max_series);
        let members = record.members().zip(specs);
        return members
            .for_each(|((member, _), spec)| inner.memory.put32(member.at + f::EXEMPLAR_MS, spec.exemplar_ms));
    };
    // The limit of a bundled family is the bundle's.
    if !record.is_bundled() {
        inner.memory.put64(record.at + f::MAX_SERIES, spec.max_series);
    }
    inner.memory.put32(record.at + f::EXEMPLAR_MS, spec.exemplar_ms);
}

/// The layout of a family's series records. A record may serve any family with the same layout.
#[derive(PartialEq, Eq)]
struct RecordLayout {
    text_at: u64,
    members: Vec<MemberLayout>,
}

/// The layout of one family's part of a record.
#[derive(PartialEq, Eq)]
struct MemberLayout {
    seat: u64,
    /// `None` for types whose cells are one pair: they all have one layout.
    pairs_of: Option<Kind>,
    bounds: usize,
    schema: u8,
    window: bool,
    has_blocks: bool,
}

impl RecordLayout {
    fn of(record: &Record<'_>) -> Self {
        let members = record.members().map(|(member, seat)| MemberLayout::of(&member, seat));
        RecordLayout { text_at: record.text_at(), members: members.collect() }
    }
}

impl MemberLayout {
    fn of(record: &Record<'_>, seat: u64) -> Self {
        let pairs = record.pairs() > 0;
        MemberLayout {
            seat,
            pairs_of: pairs.then(|| record.kind()),
            bounds: if pairs { record.bucket_count() } else { 0 },
            schema: record.memory.get8(record.at + f::SCHEMA),
            window: record.native().is_some_and(|native| native.window > 0),
            has_blocks: !pairs && record.mode().has_cells(),
        }
    }
}

/// Gives a family that is about to be announced the store of its predecessor, or of another retired
/// family.
pub(super) fn choose_store(inner: &Inner, new: &Record<'_>, predecessor: u32) {
    let memory = &inner.memory;
    if memory.get32(header::RETIRING) == 0 {
        return;
    }
    let layout = RecordLayout::of(new);
    let fits = |record: &Record<'_>| RecordLayout::of(record) == layout;
    let store_of = |record: &Record<'_>| (record.store_at() / GRANULE) as u32;
    let store = if predecessor != 0 && fits(&Record::new(memory, offset(predecessor))) {
        Some(store_of(&Record::new(memory, offset(predecessor))))
    } else {
        let mut used = HashSet::default();
        let mut candidates = Vec::new();
        for record in family::all(memory).filter(|record| !record.has_home()) {
            match record.state().state() {
                state::DRAINED if fits(&record) => candidates.push(store_of(&record)),
                state::DRAINED => {}
                _ => _ = used.insert(store_of(&record)),
            }
        }
        // Two families may take one store at the same time. Both are right: the parent of a record
        // tells whose the record is.
        candidates.into_iter().find(|store| !used.contains(store))
    };
    if let Some(store) = store {
        memory.put32(new.at + f::STORE, store);
    }
}

/// Finishes what processes that were killed have left of retired families.
pub(super) fn drain_all(inner: &Inner) {
    if inner.memory.get32(header::RETIRING) == 0 {
        return;
    }
    let left = |record: &Record<'_>| !record.has_home() && record.state().state() == state::RETIRED;
    for record in family::all(&inner.memory).filter(left) {
        drain(inner, record.link());
    }
}

/// Removes the series of a retired family. Any process may do it, any number of times.
pub(super) fn drain(inner: &Inner, link: u32) {
    let memory = &inner.memory;
    let record = Record::new(memory, offset(link));
    let state = record.state();
    if state.state() != state::RETIRED {
        return;
    }
    // A process that reads the chain's word after this sees the retired family. A process that read
    // it before fails to announce its series. So no series is added behind the walk.
    list::revoke(&inner.index(), record.list(), |link, parent| recycle::settled(inner, parent, link));
    recycle::remove_all(inner, &record, None);
    close(inner, &record);
    for (member, _) in record.members() {
        inner.index().erase(memory.get32(member.at + entry::TAG), member.link());
    }
    state::change(memory, link, state, state::DRAINED);
}

/// Closes the embedded series to updates. It has no generations, so each kind of cell is left in a
/// state in which updates fail.
fn close(inner: &Inner, record: &Record<'_>) {
    let (memory, at) = (&inner.memory, record.overflow_at());
    let link = (at / GRANULE) as u32;
    loop {
        let seen = state::state(memory, link);
        if seen.state() == state::FREE {
            break;
        }
        if state::change(memory, link, seen, state::FREE) {
            if seen.state() == state::LIVE && record.label_count() == 0 {
                let series = record.series_of_each();
                memory.add64(header::SERIES, series.wrapping_neg(), Relaxed);
                memory.add64(header::REMOVED_SERIES, series, Relaxed);
            }
            break;
        }
    }
    for (member, seat) in record.members() {
        bundle::close_seat(memory, at, seat);
        close_cells(inner, &member, at + seat);
    }
}

fn close_cells(inner: &Inner, record: &Record<'_>, at: u64) {
    let memory = &inner.memory;
    percpu::close(memory, at);
    match record.pairs() {
        pairs @ 1.. => {
            // A count that is full takes no observation.
            (0..pairs).for_each(|i| recycle::put(memory, at + histogram::SIZE + 16 * i, |_| [u64::MAX, 0]));
            if let Some(scheme) = record.scheme() {
                each_block(
                    memory,
                    at,
                    pairs,
                    scheme,
                    |_| true,
                    |block| {
                        if let Block::Chunk { at, .. } = block {
                            memory.put64(
                                at + native_block::PER_CPU,
                                u64::from(u32::MAX) << 32 | u64::from(percpu::CLOSED),
                            );
                        }
                    },
                );
            }
        }
        _ if record.is_kind(Kind::Counter) => {}
        _ if record.mode().has_cells() => {
            recycle::each_cell(memory, at, |at| recycle::put(memory, at + cell::TAG, |_| [CLOSED_TAG, 0]));
        }
        _ => recycle::put(memory, at + gauge::TAG, |_| [CLOSED_TAG, 0]),
    }
}
