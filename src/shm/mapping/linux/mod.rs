//! Linux: a tmpfs file that is linked into place when it is complete, or a sealed memfd.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use super::access::Access;
use super::attendance::Presence;
use super::{attendance, paths};
use super::{Backing, Owner};
use crate::os::errno::Errno;
use crate::shm::grants::{Grants, Source};
use crate::shm::layout::SPARE_MOST;
use crate::shm::layout::{header, PAGE};
use crate::shm::pair::Pair;
use crate::Error;

const TMPFS_MAGIC: i64 = 0x0102_1994;
const RAMFS_MAGIC: i64 = 0x8584_58f6;
const HUGETLBFS_MAGIC: i64 = 0x9584_58f6;

/// A shared mapping of a descriptor.
pub(crate) struct LinuxBacking {
    base: NonNull<u8>,
    len: u64,
    file: Descriptor,
    device: u64,
    inode: u64,
    /// A way to the file again should the host close our descriptor: made before it is needed, as
    /// the way may not allocate. From the root: the host may change its directory.
    path: Option<CString>,
    /// The device and inode of the directory that the path led to.
    directory: Option<(u64, u64)>,
    /// Of a process that may write.
    presence: OnceLock<Presence>,
    /// The process' root when the path was used.
    root: Option<(u64, u64)>,
    grants: Arc<Grants>,
}

// SAFETY: the mapping is only handed out as a raw pointer; descriptors may be used from any thread.
unsafe impl Send for LinuxBacking {}
// SAFETY: as above.
unsafe impl Sync for LinuxBacking {}

/// A descriptor that the library has opened. Hosts that turn into daemons close descriptors they do
/// not know, and open files of their own under the same numbers. So this one is closed only if it
/// is still the one that was opened.
pub(crate) struct Descriptor {
    file: ManuallyDrop<File>,
    device: u64,
    inode: u64,
    /// The file position, which the library does not use. It tells this open file description from
    /// any other, also from others of the same file.
    mark: libc::off_t,
}

impl Descriptor {
    fn new(file: File, path: &Path) -> Result<Self, Error> {
        let meta = file.metadata().map_err(|e| Error::system(format!("looking at {}", path.display()), e))?;
        // Every file system has files of 2 TiB.
        let mark = (crate::os::identity::random() % (1 << 41)) as libc::off_t;
        // SAFETY: an own descriptor.
        let mark = unsafe { libc::lseek(file.as_raw_fd(), mark, libc::SEEK_SET) };
        // Where the file system has smaller files, the position stays at the beginning.
        let mark = mark.max(0);
        Ok(Descriptor { file: ManuallyDrop::new(file), device: meta.dev(), inode: meta.ino(), mark })
    }

    /// Whether the number still stands for the description that was opened here.
    fn is_own(&self) -> bool {
        let fd = self.file.as_raw_fd();
        // SAFETY: a plain call; of a closed descriptor, or of what has no position, it is an error.
        let position = || unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) };
        leads_to(fd, self.device, self.inode) && position() == self.mark
    }
}

impl Deref for Descriptor {
    type Target = File;
    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if self.is_own() {
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
    }
}

/// Opens the file of a descriptor once more, if it is the file with this device and inode.
/// Allocates nothing.
pub(crate) fn open_again(descriptor: RawFd, file: (u64, u64)) -> Option<RawFd> {
    if !leads_to(descriptor, file.0, file.1) {
        return None;
    }
    open_as(ProcFd::new(descriptor).path(), file)
}

/// Opens the file at a path, if it is the one with this device and inode. Allocates nothing.
fn open_as(path: &CStr, file: (u64, u64)) -> Option<RawFd> {
    // SAFETY: a NUL-terminated path.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
    if fd >= 0 && !leads_to(fd, file.0, file.1) {
        // SAFETY: a descriptor just opened here.
        unsafe { libc::close(fd) };
        return None;
    }
    (fd >= 0).then_some(fd)
}

/// Whether a descriptor is open and leads to this file. Async-signal-safe.
pub(crate) fn leads_to(fd: RawFd, device: u64, inode: u64) -> bool {
    // SAFETY: an all-zero stat is a valid value to be filled in.
    let mut st: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: a plain call; a closed descriptor is an error.
    unsafe { libc::fstat(fd, &raw mut st) == 0 && st.st_dev == device && st.st_ino == inode }
}

fn last() -> io::Error {
    io::Error::last_os_error()
}

fn c_path(path: &Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Error::InvalidName("the path holds a NUL byte".into()))
}

/// The path that leads to a descriptor's file, without an allocation.
struct ProcFd {
    bytes: [u8; 32],
}

