//! Updates under callgrind: instructions, which no noise reaches.
//!
//! Callgrind collects inside `bench_counted` only, and dumps after each call of it: the i-th dump
//! is for the i-th line printed.

use std::hint::black_box;

use serde_json::{json, Value};

use crate::contest::{Row, Work};
use crate::rivals::contestants;

pub const UPDATES: usize = 1_000;

/// Callgrind knows it by this name.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_counted(work: &Work, n: usize) {
    work(black_box(4_000), n);
}

pub fn run() -> Value {
    let mut order = Vec::new();
    for contestant in contestants() {
        for row in Row::ALL {
            if let Some(work) = (contestant.work)(row) {
                // All label sets are there, and what grows hot is.
                work(0, 10_000);
                bench_counted(&work, UPDATES);
                order.push(json!({ "name": contestant.name, "row": row.name() }));
            }
        }
    }
    json!({ "updates": UPDATES, "order": order })
}
