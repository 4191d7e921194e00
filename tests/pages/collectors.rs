//! Tests of collectors: families of the host on each page that the process makes of a segment.

use shmetrics::testing::Scratch;
use shmetrics::{ExternalFamily, Format};

use common::{fork, own, page, samples};

const FAILURES: &str = "shmetrics_collector_failures_total";

fn gauge(name: &str, pool: &str, value: f64) -> Result<ExternalFamily, shmetrics::Error> {
    ExternalFamily::gauge(name, "From a collector.")?.sample(&[("pool", pool)], value)
}

#[test]
fn collectors_add_to_each_page_of_their_segment() {
    let (scratch, other) = (Scratch::new().unwrap(), Scratch::new().unwrap());
    scratch.gauge("taken", "", shmetrics::GaugeMode::Shared).register().unwrap().set(2.0);
    let first = scratch.add_collector(|| Ok(vec![gauge("idle", "a", 1.0)?, gauge("taken", "a", 1.0)?]));
    scratch.add_collector(|| Ok(vec![gauge("idle", "b", 2.0)?]));
    let text = page(&scratch);
    let collected = "# TYPE idle gauge\nidle{pool=\"a\"} 1\nidle{pool=\"b\"} 2\n";
    assert!(text.contains(collected) && text.contains("\ntaken 2\n") && !text.contains("taken{"), "{text}");
    assert_eq!(own(&scratch, "shmetrics_conflicts"), 1.0, "a family of the segment prevails");
    assert!(scratch.page(Format::Text).points().any(|point| point.family.name == "idle"));
    assert!(!page(&other).contains("idle"));
    let of_reader = String::from_utf8(scratch.reader().render(Format::Text)).unwrap();
    assert!(!of_reader.contains("idle"), "a reader shows the segment alone");
    fork(|| assert!(page(&scratch).contains(collected))).join();
    first.remove();
    let text = page(&scratch);
    assert!(text.contains("# TYPE idle gauge\nidle{pool=\"b\"} 2\n"), "{text}");
}

/// The only test here with failures, as their number is the process'.
#[test]
fn a_collector_that_fails_costs_its_families_and_no_others() {
    let scratch = Scratch::new().unwrap();
    let inner = *scratch;
    scratch.add_collector(|| Err("the pool is closed".into()));
    scratch.add_collector(|| panic!("in a collector, as this test wants"));
    scratch.add_collector(|| Ok(vec![gauge("1wrong", "a", 1.0)?]));
    scratch.add_collector(move || {
        assert!(!page(&inner).contains("idle"), "the page of a collector has none of these families");
        Ok(vec![gauge("idle", "a", 1.0)?])
    });
    let first = own(&scratch, FAILURES);
    assert_eq!(own(&scratch, FAILURES) - first, 3.0);
    assert_eq!(samples(&page(&scratch))["idle{pool=\"a\"}"], 1.0);
}

#[cfg(target_os = "linux")]
#[test]
fn process_metrics_are_those_of_the_living() {
    let scratch = Scratch::new().unwrap();
    scratch.add_process_collector();
    assert!(!page(&scratch).contains("\nprocess_"));
    fork(|| scratch.attach_process().unwrap()).join();
    assert!(!page(&scratch).contains("\nprocess_"), "of a dead process");
    scratch.set_identity(7);
    scratch.attach_process().unwrap();
    let text = page(&scratch);
    let found = samples(&text);
    let of = |name: &str| found[&format!("process_{name}{{pid=\"7\"}}")];
    assert!(of("resident_memory_bytes") > 1e6 && of("virtual_memory_bytes") >= of("resident_memory_bytes"), "{text}");
    assert!(of("threads") >= 1.0 && of("open_fds") >= 3.0 && of("max_fds") >= of("open_fds"), "{text}");
    assert!(of("cpu_seconds_total") >= 0.0 && text.contains("# TYPE process_cpu_seconds_total counter\n"));
    assert!(of("start_time_seconds") > 0.0, "{text}");
    assert_eq!(found.keys().filter(|name| name.starts_with("process_")).count(), 7);
}
