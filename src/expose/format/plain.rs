//! Families that are in no segment, as text: the library's own, and those that a host adds.

use super::exposition::Format;
use crate::expose::page::family::{pair, ConstLabels};
use crate::text::number::{float, float_with_point};

/// A family of the library's own: a counter or a gauge.
pub(in crate::expose) struct PlainFamily<'a> {
    /// Without a counter's `_total`.
    pub(in crate::expose) name: &'a str,
    pub(in crate::expose) help: &'a str,
    pub(in crate::expose) is_counter: bool,
    pub(in crate::expose) samples: Vec<(Vec<(String, String)>, f64)>,
}

impl PlainFamily<'_> {
    pub(in crate::expose) fn full_name(&self) -> String {
        format!("{}{}", self.name, if self.is_counter { "_total" } else { "" })
    }

    /// Appends its lines.
    pub(in crate::expose) fn write_text(&self, format: Format, out: &mut Vec<u8>) {
        let suffix = if self.is_counter { "_total" } else { "" };
        let family = if format == Format::OpenMetrics { "" } else { suffix };
        let kind = if self.is_counter { " counter\n" } else { " gauge\n" };
        let mut put = |texts: &[&str]| texts.iter().for_each(|text| out.extend_from_slice(text.as_bytes()));
        let is_openmetrics = matches!(format, Format::OpenMetrics | Format::OpenMetrics2);
        if is_openmetrics {
            put(&["# TYPE ", self.name, family, kind]);
        }
        put(&["# HELP ", self.name, family, " ", self.help, "\n"]);
        if !is_openmetrics {
            put(&["# TYPE ", self.name, family, kind]);
        }
        for (labels, v) in &self.samples {
            out.extend_from_slice(self.name.as_bytes());
            out.extend_from_slice(suffix.as_bytes());
            for (i, (name, value)) in labels.iter().enumerate() {
                out.push(if i == 0 { b'{' } else { b',' });
                out.extend_from_slice(pair(name, value).as_bytes());
            }
            out.extend_from_slice(if labels.is_empty() { b" " } else { b"} " });
            match format {
                Format::OpenMetrics | Format::OpenMetrics2 if !self.is_counter => float_with_point(*v, out),
                _ => float(*v, out),
            }
            out.push(b'\n');
        }
    }

    pub(in crate::expose) fn add_labels(&mut self, const_labels: &ConstLabels) {
        for (labels, _) in &mut self.samples {
            labels.splice(..0, const_labels.labels.iter().cloned());
        }
    }
}
