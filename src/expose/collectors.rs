//! Collectors: functions of the host that add families to each page that this process makes of a
//! segment. Here is the list of them, and what happens if one fails; `capi` has a list for C.

use std::cell::Cell;
use std::error::Error as StdError;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use super::external::ExternalFamily;
#[cfg(target_os = "linux")]
use super::processes;
use crate::os::grow_list::GrowList;
use crate::segment::{Inner, Segment};

/// The collectors of one kind, of all segments of this process. A child has those of its parent.
pub(crate) struct Collectors<C: 'static>(GrowList<Added<C>>);

/// A collector that was added. Never freed, as another thread may be in it.
pub(crate) struct Added<C> {
    /// The address of the segment's `Inner`, which stays for the life of the process.
    segment: usize,
    collect: C,
    is_removed: AtomicBool,
}

/// Calls of collectors that failed, and samples of theirs that were refused.
static FAILURES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Whether this thread is in a collector. Pages that a collector begins have no collectors.
    static IS_COLLECTING: Cell<bool> = const { Cell::new(false) };
}

/// While a thread is in a collector, also if an error of the host panics when it is dropped.
struct Collecting;

impl Drop for Collecting {
    fn drop(&mut self) {
        IS_COLLECTING.set(false);
    }
}

/// Notes a failure, which pages with collectors show.
pub(crate) fn count_failure() {
    FAILURES.fetch_add(1, Relaxed); // a number of its own
}

impl<C: Send + Sync + 'static> Collectors<C> {
    pub(crate) const fn new() -> Self {
        Collectors(GrowList::new())
    }

    pub(crate) fn add(&self, segment: &Inner, collect: C) -> &'static Added<C> {
        let segment = std::ptr::from_ref(segment).addr();
        self.0.add(Added { segment, collect, is_removed: AtomicBool::new(false) })
    }

    /// Has `call` call the collectors of a segment, in the order in which they were added, and
    /// count each for which it returns false. Returns the family of failures. `None`: the segment
    /// has no collectors, or this page is a collector's own.
    pub(crate) fn collect(&self, segment: &Inner, mut call: impl FnMut(&C) -> bool) -> Option<ExternalFamily> {
        let of_segment = |added: &&Added<C>| {
            // Acquire pairs with `remove`.
            added.segment == std::ptr::from_ref(segment).addr() && !added.is_removed.load(Acquire)
        };
        let mut all: Vec<_> = self.0.iter().filter(of_segment).collect();
        if all.is_empty() || IS_COLLECTING.replace(true) {
            return None;
        }
        let _collecting = Collecting;
        all.reverse();
        for added in all {
            if !call(&added.collect) {
                count_failure();
            }
        }
        const HELP: &str = "Calls of collectors that failed in this process, and samples of theirs that were refused.";
        let family = ExternalFamily::counter("shmetrics_collector_failures_total", HELP);
        family.and_then(|family| family.sample(&[], FAILURES.load(Relaxed) as f64)).ok()
    }
}

impl<C> Added<C> {
    pub(crate) fn remove(&self) {
        // Release pairs with the Acquire in `collect`.
        self.is_removed.store(true, Release);
    }
}

type Collect = Box<dyn Fn() -> Result<Vec<ExternalFamily>, Box<dyn StdError>> + Send + Sync>;

static COLLECTORS: Collectors<Collect> = Collectors::new();

/// A collector that was added to a segment: see [`Segment::add_collector`].
#[derive(Clone, Copy)]
pub struct Collector(&'static Added<Collect>);

impl Collector {
    /// Removes the collector. No page that is begun afterwards calls it. A call that another thread
    /// has begun goes on.
    pub fn remove(&self) {
        self.0.remove();
    }
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

impl Segment {
    /// Adds a collector: a function whose families are on each page that this process makes of the
    /// segment. [`Segment::page`] and [`Segment::render`] call it, in their thread. Exporters and
    /// readers in other processes do not call it: their pages have the families of the segment
    /// alone.
    ///
    /// ```
    /// use shmetrics::{ExternalFamily, Format, Options};
    /// let segment = Options::new().anonymous().open()?;
    /// segment.add_collector(|| {
    ///     let idle = ExternalFamily::gauge("pool_idle", "Idle connections.")?.sample(&[("pool", "main")], 3.0)?;
    ///     Ok(vec![idle])
    /// });
    /// let page = segment.page(Format::Text).render_to_string()?;
    /// assert!(page.contains("\npool_idle{pool=\"main\"} 3\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// * Collectors are called in the order in which they were added. Families of one name and type
    ///   from several collectors are one family.
    /// * If a collector returns an error or panics, the page goes without its families.
    ///   `shmetrics_collector_failures_total` on the page counts these calls.
    /// * Several threads that begin pages may be in the same collector at the same time.
    /// * A forked child has the collectors of its parent, and calls them for its own pages.
    /// * A page that a collector makes has no families of collectors.
    /// * The closure is never freed.
    pub fn add_collector<F>(&self, collect: F) -> Collector
    where
        F: Fn() -> Result<Vec<ExternalFamily>, Box<dyn StdError>> + Send + Sync + 'static,
    {
        Collector(COLLECTORS.add(self.inner, Box::new(collect)))
    }

    /// Adds a collector of `process_cpu_seconds_total`, `process_resident_memory_bytes` and the
    /// other metrics of processes, with the label `pid`. They are there for each living process
    /// that has per-process gauges, or has called [`Segment::attach_process`], as far as this
    /// process sees them in `/proc`. Only Linux has it.
    #[cfg(target_os = "linux")]
    pub fn add_process_collector(&self) -> Collector {
        let segment = *self;
        self.add_collector(move || Ok(processes::families(&segment.reader().processes())?))
    }
}

/// The families that the collectors of a segment have for a page.
pub(super) fn collect(segment: &Inner) -> Vec<ExternalFamily> {
    let mut families: Vec<ExternalFamily> = Vec::new();
    let failures = COLLECTORS.collect(segment, |collect| {
        // A panic leaves nothing of ours half done: the families are added below.
        let Ok(Ok(added)) = catch_unwind(AssertUnwindSafe(collect)) else { return false };
        for family in added {
            match families.iter_mut().find(|other| other.is_alike(&family)) {
                Some(other) => other.join(family),
                None => families.push(family),
            }
        }
        true
    });
    families.extend(failures);
    families
}
