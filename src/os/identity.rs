//! The identity of this process, which other processes can compare: its pid, its namespaces and its
//! boot.

pub(crate) fn pid() -> u32 {
    std::process::id()
}

/// The kernel's name for this boot; zeros where there is none.
pub(crate) fn boot_id() -> [u8; 16] {
    let mut id = [0; 16];
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: Vec<u8> = text.bytes().filter_map(|b| (b as char).to_digit(16).map(|d| d as u8)).collect();
    if digits.len() == 32 {
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
    }
    id
}

/// A number for this process' PID namespace; 0 where there is none. Allocates nothing.
pub(crate) fn pid_namespace() -> u64 {
    inode_of(c"/proc/self/ns/pid")
}

/// A number for this process' IPC namespace; 0 where there is none. Allocates nothing.
pub(crate) fn ipc_namespace() -> u64 {
    inode_of(c"/proc/self/ns/ipc")
}

/// The inode number of the file at a path; 0 if there is none. Allocates nothing.
fn inode_of(path: &std::ffi::CStr) -> u64 {
    #[cfg(unix)]
    {
        // SAFETY: an all-zero stat is a valid value to be filled in.
        let mut st: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: a NUL-terminated path and a local.
        let failed = unsafe { libc::stat(path.as_ptr(), &raw mut st) } != 0;
        if failed {
            0
        } else {
            st.st_ino
        }
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        0
    }
}
