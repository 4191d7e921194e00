//! Counters that wrap around: each test starts near the bound of one counter. See "Counters that
//! wrap around" in `docs/reliability.md`.
#![cfg(target_os = "linux")]

use common::file::Bytes;
use common::{fork, fork_many, join_all, named, own, page, samples, text, Name};
use shmetrics::{Format, GaugeMode, Metric, Segment};

/// Offsets of the segment's fields, as `docs/format.md` has them.
const SLOTS_AT: u64 = 80;
const ARENA_AT: u64 = 112;
const FAMILY_HEAD: u64 = 280;
const FAMILY_PENDING: u64 = 288;
const HEAD: u64 = 32;
const PENDING: u64 = 40;
const STATE: u64 = 16;
const PER_CPU: u64 = 20;
const FREE_LISTS: u64 = 112;

/// The first family, and its first series.
fn first_family(bytes: &Bytes) -> u64 {
    bytes.link(FAMILY_HEAD)
}

fn first_series(bytes: &Bytes) -> u64 {
    bytes.link(first_family(bytes) + HEAD)
}

fn sound(name: &Name) {
    assert_eq!(name.reader().verify(), [""; 0]);
}

/// Pages of both kinds, without the library's own families.
fn pages(name: &Name, segment: &Segment) -> [std::collections::BTreeMap<String, f64>; 2] {
    [samples(&page(segment)), samples(&text(&name.reader().render(Format::Text)))]
}

/// The count of a chain's announcements has 32 bits, and an entry may be any age.
#[test]
fn series_stay_on_pages_after_any_number_of_announcements() {
    for made in [(1u32 << 31) - 1, 1 << 31, (1 << 31) + 1, 3 << 30, u32::MAX - 2, u32::MAX - 1, u32::MAX] {
        let name = Name::new("wrap");
        let segment = name.open();
        let family = segment.counter("c", "").labels(["n"]).register().unwrap();
        family.with(["old"]).inc();
        let words = Bytes::of(name.path());
        words.put(first_family(&words) + PENDING, u64::from(made) << 32);
        for i in 0..4 {
            family.with([&i.to_string()]).inc();
            for shown in pages(&name, &segment) {
                assert_eq!(shown.len(), 2 + i, "after {made} announcements: {shown:?}");
            }
        }
        sound(&name);
        assert_eq!(family.clear(), 5, "after {made} announcements");
        assert_eq!(pages(&name, &segment).map(|p| p.len()), [0, 0]);
        family.with(["old"]).inc();
        assert_eq!(pages(&name, &segment)[1].len(), 1);
    }
}

#[test]
fn families_stay_on_pages_after_any_number_of_announcements() {
    for made in [(1u32 << 31) - 1, 1 << 31, u32::MAX - 1, u32::MAX] {
        let name = Name::new("wrap");
        let segment = name.open();
        segment.counter("old", "").register().unwrap().inc();
        Bytes::of(name.path()).put(FAMILY_PENDING, u64::from(made) << 32);
        for i in 0..4 {
            segment.counter(&format!("new_{i}"), "").register().unwrap().inc();
            assert_eq!(pages(&name, &segment).map(|p| p.len()), [2 + i, 2 + i]);
        }
        sound(&name);
    }
}

/// The integer of a counter without labels has all 64 bits of its word.
#[test]
fn a_counter_without_labels_passes_2_to_the_64() {
    const LARGEST: u64 = (1 << 43) - 1;
    let segment = named("wrap");
    let counter = segment.counter("c", "").register().unwrap();
    let whole = || {
        let page = text(&segment.reader().render(Format::Text));
        page.lines().find_map(|l| l.strip_prefix("c_total ")).unwrap().to_owned()
    };
    let (mut sum, mut last) = (0u128, 0.0);
    while sum + u128::from(LARGEST) < 1 << 64 {
        counter.inc_by(LARGEST);
        sum += u128::from(LARGEST);
        if sum % 4099 == 0 || sum > (1 << 64) - (1 << 46) || (sum >> 43).abs_diff(1 << 20) < 4 {
            assert_eq!(whole(), sum.to_string(), "whole numbers are exact");
            assert_eq!(counter.get(), sum as f64);
        }
        assert!(counter.get() >= last);
        last = counter.get();
    }
    counter.inc();
    assert_eq!(whole(), (sum + 1).to_string());
    for add in [LARGEST, 1 << 43, 1 << 54, u64::MAX] {
        counter.inc_by(add);
        sum += u128::from(add);
        assert!(counter.get() > last, "{} after {last}", counter.get());
        last = counter.get();
        assert!((whole().parse::<f64>().unwrap() / sum as f64 - 1.0).abs() < 1e-15);
    }
}

