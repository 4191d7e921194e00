//! What the check of a segment says: nothing of a sound one, also while it is worked in, and what
//! is wrong of a damaged one.

use crate::fields::mutants;
use crate::trial::placed;
use common::victim::{bytes, link, word, Map};
use common::{fork, long, note, pause, Child, Name, Random};
use shmetrics::Reader;

fn check(name: &str) -> Vec<String> {
    Reader::open(name).unwrap().verify()
}

#[test]
fn damage_is_named() {
    let (victim, map) = (bytes(), Map::new());
    let (_directory, name, file) = placed("checked", &victim);
    assert_eq!(check(&name), [""; 0]);

    let family = link(&victim, map.at("header", "FAMILY_HEAD"));
    let mut series = 0;
    let mut owner = family;
    while series == 0 {
        series = link(&victim, owner + map.at("family", "HEAD"));
        if series == 0 {
            owner = link(&victim, owner + map.at("entry", "NEXT"));
        }
    }
    let text_at = word(&victim, owner + map.at("family", "TEXT_AT"), 4);
    let tag = word(&victim, series + map.at("entry", "TAG"), 4);
    let index_word = word(&victim, map.at("header", "INDEX_AT"), 8) + 8 * (tag & 4095);
    assert_eq!(word(&victim, index_word, 4) * 16, series, "the word is at its home");
    let cases = [
        (map.at("header", "WATERMARK") + 5, "header: the records end"),
        (map.at("header", "INDEX_TARGET"), "header: an index"),
        (map.at("header", "SLOTS_HIGH"), "process slots were used"),
        (map.at("header", "FAMILY_TAIL"), "the families: they end at"),
        (family + map.at("family", "HASH"), "its hash is not that of its name"),
        (family + map.at("family", "TEXT_AT"), "label texts at"),
        (owner + map.at("family", "TAIL"), "its series end at"),
        (owner + map.at("family", "FREE_LISTS"), "is on a free list and is not free"),
        (series + map.at("entry", "STATE"), "is in the state"),
        (series + map.at("entry", "STATE") + 3, "are of another generation"),
        (series + map.at("entry", "PARENT"), "of the family at"),
        (series + map.at("entry", "TAG"), "the hash of"),
        (index_word, "the index does not lead to it"),
        (series + text_at, "is not a text of its labels"),
    ];
    for (at, expected) in cases {
        file.write(at as u64, &[victim[at] ^ 0x76]);
        let findings = check(&name);
        assert!(findings.iter().any(|f| f.contains(expected)), "{expected}, byte {at}: {findings:?}");
        file.write(at as u64, &victim[at..=at]);
    }
    assert_eq!(check(&name), [""; 0]);
}

#[test]
fn any_damage_is_survived() {
    let victim = bytes();
    let mutants = mutants(&victim, 200);
    let (_directory, name, file) = placed("checked", &victim);
    let (mut random, mut found) = (Random(4), 0);
    let tried = if long() { 5000 } else { 100 };
    for _ in 0..tried {
        let mutant = &mutants[random.below(mutants.len() as u64) as usize];
        mutant.apply(&file);
        if let Ok(reader) = Reader::open(&name) {
            found += usize::from(!reader.verify().is_empty());
        }
        file.write(0, &victim);
    }
    note(&format!("{found} of {tried} damaged segments are found to be so; values and counts may be anything"));
    assert!(found > tried / 5);
}

#[test]
fn a_segment_at_work_is_sound() {
    let name = Name::new("checked");
    let segment = name.open();
    let family = segment.counter("c", "").labels(["w", "n"]).register().unwrap();
    let worker = |w: u64| {
        move || {
            for n in 0u64.. {
                family.with([&w.to_string(), &n.to_string()]).inc();
                if n >= 50 {
                    family.remove([&w.to_string(), &(n - 50).to_string()]);
                }
            }
        }
    };
    let mut workers: Vec<Child> = (0..3).map(|w| fork(worker(w))).collect();
    for round in 0..20 {
        assert_eq!(check(&name.0), [""; 0], "round {round}");
        pause(5000);
        let victim = workers.remove(0);
        victim.kill();
        workers.push(fork(worker(round + 3)));
    }
    workers.into_iter().for_each(Child::kill);
    assert_eq!(check(&name.0), [""; 0]);
}
