//! A segment that is as new again after each input. A writer's mapping stays for the life of the
//! process, so there cannot be a new segment for each.

use shmetrics::{GaugeMode, Options};

use crate::file::{path, Mapped};
use common::victim::{word, Map};

pub(crate) struct Slate {
    /// The segment's name: a path.
    pub(crate) name: String,
    /// The most series it takes, 0 for no limit.
    pub(crate) limit: u64,
    file: Mapped,
    /// Header and slots as they were before anything was registered, but for this process' slot.
    new: Vec<u8>,
    map: Map,
}

impl Slate {
    pub(crate) fn new(what: &str, max_size: usize, limit: u64) -> Self {
        let name = path(what);
        let options = Options::new().name(&*name).max_size(max_size as u64).max_processes(64).max_series(limit);
        let segment = options.open().expect("a new segment");
        let map = Map::new();
        let mut file = Mapped::new(name.clone(), max_size);
        let fixed = word(file.bytes(), map.at("header", "INDEX_AT"), 8);
        let mut new = file.bytes()[..fixed].to_vec();
        // A process takes its slot once, so it has to be there from the start.
        segment.gauge("first", "", GaugeMode::LiveSum).register().expect("there is room").inc();
        let slots = word(&new, map.at("header", "SLOTS_AT"), 8);
        let high = map.at("header", "SLOTS_HIGH");
        for range in [slots..fixed, high..high + 4] {
            new[range.clone()].copy_from_slice(&file.bytes()[range]);
        }
        let mut slate = Slate { name, limit, file, new, map };
        slate.wipe();
        slate
    }

    /// Makes it new again. Handles into it are void.
    pub(crate) fn wipe(&mut self) {
        let at = |field: &str| self.map.at("header", field);
        let bytes = self.file.bytes();
        let index = 8 << word(bytes, at("INDEX_TARGET"), 4);
        let (index_at, arena_at) = (self.new.len(), word(bytes, at("ARENA_AT"), 8));
        let tail = word(bytes, at("ARENA_TAIL"), 8);
        bytes[index_at..index_at + index].fill(0);
        bytes[arena_at..tail].fill(0);
        bytes[..self.new.len()].copy_from_slice(&self.new);
    }
}
