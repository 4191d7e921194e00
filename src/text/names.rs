//! What names an exposition can carry. The rules of the Prometheus data model and of OpenMetrics
//! 1.0, refused here, once, so that no page can break them.

use std::borrow::Cow;

use super::escaping;
use super::escaping::Escaping;
use crate::kind::Kind;
use crate::Error;

/// Longest metric, label and unit name in bytes.
pub(crate) const NAME_MAX: usize = 512;
/// Longest help text in bytes.
pub(crate) const HELP_MAX: usize = 16 * 1024;
/// Most labels of a family.
pub(crate) const LABELS_MAX: usize = 64;
/// Most finite bucket bounds of a histogram.
pub(crate) const BUCKETS_MAX: usize = 1024;
/// Most quantiles of a summary.
pub(crate) const QUANTILES_MAX: usize = 64;
/// Most states of a state set.
pub(crate) const STATES_MAX: usize = 64;
/// The label of a family's overflow series.
pub(crate) const OVERFLOW_LABEL: &str = "shmetrics_overflow";
/// The library's own families.
pub(crate) const OWN_PREFIX: &str = "shmetrics_";

/// Whether an exemplar's label, or a segment's, may be called so.
pub(crate) fn is_any_label(name: &str) -> bool {
    escaping::is_name(name)
}

const RULE: &str = "it is empty, or has control characters or line ends";

/// Checks a family name and returns it without a counter's `_total` or an info's `_info`.
pub(crate) fn family_name(name: &str, kind: Kind) -> Result<&str, Error> {
    let bad = |rule: &str| Err(Error::name("metric name", name, rule));
    if !escaping::is_name(name) {
        return bad(RULE);
    }
    if name.len() > NAME_MAX {
        return bad("it is longer than 512 bytes");
    }
    // However it is escaped.
    let starts = escaping::family(name, kind, Escaping::Underscores).starts_with(OWN_PREFIX);
    if starts || name.starts_with(OWN_PREFIX) {
        return bad("names starting with `shmetrics_` are the library's own");
    }
    let suffix = kind.suffix();
    let base = name.strip_suffix(suffix).unwrap_or(name);
    if base.is_empty() {
        return bad(&format!("there is nothing before `{suffix}`"));
    }
    Ok(base)
}

pub(crate) fn unit(unit: &str, base: &str, kind: Kind) -> Result<(), Error> {
    if unit.is_empty() {
        return Ok(());
    }
    if matches!(kind, Kind::Info | Kind::StateSet | Kind::Enum) {
        return Err(Error::name("unit", unit, "this kind of metric has none"));
    }
    if !escaping::is_label(unit) {
        return Err(Error::name("unit", unit, "use letters, digits and `_`, not starting with a digit"));
    }
    if base.len() <= unit.len() + 1 || !base.ends_with(unit) || base.as_bytes()[base.len() - unit.len() - 1] != b'_' {
        return Err(Error::name("unit", unit, &format!("the metric's name must end in it, as in `{base}_{unit}`")));
    }
    Ok(())
}

pub(crate) fn help(help: &str) -> Result<(), Error> {
    if help.len() > HELP_MAX {
        return Err(Error::InvalidArgument("the help text is longer than 16 KiB".into()));
    }
    Ok(())
}

/// Checks a family's label names. `own`: the labels that this kind of metric adds itself. No two
/// may become one when a page escapes them.
pub(crate) fn labels(labels: &[&str], own: &[&str]) -> Result<(), Error> {
    if labels.len() > LABELS_MAX {
        return Err(Error::InvalidArgument(format!("{} labels: at most {LABELS_MAX} are allowed", labels.len())));
    }
    for (i, name) in labels.iter().enumerate() {
        let bad = |rule: &str| Err(Error::name("label name", name, rule));
        if !escaping::is_name(name) {
            return bad(RULE);
        }
        if name.len() > NAME_MAX {
            return bad("it is longer than 512 bytes");
        }
        if name.starts_with("__") {
            return bad("names starting with `__` are reserved by Prometheus");
        }
        if *name == OVERFLOW_LABEL || own.contains(name) {
            return bad("this metric adds that label itself");
        }
        if labels[..i].contains(name) {
            return bad("it is given twice");
        }
        let others = labels[..i].iter().chain(own).chain(&[OVERFLOW_LABEL, "__name__"]);
        for other in others {
            if let Some(way) = escaping::same_labels(name, other) {
                return Err(Error::name("label name", name, &alike(other, way)));
            }
        }
    }
    Ok(())
}

/// Why two names may not be side by side.
pub(crate) fn alike(other: &str, way: &str) -> String {
    format!("it becomes the same as {other:?} on pages with names escaped by {way}: rename one")
}

