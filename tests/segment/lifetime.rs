//! From opening to removal: one mapping for a segment, names that come and go.

use std::os::unix::fs::MetadataExt;

use common::{fork, named, page, samples, text, Name};
use shmetrics::{Error, Format, GaugeMode, Options, Reader, Segment};

/// The lines in which the kernel tells of this process' mappings of a segment. (Their names are no
/// use: the creator's is that of a file that had none yet.)
fn mappings(name: &Name) -> Vec<String> {
    let inode = std::fs::metadata(name.path()).unwrap().ino().to_string();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|l| l.split_whitespace().nth(4) == Some(&inode)).map(str::to_owned).collect()
}

#[test]
fn opening_twice_maps_once() {
    let name = Name::new("mapping");
    let segments: Vec<Segment> = (0..10).map(|_| name.open()).collect();
    assert_eq!(mappings(&name).len(), 1);
    let counters: Vec<_> = segments.iter().map(|s| s.counter("c", "").register().unwrap()).collect();
    counters.iter().for_each(shmetrics::Counter::inc);
    assert_eq!(samples(&page(&segments[0]))["c_total"], 10.0);
    // A gauge with a value for each process: this is one process, however often it opens.
    let gauges: Vec<_> = segments.iter().map(|s| s.gauge("g", "", GaugeMode::LiveAll).register().unwrap()).collect();
    gauges.iter().for_each(shmetrics::Gauge::inc);
    assert_eq!(name.reader().inspect().processes.len(), 1);
}

#[test]
fn a_reader_unmaps_what_it_mapped() {
    let name = Name::new("mapping");
    fork(|| {
        name.open().counter("c", "").register().unwrap().inc();
    })
    .join();
    let readers: Vec<Reader> = (0..3).map(|_| name.reader()).collect();
    assert_eq!(mappings(&name).len(), 3);
    drop(readers);
    assert_eq!(mappings(&name).len(), 0);
}

#[test]
fn a_reader_is_read_only() {
    let name = Name::new("mapping");
    fork(|| {
        name.open();
    })
    .join();
    let _reader = name.reader();
    let lines = mappings(&name);
    assert!(lines.len() == 1 && lines[0].split_whitespace().nth(1) == Some("r--s"), "{lines:?}");
}

#[test]
fn a_removed_segment_goes_on_unseen_and_its_name_begins_anew() {
    let name = Name::new("removal");
    let (old, old_reader) = (name.open(), name.reader());
    let c = old.counter("c", "").register().unwrap();
    c.inc_by(5);
    assert!(old.is_current() && old_reader.is_current());
    Segment::remove(&name.0).unwrap();
    assert!(!old.is_current() && !old_reader.is_current());
    assert!(matches!(Segment::remove(&name.0), Err(Error::NotFound(p)) if p == name.path()));
    assert!(matches!(Reader::open(&name.0), Err(Error::NotFound(_))));
    c.inc();
    let new = name.open();
    assert!(new.is_current() && !old.is_current());
    assert_eq!(page(&new), "");
    new.counter("c", "").register().unwrap().inc_by(100);
    c.inc();
    assert_eq!(samples(&page(&old))["c_total"], 7.0, "who has it mapped goes on");
    assert_eq!(samples(&text(&old_reader.render(Format::Text)))["c_total"], 7.0);
    assert_eq!(samples(&page(&new))["c_total"], 100.0);
    assert_eq!(samples(&text(&name.reader().render(Format::Text)))["c_total"], 100.0);
}

#[test]
fn a_segment_outlives_its_processes() {
    let name = Name::new("outlives");
    for n in 1..=3 {
        fork(|| {
            let segment = name.open();
            segment.counter("c", "").register().unwrap().inc();
            segment.gauge("g", "", GaugeMode::Shared).register().unwrap().add(2.0);
            segment.histogram("h", "").register().unwrap().observe(1.0);
        })
        .join();
        let s = samples(&text(&name.reader().render(Format::Text)));
        assert_eq!((s["c_total"], s["g"], s["h_count"]), (f64::from(n), 2.0 * f64::from(n), f64::from(n)));
    }
}

#[test]
fn an_anonymous_segment_has_no_name_and_stays_current() {
    let (one, two) = (Options::new().anonymous().max_size(1 << 20), Options::new().anonymous().max_size(1 << 20));
    let (one, two) = (one.open().unwrap(), two.open().unwrap());
    assert_eq!((one.path(), one.is_current()), (None, true));
    one.counter("c", "").register().unwrap().inc();
    assert_eq!(page(&two), "", "each is its own");
    let inspection = one.reader().inspect();
    assert_eq!((inspection.name.as_str(), inspection.path), ("anonymous", None));
}

#[test]
fn readers_and_writers_may_be_used_from_any_thread() {
    let segment = named("threads");
    let c = segment.counter("c", "").labels(["n"]).register().unwrap();
    let reader = segment.reader();
    std::thread::scope(|s| {
        for t in 0..4 {
            s.spawn(move || (0..2000).for_each(|i| c.with([&((i + t * 500) % 1000).to_string()]).inc()));
            s.spawn(|| (0..20).for_each(|_| drop(samples(&text(&reader.render(Format::Text))))));
        }
    });
    let s = samples(&page(&segment));
    assert_eq!((s.len(), s.values().sum::<f64>()), (1000, 8000.0));
}