#[test]
fn large_amounts_are_exact_with_labels_and_without() {
    for labels in [&[][..], &["n"]] {
        let segment = named("wrap");
        let counter = match labels {
            [] => segment.counter("c", "").register().unwrap(),
            _ => segment.counter("c", "").labels(["n"]).register().unwrap().with(["a"]),
        };
        let mut sum = 0u64;
        for n in [1, (1 << 43) - 1, 1 << 43, (1 << 43) + 1, (1 << 53) - 1, (1 << 54) - 1, (1 << 54) + 1, (1 << 62) + 3]
        {
            counter.inc_by(n);
            sum += n;
            counter.add((n & !0x7ff) as f64);
            sum += n & !0x7ff;
            let page = text(&segment.reader().render(Format::Text));
            assert!(page.ends_with(&format!(" {sum}\n")), "{sum}: {page}");
        }
    }
}

/// Several processes add at once, near the bound.
#[test]
fn a_counter_never_falls_while_its_integer_is_emptied() {
    let segment = named("wrap");
    let counter = segment.counter("c", "").register().unwrap();
    const EACH: u64 = (1 << 43) - 1;
    const TIMES: u64 = 400_000;
    (0..(1 << 20) - 200_000).for_each(|_| counter.inc_by(EACH));
    let children = fork_many(3, |_| (0..TIMES).for_each(|_| counter.inc_by(EACH)));
    let (reader, mut last, all) =
        (segment.reader(), 0u128, (u128::from(TIMES) * 3 + (1 << 20) - 200_000) * u128::from(EACH));
    while last < all {
        let page = text(&reader.render(Format::Text));
        let now: u128 = page.lines().find_map(|l| l.strip_prefix("c_total ")).unwrap().parse().unwrap();
        assert!(now >= last && now <= all, "{now} after {last}");
        last = now;
        if now == all {
            break;
        }
        let one = counter.get();
        assert!(counter.get() >= one);
    }
    join_all(children);
    assert_eq!(samples(&page(&segment))["c_total"], all as f64);
}

/// The cells of the CPUs have 64 bits each, and their sum may have more.
#[test]
fn cells_of_cpus_neither_wrap_nor_does_their_sum() {
    let name = Name::new("wrap");
    let segment = name.open();
    let counter = segment.counter("c", "").register().unwrap();
    (0..10_000).for_each(|_| counter.inc());
    let words = Bytes::of(name.path());
    // The only series of a family without labels is made with it, at the first granule after the
    // texts.
    let family = first_family(&words);
    let record = (family..family + 1024).step_by(16).find(|at| {
        let cells = words.get32(at + PER_CPU);
        *at > family + 272 && cells > 0 && words.get32(*at + 4) == (family / 16) as u32
    });
    let cpus = words.get32(140);
    if cpus < 2 || words.get32(144) != 1 {
        eprintln!("skipped: cells_of_cpus_neither_wrap_nor_does_their_sum (no restartable sequences, or one CPU)");
        return;
    }
    let record = record.expect("the counter is hot");
    let cell = words.get(ARENA_AT) + 8 * u64::from(words.get32(record + PER_CPU));
    let set = |value: u64| (0..u64::from(cpus)).for_each(|cpu| words.put(cell + 1024 * cpu, value));
    let own = words.get(record + 32);
    set((1 << 63) - 5);
    let before = u128::from(cpus) * ((1 << 63) - 5) + u128::from(own);
    assert_eq!(counter.get(), before as f64);
    (0..100).for_each(|_| counter.inc_by(1 << 31));
    let in_cells: u128 = (0..u64::from(cpus)).map(|cpu| u128::from(words.get(cell + 1024 * cpu))).sum();
    assert_eq!(in_cells + u128::from(words.get(record + 32)), before + (100 << 31), "nothing is lost");
    assert_eq!(in_cells, u128::from(cpus) * ((1 << 63) - 5), "a cell takes nothing that would fill it");
    let shown: f64 = samples(&page(&segment))["c_total"];
    assert_eq!(shown, (before + (100 << 31)) as f64);
    assert_eq!(counter.get(), shown);
}

