//! Numbers, sizes and times as text, and texts that are safe for a terminal.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use humantime::{format_rfc3339_millis, format_rfc3339_seconds};

/// Whether the character changes the terminal or deceives a reader: control characters, line
/// separators, changes of the writing direction, and invisible characters.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` with unsafe characters written out, so that foreign bytes cannot drive the terminal.
pub(crate) fn clean(text: &str) -> String {
    clean_but(text, |_| false)
}

/// As `clean`, but line feeds stay.
pub(crate) fn clean_lines(text: &str) -> String {
    clean_but(text, |c| c == '\n')
}

fn clean_but(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) && !is_kept(c) {
            if c.is_control() {
                safe.extend(c.escape_debug());
            } else {
                safe.extend(c.escape_unicode());
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

/// 1234567 as `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// "1 series", "2 processes": the caller gives both forms.
pub(crate) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// 1536 as `1.5 KiB`: at most four digits before the point and one digit after.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would round up to four figures.
    while value >= 1023.95 {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Bytes,
    /// Seconds since 1970.
    Time,
    None,
}

/// A number with a prefix of its unit and three figures: `12.5 ms`, `3.20 MiB`, `1.20 M`.
pub(crate) fn scaled(value: f64, unit: Unit) -> String {
    const BINARY: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    const DECIMAL: [&str; 6] = ["", "k", "M", "G", "T", "P"];
    const SECONDS: [&str; 4] = ["ns", "\u{b5}s", "ms", "s"];
    let size = value.abs();
    let (value, prefix) = match unit {
        Unit::Time if value.is_finite() && value > 0.0 => return utc(value).replace(" UTC", ""),
        _ if !value.is_finite() => return format!("{value}"),
        Unit::Seconds if size > 0.0 && size < 1.0 => {
            let step = ((size * 1e9).max(1.0).log10() / 3.0).floor().clamp(0.0, 2.0) as usize;
            (value * [1e9, 1e6, 1e3][step], SECONDS[step])
        }
        Unit::Seconds => (value, "s"),
        Unit::Bytes => scale(value, 1024.0, &BINARY),
        Unit::Time | Unit::None => scale(value, 1000.0, &DECIMAL),
    };
    let size = value.abs();
    let digits = match size {
        _ if size.fract() <= 0.0 && size < 1000.0 => 0,
        s if s >= 99.95 => 0,
        s if s >= 9.995 => 1,
        s if s >= 0.01 || s <= 0.0 => 2,
        _ => return format!("{value:.1e} {prefix}").trim_end().to_owned(),
    };
    format!("{value:.digits$} {prefix}").trim_end().to_owned()
}

fn scale(mut value: f64, base: f64, prefixes: &[&'static str; 6]) -> (f64, &'static str) {
    let mut step = 0;
    // What would be rounded up to the base has the next prefix.
    while value.abs() >= base - 0.5 && step + 1 < prefixes.len() {
        value /= base;
        step += 1;
    }
    (value, prefixes[step])
}

/// A bar of `width` cells. The part of filled cells is `part` of `whole`; a part above 0 fills at
/// least one cell.
pub(crate) fn bar(part: u64, whole: u64, width: usize) -> String {
    let full = match (part, whole) {
        (0, _) | (_, 0) => 0,
        _ => ((part as f64 / whole as f64 * width as f64).round() as usize).clamp(1, width),
    };
    format!("[{}{}]", "#".repeat(full), ".".repeat(width - full))
}

pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    format!("{:.1} %", part as f64 / whole as f64 * 100.0)
}

/// A Unix time as `2026-01-31 23:59:58 UTC`.
pub(crate) fn utc(unix: f64) -> String {
    format_rfc3339_seconds(printable(unix)).to_string().replace('T', " ").replace('Z', " UTC")
}

/// A Unix time as `2026-01-31T23:59:58.123Z`.
pub(crate) fn rfc3339(unix: f64) -> String {
    format_rfc3339_millis(printable(unix)).to_string()
}

/// The nearest time from 1970 to 9999, which the formats of dates have.
fn printable(unix: f64) -> SystemTime {
    UNIX_EPOCH + Duration::try_from_secs_f64(unix.clamp(0.0, 253_402_300_799.0)).unwrap_or_default()
}

/// A time in seconds since 1970.
pub(crate) fn unix(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// How long ago a time was, in its two largest units.
pub(crate) fn age(time: SystemTime) -> String {
    span(time.elapsed().unwrap_or_default().as_secs())
}

fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3599 => format!("{minutes} min {} s", seconds % 60),
        3600..=86_399 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::{bar, bytes, clean, clean_lines, count, counted, percent, scaled, span, utc, Unit};

    #[test]
    fn counts_are_grouped() {
        assert_eq!([count(0), count(999), count(1000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [counted(1, "worker", "workers"), counted(2000, "worker", "workers")],
            ["1 worker", "2,000 workers"]
        );
    }

    #[test]
    fn sizes_keep_to_their_unit() {
        let sizes = [0, 1023, 1024, 1536, 1_048_575, 64 << 20, u64::MAX].map(bytes);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "64.0 MiB", "16.0 EiB"]);
    }

    #[test]
    fn numbers_are_scaled_to_their_unit() {
        let none = [0.0, 17.0, 0.5, 999.4, 999.6, 12_345.0, -1.5e6, 1e-5, f64::INFINITY].map(|v| scaled(v, Unit::None));
        assert_eq!(none, ["0", "17", "0.50", "999", "1.00 k", "12.3 k", "-1.50 M", "1.0e-5", "inf"]);
        let seconds = [0.0, 2.5e-9, 1.25e-5, 0.0125, 0.9, 1.5, 7200.0].map(|v| scaled(v, Unit::Seconds));
        assert_eq!(seconds, ["0 s", "2.50 ns", "12.5 \u{b5}s", "12.5 ms", "900 ms", "1.50 s", "7200 s"]);
        let bytes = [0.0, 512.0, 1536.0, 3.4e9].map(|v| scaled(v, Unit::Bytes));
        assert_eq!(bytes, ["0 B", "512 B", "1.50 KiB", "3.17 GiB"]);
        assert_eq!(scaled(951_827_696.0, Unit::Time), "2000-02-29 12:34:56");
    }

    #[test]
    fn a_bar_is_never_wider_than_its_frame_nor_hides_a_little() {
        assert_eq!([bar(0, 8, 4), bar(1, 1000, 4), bar(4, 8, 4)], ["[....]", "[#...]", "[##..]"]);
        assert_eq!([bar(9, 8, 4), bar(1, 0, 4)], ["[####]", "[....]"]);
        assert_eq!([percent(1, 8), percent(1, 0)], ["12.5 %", "0 %"]);
    }

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(utc(0.0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_827_696.9), "2000-02-29 12:34:56 UTC");
        assert_eq!(utc(1_772_323_199.0), "2026-02-28 23:59:59 UTC");
        assert_eq!(utc(1_772_323_200.0), "2026-03-01 00:00:00 UTC");
        assert_eq!([utc(f64::NAN), utc(-1.0)], ["1970-01-01 00:00:00 UTC"; 2]);
        assert_eq!([utc(253_402_300_799.0), utc(f64::INFINITY)], ["9999-12-31 23:59:59 UTC"; 2]);
    }

    #[test]
    fn spans_show_two_units() {
        let spans = [59, 61, 7260, 90_000].map(span);
        assert_eq!(spans, ["59 s", "1 min 1 s", "2 h 1 min", "1 d 1 h"]);
    }

    #[test]
    fn clean_keeps_letters_and_writes_controls_out() {
        assert_eq!(clean("größe\u{7}\u{9b}"), "größe\\u{7}\\u{9b}");
        assert_eq!(clean("a\u{202e}b\n\u{e0041}"), "a\\u{202e}b\\n\\u{e0041}");
        assert_eq!(clean_lines("a\u{2066}\nb\r"), "a\\u{2066}\nb\\r");
    }
}
