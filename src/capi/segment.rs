use std::ffi::c_char;

use super::status::{copy_text, fail, report, shmetrics_status};
use super::{guard, guarded, null, shmetrics_str, slice};
use crate::segment::Inner;
use crate::{Options, Segment};

/// A segment, mapped for the process' life. Never freed; valid in every thread and over fork.
pub struct shmetrics_segment {
    _private: [u8; 0],
}

/// Attach the segment, or create it if there is none.
pub const SHMETRICS_OPEN_OR_CREATE: u32 = 0;
/// Create the segment; fail if there is one.
pub const SHMETRICS_CREATE_NEW: u32 = 1;
/// Attach the segment; fail if there is none.
pub const SHMETRICS_ATTACH: u32 = 2;
/// Create a segment without a name, for processes forked from this one; sealed, and gone with its
/// last user.
pub const SHMETRICS_ANONYMOUS: u32 = 3;

/// Hot series have cells for each CPU, written in restartable sequences (`rseq`) where they are to be had.
pub const SHMETRICS_PER_CPU_DEFAULT: u32 = 0;
/// This process uses no restartable sequences. A segment that it makes has cells for each CPU that are written by locked instructions; in
/// one that has others, it counts in the cells that all share. Pages are the same.
pub const SHMETRICS_PER_CPU_LOCKED: u32 = 1;
/// A segment that this process makes has no cells for each CPU: they take up to an eighth of its maximum size.
pub const SHMETRICS_PER_CPU_NONE: u32 = 2;

/// `le="1.0"`, as OpenMetrics and Python's client have it; or, if `$SHMETRICS_LE` is `short`,
/// `le="1"`.
pub const SHMETRICS_BOUNDS_DEFAULT: u32 = 0;
/// `le="1.0"`.
pub const SHMETRICS_BOUNDS_CANONICAL: u32 = 1;
/// `le="1"`, as Go's client has it: for rules that name it so. OpenMetrics pages have `le="1.0"` in
/// any case.
pub const SHMETRICS_BOUNDS_SHORT: u32 = 2;

/// How to open a segment. Fill it with `shmetrics_options_init`, then change what you need.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_options {
    /// `sizeof(shmetrics_options)`, set by `shmetrics_options_init`.
    pub struct_size: usize,
    /// Letters, digits and `. _ - : @`; or, with a slash, the path of a file on a tmpfs. Empty:
    /// `$SHMETRICS_SEGMENT`, else "default".
    pub name: shmetrics_str,
    /// `SHMETRICS_OPEN_OR_CREATE`, `SHMETRICS_CREATE_NEW`, `SHMETRICS_ATTACH` or `SHMETRICS_ANONYMOUS`.
    pub open_mode: u32,
    /// The file mode of a new segment, such as 0640 for scrapers of the same group, or 0660 for processes of the same
    /// group that count. 0 for `$SHMETRICS_MODE`, else 0600.
    pub mode: u32,
    /// Bytes a new segment may grow to; 0 for `$SHMETRICS_CEILING`, else 64 MiB.
    pub max_size: u64,
    /// The most series a new segment takes; 0 for as many as fit.
    pub max_series: u64,
    /// The most processes with gauges of their own at one time.
    pub max_processes: u32,
    /// Not 0: accept a file system that is not tmpfs. Updates may then wait for the disk.
    pub allow_disk: u32,
    /// Not 0: start with a new segment if no process has the old one open for counting any more.
    /// For the process that starts a service, and stays: of users that come and go, each would
    /// begin anew. Only with `SHMETRICS_OPEN_OR_CREATE`.
    pub reset_if_unused: u32,
    /// `SHMETRICS_PER_CPU_DEFAULT`, or less: whether hot counters and histograms count in cells for each CPU. `$SHMETRICS_RSEQ=0` is
    /// `SHMETRICS_PER_CPU_LOCKED` for all.
    pub per_cpu: u32,
    /// Labels that every series of a new segment has in front of its own. Whoever attaches the segment with labels must give the
    /// same; who gives none takes it as it is.
    pub labels: *const shmetrics_label,
    /// How many.
    pub label_count: usize,
    /// The group of a new segment's file: a name, or a number in digits. Empty: `$SHMETRICS_GROUP`,
    /// else this process' group.
    pub group: shmetrics_str,
    /// The owner of a new segment's file: a name, or a number in digits. Empty: `$SHMETRICS_OWNER`,
    /// else this process' user. Only root may name another user. This process trusts segments of
    /// this user.
    pub owner: shmetrics_str,
    /// The users, separated by commas, in whose existing segments this process may count, besides
    /// root and its own user. Empty: `$SHMETRICS_TRUST`. A segment's owner can cut its file off,
    /// which kills the processes that use it.
    pub trust: shmetrics_str,
    /// How the text formats show the bounds of buckets and the quantiles of a new segment:
    /// `SHMETRICS_BOUNDS_DEFAULT`, or another.
    pub bounds: u32,
    /// Reserved: 0.
    pub reserved: u32,
    /// The number of this process' generation, for hosts that number their reloads: of two
    /// processes that replace each other's definition of a family
    /// (`shmetrics_family_spec.replace`), the later generation prevails. 0: the time at which this
    /// process opened the segment last; forked children have their parent's. Give numbers in all
    /// processes of an application, or in none.
    pub generation: u64,
}

