//! A process that writes random bytes into the segment while others read it.

use crate::fields::mutants;
use crate::trial::{placed, reports_damage};
use common::file::Bytes;
use common::victim::bytes;
use common::{alarm, fork_many, join_all, long, Child, Random, Shared};
use shmetrics::{Format, Reader};

/// Scribbles until it is killed: mutations of fields and random bytes, and now and then the truth
/// again, so that there is something to read.
fn scribble(file: &Bytes, victim: &[u8], seed: u64) -> ! {
    let mutants = mutants(victim, 0);
    let mut random = Random(seed);
    loop {
        for _ in 0..random.below(20) {
            let mutant = &mutants[random.below(mutants.len() as u64) as usize];
            mutant.apply(file);
            // Beyond the fields that say what the file is: with those damaged there would be no
            // readers.
            let at = 256 + random.below(victim.len() as u64 - 256 - 8);
            file.put(at, random.next());
        }
        file.write(0, victim);
    }
}

#[test]
fn readers_survive_a_scribbler() {
    let victim = bytes();
    let (_directory, name, file) = placed("scribbled", &victim);
    let scribblers = fork_many(2, |seed| scribble(&file, &victim, seed as u64));
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
    join_all(fork_many(2, |_| reader()));
    scribblers.into_iter().for_each(Child::kill);
}
