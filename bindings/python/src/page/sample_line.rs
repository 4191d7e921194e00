//! The parts of a line with a sample.

use std::borrow::Cow;

/// The parts of a line with a sample, as they are on the page.
pub(super) struct Parts<'a> {
    /// In quotes, unless it is plain.
    pub(super) name: &'a str,
    pub(super) labels: Vec<&'a str>,
    pub(super) value: &'a str,
    /// The text after the value: an exemplar.
    pub(super) rest: &'a str,
}

/// The pieces between braces, `name="value"` each, and where the closing brace is.
fn pieces(line: &str, from: usize) -> Option<(Vec<&str>, usize)> {
    let bytes = line.as_bytes();
    let (mut found, mut begin, mut at, mut quoted) = (Vec::new(), from, from, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b',' | b'}' if !quoted => {
                if at > begin {
                    found.push(&line[begin..at]);
                }
                begin = at + 1;
                if bytes[at] == b'}' {
                    return Some((found, at));
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The content of a quoted text, or a text without quotes.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    if !text.contains('\\') {
        return text.into();
    }
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            (_, Some('n')) => out.push('\n'),
            (_, Some(c)) | (c, None) => out.push(c),
        }
    }
    out.into()
}

/// Name and value of a piece, with their quotes. A name in quotes may have anything in it.
pub(super) fn pair(piece: &str) -> Option<(&str, &str)> {
    if !piece.starts_with('"') {
        return piece.split_once('=');
    }
    let (name, value) = piece.split_at(quoted_end(piece)?);
    Some((name, value.strip_prefix('=')?))
}

/// Where the text that a text begins with, in quotes, ends.
pub(super) fn quoted_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The parts of a line with a sample. `None` for other lines.
pub(super) fn parts(line: &str) -> Option<Parts<'_>> {
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(['{', ' '])?;
    let (mut name, mut labels, mut rest) = (&line[..end], Vec::new(), &line[end + 1..]);
    if line.as_bytes()[end] == b'{' {
        let close;
        (labels, close) = pieces(line, end + 1)?;
        rest = line.get(close + 2..)?;
        if name.is_empty() {
            name = labels.first().copied()?;
            labels.remove(0);
        }
    }
    let value = rest.find(' ').unwrap_or(rest.len());
    Some(Parts { name, labels, value: &rest[..value], rest: &rest[value..] })
}
