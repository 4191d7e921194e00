//! What one call that names all does.

use super::{At, Faults, Segment, Spec};

impl Segment {
    /// The series of a family that is found by its name, type and labels alone, or registered.
    pub(crate) fn named(&mut self, spec: &Spec, values: &[Vec<u8>]) -> Result<At, Faults> {
        let (asked, faults) = spec.read();
        let same = |f: &super::Family| f.base == asked.base && f.kind == asked.kind && f.labels == asked.labels;
        let found = self.families.iter().position(same).filter(|_| faults.door.is_empty());
        let family = match found {
            Some(at) => at,
            None => self.register(spec)?,
        };
        Ok(self.with(family, Some(values)).expect("as many values as labels"))
    }
}
