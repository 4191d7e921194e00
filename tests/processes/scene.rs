//! A segment with a counter and gauges of living processes, and how much of it a page shows.

use common::{fork, page, samples, Child, Gate, Name};
use shmetrics::{Counter, Gauge, GaugeMode, Segment};

pub(crate) struct Scene {
    pub(crate) name: Name,
    pub(crate) segment: Segment,
    count: Counter,
    live: Gauge,
    all: Gauge,
    sum: Gauge,
}

impl Scene {
    pub(crate) fn new(what: &str) -> Self {
        let name = Name::new(what);
        let segment = name.open();
        Scene {
            count: segment.counter("count", "").register().unwrap(),
            live: segment.gauge("live", "", GaugeMode::LiveSum).register().unwrap(),
            all: segment.gauge("all", "", GaugeMode::LiveAll).register().unwrap(),
            sum: segment.gauge("sum", "", GaugeMode::Sum).register().unwrap(),
            segment,
            name,
        }
    }

    /// Counts as this process, once.
    pub(crate) fn count(&self) {
        self.count.inc();
        self.live.inc();
        self.all.inc();
        self.sum.inc();
    }

    /// Asserts that this many updates were made in all, and that `alive` processes live, with one
    /// update each.
    #[track_caller]
    pub(crate) fn assert(&self, updates: u32, alive: u32, when: &str) {
        let s = samples(&page(&self.segment));
        let listed = s.keys().filter(|k| k.starts_with("all{")).count();
        let expected = (f64::from(updates), f64::from(updates), f64::from(alive), alive as usize);
        assert_eq!((s["count_total"], s["sum"], s["live"], listed), expected, "{when}: {s:?}");
        // A reader, which knows nothing but the file, sees the same.
        let processes = self.name.reader().inspect().processes;
        assert_eq!(processes.iter().filter(|p| p.alive).count(), alive as usize, "{when}: {processes:?}");
    }

    /// The pids of the living holders, in the order of their slots.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.name.reader().inspect().processes.iter().filter(|p| p.alive).map(|p| p.pid).collect()
    }

    /// A worker that has counted once and goes on with `then`.
    pub(crate) fn worker(&self, then: impl FnOnce()) -> Child {
        let ready = Gate::new();
        let child = fork(|| {
            self.count();
            ready.signal();
            then();
        });
        ready.wait();
        child
    }
}

/// Has this process reap what its children leave behind, as init does.
pub(crate) fn reap_orphans() {
    // SAFETY: a plain call.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) }, 0);
}
