//! `process_*` of the processes that have a segment open for counting. The exporter reads `/proc`,
//! so the workers do no work for these metrics.

mod scan;
mod stat;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use procfs::process::{LimitValue, Process};
use procfs::WithCurrentSystemInfo;
use shmetrics::{Error, ExternalFamily, ProcessInfo, Reader};

use crate::common::source::Reading;
pub(crate) use scan::writers;
use scan::{ProcessKey, Scanner};
pub(crate) use stat::stat;

/// The processes of each group of segments, by the value of the label `segment`.
#[derive(Default)]
pub(crate) struct ProcessMetrics {
    groups: Mutex<BTreeMap<String, Group>>,
    is_late: AtomicBool,
}

/// The processes of one segment, or of several segments without the label `segment`.
#[derive(Default)]
struct Group {
    scanners: HashMap<String, Scanner>,
    /// The last known CPU seconds of each live process, also after it has unmapped the segment.
    cpu: HashMap<ProcessKey, f64>,
    /// The CPU seconds of ended processes: the sum must not fall.
    gone: f64,
}

/// How long a page waits while another page scans the processes. The first scan may take a second.
const LATE: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 5000 });
/// How long a page waits after an earlier page has waited in vain.
const LATE_AGAIN: Duration = Duration::from_millis(50);
/// The maximum number of groups that are kept while they are not on a page.
const GROUPS_MAX: usize = 1000;

/// The values of one process.
struct Sample {
    /// The value of the label `pid`.
    pid: String,
    values: Values,
}

type Values = [f64; 7];

const CPU: usize = 0;
const START: usize = 3;

struct Measure {
    name: &'static str,
    help: &'static str,
    is_counter: bool,
}

const fn measure(name: &'static str, help: &'static str) -> Measure {
    Measure { name, help, is_counter: false }
}

/// The metrics, in the order of `Values`.
const MEASURES: [Measure; 7] = [
    Measure { is_counter: true, ..measure("cpu_seconds", "User and system CPU time") },
    measure("resident_memory_bytes", "Resident memory; memory that processes share is counted in each"),
    measure("virtual_memory_bytes", "Virtual memory"),
    measure("start_time_seconds", "Start as a Unix time"),
    measure("open_fds", "Open file descriptors"),
    measure("max_fds", "Maximum number of open file descriptors"),
    measure("threads", "Threads"),
];

impl ProcessMetrics {
    /// The families of all segments that are read.
    pub(crate) fn families(&self, reading: &Reading) -> Result<Vec<ExternalFamily>, Error> {
        let late = ExternalFamily::gauge(
            "shmetrics_serve_processes_late",
            "1: the system keeps an earlier look at the processes waiting, so this page has no process metrics.",
        )?;
        let Some(mut groups) = self.groups() else { return Ok(vec![late.sample(&[], 1.0)?]) };
        if groups.len() > GROUPS_MAX {
            let on_page = reading.groups();
            groups.retain(|name, _| on_page.contains_key(name));
        }
        let mut sums = families("process_", "of all processes that count in the segment.")?;
        let mut each = families("process_worker_", "of each process that counts in the segment.")?;
        let mut number =
            ExternalFamily::gauge("shmetrics_serve_processes", "Processes seen that count in the segment.")?;
        let of_page = reading.groups();
        // A group that is not on this page is kept: its sums go on when it comes back.
        for (name, readers) in of_page {
            let labels: Vec<(&str, &str)> = if name.is_empty() { Vec::new() } else { vec![("segment", &name)] };
            let group = groups.entry(name.clone()).or_default();
            let samples = group.scan(&readers);
            number.add(&labels, samples.len() as f64)?;
            for (family, value) in sums.iter_mut().zip(group.sums(&samples)) {
                value.map_or(Ok(()), |value| family.add(&labels, value))?;
            }
            // As in the library, the latest of several processes with one identity is shown.
            for sample in samples {
                let mut labels = labels.clone();
                labels.push(("pid", &sample.pid));
                for (family, value) in each.iter_mut().zip(sample.values) {
                    if !value.is_nan() {
                        family.add(&labels, value)?;
                    }
                }
            }
        }
        let all = sums.into_iter().chain(each).filter(|family| !family.is_empty());
        Ok(all.chain([number, late.sample(&[], 0.0)?]).collect())
    }

    /// The groups, unless an earlier scan still runs: `/proc/PID/maps` cannot be read while its
    /// process is in a system call that changes its memory, for example on a network file system
    /// that does not answer.
    fn groups(&self) -> Option<MutexGuard<'_, BTreeMap<String, Group>>> {
        let groups = self.groups.try_lock_for(if self.is_late.load(Relaxed) { LATE_AGAIN } else { LATE });
        self.is_late.store(groups.is_none(), Relaxed);
        groups
    }
}