impl ProcFd {
    fn new(fd: RawFd) -> Self {
        let mut bytes = [0; 32];
        let prefix = b"/proc/self/fd/";
        bytes[..prefix.len()].copy_from_slice(prefix);
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(fd).as_bytes();
        bytes[prefix.len()..prefix.len() + digits.len()].copy_from_slice(digits);
        ProcFd { bytes }
    }

    fn path(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

/// A write past `RLIMIT_FSIZE` is a fatal signal, not an error: it has to be foreseen.
fn fits_file_limit(size: u64) -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a plain call on a local.
    let ok = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) } == 0;
    !ok || limit.rlim_cur == libc::RLIM_INFINITY || limit.rlim_cur >= size
}

fn resize(file: &File, size: u64) -> Result<(), Error> {
    if !fits_file_limit(size) {
        return Err(Error::NoSpace(format!(
            "the file size limit (`ulimit -f`) is below the segment's ceiling of {size} bytes; raise it or set a smaller ceiling"
        )));
    }
    file.set_len(size).map_err(|e| Error::system("sizing the segment", e))
}

/// The most bytes that one call grants. Before Linux 6.11 a signal makes `fallocate` give up and
/// undo all of its work, so a call that takes longer than the time between two signals never
/// succeeds.
const PIECE: u64 = 512 * 1024;
/// Calls in a row for a single page that signals may interrupt.
const INTERRUPTIONS: u32 = 100;

/// What became of a request for memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Granted {
    Yes,
    /// There is no memory.
    No,
    /// This way of asking does not work here.
    NoWay,
}

/// Grants a range by calls of at most [`PIECE`] bytes. `call` grants one piece, or returns the
/// error's number. A piece that was granted stays granted. A piece that a signal interrupts is
/// tried again in halves, down to a page.
fn in_pieces(from: u64, to: u64, mut call: impl FnMut(u64, u64) -> Result<(), i32>) -> Granted {
    let (mut at, mut piece, mut interrupted) = (from, PIECE, 0);
    while at < to {
        let end = at.saturating_add(piece).min(to);
        match call(at, end) {
            Ok(()) => (at, interrupted) = (end, 0),
            Err(libc::EINTR) if piece > PAGE => piece /= 2,
            Err(libc::EINTR) if interrupted < INTERRUPTIONS => interrupted += 1,
            Err(libc::ENOSPC | libc::EDQUOT | libc::ENOMEM | libc::EFBIG) => return Granted::No,
            Err(_) => return Granted::NoWay,
        }
    }
    Granted::Yes
}

/// Grants a range of the segment's file by its descriptor. It allocates nothing and is no
/// cancellation point.
fn allocate(fd: RawFd, from: u64, to: u64) -> Granted {
    if !fits_file_limit(to) {
        return Granted::No;
    }
    in_pieces(from, to, |from, to| {
        // SAFETY: a plain call on the segment's own file (the caller has checked the descriptor).
        // All arguments are 64 bits wide, as the kernel takes them on the 64-bit systems that have
        // 16-byte compare-and-swap.
        let r = unsafe {
            libc::syscall(
                libc::SYS_fallocate,
                libc::c_long::from(fd),
                libc::c_long::from(libc::FALLOC_FL_KEEP_SIZE),
                from as libc::c_long,
                (to - from) as libc::c_long,
            )
        };
        if r == 0 {
            Ok(())
        } else {
            Err(last().raw_os_error().unwrap_or(0))
        }
    })
}

/// Whether a touch of a hole in the file takes memory that there may not be. On other file systems
/// a hole reads as zeros.
fn on_memory(file: &File) -> bool {
    // SAFETY: an all-zero statfs is a valid value to be filled in.
    let mut fs: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a plain call on an open descriptor with a local.
    let known = unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut fs) } == 0;
    #[allow(clippy::unnecessary_cast)] // its type differs by architecture and C library
    let kind = fs.f_type as i64;
    !known || [TMPFS_MAGIC, RAMFS_MAGIC, HUGETLBFS_MAGIC].contains(&kind)
}

/// Asks the kernel about the memory of a mapped file.
struct Blocks {
    base: NonNull<u8>,
    descriptor: RawFd,
    path: Option<CString>,
    device: u64,
    inode: u64,
}

// SAFETY: the pointer is used for `madvise` alone, while the mapping is there: `LinuxBacking` keeps
// both.
unsafe impl Send for Blocks {}
// SAFETY: as above.
unsafe impl Sync for Blocks {}

/// Bytes that one call looks at, so that other threads that map memory do not wait for long.
const LOOK: u64 = 16 << 20;

