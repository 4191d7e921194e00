//! Runs the targets on the kept inputs and on some made of them, without a fuzzing engine.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use shmetrics_fuzz::vary::Random;
use shmetrics_fuzz::{wrong, Target, TARGETS};

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
        if !wrong() {
            usual(panic);
        }
    }));
}

/// All in one test: panics are counted by the process.
#[test]
fn every_target_holds() {
    count_panics();
    if wrong() {
        return every_target_can_fail();
    }
    for (name, run) in TARGETS as [Target; 6] {
        let inputs = kept(name);
        for (path, input) in &inputs {
            assert!(holds(run, input), "{path}");
        }
        let inputs: Vec<Vec<u8>> = inputs.into_iter().map(|(_, input)| input).collect();
        let (mut random, mut input) = (Random::new(1), Vec::new());
        // Files are mapped, and processes forked: fewer in the same time.
        for i in 0..if name == "sparse" { 300 } else { 3000 } {
            random.vary(&inputs, &mut input);
            if !holds(run, &input) {
                let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{i}"));
                std::fs::write(&path, input).unwrap();
                panic!("{name}: variant {i}, kept as {}", path.display());
            }
        }
    }
}

/// The negative control: with a rule wrong, each target fails.
fn every_target_can_fail() {
    let failed = (TARGETS as [Target; 6]).map(|(name, run)| {
        let inputs = kept(name);
        (name, inputs.iter().filter(|(_, input)| !holds(run, input)).count())
    });
    let _ = std::panic::take_hook();
    for (name, failed) in failed {
        // Records of an older layout are only damage: then `tests/seeds.rs` makes the seeds anew.
        let least = if name == "reader" { 7 } else { 1 };
        assert!(failed >= least, "{name}: {failed} inputs fail, though its oracle is wrong");
    }
}
