//! The demo's own metrics, read back from a page in the text format.

use std::borrow::Cow;

use super::traffic::{Request, IN_PROGRESS, REQUESTS_TOTAL, SECONDS};

pub(super) struct Page<'a>(Cow<'a, str>);

impl<'a> Page<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Page(String::from_utf8_lossy(text))
    }

    pub(super) fn answered(&self, r: &Request) -> u64 {
        let series = format!(r#"{REQUESTS_TOTAL}{{method="{}",path="{}",status="{}"}}"#, r.method, r.path, r.status);
        self.value(&series).unwrap_or(0.0) as u64
    }

    /// Every request there is a series for, also one that nobody ever made.
    pub(super) fn answered_total(&self) -> u64 {
        let prefix = format!("{REQUESTS_TOTAL}{{");
        let samples = self.samples().filter(|(series, _)| series.starts_with(&prefix));
        samples.map(|(_, value)| value).sum::<f64>() as u64
    }

    pub(super) fn observed(&self) -> u64 {
        self.value(&format!("{SECONDS}_count")).unwrap_or(0.0) as u64
    }

    pub(super) fn in_progress(&self) -> f64 {
        self.value(IN_PROGRESS).unwrap_or(0.0)
    }

    /// The time below which a share of the requests was answered, taking them as even inside a
    /// bucket.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let buckets = self.buckets();
        let wanted = buckets.last()?.1 * share;
        let (mut below, mut counted) = (0.0, 0.0);
        for &(bound, cumulative) in &buckets {
            if cumulative >= wanted && cumulative > counted {
                // Beyond the last finite bound nothing is known but that.
                let reached = below + (bound - below) * (wanted - counted) / (cumulative - counted);
                return Some(if bound.is_finite() { reached } else { below });
            }
            (below, counted) = (bound, cumulative);
        }
        None
    }

    fn buckets(&self) -> Vec<(f64, f64)> {
        let prefix = format!("{SECONDS}_bucket{{le=\"");
        let bucket = |(series, count): (&str, f64)| {
            let bound = series.strip_prefix(&prefix)?.strip_suffix("\"}")?;
            Some((bound.parse().ok()?, count))
        };
        self.samples().filter_map(bucket).collect()
    }

    fn value(&self, series: &str) -> Option<f64> {
        self.samples().find(|(found, _)| *found == series).map(|(_, value)| value)
    }

    fn samples(&self) -> impl Iterator<Item = (&str, f64)> {
        let lines = self.0.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series, value.parse().ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::traffic::REQUESTS;
    use super::Page;

    const TEXT: &[u8] = br#"# TYPE demo_requests_total counter
demo_requests_total{method="GET",path="/",status="200"} 40
demo_requests_total{method="GET",path="/search",status="200"} 2
demo_request_seconds_bucket{le="0.001"} 10
demo_request_seconds_bucket{le="0.002"} 30
demo_request_seconds_bucket{le="+Inf"} 40
demo_request_seconds_sum 0.5
demo_request_seconds_count 40
demo_requests_in_progress 3
"#;

    #[test]
    fn values_are_found() {
        let page = Page::new(TEXT);
        assert_eq!(REQUESTS.each_ref().map(|r| page.answered(r)), [40, 2, 0, 0, 0]);
        assert_eq!((page.answered_total(), page.observed()), (42, 40));
        assert!((page.in_progress() - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn quantiles_are_interpolated() {
        let page = Page::new(TEXT);
        let near = |share: f64, expected: f64| {
            let found = page.quantile(share).expect("there are buckets");
            assert!((found - expected).abs() < 1e-9, "quantile {share} is {found}, not {expected}");
        };
        near(0.125, 0.0005);
        near(0.5, 0.0015);
        near(0.99, 0.002);
        assert_eq!(Page::new(b"").quantile(0.5), None);
        assert_eq!(Page::new(b"demo_request_seconds_bucket{le=\"+Inf\"} 0\n").quantile(0.5), None);
    }
}
