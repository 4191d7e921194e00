//! Protobuf: a length and an `io.prometheus.client.MetricFamily` for each family
//! (`client_model/metrics.proto`). A family's length stands in front of it, so a whole one is put
//! together in memory.

mod fast;
pub(in crate::expose) mod wire;

use self::fast::{FastMetric, ValueMessage};
use self::wire::{field, label, tag, varint};
use super::native;
use super::writer::{varint_len, Piece, Writer};
use crate::expose::format::plain::PlainFamily;
use crate::expose::page::family::View;
use crate::expose::page::observations::{native_exemplars, Observed};
use crate::expose::page::snapshot::{FamilyReader, Rendered, Series, Text};
use crate::expose::page::walk;
use crate::expose::page::walk::{FastPath, SeriesWalk};
use crate::kind::Kind;
use crate::metric::gauge_merge::{Merged, Sample};
use crate::metric::Exemplar;
use crate::record::gauge_mode::GaugeMode;
use crate::text::escaping::Escaping;
use crate::text::{escaping, label_set};

/// Room for a metric's own numbers, and for the lengths of the messages that it is.
const NUMBERS: usize = 96;
/// Room for a bucket.
const BUCKET: usize = 24;

/// A family in the making.
pub(in crate::expose) struct ProtobufEncoder {
    /// The family, but for its length and unit.
    body: Vec<u8>,
    /// The length of the family without any metric.
    bare: usize,
    /// Bytes that the body leaves for its length in front.
    gap: usize,
    metrics: Metrics,
}

/// What the metrics of a family are made of.
struct Metrics {
    view: View,
    /// Writes most metrics of one value.
    fast_metric: Option<FastMetric>,
    value_message: ValueMessage,
    labels: Vec<Label>,
    /// Room for the labels' names, tags and lengths.
    names: usize,
    /// The labels that all series have in front of theirs.
    const_labels: Piece,
    /// For a histogram, the bounds as fields. For a summary, the ranks of the quantiles, and the
    /// tag of the value. For a state set, the labels.
    bucket_labels: Vec<Piece>,
    /// The bound of the last bucket.
    infinity: Piece,
    /// When the series of this age began, as the contents of a field. Many have the same.
    began: (u32, Piece),
    observed: Observed,
    each: Vec<Sample>,
}

struct Label {
    /// Bytes before its value in the label text.
    prefix: usize,
    /// The field of its name, and the tag of its value.
    name: Piece,
}

/// What a family is called after its base name, and the number of its type.
fn kind(kind: Kind) -> (&'static str, u8) {
    match kind {
        Kind::Counter => ("_total", 0),
        Kind::Info => ("_info", 1),
        Kind::Summary => ("", 2),
        Kind::Unknown => ("", 3),
        Kind::Histogram => ("", 4),
        Kind::GaugeHistogram => ("", 5),
        Kind::Gauge | Kind::StateSet | Kind::Enum => ("", 1),
    }
}

fn begin(name: &str, help: &str, number: u8, out: &mut Vec<u8>) {
    field(tag::FAMILY_NAME, name.as_bytes(), out);
    if !help.is_empty() {
        field(tag::FAMILY_HELP, help.as_bytes(), out);
    }
    out.extend_from_slice(&[tag::FAMILY_TYPE, number]);
}

impl ProtobufEncoder {
    /// Begins a family. `spare` is a buffer to use again.
    pub(in crate::expose) fn new(view: View, spare: Vec<u8>) -> Self {
        let (suffix, number) = kind(view.kind);
        let suffix = if view.exact { "" } else { suffix };
        // As many as its length will have, if that is guessed well.
        let gap = varint_len(view.series * 128 + 256);
        let mut body = spare;
        body.clear();
        body.resize(gap, 0);
        begin(&view.name(suffix), &view.texts.help, number, &mut body);
        ProtobufEncoder { bare: body.len(), body, gap, metrics: Metrics::new(view) }
    }

    /// Goes on with the series of another segment.
    pub(in crate::expose) fn continued(self, view: View) -> Self {
        ProtobufEncoder { metrics: Metrics::new(view), ..self }
    }

    /// Bytes put together so far.
    pub(in crate::expose) fn held(&self) -> usize {
        self.body.len()
    }

