//! How long a client waits for its page.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};

/// The time after which the scraper gives up, in seconds.
const TIMEOUT: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");
/// The time that the answer needs on its way back.
const TIMEOUT_SLACK: Duration = Duration::from_millis(100);
/// How long a request without a timeout waits for its turn.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(10);
/// The longest timeout that is respected.
const DEADLINE_MAX: Duration = Duration::from_secs(120);

/// The scraper's timeout, if the request has one.
pub(super) fn scrape_timeout(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(TIMEOUT)?.to_str().ok()?.parse::<f64>().ok()?;
    Some(Duration::try_from_secs_f64(seconds).ok()?.saturating_sub(TIMEOUT_SLACK).min(DEADLINE_MAX))
}
