//! The way of one undisturbed run through its instructions, and where to disturb the next ones.

use std::collections::{BTreeSet, HashMap};

use super::tracee::Moment;

/// In the short form, runs to disturb right after a change of the segment.
const AFTER_CHANGES: usize = 80;
/// And evenly between: more for operations that are little else than their access to the segment.
const BETWEEN: usize = 120;
const BETWEEN_FEW: usize = 240;
const FEW: usize = 4000;

#[derive(Default)]
pub struct Trace {
    /// The address of each instruction.
    instructions: Vec<u64>,
    /// How many instructions had been done when the segment was first seen changed.
    changes: Vec<usize>,
}

impl Trace {
    pub fn push(&mut self, address: u64, changed: bool) {
        self.instructions.push(address);
        if changed {
            self.changes.push(self.instructions.len());
        }
    }

    pub fn len(&self) -> usize {
        self.instructions.len()
    }

    /// Where to stop or kill: before every instruction with `SHMETRICS_LONG=1`, else at a sample of
    /// them.
    pub fn moments(&self) -> Vec<(usize, Moment)> {
        let mut visits = HashMap::new();
        let moment = |address: &u64| {
            let visit = visits.entry(*address).and_modify(|n| *n += 1).or_insert(1);
            Moment { address: *address, visit: *visit }
        };
        let all: Vec<Moment> = self.instructions.iter().map(moment).collect();
        if std::env::var_os("SHMETRICS_LONG").is_some() {
            return all.into_iter().enumerate().collect();
        }
        let mut chosen = BTreeSet::new();
        let after = self.changes.iter().filter(|i| **i < all.len());
        chosen.extend(after.step_by(self.changes.len().div_ceil(AFTER_CHANGES).max(1)));
        // From each stretch, choose the instruction that is reached soonest.
        let stretch = all.len().div_ceil(if all.len() < FEW { BETWEEN_FEW } else { BETWEEN });
        for from in (0..all.len()).step_by(stretch) {
            let to = (from + stretch).min(all.len());
            chosen.extend((from..to).min_by_key(|i| all[*i].visit));
        }
        chosen.into_iter().map(|i| (i, all[i])).collect()
    }
}
