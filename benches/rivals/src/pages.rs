//! Pages: nanoseconds a line, of 1,000 to 1,000,000 series.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::SeedableRng;
use serde_json::{json, Value};

use crate::contest::{contestants, Kind, Series};
use crate::input::{set, Set};
use crate::machine;
use crate::stats::spread;

/// The floor: the page is there already, and is copied.
struct Copy {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Series for Copy {
    fn add(&mut self, _: &[Set]) {}
    fn render(&mut self) -> usize {
        self.to.clear();
        self.to.extend_from_slice(&self.from);
        self.to.len()
    }
    fn page(&mut self) -> Vec<u8> {
        self.from.clone()
    }
}

struct Player {
    name: &'static str,
    series: Box<dyn Series>,
    /// Samples on its page.
    lines: usize,
    /// A line, by round.
    ns: Vec<f64>,
}

/// Samples of a page: what is not a comment.
pub fn lines(page: &[u8]) -> usize {
    page.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#').count()
}

pub fn run() -> Value {
    machine::pin(machine::processors()[0]);
    let sizes = [
        (Kind::Counters, 1_000, machine::rounds(41, 201)),
        (Kind::Counters, 10_000, machine::rounds(21, 101)),
        (Kind::Counters, 100_000, machine::rounds(7, 41)),
        (Kind::Counters, 1_000_000, machine::rounds(3, 9)),
        (Kind::Histograms, 1_000, machine::rounds(11, 101)),
        (Kind::Histograms, 10_000, machine::rounds(5, 21)),
    ];
    let pages: Vec<Value> = sizes.into_iter().map(|(kind, n, rounds)| page(kind, n, rounds)).collect();
    json!({ "pages": pages })
}

fn page(kind: Kind, n: usize, rounds: usize) -> Value {
    let sets: Vec<Set> = (0..n).map(set).collect();
    let mut players: Vec<Player> = Vec::new();
    for contestant in contestants() {
        if let Some(mut series) = (contestant.series)(kind) {
            series.add(&sets);
            let page = series.page();
            if players.is_empty() {
                // Of ours, as the first.
                let copy = Copy { from: page.clone(), to: Vec::with_capacity(page.len()) };
                let lines = lines(&page);
                players.push(Player { name: "memcpy of the page", series: Box::new(copy), lines, ns: Vec::new() });
            }
            let lines = lines(&page);
            assert!(lines >= n, "{}: {lines} lines for {n} series", contestant.name);
            players.push(Player { name: contestant.name, series, lines, ns: Vec::new() });
        }
    }
    let mut random = StdRng::seed_from_u64(2);
    for round in 0..=rounds {
        let mut order: Vec<usize> = (0..players.len()).collect();
        order.shuffle(&mut random);
        for i in order {
            let Player { series, lines, ns, .. } = &mut players[i];
            // Small pages several times, so that a slice is worth its look at the clock.
            let times = (2_000 / *lines).max(1);
            let took = machine::time(|| (0..times).for_each(|_| assert!(series.render() > 0)));
            if round > 0 {
                ns.push(took / (times * *lines) as f64);
            }
        }
    }
    let floor = players[0].ns.clone();
    let results: Vec<Value> = players
        .iter()
        .map(|Player { name, lines, ns, .. }| {
            let ratios: Vec<f64> = ns.iter().zip(&floor).map(|(ns, floor)| ns / floor).collect();
            json!({ "name": name, "lines": lines, "ns_a_line": spread(ns), "ratio": spread(&ratios) })
        })
        .collect();
    json!({ "kind": format!("{kind:?}").to_lowercase(), "series": n, "contestants": results })
}
