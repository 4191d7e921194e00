//! The registration of a family: an existing one is found, a new one made, another one replaced.

use super::group::Group;
use super::lookup::prepare;
use super::spec::Spec;
use super::{group, order, recycle, redefine};
use crate::os::host::Undisturbed;
use crate::record::bundle::MEMBERS_MAX;
use crate::record::family;
use crate::record::family::Record;
use crate::segment::{const_labels, Inner};
use crate::shm::layout;
use crate::shm::layout::{header, offset};
use crate::shm::list;
use crate::shm::list::{find_or_append, Inserter, Outcome};
use crate::text::{label_set, names};
use crate::Error;

/// Registers a family, or finds it. Returns where its record is.
pub(crate) fn register(inner: &Inner, spec: Spec<'_>) -> Result<u64, Error> {
    register_as(inner, vec![spec], Group::Family)
}

/// Registers families as a bundle, or finds it. Returns where the first one's record is, or that of
/// another order of its labels.
pub(crate) fn register_all(inner: &Inner, specs: Vec<Spec<'_>>) -> Result<u64, Error> {
    register_as(inner, specs, Group::Bundle)
}

fn register_as(inner: &Inner, specs: Vec<Spec<'_>>, group: Group) -> Result<u64, Error> {
    let _undisturbed = Undisturbed::new();
    let memory = specs.iter().fold(0usize, |sum, spec| sum.saturating_add(memory_for(spec)));
    let result = Error::unless_memory(memory).and_then(|()| checked(inner, specs)).and_then(|specs| {
        let at = register_checked(inner, &specs, group)?;
        if specs.iter().any(|spec| spec.mode.has_cells()) {
            inner.process.expect_gauges();
        }
        Ok(at)
    });
    if result.is_err() {
        inner.count(header::FAILED_REGISTRATIONS);
    }
    result
}

fn checked<'a>(inner: &Inner, specs: Vec<Spec<'a>>) -> Result<Vec<Spec<'a>>, Error> {
    if specs.is_empty() || specs.len() > MEMBERS_MAX {
        let n = specs.len();
        return Err(Error::InvalidArgument(format!("a bundle of {n} members: it has 1 to {MEMBERS_MAX}")));
    }
    let specs = specs.into_iter().map(Spec::checked).collect::<Result<Vec<_>, _>>()?;
    for (i, spec) in specs.iter().enumerate() {
        const_labels::check(&inner.memory, spec.name, spec.labels)?;
        for other in &specs[..i] {
            if let Some(sample) = names::clash(spec.named(), other.named()) {
                let (a, b) = (other.name, spec.name);
                return Err(Error::Conflict(format!("the members {a} and {b} of a bundle would both expose {sample}")));
            }
        }
    }
    Ok(specs)
}

/// An upper limit of what a registration takes of the process' memory: its texts several times,
/// with escapes, and those of another family.
fn memory_for(spec: &Spec<'_>) -> usize {
    let names = spec.labels.iter().chain(spec.states).map(|name| name.len()).sum::<usize>();
    let texts = names.saturating_add(spec.name.len()).saturating_add(spec.help.len());
    let numbers = spec.buckets.len().saturating_add(spec.quantiles.len()).saturating_add(spec.labels.len());
    texts.saturating_mul(16).saturating_add(numbers.saturating_mul(256)).saturating_add(128 << 10)
}

fn register_checked(inner: &Inner, specs: &[Spec<'_>], asked: Group) -> Result<u64, Error> {
    let hashes: Vec<u64> = specs.iter().map(|spec| label_set::family_hash(inner.seed, spec.name.as_bytes())).collect();
    let first = &specs[0];
    let conflict = |name: &str, how: &str, why: &str| Err(Error::Conflict(format!("the family {name} {how}: {why}")));
    redefine::drain_all(inner);
    // Another round is needed only if a process of an earlier revision has replaced the family
    // just now.
    for _ in 0..1000 {
        // A bundle with another first member replaces the bundle that has any of its names.
        let known = |i: &usize| redefine::find(inner, hashes[*i], specs[*i].name).is_some();
        let key = if first.replace { (0..specs.len()).find(known).unwrap_or(0) } else { 0 };
        let mut inserter =
            FamilyMaker { inner, specs, asked, hashes: &hashes, key, clash: None, newer: None, olds: Vec::new() };
        let found = match find_or_append(&inner.index(), list::FAMILIES, hashes[key], &mut inserter) {
            Outcome::Made(link) => {
                inserter.olds.iter().for_each(|old| redefine::drain(inner, *old));
                return Ok(offset(link));
            }
            Outcome::Found(link) => link,
            // The family of the key is gone by now, and the family of another member's name is
            // there.
            Outcome::Refused if first.replace && inserter.olds.is_empty() && (0..specs.len()).any(|i| known(&i)) => {
                continue
            }
            Outcome::Refused => return Err(Error::Conflict(inserter.clash.unwrap_or_default())),
            Outcome::Full | Outcome::Closed => {
                return Err(Error::Full(format!(
                    "the family {} cannot be registered: the segment has reached its maximum size, or its memory file system is full",
                    first.name
                )))
            }
        };
        let record = Record::new(&inner.memory, offset(found));
        let name = specs[key].name;
        match group::difference(&record, specs, asked) {
            // Replaced under the comparison.
            Some(_) if record.is_retired() => {}
            Some(difference) if first.replace => {
                let why = match inserter.newer.as_deref() {
                    Some(newer) if newer != name => format!("{difference}, and of {newer}, {}", redefine::NEWER),
                    _ => format!("{difference}, and {}", redefine::NEWER),
                };
                return conflict(name, "cannot be replaced", &why);
            }
            Some(difference) => return conflict(name, "is registered otherwise", &difference),
            None if !redefine::raise(inner, record.home().link()) => {}
            None => {
                // Any member may have been the key.
                let record = if specs.len() > 1 { record.home() } else { record };
                if first.replace {
                    redefine::set_limits(inner, &record, specs);
                }
                return order::of(inner, &record, first.labels);
            }
        }
    }
    conflict(first.name, "cannot be registered", "other processes keep replacing it")
}

struct FamilyMaker<'a> {
    inner: &'a Inner,
    /// One, or the members of a bundle.
    specs: &'a [Spec<'a>],
    asked: Group,
    hashes: &'a [u64],
    /// The member that is looked up. The others clash with families that have their names.
    key: usize,
    clash: Option<String>,
    /// A family that a later revision has registered, if that is why nothing is replaced.
    newer: Option<String>,
    /// The families that they replace: the first members of bundles.
    olds: Vec<u32>,
}

