//! System calls that a filter denies to this process from then on: for forked children only.

/// From now on these system calls (`libc::SYS_...`) fail with `errno`, as under a container's
/// seccomp profile.
///
/// # Panics
/// If the kernel refuses.
pub fn deny(calls: &[libc::c_long], errno: i32) {
    try_deny(calls, errno).expect("a filter");
}

/// As [`deny`], or the kernel's refusal.
pub fn try_deny(calls: &[libc::c_long], errno: i32) -> std::io::Result<()> {
    let step = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let (load, equal, answer) = (
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        libc::BPF_RET | libc::BPF_K,
    );
    let mut program = vec![step(load, 0, 0, 0)]; // The call's number comes first in `seccomp_data`.
    for call in calls {
        program.push(step(equal, 0, 1, *call as u32));
        program.push(step(answer, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32));
    }
    program.push(step(answer, 0, 0, libc::SECCOMP_RET_ALLOW));
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: plain calls; the program is as long as it says.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter, 0, 0) != 0
        {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The system calls that open a file by its path.
pub fn opening_calls() -> Vec<libc::c_long> {
    let mut calls = vec![libc::SYS_openat, libc::SYS_openat2];
    #[cfg(target_arch = "x86_64")]
    calls.push(libc::SYS_open);
    calls
}