/// The struct as the first release had it.
const FIRST_SIZE: usize = std::mem::offset_of!(shmetrics_options, group);

/// A label.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_label {
    /// Its name.
    pub name: shmetrics_str,
    /// Its value.
    pub value: shmetrics_str,
}

const EMPTY: shmetrics_str = shmetrics_str { data: std::ptr::null(), len: 0 };

impl shmetrics_options {
    const DEFAULTS: Self = shmetrics_options {
        struct_size: size_of::<shmetrics_options>(),
        name: EMPTY,
        open_mode: SHMETRICS_OPEN_OR_CREATE,
        mode: 0,
        max_size: 0,
        max_series: 0,
        max_processes: 512,
        allow_disk: 0,
        reset_if_unused: 0,
        per_cpu: SHMETRICS_PER_CPU_DEFAULT,
        labels: std::ptr::null(),
        label_count: 0,
        group: EMPTY,
        owner: EMPTY,
        trust: EMPTY,
        bounds: SHMETRICS_BOUNDS_DEFAULT,
        reserved: 0,
        generation: 0,
    };
}

/// Sets the defaults of the first release's fields, for programs that do not say how large their
/// struct is. In C and C++ a macro of this name stands for `shmetrics_options_init_sized`, which
/// sets all.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_options_init(options: *mut shmetrics_options) {
    // SAFETY: the caller's promise: every release's struct is at least so large.
    unsafe { shmetrics_options_init_sized(options, FIRST_SIZE) };
}

/// Sets the defaults of a struct of `size` bytes: `sizeof(shmetrics_options)` where it is compiled.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_options_init_sized(options: *mut shmetrics_options, size: usize) {
    if options.is_null() || size < FIRST_SIZE {
        return;
    }
    let defaults = shmetrics_options { struct_size: size, ..shmetrics_options::DEFAULTS };
    let known = size.min(size_of::<shmetrics_options>());
    // SAFETY: the caller's promise: `size` bytes can be written. What a later release has there, is
    // zero by default.
    unsafe {
        let to = options.cast::<u8>();
        std::ptr::copy_nonoverlapping((&raw const defaults).cast::<u8>(), to, known);
        std::ptr::write_bytes(to.add(known), 0, size - known);
    }
}

/// Opens a segment. `options` may be NULL for the defaults. Opening the same segment again gives
/// the same pointer, from any thread and by any path; in a forked child too, also where it may not
/// open the file any more.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_segment_open(
    options: *const shmetrics_options,
    segment: *mut *mut shmetrics_segment,
) -> shmetrics_status {
    guarded(|| {
        if segment.is_null() {
            return Err(null("where to put the segment"));
        }
        // SAFETY: the caller's promise.
        let opened = unsafe { options_of(options)? }.open().map_err(report)?;
        // SAFETY: as above.
        unsafe { *segment = std::ptr::from_ref(opened.inner).cast_mut().cast() };
        Ok(())
    })
}

