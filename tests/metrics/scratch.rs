//! Tests of what tests and statics are written with: scratch segments, globals, declared metrics,
//! series that are read without being made.

use std::time::Duration;

use common::*;
use shmetrics::testing::Scratch;
use shmetrics::{
    exponential_buckets, linear_buckets, metrics, Counter, Error, Format, GaugeMode, Global, LabelSet, LabelValue,
    Metric, Metrics, Options,
};

fn entries(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

/// Run by `with_few_descriptors` in a process of its own.
fn many_scratch_segments() {
    // All, and those of segments: other tests' are inherited.
    let maps = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        (maps.lines().count(), maps.matches("memfd:").count())
    };
    let round = |i: u32| {
        let scratch = Scratch::new().unwrap();
        let counter = scratch.counter("c", "").labels(["n"]).register().unwrap().with(["a"]);
        counter.inc_by(i.into());
        scratch.gauge("g", "", GaugeMode::LiveSum).register().unwrap().set(1.0);
        assert_eq!(counter.get(), f64::from(i));
        assert!(page(&scratch).contains("g 1\n"));
    };
    round(1);
    let (descriptors, before) = (entries("/proc/self/fd"), maps());
    (2..500).for_each(round);
    assert_eq!(entries("/proc/self/fd"), descriptors);
    let after = maps();
    // What is left of each are its addresses, and a page.
    assert!(after.0 - before.0 <= 2 * 500, "{} maps more", after.0 - before.0);
    assert_eq!(after.1, before.1, "a segment is still mapped");
}

#[test]
fn a_scratch_segment_gives_back_its_memory_and_its_descriptors() {
    fork(|| {
        // Few more than other tests of this binary have open.
        let highest = std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u64>().ok());
        let few = highest.max().unwrap() + 32;
        let limit = libc::rlimit { rlim_cur: few, rlim_max: few };
        // SAFETY: a plain call with a local.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
        many_scratch_segments();
    })
    .join();
}

#[test]
fn handles_outlive_a_scratch_segment() {
    let scratch = Scratch::new().unwrap();
    let family = scratch.counter("c", "").labels(["n"]).register().unwrap();
    let histograms = scratch.histogram("h", "").labels(["n"]).register().unwrap();
    let summary = scratch.summary("s", "").quantiles(&[0.5]).register().unwrap();
    let gauge = scratch.gauge("g", "", GaugeMode::LiveSum).register().unwrap();
    let states = scratch.state_set("states", "", &["a", "b"]).register().unwrap();
    let (hot, cold) = (family.with(["hot"]), family.with(["cold"]));
    let observed = histograms.with(["a"]);
    for _ in 0..20_000 {
        hot.inc();
        observed.observe(0.3);
    }
    gauge.set(3.0);
    let segment = *scratch;
    let typed = segment.counter("t", "").label_set::<Labels>().register().unwrap();
    typed.with(&Labels { found: true }).inc();
    drop(scratch);
    for _ in 0..2000 {
        hot.inc();
        cold.add(0.5);
        observed.observe(0.3);
        summary.observe(1.0);
        gauge.inc();
        states.set(1, true);
        family.with(["new"]).inc();
        histograms.with(["new"]).observe(1.0);
        family.remove(["hot"]);
        typed.with(&Labels { found: true }).inc();
    }
    hot.inc_with_exemplar(&[("trace_id", "a")]);
    assert!(segment.counter("more", "").labels(["n"]).register().is_err() || segment.path().is_none());
    let _ = (segment.render(shmetrics::Format::Protobuf), segment.expire(), family.series(), family.clear());
    fork(|| {
        hot.inc();
        gauge.inc();
        observed.observe(0.1);
    })
    .join();
    // Another one is another one.
    let scratch = Scratch::new().unwrap();
    assert_eq!(scratch.counter("c", "").labels(["n"]).register().unwrap().with(["hot"]).get(), 0.0);
    hot.inc();
    assert!(!page(&scratch).contains("hot\"} 1"));
}

#[derive(LabelSet)]
struct Labels {
    found: bool,
}

