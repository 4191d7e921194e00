//! Pages as prometheus_client writes them, for applications and tests that compare bytes: labels
//! are sorted by name, and numbers are as Python's `repr` writes them, with exponents from 1e+06
//! on.

use std::collections::HashSet;

use shmetrics::Cursor;

use super::sample_line::{pair, parts, plain, quoted_end, Parts};

fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        _ => text.parse().unwrap_or(f64::NAN),
    }
}

/// Appends a number.
fn write_number(text: &str, out: &mut Vec<u8>) {
    let small = text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit());
    if small {
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b".0");
        return;
    }
    write_float(number(text), out);
}

/// A number as prometheus_client writes it.
pub(super) fn number_text(v: f64) -> String {
    let mut out = Vec::new();
    write_float(v, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

fn write_float(v: f64, out: &mut Vec<u8>) {
    if !v.is_finite() {
        let text = if v.is_nan() {
            "NaN"
        } else if v > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        };
        out.extend_from_slice(text.as_bytes());
        return;
    }
    // The shortest digits: d.ddde±x.
    let scientific = format!("{:e}", v.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if v.is_sign_negative() {
        out.push(b'-');
    }
    // prometheus_client writes exponents for positive numbers from 1e+06 on. For others Python's
    // `repr` does so from 1e+16 on.
    let most = if v > 0.0 { 6 } else { 16 };
    if (-4..most).contains(&exponent) {
        let plain = format!("{}", v.abs());
        out.extend_from_slice(plain.as_bytes());
        if !plain.contains('.') {
            out.extend_from_slice(b".0");
        }
        return;
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    // Where the client itself makes the exponent, one zero stands before it, and whole mantissas
    // end in nothing.
    out.extend_from_slice(format!("{mantissa}e{sign}{:02}", exponent.abs()).as_bytes());
}

fn write_labels(mut pieces: Vec<&str>, out: &mut Vec<u8>) {
    let name = |piece: &&str| pair(piece).map(|(name, _)| plain(name).into_owned());
    if pieces.len() > 1 && !pieces.is_sorted_by_key(name) {
        pieces.sort_by_key(name);
    }
    for (i, piece) in pieces.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Renders a page. `names`: the only samples wanted.
pub(crate) fn render(mut cursor: Cursor<'_>, names: Option<Vec<String>>) -> Vec<u8> {
    let wanted = names.map(|names| names.into_iter().collect());
    let mut page = Page { wanted, family: String::new(), head: Vec::new(), out: Vec::with_capacity(64 * 1024) };
    let mut piece = Vec::with_capacity(64 * 1024);
    while cursor.fill(&mut piece) {
        // Pieces end between two series.
        page.add(&String::from_utf8_lossy(&piece));
        piece.clear();
    }
    page.out
}

/// A page, or the part of it that is wanted.
struct Page {
    wanted: Option<HashSet<String>>,
    /// The family of `head`.
    family: String,
    /// The comments of a family that has had no wanted sample yet. Without one it is left out.
    head: Vec<u8>,
    out: Vec<u8>,
}

impl Page {
    fn add(&mut self, text: &str) {
        for line in text.split_inclusive('\n') {
            let line = line.strip_suffix('\n').unwrap_or(line);
            match parts(line) {
                Some(sample) => self.add_sample(sample),
                None => self.add_comment(line),
            }
        }
    }

    fn add_comment(&mut self, line: &str) {
        let out = match family_of(line).filter(|_| self.wanted.is_some()) {
            None => &mut self.out,
            Some(family) => {
                if self.family != family {
                    self.head.clear();
                    family.clone_into(&mut self.family);
                }
                &mut self.head
            }
        };
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }

    fn add_sample(&mut self, Parts { name, labels, value, rest }: Parts<'_>) {
        if self.wanted.as_ref().is_some_and(|w| !w.contains(&*plain(name))) {
            return;
        }
        let out = &mut self.out;
        out.append(&mut self.head);
        let quoted = name.starts_with('"');
        let braces = quoted || !labels.is_empty();
        if quoted {
            out.push(b'{');
        }
        out.extend_from_slice(name.as_bytes());
        if !labels.is_empty() {
            out.push(if quoted { b',' } else { b'{' });
            write_labels(labels, out);
        }
        if braces {
            out.push(b'}');
        }
        out.push(b' ');
        write_number(value, out);
        out.extend_from_slice(rest.as_bytes());
        out.push(b'\n');
    }
}

/// The family of a comment such as `# HELP name ...`; `None` for `# EOF`.
fn family_of(comment: &str) -> Option<&str> {
    let text = comment.splitn(3, ' ').nth(2)?;
    let end = if text.starts_with('"') { quoted_end(text)? } else { text.find(' ').unwrap_or(text.len()) };
    text.get(..end)
}
