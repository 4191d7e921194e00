//! Many processes in Rust and in C, with all kinds of metrics, are stopped, continued and killed at
//! random. Every total is exact, and so is every page meanwhile. `SHMETRICS_LONG=1` runs the long
//! form.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use common::{alarm, fork, join_all, long, pause, samples, Child, Directory, Name, Random, Shared};
use shmetrics::{Counter, Family, Format, Gauge, GaugeMode, Histogram, Options, Segment};

/// What an update can go to: the plain ones, a histogram's buckets, label sets.
const WHOLE: usize = 0;
const PARTS: usize = 1;
const SHARED: usize = 2;
const OWN: usize = 3;
const BUCKET: usize = 4;
const SET: usize = 8;
const SETS: usize = 1000;
const PLACES: usize = SET + SETS;

/// Amounts that binary fractions hold exactly, whatever order they are added in.
const PART: f64 = 0.25;
const BOUNDS: [f64; 3] = [0.5, 2.0, 8.0];
/// What is observed in each bucket: so the counts of any page say what its sum must be.
const OBSERVED: [f64; 4] = [0.25, 1.5, 4.0, 32.0];

#[derive(Clone, Copy)]
struct Metrics {
    whole: Counter,
    parts: Counter,
    shared: Gauge,
    own: Gauge,
    histogram: Histogram,
    sets: Family<Counter, 2>,
}

impl Metrics {
    fn register(segment: &Segment) -> Self {
        Metrics {
            whole: segment.counter("whole", "").register().unwrap(),
            parts: segment.counter("parts", "").register().unwrap(),
            shared: segment.gauge("shared", "", GaugeMode::Shared).register().unwrap(),
            own: segment.gauge("own", "", GaugeMode::Sum).register().unwrap(),
            histogram: segment.histogram("histogram", "").buckets(&BOUNDS).register().unwrap(),
            sets: segment.counter("sets", "").labels(["tens", "unit"]).register().unwrap(),
        }
    }

    fn update(&self, place: usize) {
        match place {
            WHOLE => self.whole.inc(),
            PARTS => self.parts.add(PART),
            SHARED => self.shared.add(PART),
            OWN => self.own.add(PART),
            BUCKET..SET => self.histogram.observe(OBSERVED[place - BUCKET]),
            set => self.sets.with([&((set - SET) / 10).to_string(), &((set - SET) % 10).to_string()]).inc(),
        }
    }
}

/// Attaches as an unrelated process does, with a mapping of its own: another spelling of the path
/// is another mapping.
fn attach(name: &Name) -> Metrics {
    let path = format!("/dev/shm/./{}", name.path().file_name().unwrap().to_str().unwrap());
    Metrics::register(&Options::new().name(path).attach().open().unwrap())
}

/// The number of updates that a page shows for each place, after checking that the page is sound.
fn updates_shown(segment: &Segment) -> Vec<u64> {
    let page = String::from_utf8(segment.render(Format::Text)).unwrap();
    let mut page: BTreeMap<String, f64> = samples(&page);
    assert_eq!(page["shmetrics_corrupt_records"], 0.0);
    assert_eq!(page["shmetrics_overflow_lookups_total"], 0.0);
    assert_eq!(page["shmetrics_updates_rejected_total"], 0.0);
    page.retain(|sample, _| !sample.starts_with("shmetrics_"));
    let mut take = |sample: &str| page.remove(sample);
    let mut shown = vec![0.0; PLACES];
    shown[WHOLE] = take("whole_total").unwrap();
    shown[PARTS] = take("parts_total").unwrap() / PART;
    shown[SHARED] = take("shared").unwrap() / PART;
    shown[OWN] = take("own").unwrap() / PART;
    let (mut below, mut sum) = (0.0, 0.0);
    for (i, le) in ["0.5", "2.0", "8.0", "+Inf"].iter().enumerate() {
        let up_to = take(&format!("histogram_bucket{{le=\"{le}\"}}")).unwrap();
        shown[BUCKET + i] = up_to - below;
        sum += shown[BUCKET + i] * OBSERVED[i];
        below = up_to;
    }
    assert_eq!(take("histogram_count"), Some(below), "count and the last bucket");
    assert_eq!(take("histogram_sum"), Some(sum), "the sum is that of the counted observations");
    for set in 0..SETS {
        let sample = format!("sets_total{{tens=\"{}\",unit=\"{}\"}}", set / 10, set % 10);
        shown[SET + set] = take(&sample).unwrap_or(0.0);
    }
    assert!(page.is_empty(), "samples that no process made: {page:?}");
    shown.iter().for_each(|v| assert!(*v >= 0.0 && v.fract() == 0.0, "{v} updates"));
    shown.into_iter().map(|v| v as u64).collect()
}

