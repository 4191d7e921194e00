//! From Prometheus' data model to OTLP's, after OpenTelemetry's specification "Prometheus and
//! OpenMetrics Compatibility".

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::dense::Dense;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    exemplar, number_data_point, AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint,
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint,
};
use shmetrics::{Kind, Point, PointExemplar, PointFamily, PointValue};

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;
/// Whole numbers above this are not exact as a double.
const EXACT_MAX: u64 = 1 << 53;

/// The metrics of a request under construction.
pub(super) struct Translation {
    metrics: Vec<Metric>,
    /// The family of the last metric.
    family: Option<Arc<PointFamily>>,
    points: usize,
    now: u64,
}

pub(super) fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn attributes(labels: Vec<(String, String)>) -> Vec<KeyValue> {
    labels.into_iter().map(|(name, value)| attribute(&name, &value)).collect()
}

impl Translation {
    pub(super) fn new(now: u64) -> Self {
        Translation { metrics: Vec::new(), family: None, points: 0, now }
    }

    pub(super) fn len(&self) -> usize {
        self.points
    }

    pub(super) fn metrics(self) -> Vec<Metric> {
        self.metrics
    }

    /// Adds a point. False: OTLP does not have the type.
    pub(super) fn add(&mut self, point: Point) -> bool {
        let is_same = self.family.as_ref().is_some_and(|family| Arc::ptr_eq(family, &point.family));
        if !is_same {
            let Some(metric) = metric(&point.family) else { return false };
            self.metrics.push(metric);
            self.family = Some(Arc::clone(&point.family));
        }
        let Some(data) = self.metrics.last_mut().and_then(|metric| metric.data.as_mut()) else { return false };
        self.points += push(data, point, self.now);
        true
    }
}

/// A family without points.
fn metric(family: &PointFamily) -> Option<Metric> {
    let sum =
        |is_monotonic| Data::Sum(Sum { data_points: Vec::new(), aggregation_temporality: CUMULATIVE, is_monotonic });
    let (suffix, kind, data) = match family.kind {
        Kind::Counter => ("_total", "counter", sum(true)),
        Kind::Gauge => ("", "gauge", Data::Gauge(Gauge::default())),
        Kind::Unknown => ("", "unknown", Data::Gauge(Gauge::default())),
        Kind::Info => ("_info", "info", sum(false)),
        Kind::StateSet | Kind::Enum => ("", "stateset", sum(false)),
        Kind::Histogram if family.is_native => {
            let histogram = ExponentialHistogram { data_points: Vec::new(), aggregation_temporality: CUMULATIVE };
            ("", "histogram", Data::ExponentialHistogram(histogram))
        }
        Kind::Histogram => {
            let histogram = Histogram { data_points: Vec::new(), aggregation_temporality: CUMULATIVE };
            ("", "histogram", Data::Histogram(histogram))
        }
        Kind::Summary => ("", "summary", Data::Summary(Summary::default())),
        // The specification drops gauge histograms. Types of later versions of the library are
        // dropped too.
        _ => return None,
    };
    Some(Metric {
        name: format!("{}{suffix}", family.name),
        description: family.help.clone(),
        unit: unit(&family.unit),
        metadata: vec![attribute("prometheus.type", kind)],
        data: Some(data),
    })
}

