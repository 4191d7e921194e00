//! The calls of C that tests of the library make, as a program in another language declares them:
//! `include/shmetrics.h`, by hand.
#![allow(clippy::missing_safety_doc)]

use std::ffi::{c_char, c_void};
use std::ptr::null;

/// Handles of two words: a family, a bundle, a counter, a gauge, states.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Two(pub [*const c_void; 2]);

impl Two {
    pub const ZERO: Two = Two([null(); 2]);

    pub fn is_zero(self) -> bool {
        self.0.iter().all(|p| p.is_null())
    }
}

/// The handle of a histogram, or of a bundle's label set.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Three(pub [*const c_void; 3]);

impl Three {
    pub const ZERO: Three = Three([null(); 3]);

    pub fn is_zero(self) -> bool {
        self.0.iter().all(|p| p.is_null())
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Str(*const u8, usize);

impl Str {
    pub fn new(text: impl AsRef<[u8]>) -> Self {
        let text = text.as_ref();
        Str(text.as_ptr(), text.len())
    }

    pub fn null(len: usize) -> Self {
        Str(null(), len)
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Label {
    pub name: Str,
    pub value: Str,
}

/// `shmetrics_family_spec`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Spec {
    pub struct_size: usize,
    pub name: Str,
    pub help: Str,
    pub unit: Str,
    pub label_names: *const Str,
    pub label_count: usize,
    pub buckets: *const f64,
    pub bucket_count: usize,
    pub states: *const Str,
    pub state_count: usize,
    pub max_series: u64,
    pub expire_after_seconds: f64,
    pub exemplar_interval_seconds: f64,
    pub quantiles: *const f64,
    pub quantile_count: usize,
    pub native_factor: f64,
    pub native_zero_threshold: f64,
    pub native_max_buckets: u32,
    pub exact_name: bool,
    pub replace: bool,
    pub quantile_max_age_seconds: f64,
}

/// A metric of a bundle.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Member {
    pub kind: u32,
    pub mode: u32,
    pub family: *const Spec,
}

#[repr(C)]
pub struct BundleSpec {
    pub struct_size: usize,
    pub label_names: *const Str,
    pub label_count: usize,
    pub members: *const Member,
    pub member_count: usize,
    pub max_series: u64,
    pub expire_after_seconds: f64,
    pub replace: bool,
}

/// How a page is written.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Exposition {
    pub format: u32,
    pub escaping: u32,
    pub created: bool,
}

/// The first release's `shmetrics_options`.
#[repr(C)]
pub struct Options {
    pub struct_size: usize,
    pub name: Str,
    pub open_mode: u32,
    pub mode: u32,
    pub max_size: u64,
    pub max_series: u64,
    pub max_processes: u32,
    pub allow_disk: u32,
    pub reset_if_unused: u32,
    pub per_cpu: u32,
    pub labels: *const c_void,
    pub label_count: usize,
}

pub const ATTACH: u32 = 2;

pub type Handle = *mut c_void;

unsafe extern "C" {
    pub fn shmetrics_counter_register(segment: Handle, spec: *const Spec, family: *mut Two) -> u32;
    pub fn shmetrics_counter_with(family: Two, values: *const Str, count: usize) -> Two;
    pub fn shmetrics_counter_remove(family: Two, values: *const Str, count: usize) -> bool;
    pub fn shmetrics_counter_clear(family: Two) -> u64;
    pub fn shmetrics_counter_is_removed(counter: Two) -> bool;
    pub fn shmetrics_counter_inc(counter: Two);
    pub fn shmetrics_counter_add(counter: Two, v: f64);
    pub fn shmetrics_counter_add_named(s: Handle, name: Str, labels: *const Label, count: usize, v: f64) -> u32;
    pub fn shmetrics_histogram_observe_named(s: Handle, name: Str, labels: *const Label, count: usize, v: f64) -> u32;
    pub fn shmetrics_counter_add_u64(counter: Two, n: u64);
    pub fn shmetrics_counter_value(counter: Two) -> f64;
    pub fn shmetrics_counter_value_p(counter: *const Two) -> f64;
    pub fn shmetrics_gauge_register(segment: Handle, spec: *const Spec, mode: u32, family: *mut Two) -> u32;
    pub fn shmetrics_gauge_with(family: Two, values: *const Str, count: usize) -> Two;
    pub fn shmetrics_gauge_remove(family: Two, values: *const Str, count: usize) -> bool;
    pub fn shmetrics_gauge_clear(family: Two) -> u64;
    pub fn shmetrics_gauge_is_removed(gauge: Two) -> bool;
    pub fn shmetrics_gauge_set(gauge: Two, v: f64);
    pub fn shmetrics_gauge_add(gauge: Two, v: f64);
    pub fn shmetrics_gauge_inc(gauge: Two);
    pub fn shmetrics_gauge_dec(gauge: Two);
    pub fn shmetrics_gauge_set_to_now(gauge: Two);
    pub fn shmetrics_histogram_register(segment: Handle, spec: *const Spec, family: *mut Two) -> u32;
    pub fn shmetrics_histogram_with(family: Two, values: *const Str, count: usize) -> Three;
    pub fn shmetrics_histogram_remove(family: Two, values: *const Str, count: usize) -> bool;
    pub fn shmetrics_histogram_clear(family: Two) -> u64;
    pub fn shmetrics_histogram_is_removed(histogram: Three) -> bool;
    pub fn shmetrics_histogram_observe(histogram: Three, v: f64);
    pub fn shmetrics_histogram_observe_since(histogram: Three, start: u64);
    pub fn shmetrics_histogram_unobserve(histogram: Three, v: f64);
    pub fn shmetrics_histogram_value(histogram: Three, count: *mut u64, sum: *mut f64);
    pub fn shmetrics_histogram_value_p(histogram: *const Three, count: *mut u64, sum: *mut f64);
    pub fn shmetrics_summary_register(segment: Handle, spec: *const Spec, family: *mut Two) -> u32;
    pub fn shmetrics_summary_with(family: Two, values: *const Str, count: usize) -> Three;
    pub fn shmetrics_summary_remove(family: Two, values: *const Str, count: usize) -> bool;
    pub fn shmetrics_summary_clear(family: Two) -> u64;
    pub fn shmetrics_gauge_histogram_register(segment: Handle, spec: *const Spec, family: *mut Two) -> u32;
    pub fn shmetrics_gauge_value(gauge: Two) -> f64;
    pub fn shmetrics_gauge_value_p(gauge: *const Two) -> f64;
    pub fn shmetrics_unknown_register(segment: Handle, spec: *const Spec, family: *mut Two) -> u32;
    pub fn shmetrics_state_set_register(segment: Handle, spec: *const Spec, family: *mut Two) -> u32;
    pub fn shmetrics_enum_register(segment: Handle, spec: *const Spec, family: *mut Two) -> u32;
    pub fn shmetrics_states_with(family: Two, values: *const Str, count: usize) -> Two;
    pub fn shmetrics_states_remove(family: Two, values: *const Str, count: usize) -> bool;
    pub fn shmetrics_states_clear(family: Two) -> u64;
    pub fn shmetrics_states_is_removed(states: Two) -> bool;
    pub fn shmetrics_state_set_set(states: Two, state: usize, on: bool);
    pub fn shmetrics_enum_set(states: Two, state: usize);
    pub fn shmetrics_info_register(segment: Handle, spec: *const Spec, family: *mut Two) -> u32;
    pub fn shmetrics_info_with(family: Two, values: *const Str, count: usize) -> bool;
    pub fn shmetrics_info_remove(family: Two, values: *const Str, count: usize) -> bool;
    pub fn shmetrics_info_clear(family: Two) -> u64;
    pub fn shmetrics_bundle_register(segment: Handle, spec: *const BundleSpec, bundle: *mut Two) -> u32;
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
    pub fn shmetrics_reader_open(name: Str, reader: *mut Handle) -> u32;
    pub fn shmetrics_reader_free(reader: Handle);
    pub fn shmetrics_reader_render(reader: Handle, buffer: *mut u8, capacity: usize, length: *mut usize) -> u32;
    pub fn shmetrics_reader_cursor(reader: Handle, cursor: *mut Handle) -> u32;
    pub fn shmetrics_segment_render(segment: Handle, buffer: *mut u8, capacity: usize, length: *mut usize) -> u32;
    pub fn shmetrics_segment_cursor(segment: Handle, cursor: *mut Handle) -> u32;
    pub fn shmetrics_segment_open(options: *const Options, segment: *mut Handle) -> u32;
    pub fn shmetrics_segment_remove(name: Str) -> u32;
    pub fn shmetrics_unregister(segment: Handle, name: Str, unregistered: *mut bool) -> u32;
    pub fn shmetrics_segment_set_identity(segment: Handle, identity: u32) -> u32;
    pub fn shmetrics_segment_expire(segment: Handle) -> u64;
    pub fn shmetrics_segment_mark_dead(segment: Handle, pid: u32) -> bool;
    pub fn shmetrics_cursor_set_exposition(cursor: Handle, exposition: Exposition) -> u32;
    pub fn shmetrics_cursor_add_filter(cursor: Handle, name: Str) -> u32;
    pub fn shmetrics_cursor_read(cursor: Handle, buffer: *mut u8, capacity: usize) -> usize;
    pub fn shmetrics_cursor_free(cursor: Handle);
    pub fn shmetrics_options_init(options: *mut Options);
    pub fn shmetrics_status_message(status: u32) -> *const c_char;
    pub fn shmetrics_last_error(buffer: *mut u8, capacity: usize) -> usize;
}

/// `shmetrics_update`, with its number as bits.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Update {
    pub member: u32,
    pub operation: u32,
    pub bits: u64,
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

/// Of `shmetrics_status`.
pub const OK: u32 = 0;
pub const NULL_ARGUMENT: u32 = 1;
pub const INVALID_ARGUMENT: u32 = 2;
pub const INVALID_NAME: u32 = 3;
pub const NOT_FOUND: u32 = 4;
pub const ALREADY_EXISTS: u32 = 5;
pub const CONFLICT: u32 = 12;
pub const BUFFER_TOO_SMALL: u32 = 17;
/// Kinds of members.
pub const COUNTER: u32 = 1;
pub const GAUGE: u32 = 2;
pub const HISTOGRAM: u32 = 3;

/// A member: its kind, its mode as a gauge, name, help and bounds.
pub type Described<'a> = (u32, u32, &'a str, &'a str, &'a [f64]);

