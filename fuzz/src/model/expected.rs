//! What a page should show of a family.

use super::names::{escaped, shown, Way};
use super::update::whole_sum;
use super::{Cell, Family, Kind, Value, ALL, LIVEALL, LIVESUM, SHARED, SUM};
use crate::native;
use crate::page::{self, number};

type Expected = (String, Vec<(String, String)>, Value);

impl Family {
    pub(super) fn check<'r>(&self, found: &page::Family, series: impl Iterator<Item = (&'r [String], &'r Cell)>) {
        let base = shown(&self.base, self.kind, Way::Underscores);
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge(_) | Kind::StateSet | Kind::Enum | Kind::Info => "gauge",
            Kind::Histogram | Kind::GaugeHistogram => "histogram",
            Kind::Summary => "summary",
            Kind::Unknown => "untyped",
        };
        let name = format!("{base}{}", self.kind.suffix());
        // A carriage return ends a line for some.
        let help = self.help.replace('\r', " ");
        assert_eq!((&*found.name, &*found.kind, &found.help), (&*name, kind, &help));
        let mut expected = Vec::new();
        for (values, cell) in series {
            let names = self.labels.iter().map(|label| escaped(label, Way::Underscores, false));
            let labels = names.zip(values.iter().cloned()).collect();
            self.samples(&name, labels, cell, &mut expected);
        }
        if let Some(cell) = &self.embedded {
            let overflow = (!self.labels.is_empty()).then(|| ("shmetrics_overflow".into(), "true".into()));
            self.samples(&name, overflow.into_iter().collect(), cell, &mut expected);
        }
        assert_eq!(found.samples.len(), expected.len(), "samples of {name}: {found:?}");
        for (found, (name, labels, value)) in found.samples.iter().zip(&expected) {
            assert_eq!((&found.name, &found.labels), (name, labels));
            let number = number(&found.value).expect("parsed before");
            let right = match *value {
                Value::Whole(n) => found.value == n.to_string(),
                Value::Float(v) => number.to_bits() == v.to_bits() || (number.is_nan() && v.is_nan()),
                Value::Near(v) if v.is_finite() => (number - v).abs() <= 0.011 * v.abs(),
                Value::Near(v) => number == v || (number.is_nan() && v.is_nan()),
                Value::Any => true,
            };
            assert!(right, "{found:?} should be {value:?}");
        }
    }

    fn samples(&self, name: &str, labels: Vec<(String, String)>, cell: &Cell, out: &mut Vec<Expected>) {
        let and = |label: &str, value: String| {
            let mut labels = labels.clone();
            labels.push((label.to_owned(), value));
            labels
        };
        match (cell, self.kind) {
            (Cell::Counter { whole, fraction, .. }, _) => {
                let exact = whole_sum(*whole, *fraction).and_then(|sum| u64::try_from(sum).ok());
                let value = exact.map_or(Value::Float(*whole as f64 + fraction), Value::Whole);
                out.push((name.to_owned(), labels, value));
            }
            (Cell::Gauge { value: Some(value), identity }, Kind::Gauge(ALL | LIVEALL)) => {
                out.push((name.to_owned(), and("pid", identity.to_string()), *value));
            }
            (Cell::Gauge { value, .. }, Kind::Unknown) => {
                out.push((name.to_owned(), labels, value.unwrap_or(Value::Float(0.0))));
            }
            (Cell::Gauge { value, .. }, Kind::Gauge(mode)) => {
                // A sum has a value before any process takes part, and the value is never -0.
                let shown = match (mode, value) {
                    (SHARED | SUM | LIVESUM, None) => Some(Value::Float(0.0)),
                    (SUM | LIVESUM, Some(Value::Float(v))) => Some(Value::Float(0.0 + v)),
                    (_, value) => *value,
                };
                out.extend(shown.map(|value| (name.to_owned(), labels, value)));
            }
            (Cell::Histogram(cells), _) => {
                let bounds = self.buckets.iter().copied().chain([f64::INFINITY]);
                let (mut count, mut sum) = (0, 0.0);
                for (bound, cell) in bounds.zip(cells) {
                    (count, sum) = (count + cell.0, sum + cell.1);
                    if self.kind != Kind::Summary {
                        out.push((format!("{name}_bucket"), and("le", bound_text(bound + 0.0)), Value::Whole(count)));
                    }
                }
                out.push((format!("{name}_sum"), labels.clone(), Value::Float(sum)));
                out.push((format!("{name}_count"), labels, Value::Whole(count)));
            }
            (Cell::Native(pairs), _) => {
                let (counts, sum) = pairs.read(self.buckets.len());
                let mut count = 0;
                for (bound, n) in self.buckets.iter().copied().chain([f64::INFINITY]).zip(counts) {
                    count += n;
                    out.push((format!("{name}_bucket"), and("le", bound_text(bound + 0.0)), Value::Whole(count)));
                }
                out.push((format!("{name}_sum"), labels.clone(), Value::Float(sum)));
                out.push((format!("{name}_count"), labels, Value::Whole(count)));
            }
            (Cell::Summary((count, sum), observed), _) => {
                for rank in self.native.quantiles {
                    let value = native::quantile(observed, *rank);
                    out.push((name.to_owned(), and("quantile", bound_text(*rank)), Value::Near(value)));
                }
                out.push((format!("{name}_sum"), labels.clone(), Value::Float(*sum)));
                out.push((format!("{name}_count"), labels, Value::Whole(*count)));
            }
            (Cell::States(_), Kind::Info) => out.push((name.to_owned(), labels, Value::Whole(1))),
            (Cell::States(word), kind) => {
                for (i, state) in self.states.iter().enumerate() {
                    let on = if kind == Kind::Enum { u64::from(*word == i as u64) } else { word >> i & 1 };
                    out.push((
                        name.to_owned(),
                        and(&escaped(&self.base, Way::Underscores, false), state.clone()),
                        Value::Whole(on),
                    ));
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A bound as OpenMetrics and Go write it: the shortest digits, with a point or an exponent of two
/// digits or more.
fn bound_text(v: f64) -> String {
    if v == f64::INFINITY {
        return "+Inf".into();
    }
    let shortest = format!("{v:e}");
    let (digits, exponent) = shortest.split_once('e').expect("scientific");
    let exponent: i32 = exponent.parse().expect("an exponent");
    if (-4..6).contains(&exponent) {
        return format!("{v:?}");
    }
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}
