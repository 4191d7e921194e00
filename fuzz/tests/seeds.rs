//! Makes the seeds of `reader` from real segments: to be run again when the layout changes.

use std::path::Path;
use std::time::Duration;

use shmetrics::{Error, GaugeMode, Options, Segment};

/// Where `reader` puts records: the smallest segment with room for 64 processes has its own there.
const ARENA_AT: usize = 0x12000;

/// Registers and updates what a seed is made of.
type Fill = fn(&Segment) -> Result<(), Error>;

const SEEDS: [(&str, Fill); 9] = [
    ("counter", |s| {
        s.counter("c", "Help with \\ and\nmore.").register()?.inc_by(3);
        let sets = s.counter("sets_bytes", "").unit("bytes").max_series(2).labels(["a", "b"]).register()?;
        ["x", "\"\\\n", "é"].iter().for_each(|v| sets.with([v, ""]).add(0.5));
        Ok(())
    }),
    ("gauge", |s| {
        s.gauge("g", "", GaugeMode::Shared).labels(["l"]).register()?.with(["v"]).set(-0.0);
        s.gauge("recent", "", GaugeMode::MostRecent).register()?.set(f64::NAN);
        Ok(())
    }),
    ("cells", |s| {
        s.gauge("all", "", GaugeMode::All).register()?.set(1.5);
        Ok(())
    }),
    ("more-cells", |s| {
        s.gauge("max", "", GaugeMode::Max).labels(["l"]).register()?.with(["v"]).set(1.5);
        s.gauge("sum", "", GaugeMode::LiveSum).register()?.set(2.0);
        Ok(())
    }),
    ("histogram", |s| {
        let h = s.histogram("h", "").buckets(&[0.1, 1.0, 1e6]).labels(["l"]).register()?;
        [0.05, 0.5, 2.0].iter().for_each(|v| h.with(["v"]).observe(*v));
        Ok(())
    }),
    ("bundle", |s| {
        let mut bundle = s.bundle(["l"]);
        let counter = bundle.add(s.counter("c", "A counter."));
        let gauge = bundle.add(s.gauge("g", "", GaugeMode::Shared));
        let last = bundle.add(s.counter("d", ""));
        let entry = bundle.register()?.with(["v"]);
        entry.get(counter).inc();
        entry.get(gauge).set(2.0);
        entry.get(last).add(0.5);
        Ok(())
    }),
    ("removed", |s| {
        let sets = s.counter("sets", "").labels(["l"]).register()?;
        let gauges = s.gauge("g", "", GaugeMode::LiveSum).labels(["l"]).register()?;
        for v in ["a", "b", "c", "a longer one than these"] {
            sets.with([v]).inc();
            gauges.with([v]).set(1.0);
        }
        for v in ["a", "c"] {
            sets.remove([v]);
            gauges.remove([v]);
        }
        // In the record of another, which is in its second generation.
        sets.with(["d"]).add(0.5);
        gauges.with(["d"]).set(2.0);
        Ok(())
    }),
    ("expiring", |s| {
        let sets = s.counter("c", "").labels(["l"]).expire_after(Duration::from_secs(9)).register()?;
        ["a", "b"].iter().for_each(|v| sets.with([v]).inc());
        s.expire();
        Ok(())
    }),
    ("nothing", |_| Ok(())),
];

#[test]
#[ignore = "writes seeds/reader"]
fn write_the_seeds_of_reader() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/reader");
    std::fs::create_dir_all(&directory).unwrap();
    for (i, (name, fill)) in SEEDS.iter().enumerate() {
        let path = format!("/dev/shm/fuzz-seed-{}", std::process::id());
        let segment = Options::new().name(&*path).max_size(512 << 10).max_processes(64).create_new().open().unwrap();
        fill(&segment).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        Segment::remove(&path).unwrap();
        let end = ARENA_AT + bytes[ARENA_AT..].iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        // A sound header without changes, one slot of generation 1, the whole length, the records.
        let mut seed = vec![2 * i as u8 + 1, 0, 1];
        seed.extend((1u64 << 32 | 1).to_ne_bytes());
        seed.push(0);
        seed.extend(&bytes[ARENA_AT..end]);
        std::fs::write(directory.join(name), seed).unwrap();
        if i == 0 {
            std::fs::write(directory.join("header"), [&[0], &bytes[..676]].concat()).unwrap();
        }
    }
}