    /// Ends the family, and returns the buffer. A family without metrics is not shown.
    pub(in crate::expose) fn finish(mut self, out: &mut Vec<u8>) -> Vec<u8> {
        if self.body.len() > self.bare {
            let unit = self.metrics.view.unit();
            if !unit.is_empty() {
                field(tag::FAMILY_UNIT, unit.as_bytes(), &mut self.body);
            }
            let mut head = Vec::new();
            varint((self.body.len() - self.gap) as u64, &mut head);
            if out.is_empty() {
                // Not copied; and if its length is as long as was left for it, not moved either.
                drop(self.body.splice(..self.gap, head));
                std::mem::swap(out, &mut self.body);
            } else {
                out.extend_from_slice(&head);
                out.extend_from_slice(&self.body[self.gap..]);
            }
        }
        self.body
    }

    /// Whether its series may be usual ones.
    pub(in crate::expose) fn has_fast_path(&self) -> bool {
        self.metrics.view.kind == Kind::Counter
    }

    /// Adds usual series until there are so many more bytes, or the walk ends.
    pub(in crate::expose) fn render(&mut self, reader: &FamilyReader<'_>, walk: &mut SeriesWalk, bytes: usize) {
        let until = self.body.len().saturating_add(bytes);
        walk::render(&mut self.metrics, reader, walk, &mut self.body, until);
    }

    /// Adds the series at `at`.
    #[inline(always)]
    pub(in crate::expose) fn series(&mut self, reader: &FamilyReader<'_>, at: u64) -> Rendered {
        self.metrics.add(reader, at, &mut self.body)
    }
}

/// Counters that have no exemplar, and no escapes in their text.
impl FastPath for Metrics {
    fn text_at(&self) -> u64 {
        self.view.text_at
    }

    #[inline(always)]
    fn fast(&mut self, series: &Series<'_>, text_at: u64, out: &mut Vec<u8>) -> Option<u64> {
        let (total, digest) = series.counter_and_digest(text_at)?;
        self.begin(series);
        (!series.has_exemplars() && self.try_fast(series, total.as_f64(), out)).then_some(digest)
    }

    fn slow(&mut self, reader: &FamilyReader<'_>, at: u64, out: &mut Vec<u8>) -> Rendered {
        self.add(reader, at, out)
    }
}

impl Metrics {
    #[inline(always)]
    fn add(&mut self, reader: &FamilyReader<'_>, at: u64, out: &mut Vec<u8>) -> Rendered {
        let text_at = self.view.text_at;
        reader.series(at, text_at, out, |series, out| self.series(series, out))
    }

    fn new(view: View) -> Self {
        let bucket_labels = match view.kind {
            Kind::Histogram | Kind::GaugeHistogram => view.bounds.iter().map(|b| bound(*b)).collect(),
            Kind::Summary => view.bounds.iter().map(|rank| quantile(*rank)).collect(),
            Kind::StateSet | Kind::Enum => {
                view.texts.bucket_labels.iter().map(|state| Piece::new(label(&view.name(""), state))).collect()
            }
            _ => Vec::new(),
        };
        let mut const_labels = Vec::new();
        view.const_label_pairs().iter().for_each(|(name, value)| const_labels.extend_from_slice(&label(name, value)));
        let names = view.texts.labels.iter().zip(view.label_names());
        let labels = names.enumerate().map(|(i, (stored, name))| {
            let mut piece = Vec::new();
            field(tag::LABEL_NAME, name.as_bytes(), &mut piece);
            piece.push(tag::LABEL_VALUE);
            Label { prefix: label_set::prefix_len(i, stored.len()), name: Piece::new(&piece) }
        });
        let labels: Vec<Label> = labels.collect();
        let names = view.texts.labels.iter().map(String::as_str).zip(view.label_names().iter().map(String::as_str));
        let mut value_message = ValueMessage::default();
        match view.kind {
            Kind::Unknown => value_message.set(tag::METRIC_UNTYPED, None),
            // A counter's says when it began.
            _ => value_message.set(tag::METRIC_GAUGE, None),
        }
        Metrics {
            fast_metric: FastMetric::new(names, &const_labels),
            value_message,
            names: labels.iter().map(|l| l.name.len() + 16).sum(),
            labels,
            const_labels: Piece::new(&const_labels),
            bucket_labels,
            infinity: bound(f64::INFINITY),
            began: (u32::MAX, Piece::default()),
            observed: Observed::default(),
            each: Vec::new(),
            view,
        }
    }

