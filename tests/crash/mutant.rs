//! Victims that do an operation the wrong way, on the raw bytes: what the checks must not let
//! through.

use std::sync::atomic::Ordering::SeqCst;

use super::image::{header, record, Live, CLAIMED, FREE, LIVE, NEW};
use super::operation::{
    counters, Operation, GAUGE_TAKE_OVER, LOOK_UP, NATIVE_FIRST, OBSERVED, PER_CPU_INC_LOCKED, REMOVE,
    REMOVE_THEN_UPDATE, REPLACE, REUSE,
};
use common::file::Raw;
use common::Name;

/// Replaces 16 bytes as one. False: they are not what was seen.
fn swap_pair(raw: Raw, at: usize, seen: [u64; 2], new: [u64; 2]) -> bool {
    assert!(at % 16 == 0 && std::arch::is_x86_feature_detected!("cmpxchg16b"));
    let done: u64;
    // SAFETY: the processor has the instruction; aligned (both checked), and two words of the
    // segment. rbx, which cannot be named, is exchanged in and out.
    unsafe {
        std::arch::asm!(
            "xchg rbx, rsi", "lock cmpxchg16b xmmword ptr [rdi]", "mov rbx, rsi", "sete sil",
            in("rdi") raw.word(at).as_ptr(), inout("rsi") new[0] => done, in("rcx") new[1],
            inout("rax") seen[0] => _, inout("rdx") seen[1] => _, options(nostack),
        );
    }
    done as u8 != 0
}

/// The first family.
fn family(raw: Raw) -> usize {
    raw.link(header::FAMILY_HEAD)
}

/// The first labelled series of the first family.
fn first_series(raw: Raw) -> usize {
    raw.link(family(raw) + record::FAMILY_HEAD)
}

/// The only series of the first family, which has no labels.
fn only_series(raw: Raw) -> usize {
    raw.link(family(raw) + record::FAMILY_OVERFLOW)
}

/// {a count, the link to a record}.
fn word(count: u64, record: usize) -> u64 {
    (count << 32) | (record as u64 / 16)
}

/// A counter that is read and then written.
pub fn reads_then_writes(name: &Name) -> Box<dyn Fn()> {
    let raw = Raw::of(name.path());
    Box::new(move || {
        let cell = raw.word(only_series(raw) + record::COUNTER);
        let value = cell.load(SeqCst);
        cell.store(value + 1, SeqCst);
    })
}

/// A counter that moves what it has counted into its per-CPU cells, and then clears it.
pub fn moves_then_clears(name: &Name) -> Box<dyn Fn()> {
    let (raw, act) = (Raw::of(name.path()), (PER_CPU_INC_LOCKED.ready)(name));
    Box::new(move || {
        let cell = raw.word(only_series(raw) + record::COUNTER);
        let cells = 8 * raw.half(only_series(raw) + record::PER_CPU).load(SeqCst) as usize;
        let moved = cell.load(SeqCst);
        raw.word(raw.word(header::ARENA_AT).load(SeqCst) as usize + cells).fetch_add(moved, SeqCst);
        cell.fetch_sub(moved, SeqCst);
        act();
    })
}

/// A histogram that adds to its count and then to its sum.
pub fn counts_then_sums(name: &Name) -> Box<dyn Fn()> {
    let raw = Raw::of(name.path());
    Box::new(move || {
        let second_bucket = only_series(raw) + record::BUCKETS + 16;
        raw.word(second_bucket).fetch_add(1, SeqCst);
        let add = |bits| Some((f64::from_bits(bits) + OBSERVED).to_bits());
        raw.word(second_bucket + 8).fetch_update(SeqCst, SeqCst, add).unwrap();
    })
}

/// One generation more, in a record's state.
const GENERATION: u32 = 1 << 12;

/// The first series of the first family as the library makes it, doing the operation on a copy: its
/// words.
fn model(name: &Name, op: &Operation) -> Vec<u64> {
    let copy = Live::new(name).image.restore();
    (op.ready)(&copy)();
    let model = Raw::of(copy.path());
    let made = first_series(model);
    (0..op.record as usize / 8).map(|i| model.word(made + 8 * i).load(SeqCst)).collect()
}

