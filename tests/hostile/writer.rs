//! Writers in memory that somebody else has damaged: every call comes back.

use crate::fields::mutants;
use crate::trial::while_open;
use common::long;
use common::victim::{bytes, options, Everything};
use shmetrics::{Format, GaugeMode};

#[test]
fn writers_come_back_from_every_call() {
    let victim = bytes();
    let mutants = mutants(&victim, if long() { 50_000 } else { 1000 });
    while_open("written", &victim, &mutants, |name, damage| {
        // The same mapping all the time: only the first of a batch attaches.
        let segment = options(name).attach().open().unwrap();
        let held = Everything::register(&segment).unwrap();
        held.update(1);
        damage();
        held.update(2);
        if let Ok(again) = Everything::register(&segment) {
            again.update(3);
        }
        for n in 0..3 {
            let number = n.to_string();
            held.sets.with([&number, "new"]).inc();
            held.histograms.with([&number]).observe(f64::from(n));
            held.serve(&number, n as u64);
            held.natives.with([&number]).observe_with_exemplar(f64::from(n) * 1e6, &[("a", "b")]);
            if let Ok(new) = segment.counter(&format!("new_{n}"), "").labels(["l"]).register() {
                new.with(["v"]).inc();
            }
            if let Ok(new) = segment.gauge(&format!("newer_{n}"), "", GaugeMode::LiveSum).register() {
                new.inc();
            }
        }
        held.sets.remove(["0", "new"]);
        held.histograms.remove(["1"]);
        held.natives.remove(["/"]);
        held.bundle.remove(["/"]);
        held.serve("/again", 5);
        held.bundle.entries();
        held.natives.with(["again"]).observe(0.55);
        held.sets.with(["again", "new"]).inc();
        held.sets.clear();
        held.bundle.clear();
        segment.expire();
        held.update(4);
        segment.render(Format::Text);
        segment.render(Format::Protobuf);
        segment.reader().inspect();
    });
}
