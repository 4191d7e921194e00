//! Trials of mutants in children that may crash, hang or eat memory without harm: and then it is
//! known which one did.

use common::file::Bytes;
use common::{alarm, fork, Directory, Shared};
use shmetrics::{Error, Format, Reader};

/// Bytes written over the victim's.
#[derive(Clone, Debug)]
pub(crate) struct Mutant {
    pub(crate) what: String,
    pub(crate) patches: Vec<(usize, Vec<u8>)>,
}

impl Mutant {
    pub(crate) fn apply(&self, file: &Bytes) {
        self.patches.iter().for_each(|(at, bytes)| file.write(*at as u64, bytes));
    }
}

/// A file with these bytes, by its name and open; it goes with the directory.
pub(crate) fn placed(what: &str, bytes: &[u8]) -> (Directory, String, Bytes) {
    let directory = Directory::new(what);
    let name = directory.name("segment");
    std::fs::write(&name, bytes).unwrap();
    let file = Bytes::of(&name);
    (directory, name, file)
}

/// What became of the mutants.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcomes {
    pub(crate) refused: u64,
    pub(crate) unharmed: u64,
    pub(crate) changed: u64,
    pub(crate) reported: u64,
}

/// More than one damaged field makes of the victim's page: a few lines with the longest label text.
/// Going in circles makes far more.
pub(crate) const LONGEST_PAGE: usize = 2 << 20;

const NOW: usize = 0;
const OUTCOMES: usize = 1;

/// Runs `each` for the mutants 0 to `count`, in a child for some hundreds of them.
pub(crate) fn in_children(count: usize, describe: impl Fn(usize) -> String, told: &Shared, each: impl Fn(usize)) {
    const BATCH: usize = 512;
    for from in (0..count).step_by(BATCH) {
        let mut child = fork(|| {
            alarm(180);
            let limit = libc::rlimit { rlim_cur: 2 << 30, rlim_max: 2 << 30 };
            // SAFETY: a plain call with a local.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
            for i in from..(from + BATCH).min(count) {
                told.set(NOW, i as u64);
                each(i);
            }
        });
        let status = child.wait();
        let mutant = told.get(NOW) as usize;
        assert_eq!(status, 0, "mutant {mutant} ({}): status {status:#x}; 0xe: hangs", describe(mutant));
    }
}

/// Runs `each` for the mutants, with the name of a file that has the sound victim, and a call that
/// writes the mutant's bytes over it: for callers that have the segment open meanwhile.
pub(crate) fn while_open(what: &str, victim: &[u8], mutants: &[Mutant], each: impl Fn(&str, &dyn Fn())) {
    let (_directory, name, file) = placed(what, victim);
    in_children(
        mutants.len(),
        |i| mutants[i].what.clone(),
        &Shared::new(1),
        |i| {
            file.write(0, victim);
            each(&name, &|| mutants[i].apply(&file));
        },
    );
}

/// A page without the numbers that differ from one rendering to the next.
pub(crate) fn stable(page: &[u8]) -> Vec<u8> {
    let end = page.windows(25).rposition(|w| w == b"# HELP shmetrics_render_s").expect("a page is complete");
    let mut stable = page[..end].to_vec();
    // The first look of a reader is when it saw the values.
    const UPDATED: &[u8] = b"\nshmetrics_last_update_timestamp_seconds ";
    if let Some(at) = stable.windows(UPDATED.len()).rposition(|w| w == UPDATED) {
        stable.truncate(at);
        stable.extend(&page[at + 1 + page[at + 1..].iter().position(|b| *b == b'\n').unwrap()..end]);
    }
    stable
}

/// Whether a page tells of damaged records.
pub(crate) fn reports_damage(page: &[u8]) -> bool {
    let page = String::from_utf8_lossy(page);
    let (_, rest) = page.rsplit_once("\nshmetrics_corrupt_records ").expect("every page tells");
    !rest.starts_with("0\n")
}

/// Renders and inspects what the file holds now.
pub(crate) fn read(name: &str, sound: &[u8], longest: usize, told: &Shared) {
    let outcome = match Reader::open(name) {
        Err(Error::NotASegment { .. } | Error::WrongVersion { .. } | Error::Unsupported(_)) => 0,
        Err(e) => panic!("{e:?}: not for what is in the file"),
        Ok(reader) => {
            let page = reader.render(Format::Text);
            assert!(page.len() <= longest, "a page of {} bytes", page.len());
            let inspection = reader.inspect();
            assert!(inspection.families.len() < 1000 && inspection.processes.len() <= 64);
            let (changed, reported) = (stable(&page) != sound, reports_damage(&page));
            if reported {
                3
            } else {
                1 + usize::from(changed)
            }
        }
    };
    told.add(OUTCOMES + outcome, 1);
}

/// The victim's page, as a reader sees it.
pub(crate) fn sound_page(name: &str) -> Vec<u8> {
    let page = Reader::open(name).unwrap().render(Format::Text);
    assert!(!reports_damage(&page));
    stable(&page)
}

/// Reads the mutants 0 to `count` of the victim. They are made one by one: all of them would not
/// fit into a child's memory.
pub(crate) fn read_all(victim: &[u8], count: usize, mutant: impl Fn(usize) -> Mutant) -> Outcomes {
    let (_directory, name, file) = placed("hostile", victim);
    let sound = sound_page(&name);
    let told = Shared::new(OUTCOMES + 4);
    let describe = |i: usize| mutant(i).what;
    in_children(count, describe, &told, |i| {
        let mutant = mutant(i);
        mutant.apply(&file);
        read(&name, &sound, mutant.patches.len() * LONGEST_PAGE, &told);
        for (at, bytes) in &mutant.patches {
            file.write(*at as u64, &victim[*at..*at + bytes.len()]);
        }
    });
    assert!(std::fs::read(&name).unwrap() == victim, "readers write nothing");
    let [refused, unharmed, changed, reported] = [0, 1, 2, 3].map(|i| told.get(OUTCOMES + i));
    Outcomes { refused, unharmed, changed, reported }
}