/// A series that is announced and then filled in. All the rest is right.
pub fn announces_then_fills(name: &Name) -> Box<dyn Fn()> {
    let mut words = model(name, &LOOK_UP);
    words[record::STATE / 8] = words[record::STATE / 8] & !7 | u64::from(NEW);
    words[record::COUNTER / 8] = 0;
    let (raw, act) = (Raw::of(name.path()), (LOOK_UP.ready)(name));
    Box::new(move || {
        let pending = raw.word(family(raw) + record::FAMILY_PENDING);
        if pending.load(SeqCst) == 0 {
            let at = raw.word(header::ARENA_TAIL).fetch_add(LOOK_UP.record as u64, SeqCst);
            if pending.compare_exchange(0, word(1, at as usize), SeqCst, SeqCst).is_ok() {
                for (i, word) in words.iter().enumerate() {
                    raw.word(at as usize + 8 * i).store(*word, SeqCst);
                }
            }
        }
        act();
    })
}

/// A removal that puts the record on the free list while the series is still there.
pub fn offers_then_removes(name: &Name) -> Box<dyn Fn()> {
    let (raw, act) = (Raw::of(name.path()), (REMOVE.ready)(name));
    Box::new(move || {
        let (family, series) = (family(raw), first_series(raw));
        let list = raw.word(family + record::FREE_LISTS);
        let (state, head) = (raw.half(series + record::STATE), list.load(SeqCst));
        let seen = state.load(SeqCst);
        if seen & 7 == LIVE {
            raw.half(series + record::FREE).store(head as u32, SeqCst);
            let new = word((head >> 32) + 1, series);
            if list.compare_exchange(head, new, SeqCst, SeqCst).is_ok()
                && state.compare_exchange(seen, (seen + GENERATION) & !7 | FREE, SeqCst, SeqCst).is_ok()
            {
                raw.word(series + record::COUNTER).store(1 << 44, SeqCst);
                raw.word(header::SERIES).fetch_sub(1, SeqCst);
                raw.word(family + record::FAMILY_SERIES).fetch_sub(1, SeqCst);
                raw.word(header::REMOVED_SERIES).fetch_add(1, SeqCst);
            }
        }
        act();
    })
}

/// A removal that leaves the cell open to updates through old handles. All the rest is right.
pub fn leaves_the_cell_open(name: &Name) -> Box<dyn Fn()> {
    let (raw, act) = (Raw::of(name.path()), (REMOVE_THEN_UPDATE.others.unwrap())(name));
    let series = first_series(raw);
    let old = counters(&name.open()).with(["x"]);
    Box::new(move || {
        act();
        let cell = raw.word(series + record::COUNTER);
        let _ = cell.compare_exchange(1 << 44, 0, SeqCst, SeqCst);
        old.inc();
    })
}

/// A look-up that takes a free record and does not begin a new generation in it. All the rest is
/// right.
pub fn same_generation_again(name: &Name) -> Box<dyn Fn()> {
    let words = model(name, &REUSE);
    let (raw, act) = (Raw::of(name.path()), (REUSE.ready)(name));
    Box::new(move || {
        let (family, series) = (family(raw), first_series(raw));
        let (list, pending) = (raw.word(family + record::FREE_LISTS), raw.word(family + record::FAMILY_PENDING));
        let (head, seen) = (list.load(SeqCst), pending.load(SeqCst));
        let state = raw.half(series + record::STATE);
        let free = state.load(SeqCst);
        if head as usize % (1 << 32) == series / 16 && seen == 1 << 32 {
            let next = word((head >> 32) + 1, 0);
            if list.compare_exchange(head, next, SeqCst, SeqCst).is_ok() {
                // The generation of the series that was removed.
                state.store((free - GENERATION) & !7 | CLAIMED, SeqCst);
                raw.word(series + record::COUNTER).store(0, SeqCst);
                raw.word(series + record::TAG).store(words[record::TAG / 8], SeqCst);
                // The rest of the words: birth, length, text.
                for (i, word) in words.iter().enumerate().filter(|(i, _)| *i == 3 || *i >= 6) {
                    raw.word(series + 8 * i).store(*word, SeqCst);
                }
                let _ = pending.compare_exchange(seen, word(2, series), SeqCst, SeqCst);
            }
        }
        act();
    })
}

