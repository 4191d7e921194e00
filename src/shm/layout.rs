//! Every byte of a segment that has a fixed place, named once. `docs/format.md` is the same map for
//! people; a test holds the two together.
//!
//! Offsets are bytes from the start of the segment ([`header`]) or of a record. A *link* is a
//! 32-bit record address in granules of 16 bytes, 0 for none, so a segment reaches 64 GiB.

/// Layout version of this library: it reads every segment of its major.
pub(crate) const MAJOR: u16 = 1;
pub(crate) const MINOR: u16 = 0;

pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"SHMETRIC");
pub(crate) const ENDIAN: u32 = 0x0102_0304;
/// Folded over the label values (see `registry::hash`).
pub(crate) const HASH_FOLDED: u32 = 1;

pub(crate) const PAGE: u64 = 4096;
pub(crate) const GRANULE: u64 = 16;
/// Index words of a new segment: 4,096 words are one series each at most.
pub(crate) const INDEX_MIN_BITS: u32 = 12;
/// The first arena extent, and the least a segment grows by.
pub(crate) const EXTENT: u64 = 192 * 1024;
/// A new segment has at least so many bytes for records.
const LEAST_ARENA: u64 = 64 * 1024;
pub(crate) const LEAST_MAX_SIZE: u64 = 512 * 1024;
/// Links are of 32 bits: the last granule of 64 GiB is the greatest.
pub(crate) const GREATEST_MAX_SIZE: u64 = (1 << 32) * GRANULE;
pub(crate) const MAX_PROCESSES: u32 = 32_768;

