//! `include/shmetrics.h`, by hand.
#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_void};

use shmetrics as _; // the library that these are linked from

use crate::model::{self, Kind};

pub(crate) use crate::status::*;

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Str {
    pub(crate) data: *const c_char,
    pub(crate) len: usize,
}

impl Str {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Str { data: bytes.as_ptr().cast(), len: bytes.len() }
    }

    pub(crate) fn null(len: usize) -> Self {
        Str { data: std::ptr::null(), len }
    }
}

/// `shmetrics_update`, with its number as bits.
#[repr(C)]
pub(crate) struct Update {
    pub(crate) member: u32,
    pub(crate) operation: u32,
    pub(crate) bits: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Label {
    pub(crate) name: Str,
    pub(crate) value: Str,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) struct_size: usize,
    pub(crate) name: Str,
    pub(crate) help: Str,
    pub(crate) unit: Str,
    pub(crate) label_names: *const Str,
    pub(crate) label_count: usize,
    pub(crate) buckets: *const f64,
    pub(crate) bucket_count: usize,
    pub(crate) states: *const Str,
    pub(crate) state_count: usize,
    pub(crate) max_series: u64,
    pub(crate) expire_after_seconds: f64,
    pub(crate) exemplar_interval_seconds: f64,
    pub(crate) quantiles: *const f64,
    pub(crate) quantile_count: usize,
    pub(crate) native_factor: f64,
    pub(crate) native_zero_threshold: f64,
    pub(crate) native_max_buckets: u32,
    pub(crate) exact_name: bool,
    pub(crate) replace: bool,
    pub(crate) quantile_max_age_seconds: f64,
}

/// A metric of a bundle.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Member {
    pub(crate) kind: u32,
    pub(crate) mode: u32,
    pub(crate) family: *const Spec,
}

#[repr(C)]
pub(crate) struct Bundle {
    pub(crate) struct_size: usize,
    pub(crate) label_names: *const Str,
    pub(crate) label_count: usize,
    pub(crate) members: *const Member,
    pub(crate) member_count: usize,
    pub(crate) max_series: u64,
    pub(crate) expire_after_seconds: f64,
    pub(crate) replace: bool,
}

/// A handle of two words: a family, a bundle, a counter, a gauge, states.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Two(*const c_void, *const c_void);

impl Two {
    pub(crate) const ZERO: Two = Two(std::ptr::null(), std::ptr::null());

    pub(crate) fn is_zero(self) -> bool {
        self.0.is_null() && self.1.is_null()
    }
}

/// The handle of a histogram, or of a bundle's label set.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Three([*const c_void; 3]);

impl Three {
    pub(crate) const ZERO: Three = Three([std::ptr::null(); 3]);

    pub(crate) fn is_zero(self) -> bool {
        self.0.iter().all(|p| p.is_null())
    }
}

/// How a page is written.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Exposition {
    pub(crate) format: u32,
    pub(crate) escaping: u32,
    pub(crate) created: bool,
}

#[repr(C)]
pub(crate) struct Options {
    pub(crate) struct_size: usize,
    pub(crate) name: Str,
    pub(crate) open_mode: u32,
    pub(crate) mode: u32,
    pub(crate) max_size: u64,
    pub(crate) max_series: u64,
    pub(crate) max_processes: u32,
    pub(crate) allow_disk: u32,
    pub(crate) reset_if_unused: u32,
    pub(crate) per_cpu: u32,
    pub(crate) labels: *const c_void,
    pub(crate) label_count: usize,
}

pub(crate) type Handle = *mut c_void;

