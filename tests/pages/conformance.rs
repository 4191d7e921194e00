//! Tests of the items of `docs/conformance.md`, except the items that other tests are named after.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use common::{anonymous, own, page, samples};
use shmetrics::{Escaping, Exposition, Format, GaugeMode, Options, Segment};

const LINES: [Format; 4] = [Format::Text, Format::Text1, Format::OpenMetrics, Format::OpenMetrics2];

fn text(segment: &Segment, exposition: impl Into<Exposition>) -> String {
    String::from_utf8(segment.render(exposition)).unwrap()
}

fn is_openmetrics(format: Format) -> bool {
    matches!(format, Format::OpenMetrics | Format::OpenMetrics2)
}

/// Of every type one, with labels, help and updates.
fn everything() -> Segment {
    let s = &anonymous();
    let counter = s.counter("requests", "Re\\quests,\r\n\"served\".").labels(["path"]).register().unwrap();
    counter.with(["/"]).inc();
    counter.with(["\\ \" \n"]).add_with_exemplar(0.5, &[("trace_id", "4bf9")]);
    s.gauge("temperature", "Now.", GaugeMode::Shared).register().unwrap().set(-40.0);
    let latency = s.histogram("latency_seconds", "Latency.").unit("seconds").buckets(&[0.5, 1.0, 10.0, 1e6]);
    let latency = latency.labels(["path"]).register().unwrap();
    [0.25, 3.0, 1e7].iter().for_each(|v| latency.with(["/"]).observe_with_exemplar(*v, &[("trace_id", "4bf9")]));
    s.summary("size", "Sizes.").register().unwrap().observe(2.0);
    s.gauge_histogram("age", "Ages.").buckets(&[1.0]).register().unwrap().observe(2.0);
    s.info("build", "Build.").labels(["version"]).register().unwrap().with(["1"]);
    s.enumeration("breaker", "Breaker.", &["closed", "open"]).register().unwrap().set(1);
    s.state_set("features", "Features.", &["a", "b"]).register().unwrap().set(0, true);
    s.unknown("imported", "Imported.").register().unwrap().set(1.0);
    *s
}

/// The samples of a page: what stands before the value, and the rest of the line.
fn lines(page: &str) -> Vec<(&str, &str)> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            // An exemplar has braces of its own.
            let sample = line.split(" # {").next().unwrap();
            let at = sample.rfind("\"} ").map_or_else(|| sample.find(' '), |at| Some(at + 2)).unwrap();
            (&line[..at], &line[at + 1..])
        })
        .collect()
}

/// What is shown of each type, by the words of the format.
fn types(page: &str) -> BTreeMap<&str, &str> {
    page.lines()
        .filter_map(|l| l.strip_prefix("# TYPE ")?.split_once(' '))
        .filter(|t| !t.0.contains("shmetrics_"))
        .collect()
}

#[test]
fn items_01_02_03_line_feeds_and_the_end() {
    let s = everything();
    for format in LINES {
        let page = text(&s, format);
        assert!(!page.contains('\r') && !page.starts_with('\u{feff}'), "{format:?}");
        assert!(page.ends_with('\n') && !page.ends_with("\n\n"), "{format:?}");
        assert_eq!(page.ends_with("\n# EOF\n"), is_openmetrics(format), "{format:?}");
        assert_eq!(page.matches("# EOF").count(), usize::from(is_openmetrics(format)));
    }
}

#[test]
fn items_04_05_one_space_between_words_and_no_line_without_any() {
    let s = everything();
    s.gauge("bare", "", GaugeMode::Shared).register().unwrap();
    for format in LINES {
        for line in text(&s, Exposition::new(format).with_created(true)).lines() {
            let outside = line.split('"').step_by(2).collect::<String>();
            assert!(!line.is_empty() && !line.starts_with(' ') && !line.ends_with(' '), "{format:?}: {line:?}");
            assert!(line.starts_with("# HELP") || !outside.contains("  "), "{format:?}: {line:?}");
            let is_comment = ["# HELP ", "# TYPE ", "# UNIT ", "# EOF"].iter().any(|head| line.starts_with(head));
            assert!(!line.starts_with('#') || is_comment, "{format:?}: {line:?}");
        }
    }
}

#[test]
fn item_09_help_is_escaped_as_the_format_has_it() {
    let s = everything();
    for format in LINES {
        let name = if format == Format::OpenMetrics { "requests" } else { "requests_total" };
        let quote = if is_openmetrics(format) { "\\\"" } else { "\"" };
        let expected = format!("# HELP {name} Re\\\\quests, \\n{quote}served{quote}.\n");
        assert!(text(&s, format).contains(&expected), "{format:?}");
    }
}

