//! What the threads of a process share. No lock anywhere: a fork could strand it in the child.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use arc_swap::ArcSwap;
use metrics::{Key, Unit};
use shmetrics::{Counter, Gauge, GaugeMode, Histogram, Segment, Summary};

use crate::family::{label_names, Definition, FacadeMetric, Registered};
use crate::names;
use crate::settings::Settings;

/// A map that is replaced as a whole: for what is written now and then.
type Map<K, V> = ArcSwap<HashMap<K, V>>;
/// `None`: it cannot be registered.
pub(crate) type Families<M> = Map<String, Option<Arc<Registered<M>>>>;

/// What a recorder could not do as it was told: made by
/// [`Recorder::warnings`](crate::Recorder::warnings). All zero and empty if all is well. It is of
/// this process only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warnings {
    /// Updates of metrics that cannot be registered, which is tried once in each process. They
    /// count nowhere.
    pub lost_updates: u64,
    /// Updates with labels that their metric does not have. They count in the series with those
    /// that it has.
    pub merged_updates: u64,
    /// What happened, each thing once, in sentences that say what to do. Not more than a hundred.
    pub messages: Vec<String>,
}

const MESSAGES_MAX: usize = 100;

#[derive(Clone)]
struct Description {
    unit: Option<Unit>,
    help: String,
}

pub(crate) struct Shared {
    pub(crate) id: u64,
    pub(crate) segment: Segment,
    settings: Settings,
    counters: Families<Counter>,
    gauges: Families<Gauge>,
    histograms: Families<Histogram>,
    summaries: Families<Summary>,
    descriptions: Map<String, Description>,
    /// The highest absolute value of a counter in this process.
    absolutes: Map<String, Arc<AtomicU64>>,
    lost: AtomicU64,
    merged: AtomicU64,
    messages: ArcSwap<Vec<String>>,
}

/// Where the families of a kind are.
pub(crate) trait Stored: FacadeMetric {
    fn families(shared: &Shared) -> &Families<Self>;
}
macro_rules! stored {
    ($($metric:ident in $families:ident;)*) => {$(
        impl Stored for $metric {
            fn families(shared: &Shared) -> &Families<Self> {
                &shared.$families
            }
        }
    )*};
}
stored! { Counter in counters; Gauge in gauges; Histogram in histograms; Summary in summaries; }

/// Puts a value in, unless there is one; returns what is there then.
fn put<K: Clone + Eq + Hash, V: Clone>(map: &Map<K, V>, key: &K, value: &V) -> V {
    map.rcu(|old| {
        if old.contains_key(key) {
            return Arc::clone(old);
        }
        let mut new = HashMap::clone(old);
        new.insert(key.clone(), value.clone());
        Arc::new(new)
    });
    map.load().get(key).unwrap_or(value).clone()
}

