//! Values on the command line.

use std::time::Duration;

/// Parses a duration in seconds.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|e| e.to_string())?;
    let most = 1e6;
    if !(0.01..=most).contains(&seconds) {
        return Err(format!("give seconds from 0.01 to {most}"));
    }
    Ok(Duration::from_secs_f64(seconds))
}
