//! The server's own counters: refused logins, shed work, reloads. Each event also writes a log
//! line, at a limited rate, so that no client can fill the journal.

use std::fmt::Display;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use procfs::WithCurrentSystemInfo;
use shmetrics::{Error, ExternalFamily};

use crate::common::format::unix;
use crate::common::log::{log, Level, Limit};
use crate::common::processes::stat;

/// The period in which the number of lines is limited.
const PERIOD: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A request without a name and a password.
    LoginMissing,
    LoginWrong,
    /// Too many passwords were waiting.
    LoginBusy,
    TlsError,
    ConfigApplied,
    ConfigRefused,
    /// A connection that was closed to make room.
    ConnectionClosed,
    /// A page that got no place in time.
    PageRefused,
    /// A page whose client left before the page was complete.
    PageAbandoned,
    /// A request beyond `rate_limit`.
    RequestLimited,
}

impl Event {
    fn level(self) -> Level {
        match self {
            Event::ConfigApplied => Level::Info,
            Event::ConfigRefused => Level::Error,
            _ => Level::Warn,
        }
    }
}

/// The family, the label and its value, in the order of the variants.
const KINDS: [(&str, &str, &str); 10] = [
    (LOGINS, "reason", "missing"),
    (LOGINS, "reason", "wrong"),
    (LOGINS, "reason", "busy"),
    (TLS_ERRORS, "", ""),
    (RELOADS, "result", "applied"),
    (RELOADS, "result", "refused"),
    (SHED, "what", "connection"),
    (SHED, "what", "page"),
    (SHED, "what", "abandoned page"),
    (SHED, "what", "request"),
];

const LOGINS: &str = "shmetrics_serve_login_failures";
const TLS_ERRORS: &str = "shmetrics_serve_tls_errors";
const RELOADS: &str = "shmetrics_serve_config_reloads";
const SHED: &str = "shmetrics_serve_shed";

const FAMILIES: [(&str, &str); 4] = [
    (LOGINS, "Requests refused for want of a right name and password."),
    (TLS_ERRORS, "Connections whose encryption could not begin."),
    (RELOADS, "Changes of the web configuration: in force, or refused with the settings before kept."),
    (SHED, "Connections closed and pages given up so that the server keeps its bounds."),
];

#[derive(Default)]
pub(super) struct Stats {
    kinds: Mutex<[EventCount; KINDS.len()]>,
    /// The last reload of the web configuration; `None` without one.
    reload: Mutex<Option<Reload>>,
}

#[derive(Clone, Copy)]
struct Reload {
    /// Whether the file as it is now is in force.
    is_successful: bool,
    /// The Unix time when a file was last put in force.
    success: f64,
}

#[derive(Clone, Copy, Default)]
struct EventCount {
    count: u64,
    lines: Limit,
}

impl Stats {
    pub(super) fn count(&self, event: Event) {
        self.kinds.lock()[event as usize].count += 1;
    }

    /// Notes that the web configuration was read: it is in force, or is refused.
    pub(super) fn reloaded(&self, is_successful: bool) {
        let now = unix(SystemTime::now());
        let mut reload = self.reload.lock();
        let success = if is_successful { now } else { reload.map_or(0.0, |before| before.success) };
        *reload = Some(Reload { is_successful, success });
    }

    /// Counts the event, and logs it unless the limit is reached.
    pub(super) fn tell(&self, event: Event, line: impl Display) {
        let mut kinds = self.kinds.lock();
        let kind = &mut kinds[event as usize];
        kind.count += 1;
        // Only an operator changes the configuration, so more lines are allowed.
        let most = if matches!(event, Event::ConfigApplied | Event::ConfigRefused) { 10 } else { 1 };
        let unsaid = kind.lines.admit(most, PERIOD);
        drop(kinds);
        match unsaid {
            None => {}
            Some(0) => log(event.level(), line),
            Some(n) => log(event.level(), format_args!("{line} (and {n} times more since this was last said)")),
        }
    }

