//! Bounds of buckets by a rule: linear, or exponential.

/// The bounds `start`, `start + width`, and so on: `N` of them. A constant may call this.
///
/// Bounds that do not rise, as of a width of 0, are refused when a histogram is registered.
///
/// ```
/// assert_eq!(shmetrics::linear_buckets::<4>(10.0, 5.0), [10.0, 15.0, 20.0, 25.0]);
/// ```
pub const fn linear_buckets<const N: usize>(start: f64, width: f64) -> [f64; N] {
    let mut bounds = [start; N];
    let mut i = 0;
    while i < N {
        bounds[i] = start + width * i as f64;
        i += 1;
    }
    bounds
}

/// The bounds `start`, `start * factor`, and so on: `N` of them. A constant may call this.
///
/// Bounds that do not rise, as of a factor of 1 or a start of 0, are refused when a histogram is
/// registered.
///
/// ```
/// const BOUNDS: [f64; 4] = shmetrics::exponential_buckets(0.5, 2.0);
/// assert_eq!(BOUNDS, [0.5, 1.0, 2.0, 4.0]);
/// ```
pub const fn exponential_buckets<const N: usize>(start: f64, factor: f64) -> [f64; N] {
    let mut bounds = [start; N];
    let mut i = 1;
    while i < N {
        bounds[i] = bounds[i - 1] * factor;
        i += 1;
    }
    bounds
}
