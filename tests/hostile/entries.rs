//! The calls of C for bundles, in memory that another process has damaged: entries that are held,
//! new ones, and handles of their members. Every call comes back, and writes its results only.

use crate::fields::mutants;
use crate::trial::{while_open, Mutant};
use common::c::{self, *};
use common::long;
use common::victim::bytes;

const MEMBERS: usize = 4;

/// Opens the victim, and registers the bundle that it has.
fn bundle(name: &str) -> Two {
    let members: [c::Described<'_>; MEMBERS] = [
        (c::COUNTER, 0, "b_requests", "Bundled.", &[]),
        (c::GAUGE, 3, "b_active", "", &[]), // of mode `sum`
        (c::HISTOGRAM, 0, "b_times", "", &[0.5, 1.0]),
        (c::COUNTER, 0, "b_bytes", "", &[]),
    ];
    c::bundle(name, "path", &members, 4)
}

/// Updates each member by its number, and numbers that no member has, by each call of an entry.
fn serve(entry: Three) {
    let p = &raw const entry;
    for member in (0..MEMBERS).chain([MEMBERS, 64, usize::MAX / 16, usize::MAX]) {
        // SAFETY: an entry that the library gave.
        unsafe {
            shmetrics_entry_add_u64(entry, member, 1);
            shmetrics_entry_add_u64_p(p, member, 1 << 43);
            shmetrics_entry_add(entry, member, 0.5);
            shmetrics_entry_add_p(p, member, 1.0);
            shmetrics_entry_set(entry, member, 2.0);
            shmetrics_entry_set_p(p, member, -1.0);
            shmetrics_entry_observe(entry, member, 0.75);
            shmetrics_entry_observe_p(p, member, 1e9);
        }
    }
    let (all, values) = ((0..MEMBERS).chain([MEMBERS, 64, u32::MAX as usize]), [0.5, 1.0, 1e9, -1.0, f64::NAN]);
    let updates = all.flat_map(|member| {
        let by_value = (1..=4).flat_map(move |operation| values.map(|v| Update::new(member, operation, v.to_bits())));
        by_value.chain([1, 1 << 32, 1 << 43, u64::MAX].map(|n| Update::add_whole(member, n)))
    });
    let updates: Vec<Update> = updates.collect();
    // SAFETY: an entry that the library gave, and an array.
    unsafe {
        shmetrics_entry_update(entry, updates.as_ptr(), updates.len());
        shmetrics_entry_update_p(p, updates.as_ptr(), updates.len());
    }
}

/// The same by the handles of all members, of each type; and reads what they have.
fn by_handles(entry: Three) {
    const UNTOUCHED: u64 = 0x5a5a_5a5a_5a5a_5a5a;
    for member in (0..=MEMBERS).chain([usize::MAX]) {
        // SAFETY: an entry that the library gave, its handles, and room for the results.
        unsafe {
            let counter = shmetrics_entry_counter(entry, member);
            shmetrics_counter_inc(counter);
            let values = [shmetrics_counter_value(counter), shmetrics_counter_value_p(&raw const counter)];
            let gauge = shmetrics_entry_gauge(entry, member);
            shmetrics_gauge_add(gauge, 1.0);
            std::hint::black_box((values, shmetrics_gauge_value(gauge), shmetrics_gauge_value_p(&raw const gauge)));
            let histogram = shmetrics_entry_histogram(entry, member);
            shmetrics_histogram_observe(histogram, 0.75);
            for read in [0, 1] {
                let mut room = [UNTOUCHED; 5];
                let (count, sum) = (room.as_mut_ptr().add(1), room.as_mut_ptr().add(3).cast());
                match read {
                    0 => shmetrics_histogram_value(histogram, count, sum),
                    _ => shmetrics_histogram_value_p(&raw const histogram, count, sum),
                }
                assert_eq!([room[0], room[2], room[4]], [UNTOUCHED; 3]);
                assert_ne!(room[1], UNTOUCHED);
            }
            shmetrics_state_set_set(shmetrics_entry_states(entry, member), 1, true);
            shmetrics_entry_is_removed(entry);
        }
    }
}

/// What the calls read: of the bundle's families, rows, label sets and seats, and how much memory
/// there is. Some of them, where time is short.
fn mutants_of_bundles(victim: &[u8]) -> Vec<Mutant> {
    let read = |mutant: &Mutant| (10..14).map(|i| format!("family {i}")).any(|family| mutant.what.contains(&family));
    let all = mutants(victim, if long() { 50_000 } else { 1000 });
    let some = all.into_iter().filter(|mutant| read(mutant) || mutant.what.starts_with("WATERMARK"));
    let some: Vec<Mutant> = some.step_by(if long() { 1 } else { 7 }).collect();
    assert!(some.len() > 250, "{} mutants", some.len());
    some
}

#[test]
fn entries_come_back_from_every_call() {
    let victim = bytes();
    let mutants = mutants_of_bundles(&victim);
    while_open("entered", &victim, &mutants, |name, damage| {
        let bundle = bundle(name);
        let with = |path: &str| {
            let (value, mut entry) = (Str::new(path), Three::ZERO);
            // SAFETY: a bundle that the library gave, a string, and room for the entry.
            unsafe {
                shmetrics_bundle_with_p(&raw const bundle, &raw const value, 1, &raw mut entry);
                [shmetrics_bundle_with(bundle, &raw const value, 1), entry]
            }
        };
        let held = with("/");
        held.into_iter().for_each(serve);
        by_handles(held[0]);
        damage();
        let all = [held[0], with("/")[0], with("/other")[1], with("/new")[0], with("/another")[1]];
        all.into_iter().for_each(serve);
        all.into_iter().for_each(by_handles);
        let value = Str::new("/");
        // SAFETY: as above.
        unsafe { shmetrics_bundle_remove(bundle, &raw const value, 1) };
        all.into_iter().for_each(serve);
        with("/").into_iter().for_each(serve);
        // SAFETY: as above.
        unsafe { shmetrics_bundle_clear(bundle) };
        all.into_iter().for_each(serve);
        by_handles(all[1]);
    });
}