/// A segment by its path, as C opens it, or the status of the failure.
pub fn open(name: &str, how: u32) -> Result<Handle, u32> {
    open_or_reset(name, how, 0)
}

/// As `open`, but a new segment replaces one that no process uses.
pub fn open_or_reset(name: &str, how: u32, reset: u32) -> Result<Handle, u32> {
    let mut options = std::mem::MaybeUninit::uninit();
    // SAFETY: room for the struct, which the call fills in.
    let mut options: Options = unsafe {
        shmetrics_options_init(options.as_mut_ptr());
        options.assume_init()
    };
    assert_eq!(options.struct_size, size_of::<Options>(), "the header's struct is ours");
    (options.name, options.open_mode, options.reset_if_unused) = (Str::new(name), how, reset);
    let mut segment = std::ptr::null_mut();
    // SAFETY: all of it lives as long as the call.
    match unsafe { shmetrics_segment_open(&raw const options, &raw mut segment) } {
        OK => Ok(segment),
        status => Err(status),
    }
}

/// Opens the segment, which is there, and registers a bundle with one label.
///
/// # Panics
/// If it cannot.
pub fn bundle(segment: &str, label: &str, described: &[Described<'_>], max_series: u64) -> Two {
    let spec = |&(_, _, name, help, bounds): &Described<'_>| Spec {
        struct_size: size_of::<Spec>(),
        name: Str::new(name),
        help: Str::new(help),
        buckets: if bounds.is_empty() { null() } else { bounds.as_ptr() },
        bucket_count: bounds.len(),
        // SAFETY: numbers and pointers.
        ..unsafe { std::mem::zeroed() }
    };
    let specs: Vec<Spec> = described.iter().map(spec).collect();
    let member = |(&(kind, mode, ..), family): (&Described<'_>, &Spec)| Member { kind, mode, family };
    let members: Vec<Member> = described.iter().zip(&specs).map(member).collect();
    let label = Str::new(label);
    let spec = BundleSpec {
        struct_size: size_of::<BundleSpec>(),
        label_names: &raw const label,
        label_count: 1,
        members: members.as_ptr(),
        member_count: members.len(),
        max_series,
        expire_after_seconds: 0.0,
        replace: false,
    };
    let opened = open(segment, ATTACH).expect("the segment is there");
    let mut bundle = Two::ZERO;
    // SAFETY: the spec and all that it points to live as long as the call.
    assert_eq!(unsafe { shmetrics_bundle_register(opened, &raw const spec, &raw mut bundle) }, OK);
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
