//! Families as values instead of a page, for collectors and tests.

use std::collections::HashMap;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use shmetrics::{FamilyInfo, GaugeMode, Kind, Point, PointValue};

use super::compat;

/// A family: name, type, documentation, unit, a gauge's mode, and samples (name, labels, value).
pub(crate) type Family<'py> = (String, &'static str, String, String, Option<&'static str>, Bound<'py, PyList>);

/// Groups points by family, in the order of the segment. `infos` are the segment's families; with
/// `all`, the families without points are among the result.
pub(crate) fn group<'py>(
    py: Python<'py>,
    points: &[Point],
    infos: Vec<FamilyInfo>,
    all: bool,
) -> PyResult<Vec<Family<'py>>> {
    let mut by_name: HashMap<&str, Vec<&Point>> = HashMap::new();
    for point in points {
        by_name.entry(&point.family.name).or_default().push(point);
    }
    let mut found = Vec::new();
    for info in infos {
        let points = by_name.remove(info.name.as_str()).unwrap_or_default();
        if points.is_empty() && !all {
            continue;
        }
        let samples = PyList::empty(py);
        // All points of a family say the same about the family.
        let kind = type_of(info.kind);
        let of = Samples { list: &samples, name: &info.name, suffix: suffix_of(&info) };
        points.into_iter().try_for_each(|point| of.add_point(point))?;
        found.push((info.name, kind, info.help, info.unit, info.mode.map(GaugeMode::as_str), samples));
    }
    Ok(found)
}

/// The suffix of a family's samples, where all samples have the same.
fn suffix_of(info: &FamilyInfo) -> &'static str {
    match info.kind {
        Kind::Counter if !info.exact_name => "_total",
        Kind::Info => "_info",
        _ => "",
    }
}

/// prometheus_client's names of types.
pub(crate) fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
        Kind::Summary => "summary",
        Kind::Info => "info",
        Kind::StateSet | Kind::Enum => "stateset",
        Kind::GaugeHistogram => "gaugehistogram",
        _ => "unknown",
    }
}

/// The samples of a family.
struct Samples<'a, 'py> {
    list: &'a Bound<'py, PyList>,
    name: &'a str,
    suffix: &'static str,
}

impl Samples<'_, '_> {
    fn add_point(&self, point: &Point) -> PyResult<()> {
        let family = &*point.family;
        match &point.value {
            PointValue::Whole(n) => self.add(point, self.suffix, None, *n as f64),
            PointValue::Float(v) => self.add(point, self.suffix, None, *v),
            PointValue::States(states) => family
                .states
                .iter()
                .zip(states)
                .try_for_each(|(state, on)| self.add(point, "", Some((self.name, state)), f64::from(u8::from(*on)))),
            PointValue::Buckets { counts, sum, quantiles, .. } => {
                for (quantile, value) in quantiles {
                    self.add(point, "", Some(("quantile", &compat::number_text(*quantile))), *value)?;
                }
                let mut total = 0;
                let bounds = family.bounds.iter().copied().chain([f64::INFINITY]);
                for (count, bound) in counts.iter().zip(bounds) {
                    total += count;
                    if family.kind != Kind::Summary {
                        self.add(point, "_bucket", Some(("le", &compat::number_text(bound))), total as f64)?;
                    }
                }
                let (of_sum, of_count) =
                    if family.kind == Kind::GaugeHistogram { ("_gsum", "_gcount") } else { ("_sum", "_count") };
                self.add(point, of_sum, None, *sum)?;
                self.add(point, of_count, None, total as f64)
            }
            _ => Ok(()),
        }
    }

    fn add(&self, point: &Point, suffix: &str, label: Option<(&str, &str)>, value: f64) -> PyResult<()> {
        let labels = PyDict::new(self.list.py());
        for (name, value) in &point.labels {
            labels.set_item(name, value)?;
        }
        if let Some((name, value)) = label {
            labels.set_item(name, value)?;
        }
        self.list.append((format!("{}{suffix}", self.name), labels, value))
    }
}
