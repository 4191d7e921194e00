//! Reads pages and says what the crate `openmetrics-parser` finds on them, a line of JSON for each.
//!
//! A page is `text LENGTH` or `openmetrics LENGTH` on a line, and its bytes.

use std::fmt::Write as _;
use std::io::{BufRead, Read, Write};

use openmetrics_parser::{
    HistogramValue, MetricNumber, OpenMetricsValue, PrometheusValue, RenderableMetricValue, Sample, SummaryValue,
};

fn json(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if !(' '..='~').contains(&c) => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|u| write!(out, "\\u{u:04x}").unwrap())
            }
            c => out.push(c),
        }
    }
    out + "\""
}

/// What was found, as `[name, labels, value]`. Numbers are strings, for those that JSON does not
/// have.
#[derive(Default)]
struct Found {
    samples: Vec<String>,
    created: Vec<String>,
    families: Vec<String>,
}

impl Found {
    fn triple(name: &str, labels: &[(String, String)], value: f64) -> String {
        let pairs: Vec<String> = labels.iter().map(|(k, v)| format!("[{},{}]", json(k), json(v))).collect();
        format!("[{},[{}],\"{value:e}\"]", json(name), pairs.join(","))
    }

    fn sample(&mut self, name: &str, labels: &[(String, String)], value: &MetricNumber) {
        self.samples.push(Self::triple(name, labels, value.as_f64()));
    }

    fn created(&mut self, name: &str, labels: &[(String, String)], at: Option<f64>) {
        self.created.extend(at.map(|at| Self::triple(name, labels, at)));
    }

    fn counted(&mut self, name: &str, labels: &[(String, String)], sum: Option<MetricNumber>, count: Option<u64>) {
        sum.iter().for_each(|sum| self.sample(&format!("{name}_sum"), labels, sum));
        let count = count.map(|n| Self::triple(&format!("{name}_count"), labels, n as f64));
        self.samples.extend(count);
    }

    fn histogram(&mut self, name: &str, labels: &[(String, String)], h: &HistogramValue) {
        for bucket in &h.buckets {
            let le = ("le".to_owned(), format!("{:e}", bucket.upper_bound));
            self.sample(&format!("{name}_bucket"), &[labels, &[le]].concat(), &bucket.count);
        }
        self.counted(name, labels, h.sum, h.count);
        self.created(name, labels, h.created);
    }

    fn summary(&mut self, name: &str, labels: &[(String, String)], s: &SummaryValue) {
        for q in &s.quantiles {
            self.sample(name, &[labels, &[("quantile".to_owned(), format!("{:e}", q.quantile))]].concat(), &q.value);
        }
        self.counted(name, labels, s.sum, s.count);
        self.created(name, labels, s.created);
    }

    fn line(&self) -> String {
        let [s, c, f] = [&self.samples, &self.created, &self.families].map(|list| list.join(","));
        format!("{{\"samples\":[{s}],\"created\":[{c}],\"families\":[{f}]}}")
    }
}

fn labels<V: RenderableMetricValue + Clone>(sample: &Sample<V>) -> Vec<(String, String)> {
    let set = sample.get_labelset().expect("samples of a page have their labels' names");
    set.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn openmetrics(page: &str) -> Result<Found, String> {
    let mut found = Found::default();
    for (name, family) in openmetrics_parser::openmetrics::parse_openmetrics(page).map_err(|e| e.to_string())?.families
    {
        let about = [&name, &family.family_type.to_string(), &family.help, &family.unit].map(|text| json(text));
        found.families.push(format!("[{}]", about.join(",")));
        for sample in family.iter_samples() {
            let labels = labels(sample);
            match &sample.value {
                OpenMetricsValue::Unknown(v) | OpenMetricsValue::Gauge(v) | OpenMetricsValue::StateSet(v) => {
                    found.sample(&name, &labels, v);
                }
                OpenMetricsValue::Counter(c) => {
                    found.sample(&format!("{name}_total"), &labels, &c.value);
                    found.created(&name, &labels, c.created);
                }
                OpenMetricsValue::Histogram(h) | OpenMetricsValue::GaugeHistogram(h) => {
                    found.histogram(&name, &labels, h)
                }
                OpenMetricsValue::Info => found.sample(&format!("{name}_info"), &labels, &MetricNumber::Int(1)),
                OpenMetricsValue::Summary(s) => found.summary(&name, &labels, s),
            }
        }
    }
    Ok(found)
}

fn text(page: &str) -> Result<Found, String> {
    let mut found = Found::default();
    for (name, family) in openmetrics_parser::prometheus::parse_prometheus(page).map_err(|e| e.to_string())?.families {
        let about = [&name, &family.family_type.to_string(), &family.help].map(|text| json(text));
        found.families.push(format!("[{}]", about.join(",")));
        for sample in family.iter_samples() {
            let labels = labels(sample);
            match &sample.value {
                PrometheusValue::Unknown(v) | PrometheusValue::Gauge(v) => found.sample(&name, &labels, v),
                PrometheusValue::Counter(c) => found.sample(&name, &labels, &c.value),
                PrometheusValue::Histogram(h) => found.histogram(&name, &labels, h),
                PrometheusValue::Summary(s) => found.summary(&name, &labels, s),
            }
        }
    }
    Ok(found)
}

fn main() -> std::io::Result<()> {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let (format, length) = line.trim_end().split_once(' ').expect("a format and a length");
        let mut page = vec![0; length.parse().expect("a length")];
        input.read_exact(&mut page)?;
        let page = String::from_utf8(page).expect("UTF-8");
        let found = if format == "text" { text(&page) } else { openmetrics(&page) };
        let said = found.map_or_else(|error| format!("{{\"error\":{}}}", json(&error)), |found| found.line());
        writeln!(output, "{said}")?;
        output.flush()?;
        line.clear();
    }
    Ok(())
}
