//! Tests of the facade's calls, and of their results on the page.
#![allow(missing_docs)]

mod common;

use std::time::Duration;

use common::{page, segment, value};
use metrics::{
    counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram, with_local_recorder, Unit,
};
use shmetrics::{GaugeMode, Native, Segment};
use shmetrics_metrics::{Matcher, Recorder};

fn fresh() -> (Segment, Recorder) {
    let segment = segment();
    (segment, Recorder::new(segment))
}

#[track_caller]
fn no_trouble(recorder: &Recorder) {
    assert_eq!(recorder.warnings(), Recorder::new(segment()).warnings());
}

#[test]
fn counters_gauges_and_histograms_are_on_the_page() {
    let (segment, recorder) = fresh();
    with_local_recorder(&recorder, || {
        counter!("requests", "method" => "GET").increment(2);
        counter!("requests", "method" => "GET").increment(3);
        counter!("plain_total").increment(1);
        gauge!("depth", "queue" => "mail").set(4.5);
        histogram!("took_seconds").record(0.3);
        histogram!("took_seconds").record(Duration::from_millis(30));
        histogram!("took_seconds").record_many(7.0, 3);
    });
    assert_eq!(value(segment, "requests_total{method=\"GET\"}"), 5.0);
    assert_eq!(value(segment, "plain_total"), 1.0);
    assert_eq!(value(segment, "depth{queue=\"mail\"}"), 4.5);
    assert_eq!(value(segment, "took_seconds_bucket{le=\"0.05\"}"), 1.0);
    assert_eq!(value(segment, "took_seconds_bucket{le=\"0.5\"}"), 2.0);
    assert_eq!(value(segment, "took_seconds_bucket{le=\"5.0\"}"), 2.0);
    assert_eq!(value(segment, "took_seconds_count"), 5.0);
    no_trouble(&recorder);
}

#[test]
fn an_absolute_value_only_rises() {
    let (segment, recorder) = fresh();
    let set = |v| with_local_recorder(&recorder, || counter!("seen", "a" => "1", "b" => "2").absolute(v));
    for (v, shown) in [(10, 10.0), (7, 10.0), (25, 25.0), (25, 25.0)] {
        set(v);
        assert_eq!(value(segment, "seen_total{a=\"1\",b=\"2\"}"), shown);
    }
    with_local_recorder(&recorder, || counter!("seen", "b" => "2", "a" => "1").absolute(26));
    assert_eq!(value(segment, "seen_total{a=\"1\",b=\"2\"}"), 26.0);
}

#[test]
fn threads_raise_an_absolute_value_once() {
    let (segment, recorder) = fresh();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for v in 0..1000 {
                    with_local_recorder(&recorder, || counter!("seen").absolute(v));
                }
            });
        }
    });
    assert_eq!(value(segment, "seen_total"), 999.0);
}

#[test]
fn gauges_rise_and_fall() {
    let (segment, recorder) = fresh();
    with_local_recorder(&recorder, || {
        let held = gauge!("in_progress");
        held.increment(3.0);
        gauge!("in_progress").decrement(1.0);
        assert_eq!(value(segment, "in_progress"), 2.0);
        held.set(8.0);
        held.increment(0.5);
    });
    assert_eq!(value(segment, "in_progress"), 8.5);
}

#[test]
fn the_order_of_labels_does_not_matter() {
    let (segment, recorder) = fresh();
    with_local_recorder(&recorder, || {
        counter!("requests", "status" => "200", "method" => "GET").increment(1);
        counter!("requests", "method" => "GET", "status" => "200").increment(1);
        let (method, status) = (String::from("GET"), String::from("200"));
        counter!("requests", "status" => status, "method" => method).increment(1);
    });
    assert_eq!(page(segment), "# TYPE requests_total counter\nrequests_total{method=\"GET\",status=\"200\"} 3\n");
    no_trouble(&recorder);
}

#[test]
fn the_first_set_of_label_names_stays_and_nothing_is_lost_quietly() {
    let (segment, recorder) = fresh();
    with_local_recorder(&recorder, || {
        counter!("requests", "method" => "GET", "status" => "200").increment(1);
        counter!("requests", "method" => "GET").increment(10);
        for path in ["/a", "/b"] {
            counter!("requests", "path" => path, "status" => "200", "method" => "GET").increment(100);
        }
    });
    assert_eq!(value(segment, "requests_total{method=\"GET\",status=\"200\"}"), 201.0);
    assert_eq!(value(segment, "requests_total{method=\"GET\",status=\"\"}"), 10.0);
    let warnings = recorder.warnings();
    assert_eq!((warnings.merged_updates, warnings.lost_updates), (2, 0));
    assert_eq!(warnings.messages.len(), 1, "said once: {:?}", warnings.messages);
    assert!(warnings.messages[0].contains("\"path\"") && warnings.messages[0].contains("label_names"), "{warnings:?}");
    // The page says so too, whichever process renders it.
    let dropped = "metrics_facade_labels_dropped_total{metric=\"requests\",label=\"path\"}";
    assert_eq!(value(segment, dropped), 2.0);
}

