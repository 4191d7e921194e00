//! The merge of a gauge's values over processes, by the gauge's mode.

use std::sync::atomic::{fence, Ordering::Acquire};

use super::gauge::{owner_bits, LIVE, NO_BASE};
use crate::record::gauge_mode::GaugeMode;
use crate::shm::layout::offset;
use crate::shm::layout::{gauge, process_cell as cell, CELLS_PER_BLOCK, CELL_BLOCK, CELL_BLOCK_HEAD};
use crate::shm::memory::{Mapped, Memory};
use crate::shm::pair::Pair;
use crate::shm::state::{Generation, SeriesAddr, TAG_MASK};
use crate::text::hash::mix;

/// The merged value of a gauge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Merged {
    /// No sample: no process has set the gauge.
    Nothing,
    One(f64),
    /// A sample for each process, in the list.
    Each,
}

/// One process' sample of a listed mode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) identity: u32,
    pub(crate) alive: bool,
    /// When the process took its cell.
    pub(crate) since: u64,
    pub(crate) value: f64,
}

/// Reads a gauge in this generation. `living` holds the generation of each living slot; the samples
/// of listed modes go to `each`. Also returns a digest that changes with every update. `may` is
/// asked before a block of so many bytes is read.
pub(crate) fn merge(
    memory: &Mapped,
    SeriesAddr { at, generation }: SeriesAddr,
    mode: GaugeMode,
    living: &[u32],
    each: &mut Vec<Sample>,
    may: impl Fn(u64) -> bool,
) -> (Merged, u64) {
    each.clear();
    match mode {
        GaugeMode::Shared => {
            let (tag, value) = (memory.get64(at + gauge::TAG), memory.get64(at + gauge::VALUE));
            return (Merged::One(f64::from_bits(value)), value ^ tag.rotate_left(32));
        }
        GaugeMode::MostRecent => {
            return match memory.pair(at + gauge::TAG).map(Pair::load) {
                Some([tag, value]) if tag & TAG_MASK != 0 => {
                    (Merged::One(f64::from_bits(value)), value ^ tag.rotate_left(32))
                }
                _ => (Merged::Nothing, 0),
            }
        }
        _ => {}
    }
    let live_only = matches!(
        mode,
        GaugeMode::LiveAll | GaugeMode::LiveSum | GaugeMode::LiveMin | GaugeMode::LiveMax | GaugeMode::LiveMostRecent
    );
    let mut sum = 0.0;
    let mut extreme: Option<f64> = None;
    let mut latest = (0, 0.0);
    let mut digest = 0u64;
    let mut reach = |v: f64| {
        extreme = Some(match extreme {
            None => v,
            Some(e) if matches!(mode, GaugeMode::Min | GaugeMode::LiveMin) => e.min(v),
            Some(e) => e.max(v),
        });
    };
    each_cell(memory, at, generation, may, |slot, c| {
        let alive = c.slot_generation != 0 && living.get(slot) == Some(&c.slot_generation);
        // The digest covers all cells, whether or not their owners live: a death is no update.
        digest =
            digest.wrapping_add(mix(c.value.map_or(0, f64::to_bits) ^ slot as u64, c.base ^ c.time.rotate_left(32)));
        if !live_only {
            if mode == GaugeMode::Sum {
                sum += f64::from_bits(c.base);
            } else if c.base != NO_BASE && matches!(mode, GaugeMode::Min | GaugeMode::Max) {
                reach(f64::from_bits(c.base));
            }
        }
        let Some(value) = c.value else { return };
        if live_only && !alive {
            return;
        }
        sum += value;
        reach(value);
        if mode.is_listed() {
            each.push(Sample { identity: c.identity, alive, since: c.time, value });
        }
        if c.time > latest.0 {
            latest = (c.time, value);
        }
    });
    let merged = match mode {
        GaugeMode::Sum | GaugeMode::LiveSum => Merged::One(sum),
        GaugeMode::LiveMostRecent if latest.0 != 0 => Merged::One(latest.1),
        GaugeMode::LiveMostRecent => Merged::Nothing,
        _ if mode.is_listed() => Merged::Each,
        _ => extreme.map_or(Merged::Nothing, Merged::One),
    };
    (merged, digest)
}

struct Cell {
    identity: u32,
    slot_generation: u32,
    base: u64,
    /// `None` while it is being taken over, and of another generation.
    value: Option<f64>,
    time: u64,
}

/// Visits the cells that ever had an owner.
fn each_cell(
    memory: &Mapped,
    at: u64,
    generation: Generation,
    may: impl Fn(u64) -> bool,
    mut visit: impl FnMut(usize, &Cell),
) {
    let mut link = memory.load32(at + gauge::VALUE, Acquire);
    let mut slot = 0;
    while link != 0 && slot < crate::shm::layout::MAX_PROCESSES as usize && may(CELL_BLOCK) {
        let block = offset(link);
        for i in 0..CELLS_PER_BLOCK {
            if let Some(c) = read_cell(memory, block + CELL_BLOCK_HEAD + i * cell::SIZE, generation) {
                visit(slot, &c);
            }
            slot += 1;
        }
        link = memory.load32(block, Acquire);
    }
}

fn read_cell(memory: &Mapped, at: u64, generation: Generation) -> Option<Cell> {
    let pair = memory.pair(at + cell::OWNER)?;
    let mut last = pair.load();
    for _ in 0..16 {
        let [owner, base] = last;
        if owner == 0 {
            return None;
        }
        let [tag, value] = memory.pair(at + cell::TAG)?.load();
        // Acquire: the value was read before the second look at its owner.
        fence(Acquire);
        let again = pair.load();
        if again == last {
            let slot_generation = owner as u32 >> 8;
            let current = owner as u32 == owner_bits(slot_generation, generation, LIVE) && !generation.is_over(tag);
            let value = current.then(|| f64::from_bits(value));
            return Some(Cell { identity: (owner >> 32) as u32, slot_generation, base, value, time: tag & TAG_MASK });
        }
        last = again;
    }
    None
}