impl Blocks {
    /// Bytes of the file that have memory. `None`: the host has closed the descriptor, and the name
    /// leads elsewhere.
    fn bytes(&self) -> Option<u64> {
        // SAFETY: an all-zero stat is a valid value to be filled in.
        let mut st: libc::stat = unsafe { std::mem::zeroed() };
        let ours = |st: &libc::stat| st.st_dev == self.device && st.st_ino == self.inode;
        // SAFETY: a plain call with a local; a closed descriptor is an error.
        let mut known = unsafe { libc::fstat(self.descriptor, &raw mut st) } == 0 && ours(&st);
        if let (false, Some(path)) = (known, &self.path) {
            // SAFETY: a NUL-terminated path and a local.
            known = unsafe { libc::lstat(path.as_ptr(), &raw mut st) } == 0 && ours(&st);
        }
        known.then_some(st.st_blocks as u64 * 512)
    }

    /// Has the kernel map pages that are there. It reports what a touch would be killed for.
    fn can_be_read(&self, from: u64, to: u64) -> bool {
        const MADV_POPULATE_READ: i32 = 22;
        let (mut at, mut attempts) = (from & !(PAGE - 1), 0);
        while at < to {
            let end = (at + LOOK).min(to);
            // SAFETY: a range of our own mapping: claims are bounded by its length.
            let r = unsafe {
                libc::madvise(self.base.as_ptr().add(at as usize).cast(), (end - at) as usize, MADV_POPULATE_READ)
            };
            match if r == 0 { 0 } else { last().raw_os_error().unwrap_or(0) } {
                0 => at = end,
                libc::EFAULT | libc::EHWPOISON => return false,
                libc::EAGAIN | libc::EINTR | libc::ENOMEM if attempts < INTERRUPTIONS => attempts += 1,
                // Before Linux 5.14 there is no such request: then the number of blocks has to do.
                _ => return true,
            }
        }
        true
    }
}

/// How many of the bytes that a segment says it has may have no memory in a copy of it, as `cp`
/// makes one: pages that were granted and never written are holes there. They are the spare part of
/// the last extent, and of an index that has doubled. Where the file system has no room for them,
/// `can_be_read` says so.
const fn unwritten(sum: u64) -> u64 {
    sum / 2 + SPARE_MOST
}

impl Source for Blocks {
    fn has_memory(&self, from: u64, to: u64, sum: u64) -> bool {
        // The number comes first: of a sparse file, the second question would have the holes
        // filled.
        self.bytes().is_none_or(|bytes| bytes >= sum.saturating_sub(unwritten(sum))) && self.can_be_read(from, to)
    }
}

/// A complete file that has no name yet.
pub(crate) struct Unpublished {
    pub(crate) backing: LinuxBacking,
    temporary: Option<Temporary>,
}

/// What became of a name.
pub(crate) enum Published {
    /// It leads to the new file.
    Done(LinuxBacking),
    /// Another process was first.
    Taken,
    /// A nameless file cannot be given a name here. One that has a temporary name can.
    NoWay,
}

/// A file's name for now, where it needs one. It goes with this value.
struct Temporary(Option<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// How to make a file.
pub(crate) struct Make<'a> {
    pub(crate) size: u64,
    /// Bytes that are granted at once.
    pub(crate) first: u64,
    pub(crate) access: &'a Access,
    pub(crate) allow_disk: bool,
    /// Under a temporary name, though the file system may have nameless files.
    pub(crate) named: bool,
}

pub(crate) fn create(path: &Path, make: &Make) -> Result<Unpublished, Error> {
    let directory = match path.parent() {
        Some(d) if !d.as_os_str().is_empty() => d.to_path_buf(),
        _ => PathBuf::from("."),
    };
    check_directory(&directory, make.allow_disk)?;
    let (file, temporary) = unseen(&directory, path, make.named)?;
    let file = Descriptor::new(file, path)?;
    give_away(&file, make.access)?;
    resize(&file, make.size)?;
    // No other process knows it yet: from its first moment on it has a user.
    hold(&file);
    let backing = LinuxBacking::map(file, make.size, true, Some(path.to_path_buf()))?;
    if !backing.reserve(0, make.first) {
        return Err(Error::no_space(&format!("creating {}", path.display())));
    }
    Ok(Unpublished { backing, temporary })
}

/// Gives a new file its mode, group and owner.
fn give_away(file: &File, access: &Access) -> Result<(), Error> {
    // The mode comes first: afterwards the file may be another user's. It is set by itself because
    // the umask applies to open(). SAFETY: an own descriptor.
    if unsafe { libc::fchmod(file.as_raw_fd(), access.mode as libc::mode_t) } != 0 {
        return Err(Error::system("setting the segment's mode", last()));
    }
    // The group first: who has given away the file may not change its group.
    for (given, group) in [(&access.group, true), (&access.owner, false)] {
        let Some(given) = given else { continue };
        let id = if group { given.group()? } else { given.user()? };
        let (owner, group) = if group { (u32::MAX, id) } else { (id, u32::MAX) };
        // SAFETY: an own descriptor; the greatest number leaves what it stands for.
        if unsafe { libc::fchown(file.as_raw_fd(), owner, group) } != 0 {
            return Err(not_given(given, owner == u32::MAX, id, last()));
        }
    }
    Ok(())
}