/// A counter that looks whether its series is still there, and then adds.
pub fn looks_then_adds(name: &Name) -> Box<dyn Fn()> {
    let raw = Raw::of(name.path());
    let jobs = name.open().counter("jobs", "").register().unwrap();
    let cell = first_series(raw) + record::COUNTER;
    Box::new(move || {
        if raw.word(cell).load(SeqCst) >> 44 == 0 {
            raw.word(cell).fetch_add(1, SeqCst);
        }
        jobs.inc();
    })
}

/// The bucket of `OBSERVED` at schema 3, counted from the lowest there is room for.
const POSITION: usize = (1088 << 3) + 11;

/// A native histogram whose chunk is linked before it says whose it is. All the rest is right.
pub fn links_then_fills(name: &Name) -> Box<dyn Fn()> {
    let (raw, act) = (Raw::of(name.path()), (NATIVE_FIRST.ready)(name));
    Box::new(move || {
        let series = only_series(raw);
        let make = |link: usize, number: usize| {
            let at = raw.word(header::ARENA_TAIL).fetch_add(record::BLOCK as u64, SeqCst) as usize;
            if raw.half(link).compare_exchange(0, (at / 16) as u32, SeqCst, SeqCst).is_ok() {
                raw.word(at + record::NATIVE_IDENTITY).store(((series / 16) as u64) << 32 | number as u64, SeqCst);
                raw.word(header::ARENA_REACHABLE).fetch_add(record::BLOCK as u64, SeqCst);
            }
            raw.link(link)
        };
        let chunk = POSITION / 16;
        if raw.half(series + record::NATIVE_PAGE).load(SeqCst) == 0 {
            let page = make(series + record::NATIVE_PAGE, chunk / 64 | 1 << 25);
            make(page + record::BLOCK_HEAD + 4 * (chunk % 64), chunk);
        }
        act();
    })
}

/// A native histogram that looks whether its series is still there, and then adds.
pub fn looks_then_observes(name: &Name) -> Box<dyn Fn()> {
    let raw = Raw::of(name.path());
    let jobs = name.open().counter("jobs", "").register().unwrap();
    let series = first_series(raw);
    let chunk = POSITION / 16;
    let page = raw.link(series + record::NATIVE_PAGE);
    let pair = raw.link(page + record::BLOCK_HEAD + 4 * (chunk % 64)) + record::BLOCK_HEAD + 16 * (POSITION % 16);
    let generation = raw.half(series + record::STATE).load(SeqCst) >> 12;
    Box::new(move || {
        if raw.half(series + record::STATE).load(SeqCst) >> 12 == generation {
            loop {
                let seen = [raw.word(pair).load(SeqCst), raw.word(pair + 8).load(SeqCst)];
                // It takes the tag of any other generation for that of an earlier one.
                let of = if seen[0] >> 44 == u64::from(generation) { seen } else { [u64::from(generation) << 44, 0] };
                if swap_pair(raw, pair, seen, [of[0] + 1, (f64::from_bits(of[1]) + OBSERVED).to_bits()]) {
                    break;
                }
            }
        }
        jobs.inc();
    })
}

/// A dead process' value that is added to the base and then cleared, before the cell is taken over.
pub fn adds_then_clears(name: &Name) -> Box<dyn Fn()> {
    let raw = Raw::of(name.path());
    let add = (GAUGE_TAKE_OVER.ready)(name);
    Box::new(move || {
        let cell = raw.link(only_series(raw) + record::GAUGE_CELLS) + record::FIRST_CELL;
        let (base, value) = (raw.word(cell + record::CELL_BASE), raw.word(cell + record::CELL_VALUE));
        let sum = f64::from_bits(base.load(SeqCst)) + f64::from_bits(value.load(SeqCst));
        base.store(sum.to_bits(), SeqCst);
        value.store(0, SeqCst);
        add();
    })
}

/// A replacement in two steps: between them a page has neither definition.
pub fn unregisters_then_registers(name: &Name) -> Box<dyn Fn()> {
    let (segment, act) = (name.open(), (REPLACE.ready)(name));
    Box::new(move || {
        segment.unregister("x").unwrap();
        act();
    })
}
