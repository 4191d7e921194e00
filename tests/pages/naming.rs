//! Tests of names that existing dashboards use: counters without `_total`, bounds without `.0`, and
//! labels in any order.

use common::{anonymous, own, page, samples, text, Name};
use shmetrics::{Error, Escaping, Exposition, Format, GaugeMode, Native, Reader, Segment};

fn shows(page: &str, line: &str) -> bool {
    page.lines().any(|l| l == line)
}

fn in_format(segment: &Segment, format: impl Into<Exposition>) -> String {
    text(&segment.render(format))
}

#[test]
fn a_counter_is_shown_under_its_exact_name() {
    let s = anonymous();
    s.counter("nginx_connections_accepted", "Accepted.").exact_name().register().unwrap().inc_by(3);
    s.counter("requests", "").exact_name().labels(["path"]).register().unwrap().with(["/"]).inc();
    s.counter("other_total", "").exact_name().register().unwrap().inc();
    s.counter("usual", "").register().unwrap().inc();
    for format in [Format::Text, Format::Text1] {
        let page = in_format(&s, format);
        assert!(shows(&page, "# HELP nginx_connections_accepted Accepted."), "{page}");
        assert!(shows(&page, "# TYPE nginx_connections_accepted counter"), "{page}");
        assert!(shows(&page, "nginx_connections_accepted 3"), "{page}");
        assert!(shows(&page, "requests{path=\"/\"} 1"), "{page}");
        assert!(
            shows(&page, "# TYPE other_total counter") && shows(&page, "other_total 1"),
            "its name ends so: {page}"
        );
        assert!(shows(&page, "usual_total 1"), "{page}");
    }
    for format in [Format::OpenMetrics, Format::OpenMetrics2] {
        let page = in_format(&s, format);
        assert!(page.contains("\nnginx_connections_accepted_total 3"), "{page}");
        assert!(page.contains("\nrequests_total{path=\"/\"} 1"), "{page}");
    }
    let protobuf = s.render(Format::Protobuf);
    let has = |name: &str| protobuf.windows(name.len()).any(|w| w == name.as_bytes());
    assert!(has("nginx_connections_accepted") && !has("nginx_connections_accepted_total"), "as in text");
    assert!(has("usual_total"));
}

#[test]
fn an_exact_name_is_a_part_of_the_definition_and_clashes_as_it_is_shown() {
    let s = anonymous();
    s.counter("a", "").exact_name().register().unwrap().inc();
    s.counter("a", "").exact_name().register().unwrap().inc();
    let Err(Error::Conflict(why)) = s.counter("a", "").register() else { panic!("another name on pages") };
    assert!(why.ends_with("text 0.0.4 shows it as a, not a_total"), "{why}");
    // It is called a_total in OpenMetrics.
    for other in ["a_total", "a_created"] {
        assert!(matches!(s.gauge(other, "", GaugeMode::Shared).register(), Err(Error::Conflict(_))), "{other}");
    }
    // An update that names it takes it as it is.
    s.count("a", &[], 1.0).unwrap();
    s.count("a_total", &[], 1.0).unwrap();
    assert_eq!(samples(&page(&s))["a"], 4.0);
    // The same holds for escaped names.
    s.counter("b.c", "").exact_name().register().unwrap().inc();
    assert!(matches!(s.gauge("U__b_2e_c", "", GaugeMode::Shared).register(), Err(Error::Conflict(_))));
    let values = Exposition::new(Format::Text).with_escaping(Escaping::Values);
    assert!(shows(&in_format(&s, values), "U__b_2e_c 1"), "{}", in_format(&s, values));
    assert!(shows(&in_format(&s, Exposition::new(Format::Text1).with_escaping(Escaping::AllowUtf8)), "{\"b.c\"} 1"));
}

#[test]
fn an_exact_name_can_be_asked_for() {
    let s = anonymous();
    s.counter("b.c", "").exact_name().register().unwrap().inc();
    s.counter("d", "").register().unwrap().inc();
    let values = Exposition::new(Format::Text).with_escaping(Escaping::Values);
    for name in ["b.c", "U__b_2e_c"] {
        let page = s.page(values).only([name]).render_to_string().unwrap();
        assert_eq!(page, "# TYPE U__b_2e_c counter\nU__b_2e_c 1\n");
    }
}

#[test]
fn segments_that_name_a_counter_otherwise_share_a_page_by_the_first_ones_name() {
    let (one, other) = (anonymous(), anonymous());
    one.counter("a", "").exact_name().labels(["l"]).register().unwrap().with(["x"]).inc();
    other.counter("a", "").labels(["l"]).register().unwrap().with(["y"]).inc();
    let (one, other) = (one.reader(), other.reader());
    let joined = |parts: &[(&Reader, &str)]| text(&Reader::join(parts, false, Format::Text).render());
    let page = joined(&[(&one, "1"), (&other, "2")]);
    assert!(page.starts_with("# TYPE a counter\na{l=\"x\"} 1\na{l=\"y\"} 1\n"), "{page}");
    let page = joined(&[(&other, "2"), (&one, "1")]);
    assert!(page.starts_with("# TYPE a_total counter\na_total{l=\"y\"} 1\na_total{l=\"x\"} 1\n"), "{page}");
}

