//! Counting in per-CPU cells loses nothing, although processes are migrated, stopped, interrupted
//! or killed, or cannot use the cells. Controls use such cells wrongly and lose counts, so these
//! tests can fail. `SHMETRICS_LONG=1` runs the long forms.
#![cfg(target_os = "linux")]

mod absence;
mod controls;
mod crew;

use common::{fork, fork_many, join_all, long, named, named_with, note, page, pause, samples, Name, Shared};
use crew::Crew;
use shmetrics::{Counter, Metric, Native, Options, Segment};

/// More than it takes to be given per-CPU cells.
const HOT: u64 = 20_000;

fn heat(counter: &Counter) {
    (0..HOT).for_each(|_| counter.inc());
}

fn kind(segment: &Segment) -> &'static str {
    segment.reader().inspect().per_cpu_kind
}

/// Bytes of the segment in per-CPU cells.
fn in_per_cpu(segment: &Segment) -> u64 {
    segment.reader().inspect().per_cpu_bytes
}

/// Says so, and returns false, where there are no restartable sequences.
fn has_rseq(segment: &Segment) -> bool {
    let has = kind(segment) == "rseq";
    if !has {
        note("skipped: restartable sequences (no rseq here: another C library, an old kernel, or SHMETRICS_RSEQ=0)");
    }
    has
}

fn rounds() -> u32 {
    if long() {
        600
    } else {
        12
    }
}

#[test]
fn nothing_is_lost_in_restartable_sequences() {
    let name = Name::new("percpu");
    let segment = name.open();
    if has_rseq(&segment) {
        let done = Crew::new(&name, &segment).work(rounds());
        assert!(in_per_cpu(&segment) > 0, "the series have per-CPU cells");
        note(&format!("{done} updates in restartable sequences, none lost"));
    }
}

/// The machine's last processor, which comes back at the end of the test.
struct Removable(std::path::PathBuf);

impl Removable {
    fn last() -> Option<Self> {
        let file = |cpu: u32| std::path::PathBuf::from(format!("/sys/devices/system/cpu/cpu{cpu}/online"));
        (1..1024).map(file).take_while(|file| file.exists()).last().map(Removable)
    }

    fn put(&self, is_there: bool) -> std::io::Result<()> {
        std::fs::write(&self.0, if is_there { "1" } else { "0" })
    }
}

impl Drop for Removable {
    fn drop(&mut self) {
        self.put(true).unwrap();
    }
}

#[test]
#[ignore = "takes a processor off the machine and puts it back, time and again: by hand, as root"]
fn nothing_is_lost_while_a_processor_goes_and_comes() {
    let (name, processor) = (Name::new("percpu"), Removable::last().expect("a processor that can be taken away"));
    let segment = name.open();
    let times = Shared::new(1);
    let switch = fork(|| loop {
        processor.put(false).unwrap();
        pause(100_000);
        processor.put(true).unwrap();
        pause(100_000);
        times.add(0, 1);
    });
    let done = Crew::new(&name, &segment).work(rounds());
    switch.kill();
    assert!(times.get(0) > 0 && in_per_cpu(&segment) > 0);
    note(&format!("{done} updates by {} while a processor went {} times, none lost", kind(&segment), times.get(0)));
}

#[test]
fn nothing_is_lost_by_locked_instructions() {
    let name = Name::new("percpu");
    let segment = name.options().rseq(false).open().unwrap();
    assert_eq!(kind(&segment), "locked");
    Crew::new(&name, &segment).work(rounds() / 2);
    assert!(in_per_cpu(&segment) > 0, "the series have per-CPU cells");
}

#[test]
fn a_series_is_given_per_cpu_cells_when_it_is_hot() {
    let segment = named("percpu");
    let counters = segment.counter("jobs", "").labels(["n"]).register().unwrap();
    for n in 0..100 {
        let counter = counters.with([&n.to_string()]);
        (0..1000).for_each(|_| counter.inc());
        counter.add(0.5);
    }
    assert_eq!(in_per_cpu(&segment), 0, "none of them is hot");
    heat(&counters.with(["7"]));
    let taken = in_per_cpu(&segment);
    assert!(taken > 0);
    assert_eq!(common::own(&segment, "shmetrics_segment_per_cpu_bytes"), taken as f64);
    heat(&counters.with(["8"]));
    assert_eq!(in_per_cpu(&segment), taken, "many share an area");
    assert_eq!(counters.with(["7"]).get(), 1000.5 + HOT as f64);
    assert_eq!(segment.reader().verify(), [] as [String; 0]);
}

