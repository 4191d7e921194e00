//! Names of segments that stand for a directory of Python's multiprocess mode:
//! `multiproc:PATH:NUMBER`, and `run:PATH:NUMBER` of `shmetrics-run`. The number changes when the
//! directory is wiped. The part before it, the *stem*, stays: it is what the label `segment` says,
//! and a name to serve by.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use shmetrics::{Reader, Segment};

use crate::common::owners::Owners;

/// Whether a segment of this name belongs to a directory.
fn is_of_directory(name: &str) -> bool {
    name.starts_with("multiproc:") || name.starts_with("run:")
}

/// The stem of a name, and the user of an additional segment of the directory. `None`: the name has
/// no stem, or is a stem itself.
fn split(name: &str) -> Option<(&str, &str)> {
    let (stem, rest) = name.rsplit_once(':').filter(|_| is_of_directory(name))?;
    let mut parts = rest.splitn(3, '.');
    let is_hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let number = parts.next().filter(|number| number.len() == 16 && is_hex(number));
    let (_, view, user) = (number?, parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    is_hex(view).then_some((stem, user))
}

/// The value of the label `segment`, if no other segment has the same value.
fn label(name: &str) -> Option<String> {
    split(name).map(|(stem, user)| if user.is_empty() { stem.to_owned() } else { format!("{stem}:{user}") })
}

/// Whether a name is a stem. A stem stands for one of the segments that have the stem.
pub(crate) fn is_one(name: &str) -> bool {
    is_of_directory(name) && !name.contains('/') && split(name).is_none()
}

/// The order of segments with one stem. A segment in use precedes all others, and the oldest
/// segment in use is the first. Of unused segments, the newest is the first.
type Rank = (bool, Option<SystemTime>, Option<Reverse<SystemTime>>);

fn rank(is_in_use: bool, path: Option<&Path>) -> Rank {
    let meta = path.and_then(|path| path.symlink_metadata().ok());
    // The owner can set the time of the last change, but not the time of creation.
    let made = meta.and_then(|meta| meta.created().or_else(|_| meta.modified()).ok());
    if is_in_use {
        (true, None, made.map(Reverse))
    } else {
        (false, made, None)
    }
}

/// The segment that a stem stands for now. Any user can give a file such a name, so the segments of
/// trusted users precede.
pub(crate) fn current(stem: &str, owners: &Owners) -> Option<String> {
    let listed = shmetrics::list().ok()?.into_iter();
    let has_stem = |name: &str| split(name) == Some((stem, ""));
    let ranked = listed.filter(|l| has_stem(&l.name)).map(|l| {
        let is_in_use = Segment::is_in_use(&l.name).unwrap_or(false);
        let trust = owners.rank_of(&l.path).and_then(Result::ok).unwrap_or(usize::MAX);
        ((Reverse(trust), rank(is_in_use, Some(&l.path))), l.name)
    });
    ranked.max_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, name)| name)
}

/// Replaces the names of directories' segments by their stems. If several segments have one stem,
/// the current segment gets the stem, and the others keep their names.
pub(crate) fn relabel(readers: &mut [(Arc<Reader>, String)], missing: &mut Vec<(String, String)>) {
    let mut best = BTreeMap::<String, (Rank, usize)>::new();
    for (i, (reader, name)) in readers.iter().enumerate() {
        let Some(label) = label(name).or_else(|| is_one(name).then(|| name.clone())) else { continue };
        let rank = rank(reader.is_in_use() == Some(true), reader.path());
        let known = best.entry(label).or_insert((rank, i));
        if known.0 < rank {
            *known = (rank, i);
        }
    }
    // A segment that was replaced is not missing.
    missing.retain(|(name, _)| label(name).is_none_or(|label| !best.contains_key(&label)));
    for (label, (_, i)) in best {
        readers[i].1 = label;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_directories_are_taken_apart() {
        let name = "multiproc::tmp:metrics:0123456789abcdef.0f";
        assert_eq!(label(name).as_deref(), Some("multiproc::tmp:metrics"));
        assert_eq!(label(&format!("{name}.u33")).as_deref(), Some("multiproc::tmp:metrics:u33"));
        assert_eq!(label("run::srv:app:0123456789abcdef").as_deref(), Some("run::srv:app"));
        assert!(is_one("multiproc::tmp:metrics") && is_one("run::srv:app") && !is_one(name));
        for other in
            ["shop", "multiproc:0123", "shop:0123456789abcdef", "multiproc::tmp:0123456789abcdeg", "/dev/shm/x"]
        {
            assert_eq!(label(other), None, "{other}");
        }
        assert!(!is_one("shop") && !is_one("/run:x/y"));
    }
}
