//! Which CPUs there are, and how a new segment's cells for each of them are to be written.

use super::{rseq, PerCpuKind, LINES, MOST_CPUS, STRIDE};

/// What a process wants of per-CPU cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Plan {
    /// That there are any, in a new segment.
    pub(crate) per_cpu: bool,
    /// Restartable sequences.
    pub(crate) rseq: bool,
}

/// What the header of a new segment says of its per-CPU cells: {most bytes, stride, CPUs, kind}.
pub(crate) fn plan(Plan { per_cpu, rseq }: Plan, arena: u64) -> (u64, u32, u32, PerCpuKind) {
    let (possible, most) = (possible_cpus(), arena / 8);
    let cpus = possible.unwrap_or_else(configured_cpus).min(MOST_CPUS);
    let kind = if !per_cpu || cpus == 0 || u64::from(cpus) * STRIDE + LINES > most {
        PerCpuKind::None
    } else if rseq && possible == Some(cpus) && rseq::area().is_some() {
        PerCpuKind::Rseq
    } else {
        PerCpuKind::Locked
    };
    (most, STRIDE as u32, cpus, kind)
}

/// Whether the environment lets processes use restartable sequences: `SHMETRICS_RSEQ=0` does not.
pub(crate) fn rseq_allowed() -> bool {
    crate::os::environment::var_os("SHMETRICS_RSEQ").is_none_or(|v| v != "0")
}

/// One more than the greatest number a CPU may ever have in this boot. `None` if that cannot be
/// told for sure, as where there is no `/sys`: a restartable sequence finds its cell by the CPU's
/// number, whatever that is.
pub(super) fn possible_cpus() -> Option<u32> {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/possible").ok()?;
    list.trim().rsplit([',', '-']).next()?.parse::<u32>().ok()?.checked_add(1)
}

/// How many CPUs there are, or so: without `/sys` the C library counts those that are online, or
/// that this thread may run on. Enough for locked instructions, which may use any cell; 0 if that
/// cannot be told.
fn configured_cpus() -> u32 {
    #[cfg(target_os = "linux")]
    // SAFETY: a plain call.
    return u32::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) }).unwrap_or(0);
    #[cfg(not(target_os = "linux"))]
    0
}

/// Whether this processor stores 16 aligned bytes as one (see `Pair::load`).
pub(super) fn one_store() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx");
    #[cfg(not(target_arch = "x86_64"))]
    false
}
