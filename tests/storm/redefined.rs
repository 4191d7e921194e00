//! Families that some workers redefine and unregister while others update them through old and new
//! handles.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;

use common::{alarm, fork, long, own, page, pause, samples, text, Child, Name, Random, Shared};
use shmetrics::{Counter, Error, Family, Format, Histogram, Options, Segment};

const WORKERS: usize = 6;
/// The most redefinitions of each family by each worker. The segment has room for the records.
const MOST_REDEFINITIONS: u32 = 200;
/// Updates that each worker does in the end, through the last definition of each family.
const LAST: u64 = 500;

/// A family in one of its two definitions: of a counter with one label more, or of a histogram with
/// one bucket more.
#[derive(Clone, Copy)]
enum Defined {
    One(Family<Counter, 1>),
    Two(Family<Counter, 2>),
    Observed(Family<Histogram, 1>),
}

#[derive(Clone, Copy)]
enum Held {
    Counter(Counter),
    Histogram(Histogram),
}

impl Defined {
    fn register(segment: &Segment, family: usize, definition: usize, replace: bool) -> Result<Self, Error> {
        let name = format!("family_{family}");
        macro_rules! register {
            ($builder:expr) => {
                if replace {
                    $builder.replace().register()
                } else {
                    $builder.register()
                }
            };
        }
        match (family % 2, definition) {
            (0, 0) => register!(segment.counter(&name, "").labels(["by"])).map(Defined::One),
            (0, _) => register!(segment.counter(&name, "").labels(["by", "more"])).map(Defined::Two),
            (_, 0) => register!(segment.histogram(&name, "").buckets(&[0.5]).labels(["by"])).map(Defined::Observed),
            _ => register!(segment.histogram(&name, "").buckets(&[0.5, 2.0]).labels(["by"])).map(Defined::Observed),
        }
    }

    /// In whichever of its definitions it is registered. `None`: it is replaced at this moment.
    fn find(segment: &Segment, family: usize) -> Option<Self> {
        (0..2).find_map(|definition| match Self::register(segment, family, definition, false) {
            Ok(found) => Some(found),
            Err(Error::Conflict(_)) => None,
            Err(error) => panic!("{error}"),
        })
    }

    fn with(&self, by: &str) -> Held {
        match self {
            Defined::One(family) => Held::Counter(family.with([by])),
            Defined::Two(family) => Held::Counter(family.with([by, "x"])),
            Defined::Observed(family) => Held::Histogram(family.with([by])),
        }
    }
}

impl Held {
    fn update(&self) {
        match self {
            Held::Counter(counter) => counter.inc(),
            Held::Histogram(histogram) => histogram.observe(1.0),
        }
    }
}

/// What the workers tell of themselves, for each: updates done to the steady family, whether one is
/// on its way, and updates done to its own family through the last definition.
struct Ledger(Shared);

impl Ledger {
    const STEADY: usize = 0;
    const INTENT: usize = WORKERS;
    const OWN: usize = 2 * WORKERS;
    const STOP: usize = 3 * WORKERS;
    const READY: usize = Self::STOP + 1;

    fn work(&self, me: usize, segment: &Segment, random: &mut Random) {
        let (words, by) = (&self.0, me.to_string());
        let steady = segment.counter("steady", "").labels(["by"]).register().unwrap().with([&by]);
        let define = |definition| {
            let defined = Defined::register(segment, me, definition, true).unwrap();
            words.set(Self::OWN + me, 0);
            defined
        };
        let count = |mine: &Defined| {
            mine.with("own").update();
            words.add(Self::OWN + me, 1);
        };
        let unregister = || segment.unregister(&format!("family_{me}")).unwrap();
        // This removes what the worker before has counted.
        unregister();
        let mut definition = me % 2;
        let mut mine = define(definition);
        let (mut before, mut held) = (mine, mine.with("own"));
        let mut known: Vec<Option<Defined>> = vec![None; WORKERS];
        let mut redefinitions = 0;
        while words.get(Self::STOP) == 0 {
            words.set(Self::INTENT + me, 1);
            steady.inc();
            words.add(Self::STEADY + me, 1);
            words.set(Self::INTENT + me, 0);
            count(&mine);
            known.iter().flatten().for_each(|family| family.with(&by).update());
            match random.below(64) {
                n @ 0..=1 if redefinitions < MOST_REDEFINITIONS => {
                    redefinitions += 1;
                    (before, held) = (mine, mine.with("own"));
                    if n == 1 {
                        unregister();
                    }
                    definition = 1 - definition;
                    mine = define(definition);
                    // These are of the definition before.
                    held.update();
                    before.with("own").update();
                }
                2..=5 => {
                    let other = random.below(WORKERS as u64) as usize;
                    known[other] = if other == me { None } else { Defined::find(segment, other).or(known[other]) };
                }
                6 if redefinitions > 0 => {
                    held.update();
                    before.with("own").update();
                }
                _ => {}
            }
        }
        // The end came in a redefinition, mostly.
        (0..LAST).for_each(|_| count(&mine));
        words.add(Self::READY, 1);
        while words.get(Self::READY) < WORKERS as u64 {
            pause(200);
        }
        for (family, old) in known.into_iter().enumerate() {
            let last = Defined::find(segment, family).expect("no other process redefines it now");
            for _ in 0..LAST {
                last.with("last").update();
                old.iter().for_each(|old| old.with(&by).update());
            }
        }
    }
}

