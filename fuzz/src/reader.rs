//! Any bytes as a segment.
//!
//! The first byte says how it is made. Even: it is the input. Odd: it is a sound header with
//! changes, followed by slots and records from the input, so that small inputs reach what is behind
//! the header's check.

use std::cell::RefCell;
use std::ops::Range;

use crate::file::{path, Mapped};
use crate::input::Input;
use crate::look::{Look, Outcome};
use crate::wrong::wrong;
use common::victim::Map;

/// Where the smallest segment with room for 64 processes has its parts: records of such a segment,
/// links and all, are good seeds.
const SLOTS_AT: usize = 4096;
const INDEX_AT: usize = 8192;
const ARENA_AT: usize = 0x12000;
const TOTAL: usize = ARENA_AT + (16 << 10);
/// The header's fields: words up to here.
const FIELDS: usize = 676;

struct Stage {
    file: Mapped,
    /// A sound header of an empty segment.
    header: Vec<u8>,
    map: Map,
}

impl Stage {
    fn new() -> Self {
        let map = Map::new();
        let mut header = vec![0; 4096];
        let mut put = |field: &str, value: &[u8]| {
            let at = map.at("header", field);
            header[at..at + value.len()].copy_from_slice(value);
        };
        put("MAGIC_AT", b"SHMETRIC");
        put("MAJOR_AT", &1u16.to_ne_bytes());
        put("ENDIAN_AT", &0x0102_0304u32.to_ne_bytes());
        put("HASH_ID", &1u32.to_ne_bytes());
        put("SLOTS_COUNT", &4u32.to_ne_bytes());
        put("SLOTS_HIGH", &4u32.to_ne_bytes());
        put("INDEX_MAX_BITS", &13u32.to_ne_bytes());
        put("INDEX_BITS", &12u32.to_ne_bytes());
        put("INDEX_TARGET", &12u32.to_ne_bytes());
        put("FAMILY_HEAD", &(ARENA_AT as u32 / 16).to_ne_bytes());
        for (field, value) in [
            ("TOTAL_SIZE", TOTAL),
            ("SLOTS_AT", SLOTS_AT),
            ("INDEX_AT", INDEX_AT),
            ("ARENA_AT", ARENA_AT),
            ("ARENA_END", TOTAL),
            ("WATERMARK", TOTAL),
            ("ARENA_TAIL", TOTAL),
        ] {
            put(field, &(value as u64).to_ne_bytes());
        }
        Stage { file: Mapped::new(path("reader"), TOTAL), header, map }
    }

    /// Writes the segment. Returns its length, and where the input's bytes are.
    fn write(&mut self, how: u8, input: &mut Input<'_>) -> (usize, Range<usize>) {
        let bytes = self.file.bytes();
        if how & 1 == 0 {
            let raw = input.bytes(TOTAL);
            bytes[..raw.len()].copy_from_slice(raw);
            return (raw.len(), 0..raw.len());
        }
        bytes[..4096].copy_from_slice(&self.header);
        let changes = input.below(8);
        for _ in 0..changes {
            let at = input.below(FIELDS / 8) * 8;
            let size = [8, 4, 2, 1][input.below(4)];
            bytes[at..at + size].copy_from_slice(&input.long().to_ne_bytes()[..size]);
        }
        for slot in 0..input.below(5) {
            let at = SLOTS_AT + slot * 64 + self.map.at("slot", "WORD");
            bytes[at..at + 8].copy_from_slice(&input.long().to_ne_bytes());
        }
        let missing = if input.one_in(16) { usize::from(input.word()) % TOTAL } else { 0 };
        let records = input.bytes(TOTAL - ARENA_AT);
        bytes[ARENA_AT..ARENA_AT + records.len()].copy_from_slice(records);
        (TOTAL - missing, ARENA_AT..ARENA_AT + records.len())
    }
}

thread_local! {
    static STAGE: RefCell<Stage> = RefCell::new(Stage::new());
}

/// Runs the target.
pub fn run(input: &[u8]) {
    STAGE.with_borrow_mut(|stage| {
        let look = Look::new(input);
        let mut input = Input::new(input);
        let how = input.byte();
        let (len, written) = stage.write(how, &mut input);
        let outcome = look.read(&stage.file, len, &mut Input::new(&[how >> 1]), false);
        look.done(&stage.file, TOTAL);
        assert!(
            !(wrong() && matches!(outcome, Outcome::Read { families: 1.., .. })),
            "the wrong rule: nothing can be read"
        );
        let bytes = stage.file.bytes();
        bytes[written].fill(0);
        bytes[..SLOTS_AT + 256].fill(0);
    });
}
