//! Tests of updates that name their family and labels in one call.

use common::{fork, join_all, named, page, Name};
use shmetrics::{Error, GaugeMode};

#[test]
fn one_call_finds_or_makes_all_that_it_takes() {
    let segment = named("by-name");
    for _ in 0..3 {
        segment.count("requests_total", &[("method", "GET"), ("path", "/")], 1.0).unwrap();
        segment.count("requests", &[("method", "GET"), ("path", "\"\\\n")], 0.5).unwrap();
        segment.count("plain", &[], 2.0).unwrap();
        segment.observe("seconds", &[("path", "/")], 0.3).unwrap();
    }
    let kept = segment.counter("requests", "").labels(["method", "path"]).register().unwrap();
    assert_eq!(kept.with(["GET", "/"]).get(), 3.0, "it is the same family");
    let page = page(&segment);
    assert!(page.contains("requests_total{method=\"GET\",path=\"/\"} 3\n"), "{page}");
    assert!(page.contains("requests_total{method=\"GET\",path=\"\\\"\\\\\\n\"} 1.5\n"), "{page}");
    assert!(page.contains("plain_total 6\n") && page.contains("seconds_count{path=\"/\"} 3\n"), "{page}");
}

#[test]
fn what_is_registered_is_used_as_it_is() {
    let name = Name::new("by-name");
    let segment = name.open();
    segment.histogram("seconds", "Help.").buckets(&[1.0]).labels(["l"]).register().unwrap();
    segment.observe("seconds", &[("l", "v")], 0.5).unwrap();
    segment.counter("few", "").max_series(1).labels(["l"]).register().unwrap();
    ["a", "b", "c"].iter().for_each(|v| segment.count("few", &[("l", v)], 1.0).unwrap());
    // A name that lines have in quotes.
    segment.counter("quoted", "").labels(["a label"]).register().unwrap();
    (0..2).for_each(|_| segment.count("quoted", &[("a label", "v")], 1.0).unwrap());
    let page = page(&segment);
    assert!(page.contains("seconds_bucket{l=\"v\",le=\"1.0\"} 1\n") && !page.contains("le=\"0.5\""), "{page}");
    assert!(page.contains("few_total{shmetrics_overflow=\"true\"} 2\n"), "{page}");
    assert_eq!(segment.reader().inspect().families.len(), 3);
}

#[test]
fn labels_that_lines_have_in_quotes() {
    let segment = named("by-name");
    for (i, label) in ["a label", "\"", "\\", "a\"b\\n", "é"].into_iter().enumerate() {
        let family = format!("f{i}");
        let expire = std::time::Duration::from_secs(1000);
        let kept = segment.counter(&family, "").labels([label]).expire_after(expire).register().unwrap();
        segment.count(&family, &[(label, "v")], 1.0).unwrap();
        assert_eq!(kept.with(["v"]).get(), 1.0, "it is found as it was registered");
        // Labels of other names, one of them the line's text.
        for other in [
            format!("\"{}\"", label.replace('\\', "\\\\").replace('"', "\\\"")),
            format!("{label}x"),
            "\"".into(),
            "x".into(),
        ] {
            let conflict = matches!(segment.count(&family, &[(&other, "v")], 1.0), Err(Error::Conflict(_)));
            assert!(conflict || other == label, "{other} is not {label}");
        }
        assert_eq!(kept.with(["v"]).get(), if label == "\"" { 2.0 } else { 1.0 });
    }
}

#[test]
fn what_cannot_be_is_an_error_and_counts_nowhere() {
    let segment = named("by-name");
    segment.count("requests", &[("method", "GET")], 1.0).unwrap();
    let conflict = |labels: &[(&str, &str)]| {
        assert!(matches!(segment.count("requests", labels, 1.0), Err(Error::Conflict(_))), "{labels:?}");
    };
    conflict(&[]);
    conflict(&[("path", "/")]);
    conflict(&[("method", "GET"), ("path", "/")]);
    assert!(matches!(segment.observe("requests", &[("method", "GET")], 1.0), Err(Error::Conflict(_))));
    segment.gauge("size", "", GaugeMode::Shared).register().unwrap();
    assert!(matches!(segment.count("size", &[], 1.0), Err(Error::Conflict(_))));
    assert!(segment.count("", &[], 1.0).is_err());
    assert!(page(&segment).contains("requests_total{method=\"GET\"} 1\n"));
}

#[test]
fn processes_that_begin_with_nothing_count_in_the_same_series() {
    let segment = named("by-name");
    let workers: Vec<_> = (0..4)
        .map(|i| {
            let request = || segment.count("requests", &[("worker", if i % 2 == 0 { "even" } else { "odd" })], 1.0);
            fork(|| (0..20_000).for_each(|_| request().unwrap()))
        })
        .collect();
    join_all(workers);
    let page = page(&segment);
    for worker in ["even", "odd"] {
        assert!(page.contains(&format!("requests_total{{worker=\"{worker}\"}} 40000\n")), "{page}");
    }
}
