//! Info, state sets and enums in C.

use std::ffi::c_void;

use super::family::{clear, find, is_removed, register_family, remove};
use super::segment::shmetrics_segment;
use super::status::shmetrics_status;
use super::{guard, guarded, hot, shmetrics_family_spec, shmetrics_str};
use crate::kind::Kind;
use crate::metric::{Enum, Info, StateSet};
use crate::record::gauge_mode::GaugeMode;
use crate::shm::state::SeriesAddr;

/// A family of state sets, or of enums.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_states_family {
    /// Private.
    pub p0: *const c_void,
    /// Private.
    pub p1: *const c_void,
}

/// Several states, each on or off; or an enum, of which one state is on.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_states {
    /// Private.
    pub p0: *const c_void,
    /// Private.
    pub p1: *const c_void,
}

/// A family of information in labels.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_info_family {
    /// Private.
    pub p0: *const c_void,
    /// Private.
    pub p1: *const c_void,
}

const INERT: shmetrics_states = shmetrics_states::INERT;

impl shmetrics_states {
    pub(super) const INERT: Self = shmetrics_states { p0: std::ptr::null(), p1: std::ptr::null() };

    pub(super) fn of(found: Option<StateSet>) -> Self {
        found.map(StateSet::into_words).map_or(INERT, |[p0, p1]| shmetrics_states { p0, p1 })
    }

    fn get(self) -> Option<StateSet> {
        // SAFETY: the words are NULL or what `shmetrics_states_with` gave.
        unsafe { StateSet::from_words([self.p0, self.p1]) }
    }
}

/// Registers a family of state sets, or finds it. The states are those of `spec->states`, each on
/// or off.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_state_set_register(
    segment: *mut shmetrics_segment,
    spec: *const shmetrics_family_spec,
    family: *mut shmetrics_states_family,
) -> shmetrics_status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe { register_family(segment, spec, Kind::StateSet, GaugeMode::Shared, family) })
}

/// Registers a family of enums, or finds it. One of the states of `spec->states` is on, at first
/// the first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_enum_register(
    segment: *mut shmetrics_segment,
    spec: *const shmetrics_family_spec,
    family: *mut shmetrics_states_family,
) -> shmetrics_status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe { register_family(segment, spec, Kind::Enum, GaugeMode::Shared, family) })
}

/// The state set or enum with these label values, made if there is none. See "Label sets" above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_states_with(
    family: shmetrics_states_family,
    values: *const shmetrics_str,
    count: usize,
) -> shmetrics_states {
    hot(INERT, || {
        // SAFETY: the caller's promise.
        shmetrics_states::of(unsafe { find(family.p0, family.p1, values, count) })
    })
}

/// Removes the state set or enum with these label values, for all processes. False if there is
/// none. See "Removing label sets" above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_states_remove(
    family: shmetrics_states_family,
    values: *const shmetrics_str,
    count: usize,
) -> bool {
    // SAFETY: the caller's promise.
    guard(false, || unsafe { remove(family.p0, family.p1, values, count) })
}

/// Removes all state sets or enums of the family, and returns how many.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_states_clear(family: shmetrics_states_family) -> u64 {
    // SAFETY: the words of a family handle.
    guard(0, || unsafe { clear(family.p0, family.p1) })
}

/// Whether the state set or enum has been removed. False for an inert handle.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_states_is_removed(states: shmetrics_states) -> bool {
    let place = SeriesAddr::from_word(states.p1.addr() as u64);
    // SAFETY: the words are NULL or those of a handle.
    unsafe { is_removed(states.p0, place) }
}

/// Sets a state of a state set on or off, by its index in `spec->states`. An index out of range is
/// counted in `shmetrics_updates_rejected_total`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_state_set_set(states: shmetrics_states, state: usize, on: bool) {
    if let Some(set) = states.get() {
        set.set(state, on);
    }
}

/// Sets the state of an enum, by its index in `spec->states`. An index out of range is counted in
/// `shmetrics_updates_rejected_total`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_enum_set(states: shmetrics_states, state: usize) {
    if let Some(set) = states.get() {
        Enum::of(set).set(state);
    }
}

/// Registers a family of information in labels, or finds it. Pages show it as `name_info` with the
/// value 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_info_register(
    segment: *mut shmetrics_segment,
    spec: *const shmetrics_family_spec,
    family: *mut shmetrics_info_family,
) -> shmetrics_status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe { register_family(segment, spec, Kind::Info, GaugeMode::Shared, family) })
}

/// Makes the label set with these values, if there is none. False for an inert family, a wrong
/// number of values, or without room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_info_with(
    family: shmetrics_info_family,
    values: *const shmetrics_str,
    count: usize,
) -> bool {
    hot(false, || {
        // SAFETY: the caller's promise.
        let found: Option<Info> = unsafe { find(family.p0, family.p1, values, count) };
        found.is_some()
    })
}

/// Removes the label set with these values, for all processes. False if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_info_remove(
    family: shmetrics_info_family,
    values: *const shmetrics_str,
    count: usize,
) -> bool {
    // SAFETY: the caller's promise.
    guard(false, || unsafe { remove(family.p0, family.p1, values, count) })
}

/// Removes all label sets of the family, and returns how many.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_info_clear(family: shmetrics_info_family) -> u64 {
    // SAFETY: the words of a family handle.
    guard(0, || unsafe { clear(family.p0, family.p1) })
}
