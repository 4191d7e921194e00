//! Crash at every instruction: real operations on real segments, single-stepped and killed from
//! outside.
//!
//! Each operation runs in three ways. **Crash**: the harness steps through the operation once.
//! After each instruction that has changed the segment, other processes continue with a copy of the
//! segment, as if the process had been killed at that instruction. **Stop**: the process is stopped
//! at an instruction, other processes work in the same segment, and then the process continues.
//! **Kill**: the process is killed at an instruction.
//!
//! Stops and kills happen at a sample of instructions. With `SHMETRICS_LONG=1` they happen before
//! every instruction, which takes hours. The test runs only in release builds, because users run
//! the instructions of release builds: `cargo test --release --test crash`.
#![cfg(all(target_os = "linux", target_arch = "x86_64", not(debug_assertions)))]

mod child;
mod image;
mod mutant;
mod operation;
mod survivor;
mod trace;
mod tracee;
mod variants;

use operation::{Operation, Ready};
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

/// The same where the operation's segment has room for per-CPU cells of all CPUs.
macro_rules! have_per_cpu {
    ($($test:ident: $operation:ident;)*) => {
        $(
            #[test]
            fn $test() {
                if has_per_cpu() {
                    survives(operation::$operation);
                }
            }
        )*
    };
}

fn has_per_cpu() -> bool {
    let name = common::Name::new("percpu");
    let has = operation::are_there(&name.options().max_size(512 * 1024).max_processes(8).open().unwrap());
    if !has {
        common::note("skipped: crashes beside per-CPU cells (too many CPUs for so small a segment)");
    }
    has
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
    counter_inc_with_exemplar: EXEMPLAR;
    histogram_observe: OBSERVE;
    native_histogram_makes_its_first_bucket: NATIVE_FIRST;
    native_histogram_observe: NATIVE_OBSERVE;
    native_and_classic_histogram: NATIVE_AND_CLASSIC;
    summary_with_quantiles: QUANTILES;
    shared_gauge: GAUGE_SHARED;
    sum_gauge_takes_a_dead_cell: GAUGE_TAKE_OVER;
    sum_gauge_of_a_process_that_cannot_open: GAUGE_ATTACHED;
    sum_gauge_makes_cells: GAUGE_NEW_CELLS;
    livesum_gauge: GAUGE_LIVING;
    min_gauge_takes_a_dead_cell: GAUGE_MIN;
    arena_extent: EXTENT;
    index_doubling_begins: INDEX_GROW;
    index_doubling_goes_on: INDEX_STEP;
    index_doubling_ends: INDEX_LAST;
    attach: ATTACH;
    labelled_counter_inc: LABELLED_INC;
    labelled_counter_add: LABELLED_ADD;
    labelled_histogram_observe: LABELLED_OBSERVE;
    labelled_shared_gauge: LABELLED_SHARED;
    labelled_sum_gauge_takes_a_dead_cell: LABELLED_TAKE_OVER;
    labelled_sum_gauge_takes_the_cell_of_an_earlier_generation: LABELLED_OLD_CELL;
    remove: REMOVE;
    remove_beside_others: REMOVE_BESIDE_OTHERS;
    remove_then_update: REMOVE_THEN_UPDATE;
    remove_and_make_again: RE_INSERT;
    clear: CLEAR;
    make_and_remove_within_a_limit: LIMITED;
    look_up_reuses_a_record: REUSE;
    look_up_reuses_a_histogram: REUSE_HISTOGRAM;
    look_up_reuses_a_sum_gauge: REUSE_SUM;
    look_up_reuses_a_native_histogram: REUSE_NATIVE;
    look_up_reuses_a_record_while_the_index_doubles: INDEX_REUSE;
    look_up_among_records_too_small: REUSE_TOO_SMALL;
    look_up_beside_removal: LOOK_UP_BESIDE_REMOVAL;
    render_beside_removal: RENDER;
    counter_inc_beside_removal: OLD_COUNTER;
    counter_add_beside_removal: OLD_COUNTER_ADD;
    histogram_observe_beside_removal: OLD_HISTOGRAM;
    native_histogram_observe_beside_removal: OLD_NATIVE;
    native_histogram_makes_its_first_bucket_beside_removal: OLD_NATIVE_FIRST;
    shared_gauge_beside_removal: OLD_SHARED;
    sum_gauge_beside_removal: OLD_SUM;
    expire: EXPIRE;
    expire_beside_updates: EXPIRE_BESIDE_UPDATES;
    expire_for_good: EXPIRE_FOR_GOOD;
    expire_for_good_beside_updates: EXPIRE_FOR_GOOD_BESIDE_UPDATES;
    look_up_revives: REVIVE;
    remove_an_expired_series: REMOVE_EXPIRED;
    redefine_a_family: REPLACE;
    redefine_by_unregistering: UNREGISTER;
    redefine_and_go_back: ALTERNATE;
    redefine_beside_counter_inc: REPLACED_COUNTER;
    redefine_beside_shared_gauge: REPLACED_GAUGE;
    redefine_beside_sum_gauge: REPLACED_SUM;
    redefine_beside_histogram_observe: REPLACED_HISTOGRAM;
    redefine_beside_look_up: REPLACED_LABELLED;
    redefine_beside_first_look_up: REPLACED_FIRST_LOOK_UP;
    redefine_beside_render: RENDER_BESIDE_REPLACEMENT;
    bundle_is_registered: BUNDLE_REGISTER;
    bundle_makes_a_label_set: BUNDLE_LOOK_UP;
    bundle_removes_and_makes_again: BUNDLE_RE_INSERT;
    bundle_reuses_a_record: BUNDLE_REUSE;
    bundle_members_beside_removal: BUNDLE_OLD;
    bundle_members_by_one_call: BUNDLE_AT_ONCE;
    bundle_members_by_one_call_beside_removal: BUNDLE_AT_ONCE_OLD;
    bundle_is_replaced: BUNDLE_REPLACE;
    bundle_replaces_two_families: BUNDLE_REPLACE_TWO;
}

