//! Tests of the data about a segment as a whole: the processes that have it open, its last update,
//! and whether its name leads to it.

use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{anonymous, fork, fork_many, named, own, samples, until, Directory, Gate, Name};
use shmetrics::{Exposition, Format, GaugeMode, Options, Reader, Segment};

fn sample(reader: &Reader, name: &str) -> Option<f64> {
    let page = String::from_utf8(reader.render(Format::Text)).unwrap();
    samples(&page).get(name).copied()
}

const ATTACHED: &str = "shmetrics_processes{state=\"attached\"}";
const IN_USE: &str = "shmetrics_segment_in_use";
const CURRENT: &str = "shmetrics_segment_current";
const UPDATED: &str = "shmetrics_last_update_timestamp_seconds";

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// A child that one test forks has the segments of all others open: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn processes_that_only_count_are_counted() {
    let _alone = alone();
    let name = Name::new("attached");
    let (ready, stay, made) = (Gate::new(), Gate::new(), Gate::new());
    let master = fork(|| {
        let segment = name.open();
        let counter = segment.counter("c", "").register().unwrap();
        made.signal();
        let workers = fork_many(3, |_| {
            counter.inc();
            ready.signal();
            stay.wait();
        });
        stay.wait();
        drop(workers);
    });
    made.wait();
    for _ in 0..3 {
        ready.wait();
    }
    let reader = name.reader();
    assert_eq!((sample(&reader, ATTACHED), sample(&reader, IN_USE)), (Some(4.0), Some(1.0)));
    assert_eq!((reader.attached(), reader.is_in_use()), (Some(4), Some(true)));
    // A page of a writer, which is one itself.
    let segment = name.open();
    assert_eq!(own(&segment, ATTACHED), 5.0);
    // Killed, the master takes nothing with it but itself.
    master.kill();
    // The kernel lets go of a process' files just after its parent learns of its death.
    until("the master is gone", || reader.attached() == Some(4));
    (0..3).for_each(|_| stay.signal());
}

#[test]
fn killed_processes_leave_nothing_behind() {
    let _alone = alone();
    let name = Name::new("killed");
    let reader = {
        let (ready, never) = (Gate::new(), Gate::new());
        let child = fork(|| {
            name.open().counter("c", "").register().unwrap().inc();
            ready.signal();
            never.wait();
        });
        ready.wait();
        let reader = name.reader();
        assert_eq!((reader.attached(), reader.is_in_use()), (Some(1), Some(true)));
        child.kill();
        reader
    };
    until("the kernel knows", || reader.is_in_use() == Some(false));
    assert_eq!((sample(&reader, ATTACHED), sample(&reader, IN_USE)), (Some(0.0), Some(0.0)));
    assert_eq!(sample(&reader, "c_total"), Some(1.0), "the last values stay");
    // The next process makes a new page of System V memory in place of the one that the kernel
    // destroyed.
    let segment = name.open();
    assert_eq!((reader.attached(), own(&segment, ATTACHED)), (Some(1), 1.0));
}

#[test]
fn a_process_is_one_however_often_it_opens_the_segment() {
    let _alone = alone();
    let name = Name::new("once");
    let segment = name.open();
    let _again = name.open();
    let _apart = name.options().separate_mapping(true).open().unwrap();
    assert_eq!(own(&segment, ATTACHED), 1.0);
    let anonymous = anonymous();
    assert_eq!(own(&anonymous, ATTACHED), 1.0);
    let (ready, stay) = (Gate::new(), Gate::new());
    let child = fork(|| {
        ready.signal();
        stay.wait();
    });
    ready.wait();
    assert_eq!((own(&anonymous, ATTACHED), own(&segment, ATTACHED)), (2.0, 2.0));
    stay.signal();
    child.join();
    assert_eq!((own(&anonymous, ATTACHED), own(&segment, ATTACHED)), (1.0, 1.0));
}

