//! Names that members may not have, members that move, unusual values, and a fork in the middle.

use super::check;
use common::{fork, own, page, samples, Name};
use shmetrics::{BundleBuilder, Error, GaugeMode, Native, Segment};

type Adding<'a> = BundleBuilder<'a, [&'static str; 1]>;
/// Adds members, and the reason why they are refused.
type Refusal<'a> = (&'a dyn Fn(&mut Adding<'_>), &'a str);

/// Why the bundle of these members is refused. Nothing of it is on a page.
fn refused(segment: &Segment, add: &dyn Fn(&mut Adding<'_>)) -> String {
    let mut builder = segment.bundle(["n"]);
    add(&mut builder);
    let error = builder.register().unwrap_err();
    assert!(matches!(error, Error::Conflict(_) | Error::InvalidArgument(_)), "{error:?}");
    error.to_string()
}

#[test]
fn members_share_no_name_and_no_sample() {
    let name = Name::new("bundle");
    let s = name.open();
    s.gauge("single_count", "", GaugeMode::Shared).register().unwrap();
    s.counter("plain", "").register().unwrap();
    let families = s.reader().inspect().families.len();
    let gauge = |name: &'static str| s.gauge(name, "", GaugeMode::Shared);
    let refusals: [Refusal<'_>; 15] = [
        (&|_| {}, "a bundle of 0 members"),
        (&|b| _ = (b.add(s.counter("a", "")), b.add(s.counter("a", ""))), "expose a"),
        (&|b| _ = (b.add(s.counter("a", "")), b.add(gauge("a"))), "expose a"),
        (&|b| _ = (b.add(s.counter("a", "")), b.add(s.counter("a_total", ""))), "expose a"),
        (&|b| _ = (b.add(s.counter("a", "")), b.add(gauge("a_total"))), "expose a_total"),
        (&|b| _ = (b.add(s.counter("a", "")), b.add(gauge("a_created"))), "expose a_created"),
        (&|b| _ = (b.add(s.histogram("h", "")), b.add(gauge("h_bucket"))), "expose h_bucket"),
        (&|b| _ = (b.add(gauge("h_sum")), b.add(s.histogram("h", ""))), "expose h_sum"),
        (&|b| _ = (b.add(s.histogram("h", "")), b.add(gauge("h_count"))), "expose h_count"),
        (&|b| _ = (b.add(s.summary("h", "")), b.add(gauge("h_created"))), "expose h_created"),
        (&|b| _ = (b.add(s.gauge_histogram("g", "")), b.add(gauge("g_gsum"))), "expose g_gsum"),
        (&|b| _ = (b.add(s.info("i", "")), b.add(gauge("i_info"))), "expose i_info"),
        (&|b| _ = (b.add(s.counter("x", "")), b.add(s.counter("plain", ""))), "registered by itself"),
        (&|b| _ = (b.add(s.counter("x", "")), b.add(s.histogram("single", ""))), "expose single_count"),
        (&|b| _ = b.add(s.counter("plain_total", "")), "the family plain is registered otherwise"),
    ];
    for (add, why) in refusals {
        let told = refused(&s, add);
        assert!(told.contains(why), "{told}, without {why}");
    }
    assert_eq!(s.reader().inspect().families.len(), families);
    check(&s);
}

#[test]
fn members_move_between_bundles() {
    let name = Name::new("bundle");
    let s = name.open();
    let of = |names: &[&'static str]| {
        let mut builder = s.bundle(["n"]);
        let members: Vec<_> = names.iter().map(|name| builder.add(s.counter(name, ""))).collect();
        (builder, members)
    };
    let serve = |names: &[&'static str]| {
        let (mut builder, members) = of(names);
        let entry = builder.replace().register().unwrap().with(["1"]);
        members.iter().for_each(|member| entry.get(*member).inc());
        move || members.iter().for_each(|member| entry.get(*member).inc())
    };
    let (old, other) = (serve(&["a", "b"]), serve(&["c", "d"]));
    let mut stale = 0.0;
    for names in [&["c", "b", "d"][..], &["d", "c"], &["b", "d", "c"], &["c", "d", "e", "b"], &["b"], &["b", "a", "e"]]
    {
        let told = of(names).0.register().unwrap_err().to_string();
        assert!(told.contains("is registered otherwise"), "{told}");
        let _ = serve(names);
        // Handles of bundles that were replaced change nothing.
        old();
        other();
        stale += 4.0;
        let now = samples(&page(&s));
        for name in names {
            assert_eq!(now[&format!("{name}_total{{n=\"1\"}}")], 1.0, "{names:?}");
        }
        assert_eq!(own(&s, "shmetrics_stale_updates_total"), stale, "{names:?}");
        check(&s);
    }
}

#[test]
fn members_take_unusual_values_as_families_do() {
    let name = Name::new("bundle");
    let s = name.open();
    let mut builder = s.bundle(["n"]);
    let counter = builder.add(s.counter("counter", ""));
    let gauge = builder.add(s.gauge("gauge", "", GaugeMode::Shared));
    let histogram = builder.add(s.histogram("histogram", "").buckets(&[1.0]));
    let native = builder.add(s.histogram("native", "").native(Native::default()));
    let summary = builder.add(s.summary("summary", "").quantiles(&[0.5]));
    let falling = builder.add(s.gauge_histogram("falling", ""));
    let entry = builder.register().unwrap().with(["1"]);
    for v in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -0.0, 0.0, 8.0] {
        entry.get(counter).add(v);
        entry.get(gauge).set(v);
        entry.get(histogram).observe(v);
        entry.get(native).observe(v);
        entry.get(summary).observe(v);
        entry.get(falling).observe(v);
    }
    // A child that is forked between the look-up and the update.
    fork(|| {
        entry.get(counter).inc();
        entry.get(histogram).observe(0.5);
    })
    .join();
    let now = samples(&page(&s));
    assert_eq!(own(&s, "shmetrics_updates_rejected_total"), 4.0 + 4.0);
    assert_eq!([now["counter_total{n=\"1\"}"], now["gauge{n=\"1\"}"]], [9.0, 8.0]);
    assert_eq!([now["histogram_count{n=\"1\"}"], now["histogram_sum{n=\"1\"}"]], [7.0, 7.5]);
    for name in ["native", "summary", "falling"] {
        assert_eq!([now[&format!("{name}_count{{n=\"1\"}}")], now[&format!("{name}_sum{{n=\"1\"}}")]], [6.0, 7.0]);
    }
    check(&s);
}