fn not_given(given: &crate::shm::mapping::account::Given, group: bool, id: u32, e: io::Error) -> Error {
    let what = if group { "group" } else { "user" };
    let rule = match (e.raw_os_error(), group) {
        (Some(libc::EPERM), true) => "a process without root's rights may give its files only to groups that it is in",
        (Some(libc::EPERM), false) => "only a process with root's rights may give its files to another user",
        (Some(libc::EINVAL), _) => "the number means nothing in this user namespace",
        _ => return Error::system(format!("{given}: giving the segment to {what} {id}"), e),
    };
    Error::Permission(format!("{given}: giving the segment to {what} {id} failed ({e}): {rule}"))
}

fn check_directory(directory: &Path, allow_disk: bool) -> Result<(), Error> {
    let c = c_path(directory)?;
    // SAFETY: an all-zero statfs is a valid value to be filled in.
    let mut fs: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a NUL-terminated path and a local.
    if unsafe { libc::statfs(c.as_ptr(), &raw mut fs) } != 0 {
        let e = last();
        return Err(match e.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => Error::InvalidArgument(format!(
                "the directory {} does not exist; mount a tmpfs there or set SHMETRICS_DIR to one",
                directory.display()
            )),
            _ => Error::system(format!("looking at {}", directory.display()), e),
        });
    }
    #[allow(clippy::unnecessary_cast)] // its type differs by architecture and C library
    let kind = fs.f_type as i64;
    if !allow_disk && ![TMPFS_MAGIC, RAMFS_MAGIC, HUGETLBFS_MAGIC].contains(&kind) {
        return Err(Error::NotTmpfs(directory.to_path_buf()));
    }
    Ok(())
}

/// A new file that no process looks for: nameless, or with a temporary name.
fn unseen(directory: &Path, path: &Path, named: bool) -> Result<(File, Option<Temporary>), Error> {
    let failed = |e| Error::system(format!("creating a segment in {}", directory.display()), e);
    if !named {
        let c = c_path(directory)?;
        // SAFETY: a NUL-terminated path.
        let fd = unsafe { libc::open(c.as_ptr(), libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC, 0o600) };
        if fd >= 0 {
            // SAFETY: a descriptor just opened, owned by nothing else.
            return Ok((unsafe { File::from_raw_fd(fd) }, None));
        }
        let e = last();
        if !matches!(e.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::ENOENT | libc::EINVAL)) {
            return Err(failed(e));
        }
    }
    // A name of its own, and not a longer one: file systems have a limit.
    let name = path.file_name().unwrap_or_default().as_bytes();
    let short = String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned();
    let temporary = directory.join(format!(".{short}.{}.{:x}", std::process::id(), crate::os::identity::random()));
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    options.open(&temporary).map(|f| (f, Some(Temporary(Some(temporary))))).map_err(failed)
}

impl Unpublished {
    /// Gives the complete file its name.
    pub(crate) fn publish(self, path: &Path) -> Result<Published, Error> {
        let to = c_path(path)?;
        let Some(mut temporary) = self.temporary else {
            return match link(&self.backing.file, &to) {
                Ok(()) => Ok(Published::Done(self.backing)),
                Err(e) if e.raw_os_error() == Some(libc::EEXIST) => Ok(Published::Taken),
                // What is really wrong is found out, or mended, under a temporary name.
                Err(_) => Ok(Published::NoWay),
            };
        };
        let from = c_path(temporary.0.as_deref().unwrap_or(path))?;
        match rename(&from, &to) {
            Ok(()) => {
                temporary.0 = None;
                Ok(Published::Done(self.backing))
            }
            Err(e) if e.raw_os_error() == Some(libc::EEXIST) => Ok(Published::Taken),
            Err(e) => Err(Error::system(format!("publishing {}", path.display()), e)),
        }
    }
}

/// Links a nameless file into place.
fn link(file: &File, to: &CString) -> io::Result<()> {
    let proc = ProcFd::new(file.as_raw_fd());
    let from = proc.path();
    // SAFETY: NUL-terminated paths.
    let by_proc =
        unsafe { libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::AT_SYMLINK_FOLLOW) };
    if by_proc == 0 {
        return Ok(());
    }
    let e = last();
    if e.raw_os_error() == Some(libc::EEXIST) {
        return Err(e);
    }
    // Without /proc. Before Linux 6.10 only for processes that may read any file
    // (CAP_DAC_READ_SEARCH). SAFETY: an own descriptor, and NUL-terminated paths.
    let by_descriptor =
        unsafe { libc::linkat(file.as_raw_fd(), c"".as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::AT_EMPTY_PATH) };
    if by_descriptor == 0 {
        return Ok(());
    }
    Err(last())
}

