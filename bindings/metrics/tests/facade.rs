//! Tests of the facade's calls, and of their results on the page.
#![allow(missing_docs)]

mod common;

use std::time::Duration;

use common::{page, segment, value};
use metrics::{
    counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram, with_local_recorder, Unit,
};
use shmetrics::{GaugeMode, Segment};
use shmetrics_metrics::{Matcher, Recorder};

fn fresh() -> (Segment, Recorder) {
    let segment = segment();
    (segment, Recorder::new(segment))
}

#[track_caller]
fn no_trouble(recorder: &Recorder) {
    assert_eq!(recorder.trouble(), Recorder::new(segment()).trouble());
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
    let trouble = recorder.trouble();
    assert_eq!((trouble.merged_updates, trouble.lost_updates), (2, 0));
    assert_eq!(trouble.messages.len(), 1, "said once: {:?}", trouble.messages);
    assert!(trouble.messages[0].contains("\"path\"") && trouble.messages[0].contains("label_names"), "{trouble:?}");
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
    assert_eq!(recorder.trouble().merged_updates, 1);
}

#[test]
fn every_number_of_labels_to_sixteen_and_beyond() {
    let (segment, recorder) = fresh();
    let label = |i: usize| metrics::Label::new(format!("l{i:02}"), format!("v{i}"));
    for count in 0..=20 {
        let labels: Vec<_> = (0..count).map(label).collect();
        with_local_recorder(&recorder, || counter!(format!("of_{count}"), labels).increment(1));
        let shown: Vec<_> = (0..count.min(16)).map(|i| format!("l{i:02}=\"v{i}\"")).collect();
        let shown = if shown.is_empty() { String::new() } else { format!("{{{}}}", shown.join(",")) };
        assert_eq!(value(segment, &format!("of_{count}_total{shown}")), 1.0);
    }
    let trouble = recorder.trouble();
    assert_eq!((trouble.merged_updates, trouble.lost_updates, trouble.messages.len()), (4, 0, 4));
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
    assert_eq!(page(segment), "# TYPE clash_total counter\nclash_total 1\n");
    let trouble = recorder.trouble();
    assert_eq!((trouble.merged_updates, trouble.lost_updates), (0, 5));
    assert_eq!(trouble.messages.len(), 3, "{:?}", trouble.messages);
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
fn buckets_that_do_not_rise_are_refused_at_once() {
    let error = Recorder::builder(segment()).buckets(&[2.0, 1.0]).build().unwrap_err();
    assert!(error.to_string().contains("each greater than the one before"), "{error}");
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
    let trouble = new.trouble();
    assert_eq!((trouble.lost_updates, trouble.merged_updates), (0, 0));
    let said = |what| trouble.messages.iter().any(|m| m.contains(what));
    assert!(said("gauge mode") && said("list of buckets") && said("do not expire"), "{:?}", trouble.messages);
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
    assert_eq!(recorder.trouble().merged_updates, 1);
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