unsafe extern "C" {
    pub(crate) fn shmetrics_counter_register(segment: Handle, spec: *const Spec, family: *mut Two) -> u32;
    pub(crate) fn shmetrics_counter_with(family: Two, values: *const Str, count: usize) -> Two;
    pub(crate) fn shmetrics_counter_remove(family: Two, values: *const Str, count: usize) -> bool;
    pub(crate) fn shmetrics_counter_clear(family: Two) -> u64;
    pub(crate) fn shmetrics_counter_is_removed(counter: Two) -> bool;
    pub(crate) fn shmetrics_counter_inc(counter: Two);
    pub(crate) fn shmetrics_counter_add(counter: Two, v: f64);
    pub(crate) fn shmetrics_counter_add_named(s: Handle, name: Str, labels: *const Label, count: usize, v: f64) -> u32;
    pub(crate) fn shmetrics_histogram_observe_named(
        s: Handle,
        name: Str,
        labels: *const Label,
        count: usize,
        v: f64,
    ) -> u32;
    pub(crate) fn shmetrics_counter_add_u64(counter: Two, n: u64);
    pub(crate) fn shmetrics_counter_value(counter: Two) -> f64;
    pub(crate) fn shmetrics_gauge_register(segment: Handle, spec: *const Spec, mode: u32, family: *mut Two) -> u32;
    pub(crate) fn shmetrics_gauge_with(family: Two, values: *const Str, count: usize) -> Two;
    pub(crate) fn shmetrics_gauge_remove(family: Two, values: *const Str, count: usize) -> bool;
    pub(crate) fn shmetrics_gauge_clear(family: Two) -> u64;
    pub(crate) fn shmetrics_gauge_is_removed(gauge: Two) -> bool;
    pub(crate) fn shmetrics_gauge_set(gauge: Two, v: f64);
    pub(crate) fn shmetrics_gauge_add(gauge: Two, v: f64);
    pub(crate) fn shmetrics_gauge_inc(gauge: Two);
    pub(crate) fn shmetrics_gauge_dec(gauge: Two);
    pub(crate) fn shmetrics_gauge_set_to_now(gauge: Two);
    pub(crate) fn shmetrics_histogram_register(segment: Handle, spec: *const Spec, family: *mut Two) -> u32;
    pub(crate) fn shmetrics_histogram_with(family: Two, values: *const Str, count: usize) -> Three;
    pub(crate) fn shmetrics_histogram_remove(family: Two, values: *const Str, count: usize) -> bool;
    pub(crate) fn shmetrics_histogram_clear(family: Two) -> u64;
    pub(crate) fn shmetrics_histogram_is_removed(histogram: Three) -> bool;
    pub(crate) fn shmetrics_histogram_observe(histogram: Three, v: f64);
    pub(crate) fn shmetrics_histogram_observe_since(histogram: Three, start: u64);
    pub(crate) fn shmetrics_histogram_unobserve(histogram: Three, v: f64);
    pub(crate) fn shmetrics_summary_register(segment: Handle, spec: *const Spec, family: *mut Two) -> u32;
    pub(crate) fn shmetrics_summary_with(family: Two, values: *const Str, count: usize) -> Three;
    pub(crate) fn shmetrics_summary_remove(family: Two, values: *const Str, count: usize) -> bool;
    pub(crate) fn shmetrics_summary_clear(family: Two) -> u64;
    pub(crate) fn shmetrics_gauge_histogram_register(segment: Handle, spec: *const Spec, family: *mut Two) -> u32;
    pub(crate) fn shmetrics_unknown_register(segment: Handle, spec: *const Spec, family: *mut Two) -> u32;
    pub(crate) fn shmetrics_state_set_register(segment: Handle, spec: *const Spec, family: *mut Two) -> u32;
    pub(crate) fn shmetrics_enum_register(segment: Handle, spec: *const Spec, family: *mut Two) -> u32;
    pub(crate) fn shmetrics_states_with(family: Two, values: *const Str, count: usize) -> Two;
    pub(crate) fn shmetrics_states_remove(family: Two, values: *const Str, count: usize) -> bool;
    pub(crate) fn shmetrics_states_clear(family: Two) -> u64;
    pub(crate) fn shmetrics_states_is_removed(states: Two) -> bool;
    pub(crate) fn shmetrics_state_set_set(states: Two, state: usize, on: bool);
    pub(crate) fn shmetrics_enum_set(states: Two, state: usize);
    pub(crate) fn shmetrics_info_register(segment: Handle, spec: *const Spec, family: *mut Two) -> u32;
    pub(crate) fn shmetrics_info_with(family: Two, values: *const Str, count: usize) -> bool;
    pub(crate) fn shmetrics_info_remove(family: Two, values: *const Str, count: usize) -> bool;
    pub(crate) fn shmetrics_info_clear(family: Two) -> u64;
    pub(crate) fn shmetrics_bundle_register(segment: Handle, spec: *const Bundle, bundle: *mut Two) -> u32;
    pub(crate) fn shmetrics_bundle_with(bundle: Two, values: *const Str, count: usize) -> Three;
    pub(crate) fn shmetrics_bundle_with_p(bundle: *const Two, values: *const Str, count: usize, entry: *mut Three);
    pub(crate) fn shmetrics_bundle_remove(bundle: Two, values: *const Str, count: usize) -> bool;
    pub(crate) fn shmetrics_bundle_clear(bundle: Two) -> u64;
    pub(crate) fn shmetrics_entry_is_removed(entry: Three) -> bool;
    pub(crate) fn shmetrics_entry_counter(entry: Three, member: usize) -> Two;
    pub(crate) fn shmetrics_entry_gauge(entry: Three, member: usize) -> Two;
    pub(crate) fn shmetrics_entry_histogram(entry: Three, member: usize) -> Three;
    pub(crate) fn shmetrics_entry_states(entry: Three, member: usize) -> Two;
    pub(crate) fn shmetrics_entry_add_u64(entry: Three, member: usize, n: u64);
    pub(crate) fn shmetrics_entry_add_u64_p(entry: *const Three, member: usize, n: u64);
    pub(crate) fn shmetrics_entry_add(entry: Three, member: usize, v: f64);
    pub(crate) fn shmetrics_entry_add_p(entry: *const Three, member: usize, v: f64);
    pub(crate) fn shmetrics_entry_set(entry: Three, member: usize, v: f64);
    pub(crate) fn shmetrics_entry_set_p(entry: *const Three, member: usize, v: f64);
    pub(crate) fn shmetrics_entry_observe(entry: Three, member: usize, v: f64);
    pub(crate) fn shmetrics_entry_observe_p(entry: *const Three, member: usize, v: f64);
    pub(crate) fn shmetrics_entry_update(entry: Three, updates: *const Update, count: usize);
    pub(crate) fn shmetrics_entry_update_p(entry: *const Three, updates: *const Update, count: usize);
    pub(crate) fn shmetrics_reader_open(name: Str, reader: *mut Handle) -> u32;
    pub(crate) fn shmetrics_reader_free(reader: Handle);
    pub(crate) fn shmetrics_reader_render(reader: Handle, buffer: *mut u8, capacity: usize, length: *mut usize) -> u32;
    pub(crate) fn shmetrics_reader_cursor(reader: Handle, cursor: *mut Handle) -> u32;
    pub(crate) fn shmetrics_segment_render(
        segment: Handle,
        buffer: *mut u8,
        capacity: usize,
        length: *mut usize,
    ) -> u32;
    pub(crate) fn shmetrics_segment_cursor(segment: Handle, cursor: *mut Handle) -> u32;
    pub(crate) fn shmetrics_segment_open(options: *const Options, segment: *mut Handle) -> u32;
    pub(crate) fn shmetrics_segment_remove(name: Str) -> u32;
    pub(crate) fn shmetrics_unregister(segment: Handle, name: Str, unregistered: *mut bool) -> u32;
    pub(crate) fn shmetrics_segment_set_identity(segment: Handle, identity: u32) -> u32;
    pub(crate) fn shmetrics_segment_expire(segment: Handle) -> u64;
    pub(crate) fn shmetrics_segment_mark_dead(segment: Handle, pid: u32) -> bool;
    pub(crate) fn shmetrics_cursor_set_exposition(cursor: Handle, exposition: Exposition) -> u32;
    pub(crate) fn shmetrics_cursor_add_filter(cursor: Handle, name: Str) -> u32;
    pub(crate) fn shmetrics_cursor_read(cursor: Handle, buffer: *mut u8, capacity: usize) -> usize;
    pub(crate) fn shmetrics_cursor_free(cursor: Handle);
    pub(crate) fn shmetrics_options_init(options: *mut Options);
    pub(crate) fn shmetrics_status_message(status: u32) -> *const c_char;
    pub(crate) fn shmetrics_last_error(buffer: *mut u8, capacity: usize) -> usize;
}

