//! Calls with NULLs and zero handles.

use super::State;
use crate::ffi::{self, Str, Three, Two};
use crate::input::Input;

/// Calls with the handles of no bundle and of no label set.
fn no_entry(one: &Str) {
    let (zero, none, no_bundle) = (Three::ZERO, std::ptr::null(), Two::ZERO);
    let update = ffi::Update { member: 0, operation: 0, bits: 1 };
    // SAFETY: NULL is allowed everywhere; what is not NULL is ours.
    unsafe {
        let mut entry = zero;
        ffi::shmetrics_entry_update(zero, &raw const update, 1);
        ffi::shmetrics_bundle_with_p(std::ptr::null(), one, 1, &raw mut entry);
        ffi::shmetrics_bundle_with_p(&raw const no_bundle, one, 1, std::ptr::null_mut());
        assert!(entry.is_zero() && ffi::shmetrics_bundle_with(Two::ZERO, one, 1).is_zero());
        assert!(!ffi::shmetrics_bundle_remove(Two::ZERO, one, 1));
        assert_eq!(ffi::shmetrics_bundle_clear(Two::ZERO), 0);
        assert!(!ffi::shmetrics_entry_is_removed(zero));
        assert!(ffi::shmetrics_entry_counter(zero, 0).is_zero());
        assert!(ffi::shmetrics_entry_gauge(zero, 0).is_zero());
        assert!(ffi::shmetrics_entry_histogram(zero, 0).is_zero());
        assert!(ffi::shmetrics_entry_states(zero, 0).is_zero());
        for p in [none, &raw const zero] {
            ffi::shmetrics_entry_add_u64_p(p, 0, 1);
            ffi::shmetrics_entry_add_p(p, 0, 1.0);
            ffi::shmetrics_entry_set_p(p, 0, 1.0);
            ffi::shmetrics_entry_observe_p(p, 0, 1.0);
            ffi::shmetrics_entry_update_p(p, std::ptr::null(), 1);
            ffi::shmetrics_entry_update_p(p, &raw const update, 1);
        }
    }
}

