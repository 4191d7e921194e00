//! Pages show the members of a bundle as families.

use std::io::Read;

use common::{named, own, page, samples, Name};
use shmetrics::{
    Counter, Enum, Format, Gauge, GaugeHistogram, GaugeMode, Histogram, Native, Reader, Segment, StateSet, Summary,
};

use super::{check, Http};

const BOUNDS: [f64; 3] = [-1.0, 0.25, 2.0];
const STATES: [&str; 3] = ["a", "b", "c"];

/// The series of a label set: of each kind of metric, with all kinds of neighbours.
struct Series {
    first: Counter,
    native: Histogram,
    second: Counter,
    third: Counter,
    shared: Gauge,
    sum: Gauge,
    classic: Histogram,
    recent: Gauge,
    both: Histogram,
    each: Gauge,
    states: StateSet,
    state: Enum,
    unknown: Gauge,
    falling: GaugeHistogram,
    falls: GaugeHistogram,
    summary: Summary,
    quantiles: Summary,
    last: Counter,
}

/// Registers all of them: each by `$take!`, then `$done!`, and makes a label set of what `$get!`
/// has of each.
macro_rules! series {
    ($s:ident, $take:ident, $done:ident, $get:ident) => {{
        let first = $take!($s.counter("c1", "One."));
        let native = $take!($s.histogram("h2", "").native(Native::schema(2)));
        let second = $take!($s.counter("c2", "").exact_name());
        let third = $take!($s.counter("c3", ""));
        let shared = $take!($s.gauge("g1_bytes", "Shared.", GaugeMode::Shared).unit("bytes"));
        let sum = $take!($s.gauge("g2", "", GaugeMode::Sum));
        let classic = $take!($s.histogram("h1", "Classic.").buckets(&BOUNDS));
        let recent = $take!($s.gauge("g3", "", GaugeMode::MostRecent));
        let both = $take!($s.histogram("h3", "").buckets(&BOUNDS).native(Native::factor(1.5)));
        let each = $take!($s.gauge("g4", "", GaugeMode::All));
        let states = $take!($s.state_set("s1", "", &STATES));
        let info = $take!($s.info("i1", ""));
        let state = $take!($s.enumeration("e1", "", &STATES));
        let unknown = $take!($s.unknown("u1", ""));
        let falling = $take!($s.gauge_histogram("f1", "").buckets(&BOUNDS));
        let falls = $take!($s.gauge_histogram("f2", "").native(Native::schema(0)));
        let summary = $take!($s.summary("q1", ""));
        let quantiles = $take!($s.summary("q2", "").quantiles(&[0.5, 0.9]));
        let last = $take!($s.counter("c4", ""));
        $done!();
        let label_set = move |value: &str| {
            $get!(info, value);
            Series {
                first: $get!(first, value),
                native: $get!(native, value),
                second: $get!(second, value),
                third: $get!(third, value),
                shared: $get!(shared, value),
                sum: $get!(sum, value),
                classic: $get!(classic, value),
                recent: $get!(recent, value),
                both: $get!(both, value),
                each: $get!(each, value),
                states: $get!(states, value),
                state: $get!(state, value),
                unknown: $get!(unknown, value),
                falling: $get!(falling, value),
                falls: $get!(falls, value),
                summary: $get!(summary, value),
                quantiles: $get!(quantiles, value),
                last: $get!(last, value),
            }
        };
        label_set
    }};
}

fn separate(segment: &Segment) -> impl Fn(&str) -> Series + use<> {
    macro_rules! take {
        ($builder:expr) => {
            $builder.labels(["k"]).register().unwrap()
        };
    }
    macro_rules! done {
        () => {};
    }
    macro_rules! get {
        ($family:ident, $value:ident) => {
            $family.with([$value])
        };
    }
    series!(segment, take, done, get)
}

fn bundled(segment: &Segment) -> impl Fn(&str) -> Series + use<> {
    let mut builder = segment.bundle(["k"]);
    macro_rules! take {
        ($builder:expr) => {
            builder.add($builder)
        };
    }
    let made;
    macro_rules! done {
        () => {
            made = builder.register().unwrap();
        };
    }
    macro_rules! get {
        ($member:ident, $value:ident) => {
            made.with([$value]).get($member)
        };
    }
    series!(segment, take, done, get)
}

