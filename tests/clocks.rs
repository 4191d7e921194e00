//! Tests of clocks that step, that run on while the machine is suspended, and that begin anew in
//! another boot.
//!
//! This program has its own `clock_gettime`, which the library and std call in place of the C
//! library's. So the tests can move the clocks of all processes of this program, and of no other
//! program.
#![cfg(target_os = "linux")]

use std::sync::atomic::{AtomicI64, AtomicPtr, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use common::file::Bytes;
use common::{fork, named, own, page, samples, Gate, Name};
use shmetrics::{Exposition, Format, GaugeMode, Options, Segment};

/// {wall clock, time since the boot}, in nanoseconds: what is added to the true clocks of all
/// processes.
static STEPS: AtomicPtr<[AtomicI64; 2]> = AtomicPtr::new(std::ptr::null_mut());
const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;
const YEAR: i64 = 8766 * HOUR;

/// # Safety
/// The same as for the function of the C library.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(id: libc::clockid_t, to: *mut libc::timespec) -> libc::c_int {
    // SAFETY: the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, id, to) } as libc::c_int;
    // SAFETY: the words are never unmapped.
    if let (0, Some([wall, boot])) = (result, unsafe { STEPS.load(SeqCst).as_ref() }) {
        let step = match id {
            libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => wall.load(SeqCst),
            libc::CLOCK_BOOTTIME => boot.load(SeqCst),
            _ => 0,
        };
        // SAFETY: the call above has filled it in.
        let to = unsafe { &mut *to };
        let ns = to.tv_sec * SECOND + to.tv_nsec + step;
        (to.tv_sec, to.tv_nsec) = (ns.div_euclid(SECOND), ns.rem_euclid(SECOND));
    }
    result
}

/// The clocks, for one test at a time. True again when it is dropped.
struct Clocks(#[allow(dead_code)] MutexGuard<'static, ()>);

#[allow(clippy::unused_self)] // Only the holder of the guard moves the clocks.
impl Clocks {
    fn new() -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        let guard = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if STEPS.load(SeqCst).is_null() {
            // SAFETY: a new mapping that children share.
            let page = unsafe {
                let (write, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
                libc::mmap(std::ptr::null_mut(), 4096, write, shared, -1, 0)
            };
            assert_ne!(page, libc::MAP_FAILED);
            STEPS.store(page.cast(), SeqCst);
        }
        Clocks(guard)
    }

    fn steps() -> &'static [AtomicI64; 2] {
        // SAFETY: mapped by `new` and never unmapped.
        unsafe { &*STEPS.load(SeqCst) }
    }

    /// Sets the wall clock so far from the true time.
    fn set_wall(&self, step: i64) {
        Self::steps()[0].store(step, SeqCst);
    }

    /// Lets time pass as while the machine is suspended: the wall clock and the time since the boot
    /// go on.
    fn pass(&self, ns: i64) {
        Self::steps().iter().for_each(|step| _ = step.fetch_add(ns, SeqCst));
    }
}

impl Drop for Clocks {
    fn drop(&mut self) {
        Self::steps().iter().for_each(|step| step.store(0, SeqCst));
    }
}

fn put(name: &Name, at: u64, value: u64) {
    Bytes::of(name.path()).put(at, value);
}

fn get(name: &Name, at: u64) -> u64 {
    Bytes::of(name.path()).get(at)
}

const CREATED_NS: u64 = 40;
const CLOCK_BOOT: u64 = 2800;
const CLOCK_BASE: u64 = 2808;

const STEPS_OF_THE_WALL_CLOCK: [i64; 7] = [-56 * YEAR, -YEAR, -HOUR, -SECOND, SECOND, 2 * HOUR, 80 * YEAR];

/// Families whose series expire, with a series each.
fn expiring(segment: &Segment, time: u64) -> shmetrics::Family<shmetrics::Counter, 1> {
    let family = segment.counter("c", "").labels(["n"]).expire_after(Duration::from_secs(time)).register().unwrap();
    family.with(["a"]).inc_by(1000);
    family
}

