//! What is wrong with a segment: every invariant of `docs/format.md` that a look at the bytes can
//! tell.
//!
//! A segment in use is never at rest. What is found is looked for again, and told only if it stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Acquire;
use std::time::Duration;

use super::page::allowance::Allowance;
use super::self_metrics;
use crate::kind::Kind;
use crate::metric::{each_block, per_cpu_is_sound, Block};
use crate::process::Slots;
use crate::record::bundle::is_seat_open;
use crate::record::family as record;
use crate::record::family::{Record, Texts};
use crate::record::gauge_mode::GaugeMode;
use crate::shm::index::{tag_of, Index};
use crate::shm::layout::offset;
use crate::shm::layout::PerCpu;
use crate::shm::layout::{
    entry, family, gauge, header, histogram, process_cell as cell, Regions, CELLS_PER_BLOCK, CELL_BLOCK,
    CELL_BLOCK_HEAD, FLAG_ESCAPED, FREE_LINK, GRANULE, MAX_PROCESSES,
};
use crate::shm::list::Walk;
use crate::shm::memory::{Mapped, Memory};
use crate::shm::percpu;
use crate::shm::state;
use crate::shm::state::State;
use crate::text::label_set;

/// Looks until the findings of two looks agree, or this often.
const LOOKS: u32 = 4;
/// Findings of one kind are enough; a damaged segment may have any number.
const MOST: usize = 100;

/// The findings that stay.
pub(super) fn verify(memory: &Mapped, regions: &Regions) -> Vec<String> {
    let mut stayed = look(memory, regions);
    for _ in 1..LOOKS {
        if stayed.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
        let again: BTreeSet<String> = look(memory, regions).into_iter().collect();
        stayed.retain(|finding| again.contains(finding));
    }
    stayed
}

fn look(memory: &Mapped, regions: &Regions) -> Vec<String> {
    let mut look = Verifier {
        memory,
        index: Index::of(memory, regions),
        budget: memory.len() / GRANULE,
        allowance: Allowance::default(),
        findings: Vec::new(),
    };
    look.header();
    look.families();
    look.findings
}

struct Verifier<'a> {
    memory: &'a Mapped,
    index: Index<'a, Mapped>,
    /// Records left to look at.
    budget: u64,
    /// Bytes of them.
    allowance: Allowance,
    findings: Vec<String>,
}

