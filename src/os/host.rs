//! What the library leaves in the calling thread as it found it: whether the thread can be
//! cancelled, and `errno`.

use super::errno::Errno;

/// Whether the allocator has so many bytes just now.
///
/// Rust's allocations end the process where there is no memory. A call that can report an error
/// asks this first, for more than it needs, and gives the bytes back before it begins.
pub(crate) fn has_memory(bytes: usize) -> bool {
    let mut room: Vec<u8> = Vec::new();
    let has = room.try_reserve_exact(bytes).is_ok();
    // Or else the optimiser leaves both the allocation and its end out.
    std::hint::black_box(&mut room);
    has
}

/// Held during every call that may call the system. Until it is dropped, the thread cannot be
/// cancelled: a cancellation that is pending waits for the host's own next cancellation point.
/// Then `errno` is as it was.
///
/// A cancelled thread is unwound through our frames, and those of C code that called us. Our
/// frames may not be unwound through by a foreign exception, and a half-done call may hold what
/// no code gives back. So no cancellation point of the C library (`open`, `close`, `read`,
/// `fallocate`, `nanosleep`...) is reached without this guard.
///
/// Both calls that it makes are async-signal-safe. Guards may be nested. The guard belongs to its
/// thread.
pub(crate) struct Undisturbed {
    // Dropped after `drop` has run, so last of all.
    _errno: Errno,
    #[cfg(target_os = "linux")]
    cancellable: libc::c_int,
    /// Neither `Send` nor `Sync`.
    _thread: std::marker::PhantomData<*const ()>,
}

#[cfg(target_os = "linux")]
mod cancel {
    unsafe extern "C" {
        // Not in the `libc` crate for all targets.
        pub(super) fn pthread_setcancelstate(state: libc::c_int, old: *mut libc::c_int) -> libc::c_int;
    }
    /// As glibc and musl have it.
    pub(super) const DISABLE: libc::c_int = 1;
}

impl Undisturbed {
    pub(crate) fn new() -> Self {
        let errno = Errno::keep();
        #[cfg(target_os = "linux")]
        let cancellable = {
            let mut old = 0;
            // SAFETY: a valid state, and a local to put the old one in.
            unsafe { cancel::pthread_setcancelstate(cancel::DISABLE, &raw mut old) };
            old
        };
        Undisturbed {
            _errno: errno,
            #[cfg(target_os = "linux")]
            cancellable,
            _thread: std::marker::PhantomData,
        }
    }
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        // SAFETY: the state that the thread had; NULL is allowed. With deferred cancellation
        // nothing happens here.
        unsafe {
            cancel::pthread_setcancelstate(self.cancellable, std::ptr::null_mut());
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn state() -> libc::c_int {
        let mut old = 0;
        // SAFETY: as above; the state is put back at once.
        unsafe {
            cancel::pthread_setcancelstate(cancel::DISABLE, &raw mut old);
            cancel::pthread_setcancelstate(old, std::ptr::null_mut());
        }
        old
    }

    #[test]
    fn what_was_found_is_put_back() {
        let before = state();
        // SAFETY: the calling thread's own.
        unsafe { *libc::__errno_location() = 4242 };
        {
            let _outer = Undisturbed::new();
            // SAFETY: as above.
            unsafe { *libc::__errno_location() = 1 };
            drop(Undisturbed::new());
            assert_eq!(state(), cancel::DISABLE);
        }
        assert_eq!(state(), before);
        assert_ne!(before, cancel::DISABLE);
        // SAFETY: as above.
        assert_eq!(unsafe { *libc::__errno_location() }, 4242);
    }
}
