//! Label values of all kinds, and update values of all kinds.

use common::{named, own, page, samples, Random};
use shmetrics::{GaugeMode, Segment};

const OVERFLOW: &str = "c_total{shmetrics_overflow=\"true\"}";

fn unescaped(value: &str) -> String {
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some(other)) => out.push(other),
            _ => out.push(c),
        }
    }
    out
}

#[test]
fn any_text_is_a_label_value_of_its_own() {
    let segment = named("values");
    let family = segment.counter("c", "").labels(["v"]).register().unwrap();
    let long = "x".repeat(60 * 1024);
    let mut values: Vec<String> = [
        "",
        " ",
        "\"",
        "\\",
        "\n",
        "\\n",
        "\\\\n",
        "\\\"",
        "a\"b\\c\nd",
        "{}",
        ",",
        "=\"",
        "é",
        "日本語",
        "🦀",
        "\u{0}",
        "\r",
        "\t",
        "#",
        "shmetrics_overflow=\"true\"",
        &long,
        &long[1..],
        "\u{fffd}",
        "\u{7f}",
    ]
    .map(String::from)
    .into();
    let mut random = Random(7);
    for _ in 0..500 {
        let length = random.below(40);
        let any = |r: &mut Random| ["\\", "\"", "\n", "n", "a", "é", ","][r.below(7) as usize];
        values.push((0..length).map(|_| any(&mut random)).collect());
    }
    values.sort();
    values.dedup();
    for _ in 0..2 {
        values.iter().for_each(|v| family.with([v]).inc());
    }
    let shown = samples(&page(&segment));
    let mut read_back: Vec<String> = shown
        .iter()
        .map(|(sample, count)| {
            assert_eq!(*count, 2.0, "{sample}");
            unescaped(sample.strip_prefix("c_total{v=\"").unwrap().strip_suffix("\"}").unwrap())
        })
        .collect();
    read_back.sort();
    assert!(read_back == values, "every value comes back as it was, and no other");
    assert_eq!(own(&segment, "shmetrics_overflow_lookups_total"), 0.0);
}

#[test]
fn values_are_kept_apart_by_their_place() {
    let segment = named("values");
    let family = segment.counter("c", "").labels(["a", "b"]).register().unwrap();
    let pairs =
        [["ab", "c"], ["a", "bc"], ["", "abc"], ["abc", ""], ["c", "ab"], ["a\",b=\"b", "c"], ["a", "b\",b=\"c"]];
    for (i, pair) in pairs.into_iter().enumerate() {
        family.with(pair).inc_by(i as u64 + 1);
    }
    let shown = samples(&page(&segment));
    assert_eq!(shown.len(), pairs.len());
    assert_eq!((shown["c_total{a=\"ab\",b=\"c\"}"], shown["c_total{a=\"a\",b=\"bc\"}"]), (1.0, 2.0));
    for (i, pair) in pairs.into_iter().enumerate() {
        assert_eq!(family.with(pair).get(), (i + 1) as f64, "{pair:?}");
    }
}

#[test]
fn texts_beyond_64_kib_go_to_the_overflow_series() {
    let segment = named("values");
    let family = segment.counter("c", "").labels(["v"]).register().unwrap();
    // The text is v="…".
    let fits = "x".repeat(65_535 - 4);
    family.with([&fits]).inc();
    let escapes = "\n".repeat(40 * 1024);
    for (i, too_long) in [format!("{fits}x"), "y".repeat(1 << 20), escapes].iter().enumerate() {
        family.with([too_long]).inc();
        family.with([too_long]).inc();
        assert_eq!(samples(&page(&segment))[OVERFLOW], 2.0 * (i + 1) as f64);
    }
    assert_eq!(samples(&page(&segment)).len(), 2);
    assert_eq!(own(&segment, "shmetrics_overflow_lookups_total"), 6.0);
    assert_eq!(family.with([&fits]).get(), 1.0);
}

#[test]
fn the_same_values_in_different_families_are_different_series() {
    let segment = named("values");
    for i in 0..50u64 {
        let family = segment.counter(&format!("c{i}"), "").labels(["v"]).register().unwrap();
        (0..20).for_each(|v| family.with([&v.to_string()]).inc_by(i));
    }
    let shown = samples(&page(&segment));
    assert_eq!(shown.len(), 1000);
    assert!((0..50).all(|i| shown[&format!("c{i}_total{{v=\"7\"}}")] == f64::from(i)));
}

fn rejected(segment: &Segment) -> f64 {
    own(segment, "shmetrics_updates_rejected_total")
}

#[test]
fn what_each_call_does_with_odd_numbers() {
    let segment = named("numbers");
    let counter = segment.counter("c", "").register().unwrap();
    counter.add(1.5);
    counter.add(0.0);
    counter.add(-0.0);
    counter.add(f64::MIN_POSITIVE / 2.0);
    for (i, bad) in [f64::NAN, -1.0, -f64::MIN_POSITIVE, f64::INFINITY, f64::NEG_INFINITY].into_iter().enumerate() {
        counter.add(bad);
        assert_eq!((counter.get(), rejected(&segment)), (1.5, (i + 1) as f64), "{bad}");
    }
    let histogram = segment.histogram("h", "").buckets(&[-1.0, 1.0]).register().unwrap();
    let observe = |v: f64| {
        histogram.observe(v);
        let s = samples(&page(&segment));
        let buckets = ["-1.0", "1.0", "+Inf"].map(|le| s[&format!("h_bucket{{le=\"{le}\"}}")]);
        (buckets, s["h_sum"], s["h_count"])
    };
    assert_eq!(observe(0.5), ([0.0, 1.0, 1.0], 0.5, 1.0));
    assert_eq!(observe(-3.0), ([1.0, 2.0, 2.0], -2.5, 2.0), "a negative value lowers the sum");
    assert_eq!(observe(f64::INFINITY), ([1.0, 2.0, 3.0], -2.5, 3.0), "an infinite one leaves it");
    assert_eq!(observe(f64::NEG_INFINITY), ([2.0, 3.0, 4.0], -2.5, 4.0));
    assert_eq!(rejected(&segment), 5.0);
    assert_eq!(observe(f64::NAN), ([2.0, 3.0, 4.0], -2.5, 4.0), "NaN is in no bucket");
    assert_eq!(rejected(&segment), 6.0);
    let gauge = segment.gauge("g", "", GaugeMode::Shared).register().unwrap();
    let shown = |s: &str| assert!(page(&segment).contains(&format!("\ng {s}\n")), "not {s}: {}", page(&segment));
    gauge.set(f64::NEG_INFINITY);
    shown("-Inf");
    gauge.set(5.0);
    gauge.add(-7.0);
    shown("-2");
    gauge.add(f64::INFINITY);
    shown("+Inf");
    gauge.sub(f64::INFINITY);
    shown("NaN");
    gauge.add(1.0);
    shown("NaN");
    gauge.set(-0.0);
    shown("-0.0");
    assert_eq!(rejected(&segment), 6.0, "a gauge takes any value");
}
