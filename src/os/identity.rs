//! The identity of this process, which other processes can compare: its pid, its namespaces and its
//! boot.

use super::proc::inode;

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
    inode(c"/proc/self/ns/pid").unwrap_or(0)
}

/// A number for this process' IPC namespace; 0 where there is none. Allocates nothing.
pub(crate) fn ipc_namespace() -> u64 {
    inode(c"/proc/self/ns/ipc").unwrap_or(0)
}
