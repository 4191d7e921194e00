//! 64 workers that live for 1 to 50 milliseconds each register, count and remove, and are stopped
//! and killed at random, while two other processes render. Every count is accounted for. The test
//! runs for a minute, and with `SHMETRICS_LONG=1` for half an hour.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::{alarm, fork, join_all, long, note, pause, samples, Child, Name, Random, Shared};
use shmetrics::{Counter, Family, Format, GaugeMode, Options, Reader, Segment};

const WORKERS: usize = 64;
const FAMILIES: usize = 40;
const SETS: usize = 25;
const PLACES: usize = FAMILIES * SETS;

/// What all tell: updates done at each place; what each worker is about to do, or has just done
/// (place + 1).
const STOP: usize = PLACES;
const KILLS: usize = PLACES + 1;
const PAGES: usize = PLACES + 2;
const INTENT: usize = PLACES + 3;

fn family(segment: &Segment, i: usize) -> Family<Counter, 1> {
    let (name, help) = (format!("family_{i}"), format!("The family number {i}."));
    segment.counter(&name, &help).labels(["n"]).register().unwrap()
}

fn passing(segment: &Segment) -> Family<Counter, 2> {
    segment.counter("passing", "").labels(["worker", "life"]).register().unwrap()
}

/// One worker's life.
fn live(name: &Name, segment: &Segment, told: &Shared, worker: usize, life: u64) {
    alarm(600);
    let mut random = Random(life);
    let end = Instant::now() + Duration::from_micros(1000 + random.below(49_000));
    let path = format!("/dev/shm/./{}", name.path().file_name().unwrap().to_str().unwrap());
    let own = (life % 4 == 0).then(|| Options::new().name(path).attach().open().unwrap());
    let segment = own.as_ref().unwrap_or(segment);
    let (passing, text) = (passing(segment), [worker.to_string(), life.to_string()]);
    let busy = segment.gauge("busy", "", GaugeMode::LiveSum).register().unwrap();
    let _guard = busy.track_in_progress();
    while Instant::now() < end {
        let place = random.below(PLACES as u64) as usize;
        let counter = family(segment, place / SETS).with([&(place % SETS).to_string()]);
        told.set(INTENT + worker, place as u64 + 1);
        counter.inc();
        told.add(place, 1);
        told.set(INTENT + worker, 0);
        passing.with([&text[0], &text[1]]).inc();
    }
    assert!(passing.remove([&text[0], &text[1]]) || Instant::now() >= end);
}

/// The updates that a page shows at each place, after checking that it is sound.
fn shown(page: &[u8]) -> Vec<u64> {
    let page: BTreeMap<String, f64> = samples(std::str::from_utf8(page).unwrap());
    for none in ["corrupt_records", "overflow_lookups_total", "registrations_failed_total", "updates_rejected_total"] {
        assert_eq!(page[&format!("shmetrics_{none}")], 0.0, "{none}");
    }
    assert!((0.0..=WORKERS as f64).contains(&page.get("busy").copied().unwrap_or(0.0)));
    let place = |i: usize| page.get(&format!("family_{}_total{{n=\"{}\"}}", i / SETS, i % SETS)).copied();
    (0..PLACES).map(|i| place(i).unwrap_or(0.0) as u64).collect()
}

fn scrape(page: impl Fn() -> Vec<u8>, told: &Shared) {
    alarm(0);
    let mut last = vec![0; PLACES];
    while told.get(STOP) == 0 {
        let before = told.snapshot();
        let now = shown(&page());
        let after = told.snapshot();
        for place in 0..PLACES {
            let most = after[place] + WORKERS as u64 + after[KILLS];
            assert!((before[place]..=most).contains(&now[place]), "place {place}: {} shown", now[place]);
            assert!(now[place] >= last[place], "place {place} fell");
        }
        last = now;
        told.add(PAGES, 1);
        pause(20_000);
    }
}

#[test]
fn short_lives_of_many_workers_are_accounted_for() {
    let name = Name::new("lifetimes");
    let segment = name.open();
    let told = Shared::new(INTENT + WORKERS);
    let passing = passing(&segment);
    let scrapers = [
        fork(|| {
            let reader = Reader::open(&name.0).unwrap();
            scrape(|| reader.render(Format::Text), &told);
        }),
        fork(|| scrape(|| segment.render(Format::Text), &told)),
    ];
    let (mut random, mut lives, mut stops) = (Random(11), 0u64, 0u64);
    let mut crew: Vec<(Child, u64)> = (0..WORKERS).map(|_| (Child(0), 0)).collect();
    let mut in_flight = vec![0u64; PLACES];
    let end = Instant::now() + Duration::from_secs(if long() { 1800 } else { 60 });
    while Instant::now() < end {
        for (worker, (child, life)) in crew.iter_mut().enumerate() {
            if child.has_ended() {
                lives += 1;
                *life = lives;
                *child = fork(|| live(&name, &segment, &told, worker, lives));
            }
        }
        let [victim, stopped] = [0; 2].map(|_| random.below(WORKERS as u64) as usize);
        stops += 1;
        crew[stopped].0.signal(libc::SIGSTOP);
        pause(random.below(3000));
        let (child, life) = &mut crew[victim];
        if !child.has_ended() {
            std::mem::replace(child, Child(0)).kill();
            told.add(KILLS, 1);
            let intent = told.get(INTENT + victim) as usize;
            if intent > 0 {
                in_flight[intent - 1] += 1;
                told.set(INTENT + victim, 0);
            }
            // As a master would: the label set goes with the worker.
            passing.remove([&victim.to_string(), &life.to_string()]);
        }
        crew[stopped].0.signal(libc::SIGCONT);
    }
    crew.into_iter().filter(|(child, _)| child.0 > 0).for_each(|(child, _)| child.join());
    told.set(STOP, 1);
    join_all(scrapers);

    let page = segment.render(Format::Text);
    let now = shown(&page);
    for place in 0..PLACES {
        let done = told.get(place);
        assert!((done..=done + in_flight[place]).contains(&now[place]), "place {place}: {} of {done}", now[place]);
    }
    let text = std::str::from_utf8(&page).unwrap();
    assert!(!text.contains("\npassing_total{"), "label sets of workers that are gone");
    let reader = name.reader();
    assert_eq!(reader.verify(), [""; 0]);
    let inspection = reader.inspect();
    assert!(inspection.processes.len() <= WORKERS + 2, "{} slots for {WORKERS} workers", inspection.processes.len());
    let (kills, pages) = (told.get(KILLS), told.get(PAGES));
    let done: u64 = told.snapshot()[..PLACES].iter().sum();
    let lost: u64 = in_flight.iter().sum();
    note(&format!(
        "{lives} lives, {kills} kills ({lost} in an update), {stops} stops, {done} counts, {pages} pages; {} bytes used, \
         {} leaked",
        inspection.used, inspection.leaked
    ));
    // The test has done its work, on a slow machine too.
    assert!(kills > 3 && pages > 3 && done > 1_000);
    assert!(inspection.leaked <= kills * 600, "at most a record for each kill");
}