/// Adds the point. The result is the number of OTLP points.
fn push(data: &mut Data, point: Point, now: u64) -> usize {
    let Point { family, labels, began, value, exemplars, .. } = point;
    let began = began.map_or(0, nanoseconds);
    let exemplars = exemplars.into_iter().map(exemplar);
    let number = |labels: Vec<(String, String)>, start: u64, value, exemplars: Vec<Exemplar>| NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: start,
        time_unix_nano: now,
        exemplars,
        flags: 0,
        value: Some(value),
    };
    match (data, value) {
        (Data::Sum(sum), PointValue::States(states)) => {
            for (state, on) in family.states.iter().zip(&states) {
                let mut labels = labels.clone();
                labels.push((family.name.clone(), state.clone()));
                let value = number_data_point::Value::AsDouble(f64::from(u8::from(*on)));
                sum.data_points.push(number(labels, began, value, Vec::new()));
            }
            return states.len();
        }
        (Data::Sum(sum), value) => sum.data_points.push(number(labels, began, of(&value), exemplars.collect())),
        // A gauge has the time of the push and no start time.
        (Data::Gauge(gauge), value) => gauge.data_points.push(number(labels, 0, of(&value), Vec::new())),
        (Data::ExponentialHistogram(histogram), PointValue::Buckets { counts, sum, native: Some(native), .. }) => {
            let native = Dense::new(*native);
            // A sum that may fall is left out, as in the other formats.
            let is_rising = sum >= 0.0 && native.negative.bucket_counts.is_empty();
            histogram.data_points.push(ExponentialHistogramDataPoint {
                attributes: attributes(labels),
                start_time_unix_nano: began,
                time_unix_nano: now,
                count: total(&counts),
                sum: is_rising.then_some(sum),
                scale: native.scale,
                zero_count: native.zero_count,
                zero_threshold: native.zero_threshold,
                positive: Some(native.positive),
                negative: Some(native.negative),
                exemplars: exemplars.collect(),
                ..ExponentialHistogramDataPoint::default()
            });
        }
        (Data::Histogram(histogram), PointValue::Buckets { counts, sum, .. }) => {
            let is_rising = sum >= 0.0 && family.bounds.first().is_none_or(|bound| *bound >= 0.0);
            histogram.data_points.push(HistogramDataPoint {
                attributes: attributes(labels),
                start_time_unix_nano: began,
                time_unix_nano: now,
                count: total(&counts),
                sum: is_rising.then_some(sum),
                bucket_counts: counts,
                explicit_bounds: family.bounds.clone(),
                exemplars: exemplars.collect(),
                ..HistogramDataPoint::default()
            });
        }
        (Data::Summary(summary), PointValue::Buckets { counts, sum, quantiles, .. }) => {
            let of = |(quantile, value)| ValueAtQuantile { quantile, value };
            summary.data_points.push(SummaryDataPoint {
                attributes: attributes(labels),
                start_time_unix_nano: began,
                time_unix_nano: now,
                count: total(&counts),
                sum,
                quantile_values: quantiles.into_iter().filter(|(_, value)| !value.is_nan()).map(of).collect(),
                ..SummaryDataPoint::default()
            });
        }
        _ => return 0,
    }
    1
}

fn total(counts: &[u64]) -> u64 {
    counts.iter().fold(0, |sum, n| sum.wrapping_add(*n))
}

/// A double, as all numbers of Prometheus, so that a series keeps its type. A whole number is used
/// only if a double is not exact.
fn of(value: &PointValue) -> number_data_point::Value {
    match value {
        PointValue::Whole(n) if *n > EXACT_MAX && i64::try_from(*n).is_ok() => {
            number_data_point::Value::AsInt(i64::try_from(*n).unwrap_or(i64::MAX))
        }
        PointValue::Whole(n) => number_data_point::Value::AsDouble(*n as f64),
        PointValue::Float(v) => number_data_point::Value::AsDouble(*v),
        _ => number_data_point::Value::AsDouble(0.0),
    }
}

/// A time as OTLP writes it: nanoseconds since 1970.
pub(super) fn nanoseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Trace and span have their own fields.
fn exemplar(found: PointExemplar) -> Exemplar {
    let mut of = Exemplar {
        time_unix_nano: nanoseconds(found.at),
        value: Some(exemplar::Value::AsDouble(found.value)),
        ..Exemplar::default()
    };
    for (name, value) in found.labels {
        match (name.as_str(), hex(&value)) {
            ("trace_id", Some(id)) if id.len() == 16 => of.trace_id = id,
            ("span_id", Some(id)) if id.len() == 8 => of.span_id = id,
            _ => of.filtered_attributes.push(attribute(&name, &value)),
        }
    }
    of
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// A unit as OpenTelemetry writes it (UCUM).
fn unit(unit: &str) -> String {
    if let Some((of, per)) = unit.split_once("_per_") {
        let per = per.strip_suffix('s').unwrap_or(per);
        return format!("{}/{}", word(of), word(&format!("{per}s")));
    }
    word(unit).to_owned()
}

fn word(unit: &str) -> &str {
    match unit {
        "days" => "d",
        "hours" => "h",
        "minutes" => "min",
        "seconds" => "s",
        "milliseconds" => "ms",
        "microseconds" => "us",
        "nanoseconds" => "ns",
        "bytes" => "By",
        "kibibytes" => "KiBy",
        "mebibytes" => "MiBy",
        "gibibytes" => "GiBy",
        "kilobytes" => "kBy",
        "megabytes" => "MBy",
        "gigabytes" => "GBy",
        "meters" => "m",
        "volts" => "V",
        "amperes" => "A",
        "joules" => "J",
        "watts" => "W",
        "grams" => "g",
        "celsius" => "Cel",
        "hertz" => "Hz",
        "percent" => "%",
        "ratio" => "1",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::{hex, unit};

    #[test]
    fn units() {
        let units = ["", "seconds", "bytes", "ratio", "bytes_per_second", "widgets"].map(unit);
        assert_eq!(units, ["", "s", "By", "1", "By/s", "widgets"]);
    }

    #[test]
    fn identities() {
        assert_eq!(hex("00fF"), Some(vec![0, 255]));
        assert_eq!([hex("0"), hex("0g"), hex("+1")], [None, None, None]);
    }
}
