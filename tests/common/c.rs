//! The calls of C that tests of the library make, as a program in another language declares them.
#![allow(clippy::missing_safety_doc)]

use std::ffi::c_void;
use std::ptr::null;

/// Handles of two words and of three, as C passes them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Two(pub [*const c_void; 2]);
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Three(pub [*const c_void; 3]);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Str(*const u8, usize);

impl Str {
    pub const NONE: Str = Str(null(), 0);

    pub fn new(text: &str) -> Self {
        Str(text.as_ptr(), text.len())
    }
}

/// The first fields of `shmetrics_options`, and room for the rest.
#[repr(C)]
pub struct Options {
    pub struct_size: usize,
    pub name: Str,
    pub open_mode: u32,
    pub rest: [u64; 32],
}
pub const ATTACH: u32 = 2;

/// `shmetrics_family_spec`.
#[repr(C)]
pub struct Spec {
    pub struct_size: usize,
    pub name: Str,
    pub help: Str,
    pub unit: Str,
    pub labels: *const Str,
    pub label_count: usize,
    pub buckets: *const f64,
    pub bucket_count: usize,
    pub rest: [u64; 11],
}

#[repr(C)]
pub struct Member {
    pub kind: u32,
    pub mode: u32,
    pub family: *const Spec,
}

#[repr(C)]
pub struct BundleSpec {
    pub struct_size: usize,
    pub labels: *const Str,
    pub label_count: usize,
    pub members: *const Member,
    pub member_count: usize,
    pub max_series: u64,
    pub expire_after_seconds: f64,
    pub replace: bool,
}

unsafe extern "C" {
    pub fn shmetrics_options_init(options: *mut Options);
    pub fn shmetrics_segment_open(options: *const Options, segment: *mut *mut c_void) -> u32;
    pub fn shmetrics_bundle_register(segment: *mut c_void, spec: *const BundleSpec, bundle: *mut Two) -> u32;
    pub fn shmetrics_bundle_with(bundle: Two, values: *const Str, count: usize) -> Three;
    pub fn shmetrics_bundle_with_p(bundle: *const Two, values: *const Str, count: usize, entry: *mut Three);
    pub fn shmetrics_bundle_remove(bundle: Two, values: *const Str, count: usize) -> bool;
    pub fn shmetrics_bundle_clear(bundle: Two) -> u64;
    pub fn shmetrics_entry_is_removed(entry: Three) -> bool;
    pub fn shmetrics_entry_counter(entry: Three, member: usize) -> Two;
    pub fn shmetrics_entry_gauge(entry: Three, member: usize) -> Two;
    pub fn shmetrics_entry_histogram(entry: Three, member: usize) -> Three;
    pub fn shmetrics_entry_states(entry: Three, member: usize) -> Two;
    pub fn shmetrics_entry_add_u64(entry: Three, member: usize, n: u64);
    pub fn shmetrics_entry_add_u64_p(entry: *const Three, member: usize, n: u64);
    pub fn shmetrics_entry_add(entry: Three, member: usize, v: f64);
    pub fn shmetrics_entry_add_p(entry: *const Three, member: usize, v: f64);
    pub fn shmetrics_entry_set(entry: Three, member: usize, v: f64);
    pub fn shmetrics_entry_set_p(entry: *const Three, member: usize, v: f64);
    pub fn shmetrics_entry_observe(entry: Three, member: usize, v: f64);
    pub fn shmetrics_entry_observe_p(entry: *const Three, member: usize, v: f64);
    pub fn shmetrics_entry_update(entry: Three, updates: *const Update, count: usize);
    pub fn shmetrics_entry_update_p(entry: *const Three, updates: *const Update, count: usize);
    pub fn shmetrics_counter_inc(counter: Two);
    pub fn shmetrics_counter_value(counter: Two) -> f64;
    pub fn shmetrics_counter_value_p(counter: *const Two) -> f64;
    pub fn shmetrics_gauge_add(gauge: Two, v: f64);
    pub fn shmetrics_gauge_value(gauge: Two) -> f64;
    pub fn shmetrics_gauge_value_p(gauge: *const Two) -> f64;
    pub fn shmetrics_histogram_observe(histogram: Three, v: f64);
    pub fn shmetrics_histogram_value(histogram: Three, count: *mut u64, sum: *mut f64);
    pub fn shmetrics_histogram_value_p(histogram: *const Three, count: *mut u64, sum: *mut f64);
    pub fn shmetrics_state_set_set(states: Two, state: usize, on: bool);
}

