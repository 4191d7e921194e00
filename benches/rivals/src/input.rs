//! The input of all contestants: label sets, orders and values, fixed by a seed.

use std::sync::LazyLock;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Label names and values of ten characters.
pub const LABELS: [&str; 3] = ["methodname", "pathpathpa", "statuscode"];

/// The finite bucket bounds of every histogram: with +Inf, 15 buckets.
pub const BOUNDS: [f64; 14] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0];

/// Label sets that are looked up.
pub const SETS: usize = 100;

/// A power of two, and longer than a branch predictor can learn.
pub const ORDER: usize = 1 << 14;

/// Three values, as strings that arrive at run time.
pub type Set = [String; 3];

/// A label with ten values that the compiler knows.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, shmetrics::LabelValue, measured::FixedCardinalityLabel, serde::Serialize,
)]
pub enum Digit {
    Zero,
    One,
    Two,
    Three,
    Four,
    Five,
    Six,
    Seven,
    Eight,
    Nine,
}

impl Digit {
    const ALL: [Digit; 10] = [
        Digit::Zero,
        Digit::One,
        Digit::Two,
        Digit::Three,
        Digit::Four,
        Digit::Five,
        Digit::Six,
        Digit::Seven,
        Digit::Eight,
        Digit::Nine,
    ];
}

/// The label sets and values that are looked up and observed, in an order that no branch predictor
/// can learn.
pub struct Input {
    pub sets: Vec<Set>,
    pub order: Vec<u32>,
    pub values: Vec<f64>,
    pub digits: Vec<[Digit; 2]>,
}

impl Input {
    /// The label set of the `i`th look-up.
    #[inline(always)]
    pub fn set(&self, i: usize) -> &Set {
        &self.sets[self.order[i & (ORDER - 1)] as usize]
    }

    /// The labels of the `i`th look-up by index: one of a hundred combinations.
    #[inline(always)]
    pub fn digits(&self, i: usize) -> [Digit; 2] {
        self.digits[i & (ORDER - 1)]
    }

    /// The `i`th value observed: each of the 15 buckets is as likely as any other.
    #[inline(always)]
    pub fn value(&self, i: usize) -> f64 {
        self.values[i & (ORDER - 1)]
    }
}

/// The input of all.
pub static INPUT: LazyLock<Input> = LazyLock::new(|| {
    let mut random = StdRng::seed_from_u64(5);
    Input {
        sets: (0..SETS).map(set).collect(),
        order: (0..ORDER).map(|_| random.random_range(0..SETS as u32)).collect(),
        values: (0..ORDER).map(|_| f64::from(random.random_range(0..15)) + 0.5).collect(),
        digits: (0..ORDER).map(|_| [0; 2].map(|_| Digit::ALL[random.random_range(0..10usize)])).collect(),
    }
});

/// The `i`th label set. All differ, as those of a server do: few methods and states, many paths.
pub fn set(i: usize) -> Set {
    [format!("method{:04}", i % 10), format!("/p/{i:07}"), format!("status{:04}", i % 7)]
}
