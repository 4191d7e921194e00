//! Names, labels and buckets that no exposition could carry are refused, and each refusal is
//! counted.

use common::{named, own, page};
use shmetrics::{Error, GaugeMode, Segment};

/// Asserts that all of these registrations are refused, as `kind`, and counted.
fn refused<'a, T>(
    what: impl IntoIterator<Item = &'a str>,
    kind: fn(&Error) -> bool,
    register: impl Fn(&Segment, &'a str) -> Result<T, Error>,
) {
    let segment = named("names");
    let mut count = 0.0;
    for bad in what {
        let error = register(&segment, bad).err().unwrap_or_else(|| panic!("{bad:?} is accepted"));
        assert!(kind(&error), "{bad:?}: {error:?}");
        count += 1.0;
        assert_eq!(own(&segment, "shmetrics_registrations_failed_total"), count, "{bad:?}");
    }
    assert!(count > 0.0);
    assert_eq!(page(&segment), "", "nothing was registered");
    assert_eq!(segment.reader().inspect().failed_registrations, count as u64);
}

fn is_name(e: &Error) -> bool {
    matches!(e, Error::InvalidName(_))
}

fn is_argument(e: &Error) -> bool {
    matches!(e, Error::InvalidArgument(_))
}

#[test]
fn metric_names() {
    let long = "n".repeat(513);
    let bad = ["", "a\n", "a\0", "a\r", "é\u{85}", "\u{2028}", "shmetrics_x", "shmetrics.x", "shmetrics-", &long];
    refused(bad, is_name, |s, n| s.gauge(n, "", GaugeMode::Shared).register());
    refused(bad, is_name, |s, n| s.histogram(n, "").register());
    refused(bad.into_iter().chain(["_total"]), is_name, |s, n| s.counter(n, "").register());
}

#[test]
fn label_names() {
    let long = "n".repeat(513);
    let bad = ["", "a\n", "__name__", "__", "._name__", "shmetrics_overflow", "shmetrics.overflow", "twice", &long];
    refused(bad, is_name, |s, n| s.counter("c", "").labels(["twice", n]).register());
    refused(["le"], is_name, |s, n| s.histogram("h", "").labels([n]).register());
    for mode in [GaugeMode::All, GaugeMode::LiveAll] {
        refused(["pid"], is_name, |s, n| s.gauge("g", "", mode).labels([n]).register());
    }
    refused(["a"], is_argument, |s, _| {
        let names: [String; 65] = std::array::from_fn(|i| format!("label_{i}"));
        s.counter("c", "").labels(names.each_ref().map(String::as_str)).register()
    });
}

#[test]
fn units_buckets_and_helps() {
    let units = ["se-conds", "minutes", "x_seconds", "econds", "1"];
    refused(units, is_name, |s, u| s.gauge("x_seconds", "", GaugeMode::Shared).unit(u).register());
    let many: Vec<f64> = (0..1025).map(f64::from).collect();
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let bounds =
        [&[1.0, 1.0][..], &[2.0, 1.0], &[nan], &[1.0, nan], &[inf, 1.0], &[-inf, 1.0], &[0.0, inf, inf], &many];
    for bad in bounds {
        refused([""], is_argument, |s, _| s.histogram("h", "").buckets(bad).register());
    }
    let long = "h".repeat(16 * 1024 + 1);
    refused([&*long], is_argument, |s, help| s.counter("c", help).register());
}

#[test]
fn the_longest_of_everything_is_accepted() {
    let segment = named("longest");
    let label_names: [String; 64] = std::array::from_fn(|i| format!("{}{i:02}", "l".repeat(510)));
    let buckets: Vec<f64> = (0..1024).map(f64::from).collect();
    let (metric, help) = ("m".repeat(512), "\\\n".repeat(8 * 1024));
    let builder = segment.histogram(&metric, &help).buckets(&buckets);
    let family = builder.labels(label_names.each_ref().map(String::as_str)).register().unwrap();
    family.with([""; 64]).observe(1.0);
    let page = page(&segment);
    assert_eq!(page.lines().filter(|l| l.starts_with(&format!("{metric}_bucket{{lll"))).count(), 1025);
    assert_eq!(page.lines().next().unwrap().len(), "# HELP  ".len() + 512 + 4 * 8 * 1024, "the help, escaped");
    for (i, bounds) in [&[][..], &[f64::INFINITY], &[-1.0, 0.0], &[f64::MIN, f64::MAX]].iter().enumerate() {
        let h = segment.histogram(&format!("h{i}"), "").buckets(bounds).register().unwrap();
        [f64::MIN, -0.5, f64::MAX].iter().for_each(|v| h.observe(*v));
        assert!(common::page(&segment).contains(&format!("h{i}_bucket{{le=\"+Inf\"}} 3\n")));
    }
    for good in ["a", "_", "A:b:c", "le", "pid", "x_total_total"] {
        segment.gauge(good, "", GaugeMode::Shared).labels(["le", "pid"]).register().unwrap();
    }
    assert_eq!(own(&segment, "shmetrics_registrations_failed_total"), 0.0);
}
