//! Families and series as JSON: documented in docs/command.md.

use shmetrics::{Kind, PointValue};

use super::{Family, Model, Series};
use crate::common::json::{Json, Object};

/// One object: documented in docs/command.md.
pub(crate) fn model(model: &Model, names: &str, problem: Option<&str>, now: f64) -> Json {
    let families = model.families.iter().map(|family| {
        let series = family.series.iter().filter(|series| family.is_there(series)).map(|one| series(family, one));
        Object::default()
            .field("name", &family.info.name)
            .field("type", kind(family.info.kind))
            .field("unit", &family.info.unit)
            .field("help", &family.info.help)
            .field("series", Json::list(series))
    });
    Object::default()
        .field("segments", names)
        .field("time", now)
        .field("problem", problem)
        .field("families", Json::list(families))
        .into()
}

pub(crate) fn series(family: &Family, series: &Series) -> Object {
    let labels = series.labels.iter().fold(Object::default(), |labels, (name, value)| labels.field(name, value));
    let object = Object::default().field("labels", Json::from(labels));
    let object = match &series.value {
        PointValue::Whole(n) => object.field("value", *n),
        PointValue::Buckets { counts, sum, .. } => {
            object.field("count", counts.iter().sum::<u64>()).field("sum", Json::exact(*sum))
        }
        PointValue::States(on) => {
            let on = family.info.states.iter().zip(on).filter(|(_, on)| **on).map(|(state, _)| state);
            object.field("states", Json::list(on))
        }
        _ => object.field("value", Json::exact(series.amount())),
    };
    figures(object, family, Some(series))
}

/// Adds the rates and percentiles of a series, or of the whole family.
pub(crate) fn figures(object: Object, family: &Family, series: Option<&Series>) -> Object {
    let rates = family.rates(series);
    let rate = |i: usize| rates.map(|rates| Json::exact(rates[i]));
    let percentile = |share| family.percentile(series, share).map(Json::exact);
    object
        .field("rate_1s", rate(0))
        .field("rate_10s", rate(1))
        .field("rate_60s", rate(2))
        .field("p50", percentile(0.5))
        .field("p90", percentile(0.9))
        .field("p99", percentile(0.99))
}

pub(crate) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
        Kind::GaugeHistogram => "gaugehistogram",
        Kind::Summary => "summary",
        Kind::Info => "info",
        Kind::StateSet => "stateset",
        Kind::Enum => "enum",
        _ => "unknown",
    }
}
