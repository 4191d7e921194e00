//! Variants of kept inputs for tests: what a network, an editor or another program may bring. The
//! variants are the same in each run. `SHMETRICS_LONG=1` asks for a hundred times as many.

/// Calls `check` with the inputs themselves and with `count` variants of them.
pub(crate) fn each(inputs: &[&[u8]], count: usize, mut check: impl FnMut(&[u8])) {
    for input in inputs {
        check(input);
    }
    let count = if std::env::var_os("SHMETRICS_LONG").is_some() { count * 100 } else { count };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..count {
        check(&random.vary(inputs));
    }
}

/// Xorshift: the quality of the numbers does not matter here.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound.max(1)
    }

    fn vary(&mut self, inputs: &[&[u8]]) -> Vec<u8> {
        const PARTS: [&[u8]; 12] =
            [b"", b"\0", b"\xff", b"\n", b"\r\n", b": ", b"- ", b"\"", b"99999999999999999999", b"-1", b"&a", b"*a"];
        const LETTERS: &[u8] = b"\t ,#!|>'%@`[]{}?~<\xc3\xa4";
        let mut text = inputs[self.below(inputs.len())].to_vec();
        for _ in 0..=self.below(4) {
            let from = self.below(text.len() + 1);
            let to = from + self.below((text.len() - from).min(40) + 1);
            match self.below(7) {
                0 => text.truncate(from),
                1 => drop(text.drain(from..to)),
                2 => {
                    let again = text[from..to].to_vec();
                    text.splice(from..from, again);
                }
                3 => {
                    let other = inputs[self.below(inputs.len())];
                    let rest = self.below(other.len() + 1);
                    text.splice(from..to, other[rest..].iter().copied());
                }
                4 => {
                    let part = PARTS[self.below(PARTS.len())];
                    text.splice(from..to, part.iter().copied());
                }
                5 => text.insert(from, LETTERS[self.below(LETTERS.len())]),
                _ if from < text.len() => text[from] ^= 1 << self.below(8),
                _ => {}
            }
        }
        text
    }
}
