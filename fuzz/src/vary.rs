//! Inputs made of others by chance: for the replay of kept inputs, and for `flood`.

/// A small deterministic generator.
pub struct Random(u64);

impl Random {
    /// Each seed gives other inputs.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// A number below `n`, which is below 2^31.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (((self.0 >> 33) * n as u64) >> 31) as usize
    }

    /// Makes an input with a few changes: bytes replaced, added, taken away, or from another input.
    pub fn vary(&mut self, inputs: &[Vec<u8>], out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&inputs[self.below(inputs.len())]);
        for _ in 0..=self.below(6) {
            let at = self.below(out.len() + 1);
            match self.below(5) {
                0 | 1 if at < out.len() => out[at] = self.below(256) as u8,
                2 => out.insert(at, self.below(256) as u8),
                3 => {
                    let end = (at + self.below(16)).min(out.len());
                    out.drain(at..end);
                }
                _ => {
                    let other = &inputs[self.below(inputs.len())];
                    let from = self.below(other.len() + 1);
                    let part = &other[from..(from + self.below(64)).min(other.len())];
                    out.splice(at..at, part.iter().copied());
                }
            }
        }
    }
}
