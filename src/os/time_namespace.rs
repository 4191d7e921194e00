//! By how much a time namespace shifts the clocks of this process, and which boot this is.

pub(crate) use self::os::{boot, shift};

#[cfg(not(target_os = "linux"))]
mod os {
    pub(crate) fn shift() -> Option<i64> {
        Some(0)
    }

    /// Memory of such a system does not outlive a boot.
    pub(crate) fn boot() -> u64 {
        1
    }
}

/// What `/proc` tells. Nothing here allocates: a signal handler's update may come here.
#[cfg(target_os = "linux")]
mod os {
    use std::ffi::CStr;

    use crate::os::proc::{inode, read_start};

    /// The kernel's number for the initial time namespace (`PROC_TIME_INIT_INO`).
    const INITIAL: u64 = 0xEFFF_FFFA;

    /// A number for this boot; 0 if it cannot be told.
    pub(crate) fn boot() -> u64 {
        let mut buffer = [0; 64];
        let Some(text) = read_start(c"/proc/sys/kernel/random/boot_id", &mut buffer) else { return 0 };
        let digits = text.iter().filter_map(|b| char::from(*b).to_digit(16));
        // All 128 bits take part; 0 means that it cannot be told.
        digits.fold(0u64, |sum, digit| (sum.rotate_left(4) ^ u64::from(digit)).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1
    }

    /// By how much this process' `CLOCK_BOOTTIME` is ahead of the initial time namespace's. `None`
    /// if it cannot be told.
    pub(crate) fn shift() -> Option<i64> {
        let Some(own) = inode(c"/proc/self/ns/time") else {
            // A kernel without time namespaces, or no `/proc`.
            return inode(c"/proc/self/ns/pid").map(|_| 0);
        };
        if own == INITIAL {
            return Some(0);
        }
        // The file tells of the namespace of the children that a process will have.
        if inode(c"/proc/self/ns/time_for_children") == Some(own) {
            return offset(c"/proc/self/timens_offsets");
        }
        // This one has called `unshare(CLONE_NEWTIME)`. Its parent may be where it is itself.
        let mut path = [0; 64];
        // SAFETY: a plain call.
        let parent = unsafe { libc::getppid() };
        if inode(of_process(parent, b"/ns/time_for_children", &mut path)?) == Some(own) {
            return offset(of_process(parent, b"/timens_offsets", &mut path)?);
        }
        None
    }

    /// A path below `/proc/PID`.
    fn of_process<'b>(pid: i32, file: &[u8], path: &'b mut [u8; 64]) -> Option<&'b CStr> {
        let (mut digits, mut n, mut left) = ([0; 10], 0, u32::try_from(pid).ok()?);
        while left > 0 || n == 0 {
            digits[n] = b'0' + (left % 10) as u8;
            (left, n) = (left / 10, n + 1);
        }
        let pieces = b"/proc/".iter().chain(digits[..n].iter().rev()).chain(file).chain(&[0]);
        path.iter_mut().zip(pieces).for_each(|(to, from)| *to = *from);
        CStr::from_bytes_until_nul(path).ok()
    }

    fn offset(path: &CStr) -> Option<i64> {
        offset_in(read_start(path, &mut [0; 256])?)
    }

    /// The offset of `CLOCK_BOOTTIME` in lines such as `boottime -10 500000000`.
    pub(crate) fn offset_in(text: &[u8]) -> Option<i64> {
        for line in std::str::from_utf8(text).ok()?.lines() {
            let mut words = line.split_ascii_whitespace();
            if words.next() == Some("boottime") {
                let (seconds, ns): (i64, i64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                return seconds.checked_mul(1_000_000_000)?.checked_add(ns);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn offsets_of_time_namespaces() {
        let text = |s: &str| os::offset_in(s.as_bytes());
        assert_eq!(text("monotonic           1         0\nboottime            -5 500000000\n"), Some(-4_500_000_000));
        assert_eq!(text("monotonic 0 0\nboottime 86400 0\n"), Some(86_400_000_000_000));
        assert_eq!(text("monotonic 0 0\n"), None);
        assert_eq!(text("boottime x 0\n"), None);
        assert_eq!(os::shift(), Some(0), "these tests run in the initial time namespace");
        assert!(os::boot() != 0 && os::boot() == os::boot());
    }
}