/// Updates, so that no value is like another's.
fn update(series: &Series, n: u32) {
    let v = f64::from(n);
    for (i, counter) in [series.first, series.second, series.third, series.last].into_iter().enumerate() {
        counter.inc_by(u64::from(n) + i as u64);
        counter.add(0.5);
    }
    for (i, gauge) in [series.shared, series.sum, series.recent, series.each, series.unknown].into_iter().enumerate() {
        gauge.set(100.0 * v + i as f64);
        gauge.add(0.25);
    }
    for (i, value) in [-3.0, 0.0, 0.1, 0.25, 1.0, v, 1e9].into_iter().enumerate() {
        for histogram in [series.native, series.classic, series.both] {
            histogram.observe(value);
        }
        for summary in [series.summary, series.quantiles] {
            summary.observe(value + i as f64);
        }
        for falling in [series.falling, series.falls] {
            falling.observe(value);
        }
    }
    series.falling.unobserve(0.1);
    series.falls.unobserve(v);
    series.states.set(n as usize % 3, true);
    series.state.set(n as usize % 3);
}

/// A page without the library's own families, and without start times.
fn shown(segment: &Segment, format: Format) -> Vec<u8> {
    let out = segment.render(format);
    if format == Format::Protobuf {
        return out;
    }
    let page = String::from_utf8(out).unwrap();
    let own = |line: &&str| !line.contains("shmetrics_") && !line.contains("_created");
    page.lines().filter(own).flat_map(|line| [line.split(" st@").next().unwrap(), "\n"]).collect::<String>().into()
}

#[test]
fn members_are_on_pages_as_families_by_themselves() {
    let names = [Name::new("separate"), Name::new("bundled")];
    let [one, other] = [names[0].open(), names[1].open()];
    let (separate, bundled) = (separate(&one), bundled(&other));
    for (n, value) in (1..).zip(["x", "", "with \"quotes\"\n", "a longer value, of which the record is larger", "y"]) {
        update(&separate(value), n);
        update(&bundled(value), n);
    }
    for format in [Format::Text, Format::Text1, Format::OpenMetrics, Format::OpenMetrics2] {
        let [a, b] = [&one, &other].map(|segment| String::from_utf8(shown(segment, format)).unwrap());
        assert!(a.lines().count() > 100 && a.contains("c4_total{k=\"y\"} 8.5"), "{a}");
        assert_eq!(a, b, "{format:?}");
    }
    let points = |segment: &Segment| -> Vec<_> {
        let all = segment.page(Format::Text).points().filter(|point| !point.family.name.starts_with("shmetrics_"));
        all.map(|point| format!("{} {:?} {:?}", point.family.name, point.labels, point.value)).collect()
    };
    assert_eq!(points(&one), points(&other));
    assert!(shown(&other, Format::Protobuf).len() > 1000);
    for segment in [&one, &other] {
        check(segment);
        // One for each process or state is one series.
        assert_eq!(own(segment, "shmetrics_series"), 5.0 * 19.0);
    }
}

#[test]
fn all_members_of_a_large_bundle_are_shown() {
    let name = Name::new("bundle");
    let segment = name.open();
    let names: Vec<String> = (0..60).map(|n| format!("m{n}")).collect();
    let mut builder = segment.bundle(["n"]);
    let members: Vec<_> = names.iter().map(|name| builder.add(segment.counter(name, ""))).collect();
    let bundle = builder.register().unwrap();
    let (sets, text) = (1000, "a long value ".repeat(20));
    for n in 0..sets {
        let entry = bundle.with([&format!("{text}{n}")]);
        members.iter().for_each(|member| entry.get(*member).inc());
    }
    assert_eq!(own(&segment, "shmetrics_corrupt_records"), 0.0);
    let shown = samples(&page(&segment));
    assert_eq!((shown.len(), shown.values().sum::<f64>()), (60 * sets, 60.0 * sets as f64));
    assert_eq!(
        segment.page(Format::Text).points().filter(|point| point.family.name.starts_with('m')).count(),
        60 * sets
    );
    check(&segment);
}

#[test]
fn a_page_of_some_families_has_some_members() {
    let segment = named("bundle");
    Http::new(&segment).serve(["GET", "200"], 7);
    let page = segment.page(Format::Text).only(["bytes_total"]).render_to_string().unwrap();
    assert_eq!(
        page,
        "# HELP bytes_total Bytes.\n# TYPE bytes_total counter\nbytes_total{method=\"GET\",status=\"200\"} 7\n"
    );
}

#[test]
fn segments_of_a_page_have_bundles_and_families_of_one_name() {
    let names = [Name::new("bundle"), Name::new("bundle")];
    let [a, b] = [names[0].open(), names[1].open()];
    Http::new(&a).serve(["GET", "200"], 7);
    let bytes = b.counter("bytes", "Bytes.").labels(["method", "status"]).register().unwrap();
    bytes.with(["GET", "200"]).inc_by(5);
    bytes.with(["PUT", "200"]).inc_by(6);
    let readers = [names[0].reader(), names[1].reader()];
    let page = common::text(&Reader::join(&[(&readers[0], "a"), (&readers[1], "b")], true, Format::Text).render());
    for (line, value) in [
        ("bytes_total{segment=\"a\",method=\"GET\",status=\"200\"}", 7.0),
        ("bytes_total{segment=\"b\",method=\"GET\",status=\"200\"}", 5.0),
        ("bytes_total{segment=\"b\",method=\"PUT\",status=\"200\"}", 6.0),
        ("latency_count{segment=\"a\",method=\"GET\",status=\"200\"}", 1.0),
    ] {
        assert_eq!(samples(&page).get(line), Some(&value), "{page}");
    }
}

