//! New label sets: made and counted for the first time, into a family that grows.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::SeedableRng;
use serde_json::{json, Value};

use crate::contest::{Kind, Series};
use crate::input::{set, Set, LABELS};
use crate::machine;
use crate::rivals::contestants;
use crate::stats::spread;

/// New label sets in a slice.
const BATCH: usize = 5_000;

/// The floor: the bytes that shmetrics writes for a label set, into shared memory as fresh, found
/// by one hash, with as many locked instructions. The floor has no generations, checks no bounds,
/// expects no other process that makes label sets, and cannot recover from a kill.
struct Bare {
    /// Shared words, all zero at first: those that are counted in, the index, which doubles into
    /// the next half, and the records.
    memory: &'static [AtomicU64],
    /// Where the index is, and how many words it has: a power of two.
    index: (usize, usize),
    /// The next record.
    end: usize,
    made: usize,
}

impl Bare {
    const NAME: &'static str = "the same bytes, unprotected";
    const RECORD: usize = 128 / 8;
    const FIRST_INDEX: usize = 1 << 10;
    /// The number of words of all indexes together.
    const INDEXES: usize = 1 << 20;
    const MOST: usize = 200_000;
    const LOCKED: usize = 12;

    fn new() -> Self {
        let words = Self::FIRST_INDEX + Self::INDEXES + Self::MOST * Self::RECORD;
        // SAFETY: new memory, wherever there is room.
        let memory = unsafe {
            let (read_write, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
            let at = libc::mmap(std::ptr::null_mut(), 8 * words, read_write, shared, -1, 0);
            assert!(at != libc::MAP_FAILED);
            std::slice::from_raw_parts(at.cast::<AtomicU64>(), words)
        };
        let index = (Self::FIRST_INDEX, Self::FIRST_INDEX);
        Bare { memory, index, end: Self::FIRST_INDEX + Self::INDEXES, made: 0 }
    }

    /// Takes eight bytes at a time, and mixes them less than a usable hash must.
    fn hash(set: &Set) -> u64 {
        set.iter().flat_map(|value| value.as_bytes().chunks(8)).fold(0x9e37_79b9_7f4a_7c15, |h: u64, chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let product = u128::from(h ^ u64::from_le_bytes(word)) * 0x9e37_79b9_7f4a_7c15;
            product as u64 ^ (product >> 64) as u64
        })
    }

    /// The place of an unused word for this hash. No label set comes twice: nothing is compared.
    fn unused(&self, hash: u64) -> &'static AtomicU64 {
        let (at, len) = self.index;
        let words = &self.memory[at..at + len];
        let mut i = hash as usize & (len - 1);
        while words[i].load(Relaxed) != 0 {
            i = (i + 1) & (len - 1);
        }
        &words[i]
    }

    fn double(&mut self) {
        let (at, len) = self.index;
        self.index = (at + len, 2 * len);
        for word in &self.memory[at..at + len] {
            let word = word.load(Relaxed);
            if word != 0 {
                self.unused(word >> 32).store(word, Relaxed);
            }
        }
    }

    fn make(&mut self, set: &Set) {
        let hash = Self::hash(set);
        if 8 * self.made >= 5 * self.index.1 {
            self.double();
        }
        let record = &self.memory[self.end..self.end + Self::RECORD];
        let mut text = [0u8; 72];
        let mut at = 0;
        for (i, (name, value)) in LABELS.iter().zip(set).enumerate() {
            for part in [if i == 0 { "" } else { "," }, name, "=\"", value, "\""] {
                text[at..at + part.len()].copy_from_slice(part.as_bytes());
                at += part.len();
            }
        }
        for (word, bytes) in record[7..].iter().zip(text.as_chunks::<8>().0) {
            word.store(u64::from_le_bytes(*bytes), Relaxed);
        }
        record[0].store(hash, Relaxed);
        (0..Self::LOCKED - 1).for_each(|i| _ = self.memory[16 * i].fetch_add(1, Relaxed));
        self.unused(hash & 0xffff_ffff).store(hash << 32 | (self.end / Self::RECORD) as u64, Relaxed);
        record[4].fetch_add(1, Relaxed);
        self.end += Self::RECORD;
        self.made += 1;
    }
}

impl Series for Bare {
    fn add(&mut self, sets: &[Set]) {
        sets.iter().for_each(|set| self.make(set));
    }
    fn render(&mut self) -> usize {
        0
    }
    fn page(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

pub fn run() -> Value {
    machine::pin(machine::processors()[0]);
    let rounds = machine::rounds(20, 60);
    let mut players: Vec<_> = contestants()
        .into_iter()
        .filter_map(|contestant| Some((contestant.name, (contestant.series)(Kind::Counters)?, Vec::new())))
        .collect();
    players.insert(0, (Bare::NAME, Box::new(Bare::new()), Vec::new()));
    let mut random = StdRng::seed_from_u64(3);
    for round in 0..rounds {
        let sets: Vec<Set> = (round * BATCH..(round + 1) * BATCH).map(set).collect();
        let mut order: Vec<usize> = (0..players.len()).collect();
        order.shuffle(&mut random);
        for i in order {
            let (_, series, ns) = &mut players[i];
            ns.push(machine::time(|| series.add(&sets)) / BATCH as f64);
        }
    }
    let results: Vec<Value> = players.iter().map(|(name, _, ns)| json!({ "name": name, "ns": spread(ns) })).collect();
    json!({ "rounds": rounds, "batch": BATCH, "contestants": results })
}