#[test]
fn bounds_are_short_in_texts_where_the_creator_says_so() {
    let name = Name::new("short-bounds");
    let bounds = [-1.0, 0.0, 0.1, 1.0, 2.5, 100_000.0, 123_456.0, 1e6, 1e9, 1.5e9, 1e-5];
    let fill = |s: &Segment| {
        let mut bounds = bounds;
        bounds.sort_by(f64::total_cmp);
        let h = s.histogram("h", "").buckets(&bounds).labels(["l"]).register().unwrap();
        h.with(["1.0"]).observe(0.05);
        s.gauge_histogram("g", "").buckets(&[1.0]).register().unwrap().observe(0.5);
        s.histogram("n", "").buckets(&[2.0]).native(Native::factor(1.1)).register().unwrap().observe(1.0);
        s.summary("q", "").quantiles(&[0.0, 0.5, 1.0]).register().unwrap().observe(1.0);
        s.enumeration("e", "", &["1.0", "2.0"]).register().unwrap().set(0);
    };
    let short = name.options().short_bounds(true).open().unwrap();
    fill(&short);
    // As client_golang v1.20 prints them.
    let golang = ["-1", "0", "1e-05", "0.1", "1", "2.5", "100000", "123456", "1e+06", "1e+09", "1.5e+09", "+Inf"];
    for format in [Format::Text, Format::Text1] {
        let page = in_format(&short, format);
        let les: Vec<_> =
            page.lines().filter_map(|l| l.strip_prefix("h_bucket{l=\"1.0\",le=\"")?.split('"').next()).collect();
        assert_eq!(les, golang);
        for line in ["g_bucket{le=\"1\"} 1", "n_bucket{le=\"2\"} 1", "e{e=\"1.0\"} 1"] {
            assert!(shows(&page, line), "{line}: {page}");
        }
        for quantile in ["q{quantile=\"0\"}", "q{quantile=\"0.5\"}", "q{quantile=\"1\"}"] {
            assert!(page.contains(quantile), "{quantile}: {page}");
        }
    }
    let reader = name.reader();
    assert!(text(&reader.render(Format::Text)).contains("le=\"1\""), "the segment decides, in every reader");
    for format in [Format::OpenMetrics, Format::OpenMetrics2] {
        let page = in_format(&short, format);
        assert!(page.contains("1.0") && page.contains("1e+09") && !page.contains("le=\"1\""), "{page}");
    }
    // Protobuf has numbers.
    let canonical = anonymous();
    fill(&canonical);
    assert!(in_format(&canonical, Format::Text).contains("h_bucket{l=\"1.0\",le=\"1.0\"}"));
    // The process that attaches the segment does not decide.
    let again = name.options().short_bounds(false).open().unwrap();
    assert!(in_format(&again, Format::Text).contains("le=\"1\""));
}

/// All orders of three.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

fn permuted(of: [&str; 3], order: [usize; 3]) -> [&str; 3] {
    order.map(|i| of[i])
}

#[test]
fn labels_in_any_order_are_the_same_family() {
    let s = anonymous();
    let names = ["method", "path", "k8s.pod"];
    for order in ORDERS {
        let labels = permuted(names, order);
        let family = s.counter("requests", "").labels(labels).register().unwrap();
        let dynamic = s.counter("requests", "").label_names(&labels).register().unwrap();
        // Values that other labels have too, with escapes and without.
        for values in [["GET", "/", "a"], ["/", "GET", "a"], ["\"\n", "a", ""], ["", "\"\n", "a"]] {
            let values = permuted(values, order);
            family.with(values).inc();
            dynamic.with(&values).unwrap().inc();
            assert!(dynamic.with(&values[..2]).is_none());
            let pairs: Vec<_> = labels.iter().copied().zip(values).collect();
            s.count("requests", &pairs, 1.0).unwrap();
        }
    }
    let page = in_format(&s, Exposition::new(Format::Text1).with_escaping(Escaping::AllowUtf8));
    let counted: Vec<_> = page.lines().filter(|l| l.starts_with("requests_total")).collect();
    assert_eq!(
        counted,
        [
            "requests_total{method=\"GET\",path=\"/\",\"k8s.pod\"=\"a\"} 18",
            "requests_total{method=\"/\",path=\"GET\",\"k8s.pod\"=\"a\"} 18",
            "requests_total{method=\"\\\"\\n\",path=\"a\",\"k8s.pod\"=\"\"} 18",
            "requests_total{method=\"\",path=\"\\\"\\n\",\"k8s.pod\"=\"a\"} 18",
        ]
    );
    assert_eq!(s.reader().verify(), Vec::<String>::new());
}

