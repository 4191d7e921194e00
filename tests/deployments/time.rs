//! Time namespaces, and processes without `/proc`.

use std::time::Duration;

use shmetrics::{Format, GaugeMode, Options, Segment};

use common::{fork, is_root, join_all, note, own, page, samples, text, Gate, Name};

const CLONE_NEWTIME: i32 = 0x80;

/// Puts this process' later children into a time namespace whose clocks are so many seconds ahead.
fn unshare_time(seconds: i64) {
    // SAFETY: a plain call.
    assert_eq!(unsafe { libc::unshare(CLONE_NEWTIME) }, 0, "{}", std::io::Error::last_os_error());
    std::fs::write("/proc/self/timens_offsets", format!("monotonic {seconds} 0\nboottime {seconds} 0")).unwrap();
}

fn possible(test: &str) -> bool {
    let possible = is_root() && std::path::Path::new("/proc/self/ns/time").exists();
    if !possible {
        note(&format!("skipped: {test} (needs root and time namespaces)"));
    }
    possible
}

/// Of a clock that has run for as long as this, a namespace can take off so much.
fn offsets() -> [i64; 3] {
    let up: f64 = std::fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap();
    [-(up as i64 - 1).min(600), 3600, 10 * 365 * 86_400]
}

fn families(segment: &Segment) -> (shmetrics::Gauge, shmetrics::Gauge, shmetrics::Summary) {
    let live = segment.gauge("live", "", GaugeMode::LiveMostRecent).register().unwrap();
    let all = segment.gauge("all", "", GaugeMode::All).register().unwrap();
    let time = Duration::from_secs(60);
    let summary = segment.summary("s", "").quantiles(&[0.5]).max_age(time).register().unwrap();
    let idle = segment.counter("c", "").labels(["n"]).expire_after(Duration::from_secs(60)).register().unwrap();
    idle.with(["a"]).inc_by(7);
    (live, all, summary)
}

/// What a process in another time namespace does, and one in the initial one after it. `open`: how
/// the first has the segment.
fn in_turn(name: &Name, segment: &Segment, offset: i64, open: &dyn Fn() -> Segment) {
    let (live, all, summary) = families(segment);
    let (done, end) = (Gate::new(), Gate::new());
    summary.observe(4.0);
    let value = |page: &str, name: &str| samples(page)[name];
    let children: Vec<_> = (1..=4)
        .map(|i| {
            let child = fork(|| {
                // Every second one lives in the other namespace.
                if i % 2 == 0 {
                    unshare_time(offset);
                }
                let grandchild = fork(|| {
                    let segment = open();
                    let (live, all, summary) = families(&segment);
                    segment.set_identity(3);
                    live.set(f64::from(i));
                    all.set(f64::from(i));
                    summary.observe(4.0);
                    (0..3).for_each(|_| _ = page(&segment));
                    done.signal();
                    end.wait();
                });
                grandchild.join();
            });
            done.wait();
            for page in [page(segment), text(&name.reader().render(Format::Text))] {
                assert_eq!(value(&page, "live"), f64::from(i), "offset {offset}");
                assert_eq!(value(&page, "all{pid=\"3\"}"), f64::from(i), "offset {offset}");
                assert!((value(&page, "s{quantile=\"0.5\"}") - 4.0).abs() < 0.1, "offset {offset}");
                // Each process has updated it, so it is there in any case; it has never begun anew.
                assert_eq!(value(&page, "c_total{n=\"a\"}"), f64::from(7 * (i + 1)), "offset {offset}");
            }
            std::thread::sleep(Duration::from_millis(2));
            child
        })
        .collect();
    live.set(9.0);
    all.set(1.0);
    assert_eq!(value(&page(segment), "live"), 9.0);
    (0..4).for_each(|_| end.signal());
    join_all(children);
    assert_eq!(value(&page(segment), "all{pid=\"3\"}"), 4.0, "the newest of dead ones");
    assert_eq!(own(segment, "shmetrics_series_removed_total"), 0.0);
}

#[test]
fn processes_in_time_namespaces_agree_on_the_time_when_they_open() {
    if !possible("processes_in_time_namespaces_agree_on_the_time_when_they_open") {
        return;
    }
    for offset in offsets() {
        let name = Name::new("timens");
        let segment = name.open();
        in_turn(&name, &segment, offset, &|| name.open());
    }
}

#[test]
fn children_in_time_namespaces_inherit_a_mapping() {
    if !possible("children_in_time_namespaces_inherit_a_mapping") {
        return;
    }
    for offset in offsets() {
        let name = Name::new("timens");
        let segment = name.open();
        in_turn(&name, &segment, offset, &|| segment);
    }
}

/// `unshare(CLONE_NEWTIME)` does not move the caller's own clock, but the file of offsets tells of
/// its children's.
#[test]
fn a_process_that_has_unshared_its_time_opens_a_segment() {
    if !possible("a_process_that_has_unshared_its_time_opens_a_segment") {
        return;
    }
    for offset in offsets() {
        let name = Name::new("timens");
        let segment = name.open();
        let (live, ..) = families(&segment);
        live.set(1.0);
        fork(|| {
            unshare_time(offset);
            let own = Options::new().name(&name.0).separate_mapping(true).open().unwrap();
            let (mine, ..) = families(&own);
            mine.set(2.0);
            assert_eq!(samples(&page(&segment))["live"], 2.0, "offset {offset}");
            // Its child is in the new namespace.
            fork(|| {
                mine.set(3.0);
                assert_eq!(samples(&page(&segment))["live"], 3.0, "offset {offset}");
            })
            .join();
        })
        .join();
        live.set(4.0);
        assert_eq!(samples(&page(&segment))["live"], 4.0);
    }
}

/// Without `/proc` a process cannot read which boot it is in, and how its clock is shifted.
#[test]
fn processes_without_proc_share_the_clock() {
    if !is_root() {
        note("skipped: processes_without_proc_share_the_clock (needs root)");
        return;
    }
    for creator_has_proc in [true, false] {
        let name = Name::new("timens");
        let without = |f: &dyn Fn()| {
            fork(|| {
                // SAFETY: plain calls with C strings; the mount namespace is this child's own.
                unsafe {
                    assert_eq!(libc::unshare(libc::CLONE_NEWNS), 0);
                    let (none, slow) = (std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE);
                    assert_eq!(libc::mount(none, c"/".as_ptr(), none, slow, none.cast()), 0);
                    let tmpfs = c"tmpfs".as_ptr();
                    assert_eq!(libc::mount(tmpfs, c"/proc".as_ptr(), tmpfs, 0, none.cast()), 0);
                }
                f();
            })
            .join();
        };
        let open = || {
            let segment = name.open();
            families(&segment).0.set(1.0);
        };
        if creator_has_proc {
            fork(open).join();
        } else {
            without(&open);
        }
        let segment = name.open();
        let (live, _, summary) = families(&segment);
        live.set(2.0);
        summary.observe(4.0);
        without(&|| {
            let own = Options::new().name(&name.0).separate_mapping(true).open().unwrap();
            let (mine, ..) = families(&own);
            mine.set(3.0);
            for page in [page(&own), page(&segment)] {
                assert_eq!(samples(&page)["live"], 3.0);
                assert!((samples(&page)["s{quantile=\"0.5\"}"] - 4.0).abs() < 0.1);
            }
        });
        live.set(5.0);
        assert_eq!(samples(&page(&segment))["live"], 5.0);
    }
}