#[test]
fn label_sets_with_other_names_are_series_of_their_own() {
    let segment = segment();
    let recorder = Recorder::builder(segment).other_labels("other").max_series(10).build().unwrap();
    with_local_recorder(&recorder, || {
        counter!("requests", "method" => "GET").increment(1);
        counter!("requests", "method" => "GET", "path" => "/a,b", "user" => "7").increment(10);
        counter!("requests", "user" => "7", "method" => "GET", "path" => "/a,b").increment(100);
        counter!("requests", "path" => "/a", "b,user" => "7").increment(1000);
        counter!("requests", "other" => "mine").increment(10_000);
        counter!("twice", "a.b" => "1", "a_b" => "2").increment(1);
        gauge!("plain").set(1.0);
    });
    assert_eq!(value(segment, "requests_total{method=\"GET\",other=\"\"}"), 1.0);
    assert_eq!(value(segment, "requests_total{method=\"GET\",other=\"path=/a\\\\,b,user=7\"}"), 110.0);
    assert_eq!(value(segment, "requests_total{method=\"\",other=\"b\\\\,user=7,path=/a\"}"), 1000.0);
    assert_eq!(value(segment, "requests_total{method=\"\",other=\"other=mine\"}"), 10_000.0);
    assert_eq!(value(segment, "twice_total{a_b=\"2\",other=\"a.b=1\"}"), 1.0);
    assert_eq!(value(segment, "plain{other=\"\"}"), 1.0);
    no_trouble(&recorder);
}

#[test]
fn a_metric_that_another_process_registered_without_the_label_for_others_drops_them() {
    let segment = segment();
    let (without, with) = (Recorder::new(segment), Recorder::builder(segment).other_labels("other").build().unwrap());
    let count = |recorder: &Recorder, label| {
        with_local_recorder(recorder, || counter!("c", "a" => "1", label => "2").increment(1));
    };
    count(&without, "b");
    count(&with, "z");
    assert_eq!(value(segment, "c_total{a=\"1\",b=\"\"}"), 1.0);
    assert_eq!(with.warnings().merged_updates, 1);
    assert_eq!(value(segment, "metrics_facade_labels_dropped_total{metric=\"c\",label=\"z\"}"), 1.0);
}

#[test]
fn label_names_given_beforehand_are_all_there() {
    let segment = segment();
    let recorder =
        Recorder::builder(segment).label_names("http.requests", &["status", "path", "method"]).build().unwrap();
    with_local_recorder(&recorder, || {
        counter!("http.requests", "method" => "GET").increment(1);
        counter!("http.requests", "path" => "/", "method" => "GET").increment(1);
    });
    assert_eq!(value(segment, "http_requests_total{method=\"GET\",path=\"/\",status=\"\"}"), 1.0);
    assert_eq!(value(segment, "http_requests_total{method=\"GET\",path=\"\",status=\"\"}"), 1.0);
    no_trouble(&recorder);
}

#[test]
fn a_label_given_twice_keeps_the_last_value_and_says_so() {
    let (segment, recorder) = fresh();
    with_local_recorder(&recorder, || counter!("twice", "a.b" => "1", "a_b" => "2").increment(1));
    assert_eq!(value(segment, "twice_total{a_b=\"2\"}"), 1.0);
    assert_eq!(recorder.warnings().merged_updates, 1);
}

#[test]
fn every_number_of_labels_to_sixty_four_and_beyond() {
    let (segment, recorder) = fresh();
    let label = |i: usize| metrics::Label::new(format!("l{i:02}"), format!("v{i}"));
    for count in 0..=68 {
        let labels: Vec<_> = (0..count).map(label).collect();
        with_local_recorder(&recorder, || counter!(format!("of_{count}"), labels).increment(1));
        let shown: Vec<_> = (0..count.min(64)).map(|i| format!("l{i:02}=\"v{i}\"")).collect();
        let shown = if shown.is_empty() { String::new() } else { format!("{{{}}}", shown.join(",")) };
        assert_eq!(value(segment, &format!("of_{count}_total{shown}")), 1.0);
    }
    let warnings = recorder.warnings();
    assert_eq!((warnings.merged_updates, warnings.lost_updates, warnings.messages.len()), (4, 0, 1 + 2 + 3 + 4));
}

