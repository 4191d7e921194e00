//! The hash index: where an entry with a given hash may be. Open addressing over 64-bit words {tag:
//! 32, link: 32}.
//!
//! The index is a *cache of the chains*, never the truth: an entry exists because its chain holds
//! it (see [`super::list`]). So any process can repeat every step here: a word may stand
//! twice, or point to something else by now; readers always compare the entry itself. Words never
//! become 0 again, so a probe may stop at the first 0. Where series come and go there are no zeros
//! left after a while; so `INDEX_MAX_PROBE` says, for each size, how far from its home any word was
//! ever put, and a probe goes no further.
//!
//! A record's words are erased by the one process that has claimed it for another generation, and
//! by no other process: no other can be putting the same word back at that time. A helper that was
//! stopped may put one back later. It costs its place, until the index is full: then a process that
//! claims a record takes out all words that lead to it, whatever their tag. No word is taken out
//! because its record has another tag at the moment: that record might be given the tag of the word
//! again in between.
//!
//! A word's home is `tag & (size - 1)`, so words can be re-placed without looking at their entries.
//! The table doubles in place: its address range is reserved for the largest size, and only the
//! part in use is backed. Inserting processes double it in small steps, and no step has an owner:
//!
//! 1. `INDEX_TARGET` is raised (after the system granted the memory). From here on every insertion
//!    is placed for both sizes.
//! 2. Every word of the old table is placed again for the new size, `INDEX_CURSOR` telling how far.
//! 3. `INDEX_BITS` is raised. Words that an old size placed where the new one would not look, being
//!    beyond its maximum probe distance, are stale, and later insertions overwrite them.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::layout::{header, Regions};
use super::memory::Memory;

/// Old words re-placed by one insertion while the table doubles.
const BATCH: u64 = 64;

/// Words that `erase_all` looks at.
const WINDOW: u64 = 1 << 14;

/// A word that was erased: it leads to nothing, and a probe passes over it.
const TOMBSTONE: u64 = 0xffff_ffff << 32;

/// Probes this short do not ask for the maximum probe distance.
const SHORT: u64 = if cfg!(test) { 1 } else { 8 };

#[derive(Clone, Copy)]
pub(crate) struct Index<'a, M> {
    pub(crate) memory: &'a M,
    /// Where the words begin.
    pub(crate) at: u64,
    /// The largest size, as a power of two; bounds whatever a damaged header says.
    pub(crate) max_bits: u32,
}

/// The upper half of a hash, which the index and the entry keep.
#[inline(always)]
pub(crate) fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn word(tag: u32, link: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(link)
}

#[inline(always)]
fn tag(word: u64) -> u64 {
    word >> 32
}

/// A word with the tag that is looked for: how far from its home, and where it leads.
#[derive(Clone, Copy)]
pub(crate) struct Hit {
    distance: u32,
    pub(crate) link: u32,
}

/// The first word with the tag of this hash so far from its home, or farther, in the index at `at`.
/// Not a method: `Index` then stays in registers.
#[inline(never)]
fn seek<M: Memory>(memory: &M, at: u64, bits: u32, hash: u64, from: u32) -> Option<Hit> {
    let index = Index { memory, at, max_bits: bits };
    let mask = (1u64 << bits) - 1;
    for distance in u64::from(from)..=mask {
        if distance >= SHORT && distance >= index.max_probe_distance(bits) {
            return None;
        }
        // Acquire pairs with the Release in `place`, and through it with the entry's publication.
        let w = memory.load_index(index.position((tag(hash) + distance) & mask), Acquire);
        if w == 0 {
            return None;
        }
        if tag(w) == tag(hash) {
            return Some(Hit { distance: distance as u32, link: w as u32 });
        }
    }
    None
}

impl<'a, M: Memory> Index<'a, M> {
    #[inline(always)]
    pub(crate) fn of(memory: &'a M, regions: &Regions) -> Self {
        Index { memory, at: regions.index_at, max_bits: regions.index_max_bits }
    }