/// The samples of a page, after checking that it is sound: each name stands there once, with the
/// labels of one definition.
fn sound(page: &str) -> BTreeMap<String, f64> {
    let mut families = HashSet::new();
    for head in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, _) = head.split_once(' ').unwrap();
        assert!(families.insert(name), "{name} stands twice on the page:\n{page}");
    }
    let all = samples(page);
    for family in 0..WORKERS {
        let of = |start: &str| {
            let start = start.to_owned();
            all.iter().filter(move |(sample, _)| sample.starts_with(&start))
        };
        let counters: Vec<bool> =
            of(&format!("family_{family}_total{{")).map(|(sample, _)| sample.contains(",more=\"x\"")).collect();
        assert!(counters.windows(2).all(|pair| pair[0] == pair[1]), "two definitions:\n{page}");
        let series: Vec<_> = of(&format!("family_{family}_count")).collect();
        let buckets = of(&format!("family_{family}_bucket")).count();
        assert!([0, 2 * series.len(), 3 * series.len()].contains(&buckets), "two definitions:\n{page}");
        for (sample, count) in series {
            let sum = sample.replace("_count{", "_sum{");
            let all_of = sample.replace("_count{", "_bucket{").replace('}', ",le=\"+Inf\"}");
            assert_eq!((all[&sum], all[&all_of]), (*count, *count), "{sample}:\n{page}");
        }
    }
    all
}

/// A page, as a whole or in small pieces, between which much happens.
fn look(name: &Name, segment: &Segment, random: &mut Random) -> BTreeMap<String, f64> {
    if random.below(2) == 0 {
        return sound(&page(segment));
    }
    let reader = name.reader();
    let (mut cursor, mut whole, mut piece) = (reader.page(Format::Text).cursor(), Vec::new(), [0; 256]);
    loop {
        match cursor.read(&mut piece).unwrap() {
            0 => return sound(&text(&whole)),
            n => whole.extend_from_slice(&piece[..n]),
        }
        pause(20);
    }
}

/// Stops, continues and kills workers at random.
fn storm(rounds: u64, kills: bool, seed: u64) {
    let name = Name::new("redefined");
    // One generation: whatever a process maps, it may redefine what the others have defined.
    let open = |options: Options| options.revision(1).open().unwrap();
    let segment = open(name.options());
    let ledger = Ledger(Shared::new(Ledger::READY + 1));
    let mut random = Random(seed);
    let start = |worker: usize, seed: u64| {
        fork(|| {
            alarm(300);
            let path = format!("/dev/shm/./{}", name.path().file_name().unwrap().to_str().unwrap());
            let segment = if seed % 2 == 0 { segment } else { open(Options::new().name(path).attach()) };
            ledger.work(worker, &segment, &mut Random(seed));
        })
    };
    let mut crew: Vec<(Child, bool)> = (0..WORKERS).map(|worker| (start(worker, random.next()), false)).collect();
    let mut in_flight = [0; WORKERS];
    let toggle = |(child, stopped): &mut (Child, bool)| {
        *stopped = !*stopped;
        child.signal(if *stopped { libc::SIGSTOP } else { libc::SIGCONT });
    };
    let steady = |shown: &BTreeMap<String, f64>, worker: usize| {
        shown.get(&format!("steady_total{{by=\"{worker}\"}}")).map_or(0, |n| *n as u64)
    };
    for _ in 0..rounds {
        toggle(&mut crew[random.below(WORKERS as u64) as usize]);
        pause(random.below(3000));
        let victim = random.below(WORKERS as u64) as usize;
        if kills && random.below(3) == 0 {
            std::mem::replace(&mut crew[victim].0, Child(0)).kill();
            in_flight[victim] += ledger.0.get(Ledger::INTENT + victim);
            ledger.0.set(Ledger::INTENT + victim, 0);
            crew[victim] = (start(victim, random.next()), false);
        }
        let done = ledger.0.snapshot();
        let shown = look(&name, &segment, &mut random);
        for worker in 0..WORKERS {
            let least = done[Ledger::STEADY + worker];
            assert!(steady(&shown, worker) >= least, "worker {worker}: {least} updates done, of {shown:?}");
        }
    }
    ledger.0.set(Ledger::STOP, 1);
    while !crew.is_empty() {
        let one = random.below(crew.len() as u64) as usize;
        toggle(&mut crew[one]);
        look(&name, &segment, &mut random);
        crew.retain_mut(|(child, _)| !child.has_ended());
    }
    let (done, shown) = (ledger.0.snapshot(), sound(&page(&segment)));
    for worker in 0..WORKERS {
        let (least, seen) = (done[Ledger::STEADY + worker], steady(&shown, worker));
        assert!((least..=least + in_flight[worker]).contains(&seen), "worker {worker}: {seen} shown, {least} done");
        let count = |by: &str| {
            let counted = [
                format!("family_{worker}_total{{by=\"{by}\"}}"),
                format!("family_{worker}_total{{by=\"{by}\",more=\"x\"}}"),
                format!("family_{worker}_count{{by=\"{by}\"}}"),
            ];
            counted.iter().find_map(|sample| shown.get(sample)).map_or(0, |n| *n as u64)
        };
        assert_eq!(count("own"), done[Ledger::OWN + worker], "by the last definition's handles alone, of {shown:?}");
        assert_eq!(count("last"), WORKERS as u64 * LAST, "through the last definition, of {shown:?}");
    }
    assert!(own(&segment, "shmetrics_stale_updates_total") > 0.0, "old handles were used");
    assert_eq!(own(&segment, "shmetrics_corrupt_records"), 0.0);
    assert_eq!(own(&segment, "shmetrics_overflow_lookups_total"), 0.0);
    assert_eq!(own(&segment, "shmetrics_updates_rejected_total"), 0.0);
    if !kills {
        assert_eq!(name.reader().verify(), Vec::<String>::new());
    }
}

#[test]
fn families_are_redefined_while_others_count_in_them() {
    let (times, rounds) = if long() { (50, 200) } else { (3, 60) };
    for seed in 0..times {
        storm(rounds, seed % 3 > 0, seed);
    }
}
