//! Tests of exemplars: the formats that show them, the time that they stay, and that no exemplar
//! mixes two exemplars.

use common::anonymous;
use std::time::{Duration, Instant};

use shmetrics::{Exposition, Format, Options, Segment};

fn lines(segment: &Segment, exposition: impl Into<Exposition>, with: &str) -> Vec<String> {
    let page = String::from_utf8(segment.render(exposition)).unwrap();
    page.lines().filter(|line| line.contains(with)).map(str::to_owned).collect()
}

fn exemplar(line: &str) -> Option<(&str, f64, f64)> {
    let (labels, rest) = line.split_once(" # {")?.1.split_once("} ")?;
    let (value, time) = rest.split_once(' ')?;
    Some((labels, value.parse().ok()?, time.parse().ok()?))
}

fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}

#[test]
fn item_60_only_where_the_format_has_them() {
    let s = anonymous();
    let counter = s.counter("a", "").register().unwrap();
    counter.inc_with_exemplar(&[("trace_id", "4bf92f3577b34da6")]);
    let histogram = s.histogram("b", "").buckets(&[1.0, 2.0]).labels(["x"]).register().unwrap().with(["1"]);
    histogram.observe_with_exemplar(1.5, &[("trace_id", "c0ffee"), ("span_id", "q\"uote")]);
    histogram.observe_with_exemplar(9.0, &[]);
    for format in [Format::Text, Format::Text1] {
        assert!(lines(&s, format, "trace_id").is_empty());
    }
    let found = lines(&s, Format::OpenMetrics, " # {");
    let found: Vec<_> = found.iter().map(|l| (l.split_once(" # ").unwrap().0, exemplar(l).unwrap())).collect();
    let expected = [
        ("a_total 1", "trace_id=\"4bf92f3577b34da6\"", 1.0),
        ("b_bucket{x=\"1\",le=\"2.0\"} 1", "trace_id=\"c0ffee\",span_id=\"q\\\"uote\"", 1.5),
        ("b_bucket{x=\"1\",le=\"+Inf\"} 2", "", 9.0),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((line, (labels, value, time)), expected) in found.into_iter().zip(expected) {
        assert_eq!((line, labels, value), expected);
        assert!((now() - time).abs() < 10.0, "{time}");
    }
    let second = lines(&s, Format::OpenMetrics2, " # {");
    assert_eq!(second.len(), 2, "{second:?}");
    assert_eq!(second[1].matches(" # {").count(), 2, "both of the histogram's are on its line");
}

#[test]
fn item_63_an_exemplar_stays_as_it_is_until_there_is_another() {
    let s = anonymous();
    let seldom = s.counter("a", "").exemplar_interval(Duration::from_secs(3600)).register().unwrap();
    let often = s.counter("b", "").exemplar_interval(Duration::ZERO).register().unwrap();
    let show = || lines(&s, Format::OpenMetrics, " # {");
    seldom.inc_with_exemplar(&[("n", "1")]);
    often.inc_with_exemplar(&[("n", "1")]);
    let first = show();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(show(), first, "the same, with the same time");
    seldom.add_with_exemplar(2.0, &[("n", "2")]);
    often.add_with_exemplar(2.0, &[("n", "2")]);
    let second = show();
    assert!(second[0].starts_with("a_total 3 # {n=\"1\"} 1.0 "), "{second:?}");
    assert!(second[1].starts_with("b_total 3 # {n=\"2\"} 2.0 "), "{second:?}");
}

#[test]
fn item_65_what_no_page_could_have_is_left_out_and_counted() {
    let s = anonymous();
    let counter = s.counter("a", "").register().unwrap();
    counter.inc_with_exemplar(&[("no\nname", "x")]);
    counter.inc_with_exemplar(&[("a", "x"), ("a", "y")]);
    counter.inc_with_exemplar(&[("a", &"x".repeat(128))]);
    counter.add_with_exemplar(-1.0, &[("a", "x")]);
    assert_eq!(lines(&s, Format::OpenMetrics, "a_total"), ["a_total 3"]);
    assert_eq!(common::own(&s, "shmetrics_updates_rejected_total"), 4.0);
}

#[test]
fn a_removed_series_takes_its_exemplars_with_it() {
    let s = anonymous();
    let family = s.counter("a", "").labels(["x"]).exemplar_interval(Duration::ZERO).register().unwrap();
    let old = family.with(["1"]);
    old.inc_with_exemplar(&[("n", "1")]);
    assert!(family.remove(["1"]));
    let new = family.with(["2"]);
    new.inc();
    old.inc_with_exemplar(&[("n", "2")]);
    assert_eq!(lines(&s, Format::OpenMetrics, "a_total{"), ["a_total{x=\"2\"} 1"]);
    new.inc_with_exemplar(&[("n", "3")]);
    assert!(lines(&s, Format::OpenMetrics, "a_total{")[0].contains("{n=\"3\"}"));
}

#[test]
fn a_full_segment_goes_on_without() {
    let s = Options::new().anonymous().max_size(512 << 10).open().unwrap();
    let family = s.histogram("a", "").labels(["x"]).register().unwrap();
    let series: Vec<_> = (0..4000).map(|n| family.with([&n.to_string()])).collect();
    series.iter().for_each(|h| h.observe_with_exemplar(0.1, &[("n", "1")]));
    let page = String::from_utf8(s.render(Format::OpenMetrics)).unwrap();
    let counted: f64 =
        page.lines().filter_map(|l| l.strip_prefix("a_count{")?.rsplit_once(' ')?.1.parse::<f64>().ok()).sum();
    assert_eq!(counted, 4000.0);
}

/// Processes write to one slot as fast as they can, are killed and stopped in the middle of it:
/// what is shown is always one process' work.
#[test]
fn item_64_no_exemplar_is_made_up_of_two() {
    let s = common::named("exemplars");
    let histogram = s.histogram("a", "").buckets(&[]).exemplar_interval(Duration::ZERO).register().unwrap();
    let spawn = |id: u32| {
        common::fork(move || {
            for n in 0u64.. {
                let value = n * 100 + u64::from(id);
                // The lengths differ, so that texts overlap in part.
                let text = format!("{value}").repeat(1 + (n % 4) as usize);
                histogram.observe_with_exemplar(value as f64, &[("v", &text), ("id", &id.to_string())]);
            }
        })
    };
    let mut children: Vec<_> = (0..4).map(|id| (id, spawn(id))).collect();
    let (end, mut shown, mut round) = (Instant::now() + Duration::from_secs(if common::long() { 60 } else { 3 }), 0, 0);
    let mut different = std::collections::HashSet::new();
    // However slow the machine, there is enough to compare.
    while Instant::now() < end || shown <= 20 || different.len() <= 20 {
        round += 1;
        if round % 50 == 0 {
            let (id, child) = children.remove(0);
            child.kill();
            children.push((id, spawn(id)));
        } else if round % 10 == 0 {
            children[0].1.signal(libc::SIGSTOP);
            std::thread::sleep(Duration::from_millis(2));
            children[0].1.signal(libc::SIGCONT);
        }
        for line in lines(&s, Format::OpenMetrics, "a_bucket") {
            let Some((labels, value, _)) = exemplar(&line) else { continue };
            let (text, id) = labels.strip_prefix("v=\"").unwrap().split_once("\",id=\"").unwrap();
            let value = value as u64;
            assert_eq!(id.trim_end_matches('"'), (value % 100).to_string(), "{line}");
            assert_eq!(text, format!("{value}").repeat(1 + (value / 100 % 4) as usize), "{line}");
            shown += 1;
            different.insert(value);
        }
    }
    children.into_iter().for_each(|(_, child)| child.kill());
}
