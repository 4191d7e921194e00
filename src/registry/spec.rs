//! What an application asks for when it registers a family: checked, written as a record, and
//! compared with one.

use crate::kind::Kind;
use crate::record::bundle::Cells;
use crate::record::family::Record;
use crate::record::gauge_mode::GaugeMode;
use crate::record::native_schema::{Native, Stored, WINDOW_SECONDS};
use crate::segment::Inner;
use crate::shm::index::tag_of;
use crate::shm::layout::{entry, family, NAMING_EXACT, SCHEMA_BIAS};
use crate::text::names::Named;
use crate::text::number::canonical;
use crate::text::{escaping, names};
use crate::Error;

/// Prometheus scrapes every few seconds and keeps one exemplar of each scrape.
const EXEMPLAR_MS: u32 = 1000;

/// What an application asks for.
#[derive(Clone, Debug)]
pub(crate) struct Spec<'a> {
    pub(crate) name: &'a str,
    pub(crate) help: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) kind: Kind,
    pub(crate) mode: GaugeMode,
    pub(crate) labels: &'a [&'a str],
    /// A histogram's finite bounds.
    pub(crate) buckets: &'a [f64],
    /// The buckets are the default ones, which a family with native buckets does not get.
    pub(crate) default_buckets: bool,
    /// A histogram's native buckets.
    pub(crate) native: Option<Native>,
    /// A summary's quantiles, and seconds that they look back.
    pub(crate) quantiles: &'a [f64],
    pub(crate) window: u32,
    /// The native buckets, or those of the quantiles, as the record has them.
    pub(crate) stored: Option<Stored>,
    /// The states of a state set.
    pub(crate) states: &'a [&'a str],
    pub(crate) max_series: u64,
    /// Seconds without an update after which a series expires; 0 for never.
    pub(crate) expire: u32,
    /// The least time between two exemplars of a slot.
    pub(crate) exemplar_ms: u32,
    /// Whether pages in text and protobuf show a counter under exactly this name, without `_total`.
    pub(crate) exact: bool,
    /// Whether this definition replaces another one of this name.
    pub(crate) replace: bool,
}

impl<'a> Spec<'a> {
    pub(crate) fn new(name: &'a str, help: &'a str, kind: Kind, mode: GaugeMode) -> Self {
        Spec {
            name,
            help,
            unit: "",
            kind,
            mode,
            labels: &[],
            buckets: &[],
            default_buckets: false,
            native: None,
            quantiles: &[],
            window: WINDOW_SECONDS,
            stored: None,
            states: &[],
            max_series: 0,
            expire: 0,
            exemplar_ms: EXEMPLAR_MS,
            exact: false,
            replace: false,
        }
    }