#[test]
fn a_program_that_is_executed_is_no_process_of_the_segment() {
    let _alone = alone();
    let segment = named("exec");
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    assert_eq!(own(&segment, ATTACHED), 1.0);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_segment_made_anew_has_processes_of_its_own() {
    let _alone = alone();
    let name = Name::new("anew");
    let old = name.open();
    std::fs::remove_file(name.path()).unwrap();
    let new = name.open();
    assert_eq!((own(&old, ATTACHED), own(&new, ATTACHED)), (1.0, 1.0));
    assert_eq!((own(&old, CURRENT), own(&new, CURRENT)), (0.0, 1.0));
}

#[test]
fn a_copy_of_a_segment_has_processes_of_its_own() {
    let _alone = alone();
    let (name, copy) = (Name::new("original"), Name::new("copy"));
    let ready = Gate::new();
    let child = fork(|| {
        Options::new().name(&name.0).max_size(512 << 10).open().unwrap();
        ready.signal();
        std::thread::sleep(Duration::from_secs(60));
    });
    ready.wait();
    std::fs::copy(name.path(), copy.path()).unwrap();
    let reader = copy.reader();
    assert_eq!((reader.is_in_use(), reader.attached()), (Some(false), Some(0)));
    let segment = copy.open();
    assert_eq!((own(&segment, ATTACHED), reader.attached()), (1.0, Some(1)));
    assert_eq!(name.reader().attached(), Some(1), "the original's are not disturbed");
    child.kill();
}

#[test]
fn the_processes_of_a_name_are_asked_for_without_a_look_at_what_is_in_it() {
    let _alone = alone();
    let name = Name::new("in-use");
    assert!(matches!(Segment::is_in_use(&name.0), Err(shmetrics::Error::NotFound(_))));
    std::fs::write(name.path(), "no segment").unwrap();
    assert!(!Segment::is_in_use(&name.0).unwrap());
    std::fs::remove_file(name.path()).unwrap();
    let _segment = name.open();
    assert!(Segment::is_in_use(&name.0).unwrap());
}

#[test]
fn a_process_learns_that_its_segment_was_removed() {
    let _alone = alone();
    let directory = Directory::new("current");
    let name = directory.name("app");
    let segment = Segment::open(&name).unwrap();
    assert!(segment.is_current() && own(&segment, CURRENT) == 1.0 && segment.next_warning().is_none());
    std::fs::remove_file(&name).unwrap();
    assert!(!segment.is_current() && own(&segment, CURRENT) == 0.0);
    let told = segment.next_warning().unwrap();
    assert!(told.contains(&name) && told.contains("removed or replaced") && told.contains("restart"), "{told}");
    assert_eq!(segment.next_warning(), None, "it is told once");
    assert!(segment.reader().inspect().current == Some(false));

    // Removed with its directory, and another one in its place.
    let second = Segment::open(&name).unwrap();
    std::fs::remove_dir_all(&directory.0).unwrap();
    assert_eq!((second.is_current(), own(&second, CURRENT)), (false, 0.0));
    std::fs::create_dir(&directory.0).unwrap();
    let _third = Segment::open(&name).unwrap();
    assert_eq!((second.is_current(), own(&second, CURRENT)), (false, 0.0));
    let anonymous = anonymous();
    assert!(anonymous.is_current() && sample(&anonymous.reader(), CURRENT).is_none());
}

#[test]
fn a_path_that_means_something_else_by_now_is_no_removal() {
    let _alone = alone();
    let directory = Directory::new("elsewhere");
    let path = directory.name("app");
    // The working directory is the whole process'.
    fork(|| {
        std::env::set_current_dir(&directory.0).unwrap();
        let segment = Options::new().name("./app").open().unwrap();
        std::env::set_current_dir("/").unwrap();
        assert!(segment.is_current());
        assert_ne!(sample(&segment.reader(), CURRENT), Some(0.0));
        assert_eq!(segment.next_warning(), None);
        std::fs::remove_file(&path).unwrap();
        assert!(!segment.is_current(), "without a name in any directory it is removed");
    })
    .join();
}

#[test]
fn the_last_update_is_when_a_page_first_saw_it() {
    let _alone = alone();
    let name = Name::new("updated");
    let begin = now();
    let segment = name.open();
    let counter = segment.counter("c", "").register().unwrap();
    let gauge = segment.gauge("g", "", GaugeMode::LiveSum).register().unwrap();
    let histogram = segment.histogram("h", "").buckets(&[1.0, 2.0]).register().unwrap();
    let labelled = segment.counter("l", "").labels(["a"]).register().unwrap();
    gauge.set(1.0);
    let pause = || std::thread::sleep(Duration::from_millis(30));
    let reader = name.reader();
    let updates: [&dyn Fn(); 6] = [
        &|| counter.inc(),
        &|| counter.add(0.5),
        &|| gauge.set(now()),
        &|| histogram.observe(0.0),
        &|| _ = labelled.with(["new"]),
        &|| _ = labelled.remove(["new"]),
    ];
    // Pages of readers and of writers, each by themselves and with each other.
    let views = [segment.reader(), name.reader(), reader];
    for (i, view) in views.iter().enumerate() {
        let mut last = sample(view, UPDATED).unwrap();
        assert!(last >= begin - 0.1 && last <= now(), "{last} {begin}");
        for (update, change) in updates.iter().enumerate() {
            pause();
            assert_eq!(sample(view, UPDATED), Some(last), "nothing has changed: {i} {update}");
            pause();
            change();
            let seen = sample(view, UPDATED).unwrap();
            assert!(seen > last && seen <= now() + 0.01, "{i} {update}: {seen} {last}");
            last = seen;
        }
    }
}

#[test]
fn formats_and_filters_do_not_disturb_the_last_update() {
    let _alone = alone();
    let segment = named("formats");
    let counter = segment.counter("c", "").labels(["a"]).register().unwrap();
    for i in 0..300 {
        counter.with([&*format!("\"{i}")]).inc();
    }
    counter.with(["x"]).inc_with_exemplar(&[("trace", "1")]);
    segment.gauge("g", "", GaugeMode::LiveAll).register().unwrap().set(1.0);
    segment.summary("s", "").quantiles(&[0.5]).register().unwrap().observe(2.0);
    for reader in [segment.reader(), segment.reader()] {
        let last = sample(&reader, UPDATED).unwrap();
        std::thread::sleep(Duration::from_millis(30));
        for format in [Format::Protobuf, Format::OpenMetrics, Format::OpenMetrics2, Format::Text] {
            reader.render(format);
        }
        let mut piece = [0; 100];
        let mut cursor = reader.page(Exposition::from(Format::Protobuf)).cursor();
        while cursor.read(&mut piece).unwrap() > 0 {}
        reader.page(Format::Text).only(["g"]).render();
        assert_eq!(sample(&reader, UPDATED), Some(last));
        let update = reader.last_update().unwrap();
        assert!(update.is_last || reader.last_update().is_some());
    }
}

#[test]
fn a_reader_tells_what_it_knows_of_the_last_update() {
    let _alone = alone();
    let segment = named("known");
    let counter = segment.counter("c", "").register().unwrap();
    let soon = SystemTime::now() + Duration::from_millis(50);
    std::thread::sleep(Duration::from_millis(100));
    counter.inc();
    // No page of a writer has seen it.
    let reader = segment.reader();
    for _ in 0..2 {
        let update = reader.last_update().unwrap();
        assert!(!update.is_last && update.at < soon, "{update:?}");
    }
    counter.inc();
    let update = reader.last_update().unwrap();
    assert!(update.is_last && update.at > soon, "{update:?}");
    // A writer's page has: every reader knows.
    segment.render(Format::Text);
    assert!(segment.reader().last_update().unwrap().is_last);
}
