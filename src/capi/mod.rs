//! The C interface, one file for each noun of C. `include/shmetrics.h` is generated from these
//! files and from `cbindgen.toml`, which has the manual.
//!
//! What a caller has to promise is the same for every exported call, and the header says it: a
//! pointer is NULL or came from this library and was not freed, strings and arrays are as long as
//! they say, outputs can be written. "The caller's promise" in SAFETY comments means these rules.
//! Everything else is checked.
//!
//! Names are C names. Handles are values of private words: a program frees none of them, and none
//! can dangle.
#![allow(non_camel_case_types)]
// All of this is for C: Rust does not see the calls, and C needs some constants that Rust does not.
#![allow(unreachable_pub, dead_code, clippy::missing_safety_doc)]

mod buckets;
mod bundle;
mod collect;
mod counter;
mod family;
mod gauge;
mod histogram;
mod limits;
mod page;
mod pointers;
mod points;
mod render;
mod segment;
mod state;
mod status;
mod summary;
mod update;

use std::ffi::{c_char, CStr};
use std::panic::{catch_unwind, AssertUnwindSafe};

use self::status::{fail, shmetrics_status};

use crate::os::host::Undisturbed;

/// A string: bytes and their number. `SHMETRICS_STR("literal")` and `shmetrics_cstr` make one. It
/// need not end in NUL. As a label value, a NULL pointer is the empty string.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_str {
    /// The first byte.
    pub data: *const c_char,
    /// The number of bytes.
    pub len: usize,
}

/// The string of a C string, which ends in NUL. NULL gives the empty string. The result points to
/// `text`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_cstr(text: *const c_char) -> shmetrics_str {
    // SAFETY: the caller's promise: NULL, or bytes up to a NUL.
    let len = if text.is_null() { 0 } else { unsafe { CStr::from_ptr(text) }.count_bytes() };
    shmetrics_str { data: text, len }
}

impl shmetrics_str {
    /// # Safety
    /// As the header says: `data` points to `len` readable bytes for the duration of the call.
    #[inline(always)]
    unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.data.is_null() {
            return &[];
        }
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.data.cast(), self.len) }
    }

    /// # Safety
    /// As [`shmetrics_str::bytes`].
    #[inline(always)]
    unsafe fn given<'a>(self, what: &str) -> Result<&'a [u8], shmetrics_status> {
        if self.data.is_null() && self.len > 0 {
            return Err(fail(shmetrics_status::NullArgument, format!("{what} is NULL but has a length")));
        }
        fits::<u8>(self.len, what)?;
        // SAFETY: the caller's promise.
        Ok(unsafe { self.bytes() })
    }

    /// # Safety
    /// As [`shmetrics_str::bytes`].
    unsafe fn text<'a>(self, what: &str) -> Result<&'a str, shmetrics_status> {
        // SAFETY: the caller's promise.
        std::str::from_utf8(unsafe { self.given(what)? })
            .map_err(|_| fail(shmetrics_status::InvalidName, format!("{what} is not UTF-8")))
    }
}

