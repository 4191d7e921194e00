//! Arguments that several commands have.

use std::time::Duration;

use clap::Args;

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

/// The given names, or the default name.
pub(crate) fn names(given: &[String]) -> Vec<String> {
    if given.is_empty() {
        return vec![SegmentArg { name: None }.name()];
    }
    given.to_vec()
}
