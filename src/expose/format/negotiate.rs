//! The `Accept` and `Accept-Encoding` headers (RFC 9110, 12.5), as scrapers send them.

use super::exposition::{Exposition, Format};
use crate::text::escaping::Escaping;

/// A clause of such a header: `type;parameter=value;q=0.5`.
struct Clause<'a> {
    what: &'a str,
    parameters: &'a str,
    /// In thousandths. What is no weight (Prometheus 2.49.0 sent `q=2` for "anything else") is
    /// wanted least.
    weight: u16,
}

fn clauses(header: &str) -> impl Iterator<Item = Clause<'_>> {
    header.split(',').filter_map(|clause| {
        let (what, parameters) = clause.split_once(';').unwrap_or((clause, ""));
        let clause = Clause { what: what.trim(), parameters, weight: 1000 };
        let weight = clause.parameter("q").map_or(1000, |q| match q.parse::<f32>() {
            Ok(q) if (0.0..=1.0).contains(&q) => (q * 1000.0) as u16,
            _ => 1,
        });
        (weight > 0).then_some(Clause { weight, ..clause })
    })
}

impl<'a> Clause<'a> {
    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.split(';').find_map(|p| {
            let (key, value) = p.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
        })
    }

    fn is(&self, what: &str) -> bool {
        self.what.eq_ignore_ascii_case(what)
    }

    /// The format of this library that the entry accepts.
    fn format(&self) -> Option<Format> {
        let version = self.parameter("version");
        if self.is("application/openmetrics-text") {
            return match version {
                None | Some("0.0.1" | "1.0.0") => Some(Format::OpenMetrics),
                Some("2.0.0" | "2.0.0-rc0") => Some(Format::OpenMetrics2),
                _ => None,
            };
        }
        if self.is("application/vnd.google.protobuf") {
            let right = |name, value: &str| self.parameter(name).is_some_and(|v| v.eq_ignore_ascii_case(value));
            return (right("proto", "io.prometheus.client.MetricFamily") && right("encoding", "delimited"))
                .then_some(Format::Protobuf);
        }
        if self.is("text/plain") {
            return match version {
                None | Some("0.0.4") => Some(Format::Text),
                Some("1.0.0") => Some(Format::Text1),
                _ => None,
            };
        }
        (self.is("*/*") || self.is("text/*")).then_some(Format::Text)
    }

    fn escaping(&self) -> Option<Escaping> {
        match self.parameter("escaping")? {
            "allow-utf-8" => Some(Escaping::AllowUtf8),
            "dots" => Some(Escaping::Dots),
            "values" => Some(Escaping::Values),
            "underscores" => Some(Escaping::Underscores),
            _ => None,
        }
    }
}

