//! A walk along a family's series, a piece of a page at a time.

use std::sync::atomic::{AtomicU32, Ordering::Acquire};

use super::snapshot::{Digest, Expected, FamilyReader, Rendered, Series, Unseen};
use crate::shm::layout::offset;
use crate::shm::layout::{entry, COUNTER_END};
use crate::shm::list::{next, CycleDetector};
use crate::shm::memory::Mapped;

/// From the next record to one that is fetched long before it is needed, on the guess that series
/// lie in the order in which they are linked, as most do. It is about what is walked over in the
/// time that memory takes to answer.
const AHEAD: u64 = 2048;

/// The same in records of a bundle, in records: they are longer, and a page reads little of each.
const RECORDS_AHEAD: u64 = 6;

/// Where a walk is, and what came of it.
pub(in crate::expose) struct SeriesWalk {
    /// The next series; 0 at the end.
    pub(in crate::expose) link: u32,
    /// Against damaged links.
    pub(in crate::expose) cycle: CycleDetector,
    /// Steps left, in case bytes are damaged faster than they are read.
    pub(in crate::expose) budget: u64,
    pub(in crate::expose) shown: u64,
    pub(in crate::expose) corrupt: u64,
}

impl SeriesWalk {
    /// A step to the next series: where it is.
    #[inline(always)]
    pub(in crate::expose) fn step(&mut self, memory: &Mapped) -> Option<u64> {
        let link = self.enter()?;
        self.follow(memory, link, memory.watermark());
        Some(offset(link))
    }

    /// Charges a step to the next series, unless the walk is at its end or in a cycle.
    #[inline(always)]
    fn enter(&mut self) -> Option<u32> {
        let link = self.link;
        if link == 0 || self.budget <= 1 || self.cycle.closes(link) {
            self.stop();
            return None;
        }
        self.budget -= 1;
        Some(link)
    }

    /// Takes the step from a series to the next, and gives its record.
    #[inline(always)]
    fn follow(&mut self, memory: &Mapped, link: u32, watermark: u64) -> Option<(*const u8, u64)> {
        let record = memory.record_below(offset(link), watermark);
        self.link = match record {
            // SAFETY: an entry's fields are backed (`record_below`), aligned to 4 in a record
            // aligned to 16, and this one is only accessed atomically. Acquire, as in `next`.
            Some((at, _)) => unsafe { &*at.add(entry::NEXT as usize).cast::<AtomicU32>() }.load(Acquire),
            None => next(memory, link),
        };
        memory.prefetch(offset(self.link));
        memory.prefetch(offset(self.link) + AHEAD);
        record
    }

    /// How many steps `follow` may take, unless it comes to this mark.
    fn ahead(&self) -> (u64, u32) {
        let (steps, mark) = self.cycle.ahead();
        (steps.min(self.budget.saturating_sub(1)), mark)
    }

    /// Notes that so many of them were taken.
    fn pass(&mut self, steps: u64) {
        self.cycle.pass(steps);
        self.budget -= steps;
    }

    #[cold]
    #[inline(never)]
    fn stop(&mut self) {
        if self.link != 0 {
            self.corrupt += 1;
            self.budget -= u64::from(self.budget > 0);
            self.link = 0;
        }
    }

    #[inline(always)]
    pub(in crate::expose) fn note(&mut self, rendered: Rendered) {
        match rendered {
            Rendered::Shown => self.shown += 1,
            Rendered::Hidden => {}
            Rendered::Damaged => self.corrupt += 1,
        }
    }
}

/// An encoder with a fast path for most series of a family.
pub(in crate::expose) trait FastPath {
    /// Where the label text begins in its series, from their seat on.
    fn text_at(&self) -> u64;
    /// Appends a series whose label text begins at `text_at`, and returns its value for the digest.
    /// The caller drops what was appended if the series changed meanwhile. `None`: the series needs
    /// the slow path, and anything may have been appended.
    fn fast(&mut self, series: &Series<'_>, text_at: u64, out: &mut Vec<u8>) -> Option<u64>;
    /// Appends any series.
    fn slow(&mut self, reader: &FamilyReader<'_>, at: u64, out: &mut Vec<u8>) -> Rendered;
}

/// Bytes of a page that are written before what was read for them is charged.
const UNCHARGED: usize = 256 * 1024;

/// Appends series until `until` bytes are there, or the walk ends. The inner loop has only what the
/// fast path needs: the budget, the search for cycles and the charge for what was read are done
/// once for many series.
#[inline(never)]
pub(in crate::expose) fn render<U: FastPath>(
    of: &mut U,
    reader: &FamilyReader<'_>,
    at_start: &mut SeriesWalk,
    out: &mut Vec<u8>,
    until: usize,
) {
    let text_at = of.text_at();
    // Copies that no other code reaches, so that the compiler keeps them in registers.
    let (memory, mut walk) = (*reader.memory, SeriesWalk { ..*at_start });
    // The fast path is for series in the family's chain, so the embedded series is none of them.
    let (home, kind, seat) = (reader.home, reader.kind, reader.seat);
    let (births, is_bundled) = (reader.births.unwrap_or_default(), reader.is_bundled);
    // A record beyond this watermark is read again by `slow`.
    let watermark = memory.watermark();
    let mut digest = 0u64;
    while out.len() < until {
        let Some(mut link) = walk.enter() else { break };
        // Checked once here, so that the compiler drops both checks in the loop.
        if reader.allowance.is_spent() || reader.births.is_none() || text_at < COUNTER_END {
            walk.follow(&memory, link, watermark);
            walk.note(slow(of, reader, offset(link), out));
            continue;
        }
        let until = until.min(out.len().saturating_add(UNCHARGED));
        let (ahead, mark) = walk.ahead();
        let (mut left, mut others, mut text) = (ahead, 0, 0);
        loop {
            let record = walk.follow(&memory, link, watermark);
            let (at, from) = (offset(link), out.len());
            if is_bundled {
                let step = offset(walk.link).wrapping_sub(at);
                let ahead = at.wrapping_add(step.wrapping_mul(RECORDS_AHEAD));
                for field in [0, seat, seat + text_at] {
                    memory.prefetch(ahead.wrapping_add(field));
                }
            }
            let expected = Expected { home, kind, seat, text_at, births: Some(births) };
            let is_done = match reader.look(at, record, expected) {
                Ok(seen) => match of.fast(&seen.series, text_at, out) {
                    Some(value) if seen.is_still() => {
                        digest = digest.wrapping_add(Digest::of(at + seat, value));
                        text += seen.series.text.len() as u64;
                        true
                    }
                    _ => false,
                },
                Err(Unseen::Hidden) => {
                    others += 1;
                    true
                }
                Err(_) => false,
            };
            if !is_done {
                out.truncate(from);
                others += 1;
                walk.note(slow(of, reader, at, out));
            }
            link = walk.link;
            if left == 0 || link == 0 || link == mark || out.len() >= until {
                break;
            }
            left -= 1;
        }
        walk.pass(ahead - left);
        let shown = 1 + (ahead - left) - others;
        walk.shown += shown;
        if !reader.charge(shown, text) {
            reader.allowance.spend_all();
        }
    }
    reader.digest.add(digest);
    *at_start = walk;
}

#[cold]
#[inline(never)]
fn slow<U: FastPath>(of: &mut U, reader: &FamilyReader<'_>, at: u64, out: &mut Vec<u8>) -> Rendered {
    of.slow(reader, at, out)
}
