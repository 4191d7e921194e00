//! The tree of native buckets. Buckets are in chunks of 16, and two links lead to a chunk.
//!
//! The *ordinal* of a value is the number of its bucket: 0 for the zero bucket, 1 and more for
//! positive values, -1 and less for negative values. The record has links to 17 nodes for each
//! sign. In each schema, a node has links to the chunks of 128 octaves. The values from 2^-64 to
//! 2^64 have one node.
//!
//! A process makes a node or a chunk when an observation first needs it: the process writes the
//! block, then links it with one compare-and-swap. The loser of a race gives its block back and
//! uses the winner's. A process that is killed before the swap leaks the block, which the count of
//! leaked bytes shows. Blocks stay with the record over its generations.
//!
//! A node and a chunk begin with a word that says whose they are and which: a damaged link leads
//! nowhere.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::record::native_schema::index;
use crate::record::native_schema::{BucketScheme, NODES, OCTAVES_BELOW, USUAL, USUAL_OCTAVES};
use crate::segment::Inner;
use crate::shm::layout::offset;
use crate::shm::layout::{histogram, native_block, GRANULE};
use crate::shm::memory::{Granted, Mapped, Memory};
use crate::shm::percpu;
use crate::shm::state::{Generation, SeriesAddr};

const CHUNK_BITS: u32 = 4;
const CHUNK_PAIRS: u64 = 1 << CHUNK_BITS;
const CHUNK_SIZE: u64 = native_block::SIZE + 16 * CHUNK_PAIRS;
/// A chunk's per-CPU cells, for each CPU.
pub(super) const PER_CPU_BYTES: u64 = 16 * CHUNK_PAIRS;

const NEGATIVE: u32 = 1 << 24;
const IS_NODE: u32 = 1 << 25;

/// A series with native buckets.
#[derive(Clone, Copy)]
pub(super) struct Tree<'a> {
    pub(super) memory: &'a Mapped,
    pub(super) record: u64,
    /// The pairs before its links.
    pub(super) pairs: u64,
    pub(super) scheme: BucketScheme,
}

/// A bucket in a chunk.
#[derive(Clone, Copy)]
pub(super) struct Bucket {
    chunk: u64,
    pair: u64,
}

impl Bucket {
    /// Where its pair is.
    #[inline(always)]
    pub(super) fn at(self) -> u64 {
        self.chunk + native_block::SIZE + 16 * self.pair
    }

    /// Which of its chunk's it is.
    #[inline(always)]
    pub(super) fn number(self) -> usize {
        self.pair as usize
    }

    /// Where the word is that gives its chunk per-CPU cells.
    #[inline(always)]
    pub(super) fn per_cpu_at(self) -> u64 {
        self.chunk + native_block::PER_CPU
    }
}

/// The way to a bucket that is not the zero bucket.
#[derive(Clone, Copy)]
struct Way {
    node: u32,
    link: u64,
    chunk: u32,
    pair: u64,
}

