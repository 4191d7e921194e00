//! The facade's names, which may be any text, as names that an exposition can carry.

use std::borrow::Cow;

use metrics::Unit;

/// Characters that no name can have become `_`, as in the facade's Prometheus exporter.
pub(crate) fn metric(name: &str) -> Cow<'_, str> {
    mapped(name, true)
}

/// As [`metric`], for a label of a family that has labels of these names already, such as a
/// histogram's `le`.
pub(crate) fn label<'a>(name: &'a str, own: &[Option<&str>]) -> Cow<'a, str> {
    let name = mapped(name, false);
    if own.contains(&Some(&*name)) || name == "shmetrics_overflow" {
        // What Prometheus itself does with a label that is taken.
        return Cow::Owned(format!("exported_{name}"));
    }
    match name.strip_prefix("__") {
        // Reserved by Prometheus.
        Some(rest) => Cow::Owned(format!("_{}", rest.trim_start_matches('_'))),
        None => name,
    }
}

fn mapped(name: &str, colons: bool) -> Cow<'_, str> {
    let legal = |i: usize, c: char| {
        c.is_ascii_alphabetic() || c == '_' || (colons && c == ':') || (i > 0 && c.is_ascii_digit())
    };
    if name.chars().enumerate().all(|(i, c)| legal(i, c)) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.chars().enumerate().map(|(i, c)| if legal(i, c) { c } else { '_' }).collect())
}

/// The word for a unit in names; none for a mere count.
fn word(unit: Unit) -> Option<&'static str> {
    match unit {
        Unit::Count => None,
        Unit::Percent => Some("ratio"),
        unit => Some(unit.as_str()),
    }
}

/// The name with its unit at the end, or before a suffix that has to be the last.
pub(crate) fn with_unit(name: &str, unit: Option<Unit>) -> String {
    let Some(word) = unit.and_then(word) else { return name.to_owned() };
    let suffix = ["_sum", "_count", "_bucket", "_total"].into_iter().find(|s| name.ends_with(s)).unwrap_or("");
    let base = &name[..name.len() - suffix.len()];
    if base.ends_with(word) {
        name.to_owned()
    } else {
        format!("{base}_{word}{suffix}")
    }
}

/// The unit to register: that of the description, if the name says it too, which OpenMetrics
/// demands.
pub(crate) fn unit(name: &str, counter: bool, unit: Option<Unit>) -> &'static str {
    let base = if counter { name.strip_suffix("_total").unwrap_or(name) } else { name };
    let is_in = |word: &&str| base.strip_suffix(*word).is_some_and(|rest| rest.len() > 1 && rest.ends_with('_'));
    unit.and_then(word).filter(is_in).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_name_can_have_becomes_an_underscore() {
        for (given, made) in
            [("a", "a"), ("a:b", "a:b"), ("http.requests-é/s", "http_requests___s"), ("9a", "_a"), ("", "")]
        {
            assert_eq!(metric(given), made);
        }
        for (given, made) in [
            ("a:b", "a_b"),
            ("le", "le"),
            ("__name__", "_name__"),
            ("shmetrics_overflow", "exported_shmetrics_overflow"),
        ] {
            assert_eq!(label(given, &[]), made);
        }
        assert_eq!(label("le", &[Some("le")]), "exported_le");
    }

    #[test]
    fn a_unit_counts_only_if_the_name_says_it() {
        let seconds = Some(Unit::Seconds);
        assert_eq!(unit("request_seconds", false, seconds), "seconds");
        assert_eq!(unit("cpu_seconds_total", true, seconds), "seconds");
        assert_eq!(unit("cpu_seconds_total", false, seconds), "");
        for name in ["request", "seconds", "_seconds", "milliseconds"] {
            assert_eq!(unit(name, false, seconds), "", "{name}");
        }
        assert_eq!(unit("busy_ratio", false, Some(Unit::Percent)), "ratio");
        assert_eq!(unit("things_count", false, Some(Unit::Count)), "");
        assert_eq!(unit("request_seconds", false, None), "");
    }

    #[test]
    fn a_unit_goes_before_a_suffix() {
        for (name, made) in [
            ("request", "request_seconds"),
            ("request_seconds", "request_seconds"),
            ("cpu_total", "cpu_seconds_total"),
            ("cpu_seconds_total", "cpu_seconds_total"),
        ] {
            assert_eq!(with_unit(name, Some(Unit::Seconds)), made);
        }
        assert_eq!(with_unit("things", Some(Unit::Count)), "things");
        assert_eq!(with_unit("things", None), "things");
    }
}
