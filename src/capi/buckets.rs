//! Bounds of buckets, computed.

use super::status::{fail, shmetrics_status};
use super::{fits, guarded, null};

/// Writes `count` upper bounds to `bounds`: `start`, `start + width`, `start + 2 * width` and so
/// on. `SHMETRICS_STATUS_INVALID_ARGUMENT`: they would not rise, or would not be finite.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_buckets_linear(
    start: f64,
    width: f64,
    bounds: *mut f64,
    count: usize,
) -> shmetrics_status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe { write(bounds, count, |i| start + width * i as f64) })
}

/// Writes `count` upper bounds to `bounds`: `start`, and each further one `factor` times the one
/// before. `SHMETRICS_STATUS_INVALID_ARGUMENT`: they would not rise, or would not be finite.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_buckets_exponential(
    start: f64,
    factor: f64,
    bounds: *mut f64,
    count: usize,
) -> shmetrics_status {
    let mut next = start;
    let mut bound = |_| {
        let this = next;
        next *= factor;
        this
    };
    // SAFETY: the caller's promise.
    guarded(|| unsafe { write(bounds, count, &mut bound) })
}

/// # Safety
/// `bounds` is NULL or has room for `count` numbers.
unsafe fn write(bounds: *mut f64, count: usize, mut bound: impl FnMut(usize) -> f64) -> Result<(), shmetrics_status> {
    if bounds.is_null() && count > 0 {
        return Err(null("where to put the bounds"));
    }
    fits::<f64>(count, "bounds")?;
    let mut before = f64::NEG_INFINITY;
    for i in 0..count {
        let next = bound(i);
        if !next.is_finite() || next <= before {
            let message = format!("bound {i} would be {next}, after {before}: bounds are finite and rise");
            return Err(fail(shmetrics_status::InvalidArgument, message));
        }
        // SAFETY: `i < count`; the caller's promise.
        unsafe { bounds.add(i).write(next) };
        before = next;
    }
    Ok(())
}