/// Gives a file another name, unless that is taken.
fn rename(from: &CString, to: &CString) -> io::Result<()> {
    // SAFETY: NUL-terminated paths.
    let renamed =
        unsafe { libc::renameat2(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::RENAME_NOREPLACE) };
    if renamed == 0 {
        return Ok(());
    }
    let e = last();
    if !matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP | libc::EPERM)) {
        return Err(e);
    }
    // A file system, or a filter, without the call. For a moment the file has both names.
    // SAFETY: NUL-terminated paths.
    if unsafe { libc::link(from.as_ptr(), to.as_ptr()) } != 0 {
        return Err(last());
    }
    // SAFETY: a NUL-terminated path. If it stays, it is a name too many.
    unsafe { libc::unlink(from.as_ptr()) };
    Ok(())
}

pub(crate) fn anonymous(size: u64, first: u64) -> Result<LinuxBacking, Error> {
    // SAFETY: a NUL-terminated name.
    let fd = unsafe { libc::memfd_create(c"shmetrics".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if fd < 0 {
        return Err(Error::system("creating an anonymous segment", last()));
    }
    // SAFETY: a descriptor just made, owned by nobody else.
    let file = unsafe { File::from_raw_fd(fd) };
    resize(&file, size)?;
    // Nobody can truncate it under a reader: no SIGBUS, whoever gets hold of the descriptor.
    // SAFETY: an own descriptor.
    if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL) } != 0 {
        return Err(Error::system("sealing the anonymous segment", last()));
    }
    hold(&file);
    let file = Descriptor::new(file, Path::new("memfd"))?;
    let backing = LinuxBacking::map(file, size, true, None)?;
    if backing.reserve(0, first) {
        Ok(backing)
    } else {
        Err(Error::no_space("creating an anonymous segment"))
    }
}

/// Opens an existing segment's file. `Ok(None)`: there is none.
pub(crate) fn open(path: &Path, writable: bool) -> Result<Option<Descriptor>, Error> {
    let c = c_path(path)?;
    let access = if writable { libc::O_RDWR } else { libc::O_RDONLY };
    let flags = access | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    // SAFETY: a NUL-terminated path.
    let fd = unsafe { libc::open(c.as_ptr(), flags) };
    if fd < 0 {
        let e = last();
        return match e.raw_os_error() {
            Some(libc::ENOENT) => Ok(None),
            Some(libc::ELOOP) => Err(not_a_segment(path, "it is a symbolic link")),
            Some(libc::EISDIR) => Err(not_a_segment(path, "it is a directory")),
            _ => Err(Error::system(format!("opening {}", path.display()), e)),
        };
    }
    // SAFETY: a descriptor just opened, owned by nothing else.
    let file = unsafe { File::from_raw_fd(fd) };
    let meta = file.metadata().map_err(|e| Error::system(format!("looking at {}", path.display()), e))?;
    if !meta.is_file() {
        return Err(not_a_segment(path, "it is not a regular file"));
    }
    Descriptor::new(file, path).map(Some)
}

/// Refuses the file of a user who could kill this process by cutting it off, unless the user is
/// trusted.
pub(crate) fn check_owner(file: &File, path: &Path, access: &Access) -> Result<(), Error> {
    let owner = file.metadata().map_err(|e| Error::system(format!("looking at {}", path.display()), e))?.uid();
    // SAFETY: a plain call.
    let me = unsafe { libc::geteuid() };
    if owner == me || owner == 0 || access.is_trusted(owner)? {
        return Ok(());
    }
    Err(Error::Permission(format!(
        "{} belongs to user {owner}, and could be cut off while it is in use, which would kill this process; run as \
         that user, remove the file, or trust the user (SHMETRICS_TRUST={owner}, or the option `trust_owner`)",
        path.display()
    )))
}

pub(crate) fn not_a_segment(path: &Path, reason: &str) -> Error {
    Error::NotASegment { path: path.to_path_buf(), reason: reason.into() }
}

/// The byte on which every process that has the file mapped for writing holds a shared lock. No slot's: those come later.
const USERS: u64 = 0;

