use std::collections::HashSet;
use std::marker::PhantomData;
use std::sync::atomic::Ordering::Acquire;
use std::time::{Duration, Instant};

use super::encoder::{self, Encoder};
use super::family::{Fixed, View};
use super::own;
use super::snapshot::{Page, Shot};
use super::{Exposition, Reader};
use crate::process::{Slots, Token};
use crate::registry::family::Record;
use crate::registry::fixed;
use crate::segment::chain::{announcements, offset, Ring};
use crate::segment::layout::{entry, family, header, GRANULE};
use crate::segment::mapping::Backing;
use crate::segment::memory::{Mapped, Memory};

/// A page being rendered, a piece at a time: for event loops that must not stall, and for pages larger than memory.
///
/// Each piece ends between two series, so what belongs together is read together. The page as a whole is not of one
/// instant: series are read as the cursor comes to them, as in every Prometheus client.
pub struct Cursor<'a> {
    memory: Mapped,
    reader: PhantomData<&'a Reader>,
    /// The generations of the living processes' slots, as of the start.
    living: Vec<u32>,
    at: Place,
    encoder: Option<Encoder>,
    /// A buffer of the encoder before, to use again.
    spare: Vec<u8>,
    fixed: Fixed,
    /// Announcements in the family when it was begun.
    births: u32,
    /// Series shown.
    shown: u64,
    /// The chains of families and of the family's series, against damaged links.
    families: Ring,
    series: Ring,
    /// Steps left, against somebody who scribbles faster than we read.
    budget: u64,
    corrupt: u64,
    busy: Duration,
    /// What did not fit into the last small buffer.
    pending: Vec<u8>,
    taken: usize,
    exposition: Exposition,
    /// The only families wanted, by the names of their samples; all of them if empty.
    only: HashSet<String>,
}

/// Where a cursor is.
#[derive(Clone, Copy)]
enum Place {
    /// At this family, not begun.
    Family(u32),
    /// In a family, at this series, or at its embedded series if that is 0.
    Series(u32, u32),
    Own,
    Done,
}

/// What samples add to their family's name.
const SUFFIXES: [&str; 8] = ["", "_total", "_created", "_info", "_bucket", "_count", "_sum", "_gcount"];

/// A piece is ended after this many bytes.
const PIECE: usize = 32 * 1024;

