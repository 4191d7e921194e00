//! Tests of series as values, and of families that are in no segment: `Page::points`,
//! `Page::with`.

use common::anonymous;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shmetrics::{ExternalFamily, Format, GaugeMode, Kind, Native, Options, Point, PointValue, Reader, Segment};

fn points(segment: &Segment) -> Vec<Point> {
    let all = segment.page(Format::Text).points();
    all.filter(|point| !point.family.name.starts_with("shmetrics_")).collect()
}

/// A value for comparison: points are made by the library only.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Value(PointValue),
    Buckets(Vec<u64>, f64),
}

fn buckets(counts: &[u64], sum: f64) -> Told {
    Told::Buckets(counts.to_vec(), sum)
}

fn told(value: &PointValue) -> Told {
    match value {
        PointValue::Buckets { counts, sum, native: None, .. } => Told::Buckets(counts.clone(), *sum),
        value => Told::Value(value.clone()),
    }
}

fn pairs(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

/// Points keep the names as registered: a program that translates points escapes names itself.
#[test]
fn names_are_not_escaped() {
    let s = Options::new().anonymous().label("k8s.pod", "a").open().unwrap();
    s.counter("http.requests", "").labels(["http.method"]).register().unwrap().with(["GET"]).inc();
    let point = &points(&s)[0];
    assert_eq!(point.family.name, "http.requests");
    assert_eq!(point.labels, pairs(&[("k8s.pod", "a"), ("http.method", "GET")]));
}

#[test]
fn each_type_as_it_is() {
    let s = Options::new().anonymous().label("app", "shop").open().unwrap();
    let jobs = s.counter("jobs_total", "Jobs.").labels(["kind"]).register().unwrap();
    jobs.with(["a\"\\\nb"]).inc_by(1 << 60);
    jobs.with(["half"]).add(0.5);
    s.gauge("t_celsius", "T.", GaugeMode::Shared).unit("celsius").register().unwrap().set(-1.5);
    let h = s.histogram("h", "H.").buckets(&[1.0, 2.5]).register().unwrap();
    [0.5, 1.0, 2.0, 9.0].into_iter().for_each(|v| h.observe(v));
    s.summary("sum", "").register().unwrap().observe(4.0);
    s.info("build", "").labels(["version"]).register().unwrap().with(["7"]);
    s.enumeration("breaker", "", &["closed", "open"]).register().unwrap().set(1);
    let all = points(&s);
    let found: Vec<_> = all.iter().map(|p| (p.family.name.as_str(), p.family.kind, told(&p.value))).collect();
    assert_eq!(
        found,
        [
            ("jobs", Kind::Counter, Told::Value(PointValue::Whole(1 << 60))),
            ("jobs", Kind::Counter, Told::Value(PointValue::Float(0.5))),
            ("t_celsius", Kind::Gauge, Told::Value(PointValue::Float(-1.5))),
            ("h", Kind::Histogram, buckets(&[2, 1, 1], 12.5)),
            ("sum", Kind::Summary, buckets(&[1], 4.0)),
            ("build", Kind::Info, Told::Value(PointValue::Float(1.0))),
            ("breaker", Kind::Enum, Told::Value(PointValue::States(vec![false, true]))),
        ]
    );
    assert_eq!(all[0].labels, pairs(&[("app", "shop"), ("kind", "a\"\\\nb")]));
    assert_eq!((all[2].family.unit.as_str(), all[2].family.help.as_str()), ("celsius", "T."));
    assert_eq!((&all[3].family.bounds, &all[6].family.states[1]), (&vec![1.0, 2.5], &"open".to_owned()));
    let now = SystemTime::now();
    assert!(all.iter().all(|p| p.began.is_some_and(|began| UNIX_EPOCH < began && began <= now)), "{all:?}");
}

#[test]
fn native_buckets_and_quantiles() {
    let s = anonymous();
    let h = s.histogram("h", "").native(Native::schema(0).zero_threshold(0.0)).register().unwrap();
    [1.0, 2.0, 2.1, 4.0, 0.0, -2.0].into_iter().for_each(|v| h.observe(v));
    let both = s.histogram("both", "").buckets(&[1.0]).native(Native::default()).register().unwrap();
    both.observe(0.5);
    s.summary("s", "").quantiles(&[0.5]).register().unwrap().observe(4.0);
    let all = points(&s);
    let PointValue::Buckets { counts, sum, native: Some(native), .. } = &all[0].value else { panic!("{all:?}") };
    assert_eq!((counts.as_slice(), *sum, all[0].family.is_native), (&[6][..], 7.1, true));
    assert_eq!((native.schema, native.zero_threshold, native.zero_count), (0, 0.0, 1));
    assert_eq!((&native.positive, &native.negative), (&vec![(0, 1), (1, 1), (2, 2)], &vec![(1, 1)]));
    let PointValue::Buckets { counts, native: Some(native), .. } = &all[1].value else { panic!("{all:?}") };
    assert_eq!((counts.as_slice(), native.positive.len()), (&[1, 0][..], 1));
    let PointValue::Buckets { quantiles, native: None, .. } = &all[2].value else { panic!("{all:?}") };
    assert!(quantiles[0].0 == 0.5 && (quantiles[0].1 / 4.0 - 1.0).abs() < 0.012, "{quantiles:?}");
}

#[test]
fn names_are_as_they_were_given() {
    let s = anonymous();
    let family = s.counter("größe.summe", "").labels(["ort.name"]).register().unwrap();
    family.with(["Köln"]).inc_with_exemplar(&[("spur.id", "x")]);
    let all = points(&s);
    assert_eq!((all[0].family.name.as_str(), &all[0].labels), ("größe.summe", &pairs(&[("ort.name", "Köln")])));
    assert_eq!(all[0].exemplars[0].labels, pairs(&[("spur.id", "x")]));
}

#[test]
fn exemplars_and_processes() {
    let s = anonymous();
    let h = s.histogram("h", "").buckets(&[1.0]).register().unwrap();
    h.observe_with_exemplar(0.5, &[("trace_id", "abc")]);
    let busy = s.gauge("busy", "", GaugeMode::LiveAll).register().unwrap();
    busy.set(3.0);
    let all = points(&s);
    let exemplar = &all[0].exemplars[0];
    assert_eq!((exemplar.value, &exemplar.labels), (0.5, &pairs(&[("trace_id", "abc")])));
    assert!(exemplar.at > UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    assert_eq!(all[1].labels[0].0, "pid");
    assert_eq!(all[1].value, PointValue::Float(3.0));
}

#[test]
fn what_a_page_has_and_no_more_is_held() {
    let s = anonymous();
    let hits = s.counter("hits", "").labels(["n"]).register().unwrap();
    for n in 0..5000 {
        hits.with([&n.to_string()]).inc_by(n);
    }
    hits.remove(["7"]);
    let family_of = |n: usize| format!("many_{n}");
    for n in 0..2000 {
        s.gauge(&family_of(n), "", GaugeMode::Shared).register().unwrap().set(n as f64);
    }
    let (mut hits, mut many) = (Vec::new(), 0);
    let mut iterator = s.page(Format::Protobuf).points();
    for point in iterator.by_ref() {
        match point.value {
            PointValue::Whole(n) => hits.push(n),
            _ => many += u32::from(point.family.name.starts_with("many_")),
        }
    }
    assert_eq!(hits, (0..5000).filter(|n| *n != 7).collect::<Vec<u64>>());
    assert_eq!(many, 2000);
    assert!(iterator.next().is_none(), "the end stays the end");
}

#[test]
fn of_several_segments_with_names() {
    let (a, b) = (anonymous(), anonymous());
    for (s, bound) in [(&a, 1.0), (&b, 2.0)] {
        s.histogram("h", "").buckets(&[bound]).register().unwrap().observe(1.5);
    }
    let (a, b) = (a.reader(), b.reader());
    let all: Vec<Point> =
        Reader::join(&[(&a, "a"), (&b, "b")], true, Format::Text).only(["h_count"]).points().collect();
    let all: Vec<_> = all.iter().map(|p| (p.labels[0].1.as_str(), p.family.bounds[0], told(&p.value))).collect();
    let of = |counts: [u64; 2]| buckets(&counts, 1.5);
    assert_eq!(all, [("a", 1.0, of([0, 1])), ("b", 2.0, of([1, 0]))]);
}

#[test]
fn families_that_are_in_no_segment() {
    let s = anonymous();
    s.gauge("taken", "", GaugeMode::Shared).register().unwrap().set(1.0);
    s.histogram("h", "").register().unwrap();
    let cpu = ExternalFamily::counter("cpu_seconds_total", "CPU.").unwrap();
    let cpu = cpu.sample(&[("pid", "2"), ("app", "x")], 1.5).unwrap().sample(&[("pid", "1")], 2.0).unwrap();
    let cpu = cpu.sample(&[("app", "x"), ("pid", "2")], 2.5).unwrap();
    for format in [Format::Text, Format::OpenMetrics] {
        let mut page = s.page(format).with(cpu.clone());
        for name in ["taken", "h_count", "cpu_seconds_total", "shmetrics_serve_up"] {
            page = page.with(ExternalFamily::gauge(name, "").unwrap().sample(&[], 9.0).unwrap());
        }
        let page = page.render_to_string().unwrap();
        let lines: Vec<&str> = page.lines().filter(|line| line.starts_with("cpu_")).collect();
        assert_eq!(lines, ["cpu_seconds_total{app=\"x\",pid=\"2\"} 2.5", "cpu_seconds_total{pid=\"1\"} 2"]);
        assert!(page.contains("\ntaken 1") && !page.contains("\ntaken 9") && !page.contains("h_count 9"), "{page}");
        assert!(page.contains("\nshmetrics_conflicts 3") && page.contains("\nshmetrics_serve_up 9"), "{page}");
        assert_eq!(page.ends_with("# EOF\n"), format == Format::OpenMetrics);
    }
    let only: Vec<Point> = s.page(Format::Text).with(cpu).only(["cpu_seconds_total"]).points().collect();
    assert_eq!((only.len(), only[0].began, only[0].family.kind), (2, None, Kind::Counter));
}

#[test]
fn extra_families_keep_the_rules() {
    assert!(
        ExternalFamily::gauge("a b", "").is_err()
            && ExternalFamily::gauge("", "").is_err()
            && ExternalFamily::gauge("shmetrics_", "").is_err()
    );
    assert!(
        ExternalFamily::gauge("é", "").is_err()
            && ExternalFamily::gauge("g", "").unwrap().sample(&[("é", "")], 1.0).is_err()
    );
    let counter = || ExternalFamily::counter("c", "").unwrap();
    assert!(counter().sample(&[], f64::NAN).is_err() && counter().sample(&[], -1.0).is_err());
    assert!(counter().sample(&[("a", ""), ("a", "")], 1.0).is_err() && counter().sample(&[("__a", "")], 1.0).is_err());
    assert!(ExternalFamily::gauge("g", "").unwrap().sample(&[], f64::NAN).is_ok());
}
