//! Tests of native histograms and quantiles on pages, with any number of processes.

use std::time::Duration;

use common::{anonymous, join_all, named, Name};
use shmetrics::{Format, GaugeMode, Metric, Native, Options, Reader, Segment};

/// The line of OpenMetrics 2.0.0 that begins so, up to where the series began.
fn line(segment: &Segment, begins: &str) -> String {
    let page = common::text(&segment.render(Format::OpenMetrics2));
    let line = page.lines().find(|l| l.starts_with(begins)).unwrap_or_else(|| panic!("no {begins} in {page}"));
    line.split(" st@").next().unwrap().to_owned()
}

/// A field of such a line, such as the numbers of `positive_buckets:[1,2]`.
fn numbers(line: &str, field: &str) -> Vec<f64> {
    let Some((_, rest)) = line.split_once(&format!("{field}:")) else { return Vec::new() };
    let list = match rest.strip_prefix('[') {
        Some(list) => list.split(']').next().unwrap(),
        None => rest.split([',', '}']).next().unwrap(),
    };
    list.split([',', ':']).map(|n| n.parse().unwrap_or_else(|_| panic!("{n} in {line}"))).collect()
}

/// Whether the count of a line is that of its buckets, in each of the ways to count.
fn agrees(line: &str) {
    let count = numbers(line, "count")[0];
    let sum = |field| numbers(line, field).iter().sum::<f64>();
    assert_eq!(count, sum("zero_count") + sum("negative_buckets") + sum("positive_buckets"), "item 52: {line}");
    if line.contains("bucket:[") {
        let last = line.split("+Inf:").nth(1).unwrap().split(']').next().unwrap();
        assert_eq!(last.parse::<f64>().unwrap(), count, "item 57: {line}");
    }
    for sign in ["negative", "positive"] {
        let spans = numbers(line, &format!("{sign}_spans"));
        let len: f64 = spans.iter().skip(1).step_by(2).sum();
        assert_eq!(len as usize, numbers(line, &format!("{sign}_buckets")).len(), "item 50: {line}");
        assert!(spans.iter().skip(2).step_by(2).all(|offset| *offset >= 0.0), "item 51: {line}");
    }
}

#[test]
fn item_53_every_number_has_its_bucket() {
    let s = anonymous();
    let h = s.histogram("a", "").native(Native::schema(3).zero_threshold(0.0)).register().unwrap();
    for v in [0.0, -0.0, 5e-324, 1.0, 1.01, 2.0, -2.0, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        h.observe(v);
    }
    let found = line(&s, "a ");
    assert_eq!(
        found,
        "a {count:10,sum:1.7976931348623157e+308,schema:3,zero_threshold:0.0,zero_count:2,\
         negative_spans:[8:1,8184:1],negative_buckets:[1,1],\
         positive_spans:[-8592:1,8591:2,6:1,8183:2],positive_buckets:[1,1,1,1,1,1]}"
    );
    agrees(&found);
    assert_eq!(common::own(&s, "shmetrics_updates_rejected_total"), 1.0, "NaN");
}

#[test]
fn item_54_bounds_belong_to_the_lower_bucket() {
    let s = anonymous();
    let h = s.histogram("a", "").native(Native::schema(0)).register().unwrap();
    [1.0, 2.0, 2.1, 4.0].iter().for_each(|v| h.observe(*v));
    assert!(line(&s, "a ").ends_with("positive_spans:[0:3],positive_buckets:[1,1,2]}"), "{}", line(&s, "a "));
}

