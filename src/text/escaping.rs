//! Names outside of `[a-zA-Z_:][a-zA-Z0-9_:]*` (a label's without the colon): in quotes where a
//! page can have them so, and escaped where not, as `EscapeName` and `EscapeMetricFamily` of
//! Prometheus' `common/model` and `expfmt` do, and its Python client. What is legal without quotes
//! stays as it is on every page.

use std::borrow::Cow;

use crate::kind::Kind;

/// What becomes of names that are not letters, digits and `_` (and, a metric's, `:`). All others
/// stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Escaping {
    /// Each such character becomes `_`.
    #[default]
    Underscores,
    /// In such a name dots become `_dot_`, underscores `__`, and each other such character `__`.
    Dots,
    /// `U__` in front, underscores become `__`, and each such character its code point between
    /// underscores.
    Values,
    /// They stay, in quotes.
    AllowUtf8,
}

/// What pages do with names.
static WAYS: [Escaping; 4] = [Escaping::AllowUtf8, Escaping::Underscores, Escaping::Dots, Escaping::Values];

fn legal(name: &str, colons: bool) -> bool {
    let mut bytes = name.bytes();
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_' || (colons && b == b':');
    bytes.next().is_some_and(first) && bytes.all(|b| first(b) || b.is_ascii_digit())
}

/// Whether a label's name needs no quotes.
pub(crate) fn is_label(name: &str) -> bool {
    legal(name, false)
}

/// Whether a metric's name needs no quotes.
pub(crate) fn is_metric(name: &str) -> bool {
    legal(name, true)
}

/// Appends a label value with `\`, `"` and newline escaped. True if there was anything to escape.
pub(crate) fn escape_value(value: &str, out: &mut Vec<u8>) -> bool {
    let before = out.len();
    escape_to(value.as_bytes(), |piece| out.extend_from_slice(piece));
    out.len() - before > value.len()
}

/// Gives an escaped value piece by piece.
pub(crate) fn escape_to(value: &[u8], mut put: impl FnMut(&[u8])) {
    let mut rest = value;
    while let Some(at) = rest.iter().position(|b| is_escaped(*b)) {
        put(&rest[..at]);
        put(match rest[at] {
            b'\n' => b"\\n",
            b'"' => b"\\\"",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    put(rest);
}

pub(crate) fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'\\' | b'"' | b'\n')
}

/// What a name is the name of.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    Metric,
    Label,
}

/// The name of the scheme, as scrapers send it.
pub(crate) fn word(escaping: Escaping) -> &'static str {
    match escaping {
        Escaping::Underscores => "underscores",
        Escaping::Dots => "dots",
        Escaping::Values => "values",
        Escaping::AllowUtf8 => "allow-utf-8",
    }
}

/// Whether a name can be one at all. Control characters and other line ends are no part of any name
/// on purpose, and some scrapers take them for the end of a line.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
}

fn is_plain(name: &str, of: Of) -> bool {
    match of {
        Of::Metric => is_metric(name),
        Of::Label => is_label(name),
    }
}

/// The characters of a name that is not legal by itself, escaped.
fn escaped(name: &str, escaping: Escaping, of: Of) -> impl Iterator<Item = char> + '_ {
    let head = if escaping == Escaping::Values { "U__" } else { "" };
    head.chars().chain(name.chars().enumerate().flat_map(move |(i, c)| {
        let legal = match c {
            'a'..='z' | 'A'..='Z' | '_' => true,
            '0'..='9' => i > 0,
            ':' => of == Of::Metric,
            _ => false,
        };
        let mut piece = ['_'; 8];
        let len = match (escaping, c) {
            (Escaping::AllowUtf8, _) => keep(&mut piece, c),
            (Escaping::Underscores, _) if legal => keep(&mut piece, c),
            (Escaping::Underscores, _) => 1,
            (_, '_') => 2,
            (Escaping::Dots, '.') => {
                piece[1..4].copy_from_slice(&['d', 'o', 't']);
                5
            }
            _ if legal => keep(&mut piece, c),
            (Escaping::Dots, _) => 2,
            (Escaping::Values, _) => {
                let digits = 8 - ((u32::from(c) | 1).leading_zeros() as usize / 4);
                (0..digits).for_each(|d| {
                    piece[1 + d] = char::from_digit(u32::from(c) >> (4 * (digits - 1 - d)) & 0xf, 16).unwrap_or('_');
                });
                digits + 2
            }
        };
        piece.into_iter().take(len)
    }))
}

fn keep(piece: &mut [char; 8], c: char) -> usize {
    piece[0] = c;
    1
}

fn escape(name: &str, escaping: Escaping, of: Of) -> Cow<'_, str> {
    if escaping == Escaping::AllowUtf8 || is_plain(name, of) {
        return name.into();
    }
    escaped(name, escaping, of).collect::<String>().into()
}

/// A label's name as a page has it, without quotes.
pub(crate) fn label(name: &str, escaping: Escaping) -> Cow<'_, str> {
    escape(name, escaping, Of::Label)
}

/// A metric's name as a page has it, without quotes, where its kind has no suffix.
pub(crate) fn exact(name: &str, escaping: Escaping) -> Cow<'_, str> {
    escape(name, escaping, Of::Metric)
}

