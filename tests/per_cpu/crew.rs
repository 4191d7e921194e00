//! Workers that count in the same per-CPU cells: moved from CPU to CPU, stopped, interrupted by a
//! timer whose handler counts too, killed and replaced, while pages are looked at all the time.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use common::c::{self, Three, Update};
use common::{fork, page, pause, samples, Child, Name, Random, Shared};
use shmetrics::{Counter, Histogram, Native, Options, Segment};

const WORKERS: usize = 8;
/// Updates a worker does between two looks at how far it is.
const BATCH: u64 = 64;
const OBSERVED: [f64; 3] = [0.5, 1.5, 4.0];
/// Each place in which a worker or its handler counts has two words: updates begun, and updates
/// done.
const WORDS: usize = 2;
const PLACES: usize = 6;
/// The members of a bundle, which one call updates together: a counter and a histogram.
const BUNDLED: usize = 4;

#[derive(Clone, Copy)]
struct Metrics {
    plain: Counter,
    labelled: Counter,
    histogram: Histogram,
    native: Histogram,
    /// The entry of the bundle.
    entry: Three,
}

impl Metrics {
    /// In the segment that is at `path`, too.
    fn register(segment: &Segment, path: &str) -> Self {
        let members: [c::Described<'_>; 2] =
            [(c::COUNTER, 0, "bundled", "", &[]), (c::HISTOGRAM, 0, "bundled_times", "", &[1.0, 2.0])];
        Metrics {
            entry: c::entry(c::bundle(path, "n", &members, 0), "1"),
            plain: segment.counter("plain", "").register().unwrap(),
            labelled: segment.counter("labelled", "").labels(["n"]).register().unwrap().with(["1"]),
            histogram: segment.histogram("times", "").buckets(&[1.0, 2.0]).register().unwrap(),
            native: segment
                .histogram("native", "")
                .native(Native::default())
                .labels(["n"])
                .register()
                .unwrap()
                .with(["1"]),
        }
    }

    fn update(&self, place: usize, n: u64) {
        match place {
            0 => self.plain.inc(),
            1 => self.labelled.inc(),
            2 => self.histogram.observe(OBSERVED[n as usize % 3]),
            4 => c::update(self.entry, &[Update::add_whole(0, 1)]),
            5 => c::update(self.entry, &[Update::observe(1, OBSERVED[n as usize % 3])]),
            _ => self.native.observe(OBSERVED[n as usize % 3]),
        }
    }
}

/// What is shared with the workers beside the segment: for each worker, and for its handler,
/// {begun, done} of each place.
struct Ledger(Shared);

impl Ledger {
    fn word(worker: usize, handler: bool, place: usize, done: bool) -> usize {
        ((2 * worker + usize::from(handler)) * PLACES + place) * WORDS + usize::from(done)
    }

    /// Updates of a place that are done for sure, and those that may be.
    fn bounds(&self, place: usize) -> (u64, u64) {
        let all = |done| {
            (0..WORKERS)
                .flat_map(|w| [(w, false), (w, true)])
                .map(|(w, handler)| self.0.get(Self::word(w, handler, place, done)))
                .sum()
        };
        // Done ones are summed first: what is begun meanwhile may be on the page.
        (all(true), all(false))
    }

    fn batch(&self, worker: usize, handler: bool, metrics: &Metrics, place: usize, updates: u64) {
        let [begun, done] = [false, true].map(|done| Self::word(worker, handler, place, done));
        for n in 0..updates {
            self.0[begun].fetch_add(1, Relaxed);
            metrics.update(place, n);
            self.0[done].fetch_add(1, Relaxed);
        }
    }

    /// Many at a time, so that most of the time is spent in updates.
    fn blind_batch(&self, worker: usize, metrics: &Metrics, place: usize) {
        let [begun, done] = [false, true].map(|done| Self::word(worker, false, place, done));
        self.0[begun].fetch_add(BATCH, Relaxed);
        (0..BATCH).for_each(|n| metrics.update(place, n));
        self.0[done].fetch_add(BATCH, Relaxed);
    }

