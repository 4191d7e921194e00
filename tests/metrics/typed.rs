//! Tests of typed label sets: their labels, and the table by index.

use std::time::Duration;

use common::*;
use shmetrics::{Counter, GaugeMode, LabelSet, LabelText, LabelValue, Options, Segment, TypedFamily};

#[derive(Clone, Copy, LabelValue)]
#[label(rename_all = "UPPERCASE")]
enum Method {
    Get,
    Post,
    #[label(rename = "other \"ones\"")]
    Other,
}

#[derive(Clone, Copy, LabelValue)]
#[allow(dead_code)]
enum Sparse {
    Ten = 10,
    Minus = -4,
    r#Else = 7,
}

/// Found by index.
#[derive(Clone, Copy, LabelSet)]
struct Small {
    method: Method,
    sparse: Sparse,
    cached: Option<bool>,
}

/// Found by hash.
#[derive(LabelSet)]
struct Http<'a, 'b> {
    method: Method,
    route: &'a str,
    #[label(rename = "code")]
    status: u16,
    r#type: std::borrow::Cow<'b, str>,
}

#[derive(LabelSet)]
struct Unnamed<'a>(#[label(rename = "queue")] &'a str, #[label(rename = "shard")] i8);

const METHODS: [Method; 3] = [Method::Get, Method::Post, Method::Other];
const SPARSE: [Sparse; 3] = [Sparse::Ten, Sparse::Minus, Sparse::r#Else];

fn all() -> impl Iterator<Item = Small> {
    METHODS.into_iter().flat_map(|method| {
        SPARSE.into_iter().flat_map(move |sparse| {
            [None, Some(false), Some(true)].into_iter().map(move |cached| Small { method, sparse, cached })
        })
    })
}

fn segment() -> Segment {
    Options::new().anonymous().max_size(4 << 20).open().unwrap()
}

fn small(segment: &Segment) -> TypedFamily<Counter, Small> {
    segment.counter("small", "").label_set::<Small>().register().unwrap()
}

#[test]
fn labels_are_those_of_the_struct() {
    let segment = segment();
    let http = segment.counter("http", "").label_set::<Http>().register().unwrap();
    let route = String::from("/a\"b");
    http.with(&Http { method: Method::Get, route: &route, status: 200, r#type: "x".into() }).inc_by(3);
    http.with(&Http { method: Method::Other, route: "", status: 65_535, r#type: route.clone().into() }).inc();
    let queues = segment.gauge("queues", "", GaugeMode::Shared).label_set::<Unnamed>().register().unwrap();
    queues.with(&Unnamed("mail", i8::MIN)).set(2.0);
    let page = page(&segment);
    for line in [
        "http_total{method=\"GET\",route=\"/a\\\"b\",code=\"200\",type=\"x\"} 3\n",
        "http_total{method=\"other \\\"ones\\\"\",route=\"\",code=\"65535\",type=\"/a\\\"b\"} 1\n",
        "queues{queue=\"mail\",shard=\"-128\"} 2\n",
    ] {
        assert!(page.contains(line), "{line}{page}");
    }
    // The same family by its strings.
    let plain = segment.counter("http", "").labels(["code", "method", "route", "type"]).register().unwrap();
    assert_eq!(plain.with(["200", "GET", "/a\"b", "x"]).get(), 3.0);
}

#[test]
fn each_combination_has_an_index_and_a_series_of_its_own() {
    assert_eq!(Small::COUNTS, [3, 3, 3]);
    assert_eq!(all().map(|labels| labels.index()).collect::<Vec<_>>(), (0..27).collect::<Vec<_>>());
    let segment = segment();
    let family = small(&segment);
    // The first round looks up, the second has been looked up.
    for _ in 0..2 {
        for (n, labels) in (1..).zip(all()) {
            family.with(&labels).inc_by(n);
        }
    }
    let plain = segment.counter("small", "").labels(["method", "sparse", "cached"]).register().unwrap();
    for (n, labels) in (1..).zip(all()) {
        let values = labels.with_values(|values| [0, 1, 2].map(|i| values[i].to_owned()));
        assert_eq!(plain.with(values.each_ref().map(String::as_str)).get(), f64::from(2 * n), "{values:?}");
    }
    assert!(page(&segment).contains("small_total{method=\"POST\",sparse=\"Minus\",cached=\"true\"} 30\n"));
    assert!(page(&segment).contains("small_total{method=\"POST\",sparse=\"Else\",cached=\"\"} 32\n"));
}

#[test]
fn values_of_all_types_are_texts() {
    fn text(value: &(impl LabelValue + ?Sized)) -> String {
        value.text(&mut LabelText::new()).to_owned()
    }
    assert_eq!(
        [text("a"), text(&"a"), text(&String::from("b")), text(&'ß'), text(&true)],
        ["a", "a", "b", "ß", "true"]
    );
    assert_eq!([text(&u128::MAX), text(&i64::MIN)], [u128::MAX.to_string(), i64::MIN.to_string()]);
    assert_eq!([text(&Some(7u8)), text(&None::<u8>)], ["7", ""]);
    assert_eq!((<Option<&bool>>::COUNT, <&str>::COUNT, u8::COUNT), (3, 0, 0));
    assert_eq!([None, Some(&false), Some(&true)].map(|v| v.index()), [0, 1, 2]);
}

#[test]
fn a_removed_series_is_found_anew() {
    let segment = segment();
    let family = small(&segment);
    for round in 1..=3 {
        for labels in all() {
            let counter = family.with(&labels);
            counter.inc();
            assert_eq!(counter.get(), 1.0, "round {round}");
        }
        if round == 1 {
            assert!(all().all(|labels| family.remove(&labels)) && !all().any(|labels| family.remove(&labels)));
        } else {
            assert_eq!(family.clear(), 27);
        }
    }
    // A record may serve another label set by now, in reverse order.
    let labels: Vec<Small> = all().collect();
    labels.iter().for_each(|labels| family.with(labels).inc());
    family.clear();
    labels.iter().rev().for_each(|labels| family.with(labels).inc_by(5));
    labels.iter().for_each(|labels| assert_eq!(family.with(labels).get(), 5.0));
    assert_eq!(own(&segment, "shmetrics_stale_updates_total"), 0.0);
}

#[test]
fn an_expired_series_comes_back() {
    let segment = segment();
    let labels = Small { method: Method::Get, sparse: Sparse::Ten, cached: None };
    let builder = segment.counter("small", "").label_set::<Small>();
    let family = builder.expire_after(Duration::from_secs(1)).register().unwrap();
    family.with(&labels).inc();
    let shown = || page(&segment).contains("\nsmall_total{");
    assert!(shown());
    until("the series expires", || !shown());
    family.with(&labels).inc();
    assert!(page(&segment).contains("small_total{method=\"GET\",sparse=\"Ten\",cached=\"\"} 2\n"));
}

#[test]
fn overflow_is_not_kept() {
    let segment = segment();
    let family = segment.counter("small", "").max_series(1).label_set::<Small>().register().unwrap();
    let sets: Vec<Small> = all().collect();
    family.with(&sets[0]).inc();
    family.with(&sets[1]).inc();
    family.with(&sets[1]).inc();
    assert!(page(&segment).contains("small_total{shmetrics_overflow=\"true\"} 2\n"));
    assert!(family.remove(&sets[0]));
    family.with(&sets[1]).inc();
    assert!(page(&segment).contains("small_total{method=\"GET\",sparse=\"Ten\",cached=\"false\"} 1\n"));
}

#[test]
fn children_and_threads_share_what_they_find() {
    let segment = segment();
    let family = small(&segment);
    let (processes, threads, rounds) = (4, 3, 200);
    let work = || {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                scope.spawn(move || {
                    for round in 0..rounds {
                        for labels in all().skip((thread + round) % 27).chain(all().take((thread + round) % 27)) {
                            family.inc(&labels);
                        }
                    }
                });
            }
        });
    };
    join_all(fork_many(processes, |_| work()));
    // Made by the children, and unknown to this process.
    for labels in all() {
        assert_eq!(family.with(&labels).get(), (processes * threads * rounds) as f64);
    }
}

#[test]
fn another_process_removes_what_this_one_has_found() {
    let segment = segment();
    let family = small(&segment);
    all().for_each(|labels| family.with(&labels).inc());
    fork(|| {
        assert_eq!(family.clear(), 27);
        all().for_each(|labels| family.with(&labels).inc_by(4));
    })
    .join();
    all().for_each(|labels| family.inc(&labels));
    all().for_each(|labels| assert_eq!(family.with(&labels).get(), 5.0));
}

/// Hot series, which have cells for each CPU: updates of a removed one go to the one that came
/// after it, and none is lost.
#[test]
fn a_hot_series_is_found_anew() {
    let segment = segment();
    let family = small(&segment);
    let labels = Small { method: Method::Get, sparse: Sparse::Ten, cached: None };
    for round in 0..3 {
        for _ in 0..30_000 {
            family.inc(&labels);
        }
        family.inc_by(&labels, 1 << 50);
        assert_eq!(family.with(&labels).get_whole(), Some(30_000 + (1 << 50)), "round {round}");
        assert!(family.remove(&labels));
    }
    assert_eq!(own(&segment, "shmetrics_stale_updates_total"), 0.0);
}

/// Two structs with the same labels, whose values stand in another order.
#[test]
fn each_type_has_its_own_table() {
    #[derive(LabelSet)]
    struct Swapped {
        method: Backwards,
        cached: Option<bool>,
        sparse: Sparse,
    }
    #[derive(LabelValue)]
    #[label(rename_all = "UPPERCASE")]
    #[allow(dead_code)]
    enum Backwards {
        Post,
        Get,
        Put,
    }
    let segment = segment();
    let (family, other) = (small(&segment), segment.counter("small", "").label_set::<Swapped>().register().unwrap());
    for _ in 0..2 {
        family.with(&Small { method: Method::Get, sparse: Sparse::Ten, cached: None }).inc();
        other.with(&Swapped { method: Backwards::Get, cached: None, sparse: Sparse::Ten }).inc();
        other.with(&Swapped { method: Backwards::Post, cached: Some(true), sparse: Sparse::Ten }).inc();
    }
    let page = page(&segment);
    assert!(page.contains("small_total{method=\"GET\",sparse=\"Ten\",cached=\"\"} 4\n"), "{page}");
    assert!(page.contains("small_total{method=\"POST\",sparse=\"Ten\",cached=\"true\"} 2\n"), "{page}");
}

#[test]
fn a_replaced_family_is_found_anew() {
    let segment = segment();
    let old = small(&segment);
    let labels = Small { method: Method::Get, sparse: Sparse::Ten, cached: None };
    old.with(&labels).inc();
    let new = segment.counter("small", "other help").replace().label_set::<Small>().register().unwrap();
    new.with(&labels).inc_by(7);
    old.with(&labels).inc();
    assert!(page(&segment).contains("small_total{method=\"GET\",sparse=\"Ten\",cached=\"\"} 7\n"));
}

/// A table has room for 65,536 combinations. More are found by hash.
#[test]
fn too_many_combinations_are_found_by_hash() {
    type B = Option<Option<bool>>;
    #[derive(LabelSet)]
    struct Many {
        a: B,
        b: B,
        c: B,
        d: B,
        e: B,
        f: B,
        g: B,
        h: B,
        i: bool,
    }
    let segment = segment();
    let family = segment.counter("many", "").label_set::<Many>().register().unwrap();
    let set = |i| Many { a: None, b: Some(None), c: Some(Some(true)), d: None, e: None, f: None, g: None, h: None, i };
    for i in [true, false, true] {
        family.with(&set(i)).inc();
    }
    assert_eq!(family.with(&set(true)).get(), 2.0);
}

/// Impls by hand cannot do harm, whatever they say.
#[test]
fn wrong_indices_and_counts_are_survived() {
    struct Wrong(usize, usize);
    impl LabelSet for Wrong {
        type Family = Wrong;
        const NAMES: &'static [&'static str] = &["a", "b"];
        const COUNTS: &'static [usize] = &[2, 2];
        fn index(&self) -> usize {
            self.0
        }
        fn with_values<R>(&self, f: impl FnOnce(&[&str]) -> R) -> R {
            f(&["x", "y", "z"][..self.1])
        }
    }
    let segment = segment();
    let family = segment.counter("wrong", "").label_set::<Wrong>().register().unwrap();
    for index in [0, 3, 4, usize::MAX] {
        for values in 0..=3 {
            family.with(&Wrong(index, values)).inc();
        }
    }
    assert!(!family.remove(&Wrong(0, 3)));
    let page = page(&segment);
    assert!(page.contains("wrong_total{shmetrics_overflow=\"true\"}"), "{page}");
}