/// # Safety
/// As `shmetrics_segment_open`.
unsafe fn options_of(options: *const shmetrics_options) -> Result<Options, shmetrics_status> {
    let mut out = Options::new();
    if options.is_null() {
        return Ok(out);
    }
    const SIZE: usize = size_of::<shmetrics_options>();
    // SAFETY: the caller's promise; the size comes first.
    let size = unsafe { (*options).struct_size };
    // A caller built for a later version has a longer struct. What it does not use there is zero;
    // what it does, we lack.
    let known = (FIRST_SIZE..=4096).contains(&size) && {
        // SAFETY: the struct has the size it claims.
        let rest =
            unsafe { std::slice::from_raw_parts(options.cast::<u8>().add(SIZE.min(size)), size.saturating_sub(SIZE)) };
        rest.iter().all(|b| *b == 0)
    };
    if !known {
        return Err(fail(
            shmetrics_status::InvalidArgument,
            "options.struct_size is not this library's; call shmetrics_options_init first",
        ));
    }
    // One that was built for an earlier version has a shorter struct, and the defaults of what it
    // lacks.
    let mut whole = shmetrics_options::DEFAULTS;
    // SAFETY: as above; any bytes are valid fields.
    unsafe {
        let to = (&raw mut whole).cast::<u8>();
        std::ptr::copy_nonoverlapping(options.cast::<u8>(), to, size.min(SIZE));
    }
    let options = whole;
    // SAFETY: as above, of the name.
    let name = unsafe { name_of(options.name)? };
    if !name.is_empty() {
        out = out.name(name);
    }
    // SAFETY: as above, of the accounts.
    let [group, owner, trust] = unsafe {
        [options.group.text("the group")?, options.owner.text("the owner")?, options.trust.text("the trusted users")?]
    };
    if !group.is_empty() {
        out = out.group(group);
    }
    if !owner.is_empty() {
        out = out.owner(owner);
    }
    for user in trust.split(',').map(str::trim).filter(|user| !user.is_empty()) {
        out = out.trust_owner(user);
    }
    if options.mode != 0 {
        out = out.mode(options.mode);
    }
    // SAFETY: as above, of the labels.
    for label in unsafe { slice(options.labels, options.label_count, "labels")? } {
        // SAFETY: as above.
        let (name, value) = unsafe { (label.name.text("a label's name")?, label.value.text("a label's value")?) };
        out = out.label(name, value);
    }
    if options.generation != 0 {
        out = out.generation(options.generation);
    }
    if options.max_size != 0 {
        out = out.ceiling(options.max_size);
    }
    out = out
        .max_series(options.max_series)
        .max_processes(options.max_processes)
        .allow_disk(options.allow_disk != 0)
        .reset_if_unused(options.reset_if_unused != 0);
    match options.per_cpu {
        SHMETRICS_PER_CPU_DEFAULT => {}
        SHMETRICS_PER_CPU_LOCKED => out = out.rseq(false),
        SHMETRICS_PER_CPU_NONE => out = out.lanes(false),
        per_cpu => {
            let message = format!("options.per_cpu is {per_cpu}; it must be 0 to 2");
            return Err(fail(shmetrics_status::InvalidArgument, message));
        }
    }
    match options.bounds {
        SHMETRICS_BOUNDS_DEFAULT => {}
        SHMETRICS_BOUNDS_CANONICAL => out = out.short_bounds(false),
        SHMETRICS_BOUNDS_SHORT => out = out.short_bounds(true),
        bounds => {
            let message = format!("options.bounds is {bounds}; it must be 0 to 2");
            return Err(fail(shmetrics_status::InvalidArgument, message));
        }
    }
    match options.open_mode {
        SHMETRICS_OPEN_OR_CREATE => Ok(out),
        SHMETRICS_CREATE_NEW => Ok(out.create_new()),
        SHMETRICS_ATTACH => Ok(out.attach()),
        SHMETRICS_ANONYMOUS => Ok(out.anonymous()),
        mode => {
            let message = format!("options.open_mode is {mode}; it must be 0 to 3");
            Err(fail(shmetrics_status::InvalidArgument, message))
        }
    }
}

/// A segment's name; an error before it is copied if it is too long for any.
///
/// # Safety
/// As of `shmetrics_str::text`.
unsafe fn name_of<'a>(name: shmetrics_str) -> Result<&'a str, shmetrics_status> {
    // SAFETY: the caller's promise.
    let name = unsafe { name.text("the segment's name")? };
    if name.len() > 4095 {
        // This fails, and says why.
        crate::shm::mapping::path_of(name).map_err(report)?;
    }
    Ok(name)
}

/// Removes a segment's name. Processes that have it mapped go on with the memory, unseen. Only
/// segments are removed; by its plain name also a damaged one is.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_segment_remove(name: shmetrics_str) -> shmetrics_status {
    // SAFETY: the caller's promise.
    guarded(|| Segment::remove(unsafe { name.text("the segment's name")? }).map_err(report))
}

/// Takes the family of this name off all pages, for all processes. `*unregistered`, unless it is
/// NULL, says whether there was one. Updates through its handles are not done but counted, and the
/// name may be registered anew. `SHMETRICS_STATUS_CONFLICT`: a process of a later generation has
/// registered it. To put another definition in its place, register that with `replace`.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_unregister(
    segment: *mut shmetrics_segment,
    name: shmetrics_str,
    unregistered: *mut bool,
) -> shmetrics_status {
    guarded(|| {
        // SAFETY: the caller's promise.
        let (segment, name) = unsafe { (segment_of(segment)?, name.text("the name")?) };
        let done = segment.unregister(name).map_err(report)?;
        // SAFETY: as above.
        if let Some(to) = unsafe { unregistered.as_mut() } {
            *to = done;
        }
        Ok(())
    })
}

/// Gives this process a number of its own for the label `pid` of per-process gauges, such as a
/// worker number. Call it in the worker, before its first gauge update.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_segment_set_identity(
    segment: *mut shmetrics_segment,
    identity: u32,
) -> shmetrics_status {
    guarded(|| {
        // SAFETY: the caller's promise.
        unsafe { segment_of(segment)? }.set_identity(identity);
        Ok(())
    })
}