#[test]
fn steps_of_the_wall_clock_remove_nothing() {
    let clocks = Clocks::new();
    for first in STEPS_OF_THE_WALL_CLOCK {
        clocks.set_wall(first);
        let name = Name::new("clocks");
        let segment = name.open();
        let family = expiring(&segment, 600);
        (0..3).for_each(|_| assert_eq!(samples(&page(&segment))["c_total{n=\"a\"}"], 1000.0));
        for second in STEPS_OF_THE_WALL_CLOCK {
            clocks.set_wall(second);
            for _ in 0..3 {
                assert_eq!(samples(&page(&segment))["c_total{n=\"a\"}"], 1000.0, "{first} {second}");
                fork(|| assert_eq!(samples(&page(&name.open()))["c_total{n=\"a\"}"], 1000.0)).join();
            }
        }
        assert_eq!(own(&segment, "shmetrics_series_removed_total"), 0.0);
        family.with(["a"]).inc();
        assert_eq!(samples(&page(&segment))["c_total{n=\"a\"}"], 1001.0);
    }
}

/// What is in the header of the wall clock says when the segment was made, and decides nothing.
#[test]
fn the_time_of_creation_decides_nothing() {
    let _clocks = Clocks::new();
    for created in [0, 1, 3600, u64::MAX] {
        let name = Name::new("clocks");
        fork(|| _ = expiring(&name.open(), 600)).join();
        let true_one = get(&name, CREATED_NS);
        put(&name, CREATED_NS, if created == 3600 { true_one - 3_600_000_000_000 } else { created });
        fork(|| {
            let segment = name.open();
            let recent = segment.gauge("r", "", GaugeMode::LiveMostRecent).register().unwrap();
            (0..3).for_each(|_| assert_eq!(samples(&page(&segment))["c_total{n=\"a\"}"], 1000.0));
            recent.set(1.0);
            fork(|| {
                recent.set(2.0);
                assert_eq!(samples(&page(&segment))["r"], 2.0);
            })
            .join();
            assert_eq!(own(&segment, "shmetrics_series_removed_total"), 0.0);
        })
        .join();
    }
}

#[test]
fn steps_of_the_wall_clock_decide_no_order() {
    let clocks = Clocks::new();
    for step in STEPS_OF_THE_WALL_CLOCK {
        clocks.set_wall(0);
        let name = Name::new("clocks");
        let segment = name.open();
        let live = segment.gauge("live", "", GaugeMode::LiveMostRecent).register().unwrap();
        let recent = segment.gauge("recent", "", GaugeMode::MostRecent).register().unwrap();
        let all = segment.gauge("all", "", GaugeMode::All).register().unwrap();
        let (done, end) = (Gate::new(), Gate::new());
        let set = |value: f64| {
            segment.set_identity(7);
            // Many updates count no more than one.
            (0..1000).for_each(|_| live.set(value));
            recent.set(value);
            all.set(value);
            done.signal();
        };
        let first = fork(|| {
            set(1.0);
            end.wait();
        });
        done.wait();
        clocks.set_wall(step);
        let second = fork(|| {
            segment.set_identity(7);
            live.set(2.0);
            recent.set(2.0);
            all.set(2.0);
            done.signal();
            end.wait();
        });
        done.wait();
        let shown = samples(&page(&segment));
        let what = ["live", "recent", "all{pid=\"7\"}"].map(|name| shown[name]);
        assert_eq!(what, [2.0, 2.0, 2.0], "after a step of {step} ns");
        (0..2).for_each(|_| end.signal());
        first.join();
        second.join();
        assert_eq!(samples(&page(&segment))["all{pid=\"7\"}"], 2.0, "of two dead ones the newer");
    }
}

