//! What one call that names all does.

use super::{At, Faults, Segment, Spec};

impl Segment {
    /// The series of a family that is found by its name, type and labels alone, or registered.
    pub(crate) fn named(&mut self, spec: &Spec, values: &[Vec<u8>]) -> Result<At, Faults> {
        let (asked, faults) = spec.read();
        let same = |f: &super::Family| f.base == asked.base && f.kind == asked.kind && f.order(&asked.labels).is_some();
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
