//! OpenMetrics 2.0.0 (release candidate): a line for each series, with all of a histogram in its
//! value.

use super::native;
use super::text::{append, Name};
use crate::expose::page::family::View;
use crate::expose::page::observations::{native_exemplars, Observed};
use crate::expose::page::snapshot::{FamilyReader, Rendered, Series, Total};
use crate::kind::Kind;
use crate::metric::gauge_merge::{Merged, Sample};
use crate::text::number::{float_with_point, integer, seconds};

/// A family's lines in the making.
pub(in crate::expose) struct OpenMetrics2Encoder {
    view: View,
    name: Name,
    /// For each state of a state set, the beginning of a line with its label: if more text follows,
    /// and if none does.
    states: Vec<String>,
    observed: Observed,
    each: Vec<Sample>,
}

/// What is added to a family's base name, which samples have too; and its type.
pub(in crate::expose) fn kind(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Counter => ("_total", "counter"),
        Kind::Gauge => ("", "gauge"),
        Kind::Histogram => ("", "histogram"),
        Kind::GaugeHistogram => ("", "gaugehistogram"),
        Kind::Summary => ("", "summary"),
        Kind::Info => ("_info", "info"),
        Kind::StateSet | Kind::Enum => ("", "stateset"),
        Kind::Unknown => ("", "unknown"),
    }
}

impl OpenMetrics2Encoder {
    /// Begins a family.
    pub(in crate::expose) fn new(view: View, out: &mut Vec<u8>) -> Self {
        let (suffix, kind) = kind(view.kind);
        crate::expose::format::text::head(&view, suffix, kind, true, out);
        let states = match view.kind {
            Kind::StateSet | Kind::Enum => view.texts.bucket_labels.iter().map(|state| view.state(state)).collect(),
            _ => Vec::new(),
        };
        OpenMetrics2Encoder {
            name: Name::new(&view, suffix),
            states,
            observed: Observed::default(),
            each: Vec::new(),
            view,
        }
    }

    /// Appends the line, or lines, of the series at `at`.
    pub(in crate::expose) fn series(&mut self, reader: &FamilyReader<'_>, at: u64, out: &mut Vec<u8>) -> Rendered {
        let text_at = self.view.text_at;
        if self.view.renames() {
            return reader.series(at, text_at, out, |series, out| {
                series.with_text(self.view.renamed(series), |series| self.lines(series, out))
            });
        }
        reader.series(at, text_at, out, |series, out| self.lines(series, out))
    }

    fn lines(&mut self, series: &Series<'_>, out: &mut Vec<u8>) -> bool {
        match self.view.kind {
            Kind::Counter => {
                let Some(total) = series.counter(self.view.text_at) else { return false };
                self.name.line(&series.text, out).keep();
                match total {
                    Total::Whole(n) => integer(n, out),
                    Total::Float(v) => float_with_point(v, out),
                }
                began(series, out);
                if let Some(exemplar) = series.exemplar(0) {
                    append(&exemplar, self.view.escaping, usize::MAX, out);
                }
            }
            Kind::Gauge | Kind::Unknown => match series.gauge(self.view.mode, &mut self.each) {
                Merged::Nothing => return true,
                Merged::One(v) => {
                    self.name.line(&series.text, out).keep();
                    float_with_point(v, out);
                }
                Merged::Each => {
                    for (i, sample) in self.each.iter().enumerate() {
                        if i > 0 {
                            out.push(b'\n');
                        }
                        self.name.with(&series.text, &format!("pid=\"{}\"", sample.identity), out);
                        float_with_point(sample.value, out);
                    }
                    if self.each.is_empty() {
                        return true;
                    }
                }
            },
            Kind::Histogram | Kind::GaugeHistogram | Kind::Summary => return self.observations(series, out),
            Kind::Info => {
                self.name.line(&series.text, out).keep();
                out.push(b'1');
            }
            Kind::StateSet | Kind::Enum => {
                let word = series.states();
                for (i, state) in self.states.iter().enumerate() {
                    if i > 0 {
                        out.push(b'\n');
                    }
                    let on = if self.view.kind == Kind::Enum { word == i as u64 } else { word >> i & 1 == 1 };
                    self.name.with(&series.text, state, out);
                    out.push(b'0' + u8::from(on));
                }
            }
        }
        out.push(b'\n');
        true
    }

    fn observations(&mut self, series: &Series<'_>, out: &mut Vec<u8>) -> bool {
        let summary = self.view.kind == Kind::Summary;
        let Some(sum) = self.observed.read(series, &self.view) else { return false };
        self.name.line(&series.text, out).keep();
        let gauge = self.view.kind == Kind::GaugeHistogram;
        out.extend_from_slice(if gauge { b"{gcount:" } else { b"{count:" });
        integer(self.observed.count(), out);
        out.extend_from_slice(if gauge { b",gsum:" } else { b",sum:" });
        float_with_point(sum, out);
        if self.view.native.is_some() && !summary {
            native::openmetrics2(&self.observed.sketch, out);
        }
        let bucket_labels = self.view.texts.bucket_labels.iter().map(String::as_str);
        if summary {
            out.extend_from_slice(b",quantile:[");
            for (i, (quantile, value)) in bucket_labels.zip(&self.observed.quantiles).enumerate() {
                out.extend_from_slice(if i > 0 { b"," } else { b"" });
                out.extend_from_slice(quantile.as_bytes());
                out.push(b':');
                float_with_point(*value, out);
            }
            out.push(b']');
        } else if !self.view.is_only_native() {
            out.extend_from_slice(b",bucket:[");
            let mut total = 0u64;
            for (i, (count, bound)) in self.observed.counts.iter().zip(bucket_labels.chain(["+Inf"])).enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                total = total.wrapping_add(*count);
                out.extend_from_slice(bound.as_bytes());
                out.push(b':');
                integer(total, out);
            }
            out.push(b']');
        }
        out.push(b'}');
        if !gauge {
            began(series, out);
        }
        let exemplars = if self.view.is_only_native() && !summary {
            native_exemplars(series)
        } else {
            (0..self.observed.counts.len()).filter_map(|i| series.exemplar(i)).collect()
        };
        exemplars.iter().for_each(|exemplar| append(exemplar, self.view.escaping, usize::MAX, out));
        out.push(b'\n');
        true
    }
}

fn began(series: &Series<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b" st@");
    seconds(series.created(), out);
}