impl Tree<'_> {
    #[inline(always)]
    fn way(&self, position: u32, negative: bool) -> Way {
        let sign = if negative { NEGATIVE } else { 0 };
        let (chunk, bits) = (position >> CHUNK_BITS, self.scheme.link_bits());
        Way {
            node: (chunk >> bits) | sign,
            link: u64::from(chunk & ((1 << bits) - 1)),
            chunk: chunk | sign,
            pair: u64::from(position) % CHUNK_PAIRS,
        }
    }

    /// What the block of this number begins with.
    #[inline(always)]
    fn identity(&self, number: u32) -> u64 {
        (self.record / GRANULE) << 32 | u64::from(number)
    }

    #[inline(always)]
    fn root(&self, node: u32) -> u64 {
        let i = (node & (NEGATIVE - 1)) + if node & NEGATIVE == 0 { 0 } else { NODES };
        self.record + histogram::SIZE + 16 * self.pairs + 4 * u64::from(i)
    }

    /// The pair of the bucket at a position of its sign; `None` if there is none yet, or its links
    /// are damaged.
    #[inline(always)]
    pub(super) fn find(&self, granted: &Granted<'_>, position: u32, negative: bool) -> Option<Bucket> {
        let way = self.way(position, negative);
        // Acquire pairs with the Release in `make`, here and below. Without a link there is no
        // address in the arena, and it reads as 0. The usual node is looked up whatever the value,
        // so that it is there when the value's bucket is known.
        let mut node = offset(granted.load32(self.root(USUAL), Acquire));
        if way.node != USUAL {
            node = self.other_node(granted, way.node);
        }
        let chunk = offset(granted.load32(node + native_block::SIZE + 4 * way.link, Acquire));
        let is_it = granted.load64(chunk + native_block::IDENTITY, Relaxed) == self.identity(way.chunk);
        is_it.then_some(Bucket { chunk, pair: way.pair })
    }

    /// Fast path of `find`: the bucket of `v` and its chunk's word for per-CPU cells, if `v` is
    /// positive and neither very large nor very small, in a schema without negative number. `None`:
    /// use `find`.
    #[inline(always)]
    pub(super) fn find_fast<'a>(&self, granted: &Granted<'a>, v: f64) -> Option<(Bucket, &'a AtomicU64)> {
        // It takes no NaN.
        let position = index::from_within::<OCTAVES_BELOW>(v, USUAL_OCTAVES, self.scheme.steps())?;
        if self.scheme.schema < 0 || v <= self.scheme.zero_threshold {
            return None;
        }
        let way = self.way(position, false);
        debug_assert_eq!(way.node, USUAL);
        // Acquire, Relaxed: as in `find`.
        let node = offset(granted.u32_at(self.root(USUAL))?.load(Acquire));
        let chunk = offset(granted.u32_at(node + native_block::SIZE + 4 * way.link)?.load(Acquire));
        let [identity, cells] = granted.two_at(chunk)?;
        (identity.load(Relaxed) == self.identity(way.chunk)).then_some((Bucket { chunk, pair: way.pair }, cells))
    }

    #[cold]
    #[inline(never)]
    fn other_node(&self, granted: &Granted<'_>, node: u32) -> u64 {
        offset(granted.load32(self.root(node), Acquire))
    }

    /// As `find`, and makes what is missing. `None`: there is no room for it, or links are damaged.
    #[cold]
    #[inline(never)]
    pub(super) fn obtain(&self, inner: &Inner, position: u32, negative: bool) -> Option<Bucket> {
        let way = self.way(position, negative);
        let node = self.make(inner, self.root(way.node), self.scheme.node_size(), way.node | IS_NODE)?;
        let chunk = self.make(inner, node + native_block::SIZE + 4 * way.link, CHUNK_SIZE, way.chunk)?;
        Some(Bucket { chunk, pair: way.pair })
    }

    /// The block that the link at `word` leads to; a new one if it leads nowhere yet.
    fn make(&self, inner: &Inner, word: u64, bytes: u64, number: u32) -> Option<u64> {
        let memory = &inner.memory;
        let checked = |link: u32| self.block(link, bytes, number);
        // Acquire pairs with the Release of `link_or_give_back`.
        match memory.load32(word, Acquire) {
            0 => {}
            link => return checked(link),
        }
        let link = inner.arena().allocate(bytes)?;
        memory.put64(offset(link) + native_block::IDENTITY, self.identity(number));
        inner.arena().link_or_give_back(word, link, bytes).map_or_else(checked, |link| Some(offset(link)))
    }

    /// The address of a block, if the block has this number.
    fn block(&self, link: u32, bytes: u64, number: u32) -> Option<u64> {
        let at = offset(link);
        let (_, backed) = self.memory.record(at)?;
        (bytes <= backed && self.memory.get64(at + native_block::IDENTITY) == self.identity(number)).then_some(at)
    }

    /// Visits all chunks that there are, and links that lead to none. `may` is asked before a block
    /// of so many bytes is read; `None`: it has said no.
    fn walk(&self, may: impl Fn(u64) -> bool, mut visit: impl FnMut(Block)) -> Option<()> {
        // There are no more chunks than there is room for.
        let mut budget = self.memory.len() / CHUNK_SIZE;
        let bits = self.scheme.link_bits();
        for sign in [0, NEGATIVE] {
            for node in 0..NODES {
                let link = self.memory.load32(self.root(node | sign), Acquire);
                if link == 0 {
                    continue;
                }
                let Some(at) = self.block(link, self.scheme.node_size(), node | sign | IS_NODE) else {
                    visit(Block::Damaged(offset(link)));
                    continue;
                };
                if !may(self.scheme.node_size()) {
                    return None;
                }
                for i in 0..1u32 << bits {
                    let link = self.memory.load32(at + native_block::SIZE + 4 * u64::from(i), Acquire);
                    if link == 0 || budget == 0 {
                        continue;
                    }
                    budget -= 1;
                    let chunk = node << bits | i;
                    match self.block(link, CHUNK_SIZE, chunk | sign) {
                        Some(at) => {
                            if !may(CHUNK_SIZE) {
                                return None;
                            }
                            let first = (chunk << CHUNK_BITS) as i32 + 1;
                            visit(Block::Chunk { at, first: if sign == 0 { first } else { -first } });
                        }
                        None => visit(Block::Damaged(offset(link))),
                    }
                }
            }
        }
        Some(())
    }

    /// Visits the pairs of all chunks, with their ordinals, and what is in the chunks' per-CPU
    /// cells of this generation.
    pub(super) fn each(
        &self,
        generation: Generation,
        may: impl Fn(u64) -> bool,
        mut visit: impl FnMut(i32, Counted),
    ) -> Option<()> {
        let mut over = false;
        let walked = self.walk(&may, |block| {
            let Block::Chunk { at, first } = block else { return };
            let ordinal = |i: usize| first + i as i32 * first.signum();
            for i in 0..CHUNK_PAIRS {
                visit(ordinal(i as usize), Counted::Cell(at + native_block::SIZE + 16 * i));
            }
            let cells = cells_of(self.memory, at, generation);
            if cells != 0 && !may(self.memory.per_cpu().cpus * PER_CPU_BYTES) {
                over = true;
                return;
            }
            percpu::pairs(self.memory, cells, CHUNK_PAIRS as usize, |i, pair| visit(ordinal(i), Counted::PerCpu(pair)));
        });
        walked.filter(|()| !over)
    }
}