#[test]
fn other_labels_are_still_a_conflict() {
    let s = anonymous();
    let labels = |names: &[&str]| s.counter("a", "").label_names(names).register().map(drop);
    labels(&["x", "y"]).unwrap();
    labels(&["y", "x"]).unwrap();
    for others in [&["x"][..], &["x", "z"], &["x", "y", "z"], &[]] {
        assert!(matches!(labels(others), Err(Error::Conflict(_))), "{others:?}");
    }
    assert!(matches!(labels(&["y", "y"]), Err(Error::InvalidName(_))));
    assert!(matches!(s.count("a", &[("x", ""), ("x", "")], 1.0), Err(Error::InvalidName(_))));
    assert!(matches!(s.count("a", &[("x", ""), ("z", "")], 1.0), Err(Error::Conflict(_))));
    assert_eq!(s.reader().inspect().series, 0, "and nothing was counted");
}

#[test]
fn a_handle_in_another_order_removes_clears_and_overflows_as_any() {
    let s = anonymous();
    let ours = s.gauge("g", "", GaugeMode::Shared).labels(["x", "y"]).max_series(2).register().unwrap();
    let theirs = s.gauge("g", "", GaugeMode::Shared).labels(["y", "x"]).max_series(2).register().unwrap();
    theirs.with(["b", "a"]).set(1.0);
    ours.with(["a", "b"]).add(1.0);
    assert!(!theirs.remove(["a", "b"]), "another label set");
    assert!(page(&s).contains("g{x=\"a\",y=\"b\"} 2\n"));
    assert!(theirs.remove(["b", "a"]) && !ours.remove(["a", "b"]));
    theirs.with(["1", "2"]).set(1.0);
    theirs.with(["2", "1"]).set(1.0);
    theirs.with(["3", "3"]).set(7.0);
    assert!(page(&s).contains("g{shmetrics_overflow=\"true\"} 7\n"));
    assert_eq!(own(&s, "shmetrics_overflow_lookups_total"), 1.0);
    assert!(theirs.with(["4".repeat(70_000).as_str(), ""]).get() == 7.0, "too long for any series");
    assert_eq!(theirs.clear(), 2);
    assert_eq!(s.reader().verify(), Vec::<String>::new());
}

#[test]
fn many_orders_at_once_are_one_each() {
    let name = Name::new("orders");
    let s = name.open();
    let names = ["a", "b", "c"];
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let s = &s;
            scope.spawn(move || {
                for round in 0..200 {
                    for i in 0..6 {
                        let order = ORDERS[(i + thread) % 6];
                        let family = format!("f{round}");
                        let family = s.counter(&family, "").labels(permuted(names, order)).register().unwrap();
                        family.with(permuted(["1", "2", "3"], order)).inc();
                    }
                }
            });
        }
    });
    let samples = samples(&page(&s));
    for round in 0..200 {
        let found: Vec<_> = samples.iter().filter(|(name, _)| name.starts_with(&format!("f{round}_total"))).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        let (sample, value) = found[0];
        assert_eq!(*value, 24.0, "{sample}");
    }
    assert_eq!(s.reader().verify(), Vec::<String>::new());
    // What is reachable is what was allocated: records that lost the race were given back, or are
    // the few that could not be.
    assert!(own(&s, "shmetrics_segment_leaked_bytes") < 200.0 * 5.0 * 320.0);
}

#[test]
fn the_orders_of_a_family_are_bounded() {
    let s = anonymous();
    let names = ["a", "b", "c", "d", "e"];
    s.counter("f", "").labels(names).register().unwrap();
    let (mut made, mut order) = (0, [0usize; 5]);
    loop {
        let mut rest: Vec<&str> = names.to_vec();
        let labels = order.map(|i| rest.remove(i % rest.len()));
        match s.counter("f", "").labels(labels).register() {
            Ok(family) => {
                family.with(labels).inc();
                made += 1;
            }
            Err(Error::Full(why)) => {
                assert!(why.contains("more than 64 orders"), "{why}");
                break;
            }
            Err(e) => panic!("{e}"),
        }
        let Some(i) = (0..4).rev().find(|i| order[*i] + 1 < 5 - i) else { panic!("all of them") };
        order[i] += 1;
        order[i + 1..].fill(0);
    }
    assert_eq!(made, 65);
    assert_eq!(samples(&page(&s))["f_total{a=\"a\",b=\"b\",c=\"c\",d=\"d\",e=\"e\"}"], 65.0);
}