#[test]
fn item_49_schemas_are_those_that_there_are() {
    let s = anonymous();
    for (native, words) in [
        (Native::schema(9), "schema 9"),
        (Native::schema(-5), "schema -5"),
        (Native::factor(1.0), "factor 1"),
        (Native::factor(f64::NAN), "factor NaN"),
        (Native::factor(f64::INFINITY), "factor inf"),
        (Native::default().zero_threshold(-1.0), "zero threshold -1"),
        (Native::default().zero_threshold(f64::INFINITY), "zero threshold inf"),
        (Native::default().max_buckets(0), "at most 0 buckets"),
    ] {
        let refused = s.histogram("a", "").native(native).register().unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    for n in -4..=8 {
        s.histogram(&format!("s{}", n + 4), "").native(Native::schema(n)).register().unwrap().observe(1.5);
        assert_eq!(numbers(&line(&s, &format!("s{} ", n + 4)), "schema"), [f64::from(n)]);
    }
    let refused = s.histogram("s0", "").native(Native::schema(1)).register().unwrap_err().to_string();
    assert!(refused.contains("of schema -4") && refused.contains("of schema 1"), "{refused}");
    assert!(s.histogram("s0", "").buckets(&[]).register().is_err(), "one without");
    s.histogram("s0", "").native(Native::schema(-4)).register().unwrap();
}

#[test]
fn item_55_an_empty_one_is_a_native_histogram() {
    let s = anonymous();
    s.histogram("a", "").native(Native::default().zero_threshold(0.0)).register().unwrap();
    let found = line(&s, "a ");
    assert_eq!(found, "a {count:0,sum:0.0,schema:3,zero_threshold:0.0,zero_count:0}");
    // In protobuf, a span of nothing: {offset 0, length 0}.
    let page = s.render(Format::Protobuf);
    assert!(page.windows(6).any(|w| w == [0x62, 4, 0x08, 0, 0x10, 0]), "{page:?}");
}

/// Bounds at, within, below and above native buckets, and several in one.
const CUTS: [f64; 12] = [-1e6, -2.0, -1.5, 0.0, 1e-300, 0.5, 1.5, 1.6, 1.61, 1.62, 2.0, 1e300];

#[test]
fn item_57_both_flavours_have_the_same_count_and_sum() {
    let s = anonymous();
    for (i, native) in
        [Native::schema(0), Native::schema(3), Native::schema(8), Native::schema(-4).zero_threshold(1.55)]
            .into_iter()
            .enumerate()
    {
        let name = format!("both{i}");
        let both = s.histogram(&name, "").native(native).buckets(&CUTS).register().unwrap();
        let classic = s.histogram(&format!("classic{i}"), "").buckets(&CUTS).register().unwrap();
        let only = s.histogram(&format!("native{i}"), "").native(native).register().unwrap();
        let mut rng = common::Random(7 + i as u64);
        for n in 0..2000 {
            let v = match n % 4 {
                0 => CUTS[rng.below(12) as usize],
                1 => f64::from_bits(CUTS[rng.below(12) as usize].to_bits().wrapping_add(rng.below(3)).wrapping_sub(1)),
                2 => 1.5 + rng.below(1000) as f64 / 4000.0,
                _ => (rng.below(4000) as f64 - 2000.0) / 256.0,
            };
            if v.is_nan() {
                continue;
            }
            [both, classic, only].iter().for_each(|h| h.observe(v));
        }
        let [both, classic, only] =
            [name, format!("classic{i}"), format!("native{i}")].map(|name| line(&s, &format!("{name} ")));
        agrees(&both);
        agrees(&only);
        let buckets = |line: &str| line.split("bucket:[").nth(1).unwrap().to_owned();
        assert_eq!(buckets(&both), buckets(&classic), "{i}");
        for field in
            ["schema", "zero_threshold", "zero_count", "negative_buckets", "positive_spans", "positive_buckets"]
        {
            assert_eq!(numbers(&both, field), numbers(&only, field), "{i}: {field}");
        }
        assert_eq!(numbers(&both, "count"), numbers(&classic, "count"));
    }
}

#[test]
fn item_56_the_limit_is_kept_by_coarser_buckets() {
    let s = anonymous();
    let h = s.histogram("a", "").native(Native::schema(5).max_buckets(20)).register().unwrap();
    let mut schemas = vec![5.0];
    for i in -500..500 {
        h.observe(2f64.powf(f64::from(i) / 7.0));
        let found = line(&s, "a ");
        agrees(&found);
        assert!(numbers(&found, "positive_buckets").len() <= 20, "{found}");
        schemas.push(numbers(&found, "schema")[0]);
    }
    assert!(schemas.windows(2).all(|w| w[0] >= w[1]), "{schemas:?}");
    assert_eq!(schemas.last(), Some(&-3.0), "143 octaves in buckets of 8");
    let h = s.histogram("b", "").native(Native::schema(8).max_buckets(2)).register().unwrap();
    [1e-30, -1e-10, 1.0, 1e30, -1e60].iter().for_each(|v| h.observe(*v));
    let found = line(&s, "b ");
    agrees(&found);
    assert_eq!(numbers(&found, "schema"), [-4.0]);
    assert_eq!(numbers(&found, "zero_count"), [3.0], "{found}");
    assert!(numbers(&found, "zero_threshold")[0] >= 1.0, "{found}");
}

#[test]
fn text_formats_have_the_count_and_the_sum() {
    let s = anonymous();
    let h = s.histogram("a", "").native(Native::default()).labels(["x"]).register().unwrap().with(["1"]);
    [0.25, 2.0].iter().for_each(|v| h.observe(*v));
    for format in [Format::Text, Format::OpenMetrics] {
        let page = common::text(&s.render(format));
        let found: Vec<&str> = page.lines().filter(|l| l.starts_with("a_")).collect();
        assert_eq!(found, ["a_bucket{x=\"1\",le=\"+Inf\"} 2", "a_sum{x=\"1\"} 2.25", "a_count{x=\"1\"} 2"]);
    }
}

#[test]
fn item_58_gauge_histograms_take_back() {
    let s = anonymous();
    let h = s.gauge_histogram("a", "").native(Native::schema(0)).register().unwrap();
    [1.0, 1.0, 3.0, -3.0].iter().for_each(|v| h.observe(*v));
    [1.0, -3.0, -3.0, 7.0].iter().for_each(|v| h.unobserve(*v));
    let page = common::text(&s.render(Format::OpenMetrics2));
    let found = page.lines().find(|l| l.starts_with("a ")).unwrap();
    let threshold = "2.938735877055719e-39";
    assert_eq!(
        found,
        format!("a {{gcount:2,gsum:4.0,schema:0,zero_threshold:{threshold},zero_count:0,positive_spans:[0:1,1:1],positive_buckets:[1,1]}}")
    );
    assert!(page.contains("# TYPE a gaugehistogram\n"));
    assert_eq!(common::own(&s, "shmetrics_updates_rejected_total"), 2.0);
}

/// A record's next life has none of what was in the chunks of the life before, and old handles
/// count nowhere.
#[test]
fn label_sets_come_and_go() {
    let s = anonymous();
    let family = s.histogram("a", "").native(Native::schema(0)).buckets(&[1.5, 3.0]).labels(["n"]).register().unwrap();
    let old = family.with(["1"]);
    [0.1, 1.2, 1.7, 8.0, -8.0].iter().for_each(|v| old.observe(*v));
    assert!(family.remove(["1"]) && old.is_removed());
    let used = common::own(&s, "shmetrics_segment_used_bytes");
    old.observe(8.0);
    let new = family.with(["2"]);
    [8.0, 1.7, 100.0].iter().for_each(|v| old.observe(*v));
    new.observe(8.0);
    old.observe(8.0);
    new.observe(0.0);
    let found = line(&s, "a{n=\"2\"} ");
    agrees(&found);
    assert_eq!(numbers(&found, "count"), [2.0]);
    assert_eq!(numbers(&found, "sum"), [8.0]);
    assert_eq!([numbers(&found, "zero_count"), numbers(&found, "positive_buckets")], [[1.0], [1.0]]);
    assert_eq!(common::own(&s, "shmetrics_stale_updates_total"), 5.0);
    assert_eq!(common::own(&s, "shmetrics_segment_used_bytes"), used, "its chunks were used again");
    assert!(family.remove(["2"]));
    let third = family.with(["3"]);
    third.observe(0.1);
    assert_eq!(numbers(&line(&s, "a{n=\"3\"} "), "count"), [1.0]);
}

#[test]
fn series_expire_and_come_back() {
    let s = anonymous();
    let family = s.histogram("a", "").native(Native::default()).labels(["n"]).expire_after(Duration::from_secs(1));
    let family = family.register().unwrap();
    family.with(["1"]).observe(5.0);
    common::until("the series expires", || !common::page(&s).contains("a_count{n=\"1\"}"));
    family.with(["1"]).observe(6.0);
    assert_eq!(numbers(&line(&s, "a{n=\"1\"} "), "count"), [2.0]);
}

/// What finds no room is counted as that, and nothing else of the series changes.
#[test]
fn without_room_nothing_is_dropped_silently() {
    let s = Options::new().anonymous().max_size(512 * 1024).open().unwrap();
    let h = s.histogram("a", "").native(Native::schema(8).max_buckets(u32::MAX)).register().unwrap();
    let sizes = s.summary("b", "").quantiles(&[0.5]).register().unwrap();
    h.observe(1.0);
    let filler = s.counter("filler", "").labels(["n"]).register().unwrap();
    (0..20_000).for_each(|n| filler.with([&n.to_string()]).inc());
    let mut done = 1;
    for i in 0..3000 {
        h.observe(1.0 + f64::from(i) / 100.0);
        h.observe(1.0);
        sizes.observe(2f64.powi(i / 30));
        done += 2;
    }
    let refused = common::own(&s, "shmetrics_observations_refused_total");
    assert!(refused > 1000.0, "{refused}");
    let found = line(&s, "a ");
    agrees(&found);
    let count = numbers(&found, "count")[0];
    assert!(count >= 3001.0 && count + refused >= f64::from(done), "{count} and {refused} of {done}");
    let page = common::page(&s);
    assert!(page.contains("\nb_count 3000\n"), "{page}");
    let troubles: Vec<String> = std::iter::from_fn(|| s.next_warning()).collect();
    assert!(troubles.iter().any(|t| t.contains("were not counted, or are in no quantile")), "{troubles:?}");
}

/// Observations of all processes count, also of killed ones, and each page in between agrees with
/// itself.
#[test]
fn item_52_counts_agree_on_every_page_while_processes_are_killed() {
    let name = Name::new("native");
    let s = name.open();
    let bounds = [0.1, 0.3, 1.0, 3.0];
    let register = |s: &Segment| {
        let both = s.histogram("both", "").native(Native::schema(4)).buckets(&bounds).register().unwrap();
        let labelled = s.histogram("labelled", "").native(Native::schema(2)).labels(["n"]).register().unwrap();
        (both, labelled)
    };
    register(&s);
    let shared = common::Shared::new(2);
    let worker = |seed: u64| {
        let (both, labelled) = register(&s);
        let mut rng = common::Random(seed);
        loop {
            let v = 2f64.powf(rng.below(1000) as f64 / 50.0 - 10.0);
            shared.add(0, 1);
            both.observe(v);
            labelled.with([["a", "b", "c"][rng.below(3) as usize]]).observe(v);
            shared.add(1, 1);
        }
    };
    let rounds = if common::long() { 300 } else { 20 };
    let mut last = 0.0;
    let mut workers: Vec<_> = (0..3).map(|i| common::fork(|| worker(i))).collect();
    for round in 0..rounds {
        std::thread::sleep(Duration::from_millis(20));
        workers.remove(0).kill();
        workers.push(common::fork(|| worker(100 + round)));
        for reader in 0..3 {
            let page = common::text(&Reader::open(&name.0).unwrap().render(Format::OpenMetrics2));
            let lines = page.lines().filter(|l| l.starts_with("both") || l.starts_with("labelled"));
            for line in lines.filter(|l| l.contains("{count")) {
                agrees(line.split(" st@").next().unwrap());
                if line.starts_with("both ") {
                    let count = numbers(line, "count")[0];
                    assert!(count >= last, "item 43: {reader}");
                    last = count;
                }
            }
        }
    }
    workers.into_iter().for_each(common::Child::kill);
    let (begun, done) = (shared.get(0) as f64, shared.get(1) as f64);
    let count = numbers(&line(&s, "both "), "count")[0];
    assert!(done > 0.0 && (done..=begun).contains(&count), "{done} {count} {begun}");
    let labelled: f64 =
        ["a", "b", "c"].map(|n| numbers(&line(&s, &format!("labelled{{n=\"{n}\"}} ")), "count")[0]).iter().sum();
    assert!((done..=begun).contains(&labelled), "{done} {labelled} {begun}");
    assert!(Reader::open(&name.0).unwrap().verify().is_empty());
}

#[test]
fn items_60_62_63_exemplars_of_native_histograms() {
    let s = anonymous();
    let h = s.histogram("a", "").native(Native::default()).exemplar_interval(Duration::ZERO).register().unwrap();
    let both = s.histogram("b", "").native(Native::default()).buckets(&[1.0, 2.0]).register().unwrap();
    for v in [0.3, 0.7, 1.5, 3.0, 6.0] {
        h.observe_with_exemplar(v, &[("trace_id", &format!("t{v}"))]);
        both.observe_with_exemplar(v, &[("trace_id", &format!("t{v}"))]);
    }
    let page = common::text(&s.render(Format::OpenMetrics2));
    let of = |name: &str| page.lines().find(|l| l.starts_with(name)).unwrap().to_owned();
    for part in of("a ").split(" # ").skip(1) {
        let (labels, rest) = part.split_once("} ").unwrap();
        let (value, time) = rest.split_once(' ').unwrap();
        assert_eq!(labels, format!("{{trace_id=\"t{value}\"").replace(".0\"", "\""), "{part}");
        assert!(time.parse::<f64>().unwrap() > 1.7e9, "item 63");
    }
    assert_eq!(of("a ").matches(" # ").count(), 5, "each octave has its own: {}", of("a "));
    assert_eq!(of("b ").matches(" # ").count(), 3);
    let page = common::text(&s.render(Format::OpenMetrics));
    let of = |name: &str| page.lines().find(|l| l.starts_with(name)).unwrap().to_owned();
    assert!(of("a_bucket").contains("} 5 # {trace_id=\"t"), "{}", of("a_bucket"));
    assert!(of("b_bucket{le=\"2.0\"").contains(" # {trace_id=\"t1.5\"} 1.5 "));
    assert!(!common::page(&s).contains("trace_id"), "item 60");
    let page = s.render(Format::Protobuf);
    let found = page.windows(8).filter(|w| w == b"trace_id").count();
    assert_eq!(found, 5 + 3 + 3, "of both, those of the buckets stand with the native buckets as well");
}

#[test]
fn quantiles_of_all_processes() {
    let s = named("quantiles");
    let register =
        |s: &Segment| s.summary("a", "").quantiles(&[0.0, 0.5, 0.9, 0.999, 1.0]).labels(["n"]).register().unwrap();
    let family = register(&s);
    family.with(["none"]);
    let mut children = Vec::new();
    for i in 0..4 {
        children.push(common::fork(|| {
            let a = register(&s).with(["x"]);
            (1..=1000).filter(|v| v % 4 == i).for_each(|v| a.observe(f64::from(v)));
        }));
    }
    join_all(children);
    let page = common::page(&s);
    let samples = common::samples(&page);
    for (quantile, exact) in [("0.0", 1.0), ("0.5", 500.0), ("0.9", 900.0), ("0.999", 999.0), ("1.0", 1000.0)] {
        let found = samples[&format!("a{{n=\"x\",quantile=\"{quantile}\"}}")];
        assert!((found / exact - 1.0).abs() <= 0.011, "{quantile}: {found}, not {exact}");
        assert!(page.contains(&format!("a{{n=\"none\",quantile=\"{quantile}\"}} NaN\n")), "{page}");
    }
    assert_eq!([samples["a_count{n=\"x\"}"], samples["a_sum{n=\"x\"}"]], [1000.0, 500_500.0]);
    let second = line(&s, "a{n=\"x\"} ");
    assert_eq!(numbers(&second, "quantile").len(), 10, "{second}");
    // The other life of the record.
    family.remove(["x"]);
    family.with(["y"]).observe(7.0);
    let samples = common::samples(&common::page(&s));
    assert!((samples["a{n=\"y\",quantile=\"0.0\"}"] / 7.0 - 1.0).abs() <= 0.011);
    assert!((samples["a{n=\"y\",quantile=\"1.0\"}"] / 7.0 - 1.0).abs() <= 0.011);
    let wrong = s.summary("b", "").quantiles(&[0.5, 1.1]).register().unwrap_err().to_string();
    assert!(wrong.contains("quantile 1.1"), "{wrong}");
    assert!(s.summary("b", "").quantiles(&[0.5, 0.5]).register().is_err());
    assert!(s.summary("a", "").labels(["n"]).register().is_err(), "one without quantiles");
}

#[test]
fn quantiles_forget_and_the_count_does_not() {
    let s = anonymous();
    let a = s.summary("a", "").quantiles(&[1.0]).max_age(Duration::from_secs(1)).register().unwrap();
    a.observe(100.0);
    assert!((common::own(&s, "a{quantile=\"1.0\"}") / 100.0 - 1.0).abs() <= 0.011);
    common::until("it is forgotten", || common::page(&s).contains("a{quantile=\"1.0\"} NaN\n"));
    a.observe(1.0);
    assert!((common::own(&s, "a{quantile=\"1.0\"}") - 1.0).abs() <= 0.011);
    assert_eq!([common::own(&s, "a_count"), common::own(&s, "a_sum")], [2.0, 101.0]);
}

#[test]
fn kinds_that_have_no_native_buckets_are_as_they_were() {
    let s = anonymous();
    s.gauge("g", "", GaugeMode::Shared).register().unwrap();
    s.summary("a", "").register().unwrap().observe(1.0);
    s.histogram("h", "").register().unwrap().observe(1.0);
    assert_eq!(line(&s, "a "), "a {count:1,sum:1.0,quantile:[]}");
    assert!(!line(&s, "h ").contains("schema"));
}
