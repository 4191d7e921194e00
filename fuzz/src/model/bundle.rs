//! What is registered together: a bundle of families, or one by itself, and the records of its
//! label sets.

use std::ops::Range;

use super::names::exposed;
use super::{At, Bundle, Family, Faults, Kind, Segment, Spec, Store, Text};
use common::c::{CONFLICT, INVALID_ARGUMENT, INVALID_NAME, NULL_ARGUMENT};

const MOST_MEMBERS: usize = 64;

impl Bundle {
    /// The families it asks for, as far as they can be read, and what is wrong with them.
    pub(crate) fn read(&self) -> (Vec<Family>, Faults) {
        let (mut families, mut all) = (Vec::new(), Faults::default());
        if self.labels.is_none() {
            all.door.push(NULL_ARGUMENT);
        }
        for member in &self.members {
            if member.labels.as_ref().is_none_or(|labels| !labels.is_empty())
                || (member.limit, member.expire, member.replace) != (0, 0, false)
            {
                all.door.push(INVALID_ARGUMENT);
            }
            let (labels, limit, expire) = (self.labels.clone(), self.limit, self.expire);
            let (family, mut faults) = Spec { labels, limit, expire, ..member.clone() }.read();
            all.door.append(&mut faults.door);
            all.inside.append(&mut faults.inside);
            families.push(family);
        }
        // Also if there is no member to have the labels.
        for label in self.labels.iter().flatten() {
            match label.as_deref().map(std::str::from_utf8) {
                None => all.door.push(NULL_ARGUMENT),
                Some(Err(_)) => all.door.push(INVALID_NAME),
                Some(Ok(_)) => {}
            }
        }
        if !(1..=MOST_MEMBERS).contains(&families.len()) {
            all.inside.push(INVALID_ARGUMENT);
        }
        if (0..families.len()).any(|i| clash(&families[i], &families[..i])) {
            all.inside.push(CONFLICT);
        }
        (families, all)
    }

    /// The label names in the order that is asked for.
    pub(crate) fn label_names(&self) -> Vec<String> {
        let name = |label: &Text| String::from_utf8_lossy(label.as_deref().unwrap_or_default()).into_owned();
        self.labels.iter().flatten().map(name).collect()
    }
}

/// Whether pages would have a sample name twice.
fn clash<'f>(family: &Family, others: impl IntoIterator<Item = &'f Family>) -> bool {
    let names = exposed(&family.base, family.kind);
    others.into_iter().any(|other| exposed(&other.base, other.kind).iter().any(|name| names.contains(name)))
}

/// Where each member's cells count from in a record, and where the label text begins.
fn layout(members: &[Family]) -> (Vec<usize>, usize) {
    let (mut seats, mut end) = (Vec::new(), 0usize);
    for (i, family) in members.iter().enumerate() {
        let counter = family.kind == Kind::Counter;
        // A counter that is not the first member has only the bytes from 16 to 48.
        let seat = end.next_multiple_of(16) - if i > 0 && counter { 16 } else { 0 };
        end = seat + if i > 0 && counter { 48 } else { family.cells_end() };
        seats.push(seat);
    }
    let expires = members.first().is_some_and(|first| first.expire > 0);
    (seats, if expires { end.next_multiple_of(8) + 8 } else { end })
}

/// Whether the records of label sets may serve those of others.
fn fit(a: &[Family], b: &[Family]) -> bool {
    layout(a) == layout(b) && a.iter().zip(b).all(|(a, b)| a.is_shaped_as(b))
}

impl Segment {
    /// Registers a bundle: its first family, or what is wrong.
    pub(crate) fn register_bundle(&mut self, bundle: &Bundle) -> Result<usize, Faults> {
        let (families, faults) = bundle.read();
        self.admit(families, faults, bundle.replace, true)
    }

