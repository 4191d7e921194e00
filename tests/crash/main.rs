//! Crash at every instruction: real operations on real segments, single-stepped and killed from outside.
//!
//! Each operation is run in three ways. **Crash**: it is stepped through once; whenever an instruction has changed the
//! segment, others go on with a copy of it, as they would had the process been killed just there. **Stop**: it is stopped at
//! an instruction, others work in the same segment, then it goes on. **Kill**: it is killed at an instruction. Stops and
//! kills are done at a sample of instructions; with `SHMETRICS_LONG=1` before every single one, which takes hours in a
//! debug build.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, unreachable_pub)]

mod child;
#[path = "../common/mod.rs"]
mod common;
mod image;
mod mutant;
mod operation;
mod survivor;
mod trace;
mod tracee;
mod variants;

use operation::Operation;
use variants::Bench;

macro_rules! survives {
    ($($test:ident: $operation:ident;)*) => {
        $(
            #[test]
            fn $test() {
                survives(operation::$operation);
            }
        )*
    };
}

fn survives(op: Operation) {
    let mut bench = Bench::new(op, op.ready);
    bench.disturb();
    let wrong = bench.crashes.wrong + bench.stops.wrong + bench.kills.wrong;
    assert_eq!(wrong, 0, "wrong runs, the first of them:\n{}", bench.findings());
}

survives! {
    register_a_family: REGISTER;
    first_look_up: LOOK_UP;
    counter_inc: COUNTER_INC;
    counter_add: COUNTER_ADD;
    histogram_observe: OBSERVE;
    shared_gauge: GAUGE_SHARED;
    sum_gauge_takes_a_dead_cell: GAUGE_TAKE_OVER;
    sum_gauge_makes_cells: GAUGE_NEW_CELLS;
    livesum_gauge: GAUGE_LIVING;
    min_gauge_takes_a_dead_cell: GAUGE_MIN;
    arena_extent: EXTENT;
    index_doubling_begins: INDEX_GROW;
    index_doubling_goes_on: INDEX_STEP;
    index_doubling_ends: INDEX_LAST;
    attach: ATTACH;
}

/// What the harness sees of a victim that does the operation wrongly.
fn control(op: Operation, name: &'static str, victim: fn(&common::Name) -> Box<dyn Fn()>) -> Bench {
    let mut bench = Bench::new(Operation { name, ..op }, victim);
    bench.disturb();
    bench
}

#[test]
fn a_record_linked_before_it_is_complete_is_caught() {
    let seen = control(operation::LOOK_UP, "CONTROL links, then fills", mutant::links_then_fills);
    assert!(seen.crashes.wrong > 0 && seen.stops.wrong > 0 && seen.kills.wrong > 0);
}

#[test]
fn a_sum_that_follows_its_count_is_caught() {
    let seen = control(operation::OBSERVE, "CONTROL counts, then sums", mutant::counts_then_sums);
    assert!(seen.crashes.wrong > 0 && seen.stops.wrong > 0 && seen.kills.wrong > 0);
}

#[test]
fn a_counter_read_and_then_written_is_caught() {
    let seen = control(operation::COUNTER_INC, "CONTROL reads, then writes", mutant::reads_then_writes);
    assert!(seen.stops.wrong > 0, "only others can be overwritten");
    assert_eq!((seen.crashes.wrong, seen.kills.wrong), (0, 0), "{}", seen.findings());
}

#[test]
fn a_dead_value_added_before_it_is_cleared_is_caught() {
    let seen = control(operation::GAUGE_TAKE_OVER, "CONTROL adds, then clears", mutant::adds_then_clears);
    assert!(seen.crashes.wrong > 0 && seen.stops.wrong > 0 && seen.kills.wrong > 0);
}
