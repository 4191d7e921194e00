//! Which processes have a segment mapped for counting, from `/proc`.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use procfs::{Current, Uptime};
use shmetrics::{ProcessInfo, Reader};

use super::stat::stat;

/// A process. A pid alone would not do, because pids are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ProcessKey {
    /// The start of the process, in ticks since boot.
    pub(super) started: u64,
    pub(super) pid: i32,
}

/// How long a result is valid. An unattached process may attach, and an attached process may
/// execute another program.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// The result for a process younger than this, in seconds, is not kept: workers attach soon after
/// their start, and the child of a worker has the worker's mappings until it executes its program.
const YOUNG: f64 = 10.0;
/// The maximum time that repeated scans take of one scrape. Later scrapes scan the rest.
const AGAIN_MAX: Duration = Duration::from_millis(10);

/// The results of earlier scans. A scan of all processes for each page would take longer than the
/// page.
#[derive(Default)]
pub(super) struct Scanner {
    seen: HashMap<i32, Seen>,
    /// The file as a line of `/proc/PID/maps` shows it.
    file: Vec<u8>,
    /// The only user with the right to write the file, besides root. `None` if other users have the
    /// right.
    owner: Option<u32>,
}

#[derive(Clone, Copy)]
struct Seen {
    key: ProcessKey,
    at: Instant,
    is_attached: bool,
    was_young: bool,
}

impl Scanner {
    /// The processes that are attached to the reader's segment now.
    pub(super) fn attached(&mut self, reader: &Reader, slots: &[ProcessInfo]) -> HashSet<ProcessKey> {
        let meta = reader.path().and_then(|path| std::fs::metadata(path).ok());
        let file = meta.as_ref().map(mapped_as).unwrap_or_default();
        if file != self.file {
            // The name belongs to another segment now.
            self.seen.clear();
            self.file = file;
        }
        self.owner = meta.filter(|meta| meta.mode() & 0o022 == 0).map(|meta| meta.uid());
        let pids = pids();
        self.seen.retain(|pid, _| pids.contains(pid));
        let uptime = Uptime::current().map_or(0.0, |uptime| uptime.uptime);

        let mut again = Vec::new();
        for pid in pids {
            match self.seen.get(&pid).copied() {
                // Each scan checks that the pid of an attached process was not used again.
                Some(look) if look.is_attached && key(pid) != Some(look.key) => self.look(pid, slots, uptime),
                None => self.look(pid, slots, uptime),
                Some(look) if look.was_young => self.look(pid, slots, uptime),
                Some(look) if look.at.elapsed() > LOOK_AGAIN => again.push((look.at, pid)),
                Some(_) => {}
            }
        }
        again.sort_unstable();
        let begin = Instant::now();
        for (_, pid) in again {
            self.look(pid, slots, uptime);
            if begin.elapsed() > AGAIN_MAX {
                break;
            }
        }
        self.seen.values().filter(|seen| seen.is_attached).map(|seen| seen.key).collect()
    }

    /// `uptime`: the seconds since boot.
    fn look(&mut self, pid: i32, slots: &[ProcessInfo], uptime: f64) {
        match key(pid) {
            None => drop(self.seen.remove(&pid)),
            Some(key) => {
                let is_attached = (self.may_write(pid) && self.maps(pid)) || has_slot(key, slots);
                let was_young = uptime - (key.started as f64 / procfs::ticks_per_second() as f64) < YOUNG;
                self.seen.insert(pid, Seen { key, at: Instant::now(), is_attached, was_young });
            }
        }
    }

