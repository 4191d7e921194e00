//! Segments in C: options, opening, removal, and what applies to all families.

use std::ffi::c_char;

use super::status::{copy_text, fail, report, shmetrics_status};
use super::{guard, guarded, null, shmetrics_str, slice, Growing};
use crate::segment::Inner;
use crate::{Options, Segment};

/// A segment, mapped for the life of the process. Never freed; valid in every thread and after
/// fork.
pub struct shmetrics_segment {
    _private: [u8; 0],
}

/// Attach the segment, or create it if there is none.
pub const SHMETRICS_OPEN_OR_CREATE: u32 = 0;
/// Create the segment; fail if there is one.
pub const SHMETRICS_CREATE_NEW: u32 = 1;
/// Attach the segment; fail if there is none.
pub const SHMETRICS_ATTACH: u32 = 2;
/// Create a segment without a name, for processes forked from this one. Its memory is freed when
/// the last process that has it mapped ends.
pub const SHMETRICS_ANONYMOUS: u32 = 3;

/// Hot series get cells for each CPU, written in restartable sequences (`rseq`) where the system
/// has them.
pub const SHMETRICS_PER_CPU_DEFAULT: u32 = 0;
/// This process uses no restartable sequences. Per-CPU cells of a segment that it creates are
/// written by locked instructions. In another segment it counts in the shared cells. Pages are the
/// same.
pub const SHMETRICS_PER_CPU_LOCKED: u32 = 1;
/// A segment that this process creates has no per-CPU cells. They take up to an eighth of the
/// maximum size.
pub const SHMETRICS_PER_CPU_NONE: u32 = 2;

/// `le="1.0"`, as OpenMetrics and Python's client have it; if `$SHMETRICS_LE` is `short`, `le="1"`.
pub const SHMETRICS_BOUNDS_DEFAULT: u32 = 0;
/// `le="1.0"`.
pub const SHMETRICS_BOUNDS_CANONICAL: u32 = 1;
/// `le="1"`, as Go's client has it. OpenMetrics pages have `le="1.0"` in any case.
pub const SHMETRICS_BOUNDS_SHORT: u32 = 2;

/// How to open a segment. Fill it with `shmetrics_options_init`, then change what you need.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_options {
    /// `sizeof(shmetrics_options)`, set by `shmetrics_options_init`.
    pub struct_size: usize,
    /// The segment's name: at most 245 letters, digits and `. _ - : @`; or, with a slash, the path
    /// of a file on a tmpfs. Empty: `$SHMETRICS_SEGMENT`, else "default".
    pub name: shmetrics_str,
    /// `SHMETRICS_OPEN_OR_CREATE`, `SHMETRICS_CREATE_NEW`, `SHMETRICS_ATTACH` or
    /// `SHMETRICS_ANONYMOUS`.
    pub open_mode: u32,
    /// The file mode of a new segment: 0640 for scrapers of the same group, 0660 for processes of
    /// the same group that count. 0 for `$SHMETRICS_MODE`, else 0600.
    pub mode: u32,
    /// The size in bytes to which a new segment may grow, from `SHMETRICS_MIN_SIZE_BYTES` to
    /// `SHMETRICS_MAX_SIZE_BYTES`. 0 for `$SHMETRICS_MAX_SIZE`, else 64 MiB.
    pub max_size: u64,
    /// The most series of a new segment; 0 for as many as fit. A label set of a bundle takes a
    /// series for each member, and is made if all of them fit. Only label sets that are made at the
    /// same moment may exceed the limit.
    pub max_series: u64,
    /// The most processes that have values in per-process gauges at one time, at most
    /// `SHMETRICS_MAX_PROCESSES`.
    pub max_processes: u32,
    /// Not 0: accept a file system that is not tmpfs. Updates may then wait for the disk.
    pub allow_disk: u32,
    /// Not 0: replace a segment that no process has open for counting by a new one. For the process
    /// that starts a service and stays. Only with `SHMETRICS_OPEN_OR_CREATE`.
    pub reset_if_unused: u32,
    /// Whether hot counters and histograms count in per-CPU cells: `SHMETRICS_PER_CPU_DEFAULT`,
    /// `_LOCKED` or `_NONE`. `$SHMETRICS_RSEQ=0` is `SHMETRICS_PER_CPU_LOCKED` for all processes.
    pub per_cpu: u32,
    /// Labels that every series of a new segment has in front of its own. A process that attaches
    /// the segment gives the same labels or none.
    pub labels: *const shmetrics_label,
    /// The number of labels.
    pub label_count: usize,
    /// The group of a new segment's file: a name, or a number in digits. Empty: `$SHMETRICS_GROUP`,
    /// else the group of this process.
    pub group: shmetrics_str,
    /// The owner of a new segment's file: a name, or a number in digits. Empty: `$SHMETRICS_OWNER`,
    /// else the user of this process. Only root may name another user. This process trusts segments
    /// of this user.
    pub owner: shmetrics_str,
    /// The users, separated by commas, in whose existing segments this process may count, besides
    /// root and its own user. Empty: `$SHMETRICS_TRUST`. The owner of a segment can truncate its
    /// file, which kills the processes that use it.
    pub trust: shmetrics_str,
    /// How the text formats show bounds of buckets and quantiles of a new segment:
    /// `SHMETRICS_BOUNDS_DEFAULT`, `_CANONICAL` or `_SHORT`.
    pub bounds: u32,
    /// Reserved: 0.
    pub reserved: u32,
    /// The revision of this process, for hosts that number their reloads. Of two processes that
    /// replace each other's definition of a family (`shmetrics_family_spec.replace`), the later
    /// revision prevails. 0: the time at which this process opened the segment last; forked
    /// children have that of their parent. All processes of an application give numbers, or none.
    pub revision: u64,
}

