//! A process that writes random bytes into the segment while others read it.

use std::os::unix::fs::FileExt;

use crate::fields::mutants;
use crate::trial::reports_damage;
use common::victim::bytes;
use common::{alarm, fork, long, Child, Directory, Random, Shared};
use shmetrics::{Format, Reader};

/// Scribbles until it is killed: mutations of fields and random bytes, and now and then the truth
/// again, so that there is something to read.
fn scribble(name: &str, victim: &[u8], seed: u64) -> ! {
    let mutants = mutants(victim, 0);
    let file = std::fs::OpenOptions::new().write(true).open(name).unwrap();
    let mut random = Random(seed);
    loop {
        for _ in 0..random.below(20) {
            let mutant = &mutants[random.below(mutants.len() as u64) as usize];
            mutant.patches.iter().for_each(|(at, bytes)| file.write_all_at(bytes, *at as u64).unwrap());
            // Beyond the fields that say what the file is: with those damaged there would be no
            // readers.
            let at = 256 + random.below(victim.len() as u64 - 256 - 8);
            file.write_all_at(&random.next().to_ne_bytes(), at).unwrap();
        }
        file.write_all_at(victim, 0).unwrap();
    }
}

#[test]
fn readers_survive_a_scribbler() {
    let victim = bytes();
    let directory = Directory::new("scribbled");
    let name = directory.name("segment");
    std::fs::write(&name, &victim).unwrap();
    let scribblers: Vec<Child> = (0..2).map(|seed| fork(|| scribble(&name, &victim, seed))).collect();
    // Pages without damage, and with.
    let (enough, seen) = (if long() { 20_000 } else { 500 }, Shared::new(2));
    let reader = || {
        alarm(300);
        let (mut held, mut pages) = (Reader::open(&name).ok(), 0);
        while seen.get(0) < enough || seen.get(1) < enough {
            // A reader that was there before the damage, and new ones.
            pages += 1;
            if pages % 16 == 0 {
                held = Reader::open(&name).ok().or(held);
            }
            let Some(reader) = &held else { continue };
            let page = reader.render(Format::Text);
            assert!(page.len() < 16 << 20, "a page of {} bytes", page.len());
            seen.add(usize::from(reports_damage(&page)), 1);
            reader.inspect();
        }
    };
    let readers: Vec<Child> = (0..2).map(|_| fork(reader)).collect();
    readers.into_iter().for_each(Child::join);
    scribblers.into_iter().for_each(Child::kill);
}