/// The per-CPU cells of a chunk in this generation.
fn cells_of(memory: &Mapped, chunk: u64, generation: Generation) -> u32 {
    // Acquire pairs with `percpu::give_to_generation`.
    percpu::in_word(memory.load64(chunk + native_block::PER_CPU, Acquire), generation)
}

/// Whether the per-CPU cells that a chunk has, in whichever generation, are sound.
pub(crate) fn per_cpu_is_sound(memory: &Mapped, chunk: u64) -> bool {
    let cells = memory.load64(chunk + native_block::PER_CPU, Acquire) as u32;
    cells == 0 || percpu::is_sound(memory, cells, PER_CPU_BYTES)
}

/// Where observations of a bucket are: in the pair of its chunk, or in this per-CPU cell.
#[derive(Clone, Copy)]
pub(crate) enum Counted {
    Cell(u64),
    PerCpu([u64; 2]),
}

/// What a link leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Block {
    Chunk {
        at: u64,
        /// The ordinal of its first pair.
        first: i32,
    },
    /// A link that leads here, where there is no such block.
    Damaged(u64),
}

/// Visits the chunks of a series, as long as `may` says yes to the bytes of each block.
pub(crate) fn each_block(
    memory: &Mapped,
    record: u64,
    pairs: u64,
    scheme: BucketScheme,
    may: impl Fn(u64) -> bool,
    visit: impl FnMut(Block),
) {
    let _ = Tree { memory, record, pairs, scheme }.walk(may, visit);
}

/// Visits the pairs of a series' chunks, and of their per-CPU cells.
pub(crate) fn each_cell(
    memory: &Mapped,
    SeriesAddr { at: record, generation }: SeriesAddr,
    pairs: u64,
    scheme: BucketScheme,
    mut visit: impl FnMut(Counted),
) {
    let _ = Tree { memory, record, pairs, scheme }.each(generation, |_| true, |_, at| visit(at));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::native_schema::index::{SCHEMA_MAX, SCHEMA_MIN};

    #[test]
    fn every_number_has_a_place_and_they_are_in_order() {
        let mut numbers = vec![f64::INFINITY, f64::MAX, 1e300, 1e9, 1.0, 0.3, 1e-9, f64::MIN_POSITIVE, 5e-324];
        numbers.extend(numbers.clone().into_iter().rev().map(|v| -v));
        // SAFETY: nothing is accessed.
        let memory = unsafe { Mapped::new(std::ptr::NonNull::dangling(), 0, 0, 0) };
        for schema in SCHEMA_MIN..=SCHEMA_MAX {
            let scheme = BucketScheme { schema, zero_threshold: 0.0, window: 0 };
            let tree = Tree { memory: &memory, record: 0, pairs: 0, scheme };
            let in_order = |a, b| a > b || (schema < 0 && a == b);
            assert!(numbers.windows(2).all(|v| in_order(scheme.ordinal(v[0]), scheme.ordinal(v[1]))), "{schema}");
            for v in &numbers {
                let way = tree.way(scheme.position(*v).unwrap(), *v < 0.0);
                assert!(way.node & (NEGATIVE - 1) < NODES, "{v:e} in schema {schema}");
                assert_eq!(way.node & NEGATIVE != 0, *v < 0.0);
            }
            let node = |v: f64| tree.way(scheme.position(v).unwrap(), false).node;
            assert!(schema < 0 || (node(1e-18) == node(1e18) && node(1e18) != node(1e20)));
            assert_eq!([scheme.ordinal(0.0), scheme.ordinal(-0.0)], [0, 0]);
        }
        let scheme = BucketScheme { schema: 3, zero_threshold: 0.5, window: 0 };
        assert_eq!([0.5, -0.5, 1e-300].map(|v| scheme.ordinal(v)), [0, 0, 0], "item 53");
        assert!(scheme.ordinal(0.500_000_1) > 0 && scheme.ordinal(-0.500_000_1) < 0);
    }
}