/// Says that the file is in use, as long as this description of it is open or mapped, here or in forked children: a host
/// that closes its descriptors does not end it. `false`: somebody has found the file unused and is about to remove it.
pub(crate) fn hold(file: &File) -> bool {
    let mut lock = byte_lock(USERS);
    lock.l_type = libc::F_RDLCK as libc::c_short;
    // SAFETY: a plain call with a local.
    let held = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } == 0;
    // Where there are no locks, nothing is ever found unused.
    held || !matches!(last().raw_os_error(), Some(libc::EAGAIN | libc::EACCES))
}

/// Removes the file's name if it still leads to the file and no process uses it. New users are kept out until `file` is
/// closed or held.
pub(crate) fn remove_if_unused(file: &File, path: &Path) -> bool {
    let lock = byte_lock(USERS);
    // SAFETY: a plain call with a local.
    let unused = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } == 0;
    unused && is_named(file, path) && std::fs::remove_file(path).is_ok()
}

/// Whether `path` leads to the file.
pub(crate) fn is_named(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(named)) = (file.metadata(), std::fs::symlink_metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (named.dev(), named.ino())
}

/// The directory in which a path is, as its device and inode.
fn directory_of(path: &Path) -> Option<(u64, u64)> {
    let directory = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::metadata(directory).ok().map(|m| (m.dev(), m.ino()))
}

/// Sets or clears the lock of the descriptor's description on a byte. `false`: another description
/// has it locked, or there are no locks.
pub(crate) fn set_lock(fd: RawFd, byte: u64, kind: i32) -> bool {
    let mut lock = byte_lock(byte);
    lock.l_type = kind as libc::c_short;
    // SAFETY: a plain call with a local.
    unsafe { libc::fcntl(fd, libc::F_OFD_SETLK, &raw const lock) == 0 }
}

/// The kind of lock that another description has on a byte: `F_UNLCK` for none. `None`: cannot
/// tell.
pub(crate) fn lock_on(fd: RawFd, byte: u64) -> Option<i32> {
    let mut lock = byte_lock(byte);
    // SAFETY: a plain call with a local.
    let r = unsafe { libc::fcntl(fd, libc::F_OFD_GETLK, &raw mut lock) };
    (r == 0).then_some(i32::from(lock.l_type))
}

/// Whether any process has the file open for counting. `None`: cannot tell.
pub(crate) fn is_in_use(file: &File) -> Option<bool> {
    lock_on(file.as_raw_fd(), USERS).map(|kind| kind != libc::F_UNLCK)
}

impl LinuxBacking {
    /// Has this process counted among those that have the segment open. Before the segment is used.
    pub(crate) fn attend(&self) {
        let at = self.base.as_ptr().wrapping_add(header::ATTENDANCE as usize).cast();
        // SAFETY: in the first page of a writable mapping, aligned to 16, and accessed through
        // pairs only.
        let cell = unsafe { Pair::new(at) };
        let path = self.path.as_deref().map(|path| Path::new(OsStr::from_bytes(path.to_bytes())));
        self.presence.get_or_init(|| Presence::new(cell, &self.file, path));
    }

    pub(crate) fn map(file: Descriptor, len: u64, writable: bool, path: Option<PathBuf>) -> Result<Self, Error> {
        let (device, inode) = (file.device, file.inode);
        let protection = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        let bytes =
            usize::try_from(len).map_err(|_| Error::InvalidArgument("the segment is too large to map".into()))?;
        // SAFETY: a new mapping where the system likes it.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                protection,
                libc::MAP_SHARED | libc::MAP_NORESERVE,
                file.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(Error::system("mapping the segment", last()));
        }
        // Not worth a core dump's space. SAFETY: our own mapping.
        unsafe { libc::madvise(base, bytes, libc::MADV_DONTDUMP) };
        let base = NonNull::new(base.cast()).ok_or_else(|| Error::Unsupported("the system mapped page 0".into()))?;
        let path = path.map(|p| paths::absolute(&p));
        let directory = path.as_deref().and_then(directory_of);
        let path = path.and_then(|p| c_path(&p).ok());
        let (presence, root) = (OnceLock::new(), paths::root());
        let grants = if on_memory(&file) {
            let (descriptor, path) = (file.as_raw_fd(), path.clone());
            Grants::new(Box::new(Blocks { base, descriptor, path, device, inode }))
        } else {
            Grants::plain()
        };
        let grants = Arc::new(grants);
        Ok(LinuxBacking { base, len, file, device, inode, path, directory, presence, root, grants })
    }

    /// Asks for the pages of a range through the mapping. The kernel reports what a touch would be
    /// killed for.
    fn populate(&self, from: u64, to: u64) -> Result<(), i32> {
        const MADV_POPULATE_WRITE: i32 = 23;
        let start = from & !(PAGE - 1);
        // SAFETY: a range of our own mapping: `reserve` has checked its end.
        let r = unsafe {
            libc::madvise(self.base.as_ptr().add(start as usize).cast(), (to - start) as usize, MADV_POPULATE_WRITE)
        };
        if r == 0 {
            Ok(())
        } else {
            Err(last().raw_os_error().unwrap_or(0))
        }
    }

    fn with_own_descriptor<R>(&self, f: impl FnOnce(RawFd) -> R) -> Option<R> {
        let own = self.file.as_raw_fd();
        self.is_ours(own).then(|| f(own))
    }

    fn with_descriptor<R>(&self, f: impl FnOnce(RawFd) -> R) -> Option<R> {
        let own = self.file.as_raw_fd();
        if self.is_ours(own) {
            return Some(f(own));
        }
        let fd = self.describe()?;
        let result = f(fd);
        // SAFETY: opened by `describe` for us alone.
        unsafe { libc::close(fd) };
        Some(result)
    }
}

