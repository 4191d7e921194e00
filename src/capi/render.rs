//! Pages in C: whole, or piece by piece through a cursor.

use std::ffi::c_char;

use super::collect::collect;
use super::page::{shmetrics_cursor, CPage};
use super::segment::segment_of;
use super::segment::shmetrics_segment;
use super::status::{fail, report, shmetrics_status};
use super::{guard, guarded, null, shmetrics_str};
use crate::expose::MEMORY_TO_RENDER;
use crate::text::escaping::Escaping;
use crate::{Error, Exposition, Format, Reader};

/// A read-only view of a segment, for rendering it. Freed by `shmetrics_reader_free`.
pub struct shmetrics_reader {
    _private: [u8; 0],
}

/// Begins a page of a segment, with what its collectors add.
///
/// # Safety
/// `segment` is NULL or came from `shmetrics_segment_open`.
unsafe fn begin(segment: *const shmetrics_segment) -> Result<Box<CPage>, shmetrics_status> {
    Error::unless_memory(MEMORY_TO_RENDER).map_err(report)?;
    // SAFETY: the caller's promise.
    let segment = unsafe { segment_of(segment)? };
    let page = Box::into_raw(Box::new(CPage::new(segment.page(Format::Text))));
    // SAFETY: the page is this call's own, and comes from a box.
    unsafe {
        collect(segment.inner, page);
        Ok(Box::from_raw(page))
    }
}

/// Attaches to a segment, read-only. An empty name: `$SHMETRICS_SEGMENT`, else "default".
#[unsafe(no_mangle)]
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
#[unsafe(no_mangle)]
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

/// Renders a page into `buffer`. `*length` becomes the length of the page also when `capacity` is
/// too small for it: then nothing is written, and the status is
/// `SHMETRICS_STATUS_BUFFER_TOO_SMALL`. The page may have grown by the next call: leave some room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_reader_render(
    reader: *const shmetrics_reader,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> shmetrics_status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe {
        let reader = reader_of(reader)?;
        Error::unless_memory(MEMORY_TO_RENDER).map_err(report)?;
        hand_over(&CPage::new(reader.page(Format::Text)).render().map_err(report)?, buffer, capacity, length)
    })
}

/// As `shmetrics_reader_render`, from a segment that this process has open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_segment_render(
    segment: *const shmetrics_segment,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> shmetrics_status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe { hand_over(&begin(segment)?.render().map_err(report)?, buffer, capacity, length) })
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
            shmetrics_status::BufferTooSmall,
            format!("the page has {} bytes, the buffer {capacity}; give a larger one, or use a cursor", page.len()),
        ));
    }
    // SAFETY: as above; the page fits.
    unsafe { std::ptr::copy_nonoverlapping(page.as_ptr(), buffer.cast(), page.len()) };
    Ok(())
}

/// Begins a page that is read in pieces. The segment stays mapped, so the cursor may be used at any
/// time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_segment_cursor(
    segment: *const shmetrics_segment,
    cursor: *mut *mut shmetrics_cursor,
) -> shmetrics_status {
    guarded(|| {
        if cursor.is_null() {
            return Err(null("where to put the cursor"));
        }
        // SAFETY: the caller's promise.
        unsafe { *cursor = Box::into_raw(begin(segment)?).cast() };
        Ok(())
    })
}

/// Begins a page that is read in pieces. Free the cursor before the reader.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_reader_cursor(
    reader: *const shmetrics_reader,
    cursor: *mut *mut shmetrics_cursor,
) -> shmetrics_status {
    guarded(|| {
        if cursor.is_null() {
            return Err(null("where to put the cursor"));
        }
        Error::unless_memory(MEMORY_TO_RENDER).map_err(report)?;
        // SAFETY: the caller's promise. The caller also frees the cursor before the reader.
        unsafe { *cursor = Box::into_raw(Box::new(CPage::new(reader_of(reader)?.page(Format::Text)))).cast() };
        Ok(())
    })
}

/// An exposition format.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shmetrics_format {
    /// Prometheus' text format, version 0.0.4, which every scraper understands.
    Text = 0,
    /// Prometheus' text format, version 1.0.0: as 0.0.4, with names of any UTF-8.
    Text1,
    /// OpenMetrics 1.0.0.
    Openmetrics,
    /// OpenMetrics 2.0.0 of its release candidate: only for scrapers that ask for it.
    Openmetrics2,
    /// Length-delimited `io.prometheus.client.MetricFamily` messages.
    Protobuf,
}

/// How pages write names that have other characters than letters, digits and `_` (and `:` in names
/// of metrics). All other names stay as they are.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shmetrics_escaping {
    /// As underscores; the content type does not name it.
    Default = 0,
    /// Each such character becomes `_`.
    Underscores,
    /// In such a name dots become `_dot_`, underscores `__`, and each other such character `__`.
    Dots,
    /// Such a name begins with `U__`. Underscores in it become `__`, and each such character its
    /// code point between underscores.
    Values,
    /// The names stay, in quotes. Text 0.0.4 has no quotes, and gets underscores.
    AllowUtf8,
}

/// The form of a page. Zero-initialised, it is text 0.0.4.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_exposition {
    /// A `SHMETRICS_FORMAT_...`.
    pub format: u32,
    /// A `SHMETRICS_ESCAPING_...`.
    pub escaping: u32,
    /// OpenMetrics 1.0.0 with `_created` samples, each of which is a further series for the
    /// scraper.
    pub created: bool,
}

