//! Bytes flipped, garbage, and files cut short.

use crate::trial::{in_children, read, read_all, sound_page, Mutant, LONGEST_PAGE};
use common::victim::{bytes, word, Map};
use common::{long, Directory, Random, Shared};

fn flip(victim: &[u8], at: usize, mask: u8) -> Mutant {
    Mutant { what: format!("byte {at} xor {mask:#x}"), patches: vec![(at, vec![victim[at] ^ mask])] }
}

#[test]
fn every_byte_of_the_header_and_of_the_first_records() {
    let (victim, map) = (bytes(), Map::new());
    let arena_at = word(&victim, map.at("header", "ARENA_AT"), 8);
    let records = word(&victim, map.at("header", "ARENA_TAIL"), 8) - arena_at;
    let mut mutants: Vec<Mutant> = (0..4096).map(|at| flip(&victim, at, 0xff)).collect();
    for at in (0..512).chain(arena_at..arena_at + records.min(3072)) {
        mutants.extend([0x01, 0x80, 0xff].map(|mask| flip(&victim, at, mask)));
    }
    let outcomes = read_all(&victim, mutants.len(), |i| mutants[i].clone());
    assert!(outcomes.refused > 50, "damaged headers are refused: {outcomes:?}");
    assert!(outcomes.changed > 500, "mutations do change the page: {outcomes:?}");
    assert!(outcomes.reported > 100, "damage is reported: {outcomes:?}");
    assert!(outcomes.unharmed > 1000, "reserved bytes are ignored: {outcomes:?}");
}

#[test]
fn random_bytes_in_random_places() {
    let (victim, map) = (bytes(), Map::new());
    let arena_at = word(&victim, map.at("header", "ARENA_AT"), 8) as u64;
    let used = word(&victim, map.at("header", "ARENA_TAIL"), 8) as u64 - arena_at;
    let random = |i: usize| {
        let mut random = Random(i as u64);
        let patches = (0..=random.below(12)).map(|_| {
            let at = match random.below(8) {
                0 => 256 + random.below(256),
                1 => random.below(arena_at),
                _ => arena_at + random.below(used),
            };
            (at as usize, vec![random.next() as u8])
        });
        Mutant { what: format!("random {i}"), patches: patches.collect() }
    };
    let outcomes = read_all(&victim, if long() { 200_000 } else { 2000 }, random);
    assert!(outcomes.changed > 200 && outcomes.reported > 100, "{outcomes:?}");
}

#[test]
fn garbage_behind_a_sound_header() {
    let victim = bytes();
    let garbage = |i: usize| {
        let (from, mut random) = ([256, 4096][i % 2], Random(i as u64));
        // Anything; numbers that are good links; bytes that are good kinds and lengths.
        let word = |r: &mut Random| match i / 2 % 3 {
            0 => r.next(),
            1 => r.below(32 << 10),
            _ => r.next() & r.next() & r.next() & 0x0303_7fff,
        } as u32;
        let bytes = (from..victim.len()).step_by(4).flat_map(|_| word(&mut random).to_ne_bytes()).collect();
        Mutant { what: format!("garbage {i} from {from} on"), patches: vec![(from, bytes)] }
    };
    let outcomes = read_all(&victim, if long() { 12_000 } else { 360 }, garbage);
    assert_eq!((outcomes.refused, outcomes.unharmed), (0, 0), "{outcomes:?}");
    assert!(outcomes.reported > 100, "{outcomes:?}");
}

#[test]
fn files_cut_short() {
    let victim = bytes();
    let directory = Directory::new("short");
    let name = directory.name("segment");
    std::fs::write(&name, &victim).unwrap();
    let sound = sound_page(&name);
    let told = Shared::new(5);
    let pages = victim.len() / 4096;
    let lengths: Vec<usize> =
        (0..=pages).flat_map(|p| [p * 4096, p * 4096 + 1, (p * 4096).saturating_sub(1)]).collect();
    in_children(
        lengths.len(),
        |i| format!("{} bytes", lengths[i]),
        &told,
        |i| {
            let mut bytes = victim.clone();
            bytes.resize(lengths[i], 0);
            // A new file each time: what is open is never truncated.
            std::fs::remove_file(&name).unwrap();
            std::fs::write(&name, &bytes).unwrap();
            read(&name, &sound, LONGEST_PAGE, &told);
        },
    );
    assert_eq!(told.get(2), 1, "the whole file, and no other length, is a segment");
    assert_eq!(told.get(1), lengths.len() as u64 - 1);
}