/// `shmetrics_update`, with its number as bits.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Update {
    member: u32,
    operation: u32,
    bits: u64,
}

impl Update {
    pub const fn new(member: usize, operation: u32, bits: u64) -> Self {
        Update { member: member as u32, operation, bits }
    }

    pub const fn add_whole(member: usize, n: u64) -> Self {
        Self::new(member, 0, n)
    }

    pub const fn add(member: usize, v: f64) -> Self {
        Self::new(member, 1, v.to_bits())
    }

    pub const fn observe(member: usize, v: f64) -> Self {
        Self::new(member, 3, v.to_bits())
    }
}

pub const OK: u32 = 0;
/// Kinds of members.
pub const COUNTER: u32 = 1;
pub const GAUGE: u32 = 2;
pub const HISTOGRAM: u32 = 3;

/// A member: its kind, its mode as a gauge, name, help and bounds.
pub type Described<'a> = (u32, u32, &'a str, &'a str, &'a [f64]);

/// Opens the segment, which is there, and registers a bundle with one label.
///
/// # Panics
/// If it cannot.
pub fn bundle(segment: &str, label: &str, described: &[Described<'_>], max_series: u64) -> Two {
    let spec = |&(_, _, name, help, bounds): &Described<'_>| Spec {
        struct_size: size_of::<Spec>(),
        name: Str::new(name),
        help: Str::new(help),
        unit: Str::new(""),
        labels: null(),
        label_count: 0,
        buckets: if bounds.is_empty() { null() } else { bounds.as_ptr() },
        bucket_count: bounds.len(),
        rest: [0; 11],
    };
    let specs: Vec<Spec> = described.iter().map(spec).collect();
    let member = |(&(kind, mode, ..), family): (&Described<'_>, &Spec)| Member { kind, mode, family };
    let members: Vec<Member> = described.iter().zip(&specs).map(member).collect();
    let label = Str::new(label);
    let spec = BundleSpec {
        struct_size: size_of::<BundleSpec>(),
        labels: &raw const label,
        label_count: 1,
        members: members.as_ptr(),
        member_count: members.len(),
        max_series,
        expire_after_seconds: 0.0,
        replace: false,
    };
    let mut options = Options { struct_size: 0, name: Str::NONE, open_mode: 0, rest: [0; 32] };
    let (mut opened, mut bundle) = (std::ptr::null_mut(), Two([null(); 2]));
    // SAFETY: structs and outputs are ours, and live as long as the calls.
    unsafe {
        shmetrics_options_init(&raw mut options);
        assert!(options.struct_size <= size_of::<Options>());
        (options.name, options.open_mode) = (Str::new(segment), ATTACH);
        assert_eq!(shmetrics_segment_open(&raw const options, &raw mut opened), OK);
        assert_eq!(shmetrics_bundle_register(opened, &raw const spec, &raw mut bundle), OK);
    }
    bundle
}

/// The entry of a label set.
pub fn entry(bundle: Two, value: &str) -> Three {
    let value = Str::new(value);
    // SAFETY: a bundle that the library gave, and a string.
    unsafe { shmetrics_bundle_with(bundle, &raw const value, 1) }
}

/// Updates an entry that the library gave, by one call.
pub fn update(entry: Three, updates: &[Update]) {
    // SAFETY: an entry that the library gave, and an array.
    unsafe { shmetrics_entry_update(entry, updates.as_ptr(), updates.len()) }
}
