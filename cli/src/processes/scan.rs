//! Which processes have a segment mapped for counting, from `/proc`.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use procfs::process::Process;
use shmetrics::{ProcessInfo, Reader};

/// A process, for good: pids are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    /// In ticks since boot.
    pub(super) started: u64,
    pub(super) pid: i32,
}

/// An answer is good for so long: a process that is not attached may attach, and one that is may execute something else.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// A young process is looked at each time until it is so old: workers attach soon after they begin.
const YOUNG: Duration = Duration::from_secs(10);

/// What was found before. Looking at all processes each time would take longer than the page.
#[derive(Default)]
pub(super) struct Looks {
    seen: HashMap<i32, Look>,
    /// As `/proc/PID/maps` has it.
    file: Vec<u8>,
}

struct Look {
    key: Key,
    first: Instant,
    at: Instant,
    is_attached: bool,
}

impl Looks {
    /// The processes that are attached to the reader's segment now.
    pub(super) fn attached(&mut self, reader: &Reader, slots: &[ProcessInfo]) -> HashSet<Key> {
        let file = reader.path().and_then(mapped_as).unwrap_or_default();
        if file != self.file {
            // Another segment of that name.
            self.seen.clear();
            self.file = file;
        }
        let now = Instant::now();
        let mut attached = HashSet::new();
        let pids = pids();
        self.seen.retain(|pid, _| pids.contains(pid));
        for pid in pids {
            let known = self.seen.get(&pid).filter(|look| {
                let is_young = now.duration_since(look.first) < YOUNG && !look.is_attached;
                now.duration_since(look.at) < LOOK_AGAIN && !is_young
            });
            // Of one that is attached the beginning is compared each time, so that a pid that is used again is noticed.
            match known {
                Some(look) if !look.is_attached => continue,
                Some(look) if key(pid) == Some(look.key) => {
                    attached.insert(look.key);
                    continue;
                }
                _ => {}
            }
            let Some(key) = key(pid) else { continue };
            let is_attached = self.maps(pid) || has_slot(key, slots);
            let first = self.seen.get(&pid).filter(|look| look.key == key).map_or(now, |look| look.first);
            self.seen.insert(pid, Look { key, first, at: now, is_attached });
            if is_attached {
                attached.insert(key);
            }
        }
        attached
    }

    /// Whether the process has the file mapped, and writable: readers such as this one do not count.
    fn maps(&self, pid: i32) -> bool {
        // Of other users' processes it cannot be read.
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

fn pids() -> HashSet<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn key(pid: i32) -> Option<Key> {
    let stat = Process::new(pid).ok()?.stat().ok()?;
    // What is dead and not reaped counts no more.
    (stat.state != 'Z' && stat.state != 'X').then_some(Key { started: stat.starttime, pid })
}

/// One that cannot be looked into, as another user's, may still have a slot; in the same PID namespace it has the same number.
fn has_slot(key: Key, slots: &[ProcessInfo]) -> bool {
    slots.iter().any(|slot| slot.alive && slot.started == key.started && i64::from(slot.pid) == i64::from(key.pid))
}

/// A file's device and inode, as in `/proc/PID/maps`.
fn mapped_as(path: &Path) -> Option<Vec<u8>> {
    let meta = std::fs::metadata(path).ok()?;
    let device = meta.dev();
    // How Linux packs them.
    let major = (device >> 8 & 0xfff) | (device >> 32 & !0xfff);
    let minor = (device & 0xff) | (device >> 12 & !0xff);
    Some(format!("{major:02x}:{minor:02x} {}", meta.ino()).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::Looks;

    #[test]
    fn lines_of_maps() {
        let looks = Looks { file: b"00:1a 1234".to_vec(), ..Looks::default() };
        let line = |mode: &str, rest: &str| looks.is_in(format!("7f00-7f01 {mode} 00001000 {rest}").as_bytes());
        assert!(line("rw-s", "00:1a 1234        /dev/shm/shmetrics-a b"));
        assert!(line("rw-s", "00:1a 1234"));
        assert!(!line("r--s", "00:1a 1234  /dev/shm/shmetrics-a"), "who only reads");
        assert!(!line("rw-p", "00:1a 1234  /x") && !line("rw-s", "00:1a 12345  /x") && !line("rw-s", "00:1b 1234  /x"));
        assert!(!looks.is_in(b"") && !looks.is_in(b"7f00-7f01 rw-s"));
    }
}
