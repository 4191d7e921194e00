//! Processes create, attach and remove one name at the same moment, and some of them are killed.
//! All processes get the same whole segment, and nothing else is left behind.
//! `SHMETRICS_RACE_ROUNDS` sets the number of rounds.

use std::os::unix::fs::MetadataExt;

use common::{alarm, fork, fork_many, join_all, long, page, pause, samples, Child, Directory, Random, Shared};
use shmetrics::{Error, Format, Options, Reader, Segment};

const RACERS: usize = 64;

fn rounds() -> u64 {
    let asked =
        std::env::var("SHMETRICS_RACE_ROUNDS").ok().map(|n| n.parse().expect("SHMETRICS_RACE_ROUNDS: a number"));
    asked.unwrap_or(if long() { 1000 } else { 60 })
}

fn options(name: &str) -> Options {
    Options::new().name(name).max_size(1 << 20)
}

fn inode(segment: &Segment) -> u64 {
    let descriptor = segment.as_fd().expect("a native segment has a descriptor");
    let file = descriptor.try_clone_to_owned().unwrap();
    std::fs::File::from(file).metadata().unwrap().ino()
}

/// What the racers tell: the inode each is attached to, whether it is about to count and whether it
/// has.
struct Told(Shared);

impl Told {
    const GO: usize = 0;
    const INODE: usize = 1;
    const INTENT: usize = 1 + RACERS;
    const DONE: usize = 1 + 2 * RACERS;

    fn new() -> Self {
        Told(Shared::new(1 + 3 * RACERS))
    }

    fn wait_for_go(&self) {
        while self.0.get(Self::GO) == 0 {
            std::thread::yield_now();
        }
    }
}

/// One way to come to the segment; none may ever see anything but a whole segment or none.
fn come(racer: usize, name: &str) -> Segment {
    match racer % 4 {
        0 => match options(name).create_new().open() {
            Err(Error::AlreadyExists(_)) => options(name).attach().open().unwrap(),
            result => result.unwrap(),
        },
        1 => loop {
            match options(name).attach().open() {
                Err(Error::NotFound(_)) => std::thread::yield_now(),
                result => return result.unwrap(),
            }
        },
        2 => loop {
            match Reader::open(name) {
                Err(Error::NotFound(_)) => std::thread::yield_now(),
                result => {
                    let page = String::from_utf8(result.unwrap().render(Format::Text)).unwrap();
                    assert_eq!(samples(&page)["shmetrics_corrupt_records"], 0.0);
                    return options(name).open().unwrap();
                }
            }
        },
        _ => options(name).open().unwrap(),
    }
}

fn race(name: &str, told: &Told, racer: usize) {
    alarm(120);
    told.wait_for_go();
    let segment = come(racer, name);
    told.0.set(Told::INODE + racer, inode(&segment));
    let counter = segment.counter("arrivals", "").register().unwrap();
    told.0.set(Told::INTENT + racer, 1);
    counter.inc();
    told.0.set(Told::DONE + racer, 1);
}

fn round(directory: &Directory, random: &mut Random) {
    let name = directory.name("segment");
    let told = Told::new();
    let mut racers: Vec<Child> = (0..RACERS).map(|i| fork(|| race(&name, &told, i))).collect();
    told.0.set(Told::GO, 1);
    let mut killed = Vec::new();
    for _ in 0..random.below(12) {
        pause(random.below(400));
        // The last racer survives every round, and creates the segment if no other racer does.
        let victim = random.below(RACERS as u64 - 1) as usize;
        if !killed.contains(&victim) {
            std::mem::replace(&mut racers[victim], Child(0)).kill();
            killed.push(victim);
        }
    }
    racers.into_iter().filter(|c| c.0 != 0).for_each(Child::join);
    assert_eq!(directory.files(), ["segment"], "nothing but the segment is left");
    let inode = std::fs::metadata(&name).unwrap().ino();
    let about = |word: usize| (0..RACERS).map(|i| told.0.get(word + i)).sum::<u64>();
    for racer in 0..RACERS {
        let its = told.0.get(Told::INODE + racer);
        assert!(its == inode || (its == 0 && killed.contains(&racer)), "racer {racer}: inode {its}, not {inode}");
    }
    let arrivals = samples(&page(&options(&name).attach().open().unwrap()))["arrivals_total"] as u64;
    assert!((about(Told::DONE)..=about(Told::INTENT)).contains(&arrivals), "{arrivals} arrivals counted");
    assert!(about(Told::DONE) >= (RACERS - killed.len()) as u64, "all survivors have counted");
    Segment::remove(&name).unwrap();
}

#[test]
fn all_who_race_for_a_name_get_the_same_whole_segment() {
    let directory = Directory::new("race");
    let mut random = Random(64);
    // A writer's mapping stays for the life of the process: a process for each round.
    for _ in 0..rounds() {
        let seed = random.next();
        fork(|| round(&directory, &mut Random(seed))).join();
    }
    assert_eq!(directory.files(), [""; 0]);
}

#[test]
fn removing_the_name_all_the_while_makes_new_segments_and_no_errors() {
    let directory = Directory::new("removal");
    let name = directory.name("segment");
    let rounds = rounds() as usize;
    let openers = fork_many(8, |i| {
        alarm(300);
        for _ in 0..rounds {
            let segment = options(&name).open().unwrap();
            segment.counter("c", "").register().unwrap().inc();
            assert!(samples(&page(&segment))["c_total"] >= 1.0);
            if i % 2 == 0 {
                assert!(matches!(Segment::remove(&name), Ok(()) | Err(Error::NotFound(_))));
            }
        }
    });
    join_all(openers);
    assert!(directory.files().iter().all(|f| f == "segment"), "{:?}", directory.files());
}
