//! What the workers pretend to serve, and the metrics that count it.

use std::time::Duration;

use shmetrics::{Counter, Error, Gauge, GaugeMode, Histogram, Segment};

use super::random::Random;

pub(super) const REQUESTS_TOTAL: &str = "demo_requests_total";
pub(super) const SECONDS: &str = "demo_request_seconds";
pub(super) const IN_PROGRESS: &str = "demo_requests_in_progress";

pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) status: &'static str,
    /// Of a hundred requests, how many are of this kind.
    share: u64,
    /// The shortest time it takes; the mean is the double.
    floor: Duration,
}

pub(super) const KINDS: usize = 5;

/// A request is known by its place in this table.
pub(super) const REQUESTS: [Request; KINDS] = [
    request("GET", "/", "200", 45, 400),
    request("GET", "/search", "200", 25, 2500),
    request("POST", "/cart", "201", 18, 1200),
    request("GET", "/missing", "404", 9, 200),
    request("POST", "/pay", "500", 3, 6000),
];

const fn request(
    method: &'static str,
    path: &'static str,
    status: &'static str,
    share: u64,
    floor_micros: u64,
) -> Request {
    Request { method, path, status, share, floor: Duration::from_micros(floor_micros) }
}

/// The next request of a worker, and how long it is going to take.
pub(super) fn next(random: &mut Random) -> (usize, Duration) {
    let mut ticket = random.below(100);
    let mut kind = 0;
    while ticket >= REQUESTS[kind].share {
        ticket -= REQUESTS[kind].share;
        kind += 1;
    }
    // Most are quick, a few take several times as long: exponential above the floor.
    let stretch = 1.0 - (1.0 - random.unit()).ln();
    (kind, REQUESTS[kind].floor.mul_f64(stretch))
}

pub(super) struct Metrics {
    /// In the order of `REQUESTS`: looked up once, then counted without a lookup.
    pub(super) requests: [Counter; KINDS],
    pub(super) seconds: Histogram,
    pub(super) in_progress: Gauge,
}

impl Metrics {
    /// Every process registers the same; who comes first creates.
    pub(super) fn register(segment: Segment) -> Result<Self, Error> {
        let requests =
            segment.counter(REQUESTS_TOTAL, "Requests answered.").labels(["method", "path", "status"]).register()?;
        let seconds = segment
            .histogram(SECONDS, "Time taken to answer a request.")
            .unit("seconds")
            .buckets(&[0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064])
            .register()?;
        let in_progress = segment
            .gauge(IN_PROGRESS, "Requests being answered by the living workers.", GaugeMode::LiveSum)
            .register()?;
        let requests = REQUESTS.each_ref().map(|r| requests.with([r.method, r.path, r.status]));
        Ok(Metrics { requests, seconds, in_progress })
    }
}

#[cfg(test)]
mod tests {
    use super::{next, Random, KINDS, REQUESTS};

    #[test]
    fn the_shares_make_a_hundred_and_all_kinds_occur() {
        assert_eq!(REQUESTS.iter().map(|r| r.share).sum::<u64>(), 100);
        let mut random = Random::new(7);
        let mut seen = [false; KINDS];
        for _ in 0..10_000 {
            let (kind, time) = next(&mut random);
            seen[kind] = true;
            assert!(time >= REQUESTS[kind].floor);
        }
        assert_eq!(seen, [true; KINDS]);
    }
}
