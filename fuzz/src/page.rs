//! A parser of the text format 0.0.4, written from its description and stricter: nothing is skipped
//! that another parser might stumble over.

use std::collections::HashSet;

/// A family as a page has it.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: String,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    /// The value as the page writes it.
    pub(crate) value: String,
}

type Result<T> = std::result::Result<T, String>;

fn legal(name: &str, colons: bool) -> bool {
    let ok = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    !name.is_empty() && name.chars().all(ok) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// Takes `\\`, `\n` and (in label values) `\"` apart.
fn unescape(text: &str, quotes: bool, wrong: bool) -> Result<String> {
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = chars.next() {
        out.push(match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('\\')) => '\\',
            ('\\', Some('n')) if wrong && quotes => 'n',
            ('\\', Some('n')) => '\n',
            ('\\', Some('"')) if quotes => '"',
            ('\\', _) => return Err(format!("an unknown escape in {text:?}")),
            ('"', _) if quotes => return Err(format!("a bare quote in {text:?}")),
            (c, _) => c,
        });
    }
    Ok(out)
}

/// A number as every parser reads it: `NaN`, `+Inf`, `-Inf`, or decimal digits with a point and an
/// exponent at most.
pub(crate) fn number(text: &str) -> Result<f64> {
    match text {
        "NaN" => return Ok(f64::NAN),
        "+Inf" => return Ok(f64::INFINITY),
        "-Inf" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if ![whole, fraction, exponent].into_iter().all(digits) {
        return Err(format!("{text:?} is no number"));
    }
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn sample(line: &str, wrong: bool) -> Result<Sample> {
    let bad = |what: &str| format!("{what}: {line:?}");
    let end = line.find(['{', ' ']).ok_or_else(|| bad("no value"))?;
    let (name, mut rest) = line.split_at(end);
    let mut labels: Vec<(String, String)> = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or_else(|| bad("no label"))?;
            if !legal(label, false) {
                return Err(bad("an illegal label name"));
            }
            if labels.iter().any(|(l, _)| l == label) {
                return Err(bad("a label twice"));
            }
            let mut escaped = false;
            let end = after.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            let (value, after) = after.split_at(end.ok_or_else(|| bad("no closing quote"))?);
            labels.push((label.to_owned(), unescape(value, true, wrong)?));
            rest = &after[1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').ok_or_else(|| bad("no closing brace"))?;
    }
    let value = rest.strip_prefix(' ').ok_or_else(|| bad("no space before the value"))?;
    if !legal(name, true) {
        return Err(bad("an illegal name"));
    }
    number(value)?;
    Ok(Sample { name: name.to_owned(), labels, value: value.to_owned() })
}

/// Parses a whole page.
pub(crate) fn parse(page: &[u8]) -> Result<Vec<Family>> {
    parse_by(false, page)
}

/// As `parse`; with a wrong rule for the negative control.
pub(crate) fn parse_by(wrong: bool, page: &[u8]) -> Result<Vec<Family>> {
    let page = std::str::from_utf8(page).map_err(|e| e.to_string())?;
    let body = page.strip_suffix('\n').ok_or("no line break at the end")?;
    let (mut families, mut help) = (Vec::<Family>::new(), None::<(String, String)>);
    for line in body.split('\n') {
        let bad = |what: &str| format!("{what}: {line:?}");
        if let Some(comment) = line.strip_prefix("# HELP ") {
            let (name, text) = comment.split_once(' ').ok_or_else(|| bad("no help"))?;
            if help.replace((name.to_owned(), unescape(text, false, wrong)?)).is_some() {
                return Err(bad("a HELP without its TYPE before it"));
            }
        } else if let Some(comment) = line.strip_prefix("# TYPE ") {
            let (name, kind) = comment.split_once(' ').ok_or_else(|| bad("no type"))?;
            if !["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind) || !legal(name, true) {
                return Err(bad("an unknown type or an illegal name"));
            }
            if families.iter().any(|f| f.name == name) {
                return Err(bad("a family twice"));
            }
            let help = match help.take() {
                Some((of, _)) if of != name => return Err(bad("the HELP before it is another family's")),
                help => help.map(|(_, text)| text).unwrap_or_default(),
            };
            families.push(Family { name: name.to_owned(), help, kind: kind.to_owned(), samples: Vec::new() });
        } else {
            let sample = sample(line, wrong)?;
            let family = families.last_mut().filter(|_| help.is_none()).ok_or_else(|| bad("no TYPE before it"))?;
            let suffix = sample.name.strip_prefix(&family.name).ok_or_else(|| bad("it is not its family's"))?;
            let allowed: &[&str] = match &*family.kind {
                "histogram" => &["_bucket", "_sum", "_count"],
                "summary" if sample.labels.last().is_some_and(|(name, _)| name == "quantile") => &[""],
                "summary" => &["_sum", "_count"],
                _ => &[""],
            };
            if !allowed.contains(&suffix) {
                return Err(bad("it is not its family's"));
            }
            family.samples.push(sample);
        }
    }
    if help.is_some() {
        return Err("a HELP without a TYPE ends the page".into());
    }
    families.iter().try_for_each(check)?;
    Ok(families)
}

/// Checks that a page in this format (as C numbers them) is whole.
pub(crate) fn check_whole(format: u32, page: &[u8]) {
    let text = String::from_utf8_lossy(page);
    match format {
        0 | 1 => drop(parse(page).unwrap_or_else(|e| panic!("{e}\n{text}"))),
        2 | 3 => {
            assert!(std::str::from_utf8(page).is_ok() && text.matches("\n# EOF\n").count() == 1, "{text}");
            check_end(format, page);
        }
        _ => check_end(format, page),
    }
}

/// Checks that a page in OpenMetrics or protobuf has its end. One of a damaged segment may have any
/// bytes before it.
pub(crate) fn check_end(format: u32, page: &[u8]) {
    match format {
        2 | 3 => assert!(page.ends_with(b"\n# EOF\n"), "{}", String::from_utf8_lossy(page)),
        _ => messages(page),
    }
}

/// Messages are as long as the varints before them say.
fn messages(mut rest: &[u8]) {
    while !rest.is_empty() {
        let (mut len, mut shift) = (0usize, 0);
        loop {
            let (byte, after) = rest.split_first().expect("a length ends");
            len |= usize::from(byte & 0x7f) << shift;
            (rest, shift) = (after, shift + 7);
            if byte & 0x80 == 0 {
                break;
            }
        }
        rest = rest.get(len..).expect("a message is as long as it says");
    }
}

/// What must be true of a family as a whole.
fn check(family: &Family) -> Result<()> {
    let mut seen = HashSet::new();
    for sample in &family.samples {
        let mut labels: Vec<_> = sample.labels.iter().collect();
        labels.sort();
        if !seen.insert((&sample.name, labels)) {
            return Err(format!("a series twice: {sample:?}"));
        }
    }
    match &*family.kind {
        "counter" => {
            let falls = |s: &Sample| !number(&s.value).is_ok_and(|v| v >= 0.0);
            if !family.name.ends_with("_total") || family.samples.iter().any(falls) {
                return Err(format!("no counter: {family:?}"));
            }
        }
        "histogram" => histogram(family)?,
        _ => {}
    }
    Ok(())
}

/// Buckets rise in bound and count up to `+Inf`, which is the count.
fn histogram(family: &Family) -> Result<()> {
    let mut samples = family.samples.iter().peekable();
    while samples.peek().is_some() {
        let bad = |what: &str| format!("{what} in {}", family.name);
        let (mut bound, mut count, mut labels) = (f64::NEG_INFINITY, 0, None);
        while let Some(bucket) = samples.next_if(|s| s.name.ends_with("_bucket") && bound < f64::INFINITY) {
            let Some(((le, text), others)) = bucket.labels.split_last() else { return Err(bad("a bucket without le")) };
            let next = number(text)?;
            if le != "le" || next <= bound || *labels.get_or_insert(others) != others {
                return Err(bad("a bucket out of place"));
            }
            let n: u64 = bucket.value.parse().map_err(|_| bad("a count that is no whole number"))?;
            if n < count {
                return Err(bad("a bucket below the one before"));
            }
            (bound, count) = (next, n);
        }
        let (sum, total) = (samples.next(), samples.next());
        let rest = [(sum, "_sum"), (total, "_count")].into_iter().all(|(sample, suffix)| {
            sample.is_some_and(|s| s.name == format!("{}{suffix}", family.name) && Some(&*s.labels) == labels)
        });
        if bound != f64::INFINITY || !rest || total.is_none_or(|s| s.value != count.to_string()) {
            return Err(bad("a histogram that does not add up"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_with_everything() {
        let page = b"# HELP a_total Help \\\\ \\n.\n# TYPE a_total counter\na_total{x=\"\\\\\\\"\\n,}\"} 1\n\
            # TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum -1e-05\nh_count 2\n";
        let families = parse(page).unwrap();
        assert_eq!(families[0].help, "Help \\ \n.");
        assert_eq!(families[0].samples[0].labels, [("x".into(), "\\\"\n,}".into())]);
        assert_eq!(families[1].samples.len(), 4);
    }

    #[test]
    fn what_no_page_may_have() {
        for bad in [
            "",
            "a 1\n",
            "# TYPE a gauge\na 1",
            "# TYPE a gauge\n\na 1\n",
            "# TYPE a gauge\na 1 2\n",
            "# TYPE a gauge\na  1\n",
            "# TYPE a gauge\na inf\n",
            "# TYPE a gauge\na +1\n",
            "# TYPE a gauge\na 0x1\n",
            "# TYPE a gauge\na{} 1\n",
            "# TYPE a gauge\na{x=\"\",} 1\n",
            "# TYPE a gauge\na{x=\"\",x=\"\"} 1\n",
            "# TYPE a gauge\na{x=\"\\t\"} 1\n",
            "# TYPE a gauge\na{x=\"\"\"} 1\n",
            "# TYPE a gauge\na{x=\"\"} 1\na{x=\"\"} 2\n",
            "# TYPE a gauge\nb 1\n",
            "# TYPE a gauge\n# TYPE a gauge\n",
            "# HELP a A\n",
            "# HELP a A\n# TYPE b gauge\n",
            "# TYPE a info\n",
            "# TYPE a summary\na 1\n",
            "# TYPE a counter\na 1\n",
            "# TYPE a_total counter\na_total -1\n",
            "# TYPE h histogram\nh_bucket{le=\"1.0\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 0\nh_count 1\n",
            "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 0\nh_count 2\n",
            "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_sum 0\nh_count 1\n",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