#[test]
fn quantiles_and_exemplars_go_by_the_time_that_passes() {
    let clocks = Clocks::new();
    for step in STEPS_OF_THE_WALL_CLOCK {
        clocks.set_wall(0);
        let segment = named("clocks");
        let summary = segment.summary("s", "").quantiles(&[0.5]).max_age(Duration::from_secs(60)).register().unwrap();
        let counter = segment.counter("c", "").register().unwrap();
        counter.inc_with_exemplar(&[("n", "0")]);
        (0..10).for_each(|_| summary.observe(5.0));
        let median = || {
            let pages = [page(&segment), common::text(&segment.reader().render(Format::Text))];
            pages.map(|p| samples(&p)["s{quantile=\"0.5\"}"])
        };
        assert!(median().iter().all(|v| (v - 5.0).abs() < 0.1));
        clocks.set_wall(step);
        assert!(median().iter().all(|v| (v - 5.0).abs() < 0.1), "{:?} after a step of {step} ns", median());
        summary.observe(5.0);
        counter.inc_with_exemplar(&[("n", "1")]);
        let exemplar = || {
            let page = String::from_utf8(segment.render(Format::OpenMetrics)).unwrap();
            page.split(" # {n=\"").nth(1).unwrap()[..1].to_owned()
        };
        assert_eq!(exemplar(), "0", "less than a second has passed");
        clocks.pass(2 * SECOND);
        // The coarse clock is compared with the other ten times a second.
        std::thread::sleep(Duration::from_millis(150));
        counter.inc_with_exemplar(&[("n", "2")]);
        assert_eq!(exemplar(), "2");
        clocks.pass(120 * SECOND);
        assert!(median().iter().all(|v| v.is_nan()), "{:?}", median());
        std::thread::sleep(Duration::from_millis(150));
        summary.observe(9.0);
        assert!(median().iter().all(|v| (v - 9.0).abs() < 0.2), "{:?}", median());
    }
}

/// A suspended machine, or a day without pages: no series is removed because of one look that came
/// late.
#[test]
fn a_late_look_removes_nothing() {
    let clocks = Clocks::new();
    let segment = named("clocks");
    let family = expiring(&segment, 60);
    let is_shown = || samples(&page(&segment)).contains_key("c_total{n=\"a\"}");
    assert!(is_shown());
    clocks.pass(24 * HOUR);
    (0..3).for_each(|_| assert!(is_shown()));
    // Pages of a scraper.
    let after = |clocks: &Clocks| {
        let mut looks = 0;
        while is_shown() {
            clocks.pass(15 * SECOND);
            looks += 1;
        }
        looks
    };
    let usual = after(&clocks);
    assert!((4..=12).contains(&usual), "after {usual} looks");
    // It is back, as it was.
    family.with(["a"]).inc();
    assert_eq!(samples(&page(&segment))["c_total{n=\"a\"}"], 1001.0);
    for _ in 0..5 {
        clocks.pass(24 * HOUR);
        assert!(is_shown());
        clocks.pass(SECOND);
        assert!(is_shown());
        family.with(["a"]).inc();
        assert!(is_shown());
    }
    let looks = after(&clocks);
    assert!((4..=8).contains(&looks), "looks at usual times find it idle: {looks}");
    let mut looks = 0;
    while own(&segment, "shmetrics_series_removed_total") == 0.0 {
        clocks.pass(15 * SECOND);
        looks += 1;
    }
    assert!((3..=8).contains(&looks), "removed after {looks} more");
    // Looks that are always later than that let time pass, too.
    family.with(["a"]).inc();
    let mut looks = 0;
    while own(&segment, "shmetrics_series_removed_total") == 1.0 {
        clocks.pass(HOUR);
        looks += 1;
    }
    assert!(looks < 30, "{looks}");
}

#[test]
fn start_times_are_sensible_after_steps_of_the_wall_clock() {
    let clocks = Clocks::new();
    let name = Name::new("clocks");
    let segment = name.open();
    let family = segment.counter("c", "").labels(["n"]).register().unwrap();
    let made = get(&name, CREATED_NS) as f64 / 1e9;
    let began = |label: &str| -> f64 {
        family.with([label]).inc();
        let page = segment.render(Exposition::new(Format::OpenMetrics).with_created(true));
        let page = String::from_utf8(page).unwrap();
        let line = page.lines().find_map(|l| l.strip_prefix(&format!("c_created{{n=\"{label}\"}} ")));
        line.unwrap().parse().unwrap()
    };
    let mut last = began("first");
    assert!((last - made).abs() < 60.0);
    for (i, step) in STEPS_OF_THE_WALL_CLOCK.into_iter().enumerate() {
        clocks.set_wall(step);
        let now = began(&i.to_string());
        assert!(now >= last && now < made + 60.0, "{now} after {last}, made at {made}");
        last = now;
    }
    clocks.set_wall(0);
    clocks.pass(HOUR);
    std::thread::sleep(Duration::from_millis(150));
    let later = began("later");
    assert!((3590.0..3660.0).contains(&(later - made)), "{}", later - made);
}

