//! Updates: all contestants, by one and by two, in rounds of short slices and in a new order each
//! round.

use std::path::PathBuf;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::SeedableRng;
use serde_json::{json, Value};

use crate::contest::{Contestant, Row};
use crate::external::External;
use crate::machine;
use crate::pair::{chunk, Pair, Slice};
use crate::rivals::contestants;
use crate::rivals::floors::XADD;
use crate::stats::spread;

enum Player {
    /// The index of its work, and how many updates are a chunk.
    Here(usize, usize),
    /// The index of the program.
    Elsewhere(usize),
}

/// A row's contestant, one after another and together.
struct Entry {
    contestant: usize,
    player: Player,
    /// By round: by one, by two.
    slices: [Vec<Sample>; 2],
}

/// Nanoseconds for an update, as the mean over the workers, and whether no other process had one of
/// their processors meanwhile.
#[derive(Clone, Copy)]
struct Sample {
    ns: f64,
    undisturbed: bool,
}

impl Sample {
    fn of(slices: &[Slice]) -> Sample {
        Sample {
            ns: slices.iter().map(|slice| slice.each()).sum::<f64>() / slices.len() as f64,
            undisturbed: slices.iter().all(|slice| slice.undisturbed),
        }
    }
}

struct Field {
    contestants: Vec<Contestant>,
    externals: Vec<External>,
    pair: Pair,
}

impl Field {
    /// Measures a slice, and repeats a disturbed one up to four times. After a sleep, the scheduler
    /// lets a thread run undisturbed for a while.
    fn run(&mut self, row: Row, entry: &Entry, two: bool) -> Sample {
        let mut sample = self.once(row, entry, two);
        for _ in 0..4 {
            if sample.undisturbed {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
            machine::wake_up();
            sample = self.once(row, entry, two);
        }
        sample
    }

    fn once(&mut self, row: Row, entry: &Entry, two: bool) -> Sample {
        match entry.player {
            Player::Here(work, chunk) if two => {
                Sample::of(&self.pair.both(work, chunk, self.contestants[entry.contestant].sharing))
            }
            Player::Here(work, chunk) => Sample::of(&self.pair.alone(work, chunk)),
            Player::Elsewhere(i) if two => Sample::of(&self.externals[i].both(row)),
            Player::Elsewhere(i) => Sample::of(&self.externals[i].alone(row)),
        }
    }

    fn name(&self, entry: &Entry) -> (&'static str, &'static str) {
        match entry.player {
            Player::Here(..) => (self.contestants[entry.contestant].name, self.contestants[entry.contestant].note),
            Player::Elsewhere(i) => (self.externals[i].name, self.externals[i].note),
        }
    }
}

/// A directory that is removed when the value is dropped.
struct Files(PathBuf);
impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// All rows, or those that are named.
pub fn run(named: &[&str]) -> Value {
    let files = Files(std::env::temp_dir().join(format!("shmetrics-bench-{}", std::process::id())));
    let contestants = contestants();
    let mut works = Vec::new();
    let mut rows: Vec<(Row, Vec<Entry>)> = Vec::new();
    for row in Row::ALL.into_iter().filter(|row| named.is_empty() || named.contains(&row.name())) {
        let mut entries = Vec::new();
        for (i, contestant) in contestants.iter().enumerate() {
            if let Some(work) = (contestant.work)(row) {
                let player = Player::Here(works.len(), chunk(&work));
                works.push(Some(work));
                entries.push(Entry { contestant: i, player, slices: [Vec::new(), Vec::new()] });
            }
        }
        rows.push((row, entries));
    }
    let externals: Vec<External> =
        [External::without_rseq(), External::python(&files.0)].into_iter().flatten().collect();
    for (row, entries) in &mut rows {
        for (i, _) in externals.iter().enumerate().filter(|(_, external)| external.rows.contains(row)) {
            entries.push(Entry {
                contestant: usize::MAX,
                player: Player::Elsewhere(i),
                slices: [Vec::new(), Vec::new()],
            });
        }
    }
    let mut field = Field { contestants, externals, pair: Pair::new(works) };
    let rounds = machine::rounds(41, 301);
    let mut random = StdRng::seed_from_u64(1);
    for round in 0..rounds + 2 {
        for (row, entries) in &mut rows {
            let mut order: Vec<(usize, bool)> = (0..entries.len()).flat_map(|i| [(i, false), (i, true)]).collect();
            order.shuffle(&mut random);
            for (i, two) in order {
                let sample = field.run(*row, &entries[i], two);
                // The first rounds warm up: caches, predictors, what grows hot.
                if round >= 2 {
                    entries[i].slices[usize::from(two)].push(sample);
                }
            }
        }
    }
    let rows: Vec<Value> = rows.iter().map(|(row, entries)| report(&field, *row, entries)).collect();
    json!({ "rounds": rounds, "slice_ms": machine::SLICE.as_millis() as u64, "rows": rows })
}

/// Where enough slices were undisturbed, the others do not count. `floor` is of the same rounds.
fn figures(samples: &[Sample], floor: &[Sample]) -> Value {
    const ENOUGH: usize = 7;
    let undisturbed = samples.iter().filter(|sample| sample.undisturbed).count();
    let kept: Vec<(f64, f64)> = samples
        .iter()
        .zip(floor)
        .filter(|(sample, _)| sample.undisturbed || undisturbed < ENOUGH)
        .map(|(sample, floor)| (sample.ns, sample.ns / floor.ns))
        .collect();
    let (ns, ratios): (Vec<f64>, Vec<f64>) = kept.into_iter().unzip();
    json!({ "ns": spread(&ns), "ratio": spread(&ratios), "undisturbed": undisturbed, "slices": samples.len() })
}

fn report(field: &Field, row: Row, entries: &[Entry]) -> Value {
    // The floor by one worker is the measure for all.
    let floor = &entries.iter().find(|entry| field.name(entry).0 == XADD).expect("the floor").slices[0];
    let results: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let (name, note) = field.name(entry);
            let [one, two] = &entry.slices;
            json!({ "name": name, "note": note, "one": figures(one, floor), "two": figures(two, floor) })
        })
        .collect();
    json!({ "row": row.name(), "contestants": results })
}