/// The definition of a family. Make one with `SHMETRICS_FAMILY_SPEC(...)`; or set all bytes to
/// zero, then `struct_size`. A field that the type of the family does not have, such as buckets of
/// a counter, is `SHMETRICS_STATUS_INVALID_ARGUMENT`.
///
/// Two registrations of one name are the same family if they agree in: type, gauge mode, set of
/// label names, unit, `buckets` or `quantiles` or `states`, the native buckets, `exact_name` and
/// `expire_after_seconds`. A difference in any of these is `SHMETRICS_STATUS_CONFLICT`, unless
/// `replace` is set. Help, order of the label names, `max_series` and `exemplar_interval_seconds`
/// do not conflict: those of the registration that made the family are in force.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_family_spec {
    /// `sizeof(shmetrics_family_spec)` where the program is compiled. Later versions may add fields
    /// at the end.
    pub struct_size: usize,
    /// The name: UTF-8 without control characters, at most `SHMETRICS_MAX_NAME_BYTES`. Other
    /// characters than letters, digits, `_` and `:` are escaped for scrapers that do not ask for
    /// them. Pages show a counter as `name_total`, whether or not the name ends in `_total`.
    pub name: shmetrics_str,
    /// The description; may be empty. At most `SHMETRICS_MAX_HELP_BYTES`.
    pub help: shmetrics_str,
    /// The base unit, such as `seconds`, in which the name must end; may be empty.
    pub unit: shmetrics_str,
    /// The label names: UTF-8 as the name.
    pub label_names: *const shmetrics_str,
    /// The number of label names, at most `SHMETRICS_MAX_LABELS`; 0 for a metric without labels.
    pub label_count: usize,
    /// The rising upper bounds of a histogram's buckets. The bucket `+Inf` is added. NULL gives
    /// Prometheus' default buckets, or no classic ones where there are native buckets.
    pub buckets: *const f64,
    /// The number of buckets, at most `SHMETRICS_MAX_BUCKETS`.
    pub bucket_count: usize,
    /// The names of the states of a state set or an enum.
    pub states: *const shmetrics_str,
    /// The number of states, at most `SHMETRICS_MAX_STATES`.
    pub state_count: usize,
    /// The most series of the family. Further label sets share the overflow series. 0 for no limit.
    pub max_series: u64,
    /// A series that has no update for this many seconds leaves the pages, and after twice as many
    /// it is removed. Fractions are rounded up to whole seconds. 0 for never. A metric without
    /// labels never expires.
    pub expire_after_seconds: f64,
    /// The least time between two exemplars that a counter or a bucket keeps; 0 for one second.
    /// Rounded up to milliseconds.
    pub exemplar_interval_seconds: f64,
    /// The quantiles of a summary, from 0 to 1, rising: of the observations of all processes in the
    /// last ten minutes. Each value is exact to 1.1 %. NULL for none.
    pub quantiles: *const f64,
    /// The number of quantiles, at most `SHMETRICS_MAX_QUANTILES`.
    pub quantile_count: usize,
    /// Gives a histogram native buckets, which need no bounds: each is larger than the one before
    /// by at most this factor, such as 1.1. 0 for none. With `buckets`, the histogram has both.
    pub native_factor: f64,
    /// Observations at most this far from 0 are counted in the native zero bucket. 0 for 2^-128. A
    /// negative number: the bucket is for 0 alone. Only with `native_factor`.
    pub native_zero_threshold: f64,
    /// The most native buckets of a series on a page. A series with more is shown in coarser
    /// buckets. 0 for 160; UINT32_MAX for no limit. Only with `native_factor`.
    pub native_max_buckets: u32,
    /// Pages in Prometheus' text formats and in protobuf show a counter under this very
    /// name, without `_total`, for dashboards and rules that use an exporter's names. OpenMetrics
    /// shows it with `_total`.
    pub exact_name: bool,
    /// If a family of this name is registered with another definition, this definition takes its
    /// place: for a reload with one more label or bucket. All pages change at the same instant.
    /// Updates through handles of the old definition do nothing and are counted. A process of an
    /// earlier revision gets `SHMETRICS_STATUS_CONFLICT`: see `shmetrics_options.revision`.
    /// Where the definition is the same, `max_series` and `exemplar_interval_seconds` take effect.
    pub replace: bool,
    /// How long an observation counts in quantiles; 0 for ten minutes. The observation leaves them
    /// after half of that time to all of it. Only with `quantiles`.
    pub quantile_max_age_seconds: f64,
}

// SAFETY: the struct is `repr(C)`, and its size comes first.
unsafe impl Growing for shmetrics_family_spec {
    const NAME: &'static str = "spec";
    const REMEDY: &'static str = "begin the spec with SHMETRICS_FAMILY_SPEC";
    const FIRST_SIZE: usize = size_of::<Self>();
    const DEFAULTS: Self = {
        // SAFETY: NULL, 0 and false are values of these fields.
        let zero: Self = unsafe { std::mem::zeroed() };
        shmetrics_family_spec { struct_size: size_of::<Self>(), ..zero }
    };
}

/// A struct of the caller that begins with its size, so that later versions can add fields.
///
/// # Safety
/// The struct is `repr(C)`, and its first field is a `usize`.
unsafe trait Growing: Copy {
    const NAME: &'static str;
    const REMEDY: &'static str;
    /// The size of the struct in the first version that has it.
    const FIRST_SIZE: usize;
    const DEFAULTS: Self;

