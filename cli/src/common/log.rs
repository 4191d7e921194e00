//! Lines on standard error, with a level and in the format that the command line asks for.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use clap::ValueEnum;

use crate::common::format::{clean, rfc3339, unix};
use crate::common::json::{Json, Object};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

// The script for fish is wrong if one of these texts has a double quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// shmetrics: SENTENCE
    Plain,
    /// time=TIME level=LEVEL msg=SENTENCE
    Logfmt,
    /// an object with time, level and msg
    Json,
}

static SETTINGS: OnceLock<(Level, LogFormat)> = OnceLock::new();

/// Sets the lowest level that is written, and the format. The first call counts.
pub(crate) fn configure(level: Level, format: LogFormat) {
    let _ = SETTINGS.set((level, format));
}

/// Writes one line to standard error. Unlike `eprintln!`, it does not panic if standard error is
/// closed. All lines pass here, so that no answer of a server and no name of a file drives the
/// terminal or begins a line of the journal.
pub(crate) fn log(level: Level, sentence: impl Display) {
    let (lowest, format) = SETTINGS.get().copied().unwrap_or((Level::Info, LogFormat::Plain));
    if level < lowest {
        return;
    }
    let now = unix(SystemTime::now());
    // In one call, so that lines of two processes in one file do not mix.
    let whole = line(level, format, now, &sentence.to_string()) + "\n";
    let _ = io::stderr().write_all(whole.as_bytes());
}

/// Counts the lines of one kind, of which only some are logged: what clients and files of other
/// users do cannot fill the journal.
#[derive(Clone, Copy, Default)]
pub(crate) struct Limit {
    /// The start of the period that `said` counts in.
    period: Option<Instant>,
    said: usize,
    unsaid: u64,
}

impl Limit {
    /// The number of lines that were left out since the last one. `None`: `most` lines were logged
    /// in this period, so this one is left out too.
    pub(crate) fn admit(&mut self, most: usize, period: Duration) -> Option<u64> {
        if self.period.is_none_or(|since| since.elapsed() > period) {
            (self.period, self.said) = (Some(Instant::now()), 0);
        }
        if self.said >= most {
            self.unsaid += 1;
            return None;
        }
        self.said += 1;
        Some(std::mem::take(&mut self.unsaid))
    }
}

fn line(level: Level, format: LogFormat, now: f64, sentence: &str) -> String {
    let name = format!("{level:?}").to_uppercase();
    match format {
        LogFormat::Plain => format!("shmetrics: {}", clean(sentence)),
        LogFormat::Logfmt => {
            let quoted = clean(sentence).replace('\\', "\\\\").replace('"', "\\\"");
            format!("time={} level={name} msg=\"{quoted}\"", rfc3339(now))
        }
        LogFormat::Json => {
            let object = Object::default().field("time", rfc3339(now)).field("level", name).field("msg", sentence);
            Json::from(object).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{line, Level, Limit, LogFormat};

    #[test]
    fn lines_beyond_the_limit_are_counted() {
        let mut limit = Limit::default();
        let mut admit = |seconds| limit.admit(2, Duration::from_secs(seconds));
        assert_eq!([60, 60, 60, 60].map(&mut admit), [Some(0), Some(0), None, None]);
        // A new period.
        assert_eq!([0, 60, 60].map(&mut admit), [Some(2), Some(0), None]);
    }

    #[test]
    fn lines_in_each_format() {
        let of = |format| line(Level::Warn, format, 951_827_696.25, "a \"b\"\n\u{1b}");
        assert_eq!(of(LogFormat::Plain), "shmetrics: a \"b\"\\n\\u{1b}");
        let expected = "time=2000-02-29T12:34:56.250Z level=WARN msg=\"a \\\"b\\\"\\\\n\\\\u{1b}\"";
        assert_eq!(of(LogFormat::Logfmt), expected);
        let expected = r#"{"time":"2000-02-29T12:34:56.250Z","level":"WARN","msg":"a \"b\"\u000a\u001b"}"#;
        assert_eq!(of(LogFormat::Json), expected);
    }
}