/// A segment in a file that outlived the boot: its clock begins anew, and its time goes on.
#[test]
fn time_goes_on_in_another_boot() {
    let clocks = Clocks::new();
    for earlier in [true, false] {
        let name = Name::new("clocks");
        fork(|| {
            let segment = name.open();
            expiring(&segment, 600);
            clocks.pass(HOUR);
            page(&segment);
            segment.set_identity(7);
            segment.gauge("all", "", GaugeMode::All).register().unwrap().set(1.0);
        })
        .join();
        // The other boot was at any time of its clock.
        put(&name, CLOCK_BOOT, get(&name, CLOCK_BOOT) ^ 0xabcd_0000);
        let base = get(&name, CLOCK_BASE);
        put(&name, CLOCK_BASE, if earlier { base.wrapping_sub(YEAR as u64) } else { base.wrapping_add(YEAR as u64) });
        // A reader comes first, which does not write.
        let shown = || samples(&common::text(&name.reader().render(Format::Text)));
        assert_eq!(shown()["c_total{n=\"a\"}"], 1000.0);
        for value in [2.0, 3.0] {
            fork(|| {
                let segment = name.open();
                segment.set_identity(7);
                let all = segment.gauge("all", "", GaugeMode::All).register().unwrap();
                let live = segment.gauge("live", "", GaugeMode::LiveMostRecent).register().unwrap();
                all.set(value);
                live.set(value);
                let now = samples(&page(&segment));
                assert_eq!([now["all{pid=\"7\"}"], now["live"], now["c_total{n=\"a\"}"]], [value, value, 1000.0]);
            })
            .join();
            assert_eq!(shown()["all{pid=\"7\"}"], value, "the newest of dead ones");
        }
        let base = get(&name, CLOCK_BASE);
        fork(|| _ = name.open()).join();
        assert_eq!(get(&name, CLOCK_BASE), base, "processes of one boot agree");
    }
}

/// A process that was restored in another boot finds that others have gone on to a base of that
/// boot.
#[test]
fn a_mapping_follows_a_new_base() {
    let _clocks = Clocks::new();
    let name = Name::new("clocks");
    let segment = name.open();
    let live = segment.gauge("live", "", GaugeMode::LiveMostRecent).register().unwrap();
    live.set(1.0);
    put(&name, CLOCK_BOOT, 0x1234_5677);
    put(&name, CLOCK_BASE, get(&name, CLOCK_BASE).wrapping_sub(YEAR as u64));
    fork(|| {
        live.set(2.0);
        assert_eq!(samples(&page(&segment))["live"], 2.0);
    })
    .join();
    live.set(3.0);
    assert_eq!(samples(&page(&segment))["live"], 3.0);
    assert_ne!(get(&name, CLOCK_BOOT), 0x1234_5677);
}

/// Times in tags have 44 bits: more than 38 years.
#[test]
fn order_lasts_for_decades() {
    let clocks = Clocks::new();
    let segment = Options::new().anonymous().max_size(1 << 20).open().unwrap();
    let live = segment.gauge("live", "", GaugeMode::LiveMostRecent).register().unwrap();
    let mut value = 0.0;
    for years in [2, 1, 2, 10, 15, 8] {
        live.set(value);
        clocks.pass(years * YEAR);
        let (done, end) = (Gate::new(), Gate::new());
        let other = fork(|| {
            live.set(value + 1.0);
            done.signal();
            end.wait();
        });
        done.wait();
        assert_eq!(samples(&page(&segment))["live"], value + 1.0);
        std::thread::sleep(Duration::from_millis(1));
        value += 2.0;
        live.set(value);
        assert_eq!(samples(&page(&segment))["live"], value, "after {years} more years");
        end.signal();
        other.join();
    }
}