    /// Whether the user of the process can have the file open for writing.
    fn may_write(&self, pid: i32) -> bool {
        let Some(owner) = self.owner else { return true };
        std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|meta| meta.uid() == owner || meta.uid() == 0)
    }

    /// Whether the process has mapped the file for writing. Readers such as this command do not
    /// count.
    fn maps(&self, pid: i32) -> bool {
        // The maps of another user's process cannot be read.
        let Ok(maps) = std::fs::read(format!("/proc/{pid}/maps")) else { return false };
        !self.file.is_empty() && maps.split(|b| *b == b'\n').any(|line| self.is_in(line))
    }

    /// `7f00-7f01 rw-s 00000000 00:1a 1234    /dev/shm/...`
    fn is_in(&self, line: &[u8]) -> bool {
        let mut fields = line.splitn(5, |b| *b == b' ');
        let writes = fields.nth(1).is_some_and(|mode| mode.get(1) == Some(&b'w') && mode.get(3) == Some(&b's'));
        writes
            && fields.nth(1).zip(fields.next()).is_some_and(|(device, rest)| {
                let inode = rest.split(|b| *b == b' ').next().unwrap_or_default();
                [device, inode].join(&b' ') == self.file
            })
    }
}

/// The processes that have mapped a file for writing, with the names of their programs, as far as
/// this user can see them.
pub(crate) fn writers(path: &Path) -> Vec<(i32, String)> {
    let file = std::fs::metadata(path).as_ref().map(mapped_as).unwrap_or_default();
    let scanner = Scanner { file, ..Scanner::default() };
    let mut pids: Vec<i32> = pids().into_iter().filter(|pid| scanner.maps(*pid)).collect();
    pids.sort_unstable();
    let name = |pid| stat(pid).map_or_else(|| "?".to_owned(), |stat| stat.comm);
    pids.into_iter().map(|pid| (pid, name(pid))).collect()
}

fn pids() -> HashSet<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn key(pid: i32) -> Option<ProcessKey> {
    let stat = stat(pid)?;
    // A dead process that is not reaped does not count.
    (stat.state != 'Z' && stat.state != 'X').then_some(ProcessKey { started: stat.starttime, pid })
}

/// Whether a process whose maps cannot be read has a slot. In the same PID namespace, the slot has
/// the same number.
fn has_slot(key: ProcessKey, slots: &[ProcessInfo]) -> bool {
    slots.iter().any(|slot| slot.alive && slot.started == key.started && i64::from(slot.pid) == i64::from(key.pid))
}

/// A file's device and inode, as in `/proc/PID/maps`.
fn mapped_as(meta: &std::fs::Metadata) -> Vec<u8> {
    let device = meta.dev();
    // The packing of Linux.
    let major = (device >> 8 & 0xfff) | (device >> 32 & !0xfff);
    let minor = (device & 0xff) | (device >> 12 & !0xff);
    format!("{major:02x}:{minor:02x} {}", meta.ino()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::Scanner;

    #[test]
    fn lines_of_maps() {
        let scanner = Scanner { file: b"00:1a 1234".to_vec(), ..Scanner::default() };
        let line = |mode: &str, rest: &str| scanner.is_in(format!("7f00-7f01 {mode} 00001000 {rest}").as_bytes());
        assert!(line("rw-s", "00:1a 1234        /dev/shm/shmetrics-a b"));
        assert!(line("rw-s", "00:1a 1234"));
        assert!(!line("r--s", "00:1a 1234  /dev/shm/shmetrics-a"), "who only reads");
        assert!(!line("rw-p", "00:1a 1234  /x") && !line("rw-s", "00:1a 12345  /x") && !line("rw-s", "00:1b 1234  /x"));
        assert!(!scanner.is_in(b"") && !scanner.is_in(b"7f00-7f01 rw-s"));
    }

    #[test]
    fn any_line_of_maps_is_read() {
        let scanner = Scanner { file: b"00:1a 1234".to_vec(), ..Scanner::default() };
        let line = b"7f00-7f01 rw-s 00001000 00:1a 1234        /dev/shm/shmetrics-a";
        let mut found = 0;
        crate::common::variants::each(&[line, b"7f00-7f01 r--p 00000000 00:00 0"], 5000, |line| {
            if scanner.is_in(line) {
                found += 1;
                assert!(line.windows(10).any(|part| part == b"00:1a 1234"), "{line:?}");
            }
        });
        assert!(found > 500, "{found} lines of the file");
    }
}