    #[inline(always)]
    pub(crate) fn bits(&self) -> u32 {
        // Acquire pairs with the Release that raised it in `step`: the words of the new size are in
        // place.
        self.memory.index_bits(self.memory.load_header32(header::INDEX_BITS, Acquire), self.max_bits)
    }

    fn target(&self) -> u32 {
        // Acquire pairs with `grow`: the memory of the new size is backed.
        self.memory.index_bits(self.memory.load_header32(header::INDEX_TARGET, Acquire), self.max_bits)
    }

    /// How many steps from its home a word of this size may be.
    #[inline]
    fn max_probe_distance(&self, bits: u32) -> u64 {
        // Acquire pairs with the Release that raised it in `place`, before the word was put there.
        u64::from(self.memory.load_header32(header::INDEX_MAX_PROBE + 4 * u64::from(bits), Acquire))
    }

    fn raise_max_probe_distance(&self, bits: u32, distance: u64) {
        if distance >= self.max_probe_distance(bits) {
            self.memory.raise32(header::INDEX_MAX_PROBE + 4 * u64::from(bits), distance as u32 + 1);
        }
    }

    #[inline(always)]
    fn position(&self, at: u64) -> u64 {
        self.at + at * 8
    }

    /// The link of the entry with this hash for which `same` holds, looked for at this size.
    fn find_at(&self, bits: u32, hash: u64, mut same: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut hit = self.first(bits, hash)?;
        while !same(hit.link) {
            hit = self.next(bits, hash, hit)?;
        }
        Some(hit.link)
    }

    /// The first word with the tag of this hash, looked for at this size. Mostly it is at its home.
    #[inline(always)]
    pub(crate) fn first(&self, bits: u32, hash: u64) -> Option<Hit> {
        // Acquire: as in `seek`.
        let w = self.memory.load_index(self.position(tag(hash) & ((1 << bits) - 1)), Acquire);
        // An empty word may be a hit, which leads nowhere: of one hash in 2^32, and there is one
        // comparison less for all others.
        if tag(w) == tag(hash) {
            return Some(Hit { distance: 0, link: w as u32 });
        }
        seek(self.memory, self.at, bits, hash, 0)
    }

    /// The next one.
    pub(crate) fn next(&self, bits: u32, hash: u64, hit: Hit) -> Option<Hit> {
        seek(self.memory, self.at, bits, hash, hit.distance + 1)
    }

    /// The link of the entry with this hash for which `same` holds. `None` means that no entry
    /// placed before this call has the key.
    pub(crate) fn find_surely(&self, hash: u64, mut same: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut bits = self.bits();
        loop {
            if let Some(link) = self.find_at(bits, hash, &mut same) {
                return Some(link);
            }
            // The table may have doubled under the probe, and the word's old place been given away
            // since.
            let now = self.bits();
            if now == bits {
                return None;
            }
            bits = now;
        }
    }

    /// Puts an entry's word where every later probe finds it. Idempotent.
    pub(crate) fn insert(&self, tag: u32, link: u32) {
        let w = word(tag, link);
        let (mut bits, mut target) = (self.bits(), self.target());
        loop {
            if self.place(bits, w) {
                self.memory.add64(header::INDEX_ENTRIES, 1, Relaxed);
            }
            if target > bits {
                self.place(target, w);
            }
            // Pairs with the fence in `grow`: either this process sees the new target here, or the
            // process that re-places the old words sees this word.
            self.memory.fence();
            let now = (self.bits(), self.target());
            if now == (bits, target) {
                return;
            }
            (bits, target) = now;
        }
    }