/// The size of the struct in the first version.
const FIRST_SIZE: usize = std::mem::offset_of!(shmetrics_options, group);

/// A label.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_label {
    /// The name.
    pub name: shmetrics_str,
    /// The value.
    pub value: shmetrics_str,
}

const EMPTY: shmetrics_str = shmetrics_str { data: std::ptr::null(), len: 0 };

// SAFETY: the struct is `repr(C)`, and its size comes first.
unsafe impl Growing for shmetrics_options {
    const NAME: &'static str = "options";
    const REMEDY: &'static str = "call shmetrics_options_init first";
    const FIRST_SIZE: usize = FIRST_SIZE;
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
        revision: 0,
    };
}

/// Sets the defaults of the fields of the first version, for programs that do not pass the size of
/// their struct. In C and C++ a macro of this name calls `shmetrics_options_init_sized`, which sets
/// all fields.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_options_init(options: *mut shmetrics_options) {
    // SAFETY: the caller's promise: every release's struct is at least so large.
    unsafe { shmetrics_options_init_sized(options, FIRST_SIZE) };
}

/// Sets the defaults of a struct of `size` bytes: `sizeof(shmetrics_options)` where it is compiled.
#[unsafe(no_mangle)]
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
/// the same pointer, from any thread and by any path; also in a forked child that may no longer
/// open the file.
#[unsafe(no_mangle)]
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
    // SAFETY: the caller's promise.
    let options = unsafe { shmetrics_options::copy_from(options)? };
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
    if options.revision != 0 {
        out = out.revision(options.revision);
    }
    if options.max_size != 0 {
        out = out.max_size(options.max_size);
    }
    out = out
        .max_series(options.max_series)
        .max_processes(options.max_processes)
        .allow_disk(options.allow_disk != 0)
        .reset_if_unused(options.reset_if_unused != 0);
    match options.per_cpu {
        SHMETRICS_PER_CPU_DEFAULT => {}
        SHMETRICS_PER_CPU_LOCKED => out = out.rseq(false),
        SHMETRICS_PER_CPU_NONE => out = out.per_cpu(false),
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
    if options.reserved != 0 {
        return Err(fail(
            shmetrics_status::InvalidArgument,
            "options.reserved must be 0; call shmetrics_options_init first",
        ));
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
/// As for `shmetrics_str::text`.
unsafe fn name_of<'a>(name: shmetrics_str) -> Result<&'a str, shmetrics_status> {
    // SAFETY: the caller's promise.
    let name = unsafe { name.text("the segment's name")? };
    if name.len() > 4095 {
        // This fails, and says why.
        crate::shm::mapping::path_of(name).map_err(report)?;
    }
    Ok(name)
}

/// Removes the name of a segment. Processes that have the segment mapped keep using the memory,
/// which no new process finds. The call removes segments only, and by a plain name also damaged
/// ones.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_segment_remove(name: shmetrics_str) -> shmetrics_status {
    // SAFETY: the caller's promise.
    guarded(|| Segment::remove(unsafe { name.text("the segment's name")? }).map_err(report))
}

/// Removes the family of this name from all pages, for all processes. `*unregistered`, unless it is
/// NULL, says whether there was one. Updates through handles of the family do nothing and are
/// counted. The name may be registered again. `SHMETRICS_STATUS_CONFLICT`: a process of a later
/// revision has registered the family. To replace a definition by another, register it with
/// `replace`.
#[unsafe(no_mangle)]
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

/// Gives this process a number for the label `pid` of per-process gauges, such as a worker number.
/// Call it in the worker, before its first update of a gauge.
#[unsafe(no_mangle)]
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

/// Takes a slot for this process' values in per-process gauges now, instead of at its first update
/// of such a gauge. Call it before a filter denies system calls, or to learn why a slot cannot be
/// taken. Repeated calls do nothing. Forked children take slots of their own.
///
/// `SHMETRICS_STATUS_FULL`: `max_processes` processes have slots already.
/// `SHMETRICS_STATUS_PERMISSION` or `SHMETRICS_STATUS_SYSTEM`: the system denies both of the ways
/// to hold a slot: to open the file of the segment once more, and to make a System V shared memory
/// segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_segment_attach_process(segment: *mut shmetrics_segment) -> shmetrics_status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe { segment_of(segment)? }.attach_process().map_err(report))
}