fn assert_within(place: usize, shown: u64, least: u64, most: u64, when: &str) {
    assert!((least..=most).contains(&shown), "place {place}: {shown} updates shown {when}, {least} to {most} done");
}

/// Series on the page and by the library's own count, which a kill may keep from being raised.
fn assert_series_counted(segment: &Segment, kills: u64) {
    let page = String::from_utf8(segment.render(Format::Text)).unwrap();
    let sets = page.matches("\nsets_total{").count() as u64;
    let counted = common::own(segment, "shmetrics_series") as u64;
    assert!((sets + 5 - kills.min(sets)..=sets + 5).contains(&counted), "{counted} series counted, {} shown", sets + 5);
}

/// The static library, built as this test was.
fn build_c_library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).expect("the test is in target/PROFILE/deps");
    let profile_flag = if profile.ends_with("release") { &["--release"][..] } else { &[] };
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "shmetrics-capi", "--target-dir"])
        .arg(profile.parent().unwrap())
        .args(profile_flag)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(status.success(), "the C library does not build");
    profile.join("libshmetrics.a")
}

/// The worker in C, linked to the static library.
fn build_worker(directory: &Directory) -> PathBuf {
    let root = env!("CARGO_MANIFEST_DIR");
    let built = build_c_library();
    let worker = directory.0.join("worker");
    let compiled = Command::new(std::env::var("CC").unwrap_or("cc".into()))
        .args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"])
        .args([format!("{root}/../include"), format!("{root}/storm/worker.c"), "-o".to_owned()])
        .args([&worker, &built])
        .args(["-lgcc_s", "-lpthread", "-ldl", "-lm"])
        .status()
        .unwrap();
    assert!(compiled.success(), "the worker in C does not compile");
    worker
}

/// Each does `updates`, half of them to label sets, every label set equally often.
fn all_together(processes: usize, updates: usize, in_c: &PathBuf) {
    assert_eq!(updates % (2 * SET * SETS), 0, "a plan that comes out even");
    let name = Name::new("storm");
    let segment = name.open();
    let metrics = Metrics::register(&segment);
    let mut random = Random(processes as u64);
    let mut running: Vec<(Child, bool)> = (0..processes)
        .map(|i| {
            let (start, child) = (random.below(1000) as usize, |stride: usize, start: usize| {
                alarm(300);
                if i % 4 >= 2 || i == 1 {
                    let numbers = [updates, i, stride, start].map(|n| n.to_string());
                    panic!("{}", Command::new(in_c).arg(&name.0).args(numbers).exec());
                }
                let metrics = if i % 2 == 0 { metrics } else { attach(&name) };
                for n in 0..updates / 2 {
                    metrics.update((n + i) % SET);
                    metrics.update(SET + (n * stride + start) % SETS);
                }
            });
            // Prime to the number of sets: each process makes all of them, in an order of its own.
            let stride = [1, 999, 7, 993, 333, 37, 501, 779][i % 8];
            (fork(|| child(stride, start)), false)
        })
        .collect();
    let mut before = vec![0; PLACES];
    while !running.is_empty() {
        let one = random.below(running.len() as u64) as usize;
        let (child, stopped) = &mut running[one];
        *stopped = !*stopped;
        child.signal(if *stopped { libc::SIGSTOP } else { libc::SIGCONT });
        let now = updates_shown(&segment);
        let fell = (0..PLACES).find(|&place| now[place] < before[place]);
        assert_eq!(fell, None, "a place whose updates fell");
        before = now;
        running.retain_mut(|(child, _)| !child.has_ended());
    }
    let (plain, set) = ((processes * updates / 2 / SET) as u64, (processes * updates / 2 / SETS) as u64);
    for (place, shown) in updates_shown(&segment).into_iter().enumerate() {
        assert_eq!(shown, if place < SET { plain } else { set }, "{processes} processes, place {place}");
    }
    assert_series_counted(&segment, 0);
}

