//! What an update changes, and what it leaves.

use super::{At, Cell, Kind, Segment, Update, Value};

impl Segment {
    pub(crate) fn update(&mut self, at: At, update: Update) {
        let me = self.identity;
        let kind = self.families[at.family].kind;
        let per_process = self.families[at.family].is_per_process();
        let bounds = self.families[at.family].buckets.clone();
        let states = self.families[at.family].states.len();
        let refused = match update {
            Update::Add(v) => kind == Kind::Counter && !(0.0..f64::INFINITY).contains(&v),
            Update::Observe(v) | Update::Forget(v) => v.is_nan(),
            // A removed series may have given its memory to a family with other states.
            Update::State(state, _) | Update::Choose(state) => state >= states && !self.is_removed(at),
            _ => false,
        };
        if refused {
            self.rejected += 1;
            return;
        }
        // A series that was removed takes no updates: they are counted.
        if self.is_removed(at) {
            self.stale += 1;
            return;
        }
        let native = self.families[at.family].native;
        match (self.cell_at(at), update) {
            (Cell::Counter { whole, fraction, tagged }, Update::AddWhole(_) | Update::Add(_)) => {
                const SPILL: u64 = 1 << 43;
                const FULL: u64 = 1 << 63;
                const HEAT: u64 = 1 << 12;
                let whole_amount = match update {
                    Update::AddWhole(n) => Some(n),
                    Update::Add(v) => (v as u64 as f64 == v && v < FULL as f64).then_some(v as u64),
                    _ => unreachable!("as matched"),
                };
                match (whole_amount, update) {
                    (Some(n), _) if *tagged || n >= SPILL => {
                        let full = if *tagged { 2 * SPILL } else { FULL };
                        let low = *whole + n % SPILL;
                        let carry = if low >= full { full / 2 } else { 0 };
                        *whole = low - carry;
                        // As floats: their sum may be 2^64.
                        *fraction += (n - n % SPILL) as f64 + carry as f64;
                    }
                    (Some(n), _) => {
                        let before = *whole;
                        *whole += n;
                        // Whether it is full is looked at now and then.
                        if before / HEAT != *whole / HEAT && *whole >= FULL {
                            (*whole, *fraction) = (*whole - FULL, *fraction + FULL as f64);
                        }
                    }
                    (None, Update::Add(v)) => *fraction += v,
                    _ => unreachable!("as matched"),
                }
            }
            (Cell::Gauge { value, identity }, change) => {
                if value.is_none() && per_process {
                    *identity = me;
                }
                let old = match value {
                    None => 0.0,
                    Some(Value::Float(v)) => *v,
                    Some(_) => f64::NAN,
                };
                *value = match change {
                    Update::Add(_) if matches!(value, Some(Value::Any)) => Some(Value::Any),
                    Update::Add(v) => Some(Value::Float(old + v)),
                    Update::Set(v) => Some(Value::Float(v)),
                    _ => Some(Value::Any),
                };
            }
            (Cell::Native(pairs), Update::Observe(v)) => pairs.observe(native, &bounds, v),
            (Cell::Native(pairs), Update::Forget(v)) => {
                if !pairs.unobserve(native, &bounds, v) {
                    self.rejected += 1;
                }
            }
            (Cell::Summary((count, sum), observed), Update::Observe(v)) => {
                (*count, *sum) = (*count + 1, *sum + if v.is_finite() { v } else { 0.0 });
                observed.push(v);
            }
            (Cell::Histogram(buckets), Update::Observe(v)) => {
                let (count, sum) = &mut buckets[bounds.iter().filter(|b| **b < v).count()];
                *count += 1;
                *sum += if v.is_finite() { v } else { 0.0 };
            }
            (Cell::Histogram(buckets), Update::Forget(v)) => {
                let (count, sum) = &mut buckets[bounds.iter().filter(|b| **b < v).count()];
                if *count == 0 {
                    self.rejected += 1;
                } else {
                    *count -= 1;
                    *sum -= if v.is_finite() { v } else { 0.0 };
                }
            }
            (Cell::States(bits), Update::State(state, on)) => {
                *bits = *bits & !(1 << state) | u64::from(on) << state;
            }
            (Cell::States(chosen), Update::Choose(state)) => *chosen = state as u64,
            other => panic!("no such update: {other:?}"),
        }
    }

    /// What `shmetrics_counter_value` gives.
    pub(crate) fn counter_value(&mut self, at: At) -> f64 {
        if self.is_removed(at) {
            return 0.0;
        }
        match self.cell_at(at) {
            Cell::Counter { whole, fraction, .. } => {
                whole_sum(*whole, *fraction).map_or(*whole as f64 + *fraction, |sum| sum as f64)
            }
            other => panic!("{other:?} is no counter"),
        }
    }
}

/// A counter's value, if it is whole: what spilled is, and is shown to the last digit.
pub(super) fn whole_sum(whole: u64, fraction: f64) -> Option<u128> {
    let size = fraction as u128;
    let is_whole = fraction == 0.0 || (fraction >= (1u64 << 43) as f64 && size as f64 == fraction);
    is_whole.then(|| u128::from(whole).saturating_add(size))
}