/// The head of a free list counts its changes in 32 bits.
#[test]
fn free_lists_change_past_2_to_the_32() {
    let name = Name::new("wrap");
    let segment = name.open();
    let family = segment.counter("c", "").labels(["n"]).register().unwrap();
    (0..8).for_each(|i| family.with([&i.to_string()]).inc());
    family.clear();
    let words = Bytes::of(name.path());
    for list in 0..16 {
        let at = first_family(&words) + FREE_LISTS + 8 * list;
        words.put(at, 0xffff_fffd << 32 | words.get(at) & 0xffff_ffff);
    }
    for round in 0..20 {
        let values: Vec<_> = (0..8).map(|i| (100 * round + i).to_string()).collect();
        values.iter().for_each(|v| family.with([v]).inc_by(round));
        assert_eq!(samples(&page(&segment)).values().filter(|v| **v == round as f64).count(), 8);
        assert!(values.iter().all(|v| family.remove([v])));
    }
    sound(&name);
}

/// The generation of a slot has 24 bits, and 0 is none.
#[test]
fn a_slot_has_another_holder_after_its_last_generation() {
    let name = Name::new("wrap");
    let segment = name.open();
    let gauges = segment.gauge("g", "", GaugeMode::LiveSum).register().unwrap();
    let sums = segment.gauge("s", "", GaugeMode::Sum).register().unwrap();
    let words = Bytes::of(name.path());
    let word = words.get(SLOTS_AT);
    fork(|| gauges.set(1.0)).join();
    words.put(word, 0xff_fffe << 32 | words.get(word) & 0xffff_ffff);
    for round in 1..5 {
        fork(|| {
            gauges.set(2.0);
            sums.set(1.0);
            assert_eq!(pages(&name, &segment).map(|p| p["g"]), [2.0, 2.0]);
        })
        .join();
        assert_eq!(pages(&name, &segment).map(|p| (p["g"], p["s"])), [(0.0, f64::from(round)); 2]);
    }
    assert_eq!(words.get(word) >> 32, 3, "0 is left out");
    assert_eq!(own(&segment, "shmetrics_updates_rejected_total"), 0.0);
}

/// A record has 2^20 generations, and is not used again after the last.
#[test]
fn a_record_is_not_used_after_its_last_generation() {
    let name = Name::new("wrap");
    let segment = name.open();
    let family = segment.counter("c", "").labels(["n"]).register().unwrap();
    family.with(["a"]).inc();
    let words = Bytes::of(name.path());
    let record = first_series(&words);
    // The generation after this one is the last that has a series: a removal needs another one.
    words.put32(record + STATE, words.get32(record + STATE) & 0xfff | 0xf_fffd << 12);
    words.put(record + 32, 0xf_fffd << 44 | 1);
    assert_eq!(family.with(["a"]).get(), 1.0);
    family.remove(["a"]);
    let last = family.with(["b"]);
    last.inc_by(3);
    assert_eq!(first_series(&words), record);
    assert_eq!(pages(&name, &segment).map(|p| p["c_total{n=\"b\"}"]), [3.0, 3.0]);
    family.remove(["b"]);
    let next = family.with(["c"]);
    next.inc_by(4);
    last.inc();
    assert!(last.is_removed());
    assert_eq!(pages(&name, &segment).map(|p| p["c_total{n=\"c\"}"]), [4.0, 4.0]);
    sound(&name);
}

/// The count of a labelled histogram's bucket has 44 bits in its cell: from there on observations
/// are refused, and counted so.
#[test]
fn a_full_bucket_refuses_observations() {
    let name = Name::new("wrap");
    let segment = name.options().per_cpu(false).open().unwrap();
    let family = segment.histogram("h", "").labels(["n"]).buckets(&[1.0]).register().unwrap();
    let histogram = family.with(["a"]);
    histogram.observe(0.5);
    let words = Bytes::of(name.path());
    let cell = first_series(&words) + 64;
    assert_eq!(words.get(cell), 1);
    words.put(cell, (1 << 44) - 3);
    (0..5).for_each(|_| histogram.observe(0.5));
    histogram.observe(2.0);
    let full = f64::from(1 << 22) * f64::from(1 << 22) - 1.0;
    let shown = pages(&name, &segment);
    assert!(
        shown.iter().all(|p| p["h_bucket{n=\"a\",le=\"1.0\"}"] == full && p["h_count{n=\"a\"}"] == full + 1.0),
        "{shown:?}"
    );
    assert_eq!(own(&segment, "shmetrics_updates_rejected_total"), 3.0);
}
