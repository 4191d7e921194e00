//! Arguments that several commands have.

use std::time::Duration;

use clap::Args;
use shmetrics::Error;

use crate::common::owners::Owners;

/// Parses a duration in seconds.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|e| e.to_string())?;
    let most = 1e6;
    if !(0.01..=most).contains(&seconds) {
        return Err(format!("give seconds from 0.01 to {most}"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[derive(Args)]
pub(crate) struct SegmentArg {
    /// Name of the segment, or path if it has a slash [default: $SHMETRICS_SEGMENT, or default]
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

impl SegmentArg {
    pub(crate) fn name(&self) -> String {
        let set = |name: &String| !name.is_empty();
        let named = self.name.clone().or_else(|| std::env::var("SHMETRICS_SEGMENT").ok().filter(set));
        named.unwrap_or_else(|| "default".to_owned())
    }
}

/// The segments that a command reads together.
#[derive(Args)]
pub(crate) struct SegmentsArg {
    /// Names, paths or patterns such as 'web-*' [default: $SHMETRICS_SEGMENT, or default]
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Patterns also select the segments of this user: a name, a number, or any; repeatable
    #[arg(long, value_name = "USER")]
    owner: Vec<String>,
}

impl SegmentsArg {
    /// The given names, or the default name.
    pub(crate) fn names(&self) -> Vec<String> {
        if self.names.is_empty() {
            return vec![SegmentArg { name: None }.name()];
        }
        self.names.clone()
    }

    pub(crate) fn owners(&self) -> Result<Owners, Error> {
        Owners::with(&self.owner)
    }
}

#[derive(Args)]
pub(crate) struct MetricsArg {
    /// Only this metric: the name of its family or of one of its samples; repeatable
    #[arg(long = "metric", value_name = "NAME")]
    pub(crate) metrics: Vec<String>,
}
