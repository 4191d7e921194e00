//! The formats with a sample on each line: text 0.0.4 and 1.0.0, and OpenMetrics 1.0.0.

use super::exposition::{Exposition, Format};
use super::writer::{Piece, Writer};
use crate::expose::page::family::{ConstLabels, View};
use crate::expose::page::observations::{native_exemplars, Observed};
use crate::expose::page::snapshot::{FamilyReader, Rendered, Series, Text, Total};
use crate::expose::page::walk::FastPath;
use crate::kind::Kind;
use crate::metric::gauge_merge::{Merged, Sample};
use crate::metric::{Exemplar, CODE_POINTS};
use crate::text::escaping::Escaping;
use crate::text::number::{float, float_with_point, seconds};
use crate::text::{escaping, label_set};

/// Room for a number, the separators around it and a line break.
const NUMBER: usize = 48;

/// How a line begins: with `open` where label text follows, with `bare` where none does.
#[derive(Default)]
pub(in crate::expose) struct Name {
    open: Piece,
    bare: Piece,
}

impl Name {
    pub(in crate::expose) fn new(view: &View, suffix: &str) -> Self {
        let (open, bare) = view.sample(suffix);
        Name { open: Piece::new(&open), bare: Piece::new(&bare) }
    }

    /// Begins a line: `name{text} `, or `name ` without labels.
    #[inline(always)]
    pub(in crate::expose) fn line<'o>(&self, text: &Text, out: &'o mut Vec<u8>) -> Writer<'o> {
        let mut line = Writer::new(out, self.bare.len() + self.open.len() + text.len() + NUMBER);
        if text.len() == 0 {
            line.piece(&self.bare);
        } else {
            line.piece(&self.open);
            text.put(&mut line);
            line.two(*b"} ");
        }
        line
    }

    /// Begins a line with one more label: `name{text,label="value"} `. The room is for `more` bytes
    /// of it.
    #[inline(always)]
    fn line_and<'o>(&self, text: &Text, more: usize, out: &'o mut Vec<u8>) -> Writer<'o> {
        let mut line = Writer::new(out, self.open.len() + text.len() + more + NUMBER);
        line.piece(&self.open);
        if text.len() > 0 {
            text.put(&mut line);
            line.byte(b',');
        }
        line
    }

    /// Appends a line's beginning with one more label.
    pub(in crate::expose) fn with(&self, text: &Text, label: &str, out: &mut Vec<u8>) {
        self.line_and(text, 0, out).keep();
        out.extend_from_slice(label.as_bytes());
        out.extend_from_slice(b"} ");
    }
}

/// What every line of a family has in common, made once for each family of a page.
pub(in crate::expose) struct TextEncoder {
    view: View,
    openmetrics: bool,
    /// The series' own samples, or those of its buckets.
    name: Name,
    sum: Name,
    count: Name,
    created: Option<Name>,
    /// In a histogram, `le="0.5"} ` for each bucket, `+Inf` last. In a summary, `quantile="0.5"} `.
    /// In a state set, `name="state"} `.
    tails: Vec<Piece>,
    /// There is neither `_sum` nor `_count`: OpenMetrics has none where observations may be
    /// negative.
    sumless: bool,
    observed: Observed,
    each: Vec<Sample>,
}

/// The name of a type in a format, and the suffixes of the family, its samples, sum and count.
struct TypeNames {
    name: &'static str,
    family: &'static str,
    sample: &'static str,
    sum: &'static str,
    count: &'static str,
}

fn type_names(kind: Kind, openmetrics: bool) -> TypeNames {
    let plain = TypeNames { name: "gauge", family: "", sample: "", sum: "", count: "" };
    let observed = TypeNames { sum: "_sum", count: "_count", ..plain };
    let by_format = |openmetrics_name, name| if openmetrics { openmetrics_name } else { name };
    match kind {
        Kind::Counter => TypeNames { name: "counter", family: by_format("", "_total"), sample: "_total", ..plain },
        Kind::Gauge => plain,
        Kind::GaugeHistogram if openmetrics => {
            TypeNames { name: "gaugehistogram", sample: "_bucket", sum: "_gsum", count: "_gcount", ..plain }
        }
        // A gauge histogram is shown so too, as Go's client does: the text formats have no other
        // type with buckets.
        Kind::Histogram | Kind::GaugeHistogram => TypeNames { name: "histogram", sample: "_bucket", ..observed },
        Kind::Summary => TypeNames { name: "summary", ..observed },
        Kind::Info => {
            TypeNames { name: by_format("info", "gauge"), family: by_format("", "_info"), sample: "_info", ..plain }
        }
        Kind::StateSet | Kind::Enum => TypeNames { name: by_format("stateset", "gauge"), ..plain },
        Kind::Unknown => TypeNames { name: by_format("unknown", "untyped"), ..plain },
    }
}