    /// Makes what says when the series began.
    #[inline(always)]
    fn begin(&mut self, series: &Series<'_>) {
        if self.began.0 != series.age() {
            self.begin_anew(series.age(), series.created());
        }
    }

    #[inline(never)]
    fn begin_anew(&mut self, age: u32, created: u64) {
        self.began.0 = age;
        self.began.1.set(|bytes| time(created, bytes));
        if self.view.kind == Kind::Counter {
            self.value_message.set(tag::METRIC_COUNTER, Some((tag::COUNTER_CREATED, &self.began.1)));
        }
    }

    /// Appends a metric that has one value, and no more labels. False: it takes the long way.
    #[inline(always)]
    fn try_fast(&mut self, series: &Series<'_>, v: f64, out: &mut Vec<u8>) -> bool {
        let Some(fast_metric) = &mut self.fast_metric else { return false };
        !is_hard(series) && fast_metric.metric(&series.text, &self.value_message, v, out)
    }

    /// Appends the time when the series began.
    #[inline(always)]
    fn put_began(&self, tag: u8, writer: &mut Writer<'_>) {
        writer.two([tag, self.began.1.len() as u8]);
        writer.piece(&self.began.1);
    }

    #[inline(always)]
    fn series(&mut self, series: &Series<'_>, out: &mut Vec<u8>) -> bool {
        self.begin(series);
        match self.view.kind {
            Kind::Counter => {
                let Some(total) = series.counter(self.view.text_at) else { return false };
                let total = total.as_f64();
                if series.has_exemplars() || !self.try_fast(series, total, out) {
                    self.counter(series, total, out);
                }
            }
            Kind::Gauge => self.gauge(series, self.view.mode, tag::METRIC_GAUGE, out),
            Kind::Unknown => self.gauge(series, GaugeMode::Shared, tag::METRIC_UNTYPED, out),
            Kind::Info => self.value(series, None, 1.0, tag::METRIC_GAUGE, out),
            Kind::StateSet | Kind::Enum => self.states(series, out),
            Kind::Histogram | Kind::GaugeHistogram | Kind::Summary => return self.observations(series, out),
        }
        true
    }

    #[inline(never)]
    fn counter(&self, series: &Series<'_>, total: f64, out: &mut Vec<u8>) {
        let exemplar = series.exemplar(0).map(|e| exemplar(tag::COUNTER_EXEMPLAR, &e, self.view.escaping));
        let room = NUMBERS + exemplar.as_ref().map_or(0, Piece::len);
        self.metric(series, None, room, out, |writer| {
            let counter = writer.open(tag::METRIC_COUNTER);
            writer.byte(tag::VALUE);
            writer.eight(total.to_le_bytes());
            if let Some(exemplar) = &exemplar {
                writer.piece(exemplar);
            }
            self.put_began(tag::COUNTER_CREATED, writer);
            writer.close(counter);
        });
    }

    #[inline(never)]
    fn states(&mut self, series: &Series<'_>, out: &mut Vec<u8>) {
        let word = series.states();
        let bucket_labels = std::mem::take(&mut self.bucket_labels);
        for (i, state) in bucket_labels.iter().enumerate() {
            let on = if self.view.kind == Kind::Enum { word == i as u64 } else { word >> i & 1 == 1 };
            self.value(series, Some(state), f64::from(u8::from(on)), tag::METRIC_GAUGE, out);
        }
        self.bucket_labels = bucket_labels;
    }

