//! Several updates of one entry of a bundle, by one call of C.

use super::bundle::{
    shmetrics_entry, shmetrics_entry_add, shmetrics_entry_add_u64, shmetrics_entry_observe, shmetrics_entry_set,
};
use super::{hot, slice};
use crate::kind::Kind;
use crate::metric::Run;
use crate::record::bundle::Row;
use crate::shm::layout::header;

/// Adds the whole number `amount.n`: `shmetrics_entry_add_u64`.
pub const SHMETRICS_UPDATE_ADD_U64: u32 = 0;
/// Adds `amount.v`: `shmetrics_entry_add`.
pub const SHMETRICS_UPDATE_ADD: u32 = 1;
/// Sets to `amount.v`: `shmetrics_entry_set`.
pub const SHMETRICS_UPDATE_SET: u32 = 2;
/// Observes `amount.v`: `shmetrics_entry_observe`.
pub const SHMETRICS_UPDATE_OBSERVE: u32 = 3;

/// The number of an update.
#[repr(C)]
#[derive(Clone, Copy)]
pub union shmetrics_amount {
    /// The amount of `SHMETRICS_UPDATE_ADD_U64`.
    pub n: u64,
    /// The amount of all other operations.
    pub v: f64,
}

/// An update of a member of a bundle.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_update {
    /// The number of the member.
    pub member: u32,
    /// A `SHMETRICS_UPDATE_...`.
    pub operation: u32,
    /// How much to add, what to set, or what to observe.
    pub amount: shmetrics_amount,
}

impl shmetrics_update {
    #[inline(always)]
    fn n(&self) -> u64 {
        // SAFETY: both fields are 8 bytes, of any value.
        unsafe { self.amount.n }
    }

    #[inline(always)]
    fn v(&self) -> f64 {
        f64::from_bits(self.n())
    }

    /// What it adds, if that is a whole number.
    #[inline(always)]
    fn whole(&self) -> Option<u64> {
        let n = self.v() as u64;
        match self.operation {
            SHMETRICS_UPDATE_ADD_U64 => Some(self.n()),
            SHMETRICS_UPDATE_ADD if n as f64 == self.v() => Some(n),
            _ => None,
        }
    }

    /// Does it if a few instructions find the series. False: nothing was done.
    #[inline(always)]
    fn is_done_in(&self, run: &mut Run, row: &Row) -> bool {
        if self.operation == SHMETRICS_UPDATE_OBSERVE {
            let (Some(seat), Some((family, bounds))) = (row.seat_of(Kind::Histogram), row.classic()) else {
                return false;
            };
            return run.observe(seat, family, bounds, self.v());
        }
        let (Some(n), Some(seat)) = (self.whole(), row.seat_of(Kind::Counter)) else { return false };
        run.add(seat, n)
    }

    #[inline(never)]
    extern "C" fn by_itself(&self, entry: &shmetrics_entry) {
        let member = self.member as usize;
        match self.operation {
            SHMETRICS_UPDATE_ADD_U64 => shmetrics_entry_add_u64(*entry, member, self.n()),
            SHMETRICS_UPDATE_ADD => shmetrics_entry_add(*entry, member, self.v()),
            SHMETRICS_UPDATE_SET => shmetrics_entry_set(*entry, member, self.v()),
            SHMETRICS_UPDATE_OBSERVE => shmetrics_entry_observe(*entry, member, self.v()),
            _ => {
                if let Some(entry) = entry.entry() {
                    entry.parts().0.count(header::REJECTED_UPDATES);
                }
            }
        }
    }
}

/// Does `count` updates of the entry's members in their order, in less time than a call for each.
/// Each update is one by itself, as if the call for its operation did it: a process that is killed
/// meanwhile has done the first of them. An update with an unknown operation is not done, but
/// counted in `shmetrics_updates_rejected_total`.
///
/// ```c
/// const shmetrics_update updates[] = {
///     {REQUESTS, SHMETRICS_UPDATE_ADD_U64, {.n = 1}},
///     {LATENCY, SHMETRICS_UPDATE_OBSERVE, {.v = 0.012}},
/// };
/// shmetrics_entry_update(shmetrics_bundle_with(http, values, 2), updates, 2);
/// ```
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_entry_update(
    entry: shmetrics_entry,
    updates: *const shmetrics_update,
    count: usize,
) {
    hot((), || {
        // SAFETY: the caller's promise.
        let Ok(updates) = (unsafe { slice(updates, count, "updates") }) else { return };
        let Some((inner, addr, rows)) = entry.entry().map(|entry| entry.parts()) else { return };
        let mut run = Run::new(inner, addr);
        for update in updates {
            let row = rows.get(update.member as usize);
            if !row.is_some_and(|row| update.is_done_in(&mut run, row)) {
                update.by_itself(&entry);
            }
        }
    });
}

/// As `shmetrics_entry_update`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_entry_update_p(
    entry: Option<&shmetrics_entry>,
    updates: *const shmetrics_update,
    count: usize,
) {
    if let Some(entry) = entry {
        // SAFETY: the caller's promise.
        unsafe { shmetrics_entry_update(*entry, updates, count) };
    }
}
