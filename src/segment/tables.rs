//! Tables of series by index, as typed label sets use them: process memory that belongs to a
//! segment's mapping.

use std::any::TypeId;
use std::sync::atomic::AtomicU64;

use crate::os::grow_list::GrowList;
use crate::Error;

/// The tables of one mapping.
pub(crate) struct Tables(GrowList<Table>);

struct Table {
    family: u64,
    labels: TypeId,
    words: Box<[AtomicU64]>,
}

impl Tables {
    pub(crate) const fn new() -> Self {
        Tables(GrowList::new())
    }

    /// The words for the label sets of this type in the family whose record is at `family`. All are
    /// 0 in a new table.
    pub(crate) fn words(&self, family: u64, labels: TypeId, count: usize) -> Result<&'static [AtomicU64], Error> {
        if count == 0 {
            return Ok(&[]);
        }
        let is_it = |table: &Table| table.family == family && table.labels == labels && table.words.len() == count;
        if let Some(table) = self.0.iter().find(|table| is_it(table)) {
            return Ok(&table.words);
        }
        Error::unless_memory(size_of::<u64>() * count + size_of::<Table>())?;
        let words = std::iter::repeat_with(AtomicU64::default).take(count).collect();
        let table = self.0.add_unless(Table { family, labels, words }, is_it);
        Ok(&table.unwrap_or_else(|(found, _)| found).words)
    }
}
