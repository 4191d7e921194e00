//! A segment in numbers: its memory, its families and its processes.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::page::allowance::Allowance;
use super::self_metrics;
use super::source::Source;
use crate::kind::Kind;
use crate::os::clock::after_1970;
use crate::process::{Slots, Token};
use crate::record::family;
use crate::record::family::{count_of, Record};
use crate::record::gauge_mode::GaugeMode;
use crate::record::native_schema::Native;
use crate::shm::layout::{header, GRANULE};
use crate::shm::mapping::{Backing, Owner, PREFIX};
use crate::shm::memory::Mapped;
use crate::shm::percpu;

/// What is in a segment: made by [`Reader::inspect`](crate::Reader::inspect).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// The plain name, or the path's last part, or `anonymous`.
    pub name: String,
    /// The file, unless the segment is anonymous.
    pub path: Option<PathBuf>,
    /// The layout's major and minor version.
    pub layout: (u16, u16),
    /// When it was made.
    pub created: SystemTime,
    /// The boot it was made in, as the kernel writes it.
    pub boot_id: String,
    /// Bytes it may grow to.
    pub max_size: u64,
    /// Bytes in use.
    pub used: u64,
    /// Bytes of memory it holds from the system.
    pub resident: u64,
    /// Series in it.
    pub series: u64,
    /// Its families, in the order of their registration.
    pub families: Vec<FamilyInfo>,
    /// The processes that have, or had, gauges of their own.
    pub processes: Vec<ProcessInfo>,
    /// Look-ups that ended in an overflow series.
    pub overflow_lookups: u64,
    /// Registrations that failed.
    pub failed_registrations: u64,
    /// Updates that were not done.
    pub rejected_updates: u64,
    /// Bytes of records that killed processes never finished.
    pub leaked: u64,
    /// Damaged families.
    pub corrupt: u64,
    /// How hot series count in cells for each CPU: `rseq`, `locked`, or `none`.
    pub per_cpu_kind: &'static str,
    /// For how many CPUs.
    pub cpus: u32,
    /// Bytes of such cells, those of removed series among them.
    pub per_cpu_bytes: u64,
    /// The owner of the file, and its mode.
    pub owner: Option<Owner>,
    /// Whether any process has it open for counting: see
    /// [`Reader::is_in_use`](crate::Reader::is_in_use).
    pub in_use: Option<bool>,
    /// How many processes have: see [`Reader::attached`](crate::Reader::attached).
    pub attached: Option<u32>,
    /// Whether its name still leads to it.
    pub current: Option<bool>,
}

/// A family in an [`Inspection`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FamilyInfo {
    /// Its name; a counter's without `_total`.
    pub name: String,
    /// `counter`, `gauge`, `histogram`, `summary` and so on.
    pub kind: Kind,
    /// A gauge's mode.
    pub mode: Option<GaugeMode>,
    /// Whether a counter is called so on pages in text, without `_total`.
    pub exact_name: bool,
    /// Its help text.
    pub help: String,
    /// Its unit, or nothing.
    pub unit: String,
    /// Its label names.
    pub labels: Vec<String>,
    /// Its finite bucket bounds, quantiles or states, as pages show them.
    pub buckets: Vec<String>,
    /// The native buckets of a histogram.
    pub native: Option<Native>,
    /// How long the quantiles of a summary look back.
    pub max_age: Option<Duration>,
    /// When a series that no process updates goes off the pages.
    pub expire_after: Option<Duration>,
    /// Its series; 1 for a family without labels.
    pub series: u64,
    /// The most it may have; 0 for no limit of its own.
    pub max_series: u64,
    /// Look-ups that ended in its overflow series.
    pub overflow_lookups: u64,
    /// The first member of the [bundle](crate::Segment::bundle) that it is in, if there are others.
    /// Series, limit and look-ups are then of all members.
    pub bundle: Option<String>,
}

/// A process in an [`Inspection`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ProcessInfo {
    /// Its place in the table.
    pub slot: u32,
    /// Its pid, in its own PID namespace.
    pub pid: u32,
    /// What stands for it in the label `pid`.
    pub identity: u32,
    /// Whether it lives.
    pub alive: bool,
    /// When it first touched a gauge.
    pub attached: SystemTime,
    /// When it began, in the kernel's ticks since boot, as in the 22nd field of `/proc/PID/stat`; 0
    /// if it could not tell. With the pid it names a process for good.
    pub started: u64,
}

