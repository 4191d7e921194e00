//! The limit of requests (`rate_limit`): a bucket of tokens, as in Prometheus.

use std::time::Instant;

use parking_lot::Mutex;

use super::config::RateLimit;

pub(super) struct Limiter {
    limit: RateLimit,
    /// The tokens, and when there were so many. At first, all are there.
    tokens: Mutex<(f64, Option<Instant>)>,
}

impl Limiter {
    pub(super) fn new(limit: RateLimit) -> Self {
        Limiter { limit, tokens: Mutex::new((f64::from(limit.burst), None)) }
    }

    /// Takes a token for a request. False: there is none.
    pub(super) fn admits(&self, now: Instant) -> bool {
        let mut tokens = self.tokens.lock();
        let passed = tokens.1.map_or(0.0, |then| now.saturating_duration_since(then).as_secs_f64());
        let there = tokens.0 + passed / self.limit.interval.as_secs_f64();
        let there = there.min(f64::from(self.limit.burst));
        let is_admitted = there >= 1.0;
        *tokens = (if is_admitted { there - 1.0 } else { there }, Some(now));
        is_admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_and_then_one_in_each_interval() {
        let limiter = Limiter::new(RateLimit { interval: Duration::from_secs(2), burst: 3 });
        let begin = Instant::now();
        let admitted = |seconds: f64| limiter.admits(begin + Duration::from_secs_f64(seconds));
        assert_eq!([0.0, 0.0, 0.0, 0.0, 1.9].map(admitted), [true, true, true, false, false]);
        assert_eq!([2.1, 2.1, 4.1, 4.1].map(admitted), [true, false, true, false]);
        // No more than the burst gathers.
        assert_eq!([100.0, 100.0, 100.0, 100.0].map(admitted), [true, true, true, false]);
    }
}