/// A segment by its path, as C opens it.
pub(crate) fn open(name: &str, how: u32) -> Result<Handle, u32> {
    open_or_reset(name, how, 0)
}

/// As `open`, but a new segment replaces one that no process uses.
pub(crate) fn open_or_reset(name: &str, how: u32, reset: u32) -> Result<Handle, u32> {
    let mut options = std::mem::MaybeUninit::uninit();
    // SAFETY: room for the struct, which the call fills in.
    let mut options: Options = unsafe {
        shmetrics_options_init(options.as_mut_ptr());
        options.assume_init()
    };
    assert_eq!(options.struct_size, size_of::<Options>(), "the header's struct is ours");
    (options.name, options.open_mode, options.reset_if_unused) = (Str::new(name.as_bytes()), how, reset);
    let mut segment = std::ptr::null_mut();
    // SAFETY: all of it lives as long as the call.
    match unsafe { shmetrics_segment_open(&raw const options, &raw mut segment) } {
        OK => Ok(segment),
        status => Err(status),
    }
}

/// A spec's texts as C has them: its labels, and its states.
struct Texts(Vec<Str>, Vec<Str>);

fn text(text: &model::Text) -> Str {
    text.as_ref().map_or(Str::null(3), |text| Str::new(text))
}

impl Texts {
    fn of(spec: &model::Spec) -> Self {
        Texts(spec.labels.iter().flatten().map(text).collect(), spec.states.iter().map(text).collect())
    }

