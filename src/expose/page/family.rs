//! A family as a page shows it.

use super::snapshot::Series;
use crate::expose::format::exposition::{Exposition, Format};
use crate::kind::Kind;
use crate::record::family::{Record, Texts};
use crate::record::gauge_mode::GaugeMode;
use crate::record::native_schema::BucketScheme;
use crate::record::native_schema::Stored;
use crate::shm::layout::header;
use crate::text::escaping::Escaping;
use crate::text::names::OVERFLOW_LABEL;
use crate::text::{escaping, label_set};

/// Labels that all series of a page, or of a segment, have in front of their own.
#[derive(Clone, Debug, Default)]
pub(in crate::expose) struct ConstLabels {
    /// As on a line: `app="shop"`.
    text: String,
    pub(in crate::expose) labels: Vec<(String, String)>,
}

impl ConstLabels {
    /// Labels of a page with names escaped so.
    pub(in crate::expose) fn new(labels: &[(String, String)], escaping: Escaping) -> Self {
        let shown = |(name, value): &(String, String)| (escaping::label(name, escaping).into_owned(), value.clone());
        let labels: Vec<_> = labels.iter().map(shown).collect();
        let pairs: Vec<String> = labels.iter().map(|(name, value)| pair(name, value)).collect();
        ConstLabels { text: pairs.join(","), labels }
    }

    pub(in crate::expose) fn text(&self) -> &str {
        &self.text
    }
}

/// `name="value"`, with escapes, and the name in quotes if it needs them.
pub(in crate::expose) fn pair(name: &str, value: &str) -> String {
    let mut text = Vec::new();
    escaping::escape_value(value, &mut text);
    format!("{}=\"{}\"", escaping::label_on_line(name), String::from_utf8_lossy(&text))
}

/// Whether the samples of a family, a counter, are called on this page as it was registered,
/// without `_total`.
fn is_exact(record: &Record<'_>, exposition: Exposition) -> bool {
    matches!(exposition.format(), Format::Text | Format::Text1 | Format::Protobuf) && record.exact()
}

/// A family's name on this page, without its kind's suffix.
pub(in crate::expose) fn base(record: &Record<'_>, texts: &Texts, exposition: Exposition) -> String {
    if is_exact(record, exposition) {
        escaping::exact(&texts.name, exposition.escaping()).into_owned()
    } else {
        escaping::family(&texts.name, record.kind(), exposition.escaping()).into_owned()
    }
}

/// Whether the family's bounds, or quantiles, have no `.0` on this page, by the word of the
/// segment's creator.
fn is_short(record: &Record<'_>, exposition: Exposition) -> bool {
    matches!(exposition.format(), Format::Text | Format::Text1)
        && matches!(record.kind(), Kind::Histogram | Kind::GaugeHistogram | Kind::Summary)
        && record.memory.get32(header::SHORT_BOUNDS) == 1
}

/// From OpenMetrics' canonical numbers to Go's shortest: whole numbers lose their `.0`, and nothing
/// else is different.
fn shorten(bucket_labels: &mut [String]) {
    for label in bucket_labels {
        if label.ends_with(".0") {
            label.truncate(label.len() - 2);
        }
    }
}

/// What was registered, with its names as this page has them.
pub(in crate::expose) struct View {
    pub(in crate::expose) kind: Kind,
    pub(in crate::expose) mode: GaugeMode,
    pub(in crate::expose) text_at: u64,
    /// How many there are, about.
    pub(in crate::expose) series: u64,
    pub(in crate::expose) texts: Texts,
    pub(in crate::expose) escaping: Escaping,
    /// The family's name on this page, without its kind's suffix.
    base: String,
    /// The family is a counter whose samples have its name without `_total`.
    pub(in crate::expose) exact: bool,
    /// The names of its labels on this page, if they are not as in its texts.
    shown: Option<Vec<String>>,
    /// A histogram's finite bounds; a summary's quantiles.
    pub(in crate::expose) bounds: Vec<f64>,
    /// Native buckets, or those of quantiles.
    pub(in crate::expose) native: Option<Stored>,
    pub(in crate::expose) scheme: Option<BucketScheme>,
    /// The indexes of the native buckets that contain the bounds.
    pub(in crate::expose) ordinals: Vec<i32>,
    pub(in crate::expose) has_negative_bounds: bool,
    /// Label text that all series of the page have in front of theirs.
    const_labels: String,
    const_label_pairs: Vec<(String, String)>,
}

impl View {
    pub(in crate::expose) fn new(
        record: &Record<'_>,
        mut texts: Texts,
        const_labels: &ConstLabels,
        exposition: Exposition,
    ) -> Self {
        let escaping = exposition.escaping();
        if is_short(record, exposition) {
            shorten(&mut texts.bucket_labels);
        }
        let exact = is_exact(record, exposition);
        // In the texts, names that need quotes have them.
        let others = texts.labels.iter().any(|label| label.starts_with('"'));
        let shown = |name: String| escaping::label(&name, escaping).into_owned();
        let bounds: Vec<f64> = (0..record.bucket_count()).map(|i| record.bound(i)).collect();
        let scheme = record.scheme();
        View {
            native: record.native().filter(|_| scheme.is_some()),
            ordinals: scheme.map_or_else(Vec::new, |scheme| bounds.iter().map(|b| scheme.ordinal(*b)).collect()),
            scheme,
            escaping,
            base: base(record, &texts, exposition),
            exact,
            shown: others.then(|| texts.label_names().into_iter().map(shown).collect()),
            kind: record.kind(),
            mode: record.mode(),
            text_at: record.text_at(),
            series: record.series().min(1 << 32),
            bounds,
            has_negative_bounds: record.bucket_count() > 0 && record.bound(0) < 0.0,
            texts,
            const_labels: const_labels.text.clone(),
            const_label_pairs: const_labels.labels.clone(),
        }
    }

