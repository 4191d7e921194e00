//! Pages: nanoseconds a line, of 1,000 to 1,000,000 series.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::SeedableRng;
use serde_json::{json, Value};

use crate::contest::{Kind, Series};
use crate::input::{set, Set};
use crate::machine;
use crate::rivals::contestants;
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

/// A slice takes this long, as a slice of updates does.
const SLICE_NS: f64 = 2e6;

struct Player {
    name: &'static str,
    series: Box<dyn Series>,
    /// Samples on its page.
    lines: usize,
    /// Pages of a slice.
    times: usize,
    /// A line, by round.
    ns: Vec<f64>,
    /// The same, of the first page of a slice: what it needs is in no cache any more.
    first: Vec<f64>,
}

impl Player {
    fn new(name: &'static str, series: Box<dyn Series>, lines: usize) -> Self {
        Player { name, series, lines, times: 1, ns: Vec::new(), first: Vec::new() }
    }

    /// Nanoseconds a line, of so many pages.
    fn render(&mut self, times: usize) -> f64 {
        let took = machine::time(|| (0..times).for_each(|_| assert!(self.series.render() > 0)));
        took / (times * self.lines) as f64
    }
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
                players.push(Player::new("memcpy of the page", Box::new(copy), lines));
            }
            let lines = lines(&page);
            assert!(lines >= n, "{}: {lines} lines for {n} series", contestant.name);
            players.push(Player::new(contestant.name, series, lines));
        }
    }
    let mut random = StdRng::seed_from_u64(2);
    for round in 0..=rounds {
        let mut order: Vec<usize> = (0..players.len()).collect();
        order.shuffle(&mut random);
        for i in order {
            let player = &mut players[i];
            let first = player.render(1);
            if round == 0 {
                player.times = (SLICE_NS / (first * player.lines as f64)).clamp(1.0, 1000.0) as usize;
                continue;
            }
            player.first.push(first);
            let ns = player.render(player.times);
            player.ns.push(ns);
        }
    }
    let floor = players[0].ns.clone();
    let results: Vec<Value> = players
        .iter()
        .map(|Player { name, lines, ns, first, .. }| {
            let ratios: Vec<f64> = ns.iter().zip(&floor).map(|(ns, floor)| ns / floor).collect();
            json!({ "name": name, "lines": lines, "ns_a_line": spread(ns), "first": spread(first), "ratio": spread(&ratios) })
        })
        .collect();
    json!({ "kind": format!("{kind:?}").to_lowercase(), "series": n, "contestants": results })
}