#[test]
fn labels_that_are_taken_are_renamed() {
    let segment = segment();
    let all = Matcher::Full("per_process".into());
    let recorder = Recorder::builder(segment).gauge_mode_for(all, GaugeMode::LiveAll).build().unwrap();
    with_local_recorder(&recorder, || {
        histogram!("h", "le" => "x").record(1.0);
        gauge!("per_process", "pid" => "x").set(1.0);
        counter!("c", "shmetrics_overflow" => "x", "__name__" => "y", "le" => "z").increment(1);
    });
    assert_eq!(value(segment, "h_count{exported_le=\"x\"}"), 1.0);
    assert_eq!(value(segment, &format!("per_process{{exported_pid=\"x\",pid=\"{}\"}}", std::process::id())), 1.0);
    assert_eq!(value(segment, "c_total{_name__=\"y\",exported_shmetrics_overflow=\"x\",le=\"z\"}"), 1.0);
    no_trouble(&recorder);
}

#[test]
fn what_cannot_be_registered_is_counted_as_lost() {
    let (segment, recorder) = fresh();
    with_local_recorder(&recorder, || {
        counter!("clash").increment(1);
        gauge!("clash").set(1.0);
        histogram!("shmetrics_mine").record(1.0);
        counter!("").increment(5);
        counter!("").increment(5);
        counter!("").absolute(5);
    });
    assert!(page(segment).starts_with("# TYPE clash_total counter\nclash_total 1\n"));
    for (metric, lost) in [("clash", 1.0), ("shmetrics_mine", 1.0), ("", 3.0)] {
        assert_eq!(value(segment, &format!("metrics_facade_updates_lost_total{{metric=\"{metric}\"}}")), lost);
    }
    let warnings = recorder.warnings();
    assert_eq!((warnings.merged_updates, warnings.lost_updates), (0, 5));
    assert_eq!(warnings.messages.len(), 3, "{:?}", warnings.messages);
}

#[test]
fn descriptions_give_help_and_a_unit_that_the_name_has() {
    let (segment, recorder) = fresh();
    with_local_recorder(&recorder, || {
        describe_counter!("read_bytes_total", Unit::Bytes, "Bytes read.");
        describe_histogram!("wait", Unit::Seconds, "Time waited.");
        describe_gauge!("fill.ratio", Unit::Percent, "How full it is.");
        counter!("read_bytes_total").increment(1);
        histogram!("wait").record(1.0);
        gauge!("fill.ratio").set(0.5);
    });
    let page = page(segment);
    assert!(page.contains("# HELP read_bytes_total Bytes read.\n"), "{page}");
    assert!(page.contains("# HELP wait Time waited.\n"), "{page}");
    let families = segment.reader().inspect().families;
    let units: Vec<_> = families.iter().map(|f| (f.name.as_str(), f.unit.as_str())).collect();
    assert_eq!(units, [("read_bytes", "bytes"), ("wait", ""), ("fill_ratio", "ratio")]);
    no_trouble(&recorder);
}

#[test]
fn a_description_after_the_first_use_changes_nothing_and_is_reported() {
    let (segment, recorder) = fresh();
    with_local_recorder(&recorder, || {
        describe_gauge!("depth", "Entries.");
        gauge!("depth").set(1.0);
        counter!("requests", "method" => "GET").increment(1);
        describe_gauge!("depth", "Entries.");
        describe_counter!("requests", "Requests served.");
        describe_counter!("requests", "Requests served.");
        describe_histogram!("unused", "Used later.");
    });
    assert!(!page(segment).contains("# HELP requests"), "{}", page(segment));
    let messages = recorder.warnings().messages;
    assert!(messages.len() == 1 && messages[0].starts_with("requests: its help is \"\""), "{messages:?}");
}

#[test]
fn units_are_appended_if_that_is_wanted() {
    let segment = segment();
    let recorder = Recorder::builder(segment).unit_suffix(true).build().unwrap();
    with_local_recorder(&recorder, || {
        describe_histogram!("wait", Unit::Seconds, "Time waited.");
        describe_counter!("cpu_total", Unit::Seconds, "Time used.");
        describe_counter!("things", Unit::Count, "Things.");
        histogram!("wait").record(1.0);
        counter!("cpu_total").increment(1);
        counter!("things").increment(1);
    });
    assert_eq!(value(segment, "wait_seconds_count"), 1.0);
    assert_eq!(value(segment, "cpu_seconds_total"), 1.0);
    assert_eq!(value(segment, "things_total"), 1.0);
    assert_eq!(segment.reader().inspect().families[0].unit, "seconds");
    no_trouble(&recorder);
}

