//! Families of the host that are in no segment, for the pages that this process makes.

use std::ffi::c_void;

use super::page::{shmetrics_cursor, CPage, External};
use super::points::shmetrics_kind;
use super::segment::{segment_of, shmetrics_label, shmetrics_segment};
use super::status::{fail, report, shmetrics_status};
use super::{guarded, null, shmetrics_str, slice};
use crate::expose::{count_failure, Added, Collectors};
use crate::segment::Inner;
use crate::{Error, ExternalFamily};

/// A collector: adds samples to `cursor` by `shmetrics_cursor_add_sample`. `data` is what the
/// collector was added with. False: what this call has added is left out, which pages of this
/// process count in `shmetrics_collector_failures_total`.
pub type shmetrics_collect_fn = Option<unsafe extern "C" fn(cursor: *mut shmetrics_cursor, data: *mut c_void) -> bool>;

/// A collector that was added to a segment. Never freed.
pub struct shmetrics_collector {
    _private: [u8; 0],
}

/// A function of C, and what it is called with.
struct Collect {
    call: unsafe extern "C" fn(*mut shmetrics_cursor, *mut c_void) -> bool,
    data: *mut c_void,
}

// SAFETY: the program that adds a collector promises that several threads may call it with its
// data.
unsafe impl Send for Collect {}
// SAFETY: as above.
unsafe impl Sync for Collect {}

static COLLECTORS: Collectors<Collect> = Collectors::new();

/// Adds a collector: `collect` is called for each page that this process begins of the segment, by
/// `shmetrics_segment_cursor` or `shmetrics_segment_render`, before that call returns and in its
/// thread. Collectors are called in the order in which they were added. Exporters and readers in
/// other processes do not call them: their pages have the families of the segment alone.
///
/// * Threads: several threads that begin pages may be in the same collector at the same time.
/// * Fork: a child has the collectors of its parent, and calls them for its own pages.
/// * Calls: a collector may call everything in this library. A page that it begins itself has no
///   samples of collectors. A collector that it adds takes part from the next page on.
/// * A collector must return: it may not throw an exception or `longjmp`. While it runs, the thread
///   cannot be cancelled.
///
/// `*collector`, unless it is NULL, is for `shmetrics_collector_remove`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_segment_add_collector(
    segment: *mut shmetrics_segment,
    collect: shmetrics_collect_fn,
    data: *mut c_void,
    collector: *mut *mut shmetrics_collector,
) -> shmetrics_status {
    guarded(|| {
        // SAFETY: the caller's promise.
        let segment = unsafe { segment_of(segment)? };
        let call = collect.ok_or_else(|| null("the collector"))?;
        Error::unless_memory(size_of::<Added<Collect>>()).map_err(report)?;
        let added = COLLECTORS.add(segment.inner, Collect { call, data });
        // SAFETY: the caller's promise.
        if let Some(collector) = unsafe { collector.as_mut() } {
            *collector = std::ptr::from_ref(added).cast_mut().cast();
        }
        Ok(())
    })
}

/// Removes a collector; NULL is ignored. No page that is begun afterwards calls it. A call that
/// another thread has begun goes on: what `data` points to must stay valid until it has returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_collector_remove(collector: *mut shmetrics_collector) {
    // SAFETY: the caller's promise: NULL, or from `shmetrics_segment_add_collector`.
    if let Some(collector) = unsafe { collector.cast::<Added<Collect>>().as_ref() } {
        collector.remove();
    }
}

/// Adds a sample of a family that is in no segment to the page of a cursor: from a collector, or
/// before the first read. `kind` is `SHMETRICS_KIND_COUNTER` or `SHMETRICS_KIND_GAUGE`. The first
/// sample of a family makes it, with its help. A sample with the same labels as one before replaces
/// it. Names are letters, digits and `_`, and do not begin with `shmetrics_`. A family of the
/// segment with the same name prevails, and `shmetrics_conflicts` counts the other one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_cursor_add_sample(
    cursor: *mut shmetrics_cursor,
    kind: u32,
    name: shmetrics_str,
    help: shmetrics_str,
    labels: *const shmetrics_label,
    count: usize,
    value: f64,
) -> shmetrics_status {
    guarded(|| {
        // SAFETY: the caller's promise.
        let page = unsafe { CPage::of(cursor)? };
        let added = (|| {
            // SAFETY: as above.
            let (name, help) = unsafe { (name.text("the name")?, help.text("the help")?) };
            // SAFETY: as above.
            let labels = unsafe { slice(labels, count, "labels")? };
            let text = |label: &shmetrics_label| {
                // SAFETY: as above.
                unsafe { Ok((label.name.text("a label's name")?, label.value.text("a label's value")?)) }
            };
            let labels = labels.iter().map(text).collect::<Result<Vec<_>, shmetrics_status>>()?;
            page.add_sample(kind, name, help, &labels, value)
        })();
        if added.is_err() && page.collecting {
            count_failure();
        }
        added
    })
}

impl CPage {
    fn add_sample(
        &mut self,
        kind: u32,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        value: f64,
    ) -> Result<(), shmetrics_status> {
        const COUNTER: u32 = shmetrics_kind::Counter as u32;
        const GAUGE: u32 = shmetrics_kind::Gauge as u32;
        self.not_begun()?;
        if name.starts_with("shmetrics_") {
            let message = "names of the host do not begin with `shmetrics_`";
            return Err(fail(shmetrics_status::InvalidName, message));
        }
        Error::unless_memory(64 << 10).map_err(report)?;
        let base = if kind == COUNTER { name.strip_suffix("_total").unwrap_or(name) } else { name };
        if let Some(family) = self.external.iter_mut().rev().find(|family| family.base == base) {
            if family.kind != kind {
                let message = format!("{name} is of another type in a sample before");
                return Err(fail(shmetrics_status::Conflict, message));
            }
            return family.family.add(labels, value).map_err(report);
        }
        let mut family = match kind {
            COUNTER => ExternalFamily::counter(name, help),
            GAUGE => ExternalFamily::gauge(name, help),
            _ => {
                let message = format!("kind {kind}: a sample is of a counter or a gauge");
                return Err(fail(shmetrics_status::InvalidArgument, message));
            }
        }
        .map_err(report)?;
        family.add(labels, value).map_err(report)?;
        self.external.push(External { base: base.to_owned(), kind, family });
        Ok(())
    }
}

/// Lets the collectors of a segment add to a page of it.
///
/// # Safety
/// `page` came from a box, and only this thread uses it.
pub(super) unsafe fn collect(segment: &Inner, page: *mut CPage) {
    // SAFETY: the caller's promise; no reference to the page is held during the call.
    let failures = COLLECTORS.collect(segment, |collect| unsafe {
        let before = (*page).external.clone();
        (*page).collecting = true;
        let succeeded = (collect.call)(page.cast(), collect.data);
        (*page).collecting = false;
        if !succeeded {
            (*page).external = before;
        }
        succeeded
    });
    if let Some(family) = failures {
        // SAFETY: as above.
        unsafe { (*page).external.push(External { base: String::new(), kind: 0, family }) };
    }
}