/// Checks bucket bounds and drops a final `+Inf`, which every histogram has.
pub(crate) fn buckets(bounds: &[f64]) -> Result<&[f64], Error> {
    let finite = match bounds.split_last() {
        Some((last, rest)) if *last == f64::INFINITY => rest,
        _ => bounds,
    };
    if finite.len() > BUCKETS_MAX {
        return Err(Error::InvalidArgument(format!("{} buckets: at most {BUCKETS_MAX} are allowed", finite.len())));
    }
    if let Some(bad) = finite.iter().find(|b| !b.is_finite()) {
        return Err(Error::InvalidArgument(format!("bucket bound {bad}: bounds are finite; +Inf is added by itself")));
    }
    if let Some((a, b)) = finite.iter().zip(finite.iter().skip(1)).find(|(a, b)| a >= b) {
        return Err(Error::InvalidArgument(format!(
            "bucket bounds {a} and {b}: each must be greater than the one before"
        )));
    }
    Ok(finite)
}

/// Checks a summary's quantiles.
pub(crate) fn quantiles(quantiles: &[f64]) -> Result<(), Error> {
    if quantiles.len() > QUANTILES_MAX {
        return Err(Error::InvalidArgument(format!(
            "{} quantiles: at most {QUANTILES_MAX} are allowed",
            quantiles.len()
        )));
    }
    if let Some(bad) = quantiles.iter().find(|q| !(0.0..=1.0).contains(*q)) {
        return Err(Error::InvalidArgument(format!("quantile {bad}: give what is from 0 to 1, such as 0.99")));
    }
    if let Some((a, b)) = quantiles.iter().zip(quantiles.iter().skip(1)).find(|(a, b)| a >= b) {
        return Err(Error::InvalidArgument(format!("quantiles {a} and {b}: each must be greater than the one before")));
    }
    Ok(())
}

/// Checks the names of a state set's states.
pub(crate) fn states(states: &[&str]) -> Result<(), Error> {
    if !(1..=STATES_MAX).contains(&states.len()) {
        return Err(Error::InvalidArgument(format!("{} states: there are 1 to {STATES_MAX}", states.len())));
    }
    for (i, state) in states.iter().enumerate() {
        let bad = |rule: &str| Err(Error::name("state", state, rule));
        if state.is_empty() || state.len() > NAME_MAX {
            return bad("it has 1 to 512 bytes");
        }
        if states[..i].contains(state) {
            return bad("it is given twice");
        }
    }
    Ok(())
}

/// The suffixes under which a family of this kind may expose samples, in any format.
fn suffixes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Counter => &["", "_total", "_created"],
        Kind::Histogram => &["", "_bucket", "_count", "_sum", "_created"],
        Kind::GaugeHistogram => &["", "_bucket", "_count", "_sum", "_gcount", "_gsum"],
        Kind::Summary => &["", "_count", "_sum", "_created"],
        Kind::Info => &["", "_info"],
        _ => &[""],
    }
}

/// What decides under which names a family exposes samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    /// Without a counter's `_total` or an info's `_info`.
    pub(crate) base: &'a str,
    pub(crate) kind: Kind,
    /// A counter that some formats show under this very name.
    pub(crate) exact: bool,
}

impl<'a> Named<'a> {
    /// A family that is called as its kind is in all formats.
    pub(crate) fn usual(base: &'a str, kind: Kind) -> Self {
        Named { base, kind, exact: false }
    }

    /// The names under which it may expose samples, in any format, on a page that escapes names so:
    /// a beginning, and an end.
    fn parts(self, way: Escaping) -> impl Iterator<Item = (Cow<'a, str>, &'static str)> {
        let base = escaping::family(self.base, self.kind, way);
        let usual = suffixes(self.kind).iter().map(move |suffix| (base.clone(), *suffix));
        // Escaped, it may be another name than what the escaped name with `_total` begins with.
        usual.chain(self.exact.then(|| (escaping::exact(self.base, way), "")))
    }
}

