//! Families whose label names are known at run time only.

use std::borrow::Cow;
use std::time::Duration;

use metrics::Key;
use shmetrics::{Counter, Error, Family, FamilyInfo, Gauge, GaugeMode, Histogram, Metric, Segment};

use crate::names;

/// Most label names of a family: each number of them is a type of its own.
pub(crate) const LABELS_MAX: usize = 16;

/// What is registered.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) unit: String,
    pub(crate) labels: Vec<String>,
    pub(crate) mode: GaugeMode,
    /// `None`: the library's own.
    pub(crate) buckets: Option<Vec<f64>>,
    pub(crate) max_series: u64,
    pub(crate) expire_after: Option<Duration>,
}

/// A metric of the library.
pub(crate) trait Kind: Metric + Send + Sync + 'static {
    const NAME: &'static str;
    fn builder(segment: Segment, definition: &Definition) -> shmetrics::Builder<'_, Self>;
    /// The label that such a family has besides its own.
    fn own_label(definition: &Definition) -> Option<&'static str>;
}

impl Kind for Counter {
    const NAME: &'static str = "counter";
    fn builder(segment: Segment, definition: &Definition) -> shmetrics::Builder<'_, Self> {
        segment.counter(&definition.name, &definition.help)
    }
    fn own_label(_: &Definition) -> Option<&'static str> {
        None
    }
}

impl Kind for Gauge {
    const NAME: &'static str = "gauge";
    fn builder(segment: Segment, definition: &Definition) -> shmetrics::Builder<'_, Self> {
        segment.gauge(&definition.name, &definition.help, definition.mode)
    }
    fn own_label(definition: &Definition) -> Option<&'static str> {
        matches!(definition.mode, GaugeMode::All | GaugeMode::LiveAll).then_some("pid")
    }
}

impl Kind for Histogram {
    const NAME: &'static str = "histogram";
    fn builder(segment: Segment, definition: &Definition) -> shmetrics::Builder<'_, Self> {
        let builder = segment.histogram(&definition.name, &definition.help);
        match &definition.buckets {
            Some(bounds) => builder.buckets(bounds),
            None => builder,
        }
    }
    fn own_label(_: &Definition) -> Option<&'static str> {
        Some("le")
    }
}

/// Finds the series of label values, in the order of the family's label names.
trait Find<M>: Send + Sync {
    fn find(&self, values: &[&str]) -> M;
}

struct Single<M>(M);

impl<M: Kind> Find<M> for Single<M> {
    fn find(&self, _: &[&str]) -> M {
        self.0
    }
}

struct Labelled<M, const N: usize>(Family<M, N>);

impl<M: Kind, const N: usize> Find<M> for Labelled<M, N> {
    fn find(&self, values: &[&str]) -> M {
        self.0.with(std::array::from_fn(|i| values.get(i).copied().unwrap_or_default()))
    }
}

fn labelled<M: Kind, const N: usize>(segment: Segment, definition: &Definition) -> Result<Box<dyn Find<M>>, Error> {
    let names = std::array::from_fn::<&str, N, _>(|i| definition.labels.get(i).map_or("", String::as_str));
    let mut builder = M::builder(segment, definition).labels(names).unit(&definition.unit);
    if let Some(time) = definition.expire_after {
        builder = builder.expire_after(time);
    }
    Ok(Box::new(Labelled(builder.max_series(definition.max_series).register()?)))
}

/// The one place where a number of label names becomes a type.
fn register<M: Kind>(segment: Segment, definition: &Definition) -> Result<Box<dyn Find<M>>, Error> {
    macro_rules! by_count {
        ($($n:literal)*) => {
            match definition.labels.len() {
                0 => Ok(Box::new(Single(M::builder(segment, definition).unit(&definition.unit).register()?))),
                $($n => labelled::<M, $n>(segment, definition),)*
                n => Err(Error::InvalidArgument(format!(
                    "{} has {n} labels: use at most {LABELS_MAX} through the facade", definition.name
                ))),
            }
        };
    }
    by_count!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
}

/// A family in the segment.
pub(crate) struct Registered<M> {
    pub(crate) definition: Definition,
    find: Box<dyn Find<M>>,
}

/// Label values in the family's order, and the first label that has no place there.
pub(crate) struct Placed<M> {
    pub(crate) metric: M,
    pub(crate) left_out: Option<String>,
}

impl<M: Kind> Registered<M> {
    /// Registers the family, or takes it as it is registered; what differs from what was wanted,
    /// but for labels, comes back as sentences.
    pub(crate) fn new(segment: Segment, mut definition: Definition) -> Result<(Self, Vec<String>), Error> {
        let refusal = match register(segment, &definition) {
            Ok(find) => return Ok((Registered { definition, find }, Vec::new())),
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
        let mut differences = adopt(&mut definition, there);
        if let Ok(find) = register(segment, &definition) {
            return Ok((Registered { definition, find }, differences));
        }
        definition.expire_after = None;
        let Ok(find) = register(segment, &definition) else { return Err(refusal) };
        differences.push(format!(
            "{}: its series do not expire, as the process that registered it first says",
            definition.name
        ));
        Ok((Registered { definition, find }, differences))
    }

    pub(crate) fn series(&self, key: &Key) -> Placed<M> {
        let own = M::own_label(&self.definition);
        let labels = &self.definition.labels;
        let mut values = [None; LABELS_MAX];
        let mut left_out = None;
        for label in key.labels() {
            let name = names::label(label.key(), own);
            let place = labels.iter().zip(&mut values).find(|(l, _)| **l == *name);
            let lost = match place {
                Some((_, value)) => value.replace(label.value()).is_some(),
                None => !label.value().is_empty(),
            };
            if lost && left_out.is_none() {
                left_out = Some(name.into_owned());
            }
        }
        let values = values.map(Option::unwrap_or_default);
        Placed { metric: self.find.find(&values[..labels.len()]), left_out }
    }
}

/// The label names of a key, in an order that does not depend on how the caller wrote them.
pub(crate) fn label_names<'a>(names: impl Iterator<Item = &'a str>, own: Option<&str>) -> Vec<String> {
    let mut names: Vec<String> = names.map(|n| names::label(n, own)).map(Cow::into_owned).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(LABELS_MAX);
    names
}

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
    if definition.buckets.as_ref().is_some_and(|b| b.iter().filter(|b| b.is_finite()).ne(bounds.iter())) {
        let wanted = definition.buckets.iter().flatten().map(ToString::to_string).collect::<Vec<_>>();
        differ("list of buckets", &there.buckets.join(" "), &wanted.join(" "));
    }
    definition.buckets = Some(bounds);
    definition.labels = there.labels;
    differences
}