impl FamilyMaker<'_> {
    /// The families that have the names of these, with the other members of their bundles. `Err`:
    /// the name of a family that this process may not redefine.
    fn predecessors(&self, of_key: u32) -> Result<Vec<u32>, &str> {
        let mut olds = vec![of_key];
        for (hash, spec) in self.hashes.iter().zip(self.specs) {
            let Some(link) = redefine::find(self.inner, *hash, spec.name) else { continue };
            let home = Record::new(&self.inner.memory, offset(link)).home();
            if !redefine::may_redefine(self.inner, &home) {
                return Err(spec.name);
            }
            if !olds.contains(&home.link()) {
                olds.push(home.link());
            }
        }
        Ok(olds)
    }
}

impl Inserter for FamilyMaker<'_> {
    fn same(&self, link: u32) -> bool {
        redefine::is_called(self.inner, link, self.hashes[self.key], self.specs[self.key].name)
    }

    fn replaces(&mut self, link: u32) -> Option<u32> {
        self.olds.clear();
        let record = Record::new(&self.inner.memory, offset(link));
        if !self.specs[0].replace || group::difference(&record, self.specs, self.asked).is_none() {
            return None;
        }
        match self.predecessors(record.home().link()) {
            Ok(olds) => self.olds = olds,
            Err(name) => {
                self.newer = Some(name.to_owned());
                return None;
            }
        }
        self.inner.memory.put32(header::RETIRING, 1);
        self.olds.first().copied()
    }

    fn others_replace(&mut self, link: u32) {
        let memory = &self.inner.memory;
        let members = Record::new(memory, offset(link)).members().skip(1);
        // Each of the predecessors has a name of its own among the members', so there is room.
        let olds = self.olds.iter().skip(1).copied().chain(std::iter::repeat(0));
        members.zip(olds).for_each(|((member, _), old)| memory.put32(member.at + layout::family::REPLACES, old));
    }

    fn refuse(&mut self) -> bool {
        for record in family::all(&self.inner.memory) {
            // The families that are being replaced cannot clash.
            let other = |record: &Record<'_>| !self.olds.contains(&record.home().link()) && !record.is_retired();
            if let Some(texts) = record.texts().filter(|_| other(&record)) {
                for spec in self.specs {
                    if spec.name == texts.name {
                        let difference = group::difference(&record, self.specs, self.asked).unwrap_or_default();
                        self.clash = Some(format!("the family {} is registered otherwise: {difference}", spec.name));
                        return true;
                    }
                    if let Some(sample) = names::clash(spec.named(), record.named(&texts)) {
                        self.clash = Some(format!(
                            "{} {} and the registered {} {} would both expose {sample}",
                            spec.kind,
                            spec.name,
                            record.kind(),
                            texts.name
                        ));
                        return true;
                    }
                }
            }
        }
        false
    }

    fn make(&mut self) -> Option<u32> {
        if self.specs[0].expire > 0 {
            self.inner.memory.put32(header::EXPIRING, 1);
        }
        let link = group::make(self.inner, self.specs, self.hashes)?;
        let predecessor = self.olds.first().copied().unwrap_or(0);
        redefine::choose_store(self.inner, &Record::new(&self.inner.memory, offset(link)), predecessor);
        Some(link)
    }

    fn give_back(&mut self, link: u32) {
        let record = Record::new(&self.inner.memory, offset(link));
        let (len, with_cells) = (record.record_len(), record.members_with_cells());
        self.inner.arena().give_back(link, len);
        recycle::without_cells(self.inner, with_cells);
    }

    fn settled(&self, link: u32, _: u32) {
        redefine::settled(self.inner, link);
    }

    fn prepare(&mut self) -> bool {
        prepare(self.inner) && self.inner.index().has_room_for(self.specs.len() as u64)
    }
}