pub(super) fn inspect(source: &Source<'_>) -> Inspection {
    let Source { memory, backing, own_slot, path, .. } = source;
    let whole = source.state();
    let (mut families, mut names) = (Vec::new(), crate::os::random::HashSet::default());
    let mut corrupt = 0;
    let (mut walk, allowance, mut budget) = (family::walk(memory), Allowance::default(), memory.len() / GRANULE);
    while let Some(link) = walk.step(memory) {
        let record = Record::at_link(memory, link);
        if budget == 0 || !record.texts_len().is_none_or(|len| allowance.charge(memory, len)) {
            corrupt += 1;
            break;
        }
        match family_info(&record) {
            _ if record.is_retired() => {}
            // One that is replaced at this moment, and its successor, may both have been seen.
            Some(info) if !names.insert(info.name.clone()) => {}
            Some(info) => families.push(info),
            None => corrupt += 1,
        }
        budget -= 1;
    }
    corrupt += u64::from(walk.closing().is_some());
    let file = path.and_then(Path::file_name).map(|n| n.to_string_lossy().into_owned());
    let name = file.map_or("anonymous".into(), |n| n.strip_prefix(PREFIX).map(str::to_owned).unwrap_or(n));
    Inspection {
        name,
        path: path.map(Path::to_path_buf),
        layout: (memory.get16(header::MAJOR_AT), memory.get16(header::MINOR_AT)),
        created: after_1970(Duration::from_nanos(memory.get64(header::CREATED_NS))),
        boot_id: boot_id(memory),
        max_size: memory.get64(header::TOTAL_SIZE),
        used: self_metrics::used(memory),
        resident: backing.resident(),
        series: count_of(memory.get64(header::SERIES)),
        families,
        processes: processes(memory, *backing, *own_slot),
        overflow_lookups: memory.get64(header::OVERFLOW_LOOKUPS),
        failed_registrations: memory.get64(header::FAILED_REGISTRATIONS),
        rejected_updates: memory.get64(header::REJECTED_UPDATES),
        leaked: self_metrics::leaked(memory),
        corrupt,
        per_cpu_kind: percpu::PerCpuKind::of(memory).name(),
        cpus: memory.per_cpu().cpus as u32,
        per_cpu_bytes: memory.get64(header::PER_CPU_BYTES),
        owner: backing.owner(),
        in_use: whole.in_use,
        attached: whole.attached,
        current: whole.current,
    }
}

/// The processes that have, or had, gauges of their own.
pub(super) fn processes(memory: &Mapped, backing: &dyn Backing, own_slot: Option<Token>) -> Vec<ProcessInfo> {
    let slots = Slots::in_memory(memory);
    let living = slots.living(backing, own_slot);
    let of = (0..slots.high()).filter_map(|i| slots.holder(i)).map(|h| ProcessInfo {
        slot: h.token.slot,
        pid: h.pid,
        identity: h.identity,
        alive: living.get(h.token.slot as usize) == Some(&h.token.generation),
        attached: after_1970(Duration::from_nanos(h.attached_ns)),
        started: h.started,
    });
    of.collect()
}

fn boot_id(memory: &Mapped) -> String {
    let mut bytes = Vec::new();
    memory.copy_to(header::BOOT_ID, 16, &mut bytes);
    let mut text = String::new();
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn family_info(record: &Record<'_>) -> Option<FamilyInfo> {
    let texts = record.texts()?;
    let stored = record.native();
    Some(FamilyInfo {
        kind: record.kind(),
        mode: record.is_kind(Kind::Gauge).then(|| record.mode()),
        exact_name: record.exact(),
        series: if texts.labels.is_empty() { 1 } else { record.series() },
        max_series: record.max_series(),
        overflow_lookups: record.overflow_lookups(),
        bundle: if record.is_bundled() { record.home().texts().map(|texts| texts.name) } else { None },
        labels: texts.label_names(),
        name: texts.name,
        help: texts.help,
        unit: texts.unit,
        buckets: texts.bucket_labels,
        native: stored.filter(|stored| stored.window == 0).map(Native::from),
        max_age: stored.filter(|stored| stored.window > 0).map(|stored| Duration::from_secs(stored.window.into())),
        expire_after: (record.expire() > 0).then(|| Duration::from_secs(record.expire().into())),
    })
}
