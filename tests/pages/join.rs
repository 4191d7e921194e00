//! Tests of several segments on one page.

use common::anonymous;
use shmetrics::{Exposition, Format, GaugeMode, Reader, Segment};

fn page(parts: &[(&Reader, &str)], labelled: bool, exposition: impl Into<Exposition>) -> String {
    Reader::join(parts, labelled, exposition).render_to_string().unwrap()
}

fn users(page: &str) -> String {
    page.split_inclusive('\n').filter(|line| !line.contains("shmetrics_")).collect()
}

fn shop_and_cron() -> (Segment, Segment) {
    let (shop, cron) = (anonymous(), anonymous());
    for (s, n) in [(&shop, 1), (&cron, 2)] {
        s.counter("only_a", "").labels(["x"]).register().unwrap().with(["1"]).inc_by(n);
        s.counter("jobs", "Jobs.").labels(["kind"]).register().unwrap().with(["mail"]).inc_by(n);
    }
    shop.counter("jobs", "").labels(["kind"]).register().unwrap().with(["sms"]).inc();
    cron.gauge("last_run", "", GaugeMode::Shared).register().unwrap().set(5.0);
    cron.histogram("t", "").buckets(&[1.0]).register().unwrap().observe(0.5);
    shop.gauge("t", "", GaugeMode::Shared).register().unwrap().set(1.0);
    (shop, cron)
}

#[test]
fn families_are_put_together_and_labelled() {
    let (shop, cron) = shop_and_cron();
    let (shop, cron) = (shop.reader(), cron.reader());
    let page = page(&[(&shop, "shop"), (&cron, "cron")], true, Format::Text);
    assert_eq!(
        users(&page),
        "# TYPE only_a_total counter\n\
         only_a_total{segment=\"shop\",x=\"1\"} 1\n\
         only_a_total{segment=\"cron\",x=\"1\"} 2\n\
         # HELP jobs_total Jobs.\n\
         # TYPE jobs_total counter\n\
         jobs_total{segment=\"shop\",kind=\"mail\"} 1\n\
         jobs_total{segment=\"shop\",kind=\"sms\"} 1\n\
         jobs_total{segment=\"cron\",kind=\"mail\"} 2\n\
         # TYPE t gauge\n\
         t{segment=\"shop\"} 1\n\
         # TYPE last_run gauge\n\
         last_run{segment=\"cron\"} 5\n"
    );
    assert!(
        page.contains("\nshmetrics_conflicts{segment=\"shop\"} 0\nshmetrics_conflicts{segment=\"cron\"} 1\n"),
        "t is a gauge in one and a histogram in the other: {page}"
    );
    assert!(page.contains(
        "shmetrics_segment_max_size_bytes{segment=\"shop\"} 67108864\nshmetrics_segment_max_size_bytes{segment=\"cron\"}"
    ));
    assert_eq!(page.matches("# TYPE shmetrics_series gauge").count(), 1);
    let corrupt =
        "gauge\nshmetrics_corrupt_records{segment=\"shop\"} 0\nshmetrics_corrupt_records{segment=\"cron\"} 0\n";
    assert!(page.contains(corrupt), "{page}");
}

#[test]
fn without_the_label_no_series_is_there_twice() {
    let (shop, cron) = shop_and_cron();
    let (shop, cron) = (shop.reader(), cron.reader());
    let page = page(&[(&shop, "shop"), (&cron, "cron")], false, Format::OpenMetrics);
    assert!(users(&page).contains("jobs_total{kind=\"mail\"} 1\njobs_total{kind=\"sms\"} 1\n# TYPE t gauge"), "{page}");
    assert!(page.contains("\nshmetrics_conflicts{segment=\"cron\"} 3.0\n"), "{page}");
    assert!(page.ends_with("\n# EOF\n") && page.matches("# EOF").count() == 1);
}

/// A family may have a label of that name: it keeps it.
#[test]
fn a_label_of_the_same_name_is_the_familys() {
    let (a, b) = (anonymous(), anonymous());
    for (s, n) in [(&a, 1), (&b, 2)] {
        let family = s.counter("c", "").labels(["segment"]).register().unwrap();
        family.with(["memory"]).inc_by(n);
    }
    b.counter("c", "").labels(["segment"]).register().unwrap().with(["disk"]).inc();
    let (a, b) = (a.reader(), b.reader());
    let page = page(&[(&a, "a"), (&b, "b")], true, Format::Text);
    assert!(users(&page).ends_with("c_total{segment=\"memory\"} 1\nc_total{segment=\"disk\"} 1\n"), "{page}");
    assert!(page.contains("\nshmetrics_conflicts{segment=\"b\"} 1\n"), "{page}");
}

/// In protobuf a family is one message, whichever segments it is from.
#[test]
fn one_message_for_a_family() {
    let (shop, cron) = shop_and_cron();
    let (shop, cron) = (shop.reader(), cron.reader());
    let page = Reader::join(&[(&shop, "shop"), (&cron, "cron")], true, Format::Protobuf);
    let is_text = page.render_to_string();
    assert_eq!(is_text.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    let page = Reader::join(&[(&shop, "shop"), (&cron, "cron")], true, Format::Protobuf).render();
    let count = |what: &[u8]| page.windows(what.len()).filter(|w| *w == what).count();
    assert_eq!(count(b"\x0a\x0ajobs_total"), 1);
    assert_eq!(count(b"\x12\x04mail"), 2);
}

#[test]
fn one_segment_alone_is_as_ever() {
    let (shop, _) = shop_and_cron();
    let reader = shop.reader();
    assert_eq!(users(&page(&[(&reader, "")], false, Format::Text)), users(&common::page(&shop)));
}
