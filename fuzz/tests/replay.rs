//! Runs the targets on the kept inputs and on some made of them, without a fuzzing engine.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use shmetrics_fuzz::{Target, TARGETS};

/// The kept inputs of a target: seeds, and what once failed.
fn kept(target: &str) -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut inputs = Vec::new();
    for kind in ["seeds", "regressions"] {
        let Ok(entries) = std::fs::read_dir(root.join(kind).join(target)) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            inputs.push((path.display().to_string(), std::fs::read(path).unwrap()));
        }
    }
    inputs.sort();
    assert!(inputs.len() >= 4, "{target} has seeds");
    inputs
}

/// Panics of the library that its own border has caught: failures, too.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Whether the target takes this input.
fn holds(run: fn(&[u8]), input: &[u8]) -> bool {
    let before = PANICS.load(SeqCst);
    std::panic::catch_unwind(|| run(input)).is_ok() && PANICS.load(SeqCst) == before
}

fn count_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, SeqCst);
        if !cfg!(feature = "wrong") {
            usual(panic);
        }
    }));
}

/// A small deterministic generator.
#[cfg(not(feature = "wrong"))]
struct Random(u64);

#[cfg(not(feature = "wrong"))]
impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as usize % n
    }

    /// An input with a few changes: bytes replaced, added, taken away, or from another input.
    fn variant(&mut self, inputs: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut out = inputs[self.below(inputs.len())].1.clone();
        for _ in 0..=self.below(6) {
            let at = self.below(out.len() + 1);
            match self.below(4) {
                0 if at < out.len() => out[at] = self.below(256) as u8,
                1 => out.insert(at, self.below(256) as u8),
                2 => {
                    let end = (at + self.below(16)).min(out.len());
                    out.drain(at..end);
                }
                _ => {
                    let other = &inputs[self.below(inputs.len())].1;
                    let from = self.below(other.len() + 1);
                    let part = &other[from..(from + self.below(64)).min(other.len())];
                    out.splice(at..at, part.iter().copied());
                }
            }
        }
        out
    }
}

/// All in one test: panics are counted by the process.
#[test]
#[cfg(not(feature = "wrong"))]
fn every_target_holds() {
    count_panics();
    for (name, run) in TARGETS as [Target; 4] {
        let inputs = kept(name);
        for (path, input) in &inputs {
            assert!(holds(run, input), "{path}");
        }
        let mut random = Random(1);
        for i in 0..3000 {
            let input = random.variant(&inputs);
            if !holds(run, &input) {
                let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{i}"));
                std::fs::write(&path, input).unwrap();
                panic!("{name}: variant {i}, kept as {}", path.display());
            }
        }
    }
}

/// The negative control: with a rule wrong, each target fails.
#[test]
#[cfg(feature = "wrong")]
fn every_target_can_fail() {
    count_panics();
    for (name, run) in TARGETS as [Target; 4] {
        let inputs = kept(name);
        let failed = inputs.iter().filter(|(_, input)| !holds(run, input)).count();
        assert!(failed > 0, "{name} takes everything, though its oracle is wrong");
    }
}
