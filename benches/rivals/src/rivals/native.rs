//! Contestants in C and C++, loaded from `$BENCH_NATIVE`: see native/contest.h.

use std::ffi::{c_int, c_void, CString};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::floors;
use crate::contest::{Contestant, Kind, Row, Series, Sharing, Work};
use crate::input::{Set, BOUNDS, INPUT, LABELS, ORDER};

#[repr(C)]
#[derive(Clone, Copy)]
struct Text {
    data: *const u8,
    len: usize,
}

impl Text {
    fn of(text: &str) -> Text {
        Text { data: text.as_ptr(), len: text.len() }
    }
}

fn texts(sets: &[Set]) -> Vec<[Text; 3]> {
    sets.iter().map(|set| [Text::of(&set[0]), Text::of(&set[1]), Text::of(&set[2])]).collect()
}

#[repr(C)]
struct NativeInput {
    sets: *const [Text; 3],
    names: *const Text,
    order: *const u32,
    values: *const f64,
    bounds: *const f64,
    mask: usize,
}

type Make = unsafe extern "C" fn(c_int, *const NativeInput) -> *mut c_void;

/// The functions of one library. It is never unloaded.
struct Library {
    make: Make,
    work: unsafe extern "C" fn(*mut c_void, c_int, usize, usize),
    series: Make,
    add: unsafe extern "C" fn(*mut c_void, *const [Text; 3], usize),
    render: unsafe extern "C" fn(*mut c_void) -> Text,
    free: unsafe extern "C" fn(*mut c_void),
    input: &'static NativeInput,
}

// SAFETY: function pointers, and input that is never written.
unsafe impl Send for Library {}
// SAFETY: the same.
unsafe impl Sync for Library {}

impl Library {
    fn load(file: &str) -> Option<Library> {
        let path = PathBuf::from(std::env::var_os("BENCH_NATIVE")?).join(file);
        let path = CString::new(path.to_str()?).ok()?;
        // SAFETY: libraries of our own making; RTLD_DEEPBIND keeps the library's shmetrics apart
        // from the one linked in here.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL | libc::RTLD_DEEPBIND) };
        if handle.is_null() {
            return None;
        }
        // SAFETY: each name is that of a function of the type of its field, by contest.h.
        unsafe {
            Some(Library {
                make: std::mem::transmute::<*mut c_void, Make>(symbol(handle, c"contest_make")?),
                work: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void, c_int, usize, usize)>(
                    symbol(handle, c"contest_work")?,
                ),
                series: std::mem::transmute::<*mut c_void, Make>(symbol(handle, c"contest_series")?),
                add: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void, *const [Text; 3], usize)>(
                    symbol(handle, c"contest_add")?,
                ),
                render: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void) -> Text>(symbol(
                    handle,
                    c"contest_render",
                )?),
                free: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void)>(symbol(
                    handle,
                    c"contest_free",
                )?),
                input: input(),
            })
        }
    }

    fn work(&'static self, row: Row) -> Option<Work> {
        if row == Row::Index {
            return None;
        }
        // SAFETY: the input lives for ever.
        let metric = Metric(unsafe { (self.make)(row as c_int, self.input) });
        if metric.0.is_null() {
            return None;
        }
        Some(Arc::new(move |start, n| {
            let metric = &metric;
            // SAFETY: made for this row, and both libraries' metrics may be updated from any
            // thread.
            unsafe { (self.work)(metric.0, row as c_int, start, n) }
        }))
    }

    fn series(&'static self, kind: Kind) -> Option<Box<dyn Series>> {
        // SAFETY: the input lives for ever.
        let series = unsafe { (self.series)(kind as c_int, self.input) };
        (!series.is_null()).then(|| Box::new(NativeSeries { calls: self, series }) as Box<dyn Series>)
    }
}

/// # Safety
/// `handle` is an open library's.
unsafe fn symbol(handle: *mut c_void, name: &std::ffi::CStr) -> Option<*mut c_void> {
    // SAFETY: the caller's promise, and a NUL-terminated name.
    let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
    (!symbol.is_null()).then_some(symbol)
}

fn input() -> &'static NativeInput {
    Box::leak(Box::new(NativeInput {
        sets: texts(&INPUT.sets).leak().as_ptr(),
        names: LABELS.map(Text::of).to_vec().leak().as_ptr(),
        order: INPUT.order.as_ptr(),
        values: INPUT.values.as_ptr(),
        bounds: BOUNDS.to_vec().leak().as_ptr(),
        mask: ORDER - 1,
    }))
}

struct Metric(*mut c_void);
// SAFETY: the libraries allow updates from any thread.
unsafe impl Send for Metric {}
// SAFETY: the same.
unsafe impl Sync for Metric {}

struct NativeSeries {
    calls: &'static Library,
    series: *mut c_void,
}

impl NativeSeries {
    fn text(&mut self) -> &[u8] {
        // SAFETY: the text lives until the next call, which needs `self` too.
        unsafe {
            let text = (self.calls.render)(self.series);
            std::slice::from_raw_parts(text.data, text.len)
        }
    }
}

impl Series for NativeSeries {
    fn add(&mut self, sets: &[Set]) {
        let texts = texts(sets);
        // SAFETY: as many as said; the library copies them.
        unsafe { (self.calls.add)(self.series, texts.as_ptr(), texts.len()) }
    }

    fn render(&mut self) -> usize {
        self.text().len()
    }

    fn page(&mut self) -> Vec<u8> {
        self.text().to_vec()
    }
}

impl Drop for NativeSeries {
    fn drop(&mut self) {
        // SAFETY: made by this library, and dropped once.
        unsafe { (self.calls.free)(self.series) }
    }
}

static CAPI: OnceLock<Option<Library>> = OnceLock::new();
static CALL: OnceLock<Option<Library>> = OnceLock::new();
static CPP: OnceLock<Option<Library>> = OnceLock::new();

fn capi() -> Option<&'static Library> {
    CAPI.get_or_init(|| Library::load("libcontest_capi.so")).as_ref()
}

fn call() -> Option<&'static Library> {
    CALL.get_or_init(|| Library::load("libcontest_call.so")).as_ref()
}

fn cpp() -> Option<&'static Library> {
    CPP.get_or_init(|| Library::load("libcontest_prometheus_cpp.so")).as_ref()
}

pub fn ours_in_c() -> Option<Contestant> {
    capi().map(|_| Contestant {
        name: "shmetrics, C ABI",
        sharing: Sharing::Processes,
        note: "compares the strings",
        work: |row| capi()?.work(row),
        series: |_| None,
    })
}

pub fn empty_call() -> Option<Contestant> {
    call().map(|_| Contestant {
        name: floors::CALL,
        sharing: Sharing::Threads,
        note: "",
        work: |row| call()?.work(row),
        series: |_| None,
    })
}

pub fn prometheus_cpp() -> Option<Contestant> {
    cpp().map(|_| Contestant {
        name: "prometheus-cpp",
        sharing: Sharing::Threads,
        note: "compares; copies the strings into a map",
        work: |row| cpp()?.work(row),
        series: |kind| cpp()?.series(kind),
    })
}