    /// With each process apart, modes that merge list the same processes.
    pub(in crate::expose) fn per_process(mut self, is_it: bool) -> Self {
        use GaugeMode::{All, LiveAll, LiveMax, LiveMin, LiveMostRecent, LiveSum, Max, Min, Sum};
        self.mode = match self.mode {
            mode if !is_it => mode,
            Sum | Min | Max => All,
            LiveSum | LiveMin | LiveMax | LiveMostRecent => LiveAll,
            mode => mode,
        };
        self
    }

    /// The same, called as the family is in the segment that comes first on the page.
    pub(in crate::expose) fn called(mut self, exact: bool) -> Self {
        if self.exact != exact {
            self.exact = exact;
            let name = &self.texts.name;
            self.base = if exact {
                escaping::exact(name, self.escaping).into_owned()
            } else {
                escaping::family(name, self.kind, self.escaping).into_owned()
            };
        }
        self
    }

    /// A histogram without classic buckets.
    pub(in crate::expose) fn is_only_native(&self) -> bool {
        self.native.is_some() && self.bounds.is_empty()
    }

    /// The family's name, or a sample's.
    pub(in crate::expose) fn name(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.base)
    }

    /// How a sample's line begins, where more label text follows and where none does. A name that
    /// needs quotes stands between the braces.
    pub(in crate::expose) fn sample(&self, suffix: &str) -> (String, String) {
        let name = self.name(suffix);
        let on_line = escaping::metric_on_line(&name);
        match (on_line == name, self.const_labels.is_empty()) {
            (true, true) => (format!("{name}{{"), format!("{name} ")),
            (true, false) => (format!("{name}{{{},", self.const_labels), format!("{name}{{{}}} ", self.const_labels)),
            (false, true) => (format!("{{{on_line},"), format!("{{{on_line}}} ")),
            (false, false) => {
                (format!("{{{on_line},{},", self.const_labels), format!("{{{on_line},{}}} ", self.const_labels))
            }
        }
    }

    /// The unit, where the name on this page ends in it: to others Prometheus would object.
    /// (Escaped, a counter's may have something between the unit and `_total`.)
    pub(in crate::expose) fn unit(&self) -> &str {
        let unit = &self.texts.unit;
        let ends = self.base.strip_suffix(unit.as_str()).is_some_and(|before| before.ends_with('_'));
        if ends {
            unit
        } else {
            ""
        }
    }

    /// The label of a state: `name="state"`.
    pub(in crate::expose) fn state(&self, state: &str) -> String {
        pair(&self.base, state)
    }

    /// The names of the labels on this page, without quotes.
    pub(in crate::expose) fn label_names(&self) -> &[String] {
        self.shown.as_deref().unwrap_or(&self.texts.labels)
    }

    /// Whether label texts are not as they stand in the segment.
    #[inline(always)]
    pub(in crate::expose) fn renames(&self) -> bool {
        self.shown.is_some() && self.escaping != Escaping::AllowUtf8
    }

    /// A series' label text with the names of this page. Of the text that there is it takes the
    /// values only.
    pub(in crate::expose) fn renamed(&self, series: &Series<'_>) -> Vec<u8> {
        let text = series.text.bytes();
        if series.is_embedded() {
            return text;
        }
        let (mut out, mut at) = (Vec::with_capacity(2 * text.len()), 0);
        for (i, (stored, shown)) in self.texts.labels.iter().zip(self.label_names()).enumerate() {
            at += label_set::prefix_len(i, stored.len());
            let value = text.get(at..).unwrap_or_default();
            let value = &value[..label_set::value_end(value)];
            at += value.len() + 1;
            out.extend_from_slice(if i > 0 { b"," } else { b"" });
            out.extend_from_slice(shown.as_bytes());
            out.extend_from_slice(b"=\"");
            out.extend_from_slice(value);
            out.push(b'"');
        }
        out
    }

    pub(in crate::expose) fn const_label_pairs(&self) -> &[(String, String)] {
        &self.const_label_pairs
    }

    /// The labels in a series' text.
    pub(in crate::expose) fn labels_of(&self, text: &[u8], escaped: bool) -> Vec<(String, String)> {
        if text.is_empty() {
            return Vec::new();
        }
        match label_set::values(text, escaped, &self.texts.labels) {
            Some(values) => self.label_names().iter().cloned().zip(values).collect(),
            None => vec![(OVERFLOW_LABEL.to_owned(), "true".to_owned())],
        }
    }
}
