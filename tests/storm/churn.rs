//! Many more label sets than there is room for, made and removed by workers that are killed and
//! stopped, while others render pages: everything that is there is exact, and nothing is there
//! twice.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::SeqCst;

use common::{alarm, fork, join_all, long, note, own, pause, samples, Child, Name, Random, Shared};
use shmetrics::{Bundle, Counter, Family, Format, Histogram, Member, Metric, Reader, Segment};

const WORKERS: usize = 8;
/// Label sets of each worker that are there at one time: 10,000 in all.
const ALIVE: u64 = 1250;
/// Handles to removed series that each worker goes on updating.
const OLD: usize = 64;

/// What a worker tells, in words of its own.
const MADE_BEGUN: usize = 0;
const MADE: usize = 1;
const REMOVED_BEGUN: usize = 2;
const REMOVED: usize = 3;
const WORDS: usize = 4;

fn word(worker: usize, what: usize) -> usize {
    worker * WORDS + what
}

fn key(worker: usize, n: u64) -> [String; 2] {
    // Texts of different lengths take records of different sizes.
    [worker.to_string(), format!("{n}{}", "-".repeat((n % 37) as usize))]
}

fn amount(n: u64) -> u64 {
    1 + n % 1000
}

/// The label sets: of a family, or of a bundle whose last member is like that family.
#[derive(Clone, Copy)]
enum Sets {
    Alone(Family<Counter, 2>),
    Bundled { bundle: Bundle<2>, first: Member<Counter>, second: Member<Histogram>, last: Member<Counter> },
}

impl Sets {
    fn alone(segment: &Segment) -> Self {
        Sets::Alone(segment.counter("churn", "").labels(["worker", "n"]).register().unwrap())
    }

    fn bundled(segment: &Segment) -> Self {
        let mut builder = segment.bundle(["worker", "n"]);
        let first = builder.add(segment.counter("first", ""));
        let second = builder.add(segment.histogram("second", "").buckets(&[1.0]));
        let last = builder.add(segment.counter("churn", ""));
        Sets::Bundled { bundle: builder.register().unwrap(), first, second, last }
    }

    fn with(&self, values: [&str; 2]) -> Counter {
        match self {
            Sets::Alone(family) => family.with(values),
            Sets::Bundled { bundle, last, .. } => bundle.with(values).get(*last),
        }
    }

    /// Makes the label set, and counts so much in all but the series that `with` gives.
    fn make(&self, values: [&str; 2], amount: u64) -> Counter {
        if let Sets::Bundled { bundle, first, second, .. } = self {
            let entry = bundle.with(values);
            entry.get(*first).inc_by(amount);
            entry.get(*second).observe(amount as f64);
        }
        self.with(values)
    }

    fn remove(&self, values: [&str; 2]) -> bool {
        match self {
            Sets::Alone(family) => family.remove(values),
            Sets::Bundled { bundle, .. } => bundle.remove(values),
        }
    }

    /// Series of a label set.
    fn each(&self) -> u64 {
        if matches!(self, Sets::Alone(_)) {
            1
        } else {
            3
        }
    }
}

/// Makes label sets from where the last worker of this number stopped, up to `sets`.
fn work(family: &Sets, worker: usize, sets: u64, told: &Shared) {
    let tell = |what, n| told.set(word(worker, what), n);
    let seen = |what| told.get(word(worker, what));
    let mut old = VecDeque::new();
    let remove = |n: u64, must: bool| {
        let [w, n] = key(worker, n);
        let removed = family.remove([&w, &n]);
        assert!(removed || !must, "the label set {n} of worker {w} was not there");
    };
    let due = seen(MADE).saturating_sub(ALIVE);
    if seen(REMOVED) < due {
        tell(REMOVED_BEGUN, due);
        remove(due, false);
        tell(REMOVED, due);
    }
    if seen(MADE_BEGUN) > seen(MADE) {
        // Killed in the middle of it: its count is what it is. Start over.
        remove(seen(MADE_BEGUN), false);
    }
    for n in seen(MADE) + 1..=sets {
        tell(MADE_BEGUN, n);
        let [w, text] = key(worker, n);
        let counter = family.make([&w, &text], amount(n));
        counter.inc();
        counter.inc_by(amount(n) - 1);
        tell(MADE, n);
        assert_eq!(family.with([&w, &text]).get(), amount(n) as f64);
        if n > ALIVE {
            tell(REMOVED_BEGUN, n - ALIVE);
            let [w, text] = key(worker, n - ALIVE);
            let counter = family.with([&w, &text]);
            assert_eq!(counter.get(), amount(n - ALIVE) as f64);
            remove(n - ALIVE, true);
            tell(REMOVED, n - ALIVE);
            old.push_back(counter);
            if old.len() > OLD {
                old.pop_front();
            }
        }
        // They lead into records that others use by now.
        if n % 16 == 0 {
            old.iter().for_each(Counter::inc);
        }
    }
    assert!(old.iter().all(Metric::is_removed));
}