    /// Registers what is asked for, which has these faults. The first family of a bundle, or the
    /// family that is asked for by itself.
    pub(super) fn admit(
        &mut self,
        mut group: Vec<Family>,
        mut faults: Faults,
        replace: bool,
        bundle: bool,
    ) -> Result<usize, Faults> {
        let mut olds = Vec::new();
        if faults.allow(0) {
            // Any name of what is to be replaced leads to it.
            let known = group.iter().position(|f| self.called(&f.base).is_some()).filter(|_| replace);
            let there = self.called(&group[known.unwrap_or(0)].base);
            if let Some(at) = there {
                let home = self.families[at].home;
                if self.is_as(at, &group, replace, bundle) {
                    // A member that is asked for by itself has the limit of its bundle.
                    if replace && self.families[home].members == group.len() {
                        self.families[home].limit = group[0].limit;
                    }
                    return Ok(if group.len() > 1 { home } else { at });
                }
            }
            if replace {
                // The family that has the name of the key comes first.
                let names = there.into_iter().chain(group.iter().filter_map(|f| self.called(&f.base)));
                for at in names.map(|at| self.families[at].home) {
                    if !olds.contains(&at) {
                        olds.push(at);
                    }
                }
            }
            let others = || self.families.iter().filter(|f| !f.retired && !olds.contains(&f.home));
            if (there.is_some() && !replace) || group.iter().any(|f| clash(f, others())) {
                faults.inside.push(CONFLICT);
            }
        }
        if !faults.inside.is_empty() && faults.door.is_empty() {
            self.failed_registrations += 1;
        }
        if !faults.allow(0) {
            return Err(faults);
        }
        let (home, members) = (self.families.len(), group.len());
        let store = self.store_for(&group, olds.first().copied());
        for family in &mut group {
            (family.home, family.members, family.store) = (home, members, store);
            if family.labels.is_empty() {
                family.embedded = Some(family.cell(false));
                self.series += 1;
            }
        }
        self.families.append(&mut group);
        olds.into_iter().for_each(|old| self.retire(old));
        Ok(home)
    }

    /// Whether the family here, or its bundle, is what is asked for. What is to replace it is the
    /// same only in every word.
    fn is_as(&self, at: usize, group: &[Family], replace: bool, bundle: bool) -> bool {
        let same = |there: &Family, asked: &Family| there.same(asked) && (!replace || there.help == asked.help);
        let members = &self.families[self.bundle_of(at)];
        match group {
            [asked] if !bundle || members.len() == 1 => same(&self.families[at], asked),
            _ => {
                let is = |(there, asked): (&Family, &Family)| there.base == asked.base && same(there, asked);
                members.len() == group.len() && members.iter().zip(group).all(is)
            }
        }
    }

    /// How many members its label set has.
    pub(crate) fn members(&self, at: At) -> usize {
        self.bundle_of(at.family).len()
    }

    /// The series of the member of this number that belongs to the series of the first one.
    pub(crate) fn member(&self, at: At, number: usize) -> Option<(At, Kind)> {
        let family = self.bundle_of(at.family).nth(number)?;
        Some((At { family, ..at }, self.families[family].kind))
    }

    /// The families of its bundle.
    pub(super) fn bundle_of(&self, family: usize) -> Range<usize> {
        let home = self.families[family].home;
        home..home + self.families[home].members
    }

    /// The size of a record for a label text of this length: granules of 16 bytes after those that
    /// hold nothing of it.
    pub(super) fn class(&self, family: usize, text_len: usize) -> usize {
        let (_, text_at) = layout(&self.families[self.bundle_of(family)]);
        let needed = (text_at + text_len).div_ceil(16) - text_at / 16;
        let steps = (1..=8).chain((0..).flat_map(|i| [10, 12, 14, 16].map(|n| n << i)));
        steps.take_while(|granules| *granules < needed).count()
    }

    /// How many series a label set has.
    pub(super) fn series_of_each(&self, family: usize) -> u64 {
        self.bundle_of(family).len() as u64
    }

    pub(super) fn store_of(&self, family: usize) -> usize {
        self.families[self.families[family].home].store
    }

    /// Where the records of a new bundle's series are: with those of its predecessor, or of another
    /// that is no more.
    fn store_for(&mut self, group: &[Family], old: Option<usize>) -> usize {
        let fits = |home: &usize| fit(&self.families[self.bundle_of(*home)], group);
        let used = |store: usize| self.families.iter().any(|f| !f.retired && f.store == store);
        let homes = || (0..self.families.len()).filter(|at| self.families[*at].home == *at);
        let mut retired = homes().filter(|at| self.families[*at].retired).filter(fits);
        let predecessor = old.filter(fits);
        let found = predecessor.or_else(|| retired.find(|at| !used(self.families[*at].store)));
        found.map(|at| self.families[at].store).unwrap_or_else(|| {
            self.stores.push(Store::default());
            self.stores.len() - 1
        })
    }
}
