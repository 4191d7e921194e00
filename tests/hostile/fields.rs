//! Every documented field of every record, with every value that has a meaning somewhere: rings,
//! links out of range, huge lengths and counts, wrong kinds.

use crate::trial::{read_all, Mutant};
use common::victim::{bytes, link, word, Field, Map};
use common::{long, Random};

/// Values worth a try in a field of this size.
fn values(victim: &[u8], map: &Map, field: &Field) -> Vec<u64> {
    let total = victim.len() as u64;
    let header = |name: &str| word(victim, map.at("header", name), 8) as u64;
    let family = link(victim, map.at("header", "FAMILY_HEAD"));
    let series = link(victim, family + map.at("family", "OVERFLOW")) as u64;
    match field.size {
        1 => vec![0, 1, 2, 3, 4, 9, 0x10, 0x7f, 0x80, 0xff],
        2 => vec![0, 1, 2, 0xff, 0x400, 0x401, 0x7fff, 0xffff],
        4 => {
            let links = [field.at as u64 & !15, family as u64, series, header("SLOTS_AT"), header("INDEX_AT")];
            let ends = [header("ARENA_AT"), header("ARENA_TAIL") - 16, header("WATERMARK") - 16, total - 16, total];
            let numbers = [0, 1, 2, 12, 13, 20, 40, 64, 512, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff];
            links.iter().chain(&ends).map(|at| at / 16).chain(numbers).collect()
        }
        _ => {
            let ends =
                [header("ARENA_AT"), header("ARENA_TAIL"), header("WATERMARK"), total - 1, total, total + 1, 4096];
            let numbers =
                [0, 1, 1 << 32, 1 << 40, 1 << 62, 1 << 63, u64::MAX, u64::MAX - 7, u64::MAX - 15, f64::NAN.to_bits()];
            ends.into_iter().chain(numbers).collect()
        }
    }
}

pub(crate) fn set(field: &Field, value: u64) -> Mutant {
    let bytes = value.to_ne_bytes()[..field.size.min(8)].to_vec();
    Mutant { what: format!("{} := {value:#x}", field.what), patches: vec![(field.at, bytes)] }
}

/// One mutant for each field and value, then some with several fields at once.
pub(crate) fn mutants(victim: &[u8], several: usize) -> Vec<Mutant> {
    let map = Map::new();
    let fields = map.fields(victim);
    let of = |field: &Field| values(victim, &map, field).into_iter().map(|v| set(field, v)).collect::<Vec<_>>();
    let mut mutants: Vec<Mutant> = fields.iter().flat_map(of).collect();
    assert!(mutants.len() > 3000, "{} mutants", mutants.len());
    let (singles, mut random) = (mutants.len() as u64, Random(8));
    for _ in 0..several {
        let parts: Vec<Mutant> =
            (0..2 + random.below(5)).map(|_| mutants[random.below(singles) as usize].clone()).collect();
        let what = parts.iter().map(|m| m.what.as_str()).collect::<Vec<_>>().join("; ");
        mutants.push(Mutant { what, patches: parts.into_iter().flat_map(|m| m.patches).collect() });
    }
    mutants
}

#[test]
fn every_field_with_every_value_that_could_hurt() {
    let victim = bytes();
    let mutants = mutants(&victim, if long() { 100_000 } else { 1000 });
    let outcomes = read_all(&victim, mutants.len(), |i| mutants[i].clone());
    assert!(outcomes.refused > 50 && outcomes.unharmed > 500, "{outcomes:?}");
    assert!(outcomes.changed > 500 && outcomes.reported > 500, "{outcomes:?}");
}

/// A later version may know more kinds of metric. This version leaves such a family out, and counts
/// it.
#[test]
fn a_family_of_an_unknown_kind_is_left_out_and_counted() {
    let (victim, map) = (bytes(), Map::new());
    let family = link(&victim, map.at("header", "FAMILY_HEAD"));
    let series = link(&victim, family + map.at("family", "OVERFLOW"));
    let kinds = [0, 10, 0x7f, 0xff];
    let outcomes = read_all(&victim, kinds.len(), |i| {
        let patches = [family, series].map(|record| (record + map.at("entry", "KIND"), vec![kinds[i]]));
        Mutant { what: format!("kind {}", kinds[i]), patches: patches.into() }
    });
    assert_eq!(outcomes.reported, 4, "{outcomes:?}");
}