/// The first of the greatest.
fn best<'a, T>(header: &'a str, ours: impl Fn(&Clause<'a>) -> Option<T>) -> Option<(Clause<'a>, T)> {
    let mut best: Option<(Clause<'a>, T)> = None;
    for clause in clauses(header) {
        if best.as_ref().is_none_or(|(b, _)| clause.weight > b.weight) {
            if let Some(what) = ours(&clause) {
                best = Some((clause, what));
            }
        }
    }
    best
}

impl Exposition {
    /// What to answer to a scraper that sends this `Accept` header; an empty one if it sends none.
    ///
    /// If several formats have the highest `q`, the result is the first of them. Unknown types,
    /// versions and parameters are passed over. The call never fails: without anything better the
    /// answer is text 0.0.4.
    pub fn negotiate(accept: &str) -> Self {
        negotiate(accept)
    }
}

fn negotiate(accept: &str) -> Exposition {
    let Some((clause, format)) = best(accept, Clause::format) else { return Exposition::default() };
    let exposition = Exposition::new(format);
    clause.escaping().map_or(exposition, |escaping| exposition.with_escaping(escaping))
}

/// Whether to compress the answer to a request with this `Accept-Encoding` header: gzip is named,
/// and not less wanted than an answer as it is. Then send `Content-Encoding: gzip`; and `Vary:
/// Accept, Accept-Encoding` in any case.
pub fn accepts_gzip(accept_encoding: &str) -> bool {
    let weight = |coding: &str| {
        let named = clauses(accept_encoding).filter(|c| c.is(coding));
        named.map(|c| c.weight).max()
    };
    let gzip = weight("gzip").or_else(|| weight("x-gzip"));
    gzip.is_some_and(|gzip| gzip >= weight("identity").unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Escaping::{AllowUtf8, Underscores, Values};
    use Format::{OpenMetrics, OpenMetrics2, Protobuf, Text, Text1};

    const PROTO: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

    fn check(cases: &[(&str, Format, Escaping)]) {
        for (accept, format, escaping) in cases {
            let found = Exposition::negotiate(accept);
            assert_eq!((found.format(), found.escaping()), (*format, *escaping), "{accept}");
        }
    }

    #[test]
    fn item_66_what_scrapers_really_send() {
        let proto = |rest: &str| format!("{PROTO}{rest}");
        check(&[
            // Prometheus 2.42, by default and with native histograms.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
                Underscores,
            ),
            (
                &proto(
                    ",application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,\
                     text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                ),
                Protobuf,
                Underscores,
            ),
            // 2.49 to 2.55, and 2.49.0 with its mistake.
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
                Underscores,
            ),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=2",
                OpenMetrics,
                Underscores,
            ),
            // 3.5, by default, with native histograms, with other settings.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
                AllowUtf8,
            ),
            (
                &proto(
                    ";q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                     text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                ),
                Protobuf,
                Underscores,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=values;q=0.6,text/plain;version=0.0.4;q=0.3",
                OpenMetrics,
                Values,
            ),
            ("text/plain;version=0.0.4;q=0.6,*/*;q=0.5", Text, Underscores),
            ("text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.5", Text1, AllowUtf8),
            // 3.0 to 3.3 name an escaping everywhere; 0.0.4 has no quoted names all the same.
            (&proto(";escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;escaping=allow-utf-8;q=0.3"), Protobuf, AllowUtf8),
            ("text/plain;version=0.0.4;escaping=allow-utf-8;q=0.6", Text, Underscores),
            // Before 2.26; VictoriaMetrics; Datadog; Telegraf.
            (
                "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
                Underscores,
            ),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Text, Underscores),
            ("text/plain", Text, Underscores),
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1",
                OpenMetrics,
                Underscores,
            ),
            (&proto(";q=0.7,text/plain;version=0.0.4;q=0.3"), Protobuf, Underscores),
            // curl, and browsers.
            ("*/*", Text, Underscores),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", Text, Underscores),
        ]);
    }

    #[test]
    fn item_67_weights_and_what_is_missing() {
        check(&[
            ("", Text, Underscores),
            (",;q=,=", Text, Underscores),
            ("application/json", Text, Underscores),
            ("application/openmetrics-text;q=0,text/plain;q=0.1", Text, Underscores),
            ("application/openmetrics-text;version=1.0.0;q=0", Text, Underscores),
            ("text/plain;q=0.4, APPLICATION/OpenMetrics-Text; Version=\"1.0.0\" ; Q=0.5", OpenMetrics, Underscores),
            ("application/openmetrics-text;version=1.0.0;q=1.5,text/plain;q=0.1", Text, Underscores),
            ("application/openmetrics-text;charset=utf-8;x;version=1.0.0;y=z", OpenMetrics, Underscores),
            ("application/openmetrics-text;version=9.0.0,text/plain;q=0.1", Text, Underscores),
            ("application/vnd.google.protobuf,text/plain;q=0.1", Text, Underscores),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
                Text,
                Underscores,
            ),
            ("application/openmetrics-text;escaping=sideways", OpenMetrics, Underscores),
        ]);
    }

    #[test]
    fn item_69_openmetrics_2_only_for_who_asks() {
        check(&[
            (
                "application/openmetrics-text;version=2.0.0,application/openmetrics-text;version=1.0.0;q=0.9",
                OpenMetrics2,
                Underscores,
            ),
            ("application/openmetrics-text,*/*", OpenMetrics, Underscores),
        ]);
    }

    #[test]
    fn item_68_content_types() {
        let negotiated = |accept| Exposition::negotiate(accept).content_type();
        assert_eq!(negotiated(""), "text/plain; version=0.0.4; charset=utf-8");
        assert_eq!(
            negotiated("text/plain;version=1.0.0;escaping=allow-utf-8"),
            "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
        );
        assert_eq!(
            negotiated("text/plain;version=0.0.4;escaping=allow-utf-8"),
            "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
        );
        assert_eq!(
            negotiated(PROTO),
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
        );
        assert_eq!(
            Exposition::new(OpenMetrics2).with_escaping(Escaping::Dots).content_type(),
            "application/openmetrics-text; version=2.0.0; charset=utf-8; escaping=dots"
        );
    }

    #[test]
    fn item_72_gzip_only_if_offered() {
        for yes in [
            "gzip",
            "gzip, deflate, br",
            "deflate;q=0.9, gzip;q=0.5",
            "x-gzip",
            "GZIP;q=1.0",
            "gzip;q=0.5,identity;q=0.5",
        ] {
            assert!(accepts_gzip(yes), "{yes}");
        }
        for no in ["", "identity", "br", "gzip;q=0", "gzip;q=0.1, identity", "*;q=0"] {
            assert!(!accepts_gzip(no), "{no}");
        }
    }

    /// Headers of what headers are made of, in any order, and of anything at all.
    fn any_header() -> impl proptest::strategy::Strategy<Value = String> {
        let pieces = r"(text/plain|application/openmetrics-text|application/vnd.google.protobuf|\*/\*|;|,|=| |q|version|escaping|proto|encoding|0\.0\.4|1\.0\.0|2\.0\.0|dots|allow-utf-8|io\.prometheus\.client\.MetricFamily|delimited|gzip|identity|[0-9.]{1,3}|\PC){0,40}";
        proptest::prop_oneof![pieces, "[\\x00-\\u{2fff}]{0,60}"]
    }

    proptest::proptest! {
        #[test]
        fn items_67_68_69_any_header_has_an_answer_that_is_what_it_says(header in any_header()) {
            let answer = negotiate(&header);
            let again = negotiate(answer.content_type());
            assert_eq!((again.format(), again.content_type()), (answer.format(), answer.content_type()), "{header:?}");
            assert!(answer.format() != OpenMetrics2 || header.contains("2.0.0"), "{header:?}");
            assert!(answer.format() != Protobuf || header.contains("protobuf"), "{header:?}");
            assert!(!accepts_gzip(&header) || header.contains("gzip"), "{header:?}");
        }
    }
}