impl State<'_> {
    /// One call with NULLs and zero handles: it says so or does nothing.
    pub(super) fn null(&mut self, input: &mut Input<'_>) {
        let (segment, null) = (self.segments[0], std::ptr::null_mut::<std::ffi::c_void>());
        let (no_spec, no_bundle, no_family) = (std::ptr::null(), std::ptr::null(), std::ptr::null_mut());
        let mut handle = null;
        let (mut family, one) = (Two::ZERO, Str::null(1));
        let (mut byte, mut length) = (0u8, 0);
        let v = 1.0;
        // SAFETY: NULL is allowed everywhere; what is not NULL is ours.
        let status = unsafe {
            match input.below(30) {
                0 => ffi::shmetrics_counter_register(segment, no_spec, &raw mut family),
                1 => ffi::shmetrics_gauge_register(segment, no_spec, 0, no_family),
                2 => ffi::shmetrics_histogram_register(null, no_spec, &raw mut family),
                3 => ffi::shmetrics_segment_set_identity(null, 1),
                4 => ffi::shmetrics_segment_render(null, &raw mut byte, 1, &raw mut length),
                5 => ffi::shmetrics_segment_render(segment, no_family.cast(), 1, &raw mut length),
                6 => ffi::shmetrics_segment_render(segment, &raw mut byte, 1, std::ptr::null_mut()),
                7 => ffi::shmetrics_segment_cursor(null, &raw mut handle),
                8 => ffi::shmetrics_segment_cursor(segment, std::ptr::null_mut()),
                9 => ffi::shmetrics_reader_open(Str::null(3), &raw mut handle),
                10 => ffi::shmetrics_reader_open(Str::new(b"x"), std::ptr::null_mut()),
                11 => ffi::shmetrics_reader_render(null, &raw mut byte, 1, &raw mut length),
                12 => ffi::shmetrics_reader_cursor(null, &raw mut handle),
                13 => ffi::shmetrics_segment_open(std::ptr::null(), std::ptr::null_mut()),
                14 => ffi::shmetrics_segment_remove(Str::null(3)),
                15 => {
                    assert_eq!(ffi::shmetrics_cursor_read(null, &raw mut byte, 1), 0);
                    ffi::shmetrics_cursor_free(null);
                    ffi::shmetrics_reader_free(null);
                    ffi::shmetrics_options_init(std::ptr::null_mut());
                    return;
                }
                16 => {
                    ffi::shmetrics_counter_inc(Two::ZERO);
                    ffi::shmetrics_counter_add(Two::ZERO, v);
                    ffi::shmetrics_counter_add_u64(Two::ZERO, 1);
                    assert_eq!(ffi::shmetrics_counter_value(Two::ZERO), 0.0);
                    return;
                }
                17 => {
                    ffi::shmetrics_gauge_set(Two::ZERO, v);
                    ffi::shmetrics_gauge_add(Two::ZERO, v);
                    ffi::shmetrics_gauge_inc(Two::ZERO);
                    ffi::shmetrics_gauge_dec(Two::ZERO);
                    ffi::shmetrics_gauge_set_to_now(Two::ZERO);
                    return;
                }
                18 => {
                    ffi::shmetrics_histogram_observe(Three::ZERO, v);
                    ffi::shmetrics_histogram_observe_since(Three::ZERO, 0);
                    return;
                }
                19 => {
                    let no_values = std::ptr::null();
                    assert!(!ffi::shmetrics_counter_remove(Two::ZERO, &raw const one, 1));
                    assert!(!ffi::shmetrics_gauge_remove(Two::ZERO, no_values, 1));
                    assert!(!ffi::shmetrics_histogram_remove(Two::ZERO, no_values, 0));
                    assert_eq!(ffi::shmetrics_counter_clear(Two::ZERO), 0);
                    assert_eq!(ffi::shmetrics_gauge_clear(Two::ZERO), 0);
                    assert_eq!(ffi::shmetrics_histogram_clear(Two::ZERO), 0);
                    assert!(!ffi::shmetrics_counter_is_removed(Two::ZERO));
                    assert!(!ffi::shmetrics_gauge_is_removed(Two::ZERO));
                    assert!(!ffi::shmetrics_histogram_is_removed(Three::ZERO));
                    assert_eq!(ffi::shmetrics_segment_expire(null), 0);
                    assert!(ffi::shmetrics_segment_mark_dead(null, 1));
                    return;
                }
                20 => ffi::shmetrics_cursor_set_exposition(
                    null,
                    ffi::Exposition { format: 0, escaping: 0, created: false },
                ),
                21 => ffi::shmetrics_cursor_add_filter(null, Str::new(b"a")),
                22 => ffi::shmetrics_summary_register(segment, no_spec, &raw mut family),
                23 => ffi::shmetrics_enum_register(null, no_spec, no_family),
                24 => {
                    ffi::shmetrics_histogram_unobserve(Three::ZERO, v);
                    ffi::shmetrics_state_set_set(Two::ZERO, 0, true);
                    ffi::shmetrics_enum_set(Two::ZERO, 0);
                    assert!(!ffi::shmetrics_states_is_removed(Two::ZERO));
                    assert!(ffi::shmetrics_summary_with(Two::ZERO, &raw const one, 1).is_zero());
                    assert!(ffi::shmetrics_states_with(Two::ZERO, std::ptr::null(), 0).is_zero());
                    assert!(!ffi::shmetrics_info_with(Two::ZERO, std::ptr::null(), 3));
                    return;
                }
                26 => ffi::shmetrics_bundle_register(null, no_bundle, &raw mut family),
                27 => ffi::shmetrics_bundle_register(segment, no_bundle, &raw mut family),
                28 => ffi::shmetrics_bundle_register(segment, no_bundle, no_family),
                29 => {
                    no_entry(&one);
                    return;
                }
                _ => {
                    assert!(ffi::shmetrics_counter_with(Two::ZERO, std::ptr::null(), 3).is_zero());
                    assert!(ffi::shmetrics_gauge_with(Two::ZERO, std::ptr::null(), 0).is_zero());
                    assert!(ffi::shmetrics_histogram_with(Two::ZERO, &raw const one, 1).is_zero());
                    return;
                }
            }
        };
        assert_eq!(status, ffi::NULL_ARGUMENT, "{}", ffi::last_error());
        assert!(handle.is_null() && family.is_zero(), "outputs are written on success only");
    }
}