impl Cursor<'_> {
    pub(super) fn new(memory: Mapped, backing: &dyn Backing, own: Option<Token>, exposition: Exposition) -> Self {
        Cursor {
            memory,
            reader: PhantomData,
            living: Slots::in_memory(&memory).living(backing, own),
            at: Place::Family(memory.load32(header::FAMILY_HEAD, Acquire)),
            encoder: None,
            spare: Vec::new(),
            fixed: Fixed::new(fixed::labels_in(&memory)),
            births: 0,
            shown: 0,
            families: Ring::default(),
            series: Ring::default(),
            budget: memory.len() / GRANULE,
            corrupt: 0,
            busy: Duration::ZERO,
            pending: Vec::new(),
            taken: 0,
            exposition,
            only: HashSet::new(),
        }
    }

    /// As what the page is written; before it is begun.
    pub(crate) fn set_exposition(&mut self, exposition: Exposition) {
        self.exposition = exposition;
    }

    pub(crate) fn add_only(&mut self, name: &str) {
        self.only.insert(name.to_owned());
    }

    /// Only the families that have samples of these names (or are called so), whole, as scrapers ask for by `name[]`; to be called before
    /// the page is begun.
    #[must_use]
    pub fn only<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.only.extend(names.into_iter().map(Into::into));
        self
    }

    /// Appends the next piece, about 32 KiB, to `out`. `false`: the page is complete, and nothing was appended. (Nor is anything
    /// appended by some calls that return `true`, where a large family is put together in protobuf.)
    pub fn fill(&mut self, out: &mut Vec<u8>) -> bool {
        if self.taken < self.pending.len() {
            out.extend_from_slice(&self.pending[self.taken..]);
            self.taken = self.pending.len();
            return true;
        }
        self.render(out, PIECE)
    }

    /// Copies the next bytes of the page to `buffer` and returns how many; 0 once the page is complete. Any size of buffer
    /// will do, down to one byte.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.taken == self.pending.len() {
                let mut pending = std::mem::take(&mut self.pending);
                pending.clear();
                self.taken = 0;
                let more = self.render(&mut pending, PIECE.min(buffer.len() - filled));
                self.pending = pending;
                if !more {
                    break;
                }
            }
            let n = (buffer.len() - filled).min(self.pending.len() - self.taken);
            buffer[filled..filled + n].copy_from_slice(&self.pending[self.taken..self.taken + n]);
            self.taken += n;
            filled += n;
        }
        filled
    }

    /// Renders at least `piece` bytes, if there are so many.
    pub(super) fn render(&mut self, out: &mut Vec<u8>, piece: usize) -> bool {
        let start = Instant::now();
        let from = out.len();
        let held = self.held();
        while (out.len() - from).max(self.held().saturating_sub(held)) < piece {
            match self.at {
                Place::Family(0) => self.at = Place::Own,
                Place::Family(link) => self.begin(link, out),
                Place::Series(family, 0) => self.end(family, out),
                Place::Series(family, link) => self.series(family, link, out, from.saturating_add(piece)),
                Place::Own => {
                    self.at = Place::Done;
                    let busy = self.busy + start.elapsed();
                    for family in own::families(&self.memory, &self.living, [self.shown, self.corrupt], busy) {
                        if self.wanted(family.name) {
                            family.render(self.exposition.format(), &self.fixed, out);
                        }
                    }
                    encoder::end(self.exposition.format(), out);
                }
                Place::Done => break,
            }
        }
        self.busy += start.elapsed();
        out.len() > from || !matches!(self.at, Place::Done)
    }

    fn held(&self) -> usize {
        self.encoder.as_ref().map_or(0, Encoder::held)
    }

    fn spend(&mut self) -> bool {
        self.budget = self.budget.saturating_sub(1);
        if self.budget == 0 {
            self.corrupt += 1;
            self.at = Place::Own;
        }
        self.budget > 0
    }

    fn begin(&mut self, link: u32, out: &mut Vec<u8>) {
        if !self.spend() {
            return;
        }
        if self.families.closes(link) {
            self.corrupt += 1;
            self.at = Place::Own;
            return;
        }
        let record = Record::new(&self.memory, offset(link));
        let Some(texts) = record.texts() else {
            self.corrupt += 1;
            self.at = Place::Family(self.next(link));
            return;
        };
        if !self.wanted(&texts.name) {
            self.at = Place::Family(self.next(link));
            return;
        }
        let view = View::new(&record, texts, &self.fixed, self.exposition);
        self.encoder = Some(Encoder::new(view, self.exposition, &mut self.spare, out));
        self.series = Ring::default();
        self.births = announcements(&self.memory, record.ends());
        self.at = Place::Series(link, self.memory.load32(offset(link) + family::HEAD, Acquire));
    }

    fn wanted(&self, family: &str) -> bool {
        let is_of = |n: &String| n.strip_prefix(family).is_some_and(|suffix| SUFFIXES.contains(&suffix));
        self.only.is_empty() || self.only.iter().any(is_of)
    }

    fn next(&self, link: u32) -> u32 {
        // Acquire pairs with the Release that published the entry.
        self.memory.load32(offset(link) + entry::NEXT, Acquire)
    }

    /// Renders series from this one on, until `until` bytes are there (or as many more held) or the family ends.
    fn series(&mut self, family: u32, mut link: u32, out: &mut Vec<u8>, until: usize) {
        let Some(mut encoder) = self.encoder.take() else { return };
        let most = encoder.held().saturating_add(until - out.len());
        while link != 0 && out.len() < until && encoder.held() < most && self.spend() {
            if self.series.closes(link) {
                self.corrupt += 1;
                link = 0;
                break;
            }
            let at = offset(link);
            let next = self.next(link);
            self.memory.prefetch(offset(next));
            let page = Page { memory: &self.memory, family, births: Some(self.births), living: &self.living };
            match encoder.series(&page, at, out) {
                Shot::Shown => self.shown += 1,
                Shot::Hidden => {}
                Shot::Damaged => self.corrupt += 1,
            }
            link = next;
        }
        self.encoder = Some(encoder);
        if self.budget > 0 {
            self.at = Place::Series(family, link);
        }
    }

    /// The embedded series comes last: the only one, or the overflow series if it was used.
    fn end(&mut self, family: u32, out: &mut Vec<u8>) {
        let record = Record::new(&self.memory, offset(family));
        let at = record.overflow_at();
        if let Some(mut encoder) = self.encoder.take() {
            let page = Page { memory: &self.memory, family, births: None, living: &self.living };
            match encoder.series(&page, at, out) {
                // An overflow series is not one of its own.
                Shot::Shown => self.shown += u64::from(record.label_count() == 0),
                Shot::Hidden => {}
                Shot::Damaged => self.corrupt += 1,
            }
            encoder.finish(&mut self.spare, out);
        }
        self.at = Place::Family(self.next(family));
    }
}

impl std::fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("done", &matches!(self.at, Place::Done)).finish_non_exhaustive()
    }
}
