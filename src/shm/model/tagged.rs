//! loom, as in `orderings`: per-CPU cells that a word gives to one generation
//! (`percpu::give_to_generation`), where no process clears the word when the next generation
//! begins.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::Arc;

use super::words::Words;
use crate::shm::memory::Memory;
use crate::shm::percpu;
use crate::shm::state::Generation;

type Small = Words<loom::sync::atomic::AtomicU64>;

/// The word, and the per-CPU cells.
const WORD: u64 = 0;
const CELLS: u64 = 8;
const OLD: Generation = Generation(1);
const NEW: Generation = Generation(2);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Sound,
    /// A process that gives per-CPU cells does not look whether a later generation has some.
    GivesLate,
    /// Updates and readers take the per-CPU cells of any generation.
    AnyGeneration,
    /// What is in per-CPU cells that are given is not published.
    RelaxedGift,
}

fn give(words: &Small, generation: Generation, cells: u32, fault: Fault) {
    let word = generation.0 << 32 | u64::from(cells);
    match fault {
        Fault::GivesLate => {
            let seen = words.load64(WORD, Relaxed);
            let _ = words.cas64(WORD, seen, word, AcqRel, Relaxed);
        }
        Fault::RelaxedGift => {
            let _ = words.cas64(WORD, 0, word, Relaxed, Relaxed);
        }
        _ => _ = percpu::give_to_generation(words, WORD, generation, cells),
    }
}

fn cells_of(words: &Small, generation: Generation, fault: Fault) -> u32 {
    let word = words.load64(WORD, Acquire);
    if fault == Fault::AnyGeneration {
        word as u32
    } else {
        percpu::in_word(word, generation)
    }
}

/// Counts one; false if it went to the cell that all share.
fn count(words: &Small, generation: Generation, fault: Fault) -> bool {
    let cells = cells_of(words, generation, fault);
    if cells != 0 {
        words.add64(CELLS + 8 * u64::from(cells), 1, Relaxed);
    }
    cells != 0
}

fn explore(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(check);
}

fn words() -> Arc<Small> {
    Arc::new(Words::at(vec![WORD, CELLS + 8, CELLS + 16], &[]))
}

/// What comes late in a generation that is over, to give per-CPU cells or to count in them, takes
/// nothing from the next one and adds nothing to it.
fn two_generations(fault: Fault) {
    explore(move || {
        let words = words();
        let late = {
            let words = Arc::clone(&words);
            loom::thread::spawn(move || {
                give(&words, OLD, 1, fault);
                count(&words, OLD, fault);
            })
        };
        give(&words, NEW, 2, fault);
        let counted = u64::from(count(&words, NEW, fault)) + u64::from(count(&words, NEW, fault));
        late.join().unwrap();
        let shown = match cells_of(&words, NEW, fault) {
            0 => 0,
            cells => words.load64(CELLS + 8 * u64::from(cells), Relaxed),
        };
        assert_eq!(shown, counted, "what was counted in per-CPU cells is not what is shown");
    });
}

/// A process that finds per-CPU cells finds their memory as the process that gave them had it.
fn new_per_cpu_cells(fault: Fault) {
    explore(move || {
        let words = words();
        let giver = {
            let words = Arc::clone(&words);
            loom::thread::spawn(move || {
                words.store64(CELLS + 8, 7, Relaxed);
                give(&words, OLD, 1, fault);
            })
        };
        if cells_of(&words, OLD, fault) != 0 {
            assert_eq!(words.load64(CELLS + 8, Relaxed), 7, "the per-CPU cells are not there yet");
        }
        giver.join().unwrap();
    });
}

hold! { two_generations new_per_cpu_cells }

fail! {
    a_late_gift: two_generations, GivesLate, "what was counted in per-CPU cells is not what is shown";
    per_cpu_cells_of_any_generation: two_generations, AnyGeneration, "what was counted in per-CPU cells is not what is shown";
    an_unpublished_gift: new_per_cpu_cells, RelaxedGift, "the per-CPU cells are not there yet";
}
