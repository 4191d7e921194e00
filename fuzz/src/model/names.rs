//! How pages write names, in each escaping, and which names clash.

use super::kind::Kind;

pub(super) fn is_name(name: &str, colons: bool) -> bool {
    name.bytes()
        .enumerate()
        .all(|(i, b)| b.is_ascii_alphabetic() || b == b'_' || (colons && b == b':') || (i > 0 && b.is_ascii_digit()))
        && !name.is_empty()
}

/// Whether anything may be called so.
pub(super) fn is_any_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_control() || c == '\u{2028}' || c == '\u{2029}')
}

/// What pages do with names that are not plain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Way {
    Quotes,
    Underscores,
    Dots,
    Values,
}

pub(super) const WAYS: [Way; 4] = [Way::Quotes, Way::Underscores, Way::Dots, Way::Values];

/// A name as pages have it, without quotes; `colons`: a metric's.
pub(super) fn escaped(name: &str, way: Way, colons: bool) -> String {
    if way == Way::Quotes || is_name(name, colons) {
        return name.to_owned();
    }
    let mut out = String::from(if way == Way::Values { "U__" } else { "" });
    for (i, c) in name.chars().enumerate() {
        let plain = c.is_ascii_alphabetic() || c == '_' || (colons && c == ':') || (i > 0 && c.is_ascii_digit());
        match way {
            Way::Dots | Way::Values if c == '_' => out.push_str("__"),
            Way::Dots if c == '.' => out.push_str("_dot_"),
            _ if plain => out.push(c),
            Way::Dots => out.push_str("__"),
            Way::Values => out.push_str(&format!("_{:x}_", u32::from(c))),
            _ => out.push('_'),
        }
    }
    out
}

/// A family's name on pages without its suffix, which is escaped with it.
pub(super) fn shown(base: &str, kind: Kind, way: Way) -> String {
    let full = escaped(&format!("{base}{}", kind.suffix()), way, true);
    full[..full.len() - kind.suffix().len()].to_owned()
}

/// A label's name on all pages.
pub(super) fn forms(label: &str) -> [String; 4] {
    WAYS.map(|way| escaped(label, way, false))
}

/// Whether two labels' names would be one on some page.
pub(super) fn meet(a: &[String; 4], b: &[String; 4]) -> bool {
    a.iter().zip(b).any(|(a, b)| a == b)
}

/// All sample names of a family, in every format there is, with names escaped in each way.
pub(super) fn exposed(base: &str, kind: Kind) -> Vec<(usize, String)> {
    let suffixes: &[&str] = match kind {
        Kind::Counter => &["", "_total", "_created"],
        Kind::Histogram => &["", "_bucket", "_count", "_sum", "_created"],
        Kind::GaugeHistogram => &["", "_bucket", "_count", "_sum", "_gcount", "_gsum"],
        Kind::Summary => &["", "_count", "_sum", "_created"],
        Kind::Info => &["", "_info"],
        Kind::Gauge(_) | Kind::Unknown | Kind::StateSet | Kind::Enum => &[""],
    };
    let names = |(way, base): (usize, String)| suffixes.iter().map(move |s| (way, format!("{base}{s}")));
    WAYS.iter().map(|way| shown(base, kind, *way)).enumerate().flat_map(names).collect()
}
