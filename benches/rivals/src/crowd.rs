//! Increments of one counter against the number of processes: what all of them together get done in
//! a second.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::SeedableRng;
use serde_json::{json, Value};

use crate::contest::{Contestant, Row, Sharing, Work};
use crate::machine;
use crate::pair::{chunk, run_for};
use crate::rivals::contestants;
use crate::rivals::floors::AROUND;
use crate::stats::spread;

const SIZES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

/// No update starts before all processes are ready.
struct Gate {
    there: AtomicU32,
    open: AtomicU32,
    ops: AtomicU64,
    ns: AtomicU64,
}

fn member(gate: &Gate, work: &Work, chunk: usize, duration: Duration) {
    gate.there.fetch_add(1, SeqCst);
    machine::wake(&gate.there);
    machine::wait(&gate.open, 0);
    let slice = run_for(work, chunk, duration);
    gate.ops.fetch_add(slice.ops, SeqCst);
    gate.ns.fetch_add(slice.ns, SeqCst);
}

fn open(gate: &Gate, n: usize) {
    loop {
        let there = gate.there.load(SeqCst);
        if there as usize >= n {
            break;
        }
        machine::wait(&gate.there, there);
    }
    gate.open.store(1, SeqCst);
    machine::wake(&gate.open);
}

/// Updates a second of all processes together. The kernel shares the processors among them. Time
/// that other programs take does not count.
fn crowd(sharing: Sharing, work: &Work, chunk: usize, n: usize) -> f64 {
    let duration = Duration::from_millis(if n > 8 { 60 } else { 30 });
    let gate: &Gate = machine::shared();
    match sharing {
        Sharing::Processes => {
            let children: Vec<_> = (0..n).map(|_| machine::fork(|| member(gate, work, chunk, duration))).collect();
            open(gate, n);
            assert!(children.into_iter().all(machine::join), "a child failed");
        }
        Sharing::Threads => std::thread::scope(|scope| {
            (0..n).for_each(|_| drop(scope.spawn(|| member(gate, work, chunk, duration))));
            open(gate, n);
        }),
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from).min(n);
    gate.ops.load(SeqCst) as f64 / gate.ns.load(SeqCst) as f64 * processors as f64 * 1e9
}

pub fn run() -> Value {
    let players: Vec<(Contestant, Work, usize)> = contestants()
        .into_iter()
        .filter(|contestant| !AROUND.contains(&contestant.name))
        .filter_map(|contestant| {
            let work = (contestant.work)(Row::Inc)?;
            let chunk = chunk(&work);
            Some((contestant, work, chunk))
        })
        .collect();
    let rounds = machine::rounds(3, 21);
    let mut rates = vec![vec![Vec::new(); SIZES.len()]; players.len()];
    let mut random = StdRng::seed_from_u64(4);
    for _ in 0..rounds {
        let mut order: Vec<(usize, usize)> =
            (0..players.len()).flat_map(|player| (0..SIZES.len()).map(move |size| (player, size))).collect();
        order.shuffle(&mut random);
        for (player, size) in order {
            let (contestant, work, chunk) = &players[player];
            rates[player][size].push(crowd(contestant.sharing, work, *chunk, SIZES[size]));
        }
    }
    let results: Vec<Value> = players
        .iter()
        .zip(&rates)
        .map(|((contestant, _, _), rates)| {
            let rates: Vec<Value> = rates.iter().map(|rates| spread(rates)).collect();
            json!({
                "name": contestant.name,
                "sharing": format!("{:?}", contestant.sharing).to_lowercase(),
                "updates_a_second": rates,
            })
        })
        .collect();
    json!({ "sizes": SIZES, "contestants": results })
}