#[test]
fn buckets_by_name_prefix_and_suffix() {
    let segment = segment();
    let recorder = Recorder::builder(segment)
        .buckets(&[1.0])
        .buckets_for(Matcher::Suffix("_bytes".into()), &[1024.0, f64::INFINITY])
        .buckets_for(Matcher::Prefix("db_".into()), &[0.5])
        .build()
        .unwrap();
    with_local_recorder(&recorder, || {
        histogram!("other").record(1.0);
        histogram!("body_bytes").record(1.0);
        histogram!("db_read_bytes").record(1.0);
    });
    assert_eq!(value(segment, "other_bucket{le=\"1.0\"}"), 1.0);
    assert_eq!(value(segment, "body_bytes_bucket{le=\"1024.0\"}"), 1.0);
    assert_eq!(value(segment, "db_read_bytes_bucket{le=\"0.5\"}"), 0.0);
    no_trouble(&recorder);
}

#[test]
fn buckets_and_quantiles_that_do_not_rise_are_refused_at_once() {
    let builder = || Recorder::builder(segment());
    let suffix = || Matcher::Suffix("_seconds".into());
    for builder in [
        builder().buckets(&[2.0, 1.0]),
        builder().buckets_for(suffix(), &[f64::NAN]),
        builder().quantiles(&[0.9, 0.5]),
        builder().quantiles_for(suffix(), &[0.5, 1.5]),
    ] {
        let error = builder.build().unwrap_err();
        assert!(error.to_string().contains("each greater than the one before"), "{error}");
    }
}

#[test]
fn native_buckets_and_quantiles_by_metric() {
    let segment = segment();
    let full = |name: &str| Matcher::Full(name.into());
    let recorder = Recorder::builder(segment)
        .native_for(full("native"), Native::factor(1.1))
        .native_for(full("both"), Native::factor(1.1))
        .buckets_for(full("both"), &[1.0])
        .quantiles_for(Matcher::Prefix("rpc.".into()), &[0.5, 0.99])
        .build()
        .unwrap();
    with_local_recorder(&recorder, || {
        for name in ["classic", "native", "both", "rpc.took"] {
            histogram!(name, "a" => "1").record_many(0.75, 3);
        }
    });
    let families = segment.reader().inspect().families;
    let native: Vec<_> = families.iter().map(|f| (f.name.as_str(), f.native.is_some(), f.buckets.len())).collect();
    assert_eq!(native, [("classic", false, 14), ("native", true, 0), ("both", true, 1), ("rpc_took", false, 2)]);
    assert_eq!(value(segment, "both_bucket{a=\"1\",le=\"1.0\"}"), 3.0);
    let median = value(segment, "rpc_took{a=\"1\",quantile=\"0.5\"}");
    assert!((median / 0.75 - 1.0).abs() < 0.011, "{median}");
    assert_eq!(value(segment, "rpc_took_sum{a=\"1\"}"), 2.25);
    no_trouble(&recorder);
}

#[test]
fn limits_of_series_and_expiry_by_metric() {
    let segment = segment();
    let recorder = Recorder::builder(segment)
        .max_series(100)
        .max_series_for(Matcher::Prefix("user_".into()), 2)
        .expire_after(Duration::from_secs(60))
        .expire_after_for(Matcher::Full("user_events".into()), Duration::ZERO)
        .build()
        .unwrap();
    with_local_recorder(&recorder, || {
        for user in ["1", "2", "3", "4"] {
            counter!("user_events", "user" => user).increment(1);
            counter!("events", "user" => user).increment(1);
        }
    });
    assert_eq!(value(segment, "user_events_total{shmetrics_overflow=\"true\"}"), 2.0);
    assert_eq!(value(segment, "events_total{user=\"4\"}"), 1.0);
    let families = segment.reader().inspect().families;
    let limits: Vec<_> = families.iter().map(|f| (f.max_series, f.expire_after)).collect();
    assert_eq!(limits, [(2, None), (100, Some(Duration::from_secs(60)))]);
    no_trouble(&recorder);
}

