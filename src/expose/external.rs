//! Families that are in no segment: the caller adds them to one page.

use std::collections::BTreeMap;

use super::format::plain::PlainFamily;
use crate::kind::Kind;
use crate::text::escaping;
use crate::text::names;
use crate::text::names::Named;
use crate::Error;

/// A family that is in no segment, for a page that is made just now: an exporter's own counters, or
/// what it reads elsewhere, such as the processes' memory. Added by
/// [`Page::with`](crate::Page::with).
///
/// ```
/// use shmetrics::{ExternalFamily, Format, Options};
/// let segment = Options::new().anonymous().open()?;
/// let uptime = ExternalFamily::gauge("uptime_seconds", "Since boot.")?.sample(&[("host", "a")], 17.5)?;
/// let page = segment.page(Format::Text).with(uptime).render_to_string()?;
/// assert!(page.contains("\nuptime_seconds{host=\"a\"} 17.5\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExternalFamily {
    /// Without a counter's `_total`.
    name: String,
    help: String,
    kind: Kind,
    samples: BTreeMap<Vec<(String, String)>, f64>,
}

/// These families look alike on all pages.
const PLAIN: &str = "use letters, digits and `_`, not starting with a digit";

impl ExternalFamily {
    /// A counter, named with `_total` or without.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::InvalidArgument`] for a help text of more than 16 KiB.
    pub fn counter(name: &str, help: &str) -> Result<Self, Error> {
        Self::new(name, help, Kind::Counter)
    }

    /// A gauge.
    ///
    /// # Errors
    /// As [`ExternalFamily::counter`].
    pub fn gauge(name: &str, help: &str) -> Result<Self, Error> {
        Self::new(name, help, Kind::Gauge)
    }

    fn new(name: &str, help: &str, kind: Kind) -> Result<Self, Error> {
        names::help(help)?;
        // Here the library's prefix may be used: its exporter adds families too.
        let rest = name.strip_prefix(names::OWN_PREFIX).unwrap_or(name);
        if !escaping::is_metric(rest) {
            return Err(Error::name("metric name", name, PLAIN));
        }
        let base = names::family_name(rest, kind)?;
        let name = &name[..name.len() - rest.len() + base.len()];
        Ok(ExternalFamily { name: name.to_owned(), help: help.to_owned(), kind, samples: BTreeMap::new() })
    }

    /// With a sample. One with the same labels is replaced; the order of labels does not matter.
    ///
    /// # Errors
    /// [`Error::InvalidName`] for labels that no sample may have, [`Error::InvalidArgument`] for
    /// NaN or a negative number in a counter.
    pub fn sample(mut self, labels: &[(&str, &str)], value: f64) -> Result<Self, Error> {
        self.add(labels, value)?;
        Ok(self)
    }

    /// Adds a sample: as [`sample`](Self::sample).
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn add(&mut self, labels: &[(&str, &str)], value: f64) -> Result<(), Error> {
        let label_names: Vec<&str> = labels.iter().map(|(name, _)| *name).collect();
        names::labels(&label_names, &[])?;
        if let Some(other) = label_names.iter().find(|name| !escaping::is_label(name)) {
            return Err(Error::name("label name", other, PLAIN));
        }
        if self.kind == Kind::Counter && (value.is_nan() || value < 0.0) {
            return Err(Error::InvalidArgument(format!("the counter {} cannot be {value}", self.name)));
        }
        let mut labels: Vec<_> = labels.iter().map(|(name, v)| ((*name).to_owned(), (*v).to_owned())).collect();
        labels.sort_unstable();
        self.samples.insert(labels, value);
        Ok(())
    }

    /// Whether it has no samples.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Whether they are one family, perhaps with other samples.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        (&self.name, self.kind) == (&other.name, other.kind)
    }

    /// Takes the samples of the other.
    pub(super) fn join(&mut self, other: Self) {
        self.samples.extend(other.samples);
    }

    pub(super) fn plain(&self) -> PlainFamily<'_> {
        PlainFamily {
            name: &self.name,
            help: &self.help,
            is_counter: self.kind == Kind::Counter,
            samples: self.samples.iter().map(|(labels, value)| (labels.clone(), *value)).collect(),
        }
    }

    /// Whether it cannot stand on one page with this family.
    pub(super) fn clashes(&self, other: Named<'_>) -> bool {
        other.base == self.name || names::clash(Named::usual(&self.name, self.kind), other).is_some()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }
}
