//! Reading mappings that survive a truncated file, in programs that ask for it.
//!
//! The kernel sends SIGBUS to a process that touches a page behind the end of a file. The handler
//! puts zeros of this process in the place of the whole mapping, and the reader goes on: a reader
//! survives any bytes. The mapping is marked, as what was read from it means nothing.

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};

use super::file::last;
use crate::os::errno::Errno;
use crate::os::grow_list::GrowList;
use crate::Error;

/// A mapping that the handler knows.
#[derive(Debug)]
pub(super) struct Guarded {
    /// The first address. 0: free for another mapping; 1: taken, and not to be used yet.
    base: AtomicUsize,
    len: AtomicUsize,
    is_lost: AtomicBool,
}

static ALL: GrowList<Guarded> = GrowList::new();
/// Whether the handler is installed.
static IS_INSTALLED: AtomicBool = AtomicBool::new(false);
/// What SIGBUS did before, and how that is called.
static BEFORE: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);
static BEFORE_TAKES_INFO: AtomicBool = AtomicBool::new(false);

/// Installs the handler, once. Without a lock, which a child may be forked with: threads that come
/// at the same time all install it, and note what was there before.
pub(crate) fn install() -> Result<(), Error> {
    if IS_INSTALLED.load(Acquire) {
        return Ok(());
    }
    let ours = on_sigbus as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
    let failed = || Error::system("installing a handler of SIGBUS", last());
    // SAFETY: an all-zero sigaction is a valid value: the default action.
    let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a plain call with a local.
    if unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut before) } != 0 {
        return Err(failed());
    }
    if before.sa_sigaction != ours {
        // Both pair with the loads in `pass_on`.
        BEFORE_TAKES_INFO.store(before.sa_flags & libc::SA_SIGINFO != 0, Release);
        BEFORE.store(before.sa_sigaction, Release);
    }
    // SAFETY: as above.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = ours;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: a handler that makes only calls which a handler may make.
    if unsafe { libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()) } != 0 {
        return Err(failed());
    }
    // Pairs with the load in `Guarded::new`.
    IS_INSTALLED.store(true, Release);
    Ok(())
}

impl Guarded {
    /// Has the handler know a mapping that is only read. `None`: there is no handler.
    pub(super) fn new(base: NonNull<u8>, len: usize) -> Option<&'static Self> {
        if !IS_INSTALLED.load(Acquire) {
            return None;
        }
        // Pairs with the store in `release`.
        let is_taken = |guarded: &&Guarded| guarded.base.compare_exchange(0, 1, AcqRel, Acquire).is_ok();
        if let Some(free) = ALL.iter().find(is_taken) {
            free.len.store(len, Release);
            free.is_lost.store(false, Release);
            // Pairs with the load in `on_sigbus`.
            free.base.store(base.as_ptr().addr(), Release);
            return Some(free);
        }
        let (base, len) = (AtomicUsize::new(base.as_ptr().addr()), AtomicUsize::new(len));
        Some(ALL.add(Guarded { base, len, is_lost: AtomicBool::new(false) }))
    }

    /// Before the mapping ends.
    pub(super) fn release(&self) {
        // Pairs with the exchange in `new`.
        self.base.store(0, Release);
    }

    /// Whether zeros have taken the place of the mapping.
    pub(super) fn is_lost(&self) -> bool {
        // Pairs with the store in `replace`.
        self.is_lost.load(Acquire)
    }

    /// Puts zeros in the place of the mapping.
    fn replace(&self, base: usize) -> bool {
        // Before the zeros can be read: a reader that has read them finds the mark.
        self.is_lost.store(true, Release);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
        let (at, len) = (ptr::with_exposed_provenance_mut(base), self.len.load(Acquire));
        // SAFETY: in the place of a mapping of ours, in one step. Its user is in the instruction
        // that brought us here, so the mapping does not end meanwhile. A bare system call.
        unsafe { libc::mmap(at, len, libc::PROT_READ, flags, -1, 0) != libc::MAP_FAILED }
    }
}

extern "C" fn on_sigbus(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let _errno = Errno::keep();
    // SAFETY: the kernel's own, as SA_SIGINFO asks.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
    if code == libc::BUS_ADRERR {
        for guarded in ALL.iter() {
            // Pairs with the stores in `new`.
            let base = guarded.base.load(Acquire);
            let is_in = base > 1 && address.wrapping_sub(base) < guarded.len.load(Acquire);
            if is_in && guarded.replace(base) {
                return;
            }
        }
    }
    pass_on(signal, info, context);
}

/// Does what SIGBUS did before the handler.
fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let before = BEFORE.load(Acquire);
    if before != libc::SIG_DFL && before != libc::SIG_IGN {
        if BEFORE_TAKES_INFO.load(Acquire) {
            type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
            // SAFETY: a handler with information, as the system had it.
            let handler = unsafe { std::mem::transmute::<usize, Handler>(before) };
            handler(signal, info, context);
        } else {
            // SAFETY: a plain handler, as the system had it.
            let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(c_int)>(before) };
            handler(signal);
        }
        return;
    }
    // A fault comes again at the return. A signal that was sent does not, so it is sent again.
    // SAFETY: plain calls that a handler may make; the signal is blocked until the return.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        if (*info).si_code <= 0 {
            libc::raise(signal);
        }
    }
}