/// A family's name as a page has it, without quotes, and without the suffix of its kind. What is
/// escaped is the name with it, so that a counter's samples are called the same on all pages.
pub(crate) fn family(base: &str, kind: Kind, escaping: Escaping) -> Cow<'_, str> {
    if escaping == Escaping::AllowUtf8 || is_metric(base) {
        return base.into();
    }
    let suffix = kind.suffix();
    let mut name: String = escaped(&format!("{base}{suffix}"), escaping, Of::Metric).collect();
    name.truncate(name.len() - suffix.len());
    name.into()
}

fn quoted(name: &str) -> String {
    let mut text = b"\"".to_vec();
    escape_value(name, &mut text);
    text.push(b'"');
    String::from_utf8_lossy(&text).into_owned()
}

/// A metric's name as a line has it: in quotes unless it is legal without.
pub(crate) fn metric_on_line(name: &str) -> Cow<'_, str> {
    if is_metric(name) {
        name.into()
    } else {
        quoted(name).into()
    }
}

/// A label's name as a line, and the segment, has it.
pub(crate) fn label_on_line(name: &str) -> Cow<'_, str> {
    if is_label(name) {
        name.into()
    } else {
        quoted(name).into()
    }
}

/// Back from the line.
pub(crate) fn label_from_line(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else { return text.into() };
    if !inner.contains('\\') {
        return inner.into();
    }
    let (mut name, mut chars) = (String::new(), inner.chars());
    while let Some(c) = chars.next() {
        name.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some(c) => c,
                None => break,
            },
            c => c,
        });
    }
    name.into()
}

/// How two different names of labels become one, if they do. Without allocation.
pub(crate) fn same_labels(a: &str, b: &str) -> Option<&'static str> {
    if is_label(a) && is_label(b) {
        return None;
    }
    let chars = |name, escaping| {
        // What is legal stays.
        let escaping = if is_label(name) { Escaping::AllowUtf8 } else { escaping };
        escaped(name, escaping, Of::Label)
    };
    WAYS.into_iter().find(|way| chars(a, *way).eq(chars(b, *way))).map(word)
}

/// The ways in which pages may have these names: one, if both are legal.
pub(crate) fn ways(a: &str, b: &str) -> &'static [Escaping] {
    if is_metric(a) && is_metric(b) {
        &WAYS[..1]
    } else {
        &WAYS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;
    use Escaping::{AllowUtf8, Dots, Underscores, Values};

    /// What prometheus/common and client_python make of them.
    #[test]
    fn item_70_names_as_others_escape_them() {
        for (name, underscores, dots, values) in [
            ("a-b.c_d", "a_b_c_d", "a__b_dot_c__d", "U__a_2d_b_2e_c__d"),
            ("1a", "_a", "__a", "U___31_a"),
            ("é", "_", "__", "U___e9_"),
            ("日本", "__", "____", "U___65e5__672c_"),
            ("🦀x", "_x", "__x", "U___1f980_x"),
            ("no:escaping_required", "no:escaping_required", "no:escaping_required", "no:escaping_required"),
            (
                "mysystem.prod.west.cpu.load",
                "mysystem_prod_west_cpu_load",
                "mysystem_dot_prod_dot_west_dot_cpu_dot_load",
                "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load",
            ),
            ("http.status:sum", "http_status:sum", "http_dot_status:sum", "U__http_2e_status:sum"),
            ("label with 😱", "label_with__", "label__with____", "U__label_20_with_20__1f631_"),
            ("花火", "__", "____", "U___82b1__706b_"),
        ] {
            let of = |escaping| family(name, Kind::Gauge, escaping);
            assert_eq!([of(Underscores), of(Dots), of(Values), of(AllowUtf8)], [underscores, dots, values, name]);
        }
        for (name, underscores, dots, values) in [("a:b", "a_b", "a__b", "U__a_3a_b"), ("a_b", "a_b", "a_b", "a_b")] {
            let of = |escaping| label(name, escaping);
            assert_eq!([of(Underscores), of(Dots), of(Values), of(AllowUtf8)], [underscores, dots, values, name]);
        }
    }

    /// The name of the sample is what is escaped.
    #[test]
    fn suffixes_are_escaped_with_the_name() {
        assert_eq!(family("a.b", Kind::Counter, Values), "U__a_2e_b_");
        assert_eq!(family("a.b", Kind::Info, Dots), "a_dot_b_");
        assert_eq!(family("a.b", Kind::Counter, Underscores), "a_b");
        assert_eq!(family("a_b", Kind::Counter, Values), "a_b");
    }

    #[test]
    fn collisions() {
        for (a, b, how) in [
            ("a.b", "a_b", Some("underscores")),
            ("a.b", "a-b", Some("underscores")),
            ("a-b", "a__b", Some("dots")),
            ("a.b", "U__a_2e_b", Some("values")),
            ("a.b", "a_dot_b", Some("dots")),
            ("a.b", "a.c", None),
            ("a_b", "a__b", None),
        ] {
            assert_eq!(same_labels(a, b), how, "{a} {b}");
            assert_eq!(same_labels(b, a), how, "{b} {a}");
        }
    }

    proptest::proptest! {
        #[test]
        fn lines_and_back(name in "[a.\\\\\"é:_ =,{}n]{1,12}") {
            assert_eq!(label_from_line(&label_on_line(&name)), name);
        }

        /// Whatever it is, it is legal then, and the same name is never made of less.
        #[test]
        fn every_name_becomes_a_legal_one(name in "\\PC{1,12}") {
            for way in [Underscores, Dots, Values] {
                assert!(is_label(&label(&name, way)), "{way:?}: {name:?}");
                assert!(is_metric(&escape(&name, way, Of::Metric)), "{way:?}: {name:?}");
            }
        }
    }
}
