//! A summary of a segment: its owner, the processes that have it open, and its last update.

use std::time::Duration;

use shmetrics::{Inspection, LastUpdate, Owner, Reader};

use crate::common::format::{age, count, unix};
use crate::common::json::{Json, Object};
use crate::common::owners::name_in;

/// The time between two reads of the values, if one read does not tell when they changed.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// When each segment was last updated. Reads twice if one read does not tell.
pub(crate) fn last_updates(readers: &[&Reader]) -> Vec<Option<LastUpdate>> {
    let mut updates: Vec<_> = readers.iter().map(|reader| reader.last_update()).collect();
    let is_open = |update: &Option<LastUpdate>| update.is_some_and(|update| !update.is_last);
    if updates.iter().any(is_open) {
        std::thread::sleep(BETWEEN_LOOKS);
        for (update, reader) in updates.iter_mut().zip(readers) {
            if is_open(update) {
                *update = reader.last_update();
            }
        }
    }
    updates
}

/// `12 s ago`. Or `in the last 3 h 5 min`, if there was an update at that time and there may have
/// been later ones.
pub(crate) fn updated(update: Option<LastUpdate>) -> String {
    match update {
        None => "-".to_owned(),
        Some(update) if update.is_last => format!("{} ago", age(update.at)),
        Some(update) => format!("in the last {}", age(update.at)),
    }
}

/// The number of processes that have the segment open. `1+`: the system does not tell the number.
pub(crate) fn attached(i: &Inspection) -> String {
    match (i.attached, i.in_use) {
        (Some(n), _) => count(n.into()),
        (None, Some(true)) => "1+".to_owned(),
        (None, _) => "?".to_owned(),
    }
}

/// `shop:www-data`. A user or group without a name is a number.
pub(crate) fn owner(owner: Owner) -> String {
    format!("{}:{}", name_in("/etc/passwd", owner.user), name_in("/etc/group", owner.group))
}

/// The fields that `list --json` and `inspect --json` share.
pub(crate) fn json(i: &Inspection, update: Option<LastUpdate>) -> Object {
    let owner = i.owner.map(|owner| {
        let object = Object::default().field("user", owner.user).field("group", owner.group);
        object.field("mode", format!("{:04o}", owner.mode)).field("name", self::owner(owner))
    });
    Object::default()
        .field("name", &i.name)
        .field("path", i.path.as_ref().map(|path| path.to_string_lossy().into_owned()))
        .field("owner", owner.map(Json::from))
        .field("in_use", i.in_use)
        .field("processes_attached", i.attached)
        .field("processes_alive", alive(i))
        .field("created", unix(i.created))
        .field("last_update", update.map(|update| unix(update.at)))
        .field("last_update_is_last", update.map(|update| update.is_last))
        .field("max_size_bytes", i.max_size)
        .field("used_bytes", i.used)
        .field("resident_bytes", i.resident)
        .field("series", series(i))
}

/// The number of series of all families.
pub(crate) fn series(inspection: &Inspection) -> u64 {
    inspection.families.iter().map(|family| family.series).sum()
}

/// The number of live processes that have per-process gauges.
fn alive(inspection: &Inspection) -> u64 {
    inspection.processes.iter().filter(|process| process.alive).count() as u64
}