    pub(crate) fn named(&self) -> Named<'a> {
        Named { base: self.name, kind: self.kind, exact: self.exact }
    }

    /// Checks it, and makes its name and buckets canonical.
    pub(crate) fn checked(mut self) -> Result<Self, Error> {
        let given = self.name;
        self.name = names::family_name(given, self.kind)?;
        // Given with `_total`, it is the usual name.
        self.exact &= self.kind == Kind::Counter && self.name == given;
        names::unit(self.unit, self.name, self.kind)?;
        names::help(self.help)?;
        let own: &[&str] = match self.kind {
            Kind::Histogram | Kind::GaugeHistogram => &["le"],
            Kind::Summary => &["quantile"],
            Kind::StateSet | Kind::Enum => &[self.name],
            Kind::Gauge if self.mode.is_listed() => &["pid"],
            _ => &[],
        };
        names::labels(self.labels, own)?;
        self.buckets = names::buckets(self.buckets)?;
        self.stored = None;
        match self.kind {
            Kind::Histogram | Kind::GaugeHistogram => {
                self.stored = self.native.map(Native::checked).transpose()?;
                if self.stored.is_some() && self.default_buckets {
                    self.buckets = &[];
                }
                self.quantiles = &[];
            }
            Kind::Summary => {
                names::quantiles(self.quantiles)?;
                self.buckets = &[];
                self.stored = (!self.quantiles.is_empty()).then(|| Stored::of_quantiles(self.window.max(1)));
            }
            _ => (self.buckets, self.quantiles) = (&[], &[]),
        }
        match self.kind {
            Kind::StateSet | Kind::Enum => {
                names::states(self.states)?;
                // Its samples have a label of this name.
                names::labels(&[self.name], &[])?;
                if self.name.contains(':') {
                    return Err(Error::name("metric name", self.name, "it is a label's too, which has no `:`"));
                }
            }
            _ => self.states = &[],
        }
        Ok(self)
    }

    /// What the layout of the series' cells depends on.
    pub(crate) fn cells(&self) -> Cells {
        let bounds = self.buckets.len() + self.quantiles.len() + self.states.len();
        Cells { kind: self.kind, bounds, native: self.stored.is_some() }
    }

    /// The names of its values on pages, each with a number: bounds, as in `le`, quantiles, or
    /// states.
    fn bucket_labels(&self) -> Vec<(f64, String)> {
        let states = self.states.iter().enumerate().map(|(i, state)| (i as f64, (*state).to_owned()));
        // -0 is 0, and would be another `le`.
        self.buckets.iter().chain(self.quantiles).map(|b| b + 0.0).map(|b| (b, canonical(b))).chain(states).collect()
    }

    /// The variable part of its record.
    pub(super) fn blob(&self) -> Vec<u8> {
        let bucket_labels = self.bucket_labels();
        let labels: Vec<_> = self.labels.iter().map(|name| escaping::label_on_line(name)).collect();
        let mut blob = Vec::new();
        for (number, _) in &bucket_labels {
            blob.extend_from_slice(&number.to_ne_bytes());
        }
        for len in labels.iter().map(|l| l.len()).chain(bucket_labels.iter().map(|(_, text)| text.len())) {
            blob.extend_from_slice(&(len as u16).to_ne_bytes());
        }
        blob.extend_from_slice(self.name.as_bytes());
        blob.extend_from_slice(self.unit.as_bytes());
        for text in labels.iter().map(|l| &**l).chain(bucket_labels.iter().map(|(_, text)| text.as_str())) {
            blob.extend_from_slice(text.as_bytes());
        }
        blob.extend_from_slice(self.help.as_bytes());
        blob
    }

    /// Writes its own part of its record at `at`.
    pub(super) fn write(&self, inner: &Inner, at: u64, hash: u64, blob: &[u8]) {
        let memory = &inner.memory;
        memory.put32(at + entry::TAG, tag_of(hash));
        memory.put64(at + family::HASH, hash);
        memory.put32(at + entry::CREATED, inner.age());
        memory.put16(at + entry::TEXT_LEN, self.name.len() as u16);
        memory.put8(at + entry::KIND, self.kind as u8);
        memory.put64(at + family::MAX_SERIES, self.max_series);
        memory.put32(at + family::EXPIRE, self.expire);
        memory.put32(at + family::EXEMPLAR_MS, self.exemplar_ms);
        if let Some(stored) = self.stored {
            memory.put8(at + family::SCHEMA, (stored.schema + SCHEMA_BIAS) as u8);
            memory.put64(at + family::ZERO_THRESHOLD, stored.zero_threshold.to_bits());
            memory.put32(at + family::MAX_BUCKETS, stored.max_buckets);
            memory.put32(at + family::WINDOW, stored.window);
        }
        memory.put8(at + family::NAMING, if self.exact { NAMING_EXACT } else { 0 });
        memory.put8(at + family::MODE, self.mode as u8);
        memory.put8(at + family::LABEL_COUNT, self.labels.len() as u8);
        memory.put16(at + family::BUCKET_COUNT, self.cells().bounds as u16);
        memory.put16(at + family::NAME_LEN, self.name.len() as u16);
        memory.put16(at + family::UNIT_LEN, self.unit.len() as u16);
        memory.put32(at + family::HELP_LEN, self.help.len() as u32);
        memory.put64(at + family::REVISION, inner.revision());
        memory.fill(at + family::SIZE, blob);
    }
}

impl Record<'_> {
    /// The first difference between this family and `spec`, as a part of a sentence.
    pub(crate) fn difference(&self, spec: &Spec<'_>) -> Option<String> {
        let texts = self.texts()?;
        if !self.is_kind(spec.kind) {
            return Some(format!("it is {}, not {}", self.kind().with_article(), spec.kind.with_article()));
        }
        let labels = texts.label_names();
        // In another order it is the same family: see `order`.
        if labels.len() != spec.labels.len() || !labels.iter().all(|label| spec.labels.contains(&label.as_str())) {
            return Some(format!("its labels are {labels:?}, not {:?}", spec.labels));
        }
        if self.exact() != spec.exact {
            let shown = |exact: bool| format!("{}{}", spec.name, if exact { "" } else { "_total" });
            return Some(format!("text 0.0.4 shows it as {}, not {}", shown(self.exact()), shown(spec.exact)));
        }
        if spec.replace && texts.help != spec.help {
            return Some(format!("its help is {:?}, not {:?}", texts.help, spec.help));
        }
        if self.mode() != spec.mode {
            return Some(format!("its gauge mode is {}, not {}", self.mode(), spec.mode));
        }
        if texts.unit != spec.unit {
            return Some(format!("its unit is {:?}, not {:?}", texts.unit, spec.unit));
        }
        if self.expire() != spec.expire {
            let after = |seconds| if seconds == 0 { "never".to_owned() } else { format!("after {seconds} s") };
            return Some(format!("its series expire {}, not {}", after(self.expire()), after(spec.expire)));
        }
        if self.native() != spec.stored {
            let what = |native: Option<Stored>| native.map_or_else(|| "none".to_owned(), |native| native.to_string());
            return Some(format!("its native buckets are {}, not {}", what(self.native()), what(spec.stored)));
        }
        let bounds: Vec<f64> = (0..self.bucket_count()).map(|i| self.bound(i)).collect();
        match spec.kind {
            Kind::StateSet | Kind::Enum => (texts.bucket_labels != spec.states)
                .then(|| format!("its states are {:?}, not {:?}", texts.bucket_labels, spec.states)),
            Kind::Summary => {
                (bounds != spec.quantiles).then(|| format!("its quantiles are {bounds:?}, not {:?}", spec.quantiles))
            }
            _ => (bounds != spec.buckets).then(|| format!("its buckets are {bounds:?}, not {:?}", spec.buckets)),
        }
    }
}
