//! Memory: bytes of a series, in heaps and in the segment; and of a hot one.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use serde_json::{json, Value};
use shmetrics::Segment;

use crate::contest::{Kind, OURS};
use crate::input::{set, Set};
use crate::machine::{self, apart};
use crate::rivals::contestants;
use crate::rivals::ours::{self, Ours};

/// Label sets are made in portions, so that their own strings hardly count.
const PORTION: usize = 1_000;

fn add(from: usize, to: usize, mut add: impl FnMut(&[Set])) {
    for start in (from..to).step_by(PORTION) {
        add(&(start..(start + PORTION).min(to)).map(set).collect::<Vec<_>>());
    }
}

pub fn run() -> Value {
    let ours = [10_000, 100_000, 1_000_000].map(|n| segment(Kind::Counters, n));
    let ours_histograms = [10_000, 100_000].map(|n| segment(Kind::Histograms, n));
    let processes = [1, 4, 16, 64].map(shared_by);
    json!({
        "possible_processors": machine::possible_processors(),
        "heaps": heaps(),
        "ours": ours,
        "ours_histograms": ours_histograms,
        "hot": hot(),
        "processes": processes,
        "new_segment": new_segment(),
    })
}

/// Bytes of a rival's series in the heap of one process.
fn heaps() -> Vec<Value> {
    let mut results = Vec::new();
    for kind in [Kind::Counters, Kind::Histograms] {
        for n in [10_000, 100_000, 1_000_000] {
            if kind == Kind::Histograms && n > 100_000 {
                continue;
            }
            for contestant in contestants() {
                if contestant.name == OURS || (contestant.series)(kind).is_none() {
                    continue;
                }
                let [bytes] = apart(|| {
                    let mut series = (contestant.series)(kind).expect("series");
                    let before = machine::heap();
                    add(0, n, |sets| series.add(sets));
                    [(machine::heap() - before) / n as f64]
                });
                results.push(json!({
                    "name": contestant.name,
                    "kind": format!("{kind:?}").to_lowercase(),
                    "series": n,
                    "bytes_a_series": bytes,
                }));
            }
        }
    }
    results
}

/// Bytes that the segment holds from the system, for all processes together, and bytes in use.
fn weight(segment: Segment) -> [f64; 2] {
    let inspection = segment.reader().inspect();
    [inspection.resident as f64, inspection.used as f64]
}

fn segment(kind: Kind, n: usize) -> Value {
    let [resident, used, pss, heap] = apart(|| {
        let mut ours = Ours::new(kind, ours::anonymous(16 << 30));
        crate::contest::Series::add(&mut ours, &[set(0)]);
        let (before, heap) = (weight(ours.segment), machine::heap());
        let pss = machine::proc_bytes("smaps_rollup", "Pss_Shmem:");
        add(1, n + 1, |sets| crate::contest::Series::add(&mut ours, sets));
        let (after, n) = (weight(ours.segment), n as f64);
        [
            (after[0] - before[0]) / n,
            (after[1] - before[1]) / n,
            (machine::proc_bytes("smaps_rollup", "Pss_Shmem:") - pss) / n,
            (machine::heap() - heap) / n,
        ]
    });
    json!({
        "series": n,
        "kind": format!("{kind:?}").to_lowercase(),
        "resident_a_series": resident,
        "used_a_series": used,
        "pss_a_series": pss,
        "heap_a_series": heap,
    })
}

/// What a series takes more once it is hot: counted in until nothing more is granted to it.
fn hot() -> Value {
    const N: usize = 10_000;
    const UPDATES: usize = 200_000;
    let [resident, used] = apart(|| {
        let segment = ours::anonymous(16 << 30);
        let family = ours::counters(&segment);
        let counters: Vec<_> = (0..N).map(set).map(|[a, b, c]| family.with([&a, &b, &c])).collect();
        counters.iter().for_each(|counter| counter.inc());
        let before = weight(segment);
        counters.iter().for_each(|counter| (0..UPDATES).for_each(|_| counter.inc()));
        let after = weight(segment);
        [(after[0] - before[0]) / N as f64, (after[1] - before[1]) / N as f64]
    });
    json!({ "series": N, "updates": UPDATES, "resident_a_hot_series": resident, "used_a_hot_series": used })
}

/// The sum of what processes weigh that share 10,000 series and have all counted in each: by the
/// segment, and by proportional set size.
fn shared_by(processes: usize) -> Value {
    const N: usize = 10_000;
    let [resident, pss, tables] = apart(|| {
        let segment = ours::anonymous(1 << 30);
        let sets: Vec<Set> = (0..N).map(set).collect();
        let family = ours::counters(&segment);
        sets.iter().for_each(|[a, b, c]| family.with([a, b, c]).inc());
        let ready: &[AtomicU32; 2] = machine::shared();
        let sums: &[std::sync::atomic::AtomicU64; 2] = machine::shared();
        let children: Vec<_> = (0..processes)
            .map(|_| {
                machine::fork(|| {
                    sets.iter().for_each(|[a, b, c]| family.with([a, b, c]).inc());
                    ready[0].fetch_add(1, SeqCst);
                    machine::wake(&ready[0]);
                    machine::wait(&ready[1], 0);
                    // All have their pages now: a proportional share is the same for each.
                    sums[0].fetch_add(machine::proc_bytes("smaps_rollup", "Pss_Shmem:") as u64, SeqCst);
                    sums[1].fetch_add(machine::proc_bytes("status", "VmPTE:") as u64, SeqCst);
                    ready[0].fetch_add(1, SeqCst);
                    machine::wake(&ready[0]);
                    machine::wait(&ready[1], 1);
                })
            })
            .collect();
        let all = |n: usize| loop {
            let now = ready[0].load(SeqCst);
            if now as usize >= n {
                break;
            }
            machine::wait(&ready[0], now);
        };
        all(processes);
        ready[1].store(1, SeqCst);
        machine::wake(&ready[1]);
        all(2 * processes);
        ready[1].store(2, SeqCst);
        machine::wake(&ready[1]);
        assert!(children.into_iter().all(machine::join), "a child failed");
        [weight(segment)[0], sums[0].load(SeqCst) as f64, sums[1].load(SeqCst) as f64]
    });
    json!({
        "processes": processes,
        "series": N,
        "resident": resident,
        "pss_of_children": pss,
        "page_tables_of_children": tables,
    })
}

fn new_segment() -> Value {
    let [resident, used] = apart(|| weight(ours::anonymous(64 << 20)));
    json!({ "resident": resident, "used": used })
}
