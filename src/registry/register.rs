//! The registration of a family: an existing one is found, a new one made, another one replaced.

use super::lookup::prepare;
use super::spec::Spec;
use super::{order, recycle, redefine};
use crate::os::host::Undisturbed;
use crate::record::family;
use crate::record::family::Record;
use crate::segment::{const_labels, Inner};
use crate::shm::layout::header;
use crate::shm::layout::offset;
use crate::shm::list;
use crate::shm::list::{find_or_append, Inserter, Outcome};
use crate::text::{label_set, names};
use crate::Error;

/// Registers a family, or finds it. Returns where its record is.
pub(crate) fn register(inner: &Inner, spec: Spec<'_>) -> Result<u64, Error> {
    let _undisturbed = Undisturbed::new();
    let result = Error::unless_memory(memory_for(&spec)).and_then(|()| spec.checked()).and_then(|spec| {
        const_labels::check(&inner.memory, spec.name, spec.labels)?;
        register_checked(inner, &spec)
    });
    match result {
        Ok(at) if Record::new(&inner.memory, at).mode().has_cells() => inner.process.expect_gauges(),
        Ok(_) => {}
        Err(_) => inner.count(header::FAILED_REGISTRATIONS),
    }
    result
}

/// More than a registration takes of the process' memory: its texts several times, with escapes,
/// and those of another family.
fn memory_for(spec: &Spec<'_>) -> usize {
    let names = spec.labels.iter().chain(spec.states).map(|name| name.len()).sum::<usize>();
    let texts = names.saturating_add(spec.name.len()).saturating_add(spec.help.len());
    let numbers = spec.buckets.len().saturating_add(spec.quantiles.len()).saturating_add(spec.labels.len());
    texts.saturating_mul(16).saturating_add(numbers.saturating_mul(256)).saturating_add(128 << 10)
}

fn register_checked(inner: &Inner, spec: &Spec<'_>) -> Result<u64, Error> {
    let hash = label_set::family_hash(inner.seed, spec.name.as_bytes());
    let conflict = |how: &str, why: &str| Err(Error::Conflict(format!("the family {} {how}: {why}", spec.name)));
    redefine::drain_all(inner);
    // Another round is needed only if a process of an earlier revision has replaced the family
    // just now.
    for _ in 0..1000 {
        let mut inserter = FamilyMaker { inner, spec, hash, clash: None, old: 0 };
        let found = match find_or_append(&inner.index(), list::FAMILIES, hash, &mut inserter) {
            Outcome::Made(link) => {
                if inserter.old != 0 {
                    redefine::drain(inner, inserter.old);
                }
                return Ok(offset(link));
            }
            Outcome::Found(link) => link,
            Outcome::Refused => return Err(Error::Conflict(inserter.clash.unwrap_or_default())),
            Outcome::Full | Outcome::Closed => {
                return Err(Error::Full(format!(
                    "the family {} cannot be registered: the segment has reached its maximum size, or its memory file system is full",
                    spec.name
                )))
            }
        };
        let record = Record::new(&inner.memory, offset(found));
        match record.difference(spec) {
            Some(difference) if spec.replace => {
                return conflict("cannot be replaced", &format!("{difference}, and {}", redefine::NEWER));
            }
            Some(difference) => return conflict("is registered otherwise", &difference),
            None if !redefine::raise(inner, found) => {}
            None => {
                if spec.replace {
                    redefine::set_limits(inner, &record, spec);
                }
                return order::of(inner, &record, spec.labels);
            }
        }
    }
    conflict("cannot be registered", "other processes keep replacing it")
}

struct FamilyMaker<'a> {
    inner: &'a Inner,
    spec: &'a Spec<'a>,
    hash: u64,
    clash: Option<String>,
    /// The family that it replaces; 0 for none.
    old: u32,
}

impl Inserter for FamilyMaker<'_> {
    fn same(&self, link: u32) -> bool {
        redefine::is_called(self.inner, link, self.hash, self.spec.name)
    }

    fn replaces(&mut self, link: u32) -> bool {
        let record = Record::new(&self.inner.memory, offset(link));
        let replaces =
            self.spec.replace && record.difference(self.spec).is_some() && redefine::may_redefine(self.inner, &record);
        if replaces {
            self.inner.memory.put32(header::RETIRING, 1);
            self.old = link;
        }
        replaces
    }

    fn refuse(&mut self) -> bool {
        for record in family::all(&self.inner.memory) {
            // The family that is being replaced cannot clash.
            if let Some(texts) = record.texts().filter(|_| record.link() != self.old && !record.is_retired()) {
                if let Some(sample) = names::clash(self.spec.named(), record.named(&texts)) {
                    self.clash = Some(format!(
                        "{} {} and the registered {} {} would both expose {sample}",
                        self.spec.kind,
                        self.spec.name,
                        record.kind(),
                        texts.name
                    ));
                    return true;
                }
            }
        }
        false
    }

    fn make(&mut self) -> Option<u32> {
        if self.spec.expire > 0 {
            self.inner.memory.put32(header::EXPIRING, 1);
        }
        let make = || self.spec.write(self.inner, self.hash, |bytes| self.inner.arena().allocate(bytes));
        let link = if self.spec.mode.has_cells() { recycle::with_cells(self.inner, make) } else { make() }?;
        redefine::choose_store(self.inner, &Record::new(&self.inner.memory, offset(link)), self.old);
        Some(link)
    }

    fn give_back(&mut self, link: u32) {
        let len = Record::new(&self.inner.memory, offset(link)).record_len();
        self.inner.arena().give_back(link, len);
        if self.spec.mode.has_cells() {
            recycle::without_cells(self.inner);
        }
    }

    fn settled(&self, link: u32, _: u32) {
        redefine::settled(self.inner, link);
    }

    fn prepare(&mut self) -> bool {
        prepare(self.inner)
    }
}
