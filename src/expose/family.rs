//! A family as a page shows it.

use super::Exposition;
use crate::metric::{GaugeMode, Shape, Stored};
use crate::registry::family::{Record, Texts};
use crate::registry::labels;
use crate::registry::names::OVERFLOW_LABEL;

/// Labels that all series of a page, or of a segment, have in front of their own.
#[derive(Clone, Debug, Default)]
pub(super) struct Fixed {
    /// As on a line: `app="shop"`.
    text: String,
    pub(super) labels: Vec<(String, String)>,
}

impl Fixed {
    pub(super) fn new(labels: Vec<(String, String)>) -> Self {
        let pairs: Vec<String> = labels.iter().map(|(name, value)| pair(name, value)).collect();
        Fixed { text: pairs.join(","), labels }
    }
}

/// `name="value"`, escaped.
pub(super) fn pair(name: &str, value: &str) -> String {
    let mut text = Vec::new();
    labels::escape(value, &mut text);
    format!("{name}=\"{}\"", String::from_utf8_lossy(&text))
}

/// What was registered, with its names as this page has them.
pub(super) struct View {
    pub(super) kind: u8,
    pub(super) mode: GaugeMode,
    pub(super) text_at: u64,
    /// How many there are, about.
    pub(super) series: u64,
    pub(super) texts: Texts,
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
    pub(super) fn new(record: &Record<'_>, texts: Texts, fixed: &Fixed, _exposition: Exposition) -> Self {
        let bounds: Vec<f64> = (0..record.bucket_count()).map(|i| record.bound(i)).collect();
        let shape = record.shape();
        View {
            native: record.native().filter(|_| shape.is_some()),
            ordinals: shape.map_or_else(Vec::new, |shape| bounds.iter().map(|b| shape.ordinal(*b)).collect()),
            shape,
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

    /// A histogram without classic buckets.
    pub(super) fn is_only_native(&self) -> bool {
        self.native.is_some() && self.bounds.is_empty()
    }

    /// The family's name, as after `# TYPE`.
    pub(super) fn name(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.texts.name)
    }

    /// How a sample's line begins, where more label text follows and where none does.
    pub(super) fn sample(&self, suffix: &str) -> (String, String) {
        let name = self.name(suffix);
        if self.fixed.is_empty() {
            (format!("{name}{{"), format!("{name} "))
        } else {
            (format!("{name}{{{},", self.fixed), format!("{name}{{{}}} ", self.fixed))
        }
    }

    /// The label of a state: `name="state"`.
    pub(super) fn state(&self, state: &str) -> String {
        pair(&self.texts.name, state)
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
            Some(values) => self.texts.labels.iter().cloned().zip(values).collect(),
            None => vec![(OVERFLOW_LABEL.to_owned(), "true".to_owned())],
        }
    }
}
