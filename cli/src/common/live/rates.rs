//! Rates of one counter: since the last read, and as averages over 10 and 60 seconds.

use std::time::Instant;

const WINDOWS: [f64; 2] = [10.0, 60.0];

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    last: Option<(Instant, f64)>,
    /// Seconds since the first read.
    elapsed: f64,
    /// Since the last read, over 10 s, over 60 s.
    per_second: [f64; 3],
}

impl Rates {
    /// Takes the value of a read.
    pub(super) fn update(&mut self, now: Instant, value: f64) {
        let Some((then, old)) = self.last.replace((now, value)) else { return };
        let seconds = now.duration_since(then).as_secs_f64().max(1e-9);
        // A counter that has fallen began at 0 in between.
        let rate = (if value < old { value } else { value - old }) / seconds;
        self.elapsed += seconds;
        self.per_second[0] = rate;
        for (average, window) in self.per_second[1..].iter_mut().zip(WINDOWS) {
            // Until the window is full, each second has the same weight.
            let weight = (1.0 - (-seconds / window).exp()).max(seconds / self.elapsed);
            *average += (rate - *average) * weight;
        }
    }

    /// Since the last read, and over 10 and 60 seconds. `None` before the second read.
    pub(crate) fn get(&self) -> Option<[f64; 3]> {
        (self.elapsed > 0.0).then_some(self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn averages_follow_at_their_own_pace() {
        let begin = Instant::now();
        let (mut rates, mut total) = (Rates::default(), 0.0);
        let mut second = 0;
        let mut count = |rates: &mut Rates, seconds: u64, rate: f64| {
            for _ in 0..seconds {
                total += rate;
                second += 1;
                rates.update(begin + Duration::from_secs(second), total);
            }
        };
        count(&mut rates, 1, 0.0);
        assert_eq!(rates.get(), None, "one read has no rate");
        count(&mut rates, 4, 100.0);
        assert_eq!(rates.get().map(|r| r.map(f64::round)), Some([100.0; 3]));
        count(&mut rates, 60, 100.0);
        count(&mut rates, 10, 0.0);
        let [now, ten, sixty] = rates.get().expect("there were reads");
        assert!(now.abs() < 1e-9 && (30.0..45.0).contains(&ten) && (80.0..90.0).contains(&sixty), "{ten} {sixty}");
        // A restart.
        rates.update(begin + Duration::from_secs(second + 1), 7.0);
        assert_eq!(rates.get().map(|r| r[0]), Some(7.0));
    }
}
