//! The arguments of `shmetrics serve`.

use std::path::PathBuf;

use clap::Args;

use super::listen::Address;
use crate::common::args::SegmentsArg;
use crate::common::log::{Level, LogFormat};

// The switches of the command line are independent of each other.
#[allow(clippy::struct_excessive_bools)]
#[derive(Args)]
pub(crate) struct ServeArgs {
    /// All segments of the directory, like the pattern '*'
    #[arg(long, conflicts_with = "names")]
    all: bool,

    #[command(flatten)]
    pub(crate) segments: SegmentsArg,

    /// ADDRESS:PORT, NAME:PORT, :PORT (all addresses), unix:PATH or systemd; repeatable
    #[arg(long, visible_alias = "web.listen-address", value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    pub(crate) listen: Vec<Address>,

    /// File with encryption and passwords, in the format of Prometheus' own servers
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub(crate) web_config: Option<PathBuf>,

    /// Path of the page
    #[arg(long = "web.telemetry-path", value_name = "PATH", default_value = "/metrics", value_parser = telemetry_path)]
    pub(crate) telemetry_path: String,

    /// Lowest level of the lines on standard error
    #[arg(long = "log.level", value_enum, value_name = "LEVEL", default_value_t = Level::Info)]
    pub(crate) log_level: Level,

    /// Format of the lines on standard error
    #[arg(long = "log.format", value_enum, value_name = "FORMAT", default_value_t = LogFormat::Plain)]
    pub(crate) log_format: LogFormat,

    /// Maximum number of pages in transfer to clients, which bounds the memory
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) max_pages: u16,

    /// Omit the label `segment`; of equal series in several segments, show the first
    #[arg(long)]
    pub(crate) no_segment_label: bool,

    /// Add process_* of all counting processes together, and of each process
    #[arg(long)]
    pub(crate) process_metrics: bool,

    /// Add _created samples, in OpenMetrics 1.0.0
    #[arg(long)]
    pub(crate) created: bool,
}

impl ServeArgs {
    pub(crate) fn names(&self) -> Vec<String> {
        if self.all {
            return vec!["*".to_owned()];
        }
        self.segments.names()
    }
}

/// A path that is not used for something else, and has no characters with a meaning in URLs.
fn telemetry_path(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
    if !text.starts_with('/') || text.len() < 2 || !text.chars().all(is_plain) {
        return Err("give a path such as /metrics, of letters, digits and -._~".into());
    }
    // Clients resolve such a part before they ask, and so never ask for this path.
    let is_unreachable = |part: &str| matches!(part, "" | "." | "..");
    if text[1..].trim_end_matches('/').split('/').any(is_unreachable) || text.ends_with("//") {
        return Err("leave out the parts `.`, `..` and `//`: clients do not ask for them".into());
    }
    if text == "/-" || text.starts_with("/-/") {
        return Err("the paths below /-/ are for health checks".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::telemetry_path;

    #[test]
    fn paths_of_the_page() {
        for path in ["/metrics", "/a/b.c", "/-metrics", "/metrics/", "/.metrics", "/a..b"] {
            assert_eq!(telemetry_path(path).as_deref(), Ok(path));
        }
        for path in ["", "/", "metrics", "/-/ready", "/{a}", "/*a", "/a?b", "/a b", "/\u{e9}"] {
            assert!(telemetry_path(path).is_err(), "{path}");
        }
        for path in ["//", "/.", "/..", "/../a", "/a/./b", "/a//b", "/a//", "/a/..", "/-", "/-/"] {
            assert!(telemetry_path(path).is_err(), "{path}");
        }
    }
}