impl Drop for LinuxBacking {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length; whoever hands out views of it owns this value and is gone.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len as usize) };
    }
}

/// Locks a byte for the descriptor's open file description. `Ok(false)`: another one has it locked.
pub(crate) fn lock(fd: RawFd, byte: u64) -> Result<bool, i32> {
    let lock = byte_lock(byte);
    // SAFETY: a plain call with a local.
    if unsafe { libc::fcntl(fd, libc::F_OFD_SETLK, &raw const lock) } == 0 {
        return Ok(true);
    }
    match last().raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        other => Err(other.unwrap_or(0)),
    }
}

/// Gives up a lock that [`lock`] took.
pub(crate) fn unlock(fd: RawFd, byte: u64) {
    let lock = libc::flock { l_type: libc::F_UNLCK as libc::c_short, ..byte_lock(byte) };
    // SAFETY: a plain call with a local.
    unsafe { libc::fcntl(fd, libc::F_OFD_SETLK, &raw const lock) };
}

fn is_locked(fd: RawFd, byte: u64) -> Option<bool> {
    lock_on(fd, byte).map(|kind| kind != libc::F_UNLCK)
}

fn byte_lock(at: u64) -> libc::flock {
    // SAFETY: an all-zero flock is a valid value; l_pid must be 0 for open file description locks.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = at as libc::off_t;
    lock.l_len = 1;
    lock
}

