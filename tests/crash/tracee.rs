//! A forked child under ptrace, moved on by single instructions or to a breakpoint.

use std::io::Error;

use common::attachments;

use super::child;

/// Stopped or dead whenever we look at it. Dropping it kills it, as the kernel's memory killer
/// would.
pub struct Tracee {
    pid: libc::pid_t,
    complete: bool,
}

/// An instruction that a run executes: its address, and how many times the run has executed it by
/// then, this time included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub address: u64,
    pub visit: usize,
}

const BREAKPOINT: u64 = 0xcc; // int3
const RIP: u64 = std::mem::offset_of!(libc::user, regs.rip) as u64;

impl Tracee {
    /// Forks a child that gets ready and is stopped; let go, it does `act`, and is stopped again.
    pub fn start<R>(ready: impl FnOnce() -> R, act: impl FnOnce(R)) -> Tracee {
        let pid = child::fork(child::PATIENCE_FOR_VICTIMS, || {
            // SAFETY: a plain call of the child on itself.
            let traced = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
            assert_eq!(traced, 0, "this test needs ptrace: {}", Error::last_os_error());
            let ready = ready();
            stop();
            act(ready);
            stop();
        });
        let mut tracee = Tracee { pid, complete: false };
        assert_eq!(tracee.wait(), Ok(libc::SIGSTOP), "the victim did not get ready");
        tracee.ptrace(libc::PTRACE_SETOPTIONS, 0, libc::PTRACE_O_EXITKILL as u64);
        tracee
    }

    /// Does one instruction. False: the act is complete.
    pub fn step(&mut self) -> bool {
        self.go(libc::PTRACE_SINGLESTEP).unwrap()
    }

    /// Runs from the start to a moment. False: the act was complete before.
    pub fn run_to(&mut self, moment: Moment) -> bool {
        let original = self.ptrace(libc::PTRACE_PEEKTEXT, moment.address, 0);
        for visit in 1..=moment.visit {
            self.ptrace(libc::PTRACE_POKETEXT, moment.address, original & !0xff | BREAKPOINT);
            let there = self.go(libc::PTRACE_CONT).unwrap();
            self.ptrace(libc::PTRACE_POKETEXT, moment.address, original);
            if !there {
                return false;
            }
            assert_eq!(self.instruction(), moment.address + 1, "the victim ran into a trap of its own");
            self.ptrace(libc::PTRACE_POKEUSER, RIP, moment.address);
            if visit < moment.visit && !self.step() {
                return false;
            }
        }
        true
    }

    /// Lets the child complete its act. The error is how it ended instead.
    pub fn complete(&mut self) -> Result<(), String> {
        assert!(!self.go(libc::PTRACE_CONT)?, "the victim ran into a trap of its own");
        Ok(())
    }

    /// The address of the instruction that comes next.
    pub fn instruction(&self) -> u64 {
        self.ptrace(libc::PTRACE_PEEKUSER, RIP, 0)
    }

    fn go(&mut self, how: libc::c_uint) -> Result<bool, String> {
        if !self.complete {
            self.ptrace(how, 0, 0);
            match self.wait()? {
                libc::SIGTRAP => {}
                libc::SIGSTOP => self.complete = true,
                signal => return Err(format!("the victim got signal {signal}")),
            }
        }
        Ok(!self.complete)
    }

    /// The signal that stopped the child.
    fn wait(&mut self) -> Result<i32, String> {
        let mut status = 0;
        // SAFETY: our own child, not reaped yet.
        let pid = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        assert_eq!(pid, self.pid, "waitpid: {}", Error::last_os_error());
        if libc::WIFSTOPPED(status) {
            return Ok(libc::WSTOPSIG(status));
        }
        self.pid = 0;
        Err(format!("the victim ended with status {status:#x}"))
    }

    fn ptrace(&self, request: libc::c_uint, address: u64, data: u64) -> u64 {
        // SAFETY: our own tracee, which is stopped. Requests that read return the word, and errors
        // through errno.
        let result = unsafe {
            *libc::__errno_location() = 0;
            libc::ptrace(request, self.pid, address, data)
        };
        let error = Error::last_os_error();
        assert!(result != -1 || error.raw_os_error() == Some(0), "ptrace request {request} at {address:#x}: {error}");
        result as u64
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        if self.pid > 0 {
            // SAFETY: our own child, not reaped yet.
            unsafe {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, std::ptr::null_mut(), 0);
            }
            // A process that is killed while it attaches leaves a segment behind for the next
            // process with the same file to remove. This file has none.
            for left in attachments().iter().filter(|a| a.creator == self.pid && a.attached == 0) {
                // SAFETY: a plain call; the command needs no buffer.
                unsafe { libc::shmctl(left.id, libc::IPC_RMID, std::ptr::null_mut()) };
            }
        }
    }
}

fn stop() {
    // SAFETY: stops the calling process.
    unsafe { libc::raise(libc::SIGSTOP) };
}