#[test]
fn large_amounts_are_no_heat_by_themselves() {
    let segment = named("percpu");
    let bytes = segment.counter("bytes", "").register().unwrap();
    // The first that is asked is taken, of every so many; two of them are the most here.
    let other = segment.counter("other", "").register().unwrap();
    other.inc_by(1 << 20);
    let taken = in_per_cpu(&segment);
    (0..1000).for_each(|_| bytes.inc_by(1 << 20));
    assert_eq!(in_per_cpu(&segment), taken);
    assert_eq!(bytes.get(), 1000.0 * f64::from(1 << 20));
}

#[test]
fn the_next_generation_has_nothing_of_the_last_ones_per_cpu_cells() {
    let segment = named("percpu");
    let counters = segment.counter("jobs", "").labels(["n"]).register().unwrap();
    let histograms = segment.histogram("times", "").buckets(&[1.0, 2.0]).labels(["n"]).register().unwrap();
    for generation in 0..20 {
        let n = format!("{generation:02}");
        let (counter, histogram) = (counters.with([&n]), histograms.with([&n]));
        assert_eq!(counter.get(), 0.0, "generation {generation}");
        heat(&counter);
        (0..HOT).for_each(|i| histogram.observe((i % 3) as f64 + 0.5));
        let shown = samples(&page(&segment));
        assert_eq!(shown[&format!("jobs_total{{n=\"{n}\"}}")], HOT as f64);
        assert_eq!(shown[&format!("times_count{{n=\"{n}\"}}")], HOT as f64);
        assert!(counters.remove([&n]) && histograms.remove([&n]));
        // No page reads the handle's per-CPU cells any more.
        counter.inc();
        histogram.observe(1.0);
        assert!(counter.is_removed());
    }
    assert_eq!(counters.with(["last"]).get(), 0.0);
    assert_eq!(segment.reader().verify(), [] as [String; 0]);
}

/// Native buckets of 1 and less, of both signs, and of what has no bucket of the usual page.
const NATIVE: [f64; 6] = [0.25, 0.7, -3.0, 100.0, 0.0, 1e200];

#[test]
fn hot_native_buckets_have_per_cpu_cells_of_one_generation() {
    for rseq in [true, false] {
        let name = Name::new("percpu");
        let segment = name.options().rseq(rseq).open().unwrap();
        let bounds = [0.2, 0.7, 50.0];
        let native = segment.histogram("native", "").native(Native::default()).labels(["n"]).register().unwrap();
        let both = segment.histogram("both", "").native(Native::default()).buckets(&bounds);
        let both = both.labels(["n"]).register().unwrap();
        let mut taken = 0;
        for generation in 0..20 {
            let n = format!("{generation:02}");
            for (family, name) in [(&native, "native"), (&both, "both")] {
                let histogram = family.with([&n]);
                // As any other: a histogram that was removed, and its per-CPU cells with it.
                let gone = family.with(["gone"]);
                assert!(family.remove(["gone"]));
                for i in 0..HOT {
                    histogram.observe(NATIVE[i as usize % NATIVE.len()]);
                    gone.observe(0.25);
                }
                let shown = samples(&page(&segment));
                assert_eq!(shown[&format!("{name}_count{{n=\"{n}\"}}")], HOT as f64, "generation {generation}");
                let each: f64 = (0..HOT).map(|i| NATIVE[i as usize % NATIVE.len()]).sum();
                let sum = shown[&format!("{name}_sum{{n=\"{n}\"}}")];
                assert!((sum / each - 1.0).abs() < 1e-9, "{sum} is not {each}");
                if name == "both" {
                    let below = shown[&format!("{name}_bucket{{n=\"{n}\",le=\"0.7\"}}")];
                    let few = (0..HOT).filter(|i| NATIVE[*i as usize % NATIVE.len()] <= 0.7).count();
                    assert_eq!(below, few as f64);
                }
                assert!(family.remove([&n]));
                histogram.observe(0.25);
            }
            // Those of the dead are not used again.
            assert!(in_per_cpu(&segment) > taken || generation % 4 != 0, "they have per-CPU cells of their own");
            taken = in_per_cpu(&segment).max(taken);
        }
        assert_eq!(segment.reader().verify(), [] as [String; 0]);
    }
}

#[test]
fn gauge_histograms_have_none() {
    let segment = named("percpu");
    let ages = segment.gauge_histogram("ages", "").native(Native::default()).register().unwrap();
    (0..HOT).for_each(|_| ages.observe(0.25));
    (0..HOT).for_each(|_| ages.unobserve(0.25));
    assert_eq!(in_per_cpu(&segment), 0);
    assert_eq!(samples(&page(&segment))["ages_count"], 0.0);
}

