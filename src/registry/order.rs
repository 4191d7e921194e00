//! Families that a process registers with their labels in another order.
//!
//! A set of label names identifies the same family in each order of the names. A process that uses
//! another order than the family gets a handle to a record of its own, an *order*. It has the
//! position of each label of the family among the values of the handle. An order has the layout of
//! a family as far as a look-up reads a family, and is the parent of no series. So the fast look-up
//! through an order finds nothing, and the slow look-up first puts the values in the family's
//! order. Families without other orders pay nothing for this.
//!
//! A member of a bundle other than the first is looked up in the same way: its record is the parent
//! of no series, and leads to the first member, which has them.
//!
//! The orders of a family are a list that only grows. A process that is killed before it links an
//! order leaks the record of that order.

use std::sync::atomic::Ordering::{Acquire, Release};

use super::lookup::FamilyRef;
use crate::record::family::Record;
use crate::segment::Inner;
use crate::shm::layout::offset;
use crate::shm::layout::{align, entry, family as f, header, GRANULE};
use crate::shm::memory::Memory;
use crate::shm::state::SeriesAddr;
use crate::text::names::LABELS_MAX;
use crate::Error;

/// Most other orders of a family's labels.
const MOST: usize = 64;

/// Where, among the values in a handle's order, that of each label of the family is.
#[derive(Clone, Copy)]
pub(super) struct Positions([u8; LABELS_MAX]);

impl Positions {
    /// The labels are in the family's own order.
    pub(super) const SAME: Positions = {
        let mut positions = [0; LABELS_MAX];
        let mut i = 0;
        while i < LABELS_MAX {
            positions[i] = i as u8;
            i += 1;
        }
        Positions(positions)
    };

    /// The position of label `i` of the family.
    #[inline]
    pub(super) fn of(&self, i: usize) -> usize {
        self.0.get(i).copied().map_or(0, usize::from)
    }

    /// `None`: a label of the family is not among those that are given.
    pub(super) fn find<L>(labels: impl Iterator<Item = L>, position: impl Fn(L) -> Option<usize>) -> Option<Self> {
        let mut positions = [0; LABELS_MAX];
        for (i, label) in labels.enumerate() {
            *positions.get_mut(i)? = u8::try_from(position(label)?).ok()?;
        }
        Some(Positions(positions))
    }
}

fn positions_at(order: u64, labels: usize) -> u64 {
    // Behind the lengths of the names.
    order + f::SIZE + 2 * labels as u64
}

/// The way from a record that has no series of its own to the family that has them.
pub(super) struct Way {
    pub(super) family: FamilyRef,
    pub(super) positions: Positions,
    /// Where the cells are in a record of its series.
    seat: u64,
}

impl Way {
    pub(super) fn seat_of(&self, addr: SeriesAddr) -> SeriesAddr {
        SeriesAddr { at: addr.at + self.seat, ..addr }
    }
}

/// The family and the positions of its labels, if the record here has no series of its own, but is
/// an order, or a member of a bundle. For `count` values.
pub(super) fn family_of(family: &FamilyRef, count: usize) -> Option<Way> {
    let memory = &family.inner.memory;
    // A family's is 0. Neither it nor the positions ever change.
    let parent = memory.get32(family.at + entry::PARENT);
    if parent == 0 {
        return None;
    }
    let seat = Record::new(memory, family.at).seat();
    if seat > 0 {
        let family = FamilyRef::new(family.inner, offset(parent));
        return Some(Way { family, positions: Positions::SAME, seat });
    }
    let mut positions = [0; LABELS_MAX];
    for (i, position) in positions.iter_mut().enumerate().take(count) {
        // In a damaged segment the positions may be anything.
        *position = memory.get8(positions_at(family.at, count) + i as u64).min(count as u8 - 1);
    }
    let (member, positions) = (Record::new(memory, offset(parent)), Positions(positions));
    Some(Way { family: FamilyRef::new(family.inner, member.home().at), positions, seat: member.seat() })
}