#[test]
fn children_count_in_a_scratch_segment() {
    let scratch = Scratch::new().unwrap();
    let (counter, gauge) =
        (scratch.counter("c", "").register().unwrap(), scratch.gauge("g", "", GaugeMode::LiveSum).register().unwrap());
    gauge.set(1.0);
    fork(|| {
        counter.inc();
        gauge.set(5.0);
    })
    .join();
    assert_eq!(page(&scratch).lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>(), ["c_total 1", "g 1"]);
}

/// The number of its processes is not known, and not 0.
#[test]
fn a_scratch_segment_is_in_use() {
    let scratch = Scratch::new().unwrap();
    let page = String::from_utf8(scratch.render(Format::Text)).unwrap();
    assert!(page.contains("\nshmetrics_segment_in_use 1\n") && !page.contains("attached\""), "{page}");
    let inspection = scratch.reader().inspect();
    assert_eq!((inspection.in_use, inspection.attached), (Some(true), None));
    fork(|| assert_eq!(scratch.reader().is_in_use(), Some(true))).join();
}

#[test]
fn options_of_a_scratch_segment_are_checked() {
    let scratch = Scratch::with(&Options::new().label("app", "shop").max_size(2 << 20)).unwrap();
    scratch.counter("c", "").register().unwrap().inc();
    assert!(page(&scratch).contains("c_total{app=\"shop\"} 1\n"));
    assert!(matches!(Scratch::with(&Options::new().name("a")), Err(Error::InvalidArgument(_))));
}

#[derive(Clone, Copy, LabelValue)]
enum Method {
    Get,
    Post,
}

#[derive(LabelSet)]
struct Http<'a> {
    method: Method,
    route: &'a str,
}

metrics! {
    /// All that the tests count.
    pub struct App(prefix = "shop") {
        /// Requests
        /// served.
        pub requests: Counter<Http<'static>> = "requests_total" (max_series = 2, expire_after = Duration::from_secs(60)),
        /// Time to answer.
        latency: Histogram = "latency_seconds" (unit = "seconds", buckets = &exponential_buckets::<3>(0.5, 2.0)),
        busy: Gauge = "busy" (unit = "", mode = LiveMax),
        state: Enum = "state" (states = &["on", "off"]),
        sizes: Summary = "size_bytes" (quantiles = &[0.5]),
        build: Info<Build> = "build",
    }
}

#[derive(LabelSet)]
struct Build {
    debug: bool,
}

metrics! {
    struct Plain {
        /** Without
          * a prefix. */
        jobs: Counter = "jobs_total",
    }
}

#[test]
fn metrics_are_declared_with_their_help_options_and_prefix() {
    let scratch = Scratch::new().unwrap();
    let app = App::register(&scratch).unwrap();
    for route in ["/", "/a", "/b"] {
        app.requests.with(&Http { method: Method::Get, route }).inc();
        app.requests.with(&Http { method: Method::Post, route }).inc();
    }
    app.latency.observe(1.5);
    app.busy.set(4.0);
    app.state.set(1);
    app.sizes.observe(1.0);
    app.build.with(&Build { debug: true });
    Plain::register(&scratch).unwrap().jobs.inc();
    let page = page(&scratch);
    for line in [
        "# HELP shop_requests_total Requests served.\n",
        "shop_requests_total{method=\"Get\",route=\"/\"} 1\n",
        "shop_requests_total{shmetrics_overflow=\"true\"} 4\n",
        "# HELP shop_latency_seconds Time to answer.\n",
        "shop_latency_seconds_bucket{le=\"2.0\"} 1\n",
        "shop_busy 4\n",
        "shop_state{shop_state=\"off\"} 1\n",
        "shop_size_bytes_count 1\n",
        "shop_build_info{debug=\"true\"} 1\n",
        "# HELP jobs_total Without a prefix.\n",
        "jobs_total 1\n",
    ] {
        assert!(page.contains(line), "{line}{page}");
    }
    // The same again, by another copy of the struct.
    let again: App = App::register(&scratch).unwrap();
    assert_eq!(again.busy.get(), 4.0);
}