    /// The same in all members of the bundle, by one call.
    fn bundled_batch(&self, worker: usize, metrics: &Metrics) {
        let all = |done| [BUNDLED, BUNDLED + 1].map(|place| &self.0[Self::word(worker, false, place, done)]);
        let both = |n: usize| [Update::add_whole(0, 1), Update::observe(1, OBSERVED[n % 3])];
        let updates: [[Update; 2]; BATCH as usize] = std::array::from_fn(both);
        all(false).into_iter().for_each(|begun| _ = begun.fetch_add(BATCH, Relaxed));
        c::update(metrics.entry, updates.as_flattened());
        all(true).into_iter().for_each(|done| _ = done.fetch_add(BATCH, Relaxed));
    }
}

/// What the handler counts in, and as whom: {metrics, ledger, worker}.
static mut ON_TIMER: Option<(Metrics, *const Ledger)> = None;
static WORKER: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_timer(_: i32) {
    // SAFETY: written before the timer was started, in this process alone.
    if let Some((metrics, ledger)) = unsafe { (&raw const ON_TIMER).read() } {
        // SAFETY: the ledger outlives the workers.
        let ledger = unsafe { &*ledger };
        (0..PLACES).for_each(|place| ledger.batch(WORKER.load(Relaxed), true, &metrics, place, 3));
    }
}

fn start_timer(metrics: Metrics, ledger: &Ledger, worker: usize) {
    WORKER.store(worker, Relaxed);
    let interval = libc::timeval { tv_sec: 0, tv_usec: 197 };
    let timer = libc::itimerval { it_interval: interval, it_value: interval };
    // SAFETY: only this thread is there, and the handler does what a handler may.
    unsafe {
        (&raw mut ON_TIMER).write(Some((metrics, std::ptr::from_ref(ledger))));
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_timer as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        assert_eq!(libc::sigaction(libc::SIGVTALRM, &raw const action, std::ptr::null_mut()), 0);
        assert_eq!(libc::setitimer(libc::ITIMER_VIRTUAL, &raw const timer, std::ptr::null_mut()), 0);
    }
}

pub struct Crew<'a> {
    name: &'a Name,
    segment: &'a Segment,
    metrics: Metrics,
    ledger: Ledger,
    /// {updates of a place that a killed worker may have left undone, for each place}.
    in_flight: [u64; PLACES],
}

impl<'a> Crew<'a> {
    pub fn new(name: &'a Name, segment: &'a Segment) -> Self {
        let ledger = Ledger(Shared::new(WORKERS * 2 * PLACES * WORDS));
        Crew { name, segment, metrics: Metrics::register(segment, &path(name)), ledger, in_flight: [0; PLACES] }
    }

    fn hire(&self, worker: usize) -> Child {
        let (inherited, name) = (self.metrics, &self.name);
        fork(|| {
            // Half of them have a mapping of their own: another spelling of the path is another
            // mapping.
            let own = || {
                let path = format!("/dev/shm/./{}", name.path().file_name().unwrap().to_str().unwrap());
                Metrics::register(&Options::new().name(&path).attach().open().unwrap(), &path)
            };
            let metrics = if worker % 2 == 0 { inherited } else { own() };
            start_timer(metrics, &self.ledger, worker);
            loop {
                for place in 0..PLACES {
                    for _ in 0..200 {
                        match place {
                            BUNDLED => self.ledger.bundled_batch(worker, &metrics),
                            _ => self.ledger.blind_batch(worker, &metrics, place),
                        }
                    }
                    self.ledger.batch(worker, false, &metrics, place, 20);
                }
            }
        })
    }

