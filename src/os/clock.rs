//! The clocks of the system.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The wall clock, in nanoseconds since 1970.
pub(crate) fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

/// The time that is so long after 1970. A damaged segment tells any: one that the system cannot
/// represent is 1970.
pub(crate) fn after_1970(span: Duration) -> SystemTime {
    UNIX_EPOCH.checked_add(span).unwrap_or(UNIX_EPOCH)
}

/// Nanoseconds of a clock that never steps and that counts suspended time.
#[inline(always)]
pub(crate) fn boot_ns() -> u64 {
    #[cfg(target_os = "linux")]
    return clock(libc::CLOCK_BOOTTIME);
    // Elsewhere it is known to count suspended time on Apple's systems only.
    #[cfg(all(unix, not(target_os = "linux")))]
    return clock(libc::CLOCK_MONOTONIC);
    #[cfg(not(unix))]
    now_ns()
}

/// The wall clock, in milliseconds since 1970, to a few of them: for people.
pub(crate) fn wall_ms() -> u64 {
    #[cfg(target_os = "linux")]
    return clock(libc::CLOCK_REALTIME_COARSE) / 1_000_000;
    #[cfg(not(target_os = "linux"))]
    return now_ns() / 1_000_000;
}

/// Nanoseconds of a clock that does not step, for durations in this process.
pub(crate) fn monotonic_ns() -> u64 {
    #[cfg(unix)]
    return clock(libc::CLOCK_MONOTONIC);
    #[cfg(not(unix))]
    {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed().as_nanos() as u64
    }
}

/// Milliseconds of a clock that does not step, for durations in this process. It is cheap to read.
pub(crate) fn monotonic_ms() -> u64 {
    #[cfg(target_os = "linux")]
    return clock(libc::CLOCK_MONOTONIC_COARSE) / 1_000_000;
    #[cfg(not(target_os = "linux"))]
    return boot_ns() / 1_000_000;
}

#[cfg(unix)]
#[inline(always)]
pub(crate) fn clock(id: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a plain, async-signal-safe call with a local. On Linux it is a call of the vDSO.
    unsafe { libc::clock_gettime(id, &raw mut now) };
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}