/// The names under which a family may expose samples, in any format, on a page that escapes names
/// so.
pub(crate) fn samples(family: Named<'_>, escaping: Escaping) -> impl Iterator<Item = String> + '_ {
    family.parts(escaping).map(|(base, suffix)| format!("{base}{suffix}"))
}

/// A sample name that both families would expose, and where.
pub(crate) fn clash(a: Named<'_>, b: Named<'_>) -> Option<String> {
    for way in escaping::ways(a.base, b.base) {
        for (a, x) in a.parts(*way) {
            for (b, y) in b.parts(*way) {
                if a.len() + x.len() == b.len() + y.len() && a.bytes().chain(x.bytes()).eq(b.bytes().chain(y.bytes())) {
                    let on = match way {
                        Escaping::AllowUtf8 => String::new(),
                        way => format!(" on pages with names escaped by {}", escaping::word(*way)),
                    };
                    return Some(format!("{a}{x}{on}"));
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    #[test]
    fn item_29_a_counter_is_named_with_or_without_total() {
        assert_eq!(family_name("a_total", Kind::Counter).unwrap(), "a");
        assert_eq!(family_name("a", Kind::Counter).unwrap(), "a");
        assert_eq!(family_name("a_total", Kind::Gauge).unwrap(), "a_total");
        assert!(family_name("_total", Kind::Counter).is_err());
    }

    #[test]
    fn names_no_exposition_could_carry_are_refused() {
        for bad in ["", "a\n", "a\r", "\0", "a\u{85}", "a\u{2028}", "shmetrics_x", "shmetrics.x", "shmetrics-x"] {
            assert!(family_name(bad, Kind::Gauge).is_err(), "{bad:?}");
        }
        assert!(family_name(&"a".repeat(513), Kind::Gauge).is_err());
        for good in ["a", "_a", "job:rate:5m", "A9_", "1a", "a-b", "a b", "é", "a\"b\\", "http.server.duration"] {
            assert!(family_name(good, Kind::Gauge).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn items_26_27_label_names() {
        for bad in [
            &["a", "a"][..],
            &["__name__"],
            &["a\n"],
            &[""],
            &["le"],
            &["shmetrics_overflow"],
            &["a.b", "a_b"],
            &["a.b", "a-b"],
            &["a_dot_b", "a.b"],
            &["._name__"],
            &["shmetrics.overflow"],
        ] {
            assert!(labels(bad, &["le"]).is_err(), "{bad:?}");
        }
        assert!(labels(&["a:b", "9", "k8s.pod", "größe"], &["le"]).is_ok());
        assert!(labels(&["a.b"], &["a_b"]).is_err(), "the label of a state set called a_b");
        assert!(labels(&["le"], &[]).is_ok(), "only histograms own `le`");
    }

    #[test]
    fn item_25_suffix_clashes() {
        let clash = |a, a_kind, b, b_kind| clash(Named::usual(a, a_kind), Named::usual(b, b_kind));
        assert_eq!(clash("foo", Kind::Counter, "foo_total", Kind::Gauge).as_deref(), Some("foo_total"));
        assert_eq!(clash("foo_created", Kind::Gauge, "foo", Kind::Counter).as_deref(), Some("foo_created"));
        assert_eq!(clash("foo", Kind::Histogram, "foo_count", Kind::Gauge).as_deref(), Some("foo_count"));
        assert_eq!(clash("foo", Kind::Counter, "foo_bar", Kind::Counter), None);
        assert_eq!(clash("foo", Kind::Gauge, "foo_total", Kind::Gauge), None);
        let clash = |a, b| clash(a, Kind::Counter, b, Kind::Gauge);
        let by = |way| Some(format!("a_b_total on pages with names escaped by {way}"));
        assert_eq!(clash("a.b", "a_b_total"), by("underscores"));
        assert_eq!(clash("a_b", "a.b.total"), by("underscores"));
        assert!(clash("a.b", "U__a_2e_b__total").is_some_and(|c| c.ends_with("by values")));
        assert_eq!(clash("a.b", "a_b_2"), None);
    }

    #[test]
    fn a_counter_under_its_exact_name_clashes_by_that_too() {
        let exact = |base| Named { base, kind: Kind::Counter, exact: true };
        let gauge = |base| Named::usual(base, Kind::Gauge);
        assert_eq!(clash(exact("a"), gauge("a")).as_deref(), Some("a"));
        assert_eq!(clash(exact("a"), gauge("a_total")).as_deref(), Some("a_total"));
        assert_eq!(clash(gauge("a_created"), exact("a")).as_deref(), Some("a_created"));
        assert_eq!(clash(exact("a"), gauge("a_2")), None);
        // Escaped by values, the name with `_total` begins otherwise than the name without.
        let others = gauge("U__a_2e_b");
        assert!(clash(exact("a.b"), others).is_some_and(|c| c.starts_with("U__a_2e_b on")));
        assert_eq!(clash(Named::usual("a.b", Kind::Counter), others), None);
        assert!(samples(exact("a.b"), Escaping::Values).any(|name| name == "U__a_2e_b"));
    }

    #[test]
    fn item_30_the_unit_is_a_suffix() {
        assert!(unit("seconds", "latency_seconds", Kind::Histogram).is_ok());
        for (u, base) in
            [("seconds", "latency"), ("seconds", "seconds"), ("seconds", "milliseconds"), ("se-c", "a_se-c")]
        {
            assert!(unit(u, base, Kind::Gauge).is_err(), "{u} {base}");
        }
    }

    #[test]
    fn item_31_no_unit_on_info_and_states() {
        for kind in [Kind::Info, Kind::StateSet, Kind::Enum] {
            assert!(unit("seconds", "a_seconds", kind).is_err());
        }
    }

    #[test]
    fn states_have_names() {
        assert!(states(&["a", "b c"]).is_ok());
        for bad in [&[][..], &["a", "a"], &[""], &["a"; 65]] {
            assert!(states(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn bucket_bounds_rise_and_are_finite() {
        assert_eq!(buckets(&[1.0, f64::INFINITY]).unwrap(), &[1.0]);
        assert!(buckets(&[]).unwrap().is_empty());
        for bad in [&[1.0, 1.0][..], &[2.0, 1.0], &[f64::NAN], &[f64::INFINITY, 1.0], &[f64::NEG_INFINITY]] {
            assert!(buckets(bad).is_err(), "{bad:?}");
        }
    }
}