#[test]
fn hot_members_keep_their_values_in_per_cpu_cells() {
    let segment = named("bundle");
    let http = Http::new(&segment);
    let entry = http.bundle.with(["GET", "200"]);
    let (requests, latency, bytes) = (entry.get(http.requests), entry.get(http.latency), entry.get(http.bytes));
    let used = || segment.reader().inspect().per_cpu_bytes;
    for _ in 0..20_000 {
        requests.inc();
    }
    latency.observe(0.75);
    bytes.inc_by(3);
    let taken = used();
    for _ in 0..20_000 {
        latency.observe(0.25);
        bytes.inc_by(2);
    }
    // The first that was hot has asked for all of them.
    assert_eq!(used(), taken);
    assert_eq!((requests.get(), bytes.get(), latency.count()), (20_000.0, 40_003.0, 20_001));
    check(&segment);
    let before = samples(&page(&segment));
    assert_eq!(before["bytes_total{method=\"GET\",status=\"200\"}"], 40_003.0);
    assert_eq!(before["latency_bucket{method=\"GET\",status=\"200\",le=\"0.5\"}"], 20_000.0);
    assert!(http.bundle.remove(["GET", "200"]));
    requests.inc();
    latency.observe(1.0);
    bytes.inc();
    assert_eq!(own(&segment, "shmetrics_stale_updates_total"), 3.0);
    http.serve(["GET", "200"], 4);
    let after = samples(&page(&segment));
    assert_eq!(after["bytes_total{method=\"GET\",status=\"200\"}"], 4.0);
    assert_eq!(after["latency_count{method=\"GET\",status=\"200\"}"], 1.0);
    check(&segment);
}

#[test]
fn each_member_has_exemplars_of_its_own() {
    let segment = named("bundle");
    let http = Http::new(&segment);
    let entry = http.bundle.with(["GET", "200"]);
    entry.get(http.requests).inc_with_exemplar(&[("trace_id", "a")]);
    entry.get(http.bytes).add_with_exemplar(2.0, &[("trace_id", "b")]);
    entry.get(http.latency).observe_with_exemplar(0.75, &[("trace_id", "c")]);
    let page = String::from_utf8(segment.render(Format::OpenMetrics)).unwrap();
    let line = |start: &str| page.lines().find(|line| line.starts_with(start)).unwrap_or_default();
    assert!(line("requests_total{").contains("# {trace_id=\"a\"} 1"), "{page}");
    assert!(line("bytes_total{").contains("# {trace_id=\"b\"} 2"), "{page}");
    assert!(line("latency_bucket{method=\"GET\",status=\"200\",le=\"1.0\"}").contains("# {trace_id=\"c\"}"), "{page}");
}

/// A page that a replacement of two of its families comes upon has each name once, wherever the
/// page is.
#[test]
fn a_page_has_each_family_once_while_a_bundle_replaces_two() {
    let mut early = 0;
    for pieces in 0..40 {
        let segment = named("bundle");
        for family in ["a", "b", "c"] {
            let family = segment.counter(family, "").labels(["n"]).register().unwrap();
            (0..3).for_each(|n| family.with([&format!("{n}")]).inc());
        }
        let (mut cursor, mut piece, mut shown) = (segment.page(Format::Text).cursor(), [0; 16], Vec::new());
        let mut fill = |pieces| {
            for _ in 0..pieces {
                match cursor.read(&mut piece).unwrap() {
                    0 => break,
                    read => shown.extend_from_slice(&piece[..read]),
                }
            }
        };
        fill(pieces);
        let mut builder = segment.bundle([]);
        for member in ["new", "c", "a"] {
            builder.add(segment.counter(member, ""));
        }
        builder.replace().register().unwrap().with([]);
        fill(usize::MAX);
        let shown = String::from_utf8(shown).unwrap();
        for family in ["a", "b", "c"] {
            let times = shown.matches(&format!("# TYPE {family}_total ")).count();
            assert_eq!(times, 1, "{family}, replaced after {pieces} pieces: {shown}");
        }
        early += u32::from(shown.contains("\na_total 0\n"));
    }
    assert!((1..40).contains(&early), "pages that the replacement came upon before they had the family: {early}");
}
