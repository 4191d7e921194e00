//! OTLP over HTTP: the series as points, a few thousand in a request.

use std::time::SystemTime;

use axum::http::{Method, Uri};
use hyper::body::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use shmetrics::{ExternalFamily, Format, Page, Points};

use super::args::PushArgs;
use super::client::{address, shown, PushRequest};
use super::translate::{attribute, nanoseconds, Translation};
use crate::common::source::Reading;

/// The number of points in a request, which is then some hundred kilobytes large.
const BATCH: usize = 2000;

pub(super) struct Otlp {
    to: Uri,
    attributes: Vec<(String, String)>,
    metrics: Vec<String>,
}

/// The requests of one push.
pub(super) struct Batches<'a> {
    otlp: &'a Otlp,
    points: Points<'a>,
    resource: Resource,
    /// The time of all points of a push.
    now: u64,
    pub(super) dropped: u64,
}

impl Otlp {
    pub(super) fn new(args: &PushArgs, url: &str, service: &str) -> Result<Self, String> {
        let base = address(url)?;
        let to = if matches!(base.path(), "" | "/") && base.query().is_none() {
            format!("{}/v1/metrics", url.trim_end_matches('/')).parse().map_err(|e| format!("{url}: {e}"))?
        } else {
            base
        };
        let mut attributes = args.attributes.clone();
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        for (key, value) in [("service.name", service), ("service.instance.id", host.trim())] {
            if !value.is_empty() && !attributes.iter().any(|(given, _)| given == key) {
                attributes.push((key.to_owned(), value.to_owned()));
            }
        }
        Ok(Otlp { to, attributes, metrics: args.only.metrics.clone() })
    }

    pub(super) fn to(&self) -> &Uri {
        &self.to
    }

    pub(super) fn batches<'a>(&'a self, reading: &'a Reading, own: Vec<ExternalFamily>) -> Batches<'a> {
        let mut attributes = self.attributes.clone();
        // `target_info` describes the application, so its labels belong to the resource.
        for point in reading.page(Format::Text).only(["target_info"]).points().filter(is_target) {
            for (key, value) in point.labels {
                if key != "segment" && !attributes.iter().any(|(given, _)| *given == key) {
                    attributes.push((key, value));
                }
            }
        }
        let now = nanoseconds(SystemTime::now());
        let attributes = attributes.iter().map(|(key, value)| attribute(key, value)).collect();
        let resource = Resource { attributes, ..Resource::default() };
        let page = own.into_iter().fold(reading.page(Format::Text), Page::with);
        let points = page.only(self.metrics.iter().cloned()).points();
        Batches { otlp: self, points, resource, now, dropped: 0 }
    }
}

fn is_target(point: &shmetrics::Point) -> bool {
    point.family.kind == shmetrics::Kind::Info && point.family.name == "target"
}

impl Iterator for Batches<'_> {
    type Item = PushRequest;

    fn next(&mut self) -> Option<PushRequest> {
        let mut translation = Translation::new(self.now);
        while translation.len() < BATCH {
            let Some(point) = self.points.next() else { break };
            if !is_target(&point) && !translation.add(point) {
                self.dropped += 1;
            }
        }
        if translation.len() == 0 {
            return None;
        }
        let scope = InstrumentationScope {
            name: "shmetrics".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let of_scope = ScopeMetrics { scope: Some(scope), metrics: translation.metrics(), schema_url: String::new() };
        let of_resource = ResourceMetrics {
            resource: Some(self.resource.clone()),
            scope_metrics: vec![of_scope],
            schema_url: String::new(),
        };
        let request = ExportMetricsServiceRequest { resource_metrics: vec![of_resource] };
        Some(PushRequest {
            method: Method::POST,
            to: self.otlp.to.clone(),
            content_type: "application/x-protobuf",
            body: Bytes::from(request.encode_to_vec()),
            is_failure_passing: false,
        })
    }
}

/// The objection in the body of a successful answer.
pub(super) fn objection(answer: &[u8]) -> Option<String> {
    // Some servers answer in another format. Then the status decides.
    let partial = ExportMetricsServiceResponse::decode(answer).ok()?.partial_success?;
    (partial.rejected_data_points > 0).then(|| {
        format!("{} points were rejected: {}", partial.rejected_data_points, shown(partial.error_message.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::objection;

    #[test]
    fn any_answer_is_an_objection_or_none() {
        // partial_success of 5 rejected points, with a message.
        let partial = b"\x0a\x08\x08\x05\x12\x04full";
        assert_eq!(objection(partial).as_deref(), Some("5 points were rejected: full"));
        crate::common::variants::each(&[partial, b"", b"{}"], 5000, |answer| {
            let _ = objection(answer);
        });
    }
}