    /// Places a word for one size. True if it was not there before.
    fn place(&self, bits: u32, w: u64) -> bool {
        let mask = (1u64 << bits) - 1;
        let home = tag(w) & mask;
        loop {
            let max_probe_distance = self.max_probe_distance(bits);
            let mut free = None;
            for distance in 0..=mask {
                if distance >= max_probe_distance && free.is_some() {
                    break;
                }
                let at = (home + distance) & mask;
                let there = self.memory.load64(self.position(at), Acquire);
                if there == w {
                    // It may have been put there for the other size, from another home.
                    self.raise_max_probe_distance(bits, distance);
                    return false;
                }
                if free.is_none() && (there == 0 || there == TOMBSTONE || self.is_stale(there, at)) {
                    free = Some((distance, there));
                }
                if there == 0 {
                    break;
                }
            }
            // No free word: the limits in `has_room` keep this from happening.
            let Some((distance, expected)) = free else { return false };
            self.raise_max_probe_distance(bits, distance);
            // Release publishes the entry's announcement, which this process has seen, to probes.
            if self.memory.cas64(self.position((home + distance) & mask), expected, w, AcqRel, Acquire).is_ok() {
                return true;
            }
        }
    }

    /// Takes an entry's words out. Only for the process that has claimed the record.
    pub(crate) fn erase(&self, tag: u32, link: u32) {
        let w = word(tag, link);
        let (mut bits, mut target) = (self.bits(), self.target());
        loop {
            let erased = self.erase_at(bits, w);
            if erased > 0 {
                self.memory.add64(header::INDEX_ENTRIES, erased.wrapping_neg(), Relaxed);
            }
            if target > bits {
                self.erase_at(target, w);
            }
            // Pairs with the fence in `grow`. It is also what keeps the claimer's writes to the
            // record behind its claim: a look-up that sees any of them sees, looking again, that
            // the generation has moved on.
            self.memory.fence();
            let now = (self.bits(), self.target());
            if now == (bits, target) {
                return;
            }
            (bits, target) = now;
        }
    }

    /// Takes out whatever words lead to a record, with whatever tag: what helpers of its earlier
    /// generations, by processes that were stopped, have put back. Only for the process that has
    /// claimed the record, and for an index that is full: it looks at `WINDOW` words, other ones
    /// each time in a large index.
    pub(crate) fn erase_all(&self, link: u32, from: u64) {
        let mask = (1u64 << self.bits()) - 1;
        let mut erased = 0u64;
        for i in 0..=mask.min(WINDOW - 1) {
            let at = self.position(from.wrapping_add(i) & mask);
            let there = self.memory.load64(at, Acquire);
            if there as u32 == link && there != 0 {
                erased += u64::from(self.memory.cas64(at, there, TOMBSTONE, AcqRel, Acquire).is_ok());
            }
        }
        if erased > 0 {
            self.memory.add64(header::INDEX_ENTRIES, erased.wrapping_neg(), Relaxed);
        }
    }

    /// How many of these words there were.
    fn erase_at(&self, bits: u32, w: u64) -> u64 {
        let mask = (1u64 << bits) - 1;
        let mut erased = 0;
        for distance in 0..self.max_probe_distance(bits).min(mask + 1) {
            let at = self.position((tag(w) + distance) & mask);
            match self.memory.load64(at, Acquire) {
                0 => break,
                there if there == w => {
                    erased += u64::from(self.memory.cas64(at, w, TOMBSTONE, AcqRel, Acquire).is_ok());
                }
                _ => {}
            }
        }
        erased
    }

    /// Whether this word, which was seen here, is stale, so that no probe reaches it. A stale word
    /// was placed for a smaller size: its distance from its present home is beyond the maximum
    /// probe distance, and at least the smallest size.
    fn is_stale(&self, w: u64, at: u64) -> bool {
        let is_beyond = |bits: u32| {
            let mask = (1u64 << bits) - 1;
            let far = self.max_probe_distance(bits).max(1 << self.memory.index_min_bits());
            at > mask || at.wrapping_sub(tag(w)) & mask >= far
        };
        // A word that is about to be overwritten must not become good where it stands. It would, if
        // a helper came by it while it looks for a place for that very word in one of the two
        // sizes, and then was content with what it found. Such a helper stands at the word's
        // distance from its home in that size. So there are two cases:
        //
        // - The distance is less than the smallest size. Then the word is not stale, whatever the
        //   maximum probe distance. A helper puts a word there if the helper has read the sizes
        //   before the table doubled, and places the word for the old size after that. If the word
        //   has the same home in both sizes, its distance in the new size is the same, and may be
        //   beyond the new size's maximum, until this helper, or another, comes by the word for the
        //   new size and raises the maximum.
        // - The distance is at least the smallest size. A helper passes a free word only below the
        //   maximum probe distance, so the helper comes there only if that many words in a row are
        //   taken, or were taken when some word was put farther away. At 7/8 full this does not
        //   happen: in a table of random words a run of 4,096 has a probability below 1e-15.
        //
        // What a doubling itself leaves behind is of the second kind. A word has d < old size steps
        // from its home in the old size. Its new home is the same one, and then the word stands at
        // d in the new size as well and is good there; or it is one old size further on, and then
        // the word stands (new size - old size + d) from it: at least one smallest size.
        //
        // All are read after the word (its load is Acquire): the maximum probe distance that the
        // word's writer raised before is seen, and the sizes that it knew. The target comes first:
        // no size is in use then that is neither of the two, or lies between them.
        is_beyond(self.target()) && is_beyond(self.bits())
    }