#[test]
fn items_10_11_13_label_values_escape_three_characters_and_keep_all_others() {
    let s = anonymous();
    let family = s.gauge("g", "", GaugeMode::Shared).labels(["v"]).register().unwrap();
    let odd = "\0\r\t\u{b}\u{c}\u{85}\u{2028}\u{feff}\u{7f}'{},=é日🦀";
    family.with([odd]).set(1.0);
    family.with(["\\ \" \n \\n"]).set(1.0);
    for format in LINES {
        let page = text(&s, format);
        assert!(page.contains(&format!("g{{v=\"{odd}\"}} 1")), "{format:?}");
        assert!(page.contains(r#"g{v="\\ \" \n \\n"} 1"#), "{format:?}");
    }
}

#[test]
fn items_17_18_21_22_numbers() {
    let s = everything();
    for format in LINES {
        let page = text(&s, format);
        for (sample, rest) in lines(&page) {
            let (value, exemplar) = rest.split_once(" # ").map_or((rest, None), |(v, e)| (v, Some(e)));
            let value = value.split_once(" st@").map_or(value, |(v, _)| v);
            let name = sample.split('{').next().unwrap();
            assert!(!value.contains(' '), "a time: {format:?}: {sample} {rest}");
            assert!(exemplar.is_none() || is_openmetrics(format));
            if value.starts_with('{') {
                continue; // of OpenMetrics 2.0.0: `items_38_81`
            }
            let is_legal = |c: char| c.is_ascii_digit() || "+-.e".contains(c);
            assert!(["NaN", "+Inf", "-Inf"].contains(&value) || value.chars().all(is_legal), "{format:?}: {value}");
            let whole = value.chars().all(|c| c.is_ascii_digit() || c == '-');
            let count = ["_bucket", "_count", "_gcount", "_total", "_info"].iter().any(|end| name.ends_with(end));
            let state = name == "breaker" || name == "features";
            if is_openmetrics(format) && !name.starts_with("shmetrics_") {
                assert_eq!(whole, (count && value != "0.5") || state, "{format:?}: {sample} {value}");
            }
        }
    }
}

#[test]
fn item_20_le_is_the_same_in_every_format() {
    let s = everything();
    let les = |format| -> Vec<String> {
        let page = text(&s, format);
        let line = |l: &str| Some(l.split_once("le=\"")?.1.split_once('"')?.0.to_owned());
        page.lines().filter(|l| l.starts_with("latency")).filter_map(line).collect()
    };
    assert_eq!(les(Format::Text), ["0.5", "1.0", "10.0", "1e+06", "+Inf"]);
    assert_eq!(les(Format::Text1), les(Format::Text));
    assert_eq!(les(Format::OpenMetrics), les(Format::Text));
    assert!(text(&s, Format::OpenMetrics2).contains("bucket:[0.5:1,1.0:1,10.0:2,1e+06:2,+Inf:3]}"));
}

#[test]
fn item_23_times_are_seconds() {
    let s = everything();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let page = text(&s, Exposition::new(Format::OpenMetrics).with_created(true));
    let times =
        page.lines().filter(|l| l.contains("_created") || l.contains(" # {")).map(|l| l.rsplit(' ').next().unwrap());
    let times: Vec<f64> = times.map(|t| t.parse().unwrap()).collect();
    assert!(times.len() > 5 && times.iter().all(|t| (now - 600.0..now + 1.0).contains(t)), "{times:?}");
}

#[test]
fn item_24_no_series_is_there_twice() {
    let s = everything();
    let family = s.counter("sets", "").labels(["a", "b"]).register().unwrap();
    // The same values in another order are other values: they belong to the names that the family
    // was registered with.
    for values in [["x", "y"], ["y", "x"], ["", "x"], ["x", ""], ["", ""], ["x", "y"]] {
        family.with(values).inc();
    }
    // The same names in another order are the same family, and its values come in that order.
    s.counter("sets", "").labels(["b", "a"]).register().unwrap().with(["y", "x"]).inc();
    assert!(s.counter("sets", "").register().is_err(), "what is empty would be what is not there");
    for format in LINES {
        let page = text(&s, format);
        let mut seen = BTreeSet::new();
        for (sample, _) in lines(&page) {
            assert!(seen.insert(sample), "{format:?}: {sample}");
        }
    }
    assert_eq!(samples(&page(&s))["sets_total{a=\"x\",b=\"y\"}"], 3.0);
}

#[test]
fn item_28_reserved_names() {
    let s = anonymous();
    for bad in ["__name__", "__a", "a\n"] {
        assert!(s.counter("c", "").labels([bad]).register().is_err(), "{bad:?}");
    }
    // Prometheus and its clients take these, and say that they are for recording rules and for
    // themselves.
    s.counter("job:rate", "").labels(["_a"]).register().unwrap();
    s.counter("_hidden", "").register().unwrap();
    assert!(s.enumeration("a:b", "", &["x"]).register().is_err(), "it would be a label");
}

#[test]
fn items_29_32_33_34_35_types_and_suffixes() {
    let s = everything();
    let expected = |format| match format {
        Format::Text | Format::Text1 => [
            ("requests_total", "counter"),
            ("temperature", "gauge"),
            ("latency_seconds", "histogram"),
            ("size", "summary"),
            ("age", "histogram"),
            ("build_info", "gauge"),
            ("breaker", "gauge"),
            ("features", "gauge"),
            ("imported", "untyped"),
        ],
        _ => [
            (if format == Format::OpenMetrics { "requests" } else { "requests_total" }, "counter"),
            ("temperature", "gauge"),
            ("latency_seconds", "histogram"),
            ("size", "summary"),
            ("age", "gaugehistogram"),
            (if format == Format::OpenMetrics { "build" } else { "build_info" }, "info"),
            ("breaker", "stateset"),
            ("features", "stateset"),
            ("imported", "unknown"),
        ],
    };
    for format in LINES {
        let page = text(&s, format);
        assert_eq!(types(&page), expected(format).into_iter().collect(), "{format:?}");
        assert!(!page.contains("_total_total") && !page.contains("_info_info"));
        for line in ["requests_total{path=\"/\"} 1", "build_info{version=\"1\"} 1", "breaker{breaker=\"closed\"} 0\n"] {
            assert!(page.contains(&format!("\n{line}")), "{format:?}: {line}");
        }
        assert!(page.contains("\nbreaker{breaker=\"open\"} 1\n"), "one state of an enum is on");
        assert!(page.contains("\nfeatures{features=\"a\"} 1\nfeatures{features=\"b\"} 0\n"), "{format:?}");
        let sum = page.contains("\nage_gsum 2.0\nage_gcount 1\n");
        assert_eq!(sum, format == Format::OpenMetrics);
    }
}

#[test]
fn item_36_counters_take_neither_nan_nor_what_is_negative() {
    let s = anonymous();
    let c = s.counter("c", "").register().unwrap();
    for bad in [f64::NAN, -1.0, f64::NEG_INFINITY, f64::INFINITY] {
        c.add(bad);
    }
    c.add(0.5);
    assert_eq!(samples(&page(&s))["c_total"], 0.5);
    assert_eq!(own(&s, "shmetrics_updates_rejected_total"), 4.0);
}

#[test]
fn items_37_38_46_every_page_has_whole_histograms_while_threads_observe() {
    let s = anonymous();
    let family = s.histogram("h", "").buckets(&[1.0, 2.0, 3.0]).labels(["x"]).register().unwrap();
    let done = AtomicBool::new(false);
    let page = |format: Format| {
        let page = text(&s, format);
        let counts: Vec<u64> = page
            .lines()
            .filter(|l| l.starts_with("h_bucket"))
            .map(|l| l.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        let count = page.lines().find_map(|l| l.strip_prefix("h_count{x=\"a\"} ")).map_or(0, |n| n.parse().unwrap());
        assert!(counts.is_sorted() && counts.last().copied().unwrap_or(0) == count, "{page}");
        count
    };
    std::thread::scope(|scope| {
        for i in 0..2 {
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    family.with(["a"]).observe(f64::from(i) + 0.5);
                }
            });
        }
        // Two scrapers at a time; neither waits for the other.
        let page = &page;
        let scrape = move |format| {
            let mut last = 0;
            for _ in 0..200 {
                let count = page(format);
                assert!(count >= last, "it fell");
                last = count;
            }
        };
        let other = scope.spawn(move || scrape(Format::OpenMetrics));
        scrape(Format::Text);
        other.join().unwrap();
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn item_39_no_sum_beside_negative_bounds_in_openmetrics() {
    let s = anonymous();
    s.histogram("h", "").buckets(&[-1.0, 1.0]).register().unwrap().observe(0.5);
    assert!(!text(&s, Format::OpenMetrics).contains("h_sum") && !text(&s, Format::OpenMetrics).contains("h_count"));
    assert!(text(&s, Format::Text).contains("h_sum 0.5\nh_count 1\n"));
}

/// Whether there is a sum is decided once: it does not come and go with its sign.
#[test]
fn item_39_no_sum_from_the_first_negative_observation_on() {
    let s = anonymous();
    let summed = |name: &str| {
        let page = text(&s, Format::OpenMetrics);
        let has =
            |suffix: &str| page.contains(&format!("{name}{suffix} ")) || page.contains(&format!("{name}{suffix}{{"));
        assert!(text(&s, Format::Text).contains(&format!("{name}_sum")));
        has("_sum")
    };
    let (h, d) =
        (s.histogram("h", "").buckets(&[1.0, 2.0]).register().unwrap(), s.summary("d", "").register().unwrap());
    let n = s.histogram("n", "").native(shmetrics::Native::schema(3)).buckets(&[1.0]).register().unwrap();
    let many = s.histogram("m", "").buckets(&[1.0]).labels(["n"]).register().unwrap();
    let m = many.with(["1"]);
    let each = |v: f64| {
        h.observe(v);
        d.observe(v);
        n.observe(v);
        m.observe(v);
    };
    let all = || ["h", "d", "n", "m"].map(summed);
    [0.0, -0.0, 100.0, f64::INFINITY, f64::NAN].into_iter().for_each(each);
    assert_eq!(all(), [true; 4]);
    each(-1.0);
    assert_eq!(all(), [false; 4], "the sum is 99, and may fall");
    each(-1000.0);
    assert_eq!(all(), [false; 4]);
    each(5000.0);
    assert_eq!(all(), [false; 4]);
    // Hot, with cells for each CPU.
    let hot = s.histogram("hot", "").buckets(&[1.0]).register().unwrap();
    (0..10_000).for_each(|_| hot.observe(1.0));
    assert!(summed("hot"));
    hot.observe(-1.0);
    assert!(!summed("hot"));
    // Another label set in the same record.
    assert!(many.remove(["1"]));
    many.with(["2"]).observe(1.0);
    assert!(summed("m"));
    m.observe(-1.0);
    assert!(summed("m"), "an update to a removed series");
}

#[test]
fn item_40_what_belongs_together_stands_together() {
    let s = everything();
    s.counter("requests", "").labels(["path"]).register().unwrap().with(["/late"]).inc();
    for format in LINES {
        let page = text(&s, Exposition::new(format).with_created(true));
        let family = |name: &str| {
            let ends = ["_total", "_created", "_bucket", "_sum", "_count", "_gsum", "_gcount", "_info"];
            let base = ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            base.to_owned()
        };
        let mut order: Vec<String> = lines(&page).iter().map(|(s, _)| family(s.split('{').next().unwrap())).collect();
        order.dedup();
        let all: BTreeSet<_> = order.iter().collect();
        assert_eq!(all.len(), order.len(), "{format:?}: {order:?}");
    }
    let page = text(&s, Exposition::new(Format::OpenMetrics).with_created(true));
    let lines: Vec<&str> = page.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        if let Some(labels) = line.strip_prefix("requests_created") {
            let labels = labels.split_once("\"} ").unwrap().0;
            assert!(lines[at - 1].starts_with(&format!("requests_total{labels}")), "{line}");
        }
    }
}

#[test]
fn item_42_series_that_rest_are_shown() {
    let s = anonymous();
    let family = s.counter("c", "").labels(["x"]).register().unwrap();
    family.with(["idle"]);
    family.with(["busy"]).inc();
    s.counter("never", "").register().unwrap();
    for _ in 0..3 {
        let found = samples(&page(&s));
        assert_eq!((found["c_total{x=\"idle\"}"], found["never_total"]), (0.0, 0.0));
    }
}

#[test]
fn item_45_a_start_stays_until_the_series_begins_anew() {
    let s = anonymous();
    let family = s.counter("c", "").labels(["x"]).register().unwrap();
    let start = || -> f64 {
        let page = text(&s, Exposition::new(Format::OpenMetrics).with_created(true));
        page.lines().find_map(|l| l.strip_prefix("c_created{x=\"a\"} ")).unwrap().parse().unwrap()
    };
    family.with(["a"]).inc();
    let first = start();
    family.with(["a"]).inc();
    assert_eq!(start(), first);
    std::thread::sleep(std::time::Duration::from_millis(250));
    assert_eq!(start(), first);
    family.remove(["a"]);
    family.with(["a"]).inc();
    assert!(start() > first);
}

#[test]
fn item_62_an_exemplar_lies_in_its_bucket() {
    let s = anonymous();
    let h = s.histogram("h", "").buckets(&[1.0, 2.0]).register().unwrap();
    for v in [0.5, 1.0, 1.5, 2.0, 99.0] {
        h.observe_with_exemplar(v, &[("trace_id", "4bf9")]);
    }
    let page = text(&s, Format::OpenMetrics);
    let value = |le: &str| -> f64 {
        let line = page.lines().find(|l| l.starts_with(&format!("h_bucket{{le=\"{le}\"}}"))).unwrap();
        line.split_once("\"4bf9\"} ").unwrap().1.split(' ').next().unwrap().parse().unwrap()
    };
    assert!(value("1.0") <= 1.0);
    assert!((1.0..=2.0).contains(&value("2.0")));
    assert_eq!(value("+Inf"), 99.0);
}

#[test]
fn item_68_the_type_says_what_the_page_is() {
    let s = everything();
    for format in LINES.into_iter().chain([Format::Protobuf]) {
        for escaping in [Escaping::Underscores, Escaping::Dots, Escaping::Values, Escaping::AllowUtf8] {
            let exposition = Exposition::new(format).with_escaping(escaping);
            let kind = exposition.content_type();
            assert_eq!(Exposition::negotiate(&kind.replace("; charset=utf-8", "")), exposition, "{kind}");
        }
        let page = s.render(format);
        let kind = Exposition::new(format).content_type();
        assert_eq!(kind.starts_with("application/openmetrics-text"), page.ends_with(b"# EOF\n"), "{kind}");
        assert_eq!(kind.starts_with("application/vnd.google.protobuf"), std::str::from_utf8(&page).is_err(), "{kind}");
    }
}

#[test]
fn item_76_nothing_of_ours_is_called_as_prometheus_calls_its_own() {
    let s = anonymous();
    let page = page(&s);
    assert!(page.lines().filter(|l| !l.starts_with('#')).all(|l| !l.starts_with("scrape_") && !l.starts_with("up ")));
}

/// The labels of a segment are on every sample of it, in every format.
#[test]
fn labels_of_a_segment_are_everywhere() {
    let s = Options::new().anonymous().label("app", "a\"b").open().unwrap();
    s.counter("c", "").register().unwrap().inc();
    s.histogram("h", "").labels(["x"]).register().unwrap().with(["1"]).observe(1.0);
    s.enumeration("e", "", &["on"]).register().unwrap();
    s.set_identity(1);
    s.gauge("g", "", GaugeMode::All).register().unwrap().set(1.0);
    for format in LINES {
        let page = text(&s, Exposition::new(format).with_created(true));
        for line in page.lines().filter(|l| !l.starts_with('#')) {
            assert!(line.contains("{app=\"a\\\"b\""), "{format:?}: {line}");
        }
    }
    // In protobuf as a label of each metric: a sample of c, h, e and g, and those of the library
    // itself.
    let protobuf = s.render(Format::Protobuf);
    let label = b"\x0a\x0a\x0a\x03app\x12\x03a\"b";
    let metrics = protobuf.windows(label.len()).filter(|w| w == label).count();
    let lines = text(&s, Format::Text).lines().filter(|l| !l.starts_with('#') && !l.starts_with("h_")).count();
    assert_eq!(metrics, lines + 1, "each sample, and one for the histogram");
}

#[test]
fn target_info_comes_first_whenever_it_is_registered() {
    let s = anonymous();
    s.counter("early", "").register().unwrap();
    s.info("target", "The service.").labels(["service.name"]).register().unwrap().with(["shop"]);
    s.counter("late", "").register().unwrap();
    for (format, head) in [
        (
            Format::Text,
            "# HELP target_info The service.\n# TYPE target_info gauge\ntarget_info{service_name=\"shop\"} 1\n",
        ),
        (Format::OpenMetrics, "# TYPE target info\n# HELP target The service.\ntarget_info{service_name=\"shop\"} 1\n"),
        (
            Format::OpenMetrics2,
            "# TYPE target_info info\n# HELP target_info The service.\ntarget_info{service_name=\"shop\"} 1\n",
        ),
    ] {
        let page = text(&s, format);
        assert!(page.starts_with(head), "{page}");
        assert_eq!(page.matches("target_info{").count(), 1);
        assert!(page.find("early").unwrap() < page.find("late").unwrap());
    }
    assert!(s.render(Format::Protobuf)[1..].starts_with(b"\x0a\x0btarget_info"));
    let other = anonymous();
    other.gauge("target", "No info.", GaugeMode::Shared).register().unwrap();
    other.counter("early", "").register().unwrap();
    assert!(text(&other, Format::Text).starts_with("# HELP target No info.\n"));
}