    /// Copies the caller's struct. A shorter one, of an earlier version, gets the defaults of the
    /// fields that it lacks. A longer one, of a later version, is refused if it uses a field that
    /// this version lacks.
    ///
    /// # Safety
    /// `from` points to a struct of the size that its first field says.
    unsafe fn copy_from(from: *const Self) -> Result<Self, shmetrics_status> {
        let ours = size_of::<Self>();
        // SAFETY: the caller's promise; the size comes first.
        let size = unsafe { from.cast::<usize>().read() };
        // No struct ends within a field.
        let known = (Self::FIRST_SIZE..=4096).contains(&size) && size % align_of::<Self>() == 0 && {
            // SAFETY: the struct has the size that it says.
            let rest =
                unsafe { std::slice::from_raw_parts(from.cast::<u8>().add(ours.min(size)), size.saturating_sub(ours)) };
            rest.iter().all(|byte| *byte == 0)
        };
        if !known {
            let message = format!("{}.struct_size is not one that this library knows; {}", Self::NAME, Self::REMEDY);
            return Err(fail(shmetrics_status::InvalidArgument, message));
        }
        let mut whole = Self::DEFAULTS;
        // SAFETY: as above; the caller's promise holds for the values of the fields.
        unsafe {
            std::ptr::copy_nonoverlapping(from.cast::<u8>(), (&raw mut whole).cast::<u8>(), size.min(ours));
        }
        Ok(whole)
    }
}

/// A time that C gives in seconds, in units of which one second has `per_second`, rounded up.
fn whole_units(seconds: f64, per_second: f64, what: &str) -> Result<u32, shmetrics_status> {
    if seconds >= 0.0 {
        return Ok((seconds * per_second).ceil() as u32); // saturates
    }
    let message = format!("{what} is {seconds}; it must be 0 or more");
    Err(fail(shmetrics_status::InvalidArgument, message))
}

/// Runs an update or a look-up, which may not unwind into C. Where such a call needs the system, it
/// takes its own guard (see [`Undisturbed`]).
#[inline(always)]
fn hot<R>(fallback: R, f: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or(fallback)
}

/// Runs any other call, which may not unwind into C.
fn guard<R>(fallback: R, f: impl FnOnce() -> R) -> R {
    let _undisturbed = Undisturbed::new();
    hot(fallback, f)
}

/// Runs a call that returns a status. A panic becomes a status.
fn guarded(f: impl FnOnce() -> Result<(), shmetrics_status>) -> shmetrics_status {
    let _undisturbed = Undisturbed::new();
    hot_guarded(f)
}

/// As [`guarded`], for an update or a look-up.
#[inline(always)]
fn hot_guarded(f: impl FnOnce() -> Result<(), shmetrics_status>) -> shmetrics_status {
    catch_unwind(AssertUnwindSafe(f))
        .unwrap_or_else(|_| Err(fail(shmetrics_status::Panic, "a defect of the library; please report it")))
        .err()
        .unwrap_or(shmetrics_status::Ok)
}

fn null(what: &str) -> shmetrics_status {
    fail(shmetrics_status::NullArgument, format!("{what} is NULL"))
}

/// Refuses a length beyond half of the address space: no array has it, so it is a mistake, as -1.
#[inline(always)]
fn fits<T>(len: usize, what: &str) -> Result<(), shmetrics_status> {
    if len <= isize::MAX as usize / size_of::<T>() {
        return Ok(());
    }
    Err(too_long(len, what))
}

#[cold]
#[inline(never)]
fn too_long(len: usize, what: &str) -> shmetrics_status {
    fail(shmetrics_status::InvalidArgument, format!("{what}: no array has {len} elements"))
}

/// # Safety
/// `data` is NULL, or points to `len` valid values for the duration of the call.
#[inline(always)]
unsafe fn slice<'a, T>(data: *const T, len: usize, what: &str) -> Result<&'a [T], shmetrics_status> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(null(what));
    }
    fits::<T>(len, what)?;
    // SAFETY: the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}