    pub(super) fn families(&self) -> Result<Vec<ExternalFamily>, Error> {
        let kinds = *self.kinds.lock();
        let build =
            ExternalFamily::gauge("shmetrics_serve_build_info", "1. The labels tell the version of the exporter.")?;
        let mut families = vec![build.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0)?];
        families.extend(own_process()?);
        if let Some(reload) = *self.reload.lock() {
            let last = ExternalFamily::gauge(
                "shmetrics_serve_config_last_reload_successful",
                "1: the web configuration as it is now is in force. 0: it was refused, and the settings before are in force.",
            )?;
            let success = ExternalFamily::gauge(
                "shmetrics_serve_config_last_reload_success_timestamp_seconds",
                "Unix time when the web configuration was last put in force.",
            )?;
            families.push(last.sample(&[], f64::from(u8::from(reload.is_successful)))?);
            families.push(success.sample(&[], reload.success)?);
        }
        for (name, help) in FAMILIES {
            let mut family = ExternalFamily::counter(name, help)?;
            for ((of, label, value), kind) in KINDS.iter().zip(&kinds) {
                if *of == name {
                    let labels = [(*label, *value)];
                    family.add(if label.is_empty() { &[] } else { &labels }, kind.count as f64)?;
                }
            }
            families.push(family);
        }
        Ok(families)
    }
}

/// The exporter's own process. `process_*` of the same page, if it has any, are the application's.
fn own_process() -> Result<Vec<ExternalFamily>, Error> {
    let Some(stat) = stat(std::process::id()) else { return Ok(Vec::new()) };
    let ticks = procfs::ticks_per_second() as f64;
    let boot = procfs::boot_time_secs().unwrap_or(0) as f64;
    let cpu =
        ExternalFamily::counter("shmetrics_serve_process_cpu_seconds", "User and system CPU time of the exporter.")?;
    let resident =
        ExternalFamily::gauge("shmetrics_serve_process_resident_memory_bytes", "Resident memory of the exporter.")?;
    let begin =
        ExternalFamily::gauge("shmetrics_serve_process_start_time_seconds", "Unix time when the exporter started.")?;
    let mut families = vec![
        cpu.sample(&[], (stat.utime + stat.stime) as f64 / ticks)?,
        resident.sample(&[], stat.rss_bytes().get() as f64)?,
        begin.sample(&[], boot + stat.starttime as f64 / ticks)?,
    ];
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        let fds = ExternalFamily::gauge("shmetrics_serve_process_open_fds", "Open file descriptors of the exporter.")?;
        families.push(fds.sample(&[], open.count() as f64)?);
    }
    Ok(families)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_its_series_and_lines_are_few() {
        let stats = Stats::default();
        stats.count(Event::PageAbandoned);
        for _ in 0..5 {
            stats.tell(Event::LoginWrong, "refused");
        }
        let kinds = *stats.kinds.lock();
        assert_eq!(KINDS[Event::PageAbandoned as usize].2, "abandoned page");
        assert_eq!((kinds[8].count, kinds[1].count), (1, 5));
        // The line after those five tells of the four that were left out.
        assert_eq!(stats.kinds.lock()[1].lines.admit(1, Duration::ZERO), Some(4));
        assert_eq!(KINDS[Event::RequestLimited as usize].2, "request");
        let number = stats.families().unwrap().len();
        assert_eq!(number, FAMILIES.len() + 5, "and build info, and four of the process");
        stats.reloaded(true);
        assert_eq!(stats.families().unwrap().len(), number + 2);
        let success = stats.reload.lock().unwrap().success;
        stats.reloaded(false);
        let reload = stats.reload.lock().unwrap();
        assert!(!reload.is_successful && (reload.success - success).abs() < 1e-9, "the time of the success stays");
    }
}