impl Shared {
    pub(crate) fn new(segment: Segment, settings: Settings) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Shared {
            id: NEXT.fetch_add(1, Relaxed),
            segment,
            settings,
            counters: Map::default(),
            gauges: Map::default(),
            histograms: Map::default(),
            summaries: Map::default(),
            descriptions: Map::default(),
            absolutes: Map::default(),
            lost: AtomicU64::new(0),
            merged: AtomicU64::new(0),
            messages: ArcSwap::default(),
        }
    }

    pub(crate) fn describe(&self, name: &str, unit: Option<Unit>, help: &str) {
        let helps = [
            self.help::<Counter>(name),
            self.help::<Gauge>(name),
            self.help::<Histogram>(name),
            self.help::<Summary>(name),
        ];
        for shown in helps.into_iter().flatten().filter(|shown| shown != help) {
            self.tell(&format!(
                "{name}: its help is {shown:?}, as at its first use, not {help:?}; describe it before its first use"
            ));
        }
        let name = names::metric(name).into_owned();
        self.descriptions.rcu(|old| {
            let mut new = HashMap::clone(old);
            new.insert(name.clone(), Description { unit, help: help.to_owned() });
            new
        });
    }

    /// The help that a family of this name was registered with in this process.
    fn help<M: Stored>(&self, name: &str) -> Option<String> {
        M::families(self).load().get(name)?.as_ref().map(|family| family.definition.help.clone())
    }

    /// Whether a histogram of this name has quantiles instead of buckets.
    pub(crate) fn is_summary(&self, name: &str) -> bool {
        let quantiles = &self.settings.quantiles;
        !quantiles.is_empty() && quantiles.of(&names::metric(name)).is_some_and(|q| !q.is_empty())
    }

    /// The family of a key, registered if need be. `None`: it cannot be.
    pub(crate) fn family<M: Stored>(&self, key: &Key) -> Option<Arc<Registered<M>>> {
        let families = M::families(self);
        let known = families.load().get(key.name()).cloned();
        known.unwrap_or_else(|| put(families, &key.name().to_owned(), &self.register(key)))
    }

    #[cold]
    fn register<M: Stored>(&self, key: &Key) -> Option<Arc<Registered<M>>> {
        let plain = names::metric(key.name());
        let described = self.descriptions.load().get(&*plain).cloned();
        let (unit, help) = described.map_or((None, String::new()), |d| (d.unit, d.help));
        let name = if self.settings.unit_suffix { names::with_unit(&plain, unit) } else { plain.clone().into_owned() };
        let settings = &self.settings;
        let mut definition = Definition {
            unit: names::unit(&name, M::NAME == "counter", unit).to_owned(),
            name,
            help,
            labels: Vec::new(),
            other_labels: settings.other_labels.clone(),
            mode: settings.modes.of(&plain).copied().unwrap_or(GaugeMode::LiveSum),
            buckets: settings.buckets.of(&plain).cloned(),
            native: settings.native.of(&plain).copied(),
            quantiles: settings.quantiles.of(&plain).cloned().unwrap_or_default(),
            max_age: None,
            max_series: settings.max_series.of(&plain).copied().unwrap_or_default(),
            expire_after: settings.expire_after.of(&plain).copied().unwrap_or_default(),
        };
        let own = [M::own_label(&definition), settings.other_labels.as_deref()];
        definition.labels = match settings.labels.get(&*plain) {
            Some(names) => label_names(names.iter().map(String::as_str), &own),
            None => label_names(key.labels().map(metrics::Label::key), &own),
        };
        match Registered::new(self.segment, definition) {
            Ok((family, differences)) => {
                for difference in &differences {
                    self.tell(difference);
                }
                Some(Arc::new(family))
            }
            Err(e) => {
                self.tell(&format!("{} {}: its updates are lost: {e}", M::NAME, key.name()));
                None
            }
        }
    }

    /// By how much a counter's absolute value has risen in this process.
    pub(crate) fn raise(&self, key: &Key, value: u64) -> u64 {
        let mut labels: Vec<_> = key.labels().map(|l| (l.key(), l.value())).collect();
        labels.sort_unstable();
        let identity = format!("{}{labels:?}", names::metric(key.name()));
        let known = self.absolutes.load().get(&identity).cloned();
        let highest = known.unwrap_or_else(|| put(&self.absolutes, &identity, &Arc::default()));
        // Relaxed: a value of its own. Each rise is seen by one caller alone.
        value.saturating_sub(highest.fetch_max(value, Relaxed))
    }

    pub(crate) fn count_lost(&self, updates: u64) {
        self.lost.fetch_add(updates, Relaxed);
    }

    pub(crate) fn count_merged(&self, updates: u64) {
        self.merged.fetch_add(updates, Relaxed);
    }

    pub(crate) fn tell(&self, message: &str) {
        self.messages.rcu(|old| {
            if old.len() >= MESSAGES_MAX || old.iter().any(|m| m == message) {
                return Arc::clone(old);
            }
            let mut new = Vec::clone(old);
            new.push(message.to_owned());
            Arc::new(new)
        });
    }

    pub(crate) fn warnings(&self) -> Warnings {
        Warnings {
            lost_updates: self.lost.load(Relaxed),
            merged_updates: self.merged.load(Relaxed),
            messages: self.messages.load().to_vec(),
        }
    }
}