    pub(crate) fn entries(&self) -> u64 {
        // Kills may leave it a little off, and so below 0.
        let entries = self.memory.load_header64(header::INDEX_ENTRIES, Relaxed);
        if (entries as i64) < 0 {
            0
        } else {
            entries
        }
    }

    /// Whether one more entry may come: above 7/8 probes would get long, and `place` could fail.
    pub(crate) fn has_room(&self) -> bool {
        self.has_room_for(1)
    }

    /// Whether so many words fit in.
    pub(crate) fn has_room_for(&self, words: u64) -> bool {
        self.entries().saturating_add(words) <= (7 << self.bits()) / 8
    }

    /// Whether an entry may come in a record that is used again, whose own words are taken out
    /// first: a little beyond the limit for others. So words that lead nowhere keep no label set
    /// out where others go.
    pub(crate) fn has_room_for_reuse(&self) -> bool {
        self.entries() < (15 << self.bits()) / 16
    }

    /// Starts or continues doubling when the table is 5/8 full. `back` asks the system for the
    /// index' first n bytes.
    pub(crate) fn maintain(&self, back: impl FnOnce(u64) -> bool) {
        let (bits, target) = (self.bits(), self.target());
        if target > bits {
            self.step(bits, target);
        } else if bits < self.max_bits && self.entries() > (5 << bits) / 8 && back(8 << (bits + 1)) {
            self.grow(bits);
        }
    }

    fn grow(&self, bits: u32) {
        // The cursor of the last doubling stands at its old size; a new one starts at 0. Its high
        // half says which doubling it belongs to, so a late helper's update fails.
        let cursor = self.memory.load64(header::INDEX_CURSOR, Relaxed);
        if cursor >> 40 < u64::from(bits) {
            let _ = self.memory.cas64(header::INDEX_CURSOR, cursor, u64::from(bits) << 40, AcqRel, Relaxed);
        }
        // Release: a process that sees the target may touch the memory, and sees the cursor.
        let _ = self.memory.cas32(header::INDEX_TARGET, bits, bits + 1, Release, Relaxed);
        self.memory.fence(); // pairs with the fence in `insert`
    }

    fn step(&self, bits: u32, target: u32) {
        let cursor = self.memory.load64(header::INDEX_CURSOR, Acquire);
        if cursor >> 40 != u64::from(bits) {
            return;
        }
        let (from, size) = (cursor & ((1 << 40) - 1), 1u64 << bits);
        self.memory.fence(); // pairs with the fence in `insert`
        let until = (from + BATCH).min(size);
        for at in from..until {
            let w = self.memory.load64(self.position(at), Acquire);
            if w as u32 != 0 {
                self.place(target, w);
            }
        }
        // Release: a process that goes on from the new cursor sees the words below it.
        let moved = u64::from(bits) << 40 | until;
        let _ = self.memory.cas64(header::INDEX_CURSOR, cursor, moved, AcqRel, Relaxed);
        if until == size {
            // Release pairs with `bits`.
            let _ = self.memory.cas32(header::INDEX_BITS, bits, target, Release, Relaxed);
        }
    }
}