/// Takes part in the segment's per-process gauges now, instead of at this process' first update of
/// one. Updates do this by themselves. A process calls this where its first update would be too
/// late, as before it installs a filter that denies system calls, or to learn the reason if it
/// cannot. Repeated calls do nothing. Forked children take part for themselves.
///
/// `SHMETRICS_STATUS_FULL`: as many processes as the segment has room for (`max_processes`) take
/// part already. `SHMETRICS_STATUS_PERMISSION` or `SHMETRICS_STATUS_SYSTEM`: the system denies both
/// what a process needs for it: to open the segment's file once more, and to make a System V shared
/// memory segment.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_segment_attach_process(segment: *mut shmetrics_segment) -> shmetrics_status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe { segment_of(segment)? }.attach_process().map_err(report))
}

/// Expires the series of families with `expire_after` that no process has updated for that time,
/// and returns how many went off the pages. Rendering a page of the segment does so by itself; call
/// this where only read-only readers render.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_segment_expire(segment: *mut shmetrics_segment) -> u64 {
    // SAFETY: the caller's promise.
    guard(0, || unsafe { segment_of(segment) }.map_or(0, |segment| segment.expire()))
}

/// For hooks that tell of a child's death, which other libraries want called. You never need it:
/// the kernel tells who lives, so nothing is marked, and no call can harm a living process. True if
/// no living process with this pid (in the caller's PID namespace) has gauges of its own in the
/// segment.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_segment_mark_dead(segment: *mut shmetrics_segment, pid: u32) -> bool {
    // SAFETY: the caller's promise.
    guard(true, || unsafe { segment_of(segment) }.map_or(true, |s| s.mark_dead(pid)))
}

/// Whether the segment's name still leads to it: it has not been removed or replaced. If it has,
/// this process counts where new processes and exporters do not look, until it is restarted. True
/// also where the process cannot tell, as after `chroot`, and for anonymous segments.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_segment_is_current(segment: *mut shmetrics_segment) -> bool {
    // SAFETY: the caller's promise.
    guard(true, || unsafe { segment_of(segment) }.map_or(true, |s| s.is_current()))
}

/// How many processes have the segment open for counting, this one included: forked children and
/// stopped processes too, readers not. -1 if the system does not tell: see "Who has a segment open"
/// in the guide.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_segment_attached(segment: *mut shmetrics_segment) -> i64 {
    guard(-1, || {
        // SAFETY: the caller's promise.
        let segment = unsafe { segment_of(segment) }.ok();
        segment.and_then(|s| s.reader().attached()).map_or(-1, i64::from)
    })
}

/// Puts into `in_use` whether any process has the segment of this name open for counting, this one
/// included; readers do not count.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_segment_is_in_use(name: shmetrics_str, in_use: *mut bool) -> shmetrics_status {
    guarded(|| {
        if in_use.is_null() {
            return Err(null("where to put the answer"));
        }
        // SAFETY: the caller's promise.
        let name = unsafe { name.text("the segment's name")? };
        #[cfg(target_os = "linux")]
        let answer = Segment::is_in_use(name).map_err(report)?;
        #[cfg(not(target_os = "linux"))]
        let answer = {
            let _ = name;
            return Err(fail(shmetrics_status::Unsupported, "this system does not tell which processes use a segment"));
        };
        // SAFETY: as above.
        unsafe { *in_use = answer };
        Ok(())
    })
}

/// Copies what the segment could not take, a sentence for the host's log that says what to do, to
/// `buffer`, cut off to `capacity` with a NUL at its end. Returns its whole length without the NUL;
/// 0 if there is nothing new. Each kind of trouble is told once, to one process of all. Call it now
/// and then, say after each page. `buffer` may be NULL if `capacity` is 0.
#[no_mangle]
pub unsafe extern "C" fn shmetrics_segment_next_warning(
    segment: *mut shmetrics_segment,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        // SAFETY: the caller's promise.
        let text = unsafe { segment_of(segment) }.ok().and_then(|segment| segment.trouble()).unwrap_or_default();
        // SAFETY: as above.
        unsafe { copy_text(text.as_bytes(), buffer, capacity) };
        text.len()
    })
}

/// # Safety
/// `segment` is NULL or came from `shmetrics_segment_open`.
pub(super) unsafe fn segment_of(segment: *const shmetrics_segment) -> Result<Segment, shmetrics_status> {
    // SAFETY: segments live as long as the process.
    match unsafe { segment.cast::<Inner>().as_ref() } {
        Some(inner) => Ok(Segment { inner }),
        None => Err(null("the segment")),
    }
}