have_per_cpu! {
    counter_is_given_per_cpu_cells: PER_CPU_GIVEN;
    counter_is_given_locked_per_cpu_cells: PER_CPU_GIVEN_LOCKED;
    histogram_is_given_per_cpu_cells: PER_CPU_GIVEN_TO_HISTOGRAM;
    hot_counter_inc_locked: PER_CPU_INC_LOCKED;
    hot_histogram_observe_locked: PER_CPU_OBSERVE_LOCKED;
    look_up_reuses_a_hot_record: PER_CPU_REUSE;
    look_up_reuses_a_hot_histogram: PER_CPU_REUSE_HISTOGRAM;
    hot_counter_inc_beside_removal: PER_CPU_OF_OLD;
    bundle_is_given_per_cpu_cells: BUNDLE_GIVEN;
    hot_bundle_members_by_one_call_locked: BUNDLE_AT_ONCE_LOCKED;
}

/// Restartable sequences are tried again when they are single-stepped, and only then; so there are
/// no moments to come back to.
#[test]
fn hot_updates_in_restartable_sequences() {
    for op in [operation::PER_CPU_INC, operation::PER_CPU_OBSERVE, operation::BUNDLE_AT_ONCE_HOT] {
        if has_per_cpu() {
            let mut bench = Bench::new(op, op.ready);
            bench.crash();
            assert!(bench.crashes.runs > 0 && bench.crashes.wrong == 0, "{}", bench.findings());
        }
    }
}

#[test]
fn a_claimed_record_is_given_back() {
    let bench = Bench::new(operation::REUSE, operation::REUSE.ready);
    // Another makes the label set that the record was claimed for.
    let end = bench.stop_when(|image| image.state(image.first_series()) == image::CLAIMED);
    assert_eq!(end.state(end.first_series()), image::FREE);
    assert_eq!(end.free_record(0), end.first_series());
    assert_eq!(end.index_words(end.first_series()), 0, "neither its old label set nor the new one leads to it");
}

