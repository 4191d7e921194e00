//! loom, as in `orderings`: lanes that a word gives to one life (`lane::give_to_life`), where
//! nobody clears the word when the record begins the next.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::Arc;

use super::words::Words;
use crate::shm::memory::Memory;
use crate::shm::percpu;
use crate::shm::state::Life;

type Small = Words<loom::sync::atomic::AtomicU64>;

/// The word, and the cells of lanes.
const WORD: u64 = 0;
const CELLS: u64 = 8;
const OLD: Life = Life(1);
const NEW: Life = Life(2);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Sound,
    /// Who gives a lane does not look whether a later life has one.
    GivesLate,
    /// Who counts, or reads, takes the lane of whichever life.
    AnyLife,
    /// What is in a lane that is given is not published.
    RelaxedGift,
}

fn give(words: &Small, life: Life, lane: u32, fault: Fault) {
    let word = life.0 << 32 | u64::from(lane);
    match fault {
        Fault::GivesLate => {
            let seen = words.load64(WORD, Relaxed);
            let _ = words.cas64(WORD, seen, word, AcqRel, Relaxed);
        }
        Fault::RelaxedGift => {
            let _ = words.cas64(WORD, 0, word, Relaxed, Relaxed);
        }
        _ => _ = percpu::give_to_life(words, WORD, life, lane),
    }
}

fn lane_of(words: &Small, life: Life, fault: Fault) -> u32 {
    let word = words.load64(WORD, Acquire);
    if fault == Fault::AnyLife {
        word as u32
    } else {
        percpu::in_word(word, life)
    }
}

/// Counts one; false if it went to the cell that all share.
fn count(words: &Small, life: Life, fault: Fault) -> bool {
    let lane = lane_of(words, life, fault);
    if lane != 0 {
        words.add64(CELLS + 8 * u64::from(lane), 1, Relaxed);
    }
    lane != 0
}

fn explore(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(check);
}

fn words() -> Arc<Small> {
    Arc::new(Words::at(vec![WORD, CELLS + 8, CELLS + 16], &[]))
}

/// What comes late in a life that is over, to give a lane or to count in one, takes nothing from
/// the next one and adds nothing to it.
fn two_lives(fault: Fault) {
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
        let shown = match lane_of(&words, NEW, fault) {
            0 => 0,
            lane => words.load64(CELLS + 8 * u64::from(lane), Relaxed),
        };
        assert_eq!(shown, counted, "what was counted in a lane is not what is shown");
    });
}

/// Who finds a lane finds its memory as its giver had it.
fn a_new_lane(fault: Fault) {
    explore(move || {
        let words = words();
        let giver = {
            let words = Arc::clone(&words);
            loom::thread::spawn(move || {
                words.store64(CELLS + 8, 7, Relaxed);
                give(&words, OLD, 1, fault);
            })
        };
        if lane_of(&words, OLD, fault) != 0 {
            assert_eq!(words.load64(CELLS + 8, Relaxed), 7, "the lane is not there yet");
        }
        giver.join().unwrap();
    });
}

hold! { two_lives a_new_lane }

fail! {
    a_late_gift: two_lives, GivesLate, "what was counted in a lane is not what is shown";
    a_lane_of_any_life: two_lives, AnyLife, "what was counted in a lane is not what is shown";
    an_unpublished_gift: a_new_lane, RelaxedGift, "the lane is not there yet";
}
