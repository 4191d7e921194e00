//! `process_*` of processes, as Prometheus' client libraries name them, from `/proc`.

use std::fs::read_to_string;

use super::external::ExternalFamily;
use super::inspect::ProcessInfo;
use crate::Error;

/// The families, with a sample of each living process for what `/proc` shows of it.
pub(super) fn families(processes: &[ProcessInfo]) -> Result<Vec<ExternalFamily>, Error> {
    let mut families = [
        ExternalFamily::counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.")?,
        ExternalFamily::gauge("process_resident_memory_bytes", "Resident memory size in bytes.")?,
        ExternalFamily::gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.")?,
        ExternalFamily::gauge("process_start_time_seconds", "Start time since unix epoch in seconds.")?,
        ExternalFamily::gauge("process_threads", "Number of threads.")?,
        ExternalFamily::gauge("process_open_fds", "Number of open file descriptors.")?,
        ExternalFamily::gauge("process_max_fds", "Maximum number of open file descriptors.")?,
    ];
    for process in processes.iter().filter(|process| process.alive) {
        let Some(times) = times(process) else { continue };
        let identity = process.identity.to_string();
        for (family, value) in families.iter_mut().zip(times.into_iter().map(Some).chain(descriptors(process.pid))) {
            value.map_or(Ok(()), |value| family.add(&[("pid", &identity)], value))?;
        }
    }
    Ok(families.into_iter().filter(|family| !family.is_empty()).collect())
}

/// CPU time, resident and virtual memory, start, threads. `None`: the process is not in this
/// `/proc` (it is in another PID namespace, or has ended).
fn times(process: &ProcessInfo) -> Option<[f64; 5]> {
    let stat = read_to_string(format!("/proc/{}/stat", process.pid)).ok()?;
    // The name of the program, in parentheses, may have any characters. Behind it, the 3rd field
    // comes first.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let began = field(22)?;
    if process.started != 0 && process.started != began {
        return None; // the pid was used again, or is one of another namespace
    }
    let (ticks, page_size) = (system(libc::_SC_CLK_TCK)?, system(libc::_SC_PAGESIZE)?);
    let stat = read_to_string("/proc/stat").ok()?;
    let boot: f64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some([
        (field(14)? + field(15)?) as f64 / ticks,
        field(24)? as f64 * page_size,
        field(23)? as f64,
        boot + began as f64 / ticks,
        field(20)? as f64,
    ])
}

/// Open descriptors, and how many there may be, as far as this user may see them.
fn descriptors(pid: u32) -> [Option<f64>; 2] {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok().map(|entries| entries.count() as f64);
    let limits = read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let most = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    [open, most.and_then(|most| if most == "unlimited" { Some(f64::INFINITY) } else { most.parse().ok() })]
}

fn system(name: libc::c_int) -> Option<f64> {
    // SAFETY: a plain call.
    let value = unsafe { libc::sysconf(name) };
    (value > 0).then_some(value as f64)
}