#[test]
fn totals_are_exact_while_processes_are_stopped_and_continued() {
    let directory = Directory::new("storm");
    let in_c = build_worker(&directory);
    for processes in [2, 8, 64] {
        all_together(processes, if long() { 1_008_000 } else { 32_000 }, &in_c);
    }
}

/// What the workers of the test below tell of themselves: for each place the updates done by all,
/// and for each worker the place (+ 1) of the update that it is about to do or has just done.
struct Ledger(Shared);

impl Ledger {
    const STOP: usize = PLACES;
    const INTENT: usize = PLACES + 1;

    fn new(workers: usize) -> Self {
        Ledger(Shared::new(Self::INTENT + workers))
    }

    fn work(&self, worker: usize, metrics: &Metrics, random: &mut Random) {
        while self.0.get(Self::STOP) == 0 {
            let place =
                if random.below(4) == 0 { random.below(SET as u64) } else { random.below(PLACES as u64) } as usize;
            self.0.set(Self::INTENT + worker, place as u64 + 1);
            metrics.update(place);
            self.0.add(place, 1);
            self.0.set(Self::INTENT + worker, 0);
        }
    }

    fn done(&self) -> Vec<u64> {
        self.0.snapshot()[..PLACES].to_vec()
    }
}

/// Kills workers at random and starts others in their place. Returns how many died in an update.
fn kills(workers: usize, kills: u64, seed: u64) -> u64 {
    let name = Name::new("kills");
    let segment = name.open();
    let ledger = Ledger::new(workers);
    let mut random = Random(seed);
    let start = |worker: usize, seed: u64| {
        fork(|| {
            alarm(300);
            let metrics = if seed % 2 == 0 { Metrics::register(&segment) } else { attach(&name) };
            ledger.work(worker, &metrics, &mut Random(seed));
        })
    };
    let mut crew: Vec<Child> = (0..workers).map(|w| start(w, random.next())).collect();
    Metrics::register(&segment);
    let mut in_flight = vec![0; PLACES];
    for _ in 0..kills {
        let (victim, stopped) = (random.below(workers as u64) as usize, random.below(workers as u64) as usize);
        // Whatever it was in the middle of, it stays there until the others have shown that they
        // can do without.
        crew[stopped].signal(libc::SIGSTOP);
        pause(random.below(1000));
        let dead = std::mem::replace(&mut crew[victim], Child(0));
        dead.kill();
        let intent = ledger.0.get(Ledger::INTENT + victim);
        if intent > 0 {
            in_flight[intent as usize - 1] += 1;
            ledger.0.set(Ledger::INTENT + victim, 0);
        }
        let before = ledger.done();
        let shown = updates_shown(&segment);
        let after = ledger.done();
        for place in 0..PLACES {
            // Living workers may have done what they have not told yet.
            let most = after[place] + in_flight[place] + workers as u64;
            assert_within(place, shown[place], before[place], most, "meanwhile");
        }
        crew[victim] = start(victim, random.next());
        crew[stopped].signal(libc::SIGCONT);
    }
    ledger.0.set(Ledger::STOP, 1);
    join_all(crew);
    let (done, shown) = (ledger.done(), updates_shown(&segment));
    for place in 0..PLACES {
        assert_within(place, shown[place], done[place], done[place] + in_flight[place], "at the end");
    }
    assert_series_counted(&segment, kills);
    in_flight.iter().sum()
}

#[test]
fn kills_lose_nothing_that_was_done_and_stop_nobody() {
    let (rounds, each) = if long() { (1000, 10) } else { (40, 5) };
    let in_flight: u64 = (0..rounds).map(|round| kills(8, each, round)).sum();
    assert!(in_flight > 0, "no kill ever hit an update: the test proves nothing");
    if long() {
        kills(64, 1000, 4711);
    }
}