macro_rules! offsets {
    ($(#[$doc:meta])* $module:ident, size $size:expr; $($(#[$fdoc:meta])* $name:ident: $at:expr, $bytes:expr;)*) => {
        $(#[$doc])*
        #[allow(dead_code)] // some fields are reserved for what is to come
        pub(crate) mod $module {
            /// Size of the fixed part in bytes.
            pub(crate) const SIZE: u64 = $size;
            $($(#[$fdoc])* pub(crate) const $name: u64 = $at;)*
            /// (name, offset, bytes), in order, for the test that compares with `docs/format.md`.
            pub(crate) const FIELDS: &[(&str, u64, u64)] = &[$((stringify!($name), $at, $bytes)),*];
            const _: () = {
                let mut i = 0;
                let mut end = 0;
                while i < FIELDS.len() {
                    assert!(FIELDS[i].1 >= end, "fields overlap");
                    assert!(FIELDS[i].1 % (if FIELDS[i].2 > 8 { 8 } else { FIELDS[i].2 }) == 0, "a field is not aligned");
                    end = FIELDS[i].1 + FIELDS[i].2;
                    i += 1;
                }
                assert!(end <= SIZE, "fields pass the end");
            };
        }
    };
}

offsets! {
    /// The first page. Fields up to `MAX_SERIES` never change after creation.
    header, size 4096;
    MAGIC_AT: 0, 8;
    MAJOR_AT: 8, 2;
    MINOR_AT: 10, 2;
    ENDIAN_AT: 12, 4;
    TOTAL_SIZE: 16, 8;
    HASH_ID: 24, 4;
    HEADER_SIZE: 28, 4;
    SEED: 32, 8;
    CREATED_NS: 40, 8;
    BOOT_ID: 48, 16;
    PID_NAMESPACE: 64, 8;
    FLAGS: 72, 8;
    SLOTS_AT: 80, 8;
    SLOTS_COUNT: 88, 4;
    SLOT_SIZE: 92, 4;
    INDEX_AT: 96, 8;
    INDEX_MAX_BITS: 104, 4;
    ARENA_AT: 112, 8;
    ARENA_END: 120, 8;
    PER_CPU_MAX: 128, 8;
    PER_CPU_STRIDE: 136, 4;
    CPUS: 140, 4;
    PER_CPU_KIND: 144, 4;
    MAX_SERIES: 152, 8;
    WATERMARK: 256, 8;
    INDEX_BITS: 264, 4;
    INDEX_TARGET: 268, 4;
    INDEX_CURSOR: 272, 8;
    FAMILY_HEAD: 280, 4;
    FAMILY_TAIL: 284, 4;
    FAMILY_PENDING: 288, 8;
    PER_CPU_TAIL: 296, 8;
    PER_CPU_BYTES: 304, 8;
    ARENA_TAIL: 320, 8;
    ARENA_REACHABLE: 328, 8;
    SERIES: 336, 8;
    INDEX_ENTRIES: 344, 8;
    OVERFLOW_LOOKUPS: 384, 8;
    FAILED_REGISTRATIONS: 392, 8;
    REJECTED_UPDATES: 400, 8;
    SLOTS_HIGH: 408, 4;
    EXPIRING: 412, 4;
    STALE_UPDATES: 416, 8;
    REMOVED_SERIES: 424, 8;
    TOLD: 432, 4;
    NO_SLOT: 440, 8;
    NO_PROOF: 448, 8;
    REFUSED_OBSERVATIONS: 504, 8;
    INDEX_MAX_PROBE: 512, 164;
    LABELS_LEN: 680, 4;
    LABELS: 688, 2048;
    CLOCK_BOOT: 2800, 8;
    CLOCK_BASE: 2808, 8;
    CLOCK_SEEN: 2816, 8;
    LOOKED_AT: 2832, 8;
    LOOK_TIME: 2840, 8;
    LOOKS_EVERY: 2848, 8;
    CELL_SERIES: 2864, 8;
    CELL_BLOCKS: 2872, 8;
    ROOMLESS_UPDATES: 2880, 8;
    RETIRING: 2960, 4;
    ATTENDANCE: 3024, 16;
    UPDATED_MS: 3040, 8;
    LOOK_DIGEST: 3048, 8;
    SHORT_BOUNDS: 3088, 4;
}

offsets! {
    /// A process slot. `WORD` and `PROOF` change together, by one 16-byte compare-and-swap. The
    /// lock bytes of a slot, in the file's lock space, are the offsets of its own bytes: the first
    /// for the process that claims or holds it, and one for each generation modulo 63.
    slot, size 64;
    WORD: 0, 8;
    PROOF: 8, 8;
    PID_NAMESPACE: 16, 8;
    ATTACHED_NS: 24, 8;
    IDENTITY: 32, 4;
    DESCRIBED: 36, 4;
    START_TIME: 40, 8;
}

offsets! {
    /// What families and series have in common: an entry of a chain. From 32 to 48 each kind has
    /// something of its own.
    entry, size 52;
    NEXT: 0, 4;
    PARENT: 4, 4;
    TAG: 8, 4;
    CREATED: 12, 4;
    STATE: 16, 4;
    PER_CPU: 20, 4;
    EXTENSION: 24, 4;
    BIRTH: 28, 4;
    TEXT_LEN: 48, 2;
    KIND: 50, 1;
    FLAGS: 51, 1;
}

offsets! {
    /// A family's record: an entry, with this in and after it, then its blob (see
    /// `registry::family`).
    family, size 304;
    HEAD: 32, 4;
    TAIL: 36, 4;
    PENDING: 40, 8;
    OVERFLOW: 56, 4;
    TEXT_AT: 60, 4;
    MAX_SERIES: 64, 8;
    OVERFLOW_LOOKUPS: 72, 8;
    MODE: 80, 1;
    LABEL_COUNT: 81, 1;
    BUCKET_COUNT: 82, 2;
    NAME_LEN: 84, 2;
    UNIT_LEN: 86, 2;
    HELP_LEN: 88, 4;
    RECORD_LEN: 92, 4;
    SERIES: 96, 8;
    EXPIRE: 104, 4;
    SEAT: 108, 4;
    FREE_LISTS: 112, 128;
    ZERO_THRESHOLD: 240, 8;
    EXEMPLAR_MS: 248, 4;
    MAX_BUCKETS: 252, 4;
    SCHEMA: 256, 1;
    NAMING: 257, 1;
    MEMBER_COUNT: 258, 2;
    WINDOW: 260, 4;
    HASH: 264, 8;
    REPLACES: 272, 4;
    STORE: 276, 4;
    MEMBERS: 280, 4;
    LAST: 284, 4;
    REVISION: 288, 8;
}

offsets! {
    /// A row of a bundle's table of members.
    member, size 16;
    FAMILY: 0, 4;
    SEAT: 4, 4;
    PER_CPU_AT: 8, 2;
    KIND: 10, 1;
    RESERVED: 11, 1;
    SHAPE: 12, 4;
}

offsets! {
    /// What the cells of a bundle's member have in front of them, where the entry of a series has
    /// the same: from 16 to 32. All members but counters have the rest of an entry's fields too.
    seat, size 32;
    STATE: 16, 4;
    PER_CPU: 20, 4;
    EXTENSION: 24, 4;
    HOME: 28, 4;
}

offsets! {
    /// A counter's cells in its series record: a pair.
    counter, size 52;
    INTEGER: 32, 8;
    FRACTION: 40, 8;
}

/// Where a counter's cells end.
pub(crate) const COUNTER_END: u64 = counter::FRACTION + 8;

offsets! {
    /// A gauge's cells, a pair: one value for all, or a link to the cells of the processes. Also
    /// those of a metric of unknown type, and of state sets.
    gauge, size 52;
    TAG: 32, 8;
    VALUE: 40, 8;
}

offsets! {
    /// A histogram's cells, and a summary's: after this one {count, sum} pair a bucket. Where there
    /// are native buckets, see `docs/format.md`.
    histogram, size 64;
    NEGATIVE: 32, 8;
}

offsets! {
    /// A node of links to chunks, or a chunk of 16 pairs, of a series with native buckets. These
    /// begin after it.
    native_block, size 16;
    IDENTITY: 0, 8;
    PER_CPU: 8, 8;
}

offsets! {
    /// One process' cell of a per-process gauge.
    process_cell, size 32;
    OWNER: 0, 8;
    BASE: 8, 8;
    TAG: 16, 8;
    VALUE: 24, 8;
}

offsets! {
    /// A slot for an exemplar. All but the stamp is valid if it has the hash in it.
    exemplar, size 256;
    STAMP: 0, 8;
    DIGEST: 8, 8;
    VALUE: 16, 8;
    TIME_MS: 24, 8;
    TEXT_LEN: 32, 8;
    TEXT: 40, 216;
}

/// In a free record, the link to the next one stands where its beginning did.
pub(crate) const FREE_LINK: u64 = entry::CREATED;

/// Process cells come in blocks: a link to the next block, then this many cells.
pub(crate) const CELLS_PER_BLOCK: u64 = 16;
pub(crate) const CELL_BLOCK_HEAD: u64 = 16;
pub(crate) const CELL_BLOCK: u64 = CELL_BLOCK_HEAD + CELLS_PER_BLOCK * process_cell::SIZE;

/// A family without native buckets. Else the schema and 5.
pub(crate) const NO_SCHEMA: u8 = 0;
pub(crate) const SCHEMA_BIAS: i8 = 5;

/// Bit of a family's `NAMING`: the texts and protobuf show a counter under the name it was
/// registered with.
pub(crate) const NAMING_EXACT: u8 = 1;

/// Entry flag: the label text holds a backslash escape, so values are compared unescaped.
pub(crate) const FLAG_ESCAPED: u8 = 1;
/// The gauge mode stands in the flags' high half.
pub(crate) const FLAG_MODE_SHIFT: u32 = 4;

#[inline]
pub(crate) const fn align(n: u64, to: u64) -> u64 {
    (n + to - 1) & !(to - 1)
}

/// Where the regions of a segment are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Regions {
    pub(crate) total: u64,
    pub(crate) slots_at: u64,
    pub(crate) slots_count: u32,
    pub(crate) index_at: u64,
    pub(crate) index_max_bits: u32,
    pub(crate) arena_at: u64,
}

impl Regions {
    /// The index may take one eighth of the maximum size: a word for every 64 bytes.
    pub(crate) const fn plan(max_size: u64, processes: u32) -> Self {
        let total = align(max_size, PAGE);
        let slots_at = header::SIZE;
        let index_at = align(slots_at + processes as u64 * slot::SIZE, PAGE);
        let words = total / 64;
        let bits = words.ilog2();
        let index_max_bits = if bits < INDEX_MIN_BITS { INDEX_MIN_BITS } else { bits };
        let arena_at = align(index_at + (8 << index_max_bits), PAGE);
        Regions { total, slots_at, slots_count: processes, index_at, index_max_bits, arena_at }
    }

    /// Whether there is room for the first records.
    pub(crate) const fn has_room(&self) -> bool {
        self.arena_at + LEAST_ARENA <= self.total
    }

    /// The smallest maximum size that has room for so many processes.
    pub(crate) const fn least_max_size(processes: u32) -> u64 {
        let mut max_size = LEAST_MAX_SIZE;
        while !Self::plan(max_size, processes).has_room() {
            max_size += 64 * 1024;
        }
        max_size
    }
}

/// The most bytes that are granted beyond those that are needed.
pub(crate) const SPARE_MOST: u64 = 4 << 20;
/// The byte offset a link stands for.
#[inline(always)]
pub(crate) const fn offset(link: u32) -> u64 {
    link as u64 * GRANULE
}

/// How the per-CPU cells of a segment lie, as its header has it: never changed, and so read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PerCpu {
    /// 0 if there are none.
    pub(crate) cpus: u64,
    pub(crate) stride: u64,
}

impl PerCpu {
    pub(crate) const NONE: PerCpu = PerCpu { cpus: 0, stride: 0 };

    /// From the first byte of a series' per-CPU cells to their last, and one more, with so many
    /// bytes for each CPU.
    pub(crate) fn span(self, bytes: u64) -> u64 {
        (self.cpus - 1) * self.stride + bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of each section of the byte map: (field, offset, size).
    fn documented() -> std::collections::BTreeMap<String, Vec<(String, u64, u64)>> {
        let mut sections = std::collections::BTreeMap::<String, Vec<_>>::new();
        let mut section = String::new();
        for line in include_str!("../../docs/format.md").lines() {
            if let Some(title) = line.strip_prefix('#') {
                title.trim_start_matches('#').trim().clone_into(&mut section);
            }
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            if let [_, offset, size, field, ..] = cells[..] {
                if let (Ok(offset), Ok(size)) = (offset.parse(), size.parse()) {
                    sections.entry(section.clone()).or_default().push((field.to_owned(), offset, size));
                }
            }
        }
        sections
    }

    #[test]
    fn the_byte_map_is_true() {
        let documented = documented();
        let code = [
            ("header", header::FIELDS),
            ("slot", slot::FIELDS),
            ("entry", entry::FIELDS),
            ("family", family::FIELDS),
            ("member", member::FIELDS),
            ("seat", seat::FIELDS),
            ("counter", counter::FIELDS),
            ("gauge", gauge::FIELDS),
            ("process_cell", process_cell::FIELDS),
            ("histogram", histogram::FIELDS),
            ("native_block", native_block::FIELDS),
            ("exemplar", exemplar::FIELDS),
        ];
        assert_eq!(documented.len(), code.len(), "sections with tables: {:?}", documented.keys());
        for (section, fields) in code {
            let fields: Vec<_> = fields.iter().map(|(n, at, size)| ((*n).to_owned(), *at, *size)).collect();
            assert_eq!(documented.get(section), Some(&fields), "docs/format.md, section {section}");
        }
        assert!(include_str!("../../docs/format.md").contains(&format!("Layout version **{MAJOR}.{MINOR}**")));
    }

    #[test]
    fn regions_fit_their_maximum_size() {
        for max_size in [LEAST_MAX_SIZE, 1 << 20, 64 << 20, 1 << 30, GREATEST_MAX_SIZE] {
            for processes in [1, 512, 2048] {
                let r = Regions::plan(max_size, processes);
                assert!(r.slots_at >= header::SIZE && r.arena_at + EXTENT < r.total, "{r:?}");
                assert!(r.index_at + (8 << r.index_max_bits) <= r.arena_at, "{r:?}");
                assert!(r.has_room(), "{r:?}");
            }
        }
        let least = Regions::least_max_size(8192);
        assert!(Regions::plan(least, 8192).has_room() && !Regions::plan(least - 65_536, 8192).has_room(), "{least}");
    }
}