impl From<Exposition> for shmetrics_exposition {
    fn from(exposition: Exposition) -> Self {
        let format = match exposition.format() {
            Format::Text => shmetrics_format::Text,
            Format::Text1 => shmetrics_format::Text1,
            Format::OpenMetrics => shmetrics_format::Openmetrics,
            Format::OpenMetrics2 => shmetrics_format::Openmetrics2,
            Format::Protobuf => shmetrics_format::Protobuf,
        };
        let escaping = match exposition.escaping() {
            _ if !exposition.names_escaping() => shmetrics_escaping::Default,
            Escaping::Underscores => shmetrics_escaping::Underscores,
            Escaping::Dots => shmetrics_escaping::Dots,
            Escaping::Values => shmetrics_escaping::Values,
            Escaping::AllowUtf8 => shmetrics_escaping::AllowUtf8,
        };
        shmetrics_exposition { format: format as u32, escaping: escaping as u32, created: exposition.created() }
    }
}

impl shmetrics_exposition {
    /// `None`: there is no such format or escaping.
    fn get(self) -> Option<Exposition> {
        const FORMATS: [Format; 5] =
            [Format::Text, Format::Text1, Format::OpenMetrics, Format::OpenMetrics2, Format::Protobuf];
        const ESCAPINGS: [Escaping; 4] = [Escaping::Underscores, Escaping::Dots, Escaping::Values, Escaping::AllowUtf8];
        let exposition = Exposition::new(*FORMATS.get(self.format as usize)?).with_created(self.created);
        match self.escaping {
            0 => Some(exposition),
            n => Some(exposition.with_escaping(*ESCAPINGS.get(n as usize - 1)?)),
        }
    }
}

/// The exposition for a scraper that sends this `Accept` header, or an empty one if it sends none.
/// Never fails: for an unknown header it is text 0.0.4.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_negotiate(accept: shmetrics_str) -> shmetrics_exposition {
    // SAFETY: the caller's promise.
    let accept = || String::from_utf8_lossy(unsafe { accept.bytes() });
    guard(Exposition::default(), || Exposition::negotiate(&accept())).into()
}

/// The `Content-Type` of a page with this exposition. NULL if there is no such format or escaping.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_exposition_content_type(exposition: shmetrics_exposition) -> *const c_char {
    exposition.get().map_or(std::ptr::null(), |e| e.content_type_c().as_ptr())
}

/// Whether to compress the answer to a request with this `Accept-Encoding` header by gzip. Send
/// `Vary: Accept, Accept-Encoding` in any case.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_accepts_gzip(accept_encoding: shmetrics_str) -> bool {
    // SAFETY: the caller's promise.
    guard(false, || crate::accepts_gzip(&String::from_utf8_lossy(unsafe { accept_encoding.bytes() })))
}

/// Sets the exposition of the page; without this call it is text 0.0.4. Call it before the first
/// read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_cursor_set_exposition(
    cursor: *mut shmetrics_cursor,
    exposition: shmetrics_exposition,
) -> shmetrics_status {
    guarded(|| {
        // SAFETY: the caller's promise.
        let page = unsafe { CPage::of(cursor)? };
        let exposition = exposition.get().ok_or_else(|| {
            let (format, escaping) = (exposition.format, exposition.escaping);
            fail(shmetrics_status::InvalidArgument, format!("there is no format {format} with the escaping {escaping}"))
        })?;
        page.not_begun()?.set_exposition(exposition);
        Ok(())
    })
}

/// Selects a family by the name of one of its samples, as scrapers ask for by `name[]`. The page
/// has the selected families; without a filter, all. The name may be as registered or as the page
/// shows it. Call it before the first read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_cursor_add_filter(
    cursor: *mut shmetrics_cursor,
    name: shmetrics_str,
) -> shmetrics_status {
    guarded(|| {
        // SAFETY: the caller's promise.
        let (page, name) = unsafe { (CPage::of(cursor)?, name.text("the name")?) };
        page.not_begun()?.add_name(name);
        Ok(())
    })
}

/// Copies the next bytes of the page to `buffer` and returns their number; 0 once the page is
/// complete. Any capacity will do, down to one byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_cursor_read(
    cursor: *mut shmetrics_cursor,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    if cursor.is_null() || buffer.is_null() || capacity == 0 {
        return 0;
    }
    guard(0, || {
        // SAFETY: the caller's promise. The bytes are only written to; zeroing them first makes
        // them a slice.
        unsafe {
            let Some(cursor) = CPage::of(cursor).ok().and_then(CPage::cursor) else { return 0 };
            std::ptr::write_bytes(buffer, 0, capacity);
            cursor.copy_to(std::slice::from_raw_parts_mut(buffer.cast::<u8>(), capacity))
        }
    })
}

/// Frees a cursor; NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_cursor_free(cursor: *mut shmetrics_cursor) {
    // SAFETY: the caller's promise. A collector does not own the page.
    guard((), || unsafe {
        if CPage::of(cursor).is_ok_and(|page| !page.collecting) {
            drop(Box::from_raw(cursor.cast::<CPage>()));
        }
    });
}

/// The `Content-Type` of a page in the text format 0.0.4. Prometheus 3 rejects a page without it.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_content_type() -> *const c_char {
    const TYPE: &std::ffi::CStr = c"text/plain; version=0.0.4; charset=utf-8";
    debug_assert_eq!(TYPE.to_str(), Ok(Format::Text.content_type()));
    TYPE.as_ptr()
}

/// The library's version, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
