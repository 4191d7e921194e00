//! What one call that names all does.

use super::{At, Faults, Kind, Segment, Spec};
use common::c::INVALID_ARGUMENT;

impl Segment {
    /// The series of a family that is found by its name, type and labels alone, or registered.
    pub(crate) fn named(&mut self, spec: &Spec, values: &[Vec<u8>], v: f64) -> Result<At, Faults> {
        // What cannot be added or observed makes nothing.
        let amount = if spec.kind == Kind::Counter { (0.0..f64::INFINITY).contains(&v) } else { !v.is_nan() };
        if spec.name.is_some() && !amount {
            self.rejected += 1;
            return Err(Faults { door: vec![INVALID_ARGUMENT], inside: Vec::new() });
        }
        let (asked, faults) = spec.read();
        let same = |f: &super::Family| {
            !f.retired && f.base == asked.base && f.kind == asked.kind && f.order(&asked.labels).is_some()
        };
        let found = self.families.iter().position(same).filter(|_| faults.door.is_empty());
        let family = match found {
            Some(at) => at,
            None => self.register(spec)?,
        };
        let order = self.families[family].order(&asked.labels).expect("the same labels");
        let values: Vec<Vec<u8>> = order.iter().map(|at| values[*at].clone()).collect();
        Ok(self.with(family, Some(&values)).expect("as many values as labels"))
    }
}