impl Backing for LinuxBacking {
    fn base(&self) -> NonNull<u8> {
        self.base
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn reserve(&self, from: u64, to: u64) -> bool {
        if to <= from {
            return true;
        }
        if to > self.len {
            return false;
        }
        // An update may be the caller, and a signal handler the caller of that.
        let _errno = Errno::keep();
        let own = self.file.as_raw_fd();
        let by_own = if self.is_ours(own) { allocate(own, from, to) } else { Granted::NoWay };
        if by_own != Granted::NoWay {
            return by_own == Granted::Yes;
        }
        // Without a descriptor, or without fallocate, the kernel can be asked through the mapping.
        match self.populate(from, to) {
            Ok(()) => true,
            // Before Linux 5.14 there is no such request.
            Err(libc::EINVAL) => self.with_descriptor(|fd| allocate(fd, from, to)) == Some(Granted::Yes),
            Err(_) => false,
        }
    }

    fn grants(&self) -> &Grants {
        &self.grants
    }

    fn are_locked(&self, bytes: &[u64]) -> Option<Vec<bool>> {
        if bytes.is_empty() {
            return Some(Vec::new());
        }
        self.with_descriptor(|fd| bytes.iter().map(|at| is_locked(fd, *at)).collect()).flatten()
    }

    fn is_locked(&self, byte: u64) -> Option<bool> {
        self.with_descriptor(|fd| is_locked(fd, byte)).flatten()
    }

    fn describe(&self) -> Option<RawFd> {
        let own = self.file.as_raw_fd();
        open_again(own, self.id()).or_else(|| open_as(self.path.as_deref()?, self.id()))
    }

    /// Hosts that turn into daemons close descriptors they do not know; the number may be another
    /// file's by now.
    fn is_ours(&self, fd: RawFd) -> bool {
        leads_to(fd, self.device, self.inode)
    }

    fn has_locks(&self) -> bool {
        true
    }

    fn resident(&self) -> u64 {
        let blocks = |fd| {
            // SAFETY: an all-zero stat is a valid value to be filled in.
            let mut st: libc::stat = unsafe { std::mem::zeroed() };
            // SAFETY: a plain call with a local.
            if unsafe { libc::fstat(fd, &raw mut st) } == 0 {
                st.st_blocks as u64
            } else {
                0
            }
        };
        self.with_descriptor(blocks).map_or(0, |blocks| blocks * 512)
    }

    fn is_named(&self, path: &Path) -> bool {
        match std::fs::symlink_metadata(path) {
            Ok(m) => m.dev() == self.device && m.ino() == self.inode && m.len() == self.len(),
            // In another root the path means something else. Where it may not be followed, nothing
            // is known.
            Err(e) => {
                let gone = matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR));
                let removed = self.is_removed() || (gone && paths::root() == self.root);
                !removed
            }
        }
    }

    fn is_in_use(&self) -> Option<bool> {
        if self.presence.get().is_some() {
            return Some(true);
        }
        self.are_locked(&[USERS]).map(|locked| locked[0])
    }

    fn attached(&self, word: [u64; 2]) -> Option<u32> {
        if !self.is_in_use()? {
            return Some(0);
        }
        let own = self.presence.get();
        if own.is_some_and(|presence| !presence.is_counted()) || self.are_locked(&[attendance::UNCOUNTED])?[0] {
            return None;
        }
        attendance::number(word, self.inode)
    }

    fn is_led_to(&self, path: &Path) -> Option<bool> {
        match std::fs::symlink_metadata(path) {
            Ok(m) if (m.dev(), m.ino()) == (self.device, self.inode) => return Some(true),
            Err(e) if e.kind() != io::ErrorKind::NotFound => {}
            // By the directory that it was opened in: after chroot, chdir or in another mount
            // namespace the path means something else.
            _ if self.directory.is_some() && directory_of(path) == self.directory => return Some(false),
            _ => {}
        }
        // Without a name it cannot be led to by any path.
        let links = self.with_own_descriptor(|_| self.file.metadata().map(|m| m.nlink()));
        matches!(links, Some(Ok(0))).then_some(false)
    }

    fn owner(&self) -> Option<Owner> {
        let meta = self.with_own_descriptor(|_| self.file.metadata())?.ok()?;
        Some(Owner { user: meta.uid(), group: meta.gid(), mode: meta.mode() & 0o777 })
    }

    fn id(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    fn is_removed(&self) -> bool {
        let own = self.file.as_raw_fd();
        self.is_ours(own) && self.file.metadata().is_ok_and(|m| m.nlink() == 0)
    }

    fn descriptor(&self) -> Option<i32> {
        let fd = self.file.as_raw_fd();
        self.is_ours(fd).then_some(fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_unused_file_that_the_name_leads_to_is_removed() {
        let path = PathBuf::from(format!("/dev/shm/test-unused-{}", std::process::id()));
        let make =
            || std::fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).unwrap();
        let first = make();
        std::fs::remove_file(&path).unwrap();
        let second = make();
        assert!(!remove_if_unused(&first, &path) && path.exists(), "the name leads elsewhere by now");
        let user = make();
        assert!(hold(&user));
        assert!(!remove_if_unused(&second, &path) && path.exists(), "it has a user");
        drop(user);
        assert!(remove_if_unused(&second, &path) && !path.exists());
        let late = open_again(&second);
        assert!(!hold(&late), "nobody takes up what is being removed");
    }

    const EINTR: Result<(), i32> = Err(libc::EINTR);

    #[test]
    fn signals_do_not_keep_a_range_from_being_granted() {
        for longest in [4 * PAGE, PAGE] {
            let (mut granted, mut calls) = (0, 0);
            // As with a periodic signal that is shorter than longer calls: these never end.
            let result = in_pieces(0, 8 << 20, |from, to| {
                calls += 1;
                if to - from > longest {
                    return EINTR;
                }
                assert_eq!(from, granted, "what was granted is kept");
                granted = to;
                Ok(())
            });
            assert_eq!((result, granted), (Granted::Yes, 8 << 20));
            assert!(calls <= (8 << 20) / longest + 10, "{calls} calls");
        }
        let mut calls = 0;
        let result = in_pieces(0, 8 << 20, |_, _| {
            calls += 1;
            EINTR
        });
        assert_eq!(result, Granted::NoWay);
        assert!(calls < 200, "{calls} calls");
        // Every second call is interrupted, whatever its size.
        let mut calls = 0;
        let result = in_pieces(0, 1 << 20, |_, _| {
            calls += 1;
            if calls % 2 == 0 {
                Ok(())
            } else {
                EINTR
            }
        });
        assert_eq!(result, Granted::Yes);
        assert_eq!(in_pieces(0, PAGE, |_, _| Err(libc::ENOSPC)), Granted::No);
        assert_eq!(in_pieces(0, PAGE, |_, _| Err(libc::EOPNOTSUPP)), Granted::NoWay);
        assert_eq!(in_pieces(5, 5, |_, _| EINTR), Granted::Yes);
    }

    fn open_again(file: &File) -> File {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap()
    }
}