impl Verifier<'_> {
    fn tell(&mut self, finding: String) {
        if self.findings.len() < MOST {
            self.findings.push(finding);
        }
    }

    fn expect(&mut self, holds: bool, finding: impl FnOnce() -> String) {
        if !holds {
            self.tell(finding());
        }
    }

    fn header(&mut self) {
        let m = self.memory;
        let word = |at| m.get64(at);
        let (arena, tail, watermark) = (word(header::ARENA_AT), word(header::ARENA_TAIL), word(header::WATERMARK));
        let end = word(header::ARENA_END);
        self.expect(tail >= arena && tail <= watermark && watermark <= end && end <= m.len(), || {
            format!("header: the records end at {tail}, their memory at {watermark}, in an arena from {arena} to {end}")
        });
        let per_cpu = [header::PER_CPU_KIND, header::CPUS, header::PER_CPU_STRIDE].map(|field| m.get32(field));
        let known = percpu::PerCpuKind::of(m) != percpu::PerCpuKind::None || per_cpu[0] == 0;
        self.expect(known && (per_cpu[0] == 0 || PerCpu::of(m) != PerCpu::NONE), || {
            format!(
                "header: per-CPU cells of the kind {}, for {} CPUs, {} bytes apart",
                per_cpu[0], per_cpu[1], per_cpu[2]
            )
        });
        let (taken, most) = (word(header::PER_CPU_BYTES), word(header::PER_CPU_MAX));
        self.expect(taken <= most.max(tail.saturating_sub(arena)), || {
            format!("header: per-CPU cells of {taken} bytes, of at most {most}")
        });
        let (bits, target) = (m.get32(header::INDEX_BITS), m.get32(header::INDEX_TARGET));
        let most = m.get32(header::INDEX_MAX_BITS);
        self.expect(bits <= most && (target == bits || target == bits + 1), || {
            format!("header: an index of 2^{bits} words, on its way to 2^{target}, of at most 2^{most}")
        });
        let (high, slots) = (m.get32(header::SLOTS_HIGH), m.get32(header::SLOTS_COUNT));
        self.expect(high <= slots, || format!("header: {high} process slots were used, of {slots}"));
        self.expect(Slots::in_memory(m).high() == high.min(slots), || "header: the process slots lie elsewhere".into());
        self.expect(self_metrics::leaked(m) <= tail.saturating_sub(arena), || {
            format!("header: {} bytes of records in use, of {}", word(header::ARENA_REACHABLE), tail - arena)
        });
    }

    /// Whether a link leads to memory that a record of at least this size can be in.
    fn leads_to_record(&self, link: u32, size: u64) -> bool {
        let at = offset(link);
        at >= self.memory.get64(header::ARENA_AT)
            && at.checked_add(size).is_some_and(|end| end <= self.memory.get64(header::ARENA_TAIL))
    }

    fn families(&mut self) {
        let m = self.memory;
        let stray = |link| format!("the families: a link that leads to {}, which is no next family", offset(link));
        let (mut walk, mut names, mut last) = (record::walk(m), BTreeSet::new(), 0);
        while let Some(link) = self.step(&mut walk) {
            if !self.leads_to_record(link, family::SIZE) {
                return self.tell(stray(link));
            }
            last = link;
            let record = Record::at_link(m, link);
            if record.is_retired() {
                self.retired(&record, link);
                continue;
            }
            if !record.texts_len().is_none_or(|len| self.allowance.charge(m, len)) {
                return self.overlap();
            }
            if let Some(texts) = record.texts() {
                let what = format!("family {}", texts.name);
                self.expect(names.insert(texts.name.clone()), || format!("{what}: it is there twice"));
                self.family(&record, link, &texts, &what);
            } else {
                let kind = m.get8(record.at + entry::KIND);
                self.tell(format!("family at {}: its kind is {kind}, or its texts cannot be read", offset(link)));
            }
        }
        if let Some(link) = walk.closing() {
            return self.tell(stray(link));
        }
        let tail = m.load32(header::FAMILY_TAIL, Acquire);
        self.expect(tail == last, || format!("the families: they end at {}, not at {}", offset(last), offset(tail)));
    }

    /// A family that was replaced or unregistered has nothing that lives.
    fn retired(&mut self, record: &Record<'_>, link: u32) {
        let m = self.memory;
        if record.state().state() != state::DRAINED {
            return self.tell(format!("the family at {}: it is retired, and not drained", record.at));
        }
        let embedded = state::state(m, (record.overflow_at() / GRANULE) as u32);
        self.expect(!embedded.has_series(), || format!("the family at {}: its embedded series lives on", record.at));
        let mut walk = record.walk();
        while let Some(series) = self.step(&mut walk) {
            let lives = state::state(m, series).has_series() && m.get32(offset(series) + entry::PARENT) == link;
            self.expect(!lives, || format!("the family at {}: the series at {} lives on", record.at, offset(series)));
        }
    }

    /// What was read is more than there is.
    fn overlap(&mut self) {
        self.tell("records: they overlap, and hold more together than their memory".to_owned());
        self.budget = 0;
    }

    /// A step along a chain, as long as there are records left to look at.
    fn step(&mut self, walk: &mut Walk) -> Option<u32> {
        if self.spend() {
            walk.step(self.memory)
        } else {
            None
        }
    }

    fn spend(&mut self) -> bool {
        self.budget = self.budget.saturating_sub(1);
        self.budget > 0
    }

    fn family(&mut self, record: &Record<'_>, link: u32, texts: &Texts, what: &str) {
        let m = self.memory;
        let kind = record.kind();
        let mode = m.get8(record.at + family::MODE);
        self.expect(GaugeMode::checked(u32::from(mode)).is_some(), || format!("{what}: the mode {mode} of a {kind}"));
        let home = record.home();
        self.expect(self.leads_to_record(home.link(), home.record_len()), || {
            format!("{what}: a record of {} bytes passes the end", home.record_len())
        });
        let rising = |record: &Record<'_>| (1..record.bucket_count()).all(|i| record.bound(i - 1) < record.bound(i));
        self.expect(rising(record), || format!("{what}: its buckets do not rise"));
        let Some((text_at, seat)) = record.planned().filter(|_| record.is_family()) else {
            return self.tell(format!("{what}: its bundle has no such member"));
        };
        self.expect(record.text_at() == text_at && record.seat() == seat, || {
            let (text, its) = (record.text_at(), record.seat());
            format!("{what}: label texts at {text}, not {text_at}, from a seat at {its}, not {seat}")
        });
        let hash = label_set::family_hash(m.get64(header::SEED), texts.name.as_bytes());
        let tag = m.get32(record.at + entry::TAG);
        self.expect(record.hash() == hash && tag == tag_of(hash), || {
            format!("{what}: its hash is not that of its name")
        });
        self.findable(hash, link, what);
        let embedded = record.overflow_at();
        self.expect(embedded > record.at && embedded + seat + text_at <= home.at + home.record_len(), || {
            format!("{what}: its embedded series is not in its record")
        });
        if record.text_at() == text_at && record.seat() == seat {
            self.all_series(record, home.link(), texts, what);
        }
    }

    fn findable(&mut self, hash: u64, link: u32, what: &str) {
        let found = self.index.find_surely(hash, |found| found == link);
        self.expect(found.is_some(), || format!("{what}: the index does not lead to it"));
    }

    fn all_series(&mut self, record: &Record<'_>, parent: u32, texts: &Texts, what: &str) {
        let m = self.memory;
        let stray = |link| format!("{what}: a link that leads to {}, which is no next series", offset(link));
        let (mut walk, mut last) = (record.walk(), 0);
        let (mut keys, mut free) = (BTreeMap::new(), BTreeSet::new());
        while let Some(link) = self.step(&mut walk) {
            if !self.leads_to_record(link, record.seat() + record.text_at()) {
                return self.tell(stray(link));
            }
            last = link;
            let at = offset(link);
            let (its, kind) = (m.get32(at + entry::PARENT), m.get8(at + entry::KIND));
            let state = state::state(m, link);
            // In its store there may be records of another family, which are free, as a rule.
            let is_its = its == parent && kind == record.home().kind() as u8;
            let foreign = its != parent && Record::new(m, offset(its)).store_at() == record.store_at();
            self.expect(is_its || foreign, || {
                format!("{what}: the series at {at} is of the kind {kind}, of the family at {}", offset(its))
            });
            match state.state() {
                state::LIVE | state::EXPIRED if foreign => {}
                state::LIVE | state::EXPIRED => {
                    if let Some(key) = self.series(record, link, state, texts, what) {
                        if let Some(other) = keys.insert(key.clone(), at) {
                            self.tell(format!("{what}: {{{key}}} is there twice, at {other} and {at}"));
                        }
                    }
                }
                state::FREE => {
                    free.insert(link);
                }
                state::CLAIMED | state::NEW => {}
                other => self.tell(format!("{what}: the series at {at} is in the state {other}")),
            }
        }
        if let Some(link) = walk.closing() {
            return self.tell(stray(link));
        }
        let tail = m.load32(record.list().tail, Acquire);
        self.expect(tail == last, || format!("{what}: its series end at {}, not at {}", offset(last), offset(tail)));
        self.free_lists(record, &free, what);
    }

    /// Checks a series and returns its label text.
    fn series(&mut self, record: &Record<'_>, link: u32, state: State, texts: &Texts, what: &str) -> Option<String> {
        let (m, whole) = (self.memory, offset(link));
        let at = whole + record.seat();
        let mut text = Vec::new();
        let len = u64::from(m.get16(whole + entry::TEXT_LEN));
        let (bytes, pays_text) = record.read_for();
        if !self.allowance.charge(m, bytes + if pays_text { len } else { 0 }) {
            self.overlap();
            return None;
        }
        m.copy_to(at + record.text_at(), len, &mut text);
        let escaped = m.get8(whole + entry::FLAGS) & FLAG_ESCAPED != 0;
        let values = label_set::values(&text, escaped, &texts.labels);
        let text = String::from_utf8_lossy(&text).into_owned();
        let Some(values) = values else {
            self.tell(format!("{what}: {{{text}}} at {at} is not a text of its labels"));
            return None;
        };
        let hash = label_set::hash(record.home().hash(), values.len(), |i| values[i].as_bytes());
        self.expect(tag_of(hash) == m.get32(whole + entry::TAG), || {
            format!("{what}: the hash of {{{text}}} is another")
        });
        self.findable(hash, link, &format!("{what}: {{{text}}}"));
        self.expect(is_seat_open(m, whole, record.seat()), || {
            format!("{what}: the seat of {{{text}}} at {at} is not of its record's generation")
        });
        let tags: Vec<u64> = match record.pairs() {
            0 => vec![at + gauge::TAG],
            pairs => (0..pairs).map(|i| at + histogram::SIZE + 16 * i).collect(),
        };
        let (cells, bytes) =
            (m.get32(at + entry::PER_CPU), record.pairs().max(1) * if record.pairs() > 0 { 16 } else { 8 });
        self.expect(cells == 0 || percpu::is_sound(m, cells, bytes), || {
            format!("{what}: the per-CPU cells of {{{text}}} are number {cells}")
        });
        let current = tags.into_iter().all(|tag| !state.generation().is_over(m.get64(tag)));
        self.expect(current, || format!("{what}: the cells of {{{text}}} are of another generation"));
        if let Some(scheme) = record.scheme() {
            let (mut damaged, mut wrong_per_cpu) = (None, false);
            let allowance = &self.allowance;
            each_block(
                m,
                at,
                record.pairs(),
                scheme,
                |bytes| allowance.charge(m, bytes),
                |block| match block {
                    Block::Damaged(at) => damaged = Some(at),
                    Block::Chunk { at, .. } => wrong_per_cpu |= !per_cpu_is_sound(m, at),
                },
            );
            self.expect(!wrong_per_cpu, || format!("{what}: the per-CPU cells of {{{text}}} are nowhere"));
            if let Some(leads) = damaged {
                self.tell(format!("{what}: {{{text}}} has a link that leads to {leads}, which is none of its buckets"));
            }
        }
        if record.is_kind(Kind::Gauge) && record.mode().has_cells() {
            self.blocks(at, &format!("{what}: {{{text}}}"));
        }
        Some(text)
    }

    fn blocks(&mut self, at: u64, what: &str) {
        let mut word = at + gauge::VALUE;
        for _ in 0..=u64::from(MAX_PROCESSES) / CELLS_PER_BLOCK {
            let link = self.memory.load32(word, Acquire);
            if link == 0 {
                return;
            }
            if !self.leads_to_record(link, CELL_BLOCK) || !self.allowance.charge(self.memory, CELL_BLOCK) {
                return self.tell(format!("{what}: cells at {}", offset(link)));
            }
            word = offset(link);
            for i in 0..CELLS_PER_BLOCK {
                let owner = self.memory.get64(word + CELL_BLOCK_HEAD + i * cell::SIZE + cell::OWNER);
                self.expect(owner == 0 || owner & 3 != 0, || format!("{what}: a cell has an owner in no state"));
            }
        }
        self.tell(format!("{what}: its cells go on for ever"));
    }

    fn free_lists(&mut self, record: &Record<'_>, free: &BTreeSet<u32>, what: &str) {
        let mut listed = BTreeSet::new();
        for at in (family::FREE_LISTS..family::ZERO_THRESHOLD).step_by(8) {
            let mut link = self.memory.load64(record.store_at() + at, Acquire) as u32;
            while link != 0 && self.spend() {
                if !listed.insert(link) {
                    return self.tell(format!("{what}: the record at {} is on its free lists twice", offset(link)));
                }
                if !free.contains(&link) {
                    self.tell(format!("{what}: the record at {} is on a free list and is not free", offset(link)));
                    break;
                }
                link = self.memory.load32(offset(link) + FREE_LINK, Acquire);
            }
        }
    }
}