/// Expires the series of families with `expire_after_seconds` that no process has updated for that
/// time, and returns how many left the pages. Rendering a page of the segment does the same. Call
/// it where only read-only readers render.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_segment_expire(segment: *mut shmetrics_segment) -> u64 {
    // SAFETY: the caller's promise.
    guard(0, || unsafe { segment_of(segment) }.map_or(0, |segment| segment.expire()))
}

/// For programs that are ported from libraries with such a call; no program needs it. The kernel
/// tells which processes live, so nothing is marked, and no call harms a living process. True if no
/// living process with this pid (in the caller's PID namespace) has values in per-process gauges.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_segment_mark_dead(segment: *mut shmetrics_segment, pid: u32) -> bool {
    // SAFETY: the caller's promise.
    guard(true, || unsafe { segment_of(segment) }.map_or(true, |s| s.mark_dead(pid)))
}

/// Whether the name of the segment still leads to it. If the segment was removed or replaced, this
/// process counts where new processes and exporters do not look, until it is restarted. True also
/// where the process cannot tell, as after `chroot`, and for anonymous segments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_segment_is_current(segment: *mut shmetrics_segment) -> bool {
    // SAFETY: the caller's promise.
    guard(true, || unsafe { segment_of(segment) }.map_or(true, |s| s.is_current()))
}

/// How many processes have the segment open for counting, this one included: forked children and
/// stopped processes count, readers do not. -1 if the system does not tell: see "Who has a segment
/// open" in the guide.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_segment_attached(segment: *mut shmetrics_segment) -> i64 {
    guard(-1, || {
        // SAFETY: the caller's promise.
        let segment = unsafe { segment_of(segment) }.ok();
        segment.and_then(|s| s.reader().attached()).map_or(-1, i64::from)
    })
}

/// Puts into `*in_use` whether any process has the segment of this name open for counting, this one
/// included. Readers do not count.
#[unsafe(no_mangle)]
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

/// Copies the next warning about the segment to `buffer`: a sentence for the log of the host, which
/// says what the segment could not take and what to do. The copy is cut off to `capacity`, with a
/// NUL at its end. Returns the whole length without the NUL; 0 if there is no new warning. Each
/// kind of warning is given once, to one of all processes: the rest of a warning that is cut off is
/// lost, so give 2048 bytes. Call it now and then, say after each page. `buffer` may be NULL if
/// `capacity` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_segment_next_warning(
    segment: *mut shmetrics_segment,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        // SAFETY: the caller's promise.
        let text = unsafe { segment_of(segment) }.ok().and_then(|segment| segment.next_warning()).unwrap_or_default();
        // SAFETY: as above.
        unsafe { copy_text(text.as_bytes(), buffer, capacity) };
        text.len()
    })
}

/// # Safety
/// `segment` is NULL or came from `shmetrics_segment_open`.
#[inline(always)]
pub(super) unsafe fn segment_of(segment: *const shmetrics_segment) -> Result<Segment, shmetrics_status> {
    // SAFETY: segments live as long as the process.
    match unsafe { segment.cast::<Inner>().as_ref() } {
        Some(inner) => Ok(Segment { inner }),
        None => Err(null("the segment")),
    }
}
