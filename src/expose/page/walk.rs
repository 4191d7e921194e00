//! A walk along a family's series, a piece of a page at a time.

use std::sync::atomic::{AtomicU32, Ordering::Acquire};

use super::snapshot::{Page, Rendered, Series, Unseen};
use crate::kind::Kind;
use crate::shm::layout::entry;
use crate::shm::layout::offset;
use crate::shm::list::CycleDetector;
use crate::shm::memory::{Mapped, Memory};

/// From the next record to one that is fetched long before it is needed, on the guess that series
/// lie in the order in which they are linked, as most do. It is about what is walked over in the
/// time that memory takes to answer.
const AHEAD: u64 = 2048;

/// Where a walk is, and what came of it.
pub(in crate::expose) struct SeriesWalk {
    /// The next series; 0 at the end.
    pub(in crate::expose) link: u32,
    /// Against damaged links.
    pub(in crate::expose) cycle: CycleDetector,
    /// Steps left, against somebody who scribbles faster than we read.
    pub(in crate::expose) budget: u64,
    pub(in crate::expose) shown: u64,
    pub(in crate::expose) corrupt: u64,
}

impl SeriesWalk {
    /// A step to the next series: where it is.
    #[inline(always)]
    pub(in crate::expose) fn step(&mut self, memory: &Mapped) -> Option<u64> {
        self.step_below(memory, memory.watermark()).map(|(at, _)| at)
    }

    /// As `step`, with the record as far as this watermark lets it be told, from one look at it.
    #[inline(always)]
    fn step_below(&mut self, memory: &Mapped, watermark: u64) -> Option<(u64, Option<(*const u8, u64)>)> {
        let link = self.link;
        if link == 0 || self.budget <= 1 || self.cycle.closes(link) {
            self.stop();
            return None;
        }
        self.budget -= 1;
        Some((offset(link), self.follow(memory, link, watermark)))
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

/// Who appends the series of a family, most of which are such as take a few steps.
pub(in crate::expose) trait FastPath {
    /// The family's kind, and where the text is in its series.
    fn what(&self) -> (Kind, u64);
    /// Appends a series; it may turn out that it was not of one moment. False: it is an unusual
    /// one, and nothing or anything was appended.
    fn fast(&mut self, series: &Series<'_>, out: &mut Vec<u8>) -> bool;
    /// Appends any series.
    fn slow(&mut self, page: &Page<'_>, at: u64, out: &mut Vec<u8>) -> Rendered;
}

/// Bytes of a page that are written before what was read for them is charged.
const UNCHARGED: usize = 256 * 1024;

/// Appends series until `until` bytes are there, or the walk ends: a loop that has only what the
/// usual ones need.
#[inline(never)]
pub(in crate::expose) fn render<U: FastPath>(
    of: &mut U,
    page: &Page<'_>,
    at_start: &mut SeriesWalk,
    out: &mut Vec<u8>,
    until: usize,
) {
    let (kind, text_at) = of.what();
    // Copies that no other code reaches, so that the compiler keeps them in registers.
    let (memory, mut walk) = (*page.memory, SeriesWalk { ..*at_start });
    let (whole, page) = (page, Page::new(&memory, page.family, page.births, page.living, page.allowance));
    // What it does not reach is looked at again, by `slow`.
    let watermark = memory.watermark();
    while out.len() < until {
        let Some((mut at, mut record)) = walk.step_below(&memory, watermark) else { break };
        if page.allowance.is_spent() {
            walk.note(slow(of, whole, at, out));
            continue;
        }
        // The next ones need no more than a comparison each against rings, and no look at the
        // budget. What they make the page read is charged together.
        let until = until.min(out.len().saturating_add(UNCHARGED));
        let (ahead, mark) = walk.ahead();
        let (mut left, mut hidden, mut read) = (ahead, 0, 0);
        loop {
            let from = out.len();
            match page.look(at, record, kind, text_at) {
                Ok(seen) if of.fast(&seen.series, out) && seen.is_still() => {
                    page.digest.keep(at);
                    read += text_at + seen.series.text.len() as u64;
                }
                Err(Unseen::Hidden) => hidden += 1,
                _ => {
                    out.truncate(from);
                    hidden += 1;
                    walk.note(slow(of, whole, at, out));
                }
            }
            let link = walk.link;
            if left == 0 || link == 0 || link == mark || out.len() >= until {
                break;
            }
            left -= 1;
            record = walk.follow(&memory, link, watermark);
            at = offset(link);
        }
        walk.pass(ahead - left);
        walk.shown += 1 + (ahead - left) - hidden;
        if !page.allowance.charge(&memory, read) {
            page.allowance.spend_all();
        }
    }
    whole.digest.add(&page.digest);
    *at_start = walk;
}

#[inline(never)]
fn slow<U: FastPath>(of: &mut U, page: &Page<'_>, at: u64, out: &mut Vec<u8>) -> Rendered {
    of.slow(page, at, out)
}

/// The entry behind this one in its chain.
#[inline(always)]
pub(in crate::expose) fn next(memory: &Mapped, link: u32) -> u32 {
    // Acquire pairs with the Release that published the entry.
    memory.load32(offset(link) + entry::NEXT, Acquire)
}