/// Checks a page against what the workers told before and after.
fn check(page: &[u8], before: &[u64], after: &[u64]) {
    let shown = samples(std::str::from_utf8(page).unwrap());
    assert_eq!(shown["shmetrics_corrupt_records"], 0.0);
    let mut counted = vec![0; WORKERS];
    for (sample, value) in shown.iter().filter(|(sample, _)| sample.starts_with("churn")) {
        let parts: Vec<&str> = sample.split('"').collect();
        let (worker, n) = (parts[1].parse::<usize>().unwrap(), parts[3].trim_end_matches('-').parse::<u64>().unwrap());
        let told = |words: &[u64], what| words[word(worker, what)];
        assert!(n <= told(after, MADE_BEGUN), "{sample} was not made yet");
        assert!(n > told(before, REMOVED), "{sample} was removed before");
        let whole = n <= told(before, MADE);
        assert!(*value == amount(n) as f64 || (!whole && *value <= amount(n) as f64), "{sample} {value}");
        if whole && n > told(after, REMOVED_BEGUN) {
            counted[worker] += 1;
            // The other members of its bundle.
            let (_, labels) = sample.split_once('{').unwrap();
            if let Some(first) = shown.get(&format!("first_total{{{labels}")) {
                assert_eq!(*first, amount(n) as f64, "{sample}");
                assert_eq!(shown[&format!("second_sum{{{labels}")], amount(n) as f64, "{sample}");
            }
        }
    }
    for (worker, counted) in counted.into_iter().enumerate() {
        let [made, removed] = [before[word(worker, MADE)], after[word(worker, REMOVED_BEGUN)]];
        assert_eq!(counted, made.saturating_sub(removed), "label sets of worker {worker} that were there all the time");
    }
}

fn scrape(page: impl Fn() -> Vec<u8>, told: &Shared, done: usize) {
    while told.get(done) == 0 {
        let before = told.snapshot();
        let page = page();
        check(&page, &before, &told.snapshot());
        told.add(done + 1, 1);
    }
}

#[test]
fn ten_thousand_at_a_time_of_any_number() {
    churn(if long() { 10_000_000 } else { 160_000 }, Sets::alone);
}

#[test]
fn ten_thousand_of_a_bundle_at_a_time() {
    churn(if long() { 3_000_000 } else { 100_000 }, Sets::bundled);
}

fn churn(sets: u64, register: fn(&Segment) -> Sets) {
    let sets = sets / WORKERS as u64;
    let name = Name::new("churn");
    let segment = name.open();
    let family = register(&segment);
    let each = family.each();
    let told = Shared::new(WORKERS * WORDS + 2);
    let done = WORKERS * WORDS;
    let start = |worker: usize| fork(|| work(&family, worker, sets, &told));
    let mut workers: Vec<Option<Child>> = (0..WORKERS).map(|w| Some(start(w))).collect();
    let scrapers = [
        fork(|| {
            alarm(0);
            let reader = Reader::open(&name.0).unwrap();
            scrape(|| reader.render(Format::Text), &told, done);
        }),
        fork(|| {
            alarm(0);
            scrape(|| segment.render(Format::Text), &told, done);
        }),
    ];
    let (mut random, mut kills, mut stops, mut settled) = (Random(7), 0u64, 0u64, 0.0);
    while workers.iter().any(Option::is_some) {
        let victim = random.below(WORKERS as u64) as usize;
        pause(random.below(20_000));
        let Some(child) = &mut workers[victim] else { continue };
        if child.has_ended() {
            workers[victim] = None;
        } else if random.below(3) == 0 {
            stops += 1;
            child.signal(libc::SIGSTOP);
            pause(random.below(30_000));
            child.signal(libc::SIGCONT);
        } else {
            kills += 1;
            workers[victim].take().unwrap().kill();
            workers[victim] = Some(start(victim));
        }
        // After a fifth of the work there is room for all that is ever there at once, and for what
        // kills leak.
        if settled == 0.0 && (0..WORKERS).all(|w| told[word(w, MADE)].load(SeqCst) > sets / 5) {
            settled = own(&segment, "shmetrics_segment_used_bytes");
        }
    }
    told.set(done, 1);
    join_all(scrapers);

    let last = told.snapshot();
    let page = segment.render(Format::Text);
    check(&page, &last, &last);
    let shown = samples(std::str::from_utf8(&page).unwrap());
    let alive = shown.keys().filter(|sample| sample.starts_with("churn")).count();
    assert_eq!(alive as u64, WORKERS as u64 * ALIVE);
    // A kill between the two counts of a label set makes one of them wrong by the set's other
    // series.
    let apart = (shown["shmetrics_series"] - alive as f64 * each as f64).abs();
    assert!(apart <= (kills * (each - 1)) as f64, "{apart} series are counted and not there");
    assert_eq!(shown["shmetrics_overflow_lookups_total"], 0.0);
    assert!(shown["shmetrics_stale_updates_total"] > 1000.0, "old handles were used");
    let used = shown["shmetrics_segment_used_bytes"];
    let pages = told.get(done + 1);
    note(&format!(
        "{} label sets, {alive} at a time: {pages} pages, {kills} kills, {stops} stops, {used} bytes used, {settled} \
         of them after a fifth of the work, {} leaked",
        sets * WORKERS as u64,
        shown["shmetrics_segment_leaked_bytes"],
    ));
    assert!(pages > 2);
    // A kill may cost a record; of each size, the most that are there at once may come later; so
    // may the index' last doubling.
    assert!(used < settled * 1.2 + (kills * each) as f64 * 256.0, "it grew from {settled} to {used}");
    assert!(shown["shmetrics_segment_leaked_bytes"] <= (kills * each) as f64 * 256.0);
}
