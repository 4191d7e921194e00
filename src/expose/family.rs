//! A family as a page shows it.

use super::snapshot::Series;
use super::{Escaping, Exposition, Format};
use crate::metric::{GaugeMode, Shape, Stored};
use crate::registry::family::{Record, Texts};
use crate::registry::names::OVERFLOW_LABEL;
use crate::registry::{labels, utf8};
use crate::segment::layout::{header, KIND_GAUGE_HISTOGRAM, KIND_HISTOGRAM, KIND_SUMMARY};

/// Labels that all series of a page, or of a segment, have in front of their own.
#[derive(Clone, Debug, Default)]
pub(super) struct Fixed {
    /// As on a line: `app="shop"`.
    text: String,
    pub(super) labels: Vec<(String, String)>,
}

impl Fixed {
    /// Labels of a page with names escaped so.
    pub(super) fn new(labels: &[(String, String)], escaping: Escaping) -> Self {
        let shown = |(name, value): &(String, String)| (utf8::label(name, escaping).into_owned(), value.clone());
        let labels: Vec<_> = labels.iter().map(shown).collect();
        let pairs: Vec<String> = labels.iter().map(|(name, value)| pair(name, value)).collect();
        Fixed { text: pairs.join(","), labels }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// `name="value"`, with escapes, and the name in quotes if it needs them.
pub(super) fn pair(name: &str, value: &str) -> String {
    let mut text = Vec::new();
    labels::escape(value, &mut text);
    format!("{}=\"{}\"", utf8::label_on_line(name), String::from_utf8_lossy(&text))
}

/// Whether the samples of a family, a counter, are called on this page as it was registered,
/// without `_total`.
fn is_exact(record: &Record<'_>, exposition: Exposition) -> bool {
    matches!(exposition.format(), Format::Text | Format::Text1 | Format::Protobuf) && record.exact()
}

/// A family's name on this page, without its kind's suffix.
pub(super) fn base(record: &Record<'_>, texts: &Texts, exposition: Exposition) -> String {
    if is_exact(record, exposition) {
        utf8::exact(&texts.name, exposition.escaping()).into_owned()
    } else {
        utf8::family(&texts.name, record.kind(), exposition.escaping()).into_owned()
    }
}

/// Whether the family's bounds, or quantiles, have no `.0` on this page, by the word of the
/// segment's creator.
fn is_short(record: &Record<'_>, exposition: Exposition) -> bool {
    matches!(exposition.format(), Format::Text | Format::Text1)
        && matches!(record.kind(), KIND_HISTOGRAM | KIND_GAUGE_HISTOGRAM | KIND_SUMMARY)
        && record.memory.get32(header::SHORT_BOUNDS) == 1
}

/// From OpenMetrics' canonical numbers to Go's shortest: whole numbers lose their `.0`, and nothing
/// else is different.
fn shorten(marks: &mut [String]) {
    for mark in marks {
        if mark.ends_with(".0") {
            mark.truncate(mark.len() - 2);
        }
    }
}

/// What was registered, with its names as this page has them.
pub(super) struct View {
    pub(super) kind: u8,
    pub(super) mode: GaugeMode,
    pub(super) text_at: u64,
    /// How many there are, about.
    pub(super) series: u64,
    pub(super) texts: Texts,
    pub(super) escaping: Escaping,
    /// The family's name on this page, without its kind's suffix.
    base: String,
    /// It is a counter whose samples are called so, without `_total`.
    pub(super) exact: bool,
    /// The names of its labels on this page, if they are not as in its texts.
    shown: Option<Vec<String>>,
    /// A histogram's finite bounds; a summary's quantiles.
    pub(super) bounds: Vec<f64>,
    /// Native buckets, or those of quantiles.
    pub(super) native: Option<Stored>,
    pub(super) shape: Option<Shape>,
    /// In which native buckets the bounds are.
    pub(super) ordinals: Vec<i32>,
    pub(super) has_negative_bounds: bool,
    /// Label text that all series of the page have in front of theirs.
    fixed: String,
    fixed_labels: Vec<(String, String)>,
}

impl View {
    pub(super) fn new(record: &Record<'_>, mut texts: Texts, fixed: &Fixed, exposition: Exposition) -> Self {
        let escaping = exposition.escaping();
        if is_short(record, exposition) {
            shorten(&mut texts.marks);
        }
        let exact = is_exact(record, exposition);
        // In the texts, names that need quotes have them.
        let others = texts.labels.iter().any(|label| label.starts_with('"'));
        let shown = |name: String| utf8::label(&name, escaping).into_owned();
        let bounds: Vec<f64> = (0..record.bucket_count()).map(|i| record.bound(i)).collect();
        let shape = record.shape();
        View {
            native: record.native().filter(|_| shape.is_some()),
            ordinals: shape.map_or_else(Vec::new, |shape| bounds.iter().map(|b| shape.ordinal(*b)).collect()),
            shape,
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
            fixed: fixed.text.clone(),
            fixed_labels: fixed.labels.clone(),
        }
    }

    /// The same, called as the family is in the segment that comes first on the page.
    pub(super) fn called(mut self, exact: bool) -> Self {
        if self.exact != exact {
            self.exact = exact;
            let name = &self.texts.name;
            self.base = if exact {
                utf8::exact(name, self.escaping).into_owned()
            } else {
                utf8::family(name, self.kind, self.escaping).into_owned()
            };
        }
        self
    }

    /// A histogram without classic buckets.
    pub(super) fn is_only_native(&self) -> bool {
        self.native.is_some() && self.bounds.is_empty()
    }

    /// The family's name, or a sample's.
    pub(super) fn name(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.base)
    }

    /// How a sample's line begins, where more label text follows and where none does. A name that needs quotes stands between the
    /// braces.
    pub(super) fn sample(&self, suffix: &str) -> (String, String) {
        let name = self.name(suffix);
        let on_line = utf8::metric_on_line(&name);
        match (on_line == name, self.fixed.is_empty()) {
            (true, true) => (format!("{name}{{"), format!("{name} ")),
            (true, false) => (format!("{name}{{{},", self.fixed), format!("{name}{{{}}} ", self.fixed)),
            (false, true) => (format!("{{{on_line},"), format!("{{{on_line}}} ")),
            (false, false) => (format!("{{{on_line},{},", self.fixed), format!("{{{on_line},{}}} ", self.fixed)),
        }
    }

    /// The unit, where the name on this page ends in it: to others Prometheus would object. (Escaped, a counter's may have something
    /// between the unit and `_total`.)
    pub(super) fn unit(&self) -> &str {
        let unit = &self.texts.unit;
        let ends = self.base.strip_suffix(unit.as_str()).is_some_and(|before| before.ends_with('_'));
        if ends {
            unit
        } else {
            ""
        }
    }

    /// The label of a state: `name="state"`.
    pub(super) fn state(&self, state: &str) -> String {
        pair(&self.base, state)
    }

    /// The names of the labels on this page, without quotes.
    pub(super) fn label_names(&self) -> &[String] {
        self.shown.as_deref().unwrap_or(&self.texts.labels)
    }

    /// Whether label texts are not as they stand in the segment.
    #[inline(always)]
    pub(super) fn renames(&self) -> bool {
        self.shown.is_some() && self.escaping != Escaping::AllowUtf8
    }

    /// A series' label text with the names of this page. Of the text that there is it takes the values only.
    pub(super) fn renamed(&self, series: &Series<'_>) -> Vec<u8> {
        let text = series.text.bytes();
        if series.is_embedded() {
            return text;
        }
        let (mut out, mut at) = (Vec::with_capacity(2 * text.len()), 0);
        for (i, (stored, shown)) in self.texts.labels.iter().zip(self.label_names()).enumerate() {
            at += labels::prefix_len(i, stored.len());
            let value = text.get(at..).unwrap_or_default();
            let value = &value[..labels::value_end(value)];
            at += value.len() + 1;
            out.extend_from_slice(if i > 0 { b"," } else { b"" });
            out.extend_from_slice(shown.as_bytes());
            out.extend_from_slice(b"=\"");
            out.extend_from_slice(value);
            out.push(b'"');
        }
        out
    }

    pub(super) fn fixed_labels(&self) -> &[(String, String)] {
        &self.fixed_labels
    }

    /// The labels in a series' text.
    pub(super) fn labels_of(&self, text: &[u8], escaped: bool) -> Vec<(String, String)> {
        if text.is_empty() {
            return Vec::new();
        }
        match labels::values(text, escaped, &self.texts.labels) {
            Some(values) => self.label_names().iter().cloned().zip(values).collect(),
            None => vec![(OVERFLOW_LABEL.to_owned(), "true".to_owned())],
        }
    }
}