    /// Kills a worker. What it had begun and not said to be done is one update of a batch, and one
    /// of its handler; the rest of the batch was not begun.
    fn dismiss(&mut self, worker: usize, child: Child) {
        child.kill();
        for place in 0..PLACES {
            for handler in [false, true] {
                let [begun, done] = [false, true].map(|done| Ledger::word(worker, handler, place, done));
                let open = self.ledger.0.get(begun) - self.ledger.0.get(done);
                assert!(open <= BATCH, "{open} updates are open");
                // It is unknown how many of them were done: from now on they count as done, and as
                // in flight.
                self.ledger.0.add(done, open);
                self.in_flight[place] += open;
            }
        }
    }

    fn look(&self) {
        let least: Vec<u64> = (0..PLACES).map(|place| self.ledger.bounds(place).0 - self.in_flight[place]).collect();
        let shown = shown(self.segment);
        for (place, shown) in shown.into_iter().enumerate() {
            let most = self.ledger.bounds(place).1;
            assert!((least[place]..=most).contains(&shown), "place {place}: {shown}, of {} to {most}", least[place]);
        }
    }

    /// Returns how many updates there were.
    pub fn work(mut self, rounds: u32) -> u64 {
        // SAFETY: a plain call. Also those that are away just now: they may come back.
        let cpus = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) }.max(1) as u64;
        let mut random = Random(7);
        let mut crew: Vec<Option<Child>> = (0..WORKERS).map(|i| Some(self.hire(i))).collect();
        for round in 0..rounds {
            for _ in 0..50 {
                let worker = random.below(WORKERS as u64) as usize;
                let child = crew[worker].as_ref().unwrap();
                child.signal(if random.below(2) == 0 { libc::SIGSTOP } else { libc::SIGCONT });
                move_to(child, random.below(cpus) as usize);
                pause(1000);
            }
            crew.iter().flatten().for_each(|child| child.signal(libc::SIGCONT));
            self.look();
            let victim = random.below(WORKERS as u64) as usize;
            self.dismiss(victim, crew[victim].take().unwrap());
            crew[victim] = Some(self.hire(victim));
            assert!(round < rounds);
        }
        for (worker, child) in crew.into_iter().enumerate() {
            self.dismiss(worker, child.unwrap());
        }
        let shown = shown(self.segment);
        for (place, shown) in shown.into_iter().enumerate() {
            let (done, begun) = self.ledger.bounds(place);
            assert_eq!(done, begun, "no worker is left");
            // A kill may interrupt a batch after any number of its updates. All other updates were
            // done.
            assert!((done - self.in_flight[place]..=done).contains(&shown), "place {place}: {shown} of {done}");
        }
        assert_eq!(self.segment.reader().verify(), [] as [String; 0]);
        shown.into_iter().sum()
    }
}

fn path(name: &Name) -> String {
    name.path().to_str().unwrap().to_owned()
}

fn move_to(child: &Child, cpu: usize) {
    // SAFETY: a set of CPUs is plain bits; the child is ours. A CPU that it may not use changes
    // nothing.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(child.0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

/// The updates that a page shows of each place. Within the histogram it is sound at any moment.
fn shown(segment: &Segment) -> [u64; PLACES] {
    let samples = samples(&page(segment));
    let observed = |name: &str, labels: &str| {
        let (mut below, mut sum) = (0.0, 0.0);
        for (le, observed) in ["1.0", "2.0", "+Inf"].iter().zip(OBSERVED) {
            let comma = if labels.is_empty() { "" } else { "," };
            let up_to = samples[&format!("{name}_bucket{{{labels}{comma}le=\"{le}\"}}")];
            sum += (up_to - below) * observed;
            below = up_to;
        }
        let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let [count, shown] = ["count", "sum"].map(|of| samples[&format!("{name}_{of}{braces}")]);
        assert_eq!((count, shown), (below, sum), "a page's histogram agrees with itself");
        below as u64
    };
    let (times, bundled_times) = (observed("times", ""), observed("bundled_times", "n=\"1\""));
    let names = ["plain_total", "labelled_total{n=\"1\"}", "native_count{n=\"1\"}", "bundled_total{n=\"1\"}"];
    let [plain, labelled, native, bundled] = names.map(|name| samples[name] as u64);
    [plain, labelled, times, native, bundled, bundled_times]
}