#[test]
fn settings_of_another_process_are_taken_whatever_they_are() {
    let segment = segment();
    let minute = Duration::from_secs(60);
    let recorders = [
        Recorder::builder(segment).native(Native::factor(1.1)).expire_after(minute),
        Recorder::builder(segment),
        Recorder::builder(segment).native(Native::schema(5)).buckets(&[1.0]).expire_after(2 * minute),
        Recorder::builder(segment).native(Native::schema(3)).expire_after(minute),
    ];
    let said = recorders.map(|builder| {
        let recorder = builder.build().unwrap();
        with_local_recorder(&recorder, || histogram!("h", "a" => "1").record(1.0));
        let warnings = recorder.warnings();
        assert_eq!((warnings.lost_updates, warnings.merged_updates), (0, 0));
        warnings.messages.len()
    });
    assert_eq!(value(segment, "h_count{a=\"1\"}"), 4.0);
    assert_eq!(said, [0, 2, 3, 0], "schema 3 is the factor 1.1");

    let quantiles = |list| Recorder::builder(segment).quantiles(list).build().unwrap();
    let summary = segment.summary("s", "").quantiles(&[0.5]).max_age(minute).labels(["a"]).register().unwrap();
    summary.with(["1"]).observe(1.0);
    let recorder = quantiles(&[0.9]);
    with_local_recorder(&recorder, || histogram!("s", "a" => "1").record(1.0));
    assert_eq!(value(segment, "s_count{a=\"1\"}"), 2.0);
    assert!(recorder.warnings().messages[0].contains("list of quantiles"), "{:?}", recorder.warnings());
}

#[test]
fn what_another_process_registered_otherwise_is_taken_as_it_is() {
    let segment = segment();
    let (old, new) =
        (Recorder::new(segment), Recorder::builder(segment).buckets(&[0.1, 3.0]).gauge_mode(GaugeMode::Max));
    let new = new.expire_after(Duration::from_secs(60)).build().unwrap();
    let count = |recorder: &Recorder| {
        with_local_recorder(recorder, || {
            counter!("c", "a" => "1").increment(1);
            gauge!("g", "a" => "1").increment(1.0);
            histogram!("h", "a" => "1").record(1.0);
        });
    };
    count(&old);
    with_local_recorder(&new, || describe_counter!("c", Unit::Count, "Too late."));
    count(&new);
    for sample in ["c_total", "g", "h_count"] {
        assert_eq!(value(segment, &format!("{sample}{{a=\"1\"}}")), 2.0);
    }
    let warnings = new.warnings();
    assert_eq!((warnings.lost_updates, warnings.merged_updates), (0, 0));
    let said = |what| warnings.messages.iter().any(|m| m.contains(what));
    assert!(said("gauge mode") && said("list of buckets") && said("time of expiry"), "{:?}", warnings.messages);
    no_trouble(&old);
}

#[test]
fn label_names_of_another_process_are_taken_in_its_order() {
    let (segment, recorder) = fresh();
    let family = segment.counter("c", "Made elsewhere.").labels(["z", "a"]).register().unwrap();
    family.with(["26", "1"]).inc();
    with_local_recorder(&recorder, || {
        counter!("c", "a" => "1", "z" => "26").increment(1);
        counter!("c", "a" => "1", "m" => "13").increment(1);
    });
    assert_eq!(value(segment, "c_total{z=\"26\",a=\"1\"}"), 2.0);
    assert_eq!(value(segment, "c_total{z=\"\",a=\"1\"}"), 1.0);
    assert_eq!(recorder.warnings().merged_updates, 1);
}

#[test]
fn a_removed_series_is_made_again_by_the_next_call() {
    let (segment, recorder) = fresh();
    let count = || with_local_recorder(&recorder, || counter!("c", "tenant" => "acme").increment(1));
    count();
    let family = segment.counter("c", "").labels(["tenant"]).register().unwrap();
    assert!(family.remove(["acme"]));
    assert!(!page(segment).contains("acme"));
    count();
    assert_eq!(value(segment, "c_total{tenant=\"acme\"}"), 1.0);
}

#[test]
fn more_label_sets_than_a_thread_keeps() {
    let (segment, recorder) = fresh();
    with_local_recorder(&recorder, || {
        for _ in 0..2 {
            for i in 0..5000 {
                counter!("many", "i" => i.to_string()).increment(1);
            }
        }
    });
    assert_eq!(value(segment, "many_total{i=\"0\"}"), 2.0);
    assert_eq!(value(segment, "many_total{i=\"4999\"}"), 2.0);
}

#[test]
fn threads_that_come_and_go_count_into_one() {
    let (segment, recorder) = fresh();
    for _ in 0..20 {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    with_local_recorder(&recorder, || {
                        for status in ["200", "404"] {
                            counter!("requests", "status" => status).increment(1);
                        }
                    });
                });
            }
        });
    }
    assert_eq!(value(segment, "requests_total{status=\"200\"}"), 80.0);
    assert_eq!(value(segment, "requests_total{status=\"404\"}"), 80.0);
    assert_eq!(segment.reader().inspect().failed_registrations, 0);
}