    /// Appends a metric: its labels, perhaps one more, and what `body` appends, in `room` bytes.
    #[inline(always)]
    fn metric(
        &self,
        series: &Series<'_>,
        more: Option<&Piece>,
        room: usize,
        out: &mut Vec<u8>,
        body: impl FnOnce(&mut Writer<'_>),
    ) {
        let hard = is_hard(series).then(|| self.hard_label_pairs(series));
        let labels = hard.as_ref().map_or(series.text.len() + self.names, Piece::len);
        let mut writer = Writer::new(out, room + labels + self.const_labels.len() + more.map_or(0, Piece::len));
        let metric = writer.open(tag::FAMILY_METRIC);
        writer.piece(&self.const_labels);
        match &hard {
            Some(pairs) => writer.piece(pairs),
            None if series.text.len() > 0 => self.label_pairs(&series.text, &mut writer),
            None => {}
        }
        if let Some(more) = more {
            writer.piece(more);
        }
        body(&mut writer);
        writer.close(metric);
        writer.keep();
    }

    /// The labels of a text without escapes.
    #[inline(always)]
    fn label_pairs(&self, text: &Text, writer: &mut Writer<'_>) {
        let mut at = 0;
        for label in &self.labels {
            at += label.prefix;
            let end = text.quote(at.min(text.len()));
            let from = at.min(end);
            let len = end - from;
            let pair = label.name.len() + varint_len(len as u64) + len;
            if pair < 0x80 {
                writer.two([tag::METRIC_LABEL, pair as u8]);
                writer.piece(&label.name);
                writer.byte(len as u8);
            } else {
                writer.byte(tag::METRIC_LABEL);
                writer.varint(pair as u64);
                writer.piece(&label.name);
                writer.varint(len as u64);
            }
            text.put_part(from, len, writer);
            at = end + 1;
        }
    }

    /// The labels of a text that is hard to read.
    #[cold]
    #[inline(never)]
    fn hard_label_pairs(&self, series: &Series<'_>) -> Piece {
        let labels = self.view.labels_of(&series.text.bytes(), series.escaped);
        Piece::new(labels.iter().flat_map(|(name, value)| label(name, value)).collect::<Vec<u8>>())
    }

    #[inline(never)]
    fn value(&mut self, series: &Series<'_>, more: Option<&Piece>, v: f64, tag: u8, out: &mut Vec<u8>) {
        if more.is_none() && self.try_fast(series, v, out) {
            return;
        }
        self.metric(series, more, NUMBERS, out, |writer| {
            let value = writer.open(tag);
            writer.byte(tag::VALUE);
            writer.eight(v.to_le_bytes());
            writer.close(value);
        });
    }

    #[inline(never)]
    fn gauge(&mut self, series: &Series<'_>, mode: GaugeMode, tag: u8, out: &mut Vec<u8>) {
        let mut each = std::mem::take(&mut self.each);
        match series.gauge(mode, &mut each) {
            Merged::Nothing => {}
            Merged::One(v) => self.value(series, None, v, tag, out),
            Merged::Each => {
                for sample in &each {
                    let pid = Piece::new(label("pid", &sample.identity.to_string()));
                    self.value(series, Some(&pid), sample.value, tag, out);
                }
            }
        }
        self.each = each;
    }

    #[inline(never)]
    fn observations(&mut self, series: &Series<'_>, out: &mut Vec<u8>) -> bool {
        let mut observed = std::mem::take(&mut self.observed);
        let sum = observed.read(series, &self.view);
        if let Some(sum) = sum {
            let summary = self.view.kind == Kind::Summary;
            let (counts, only_native) = (&observed.counts, self.view.is_only_native() && !summary);
            let exemplars = if only_native { Vec::new() } else { exemplars(series, counts.len(), self.view.escaping) };
            let native = if summary || self.view.native.is_none() {
                Piece::default()
            } else {
                let all = if only_native {
                    native_exemplars(series)
                } else {
                    (0..exemplars.len()).filter_map(|i| series.exemplar(i)).collect()
                };
                native::fields(&observed.sketch, all.iter().map(|e| exemplar_message(e, self.view.escaping)))
            };
            let room = NUMBERS
                + BUCKET * (counts.len() + observed.quantiles.len())
                + exemplars.iter().flatten().map(Piece::len).sum::<usize>()
                + native.len();
            self.metric(series, None, room, out, |writer| {
                let message = writer.open(if summary { tag::METRIC_SUMMARY } else { tag::METRIC_HISTOGRAM });
                writer.byte(tag::COUNT);
                writer.varint(observed.count());
                writer.byte(tag::SUM);
                writer.eight(sum.to_le_bytes());
                let mut total = 0u64;
                for (i, (count, bound)) in
                    counts.iter().zip(self.bucket_labels.iter().chain([&self.infinity])).enumerate()
                {
                    total = total.wrapping_add(*count);
                    let exemplar = exemplars.get(i).and_then(Option::as_ref);
                    // The last bucket is told by the count, unless it has an exemplar.
                    if summary || only_native || (i == self.bucket_labels.len() && exemplar.is_none()) {
                        break;
                    }
                    let bucket = writer.open(tag::HISTOGRAM_BUCKET);
                    writer.byte(tag::BUCKET_COUNT);
                    writer.varint(total);
                    writer.piece(bound);
                    if let Some(exemplar) = exemplar {
                        writer.piece(exemplar);
                    }
                    writer.close(bucket);
                }
                writer.piece(&native);
                if summary {
                    for (value, rank) in observed.quantiles.iter().zip(&self.bucket_labels) {
                        let quantile = writer.open(tag::SUMMARY_QUANTILE);
                        writer.piece(rank);
                        writer.eight(value.to_le_bytes());
                        writer.close(quantile);
                    }
                }
                match self.view.kind {
                    Kind::Summary => self.put_began(tag::SUMMARY_CREATED, writer),
                    Kind::Histogram => self.put_began(tag::HISTOGRAM_CREATED, writer),
                    _ => {}
                }
                writer.close(message);
            });
        }
        self.observed = observed;
        sum.is_some()
    }
}

/// Whether its label text has escapes, or is that of an overflow series.
#[inline(always)]
fn is_hard(series: &Series<'_>) -> bool {
    series.escaped || (series.is_embedded() && series.text.len() > 0)
}

/// The exemplars in a series' slots; empty if no slot has one.
fn exemplars(series: &Series<'_>, slots: usize, escaping: Escaping) -> Vec<Option<Piece>> {
    if !series.has_exemplars() {
        return Vec::new();
    }
    (0..slots).map(|i| series.exemplar(i).map(|e| exemplar(tag::BUCKET_EXEMPLAR, &e, escaping))).collect()
}

/// An exemplar as a field.
fn exemplar(tag: u8, exemplar: &Exemplar, escaping: Escaping) -> Piece {
    let mut out = Vec::new();
    field(tag, &exemplar_message(exemplar, escaping), &mut out);
    Piece::new(&out)
}

fn exemplar_message(exemplar: &Exemplar, escaping: Escaping) -> Vec<u8> {
    let mut message = Vec::new();
    for (name, value) in label_set::pairs(exemplar.text()).unwrap_or_default() {
        message.extend_from_slice(&label(&escaping::label(&name, escaping), &value));
    }
    message.push(tag::EXEMPLAR_VALUE);
    message.extend_from_slice(&exemplar.value.to_le_bytes());
    let mut at = Vec::new();
    time(exemplar.at_ms * 1_000_000, &mut at);
    field(tag::EXEMPLAR_TIME, &at, &mut message);
    message
}

fn quantile(rank: f64) -> Piece {
    let mut field = vec![tag::QUANTILE_RANK];
    field.extend_from_slice(&rank.to_le_bytes());
    field.push(tag::QUANTILE_VALUE);
    Piece::new(&field)
}

fn bound(v: f64) -> Piece {
    let mut field = vec![tag::BUCKET_BOUND];
    field.extend_from_slice(&v.to_le_bytes());
    Piece::new(&field)
}

/// A time as a message.
fn time(ns: u64, out: &mut Vec<u8>) {
    out.push(tag::TIME_SECONDS);
    varint(ns / 1_000_000_000, out);
    out.push(tag::TIME_NANOS);
    varint(ns % 1_000_000_000 / 1_000_000 * 1_000_000, out);
}

/// Appends a family of the library's own.
pub(in crate::expose) fn plain(family: &PlainFamily<'_>, out: &mut Vec<u8>) {
    let counter = family.is_counter;
    let mut body = Vec::new();
    begin(&family.full_name(), family.help, u8::from(!counter), &mut body);
    for (labels, v) in &family.samples {
        let mut metric = Vec::new();
        for (name, value) in labels {
            metric.extend_from_slice(&label(name, value));
        }
        let mut value = vec![tag::VALUE];
        value.extend_from_slice(&v.to_le_bytes());
        field(if counter { tag::METRIC_COUNTER } else { tag::METRIC_GAUGE }, &value, &mut metric);
        field(tag::FAMILY_METRIC, &metric, &mut body);
    }
    varint(body.len() as u64, out);
    out.extend_from_slice(&body);
}