/// The record that leads to this family by labels in this order: its own, or an order's, made if
/// there is none. The labels are those of the family.
pub(super) fn of(inner: &Inner, family: &Record<'_>, labels: &[&str]) -> Result<u64, Error> {
    let damaged = || Error::Corrupt("the family's record is not there: the segment is damaged; remove it".into());
    let names = family.texts().ok_or_else(damaged)?.label_names();
    if names == labels {
        return Ok(family.at);
    }
    let positions =
        Positions::find(names.iter(), |name| labels.iter().position(|label| label == name)).ok_or_else(damaged)?;
    let (memory, count) = (&inner.memory, names.len());
    let is_same = |link: u32| {
        (0..count).all(|i| usize::from(memory.get8(positions_at(offset(link), count) + i as u64)) == positions.of(i))
    };
    let list = family.at + entry::EXTENSION;
    // Acquire, here and below, pairs with the Release by which an order is linked: it is whole.
    let mut head = memory.load32(list, Acquire);
    let mut made = None;
    // Each round but the last lost to an order that another process linked.
    for _ in 0..=MOST {
        let (mut link, mut orders) = (head, 0);
        while link != 0 && orders < MOST {
            if is_same(link) {
                if let Some((link, bytes)) = made {
                    inner.arena().give_back(link, bytes);
                }
                return Ok(offset(link));
            }
            link = memory.get32(offset(link) + entry::NEXT);
            orders += 1;
        }
        if orders == MOST {
            break;
        }
        let (new, bytes) = match made {
            Some(made) => made,
            None => write(inner, family, count, &positions)
                .ok_or_else(|| Error::Full("there is no room for another order of the family's labels".into()))?,
        };
        made = Some((new, bytes));
        memory.put32(offset(new) + entry::NEXT, head);
        // Release publishes the record.
        match memory.cas32(list, head, new, Release, Acquire) {
            Ok(_) => {
                memory.add64(header::ARENA_REACHABLE, bytes, std::sync::atomic::Ordering::Relaxed);
                return Ok(offset(new));
            }
            Err(now) => head = now,
        }
    }
    if let Some((link, bytes)) = made {
        inner.arena().give_back(link, bytes);
    }
    Err(Error::Full(format!("the family's labels are named in more than {MOST} orders: name them in one")))
}

/// Writes an order, which no other process can reach yet. Returns its link and its size.
fn write(inner: &Inner, family: &Record<'_>, count: usize, positions: &Positions) -> Option<(u32, u64)> {
    let memory = &inner.memory;
    let bytes = align(f::SIZE + 3 * count as u64, GRANULE);
    let link = inner.arena().allocate(bytes)?;
    let at = offset(link);
    memory.put32(at + entry::PARENT, (family.at / GRANULE) as u32);
    memory.put8(at + entry::KIND, family.kind() as u8);
    memory.put64(at + f::HASH, family.hash());
    memory.put32(at + f::TEXT_AT, family.text_at() as u32);
    memory.put8(at + f::LABEL_COUNT, count as u8);
    for i in 0..count {
        let position = positions.of(i);
        memory.put16(at + f::SIZE + 2 * position as u64, family.label_len(i) as u16);
        memory.put8(positions_at(at, count) + i as u64, position as u8);
    }
    Some((link, bytes))
}

impl Way {
    /// The series with these values, in the order that these positions tell of.
    pub(super) fn find<'v>(&self, count: usize, value: &dyn Fn(usize) -> &'v [u8]) -> SeriesAddr {
        self.seat_of(self.family.find_in_order(&self.positions, count, value))
    }
}

impl FamilyRef {
    /// The series with these values, in the order that these positions tell of.
    #[cold]
    pub(super) fn find_in_order<'v>(
        &self,
        positions: &Positions,
        count: usize,
        value: &dyn Fn(usize) -> &'v [u8],
    ) -> SeriesAddr {
        let lens = match FamilyRef::with_label_lens(self.inner, self.at) {
            Some((_, lens)) if lens.len() == count => lens,
            _ => return self.overflow(),
        };
        let value = |i: usize| value(positions.of(i));
        let name_len = |i: usize| usize::from(lens[i]);
        let hash = crate::text::label_set::hash(self.hash, count, value);
        match self.look_up::<false>(hash, count, name_len, value) {
            Some(addr) => addr,
            None => self.make_in_family(hash, count, &name_len, &value),
        }
    }
}
