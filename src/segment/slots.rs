//! Tables of series by index, as typed label sets use them: process memory that belongs to a
//! segment's mapping.

use std::any::TypeId;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::AcqRel, Ordering::Acquire};

use crate::Error;

/// The tables of one mapping: a list that only grows, so that neither threads nor forked children
/// ever wait for each other.
#[derive(Default)]
pub(crate) struct Tables(AtomicPtr<Table>);

struct Table {
    family: u64,
    labels: TypeId,
    slots: Box<[AtomicU64]>,
    next: *mut Table,
}

impl Tables {
    /// The slots for the label sets of this type in the family whose record is at `family`. All are
    /// 0 in a new table.
    pub(crate) fn slots(&self, family: u64, labels: TypeId, count: usize) -> Result<&'static [AtomicU64], Error> {
        if count == 0 {
            return Ok(&[]);
        }
        let mut new: Option<Box<Table>> = None;
        loop {
            // Acquire pairs with the AcqRel below: the tables are whole.
            let head = self.0.load(Acquire);
            let mut at = head;
            // SAFETY: null, or a table that was leaked below and is never changed.
            while let Some(table) = unsafe { at.as_ref() } {
                if table.family == family && table.labels == labels && table.slots.len() == count {
                    return Ok(&table.slots);
                }
                at = table.next;
            }
            let mut table = if let Some(table) = new.take() {
                table
            } else {
                Error::unless_memory(size_of::<u64>() * count + size_of::<Table>())?;
                let slots = std::iter::repeat_with(AtomicU64::default).take(count).collect();
                Box::new(Table { family, labels, slots, next: head })
            };
            table.next = head;
            let table = Box::into_raw(table);
            match self.0.compare_exchange(head, table, AcqRel, Acquire) {
                // SAFETY: leaked, and never changed from here on.
                Ok(_) => return Ok(unsafe { &(*table).slots }),
                // SAFETY: no other thread has seen it.
                Err(_) => new = Some(unsafe { Box::from_raw(table) }),
            }
        }
    }
}

// SAFETY: the tables are immutable but for their atomic slots.
unsafe impl Send for Tables {}
// SAFETY: as above.
unsafe impl Sync for Tables {}
