//! A page of text read back, for those who want values and not bytes.

/// A line with a sample.
pub(crate) struct Sample<'a> {
    pub(crate) name: &'a str,
    /// In the page's order.
    pub(crate) labels: Vec<(&'a str, std::borrow::Cow<'a, str>)>,
    /// As it stands there.
    pub(crate) value: &'a str,
}

/// Where the label text that begins at `from` ends: at the brace that is in no value.
fn end_of_labels(line: &str, from: usize) -> Option<usize> {
    let bytes = line.as_bytes();
    let (mut at, mut quoted) = (from, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The pieces `name="value"` of a label text.
pub(crate) fn pieces(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let (mut found, mut from, mut at, mut quoted) = (Vec::new(), 0, 0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                found.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    if from < text.len() {
        found.push(&text[from..]);
    }
    found
}

fn unescaped(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            (_, Some('n')) => out.push('\n'),
            (_, Some(c)) => out.push(c),
            (c, None) => out.push(c),
        }
    }
    out.into()
}

/// The parts of a line with a sample: name, label text, value, and the rest. `None` for other lines.
pub(crate) fn parts(line: &str) -> Option<(&str, &str, &str, &str)> {
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(['{', ' '])?;
    let (name, labels, rest) = if line.as_bytes()[end] == b'{' {
        let close = end_of_labels(line, end + 1)?;
        (&line[..end], &line[end + 1..close], line.get(close + 2..)?)
    } else {
        (&line[..end], "", &line[end + 1..])
    };
    let value = rest.find(' ').unwrap_or(rest.len());
    Some((name, labels, &rest[..value], &rest[value..]))
}

pub(crate) fn sample(line: &str) -> Option<Sample<'_>> {
    let (name, labels, value, _) = parts(line)?;
    let labels = pieces(labels)
        .into_iter()
        .map(|piece| {
            let (name, value) = piece.split_once("=\"")?;
            Some((name, unescaped(value.strip_suffix('"')?)))
        })
        .collect::<Option<_>>()?;
    Some(Sample { name, labels, value })
}