/// Appends the lines that a family begins with. An empty help or unit has none.
pub(in crate::expose) fn head(view: &View, suffix: &str, kind: &str, openmetrics: bool, out: &mut Vec<u8>) {
    let name = view.name(suffix);
    let name = escaping::metric_on_line(&name);
    let mut comment = |what: &str, text: &str| {
        for part in ["# ", what, " ", &name, " "] {
            out.extend_from_slice(part.as_bytes());
        }
        for b in text.bytes() {
            match b {
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'"' if openmetrics => out.extend_from_slice(b"\\\""),
                // It would end the line for some, and nothing stands for it.
                b'\r' => out.push(b' '),
                b => out.push(b),
            }
        }
        out.push(b'\n');
    };
    let texts = &view.texts;
    if openmetrics {
        comment("TYPE", kind);
        if !view.unit().is_empty() {
            comment("UNIT", view.unit());
        }
    }
    if !texts.help.is_empty() {
        comment("HELP", &texts.help);
    }
    if !openmetrics {
        comment("TYPE", kind);
    }
}

/// Appends an exemplar to a sample, as OpenMetrics has it. One that is too long with its labels'
/// names escaped is left out.
pub(in crate::expose) fn append(exemplar: &Exemplar, escaping: Escaping, most: usize, out: &mut Vec<u8>) {
    let mut text = exemplar.text();
    let renamed;
    if escaping != Escaping::AllowUtf8 && text.windows(3).any(|w| w == b"\"=\"") {
        let pairs = label_set::pairs(text).unwrap_or_default();
        let const_labels = ConstLabels::new(&pairs, escaping);
        let points: usize =
            const_labels.labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
        if points > most {
            return;
        }
        renamed = const_labels;
        text = renamed.text().as_bytes();
    }
    out.extend_from_slice(b" # {");
    out.extend_from_slice(text);
    out.extend_from_slice(b"} ");
    float_with_point(exemplar.value, out);
    out.push(b' ');
    seconds(exemplar.at_ms * 1_000_000, out);
}

/// Counters that are whole numbers and have no exemplar.
impl FastPath for TextEncoder {
    fn text_at(&self) -> u64 {
        self.view.text_at
    }

    #[inline(always)]
    fn fast(&mut self, series: &Series<'_>, text_at: u64, out: &mut Vec<u8>) -> Option<u64> {
        let (Total::Whole(n), digest) = series.counter_and_digest(text_at)? else { return None };
        if self.openmetrics && series.has_exemplars() {
            return None;
        }
        let mut line = self.name.line(&series.text, out);
        line.integer(n);
        line.end();
        Some(digest)
    }

    fn slow(&mut self, reader: &FamilyReader<'_>, at: u64, out: &mut Vec<u8>) -> Rendered {
        self.series(reader, at, out)
    }
}

impl TextEncoder {
    /// Begins a family.
    pub(in crate::expose) fn new(view: View, exposition: Exposition, out: &mut Vec<u8>) -> Self {
        let openmetrics = exposition.format() == Format::OpenMetrics;
        let mut names = type_names(view.kind, openmetrics);
        // Only Prometheus' text formats show a name exactly.
        if view.exact {
            (names.family, names.sample) = ("", "");
        }
        head(&view, names.family, names.name, openmetrics, out);
        let bucket_labels = view.texts.bucket_labels.iter().map(String::as_str);
        let tails: Vec<String> = match view.kind {
            Kind::Histogram | Kind::GaugeHistogram => {
                bucket_labels.chain(["+Inf"]).map(|le| format!("le=\"{le}\"}} ")).collect()
            }
            Kind::Summary => bucket_labels.map(|q| format!("quantile=\"{q}\"}} ")).collect(),
            Kind::StateSet | Kind::Enum => bucket_labels.map(|state| format!("{}}} ", view.state(state))).collect(),
            _ => Vec::new(),
        };
        let counted = matches!(view.kind, Kind::Counter | Kind::Histogram | Kind::Summary);
        let other = |suffix: &str| if suffix.is_empty() { Name::default() } else { Name::new(&view, suffix) };
        TextEncoder {
            openmetrics,
            name: Name::new(&view, names.sample),
            sum: other(names.sum),
            count: other(names.count),
            created: (openmetrics && exposition.created() && counted).then(|| Name::new(&view, "_created")),
            tails: tails.iter().map(Piece::new).collect(),
            sumless: openmetrics && view.has_negative_bounds,
            observed: Observed::default(),
            each: Vec::new(),
            view,
        }
    }

    /// Whether its series may be usual ones.
    pub(in crate::expose) fn has_fast_path(&self) -> bool {
        self.view.kind == Kind::Counter && self.created.is_none() && !self.view.renames()
    }

    /// Appends the lines of the series at `at`.
    #[inline(always)]
    pub(in crate::expose) fn series(&mut self, reader: &FamilyReader<'_>, at: u64, out: &mut Vec<u8>) -> Rendered {
        let text_at = self.view.text_at;
        if self.view.renames() {
            return self.series_renamed(reader, at, out);
        }
        reader.series(at, text_at, out, |series, out| self.lines(series, out))
    }