#[test]
fn a_global_is_a_counted_no_op_until_it_is_installed() {
    static PLAIN: Global<Plain> = Global::new();
    let scratch = Scratch::new().unwrap();
    assert!(PLAIN.with(|plain| plain.jobs.inc()).is_none() && PLAIN.get().is_none());
    PLAIN.with(|plain| plain.jobs.inc());
    assert_eq!(PLAIN.missed(), 2);
    PLAIN.install(&scratch).unwrap();
    // The page tells of what was missed.
    assert_eq!(own(&scratch, "shmetrics_updates_rejected_total"), 2.0);
    assert_eq!(PLAIN.with(|plain| plain.jobs.get()), Some(0.0));
    // Children inherit it, and the same segment is no other.
    let children = fork_many(4, |_| {
        PLAIN.install(&scratch).unwrap();
        PLAIN.with(|plain| plain.jobs.inc_by(10)).unwrap();
    });
    join_all(children);
    assert_eq!(PLAIN.get().map(|plain| plain.jobs.get()), Some(40.0));
    let other = Scratch::new().unwrap();
    assert!(matches!(PLAIN.install(&other), Err(Error::Conflict(_))));
    assert!(other.reader().inspect().families.is_empty(), "a refused segment is left alone");
}

#[test]
fn a_global_that_cannot_be_registered_stays_empty() {
    let global: Global<Plain> = Global::new();
    let scratch = Scratch::new().unwrap();
    scratch.gauge("jobs", "", GaugeMode::Shared).register().unwrap();
    assert!(global.install(&scratch).is_err() && global.get().is_none());
}

#[test]
fn a_series_is_read_without_being_made() {
    let scratch = Scratch::new().unwrap();
    let family = scratch.counter("c", "").labels(["a", "b"]).register().unwrap();
    let typed = scratch.counter("t", "").label_set::<Http>().register().unwrap();
    assert!(family.peek(["x", "y"]).is_none());
    assert!(typed.peek(&Http { method: Method::Get, route: "/" }).is_none());
    assert_eq!(own(&scratch, "shmetrics_series"), 0.0);
    family.with(["x", "y"]).inc_by(3);
    typed.with(&Http { method: Method::Get, route: "/" }).inc_by(4);
    assert_eq!(family.peek(["x", "y"]).map(|c| c.get()), Some(3.0));
    assert_eq!(typed.peek(&Http { method: Method::Get, route: "/" }).map(|c| c.get()), Some(4.0));
    // In another order, and with a number of labels known at run time only.
    let turned = scratch.counter("c", "").label_names(&["b", "a"]).register().unwrap();
    assert_eq!(turned.peek(&["y", "x"]).map(|c| c.get()), Some(3.0));
    assert!(turned.peek(&["x", "y"]).is_none() && turned.peek(&["x"]).is_none());
    let old = family.peek(["x", "y"]).unwrap();
    family.remove(["x", "y"]);
    assert!(family.peek(["x", "y"]).is_none() && old.is_removed());
    let plain = scratch.counter("plain", "").label_names(&[]).register().unwrap();
    plain.with(&[]).unwrap().inc();
    assert_eq!(plain.peek(&[]).map(|c| c.get()), Some(1.0));
}

#[test]
fn an_expired_series_is_read_and_stays_expired() {
    let scratch = Scratch::new().unwrap();
    let family = scratch.counter("c", "").labels(["a"]).expire_after(Duration::from_secs(1)).register().unwrap();
    family.with(["x"]).inc();
    while page(&scratch).contains("c_total{") {
        pause(50_000);
    }
    if let Some(counter) = family.peek(["x"]) {
        assert_eq!(counter.get(), 1.0);
    }
    assert!(!page(&scratch).contains("c_total{"));
}

#[test]
fn series_are_listed_in_the_order_of_the_handle() {
    let scratch = Scratch::new().unwrap();
    let family = scratch.counter("c", "").labels(["a", "weird.name"]).register().unwrap();
    let turned = scratch.counter("c", "").labels(["weird.name", "a"]).register().unwrap();
    for (i, values) in [["1", "x\"\\\n"], ["2", ""], ["3", "é"]].into_iter().enumerate() {
        family.with(values).inc_by(i as u64);
    }
    family.with(["gone", ""]);
    family.remove(["gone", ""]);
    let listed = |series: Vec<(Vec<String>, Counter)>| {
        let mut all: Vec<_> = series.into_iter().map(|(values, c)| (values.join("|"), c.get())).collect();
        all.sort_by(|a, b| a.1.total_cmp(&b.1));
        all
    };
    let all = [("1|x\"\\\n", 0.0), ("2|", 1.0), ("3|é", 2.0)].map(|(v, n)| (v.to_owned(), n));
    assert_eq!(listed(family.series()), all);
    let all = [("x\"\\\n|1", 0.0), ("|2", 1.0), ("é|3", 2.0)].map(|(v, n)| (v.to_owned(), n));
    assert_eq!(listed(turned.series()), all);
}

