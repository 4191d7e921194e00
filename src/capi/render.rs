use std::ffi::c_char;

use super::segment::shmetrics_segment;
use super::status::{fail, report, shmetrics_status};
use super::{guard, guarded, null, segment_of, shmetrics_str};
use crate::{Cursor, Format, Reader};

/// A read-only view of a segment, for rendering it. Freed by `shmetrics_reader_free`.
pub struct shmetrics_reader {
    _private: [u8; 0],
}

/// A page being rendered, a piece at a time. Freed by `shmetrics_cursor_free`.
pub struct shmetrics_cursor {
    _private: [u8; 0],
}

/// Attaches to a segment, read-only. An empty name: `$SHMETRICS_SEGMENT`, else "default".
#[no_mangle]
pub unsafe extern "C" fn shmetrics_reader_open(
    name: shmetrics_str,
    reader: *mut *mut shmetrics_reader,
) -> shmetrics_status {
    guarded(|| {
        if reader.is_null() {
            return Err(null("where to put the reader"));
        }
        // SAFETY: the caller's promise.
        let name = unsafe { name.text("the segment's name")? };
        let opened = if name.is_empty() { Reader::open_default() } else { Reader::open(name) }.map_err(report)?;
        // SAFETY: as above.
        unsafe { *reader = Box::into_raw(Box::new(opened)).cast() };
        Ok(())
    })
}

/// Frees a reader; NULL is ignored. Its cursors must have been freed.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_reader_free(reader: *mut shmetrics_reader) {
    if !reader.is_null() {
        // SAFETY: the caller's promise.
        guard((), || drop(unsafe { Box::from_raw(reader.cast::<Reader>()) }));
    }
}

/// # Safety
/// `reader` is NULL or came from `shmetrics_reader_open`.
unsafe fn reader_of<'a>(reader: *const shmetrics_reader) -> Result<&'a Reader, shmetrics_status> {
    // SAFETY: the caller's promise.
    unsafe { reader.cast::<Reader>().as_ref() }.ok_or_else(|| null("the reader"))
}

/// Renders a page into `buffer`. `*length` becomes the page's length also when `capacity` is too small for it: then nothing is
/// written, and the status is `SHMETRICS_STATUS_FULL`. The page may have grown by the next call: leave some room.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_reader_render(
    reader: *const shmetrics_reader,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> shmetrics_status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe { hand_over(&reader_of(reader)?.render(Format::Text), buffer, capacity, length) })
}

/// As `shmetrics_reader_render`, from a segment this process writes to.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_segment_render(
    segment: *const shmetrics_segment,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> shmetrics_status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe { hand_over(&segment_of(segment)?.render(Format::Text), buffer, capacity, length) })
}

/// # Safety
/// `buffer` points to `capacity` writable bytes; `length` is NULL or points to a size.
unsafe fn hand_over(
    page: &[u8],
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> Result<(), shmetrics_status> {
    if length.is_null() || (buffer.is_null() && capacity > 0) {
        return Err(null(if length.is_null() { "where to put the length" } else { "the buffer" }));
    }
    // SAFETY: the caller's promise.
    unsafe { *length = page.len() };
    if page.len() > capacity {
        return Err(fail(
            shmetrics_status::Full,
            format!("the page has {} bytes, the buffer {capacity}; give a larger one, or use a cursor", page.len()),
        ));
    }
    // SAFETY: as above; the page fits.
    unsafe { std::ptr::copy_nonoverlapping(page.as_ptr(), buffer.cast(), page.len()) };
    Ok(())
}

/// Begins a page that is rendered a piece at a time. The segment's mapping stays, so the cursor may be used at any time.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_segment_cursor(
    segment: *const shmetrics_segment,
    cursor: *mut *mut shmetrics_cursor,
) -> shmetrics_status {
    guarded(|| {
        if cursor.is_null() {
            return Err(null("where to put the cursor"));
        }
        // SAFETY: the caller's promise.
        unsafe { *cursor = Box::into_raw(Box::new(segment_of(segment)?.cursor(Format::Text))).cast() };
        Ok(())
    })
}

/// Begins a page that is rendered a piece at a time. Free the cursor before the reader.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_reader_cursor(
    reader: *const shmetrics_reader,
    cursor: *mut *mut shmetrics_cursor,
) -> shmetrics_status {
    guarded(|| {
        if cursor.is_null() {
            return Err(null("where to put the cursor"));
        }
        // SAFETY: the caller's promise, who also frees the cursor before the reader.
        unsafe { *cursor = Box::into_raw(Box::new(reader_of(reader)?.cursor(Format::Text))).cast() };
        Ok(())
    })
}

/// Copies the next bytes of the page to `buffer` and returns how many; 0 once the page is complete. Any capacity will do, down
/// to one byte.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_cursor_next(
    cursor: *mut shmetrics_cursor,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    if cursor.is_null() || buffer.is_null() || capacity == 0 {
        return 0;
    }
    guard(0, || {
        // SAFETY: the caller's promise. The bytes are only written to; zeroing them first makes them a slice.
        unsafe {
            std::ptr::write_bytes(buffer, 0, capacity);
            let buffer = std::slice::from_raw_parts_mut(buffer.cast::<u8>(), capacity);
            (*cursor.cast::<Cursor<'static>>()).read(buffer)
        }
    })
}

/// Frees a cursor; NULL is ignored.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_cursor_free(cursor: *mut shmetrics_cursor) {
    if !cursor.is_null() {
        // SAFETY: the caller's promise.
        guard((), || drop(unsafe { Box::from_raw(cursor.cast::<Cursor<'static>>()) }));
    }
}

/// The `Content-Type` to answer a scrape with. Prometheus 3 refuses a page without it.
#[no_mangle]
pub extern "C" fn shmetrics_content_type() -> *const c_char {
    const TYPE: &std::ffi::CStr = c"text/plain; version=0.0.4; charset=utf-8";
    debug_assert_eq!(TYPE.to_str(), Ok(Format::Text.content_type()));
    TYPE.as_ptr()
}

/// The library's version, such as "0.1.0".
#[no_mangle]
pub extern "C" fn shmetrics_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
