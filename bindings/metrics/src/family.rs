//! Families whose label names are known at run time only.

use std::borrow::Cow;
use std::time::Duration;

use metrics::{Key, Label};
use shmetrics::{
    Counter, DynamicFamily, Error, FamilyInfo, Gauge, GaugeMode, Histogram, Metric, Native, Segment, Summary,
};

use crate::names;

/// The most label names of a family in a segment.
pub(crate) const LABELS_MAX: usize = 64;

/// What is registered.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) unit: String,
    pub(crate) labels: Vec<String>,
    /// The one of `labels` that holds the labels for which the family has no name.
    pub(crate) other_labels: Option<String>,
    pub(crate) mode: GaugeMode,
    /// `None`: the library's own.
    pub(crate) buckets: Option<Vec<f64>>,
    pub(crate) native: Option<Native>,
    pub(crate) quantiles: Vec<f64>,
    /// How long quantiles look back, if another process set it.
    pub(crate) max_age: Option<Duration>,
    pub(crate) max_series: u64,
    pub(crate) expire_after: Duration,
}

/// A metric of the library that the facade uses.
pub(crate) trait FacadeMetric: Metric + Send + Sync + 'static {
    const NAME: &'static str;
    fn builder(segment: Segment, definition: &Definition) -> shmetrics::Builder<'_, Self>;
    /// The label that such a family has besides its own.
    fn own_label(_: &Definition) -> Option<&'static str> {
        None
    }
}

impl FacadeMetric for Counter {
    const NAME: &'static str = "counter";
    fn builder(segment: Segment, definition: &Definition) -> shmetrics::Builder<'_, Self> {
        segment.counter(&definition.name, &definition.help)
    }
}

impl FacadeMetric for Gauge {
    const NAME: &'static str = "gauge";
    fn builder(segment: Segment, definition: &Definition) -> shmetrics::Builder<'_, Self> {
        segment.gauge(&definition.name, &definition.help, definition.mode)
    }
    fn own_label(definition: &Definition) -> Option<&'static str> {
        matches!(definition.mode, GaugeMode::All | GaugeMode::LiveAll).then_some("pid")
    }
}

impl FacadeMetric for Histogram {
    const NAME: &'static str = "histogram";
    fn builder(segment: Segment, definition: &Definition) -> shmetrics::Builder<'_, Self> {
        let mut builder = segment.histogram(&definition.name, &definition.help);
        if let Some(bounds) = &definition.buckets {
            builder = builder.buckets(bounds);
        }
        if let Some(native) = definition.native {
            builder = builder.native(native);
        }
        builder
    }
    fn own_label(_: &Definition) -> Option<&'static str> {
        Some("le")
    }
}

impl FacadeMetric for Summary {
    const NAME: &'static str = "summary";
    fn builder(segment: Segment, definition: &Definition) -> shmetrics::Builder<'_, Self> {
        let builder = segment.summary(&definition.name, &definition.help).quantiles(&definition.quantiles);
        match definition.max_age {
            Some(time) => builder.max_age(time),
            None => builder,
        }
    }
    fn own_label(_: &Definition) -> Option<&'static str> {
        Some("quantile")
    }
}

fn register<M: FacadeMetric>(segment: Segment, definition: &Definition) -> Result<DynamicFamily<M>, Error> {
    let labels: Vec<&str> = definition.labels.iter().map(String::as_str).collect();
    M::builder(segment, definition)
        .unit(&definition.unit)
        .max_series(definition.max_series)
        .label_names(&labels)
        .expire_after(definition.expire_after)
        .register()
}

/// A family in the segment.
pub(crate) struct Registered<M> {
    pub(crate) definition: Definition,
    family: DynamicFamily<M>,
}

/// The series of a key, and the labels of the key that the series does not have.
pub(crate) struct Placed<M> {
    /// `None`: the segment is damaged.
    pub(crate) metric: Option<M>,
    pub(crate) left_out: Vec<String>,
}

impl<M: FacadeMetric> Registered<M> {
    /// Registers the family, or takes it as it is registered. The differences from what was wanted,
    /// but for labels, come back as sentences.
    pub(crate) fn new(segment: Segment, mut definition: Definition) -> Result<(Self, Vec<String>), Error> {
        let refusal = match register(segment, &definition) {
            Ok(family) => return Ok((Registered { definition, family }, Vec::new())),
            Err(refusal @ Error::Conflict(_)) => refusal,
            Err(other) => return Err(other),
        };
        let base = match M::NAME {
            "counter" => definition.name.strip_suffix("_total").unwrap_or(&definition.name),
            _ => &definition.name,
        };
        let families = segment.reader().inspect().families;
        let Some(there) = families.into_iter().find(|f| f.name == base && f.kind.as_str() == M::NAME) else {
            return Err(refusal);
        };
        let differences = adopt(&mut definition, there);
        match register(segment, &definition) {
            Ok(family) => Ok((Registered { definition, family }, differences)),
            Err(_) => Err(refusal),
        }
    }

