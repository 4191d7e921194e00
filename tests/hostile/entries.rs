//! The calls of C for bundles, in memory that another process has damaged: entries that are held,
//! new ones, and handles of their members. Every call comes back, and writes its results only.

use std::ffi::c_void;
use std::ptr::null;

use crate::fields::mutants;
use crate::trial::{while_open, Mutant};
use common::long;
use common::victim::bytes;

/// Handles of two words and of three, as C passes them.
#[repr(C)]
#[derive(Clone, Copy)]
struct Two([*const c_void; 2]);
#[repr(C)]
#[derive(Clone, Copy)]
struct Three([*const c_void; 3]);

#[repr(C)]
#[derive(Clone, Copy)]
struct Str(*const u8, usize);

impl Str {
    const NONE: Str = Str(null(), 0);

    fn new(text: &str) -> Self {
        Str(text.as_ptr(), text.len())
    }
}

/// The first fields of `shmetrics_options`, and room for the rest.
#[repr(C)]
struct Options {
    struct_size: usize,
    name: Str,
    open_mode: u32,
    rest: [u64; 32],
}
const ATTACH: u32 = 2;

/// `shmetrics_family_spec`.
#[repr(C)]
struct Spec {
    struct_size: usize,
    name: Str,
    help: Str,
    unit: Str,
    labels: *const Str,
    label_count: usize,
    buckets: *const f64,
    bucket_count: usize,
    rest: [u64; 11],
}

#[repr(C)]
struct Member {
    kind: u32,
    mode: u32,
    family: *const Spec,
}

#[repr(C)]
struct BundleSpec {
    struct_size: usize,
    labels: *const Str,
    label_count: usize,
    members: *const Member,
    member_count: usize,
    max_series: u64,
    expire_after_seconds: f64,
    replace: bool,
}

extern "C" {
    fn shmetrics_options_init(options: *mut Options);
    fn shmetrics_segment_open(options: *const Options, segment: *mut *mut c_void) -> u32;
    fn shmetrics_bundle_register(segment: *mut c_void, spec: *const BundleSpec, bundle: *mut Two) -> u32;
    fn shmetrics_bundle_with(bundle: Two, values: *const Str, count: usize) -> Three;
    fn shmetrics_bundle_with_p(bundle: *const Two, values: *const Str, count: usize, entry: *mut Three);
    fn shmetrics_bundle_remove(bundle: Two, values: *const Str, count: usize) -> bool;
    fn shmetrics_bundle_clear(bundle: Two) -> u64;
    fn shmetrics_entry_is_removed(entry: Three) -> bool;
    fn shmetrics_entry_counter(entry: Three, member: usize) -> Two;
    fn shmetrics_entry_gauge(entry: Three, member: usize) -> Two;
    fn shmetrics_entry_histogram(entry: Three, member: usize) -> Three;
    fn shmetrics_entry_states(entry: Three, member: usize) -> Two;
    fn shmetrics_entry_add_u64(entry: Three, member: usize, n: u64);
    fn shmetrics_entry_add_u64_p(entry: *const Three, member: usize, n: u64);
    fn shmetrics_entry_add(entry: Three, member: usize, v: f64);
    fn shmetrics_entry_add_p(entry: *const Three, member: usize, v: f64);
    fn shmetrics_entry_set(entry: Three, member: usize, v: f64);
    fn shmetrics_entry_set_p(entry: *const Three, member: usize, v: f64);
    fn shmetrics_entry_observe(entry: Three, member: usize, v: f64);
    fn shmetrics_entry_observe_p(entry: *const Three, member: usize, v: f64);
    fn shmetrics_counter_inc(counter: Two);
    fn shmetrics_counter_value(counter: Two) -> f64;
    fn shmetrics_counter_value_p(counter: *const Two) -> f64;
    fn shmetrics_gauge_add(gauge: Two, v: f64);
    fn shmetrics_gauge_value(gauge: Two) -> f64;
    fn shmetrics_gauge_value_p(gauge: *const Two) -> f64;
    fn shmetrics_histogram_observe(histogram: Three, v: f64);
    fn shmetrics_histogram_value(histogram: Three, count: *mut u64, sum: *mut f64);
    fn shmetrics_histogram_value_p(histogram: *const Three, count: *mut u64, sum: *mut f64);
    fn shmetrics_state_set_set(states: Two, state: usize, on: bool);
}

const OK: u32 = 0;
const MEMBERS: usize = 4;

/// Opens the victim, and registers the bundle that it has.
fn bundle(name: &str) -> Two {
    let (help, bounds) = (["Bundled.", "", "", ""], [0.5, 1.0]);
    let family = |i: usize, name: &str| Spec {
        struct_size: size_of::<Spec>(),
        name: Str::new(name),
        help: Str::new(help[i]),
        unit: Str::new(""),
        labels: null(),
        label_count: 0,
        buckets: if i == 2 { bounds.as_ptr() } else { null() },
        bucket_count: if i == 2 { bounds.len() } else { 0 },
        rest: [0; 11],
    };
    let families: [Spec; MEMBERS] =
        [family(0, "b_requests"), family(1, "b_active"), family(2, "b_times"), family(3, "b_bytes")];
    // Counter, gauge of mode `sum`, histogram, counter.
    let kinds = [(1, 0), (2, 3), (3, 0), (1, 0)];
    let members: [Member; MEMBERS] =
        std::array::from_fn(|i| Member { kind: kinds[i].0, mode: kinds[i].1, family: &raw const families[i] });
    let label = Str::new("path");
    let spec = BundleSpec {
        struct_size: size_of::<BundleSpec>(),
        labels: &raw const label,
        label_count: 1,
        members: members.as_ptr(),
        member_count: MEMBERS,
        max_series: 4,
        expire_after_seconds: 0.0,
        replace: false,
    };
    let mut options = Options { struct_size: 0, name: Str::NONE, open_mode: 0, rest: [0; 32] };
    let (mut segment, mut bundle) = (std::ptr::null_mut(), Two([null(); 2]));
    // SAFETY: structs and outputs are ours, and live as long as the calls.
    unsafe {
        shmetrics_options_init(&raw mut options);
        assert!(options.struct_size <= size_of::<Options>());
        (options.name, options.open_mode) = (Str::new(name), ATTACH);
        assert_eq!(shmetrics_segment_open(&raw const options, &raw mut segment), OK);
        assert_eq!(shmetrics_bundle_register(segment, &raw const spec, &raw mut bundle), OK);
    }
    bundle
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
            let (value, mut entry) = (Str::new(path), Three([null(); 3]));
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