#[test]
fn series_are_removed_by_some_of_their_labels() {
    let scratch = Scratch::new().unwrap();
    let family = scratch.counter("c", "").labels(["tenant", "method"]).register().unwrap();
    let turned = scratch.counter("c", "").labels(["method", "tenant"]).register().unwrap();
    let fill = || {
        for tenant in ["a", "b", "ab", ""] {
            for method in ["GET", "PUT"] {
                family.with([tenant, method]).inc();
            }
        }
    };
    fill();
    assert_eq!(family.remove_matching(&[("tenant", "a")]).unwrap(), 2);
    assert!(family.peek(["a", "GET"]).is_none() && family.peek(["ab", "GET"]).is_some());
    assert_eq!(turned.remove_matching(&[("tenant", "")]).unwrap(), 2);
    assert_eq!(turned.remove_matching(&[("method", "GET"), ("tenant", "b")]).unwrap(), 1);
    assert_eq!(turned.remove_matching(&[("method", "GET"), ("method", "PUT")]).unwrap(), 0);
    assert!(matches!(family.remove_matching(&[("tenent", "b")]), Err(Error::InvalidArgument(_))));
    assert_eq!(family.remove_matching(&[]).unwrap(), 3);
    fill();
    assert_eq!(family.series().len(), 8);
}

#[test]
fn bounds_by_rule() {
    assert_eq!(linear_buckets::<3>(-1.0, 0.5), [-1.0, -0.5, 0.0]);
    assert_eq!(exponential_buckets::<4>(1.0, 10.0), [1.0, 10.0, 100.0, 1000.0]);
    let scratch = Scratch::new().unwrap();
    for bad in [linear_buckets::<2>(1.0, 0.0), exponential_buckets::<2>(0.0, 2.0), exponential_buckets::<2>(1.0, 0.5)] {
        assert!(matches!(scratch.histogram("h", "").buckets(&bad).register(), Err(Error::InvalidArgument(_))));
    }
}

/// `Duration::MAX` is for ever, and nothing overflows.
#[test]
fn durations_saturate() {
    let scratch = Scratch::new().unwrap();
    let most = Duration::MAX;
    let family = scratch.counter("c", "").labels(["a"]).expire_after(most).exemplar_interval(most).register().unwrap();
    family.with(["x"]).inc();
    let names = ["a"];
    let dynamic = scratch.counter("d", "").label_names(&names).expire_after(most).register().unwrap();
    dynamic.with(&["x"]).unwrap().inc();
    let typed = scratch.counter("t", "").label_set::<Labels>().expire_after(most).register().unwrap();
    typed.with(&Labels { found: true }).inc();
    let summary = scratch.summary("s", "").quantiles(&[0.5]).max_age(most).register().unwrap();
    summary.observe(2.0);
    assert_eq!(scratch.expire(), 0);
    pause(1_100_000);
    assert_eq!(scratch.expire(), 0);
    let page = page(&scratch);
    for line in
        ["c_total{a=\"x\"} 1\n", "d_total{a=\"x\"} 1\n", "t_total{found=\"true\"} 1\n", "s{quantile=\"0.5\"} 1.97"]
    {
        assert!(page.contains(line), "{line}{page}");
    }
}

fn hash(value: &impl std::hash::Hash) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    static STATE: std::sync::OnceLock<RandomState> = std::sync::OnceLock::new();
    STATE.get_or_init(RandomState::new).hash_one(value)
}

/// Equal handles lead to one series; a series that came after a removed one is another.
#[test]
fn handles_are_compared_by_their_series() {
    let (scratch, other) = (Scratch::new().unwrap(), Scratch::new().unwrap());
    let family = scratch.counter("c", "").labels(["a"]).register().unwrap();
    let again = scratch.counter("c", "").labels(["a"]).register().unwrap();
    assert!(family == again && hash(&family) == hash(&again));
    assert_eq!((family.with(["x"]), hash(&family.with(["x"]))), (again.with(["x"]), hash(&again.with(["x"]))));
    assert_ne!(family.with(["x"]), family.with(["y"]));
    let theirs = other.counter("c", "").labels(["a"]).register().unwrap();
    assert!(theirs != family && theirs.with(["x"]) != family.with(["x"]) && *other != *scratch);
    let old = family.with(["x"]);
    family.remove(["x"]);
    assert_ne!(family.with(["x"]), old);
    let histogram = scratch.histogram("h", "").register().unwrap();
    assert_eq!(scratch.histogram("h", "").register().unwrap(), histogram);
}

