//! `include/shmetrics.h`, with the specs of the model.

use shmetrics as _; // the library that these are linked from

use crate::model::{self, Kind};

pub(crate) use common::c::*;

/// A spec's texts as C has them: its labels, and its states.
struct Texts(Vec<Str>, Vec<Str>);

fn text(text: &model::Text) -> Str {
    text.as_ref().map_or(Str::null(3), Str::new)
}

impl Texts {
    fn of(spec: &model::Spec) -> Self {
        Texts(spec.labels.iter().flatten().map(text).collect(), spec.states.iter().map(text).collect())
    }

    /// The struct, which points to these and to the spec.
    fn spec(&self, spec: &model::Spec) -> Spec {
        let Texts(labels, states) = self;
        let quantiles = if spec.kind == Kind::Summary { spec.native.quantiles } else { &[] };
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
            quantiles: quantiles.as_ptr(),
            quantile_count: quantiles.len(),
            native_factor: if spec.kind.has_buckets() { spec.native.factor } else { 0.0 },
            native_zero_threshold: if spec.kind.has_buckets() { spec.native.zero_threshold } else { 0.0 },
            native_max_buckets: if spec.kind.has_buckets() { spec.native.max_buckets } else { 0 },
            exact_name: false,
            replace: spec.replace,
            quantile_max_age_seconds: if quantiles.is_empty() { 0.0 } else { 1e6 },
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
    let c = BundleSpec {
        struct_size: size_of::<BundleSpec>(),
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