fn families(prefix: &str, whose: &str) -> Result<Vec<ExternalFamily>, Error> {
    let make = |m: &Measure| {
        let (name, help) = (format!("{prefix}{}", m.name), format!("{}, {whose}", m.help));
        if m.is_counter {
            ExternalFamily::counter(&name, &help)
        } else {
            ExternalFamily::gauge(&name, &help)
        }
    };
    MEASURES.iter().map(make).collect()
}

impl Group {
    /// The attached processes, the oldest first.
    fn scan(&mut self, readers: &[(&str, &Reader)]) -> Vec<Sample> {
        let mut keys = BTreeMap::new();
        self.scanners.retain(|name, _| readers.iter().any(|(read, _)| read == name));
        for (name, reader) in readers {
            let slots = reader.processes();
            let scanner = self.scanners.entry((*name).to_owned()).or_default();
            for key in scanner.attached(reader, &slots) {
                let found = keys.entry(key).or_insert(None);
                *found = found.take().or_else(|| identity(key, &slots));
            }
        }
        let samples: Vec<(ProcessKey, Sample)> =
            keys.into_iter().filter_map(|(key, id)| Some((key, sample(key, id)?))).collect();
        for (key, sample) in &samples {
            self.cpu.insert(*key, sample.values[CPU]);
        }
        let gone = &mut self.gone;
        self.cpu.retain(|key, seconds| {
            let lives = samples.iter().any(|(seen, _)| seen == key) || started(key.pid) == Some(key.started);
            *gone += if lives { 0.0 } else { *seconds };
            lives
        });
        samples.into_iter().map(|(_, sample)| sample).collect()
    }

    fn sums(&self, samples: &[Sample]) -> [Option<f64>; 7] {
        let mut sums = [None; 7];
        for (i, sum) in sums.iter_mut().enumerate() {
            let values = samples.iter().map(|sample| sample.values[i]).filter(|v| !v.is_nan());
            *sum = match i {
                CPU => {
                    Some(self.gone + self.cpu.values().sum::<f64>()).filter(|_| self.gone > 0.0 || !self.cpu.is_empty())
                }
                START => values.reduce(f64::min),
                _ => values.reduce(|a, b| a + b),
            };
        }
        sums
    }
}

fn started(pid: i32) -> Option<u64> {
    Some(stat(pid)?.starttime)
}

/// The value of the label `pid` in the gauges of the process.
fn identity(key: ProcessKey, slots: &[ProcessInfo]) -> Option<u32> {
    let alike = |slot: &&ProcessInfo| slot.alive && slot.started == key.started;
    let inner = inner_pid(key.pid);
    let slot = slots.iter().filter(alike).find(|slot| i64::from(slot.pid) == i64::from(inner))?;
    Some(slot.identity)
}

/// The pid in the innermost PID namespace, as the process itself sees it.
fn inner_pid(pid: i32) -> i32 {
    let status = Process::new(pid).and_then(|process| process.status());
    status.ok().and_then(|status| status.nspid?.last().copied()).unwrap_or(pid)
}

/// `None`: the process has ended.
fn sample(key: ProcessKey, identity: Option<u32>) -> Option<Sample> {
    let process = Process::new(key.pid).ok()?;
    let stat = stat(key.pid).filter(|stat| stat.starttime == key.started)?;
    let ticks = procfs::ticks_per_second() as f64;
    let boot = procfs::boot_time_secs().unwrap_or(0) as f64;
    // Values that another user's process does not show are NaN, and are left out.
    let fds = std::fs::read_dir(format!("/proc/{}/fd", key.pid)).map_or(f64::NAN, |fds| fds.count() as f64);
    let most = process.limits().map_or(f64::NAN, |limits| match limits.max_open_files.soft_limit {
        LimitValue::Unlimited => f64::INFINITY,
        LimitValue::Value(n) => n as f64,
    });
    let values = [
        (stat.utime + stat.stime) as f64 / ticks,
        stat.rss_bytes().get() as f64,
        stat.vsize as f64,
        boot + stat.starttime as f64 / ticks,
        fds,
        most,
        stat.num_threads as f64,
    ];
    let pid = identity.map_or_else(|| inner_pid(key.pid).to_string(), |identity| identity.to_string());
    Some(Sample { pid, values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::owners::Owners;
    use crate::common::source::Sources;

    #[test]
    fn a_look_that_is_stuck_holds_no_page() {
        let name = format!("cli-late-{}", std::process::id());
        let _segment = shmetrics::Segment::open(&name).unwrap();
        let reading = Sources::quiet(vec![name.clone()], Owners::default(), false).unwrap().read().unwrap();
        let watch = ProcessMetrics::default();
        let usual = watch.families(&reading).unwrap().len();
        let stuck = watch.groups.lock();
        assert_eq!(watch.families(&reading).unwrap().len(), 1);
        drop(stuck);
        assert_eq!(watch.families(&reading).unwrap().len(), usual);
        shmetrics::Segment::remove(&name).unwrap();
    }
}