    /// As above, with the names of labels escaped.
    #[cold]
    #[inline(never)]
    fn series_renamed(&mut self, reader: &FamilyReader<'_>, at: u64, out: &mut Vec<u8>) -> Rendered {
        let text_at = self.view.text_at;
        reader.series(at, text_at, out, |series, out| {
            series.with_text(self.view.renamed(series), |series| self.lines(series, out))
        })
    }

    #[inline(always)]
    fn lines(&mut self, series: &Series<'_>, out: &mut Vec<u8>) -> bool {
        match self.view.kind {
            Kind::Counter => {
                let Some(total) = series.counter(self.view.text_at) else { return false };
                let mut line = self.name.line(&series.text, out);
                match total {
                    Total::Whole(n) => {
                        line.integer(n);
                        line.end();
                    }
                    Total::Float(v) => {
                        line.keep();
                        self.float(v, out);
                        out.push(b'\n');
                    }
                }
                self.exemplar(series, 0, out);
            }
            Kind::Gauge | Kind::Unknown => self.gauge(series, out),
            Kind::Histogram | Kind::GaugeHistogram | Kind::Summary => return self.observations(series, out),
            Kind::Info => {
                let mut line = self.name.line(&series.text, out);
                line.byte(b'1');
                line.end();
            }
            Kind::StateSet | Kind::Enum => self.states(series, out),
        }
        self.began(series, out);
        true
    }

    fn float(&self, v: f64, out: &mut Vec<u8>) {
        if self.openmetrics {
            float_with_point(v, out);
        } else {
            float(v, out);
        }
    }

    #[inline(always)]
    fn began(&self, series: &Series<'_>, out: &mut Vec<u8>) {
        if let Some(created) = &self.created {
            created.line(&series.text, out).keep();
            seconds(series.created(), out);
            out.push(b'\n');
        }
    }

    /// Adds an exemplar to the line before, where the format has any.
    #[inline(always)]
    fn exemplar(&self, series: &Series<'_>, slot: usize, out: &mut Vec<u8>) {
        if self.openmetrics {
            let only_native = self.view.is_only_native() && self.view.kind != Kind::Summary;
            let found = if only_native { native_exemplars(series).pop() } else { series.exemplar(slot) };
            if let Some(exemplar) = found {
                out.pop();
                append(&exemplar, self.view.escaping, CODE_POINTS, out);
                out.push(b'\n');
            }
        }
    }

    fn gauge(&mut self, series: &Series<'_>, out: &mut Vec<u8>) {
        match series.gauge(self.view.mode, &mut self.each) {
            Merged::Nothing => {}
            Merged::One(v) => {
                self.name.line(&series.text, out).keep();
                self.float(v, out);
                out.push(b'\n');
            }
            Merged::Each => {
                for sample in &self.each {
                    self.name.with(&series.text, &format!("pid=\"{}\"", sample.identity), out);
                    self.float(sample.value, out);
                    out.push(b'\n');
                }
            }
        }
    }

    fn observations(&mut self, series: &Series<'_>, out: &mut Vec<u8>) -> bool {
        let Some(sum) = self.observed.read(series, &self.view) else { return false };
        let mut total = 0u64;
        if self.view.kind == Kind::Summary {
            total = self.observed.count();
            for (value, tail) in self.observed.quantiles.iter().zip(&self.tails) {
                // OpenMetrics has no negative ones.
                if self.openmetrics && *value < 0.0 {
                    continue;
                }
                let mut line = self.name.line_and(&series.text, tail.len(), out);
                line.piece(tail);
                line.keep();
                self.float(*value, out);
                out.push(b'\n');
            }
        }
        for (i, (count, tail)) in self.observed.counts.iter().zip(&self.tails).enumerate() {
            if self.view.kind == Kind::Summary {
                break;
            }
            total = total.wrapping_add(*count);
            let mut line = self.name.line_and(&series.text, tail.len(), out);
            line.piece(tail);
            line.integer(total);
            line.end();
            self.exemplar(series, i, out);
        }
        // OpenMetrics has no sum that may fall, is negative or NaN, and no count of a histogram
        // without its sum. One negative observation is enough, for good: else the lines would come
        // and go with the sum's sign.
        let odd = || sum < 0.0 || sum.is_nan() || series.saw_negatives();
        let sumless = self.sumless || (self.openmetrics && odd());
        if !sumless {
            self.sum.line(&series.text, out).keep();
            self.float(sum, out);
            out.push(b'\n');
        }
        if !sumless || self.view.kind == Kind::Summary {
            let mut line = self.count.line(&series.text, out);
            line.integer(total);
            line.end();
        }
        self.began(series, out);
        true
    }

    fn states(&self, series: &Series<'_>, out: &mut Vec<u8>) {
        let word = series.states();
        for (i, tail) in self.tails.iter().enumerate() {
            let on = if self.view.kind == Kind::Enum { word == i as u64 } else { word >> i & 1 == 1 };
            let mut line = self.name.line_and(&series.text, tail.len(), out);
            line.piece(tail);
            line.byte(b'0' + u8::from(on));
            line.end();
        }
    }
}
