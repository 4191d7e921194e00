//! New label sets: made and counted for the first time, into a family that grows.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::SeedableRng;
use serde_json::{json, Value};

use crate::contest::{contestants, Kind};
use crate::input::{set, Set};
use crate::machine;
use crate::stats::spread;

/// New label sets in a slice.
const BATCH: usize = 5_000;

pub fn run() -> Value {
    machine::pin(machine::processors()[0]);
    let rounds = machine::rounds(20, 60);
    let mut players: Vec<_> = contestants()
        .into_iter()
        .filter_map(|contestant| Some((contestant.name, (contestant.series)(Kind::Counters)?, Vec::new())))
        .collect();
    let mut random = StdRng::seed_from_u64(3);
    for round in 0..rounds {
        let sets: Vec<Set> = (round * BATCH..(round + 1) * BATCH).map(set).collect();
        let mut order: Vec<usize> = (0..players.len()).collect();
        order.shuffle(&mut random);
        for i in order {
            let (_, series, ns) = &mut players[i];
            ns.push(machine::time(|| series.add(&sets)) / BATCH as f64);
        }
    }
    let results: Vec<Value> = players.iter().map(|(name, _, ns)| json!({ "name": name, "ns": spread(ns) })).collect();
    json!({ "rounds": rounds, "batch": BATCH, "contestants": results })
}