    /// The struct, which points to these and to the spec.
    fn spec(&self, spec: &model::Spec) -> Spec {
        let Texts(labels, states) = self;
        Spec {
            struct_size: size_of::<Spec>(),
            name: text(&spec.name),
            help: text(&spec.help),
            unit: text(&spec.unit),
            label_names: if spec.labels.is_none() { std::ptr::null() } else { labels.as_ptr() },
            label_count: if spec.labels.is_none() { 2 } else { labels.len() },
            buckets: spec.buckets.as_ref().map_or(std::ptr::null(), Vec::as_ptr),
            bucket_count: spec.buckets.as_ref().map_or(0, Vec::len),
            max_series: spec.limit,
            states: states.as_ptr(),
            state_count: states.len(),
            expire_after_seconds: f64::from(spec.expire),
            exemplar_interval_seconds: 0.0,
            quantiles: spec.native.quantiles.as_ptr(),
            quantile_count: if spec.kind == Kind::Summary { spec.native.quantiles.len() } else { 0 },
            native_factor: if spec.kind.has_buckets() { spec.native.factor } else { 0.0 },
            native_zero_threshold: if spec.kind.has_buckets() { spec.native.zero_threshold } else { 0.0 },
            native_max_buckets: if spec.kind.has_buckets() { spec.native.max_buckets } else { 0 },
            exact_name: false,
            replace: spec.replace,
            quantile_max_age_seconds: if spec.kind == Kind::Summary { 1e6 } else { 0.0 },
        }
    }
}

