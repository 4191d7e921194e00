//! What a fork costs: the call, the child's first updates, its page faults and page tables. With
//! ours, and with nothing.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use serde_json::{json, Value};
use shmetrics::GaugeMode;

use crate::input::{set, Set};
use crate::machine;
use crate::rivals::ours;
use crate::stats::spread;

const SERIES: usize = 10_000;

/// A child reports nanoseconds of its updates, page faults in them, and what its page tables grew
/// by.
fn measure(name: &str, rounds: usize, body: &dyn Fn()) -> Value {
    let report: &[AtomicU64; 3] = machine::shared();
    let (mut forks, mut figures) = (Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
    for _ in 0..rounds {
        let mut child = 0;
        forks.push(
            machine::wall(|| {
                child = machine::fork(|| {
                    let (tables, faults) = (machine::proc_bytes("status", "VmPTE:"), machine::faults());
                    let ns = machine::wall(body);
                    let faults = machine::faults() - faults;
                    let tables = machine::proc_bytes("status", "VmPTE:") - tables;
                    for (word, value) in report.iter().zip([ns, faults, tables]) {
                        word.store(value.to_bits(), SeqCst);
                    }
                });
            }) / 1e3,
        );
        assert!(machine::join(child), "a child failed");
        for (list, word) in figures.iter_mut().zip(report) {
            list.push(f64::from_bits(word.load(SeqCst)));
        }
    }
    json!({
        "name": name,
        "fork_us": spread(&forks),
        "child_ns": spread(&figures[0]),
        "faults": spread(&figures[1]),
        "page_table_bytes": spread(&figures[2]),
    })
}

pub fn run() -> Value {
    machine::pin(machine::processors()[0]);
    let rounds = machine::rounds(100, 500);
    let mut results = vec![measure("no segment", rounds, &|| ())];
    let segment = ours::anonymous(1 << 30);
    let sets: Vec<Set> = (0..SERIES).map(set).collect();
    let family = ours::counters(&segment);
    let counters: Vec<_> = sets.iter().map(|[a, b, c]| family.with([a, b, c])).collect();
    counters.iter().for_each(|counter| counter.inc());
    let gauge = segment.gauge("busy", "Busy.", GaugeMode::LiveSum).register().expect("a family");
    gauge.inc();
    results.push(measure("a segment, untouched", rounds, &|| ()));
    results.push(measure("first inc of a counter", rounds, &|| counters[0].inc()));
    results.push(measure("first look-up, and inc", rounds, &|| {
        let [a, b, c] = &sets[0];
        family.with([a, b, c]).inc();
    }));
    results.push(measure("first inc of a livesum gauge", rounds, &|| gauge.inc()));
    results.push(measure("first inc of each series", rounds, &|| counters.iter().for_each(|counter| counter.inc())));
    json!({ "series": SERIES, "rounds": rounds, "cases": results })
}