#[test]
fn per_cpu_cells_end_at_an_eighth_of_the_segment() {
    let segment = named_with("percpu", |options| options.max_size(1 << 20));
    let counters = segment.counter("jobs", "").labels(["n"]).register().unwrap();
    for generation in 0..5000 {
        let counter = counters.with([&format!("{generation:04}")]);
        (0..4096).for_each(|_| counter.inc());
        assert_eq!(counter.get(), 4096.0);
        counters.remove([&format!("{generation:04}")]);
    }
    let taken = in_per_cpu(&segment);
    assert!(taken <= (1 << 20) / 8, "{taken} bytes of per-CPU cells");
    // The price of per-CPU cells, and no more: those of the dead are not used again.
    let cpus = u64::from(segment.reader().inspect().cpus);
    assert!(taken >= ((1 << 20) / 8 - (192 << 10) / 8).min(5000 * 8 * cpus) / 2, "{taken} bytes of per-CPU cells");
    assert_eq!(common::own(&segment, "shmetrics_segment_leaked_bytes"), 0.0);
}

#[test]
fn per_cpu_cells_can_be_done_without() {
    let segment = named_with("percpu", |options| options.per_cpu(false));
    assert_eq!(kind(&segment), "none");
    let counter = segment.counter("jobs", "").register().unwrap();
    heat(&counter);
    assert_eq!((counter.get(), in_per_cpu(&segment)), (HOT as f64, 0));
}

#[test]
fn a_series_counts_on_in_all_of_its_cells_and_expires_by_none() {
    let segment = named("percpu");
    let expire = std::time::Duration::from_secs(1);
    let counters = segment.counter("jobs", "").labels(["n"]).expire_after(expire).register().unwrap();
    let counter = counters.with(["busy"]);
    heat(&counter);
    for _ in 0..15 {
        counter.inc();
        segment.expire();
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert!(page(&segment).contains("jobs_total{n=\"busy\"}"), "updates in per-CPU cells are updates");
}

#[test]
fn a_process_without_restartable_sequences_counts_beside_those_that_have() {
    let name = Name::new("percpu");
    let segment = name.open();
    if !has_rseq(&segment) {
        return;
    }
    let counter = segment.counter("jobs", "").register().unwrap();
    heat(&counter);
    for (variable, value) in [("GLIBC_TUNABLES", "glibc.pthread.rseq=0"), ("SHMETRICS_RSEQ", "0")] {
        let before = counter.get();
        let mut other = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "counts_for_another_test", "--ignored"])
            .env("PER_CPU_OF", &name.0)
            .env(variable, value)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut mine = 0u32;
        while other.try_wait().unwrap().is_none() {
            (0..1000).for_each(|_| counter.inc());
            mine += 1000;
        }
        assert!(other.wait().unwrap().success());
        assert_eq!(counter.get(), before + f64::from(mine) + 1_000_000.0, "{variable}={value}");
    }
}

#[test]
#[ignore = "a part of another test, in a process of its own"]
fn counts_for_another_test() {
    let Ok(name) = std::env::var("PER_CPU_OF") else { return };
    let counter = Options::new().name(name).attach().open().unwrap().counter("jobs", "").register().unwrap();
    (0..1_000_000).for_each(|_| counter.inc());
}

#[test]
fn what_is_in_per_cpu_cells_can_be_taken_back() {
    let segment = named("percpu");
    let plain = segment.counter("plain", "").register().unwrap();
    let labelled = segment.counter("jobs", "").labels(["n"]).register().unwrap().with(["1"]);
    for (counter, sample) in [(plain, "plain_total"), (labelled, "jobs_total{n=\"1\"}")] {
        heat(&counter);
        let shows = |v: f64| {
            assert_eq!((counter.get(), samples(&page(&segment))[sample]), (v, v));
            assert!(v.fract() != 0.0 || page(&segment).contains(&format!("{sample} {v}\n")), "a whole number");
        };
        counter.saturating_sub(15_000.0);
        shows(HOT as f64 - 15_000.0);
        counter.inc();
        counter.saturating_sub(0.5);
        shows(HOT as f64 - 15_000.0 + 0.5);
        counter.saturating_sub(1e9);
        shows(0.0);
        heat(&counter);
        shows(HOT as f64);
    }
}

#[test]
fn an_update_leaves_errno_alone() {
    let segment = named("percpu");
    // The counters need so much memory that the process asks for more.
    let counters: Vec<Counter> =
        (0..600).map(|n| segment.counter(&format!("jobs_{n}"), "").register().unwrap()).collect();
    for counter in &counters {
        // SAFETY: the calling thread's own.
        unsafe { *libc::__errno_location() = 77 };
        heat(counter);
        // SAFETY: as above.
        assert_eq!(unsafe { *libc::__errno_location() }, 77);
    }
    assert!(in_per_cpu(&segment) > 0);
}

#[test]
fn forked_children_count_in_the_same_per_cpu_cells() {
    let segment = named("percpu");
    let counter = segment.counter("jobs", "").register().unwrap();
    heat(&counter);
    let taken = in_per_cpu(&segment);
    join_all(fork_many(4, |_| heat(&counter)));
    assert_eq!((counter.get(), in_per_cpu(&segment)), (5.0 * HOT as f64, taken));
}