#[test]
fn errors_are_compared_and_cross_panics() {
    let refused = |name: &str| Options::new().anonymous().name(name).open().unwrap_err();
    assert_eq!(refused("a"), refused("b").clone());
    assert_ne!(refused("a"), Error::NoMemory);
    let scratch = Scratch::new().unwrap();
    let counter = scratch.counter("c", "").register().unwrap();
    let timed = scratch.summary("s", "").register().unwrap();
    let caught = std::panic::catch_unwind(|| {
        counter.inc();
        let _timer = timed.start_timer();
        let error = Options::new().name("no/such/directory/x").attach().open().unwrap_err();
        std::panic::resume_unwind(Box::new(error));
    });
    assert!(matches!(caught.unwrap_err().downcast_ref(), Some(Error::NotFound(_))));
    assert_eq!((counter.get(), timed.count()), (1.0, 1));
}

/// By each kind of histogram, hot and cold: the count and the sum are those of a page.
#[test]
fn counts_and_sums_are_read() {
    let scratch = Scratch::with(&Options::new().max_size(8 << 20)).unwrap();
    let bounds = [1.0, 2.0];
    let histogram = |name| scratch.histogram(name, "").buckets(&bounds);
    let native = shmetrics::Native::factor(1.1);
    let classic = histogram("classic").register().unwrap();
    let both = histogram("both").native(native).register().unwrap();
    let only = scratch.histogram("only", "").buckets(&[]).native(native).register().unwrap();
    let labelled = histogram("labelled").labels(["a"]).register().unwrap().with(["x"]);
    let falling = scratch.gauge_histogram("falling", "").buckets(&bounds).register().unwrap();
    let plain = scratch.summary("plain", "").register().unwrap();
    let ranked = scratch.summary("ranked", "").quantiles(&[0.5]).register().unwrap();
    assert_eq!(classic.totals(), (0, 0.0));
    let times = 10_000u32;
    for _ in 0..times {
        [classic, both, only, labelled].iter().for_each(|h| h.observe_duration(Duration::from_millis(1500)));
        [plain, ranked].iter().for_each(|s| s.observe_duration(Duration::from_millis(1500)));
        falling.observe_duration(Duration::from_millis(1500));
    }
    falling.unobserve(1.5);
    let sum = 1.5 * f64::from(times);
    for (i, totals) in [classic, both, only, labelled].map(|h| h.totals()).into_iter().enumerate() {
        assert_eq!(totals, (u64::from(times), sum), "histogram {i}");
    }
    assert_eq!([plain.totals(), ranked.totals()], [(u64::from(times), sum); 2]);
    assert_eq!((falling.count(), falling.sum()), (u64::from(times) - 1, sum - 1.5));
    let family = scratch.histogram("labelled", "").buckets(&bounds).labels(["a"]).register().unwrap();
    assert_eq!(family.peek(["x"]).map(|h| h.count()), Some(u64::from(times)));
    family.remove(["x"]);
    assert_eq!(labelled.totals(), (0, 0.0));
}

#[test]
fn whole_counts_are_exact() {
    let scratch = Scratch::new().unwrap();
    let counter = scratch.counter("c", "").register().unwrap();
    assert_eq!(counter.get_whole(), Some(0));
    counter.inc_by((1 << 60) + 1);
    assert_eq!(counter.get_whole(), Some((1 << 60) + 1));
    let parts = scratch.counter("parts", "").register().unwrap();
    parts.add(1.5);
    assert_eq!(parts.get_whole(), None);
    let large = scratch.counter("large", "").labels(["a"]).register().unwrap().with(["x"]);
    large.inc_by(u64::MAX);
    assert_eq!(large.get_whole(), Some(u64::MAX));
    large.inc();
    assert_eq!((large.get_whole(), large.get()), (None, 18_446_744_073_709_551_616.0));
}
