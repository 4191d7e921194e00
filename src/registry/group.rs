//! A registration's families: one, or the members of a bundle. They are written, compared and
//! announced as a whole.

use super::recycle;
use super::spec::Spec;
use crate::record::bundle;
use crate::record::bundle::Plan;
use crate::record::family::Record;
use crate::record::series::NewSeries;
use crate::segment::Inner;
use crate::shm::layout::offset;
use crate::shm::layout::{align, entry, family, GRANULE};
use crate::shm::state;
use crate::shm::state::State;
use crate::text::names;

/// Writes the records of the families, not yet linked, at newly allocated memory: the first one's,
/// the table of members, the others', and the embedded series. `allocate` gets the size of all.
pub(super) fn write(
    inner: &Inner,
    specs: &[Spec<'_>],
    hashes: &[u64],
    allocate: impl FnOnce(u64) -> Option<u32>,
) -> Option<u32> {
    let memory = &inner.memory;
    let first = specs.first()?;
    let blobs: Vec<_> = specs.iter().map(Spec::blob).collect();
    let cells: Vec<_> = specs.iter().map(Spec::cells).collect();
    let plan = Plan::new(&cells, first.expire > 0);
    let mut end = 0;
    let mut places = Vec::new();
    let table = bundle::table_len(specs.len());
    for (i, blob) in blobs.iter().enumerate() {
        places.push(end);
        end += align(family::SIZE + blob.len() as u64, GRANULE) + if i == 0 { table } else { 0 };
    }
    let text = if first.labels.is_empty() { String::new() } else { format!("{}=\"true\"", names::OVERFLOW_LABEL) };
    let record_len = align(end + plan.text_at + text.len() as u64, GRANULE);
    let link = allocate(record_len)?;
    let (at, embedded) = (offset(link), offset(link) + end);
    let links: Vec<u32> = places.iter().map(|place| link + (place / GRANULE) as u32).collect();
    for (i, spec) in specs.iter().enumerate() {
        let at = offset(links[i]);
        spec.write(inner, at, hashes[i], &blobs[i]);
        memory.put32(at + family::OVERFLOW, (embedded / GRANULE) as u32);
        // The offset counts from the member's own seat.
        memory.put32(at + family::TEXT_AT, (plan.text_at - plan.seats[i]) as u32);
        if i > 0 {
            memory.put32(at + entry::STATE, State::new(state::LIVE, 0).0);
            memory.put32(at + entry::PARENT, link);
            memory.put32(at + family::SEAT, plan.seats[i] as u32);
            memory.put32(offset(links[i - 1]) + entry::NEXT, links[i]);
        }
    }
    memory.put32(at + entry::STATE, State::new(state::NEW, 0).0);
    memory.put32(at + family::RECORD_LEN, record_len as u32);
    if specs.len() > 1 {
        let table = at + align(family::SIZE + blobs[0].len() as u64, GRANULE);
        bundle::write_table(memory, table, &links, &cells, &plan);
        memory.put16(at + family::MEMBER_COUNT, specs.len() as u16);
        memory.put32(at + family::MEMBERS, (table / GRANULE) as u32);
        memory.put32(at + family::LAST, *links.last()?);
    }
    let (kind, mode) = (first.kind, first.mode);
    let series = NewSeries { family: link, tag: 0, kind, mode, escaped: false, text_len: text.len() };
    let state = if first.labels.is_empty() { state::LIVE } else { state::HIDDEN };
    memory.put32(embedded + entry::STATE, State::new(state, 0).0);
    series.write(inner, embedded);
    Record::new(memory, at).open_seats(embedded);
    memory.fill(embedded + plan.text_at, text.as_bytes());
    Some(link)
}

/// As [`write`], with room for the cells of processes beforehand.
pub(super) fn make(inner: &Inner, specs: &[Spec<'_>], hashes: &[u64]) -> Option<u32> {
    let with_cells = specs.iter().filter(|spec| spec.mode.has_cells()).count() as u64;
    recycle::with_cells(inner, with_cells, || write(inner, specs, hashes, |bytes| inner.arena().allocate(bytes)))
}

/// What a registration asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// A family by itself. It may be a member of a bundle.
    Family,
    /// A bundle. One of a single member is a family by itself, and no part of another bundle: the
    /// numbers of its entries' members count from its own.
    Bundle,
}

/// The first difference between the registered family and these, as a part of a sentence.
pub(super) fn difference(record: &Record<'_>, specs: &[Spec<'_>], group: Group) -> Option<String> {
    let home = record.home();
    match specs {
        [spec] if group == Group::Family || home.member_count() < 2 => return record.difference(spec),
        _ => {}
    }
    if home.member_count() < 2 {
        return Some("it is registered by itself, not in a bundle".into());
    }
    let names: Vec<String> = names(&home);
    let wanted: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
    if names != wanted {
        return Some(format!("it is in the bundle of {names:?}, not of {wanted:?}"));
    }
    home.members().zip(specs).find_map(|((member, _), spec)| {
        member.difference(spec).map(|difference| format!("of its member {}, {difference}", spec.name))
    })
}

/// The names of a bundle's members.
pub(super) fn names(home: &Record<'_>) -> Vec<String> {
    home.members().filter_map(|(member, _)| Some(member.texts()?.name)).collect()
}