/// What the harness sees of a victim that does the operation wrongly.
fn control(op: Operation, name: &'static str, victim: Ready) -> Bench {
    let mut bench = Bench::new(Operation { name, ..op }, victim);
    bench.disturb();
    bench
}

#[test]
fn a_record_announced_before_it_is_complete_is_caught() {
    let seen = control(operation::LOOK_UP, "CONTROL announces, then fills", mutant::announces_then_fills);
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
fn a_count_that_is_moved_into_per_cpu_cells_is_caught() {
    if has_per_cpu() {
        let seen = control(operation::PER_CPU_INC_LOCKED, "CONTROL moves, then clears", mutant::moves_then_clears);
        assert!(seen.crashes.wrong > 0 && seen.stops.wrong > 0 && seen.kills.wrong > 0);
    }
}

#[test]
fn a_dead_value_added_before_it_is_cleared_is_caught() {
    let seen = control(operation::GAUGE_TAKE_OVER, "CONTROL adds, then clears", mutant::adds_then_clears);
    assert!(seen.crashes.wrong > 0 && seen.stops.wrong > 0 && seen.kills.wrong > 0);
}

#[test]
fn a_record_that_is_offered_before_its_series_is_gone_is_caught() {
    let seen = control(operation::REMOVE, "CONTROL offers, then removes", mutant::offers_then_removes);
    assert!(seen.crashes.wrong > 0 && seen.stops.wrong > 0 && seen.kills.wrong > 0);
}

#[test]
fn a_removal_that_leaves_the_cell_open_is_caught() {
    // The victim's updates are not stale then.
    let op = Operation { moves: None, ..operation::REMOVE_THEN_UPDATE };
    let seen = control(op, "CONTROL leaves the cell open", mutant::leaves_the_cell_open);
    assert!(seen.crashes.wrong > 0 && seen.stops.wrong > 0 && seen.kills.wrong > 0);
}

#[test]
fn redefine_in_two_steps_is_caught() {
    let op = Operation { moves: None, ..operation::REPLACE };
    let seen = control(op, "CONTROL unregisters, then registers", mutant::unregisters_then_registers);
    assert!(seen.crashes.wrong > 0 && seen.stops.wrong > 0 && seen.kills.wrong > 0);
}

#[test]
fn a_record_used_again_in_the_same_generation_is_caught() {
    // The old handle's updates are not stale then.
    let op = Operation { moves: None, ..operation::REUSE };
    let seen = control(op, "CONTROL same generation again", mutant::same_generation_again);
    assert!(seen.crashes.wrong > 0 && seen.stops.wrong > 0 && seen.kills.wrong > 0);
}

#[test]
fn a_chunk_that_is_linked_before_it_says_whose_it_is_is_caught() {
    let seen = control(operation::NATIVE_FIRST, "CONTROL links, then fills a chunk", mutant::links_then_fills);
    assert!(seen.crashes.wrong > 0 && seen.stops.wrong + seen.kills.wrong > 0);
}

#[test]
fn a_native_observation_that_looks_at_the_generation_and_then_adds_is_caught() {
    let seen = control(operation::OLD_NATIVE, "CONTROL looks, then observes", mutant::looks_then_observes);
    assert!(seen.stops.wrong > 0, "only others can remove it");
    assert_eq!((seen.crashes.wrong, seen.kills.wrong), (0, 0), "{}", seen.findings());
}

#[test]
fn an_update_that_looks_at_the_generation_and_then_adds_is_caught() {
    let seen = control(operation::OLD_COUNTER, "CONTROL looks, then adds", mutant::looks_then_adds);
    assert!(seen.stops.wrong > 0, "only others can remove it");
    assert_eq!((seen.crashes.wrong, seen.kills.wrong), (0, 0), "{}", seen.findings());
}
