//! How long a client waits.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};

/// What the scraper gives up after, in seconds.
const TIMEOUT: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");
/// Left for the way back.
const TIMEOUT_SLACK: Duration = Duration::from_millis(100);
/// How long a request without a deadline waits for its turn.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(10);
/// No scraper asks for more.
const DEADLINE_MAX: Duration = Duration::from_secs(120);

/// How long the scraper waits for an answer, if it says so.
pub(super) fn scrape_timeout(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(TIMEOUT)?.to_str().ok()?.parse::<f64>().ok()?;
    Some(Duration::try_from_secs_f64(seconds).ok()?.saturating_sub(TIMEOUT_SLACK).min(DEADLINE_MAX))
}
