//! The status that calls of C return, and the message of the last error.

use std::cell::RefCell;
use std::ffi::{c_char, CStr};

use crate::Error;

/// What a call that can fail returns.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shmetrics_status {
    /// Done.
    Ok = 0,
    /// A pointer that must not be NULL is.
    NullArgument,
    /// An argument is out of its range.
    InvalidArgument,
    /// A name or unit that no exposition (or file system) could carry.
    InvalidName,
    /// No segment has this name.
    NotFound,
    /// A segment of this name exists.
    AlreadyExists,
    /// The file system refused, or the file is another user's.
    Permission,
    /// The directory is not on a memory file system.
    NotTmpfs,
    /// The file is no shmetrics segment, or a damaged one.
    NotASegment,
    /// The segment has a layout this library does not read.
    WrongVersion,
    /// The memory file system (or a resource limit) has no room.
    NoSpace,
    /// The segment has reached its maximum size, or another limit of the segment.
    Full,
    /// A family of this name is registered otherwise, or names clash.
    Conflict,
    /// This machine cannot do it.
    Unsupported,
    /// The system refused a call for another reason.
    System,
    /// A defect of the library, caught at its border.
    Panic,
    /// The process has no memory for the call. The call has done nothing.
    NoMemory,
    /// The caller's buffer is too small.
    BufferTooSmall,
}

const DETAIL: usize = 1024;

thread_local! {
    static LAST: RefCell<([u8; DETAIL], usize)> = const { RefCell::new(([0; DETAIL], 0)) };
}

/// Notes the detail of a failure for this thread.
pub(super) fn fail(status: shmetrics_status, detail: impl AsRef<str>) -> shmetrics_status {
    let detail = detail.as_ref();
    let _ = LAST.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            let mut len = detail.len().min(DETAIL);
            while !detail.is_char_boundary(len) {
                len -= 1;
            }
            last.0[..len].copy_from_slice(&detail.as_bytes()[..len]);
            last.1 = len;
        }
    });
    status
}

#[allow(clippy::needless_pass_by_value)] // the last use of every error
pub(super) fn report(error: Error) -> shmetrics_status {
    use shmetrics_status as S;
    let status = match &error {
        // Without a text to be made.
        Error::NoMemory => return fail(S::NoMemory, crate::error::NO_MEMORY),
        Error::InvalidArgument(_) => S::InvalidArgument,
        Error::InvalidName(_) => S::InvalidName,
        Error::NotFound(_) | Error::NoDirectory(_) => S::NotFound,
        Error::AlreadyExists(_) => S::AlreadyExists,
        Error::Permission(_) => S::Permission,
        Error::NotTmpfs(_) => S::NotTmpfs,
        Error::NotASegment { .. } | Error::Corrupt(_) => S::NotASegment,
        Error::WrongVersion { .. } => S::WrongVersion,
        Error::NoSpace(_) => S::NoSpace,
        Error::Full(_) => S::Full,
        Error::Conflict(_) => S::Conflict,
        Error::Unsupported(_) => S::Unsupported,
        Error::System { .. } => S::System,
    };
    fail(status, error.to_string())
}

fn message(status: u32) -> &'static CStr {
    const TEXTS: [&CStr; 18] = [
        c"ok",
        c"an argument is NULL",
        c"an argument is out of its range",
        c"an invalid name",
        c"no such segment",
        c"the segment exists",
        c"permission denied",
        c"not on a memory file system",
        c"not a shmetrics segment",
        c"another layout version",
        c"no space on the memory file system",
        c"full",
        c"registered otherwise",
        c"not supported here",
        c"the system refused",
        c"a defect of the library",
        c"no memory",
        c"the buffer is too small",
    ];
    TEXTS.get(status as usize).copied().unwrap_or(c"unknown status")
}

/// The status in words: a static string, for any value.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_status_message(status: u32) -> *const c_char {
    message(status).as_ptr()
}

/// Copies the detail of the last failed call of this thread to `buffer`: a sentence that says what
/// to do. The copy is cut off to `capacity`, with a NUL at its end. Returns the whole length
/// without the NUL; 0 if no call has failed. `buffer` may be NULL if `capacity` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_last_error(buffer: *mut c_char, capacity: usize) -> usize {
    LAST.try_with(|last| {
        let Ok(last) = last.try_borrow() else { return 0 };
        let (text, len) = (&last.0, last.1);
        // SAFETY: the caller's promise.
        unsafe { copy_text(&text[..len], buffer, capacity) };
        len
    })
    .unwrap_or(0)
}

/// Copies a text, cut off to `capacity` with a NUL at its end.
///
/// # Safety
/// `buffer` is NULL or has `capacity` writable bytes.
pub(super) unsafe fn copy_text(text: &[u8], buffer: *mut c_char, capacity: usize) {
    if !buffer.is_null() && capacity > 0 {
        let n = text.len().min(capacity - 1);
        // SAFETY: `n < capacity` writable bytes, the caller's promise; the source is our own.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), n);
            *buffer.add(n) = 0;
        }
    }
}