    /// The series of a key. Labels without a place are in the label for them, or left out.
    pub(crate) fn series(&self, key: &Key) -> Placed<M> {
        let Definition { labels, other_labels, .. } = &self.definition;
        let own = [M::own_label(&self.definition), other_labels.as_deref()];
        let mut places: Vec<Option<&Label>> = vec![None; labels.len()];
        let mut others = Vec::new();
        for label in key.labels() {
            let name = names::label(label.key(), &own);
            match labels.iter().zip(&mut places).find(|(l, _)| **l == *name) {
                // The last one counts.
                Some((_, place)) => others.extend(place.replace(label).filter(|old| old.value() != label.value())),
                None => others.push(label),
            }
        }
        let mut values: Vec<&str> = places.iter().map(|label| label.map_or("", Label::value)).collect();
        let (text, mut left_out) = (joined(&mut others), Vec::new());
        match other_labels.as_ref().and_then(|name| labels.iter().position(|l| l == name)) {
            Some(place) => values[place] = &text,
            None => left_out.extend(others.iter().map(|label| names::label(label.key(), &own).into_owned())),
        }
        Placed { metric: self.family.with(&values), left_out }
    }
}

/// Labels as one value, `NAME=VALUE` with commas between. Another set of labels is another text: a
/// backslash stands before each comma, `=` and backslash of a name or a value.
fn joined(labels: &mut [&Label]) -> String {
    labels.sort_unstable_by_key(|label| (label.key(), label.value()));
    let mut text = String::new();
    for label in labels {
        if !text.is_empty() {
            text.push(',');
        }
        for (part, end) in [(label.key(), "="), (label.value(), "")] {
            for c in part.chars() {
                if matches!(c, ',' | '=' | '\\') {
                    text.push('\\');
                }
                text.push(c);
            }
            text.push_str(end);
        }
    }
    text
}

/// The label names of a key, in an order that does not depend on how the caller wrote them, and the
/// label for others at the end.
pub(crate) fn label_names<'a>(names: impl Iterator<Item = &'a str>, own: &[Option<&str>; 2]) -> Vec<String> {
    let mut names: Vec<String> = names.map(|n| names::label(n, own)).map(Cow::into_owned).collect();
    names.sort_unstable();
    names.dedup();
    let [_, other] = own;
    names.truncate(LABELS_MAX - usize::from(other.is_some()));
    names.extend(other.map(str::to_owned));
    names
}

/// Makes the definition that of the family that is there.
fn adopt(definition: &mut Definition, there: FamilyInfo) -> Vec<String> {
    let mut differences = Vec::new();
    let name = definition.name.clone();
    let mut differ = |what: &str, there: &str, wanted: &str| {
        differences.push(format!(
            "{name}: its {what} is {there:?}, as the process that registered it first says, not {wanted:?}; \
             set up the recorder alike in all processes, or start with a new segment"
        ));
    };
    if let Some(mode) = there.mode {
        if mode != definition.mode {
            differ("gauge mode", mode.as_str(), definition.mode.as_str());
        }
        definition.mode = mode;
    }
    if there.unit != definition.unit {
        differ("unit", &there.unit, &definition.unit);
        definition.unit = there.unit;
    }
    let bounds: Vec<f64> = there.buckets.iter().filter_map(|b| b.parse().ok()).collect();
    let text = |numbers: &[f64]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    if there.kind == shmetrics::Kind::Summary {
        if definition.quantiles != bounds {
            differ("list of quantiles", &there.buckets.join(" "), &text(&definition.quantiles));
        }
        (definition.quantiles, definition.max_age) = (bounds, there.max_age);
    } else {
        if definition.buckets.as_ref().is_some_and(|b| b.iter().filter(|b| b.is_finite()).ne(bounds.iter())) {
            differ(
                "list of buckets",
                &there.buckets.join(" "),
                &text(definition.buckets.as_deref().unwrap_or_default()),
            );
        }
        if definition.native != there.native {
            let of = |native: Option<Native>| native.map_or_else(|| "none".to_owned(), |native| format!("{native:?}"));
            differ("kind of native buckets", &of(there.native), &of(definition.native));
        }
        let only_native = bounds.is_empty() && there.native.is_some();
        (definition.buckets, definition.native) = ((!only_native).then_some(bounds), there.native);
    }
    let expire_after = there.expire_after.unwrap_or_default();
    if definition.expire_after != expire_after && !there.labels.is_empty() {
        let of = |time: Duration| if time.is_zero() { "never".to_owned() } else { format!("{time:?}") };
        differ("time of expiry", &of(expire_after), &of(definition.expire_after));
    }
    definition.expire_after = expire_after;
    definition.labels = there.labels;
    differences
}
