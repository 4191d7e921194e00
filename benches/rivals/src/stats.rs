//! Medians with their spread.

use serde_json::{json, Value};

/// The `q`th quantile, by the nearest rank below; the samples get sorted.
pub fn quantile(samples: &mut [f64], q: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    match samples.len() {
        0 => f64::NAN,
        n => samples[(((n - 1) as f64) * q).round() as usize],
    }
}

/// Median, quartiles and extremes.
pub fn spread(samples: &[f64]) -> Value {
    let mut sorted = samples.to_vec();
    let at = |q, sorted: &mut Vec<f64>| quantile(sorted, q);
    json!({
        "median": at(0.5, &mut sorted),
        "q1": at(0.25, &mut sorted),
        "q3": at(0.75, &mut sorted),
        "min": at(0.0, &mut sorted),
        "max": at(1.0, &mut sorted),
        "n": samples.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_samples_of_their_rank() {
        let mut samples = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!([0.0, 0.25, 0.5, 0.75, 1.0].map(|q| quantile(&mut samples, q)), [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(spread(&samples)["median"], 3.0);
        assert!(quantile(&mut [], 0.5).is_nan());
    }
}