/// Registers a bundle.
///
/// # Safety
/// `segment` came from `open`.
pub(crate) unsafe fn register_bundle(segment: Handle, bundle: &model::Bundle) -> (u32, Two) {
    let texts: Vec<Texts> = bundle.members.iter().map(Texts::of).collect();
    let specs: Vec<Spec> = bundle.members.iter().zip(&texts).map(|(spec, texts)| texts.spec(spec)).collect();
    let member = |(member, family): (&model::Spec, &Spec)| {
        let (kind, mode) = member.kind.number();
        Member { kind, mode, family }
    };
    let members: Vec<Member> = bundle.members.iter().zip(&specs).map(member).collect();
    let labels: Vec<Str> = bundle.labels.iter().flatten().map(text).collect();
    let c = Bundle {
        struct_size: size_of::<Bundle>(),
        label_names: if bundle.labels.is_none() { std::ptr::null() } else { labels.as_ptr() },
        label_count: if bundle.labels.is_none() { 2 } else { labels.len() },
        members: members.as_ptr(),
        member_count: members.len(),
        max_series: bundle.limit,
        expire_after_seconds: f64::from(bundle.expire),
        replace: bundle.replace,
    };
    let mut handle = Two::ZERO;
    // SAFETY: the caller's promise; all that the spec points to lives as long as the call.
    let status = unsafe { shmetrics_bundle_register(segment, &raw const c, &raw mut handle) };
    assert_eq!(status == OK, !handle.is_zero(), "outputs are written on success, and only then");
    (status, handle)
}

/// Registers a family.
///
/// # Safety
/// `segment` came from `open`.
pub(crate) unsafe fn register(segment: Handle, spec: &model::Spec) -> (u32, Two) {
    let texts = Texts::of(spec);
    let c = texts.spec(spec);
    let mut family = Two::ZERO;
    // SAFETY: the caller's promise; all that the spec points to lives as long as the call.
    let status = unsafe {
        match spec.kind {
            Kind::Counter => shmetrics_counter_register(segment, &raw const c, &raw mut family),
            Kind::Gauge(mode) => shmetrics_gauge_register(segment, &raw const c, mode, &raw mut family),
            Kind::Histogram => shmetrics_histogram_register(segment, &raw const c, &raw mut family),
            Kind::GaugeHistogram => shmetrics_gauge_histogram_register(segment, &raw const c, &raw mut family),
            Kind::Summary => shmetrics_summary_register(segment, &raw const c, &raw mut family),
            Kind::Unknown => shmetrics_unknown_register(segment, &raw const c, &raw mut family),
            Kind::StateSet => shmetrics_state_set_register(segment, &raw const c, &raw mut family),
            Kind::Enum => shmetrics_enum_register(segment, &raw const c, &raw mut family),
            Kind::Info => shmetrics_info_register(segment, &raw const c, &raw mut family),
        }
    };
    assert_eq!(status == OK, !family.is_zero(), "outputs are written on success, and only then");
    (status, family)
}

/// A page from a call that takes a buffer, its size, and where to put the page's length.
pub(crate) fn page(mut render: impl FnMut(*mut u8, usize, *mut usize) -> u32) -> Vec<u8> {
    let (mut page, mut length) = (vec![0; 8 << 10], 0);
    loop {
        match render(page.as_mut_ptr(), page.len(), &raw mut length) {
            OK => break,
            BUFFER_TOO_SMALL => page.resize(length + 64, 0), // the last number may have grown
            status => panic!("status {status}: {}", last_error()),
        }
    }
    page.truncate(length);
    page
}

/// The detail of the last failure.
pub(crate) fn last_error() -> String {
    let mut buffer = [0; 256];
    // SAFETY: a buffer of this length.
    let len = unsafe { shmetrics_last_error(buffer.as_mut_ptr(), buffer.len()) };
    String::from_utf8_lossy(&buffer[..len.min(buffer.len() - 1)]).into_owned()
}
