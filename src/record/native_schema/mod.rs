//! The buckets of native histograms: their schemas, and which bucket a number is in.

mod bounds;
pub(crate) mod index;
mod scheme;

pub(crate) use self::scheme::*;

use self::index::{schema_of, SCHEMA_MAX, SCHEMA_MIN};
use crate::Error;

/// 2^-128: below it, and above its negative, all is 0.
const ZERO_THRESHOLD: f64 = f64::from_bits((1023 - 128) << 52);
const MAX_BUCKETS: u32 = 160;
/// The quantiles of a summary cover at most the last ten minutes.
pub(crate) const WINDOW_SECONDS: u32 = 600;
/// The schema of summaries: neighbouring bounds differ by 2.2 %, so the middle of a bucket is at
/// most 1.1 % from what is in it.
const QUANTILE_SCHEMA: i8 = 5;

/// The buckets of a native histogram: each is by the same factor larger than the one before, and
/// all there ever was an observation in are there, without a list of bounds. See
/// [`Builder::native`](crate::Builder::native).
///
/// The bounds are those of one of 13 schemas: powers of 2^(1 / 2^n), for n from -4 to 8.
///
/// Two are equal if they are the same buckets: `Native::factor(1.1)` is `Native::schema(3)`.
#[derive(Clone, Copy, Debug)]
pub struct Native {
    resolution: Resolution,
    zero_threshold: f64,
    max_buckets: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Resolution {
    Factor(f64),
    Schema(i32),
}

/// What a family's record keeps of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) schema: i8,
    pub(crate) zero_threshold: f64,
    pub(crate) max_buckets: u32,
    /// The seconds that the quantiles of a summary look back.
    pub(crate) window: u32,
}

impl Default for Native {
    /// Schema 3, a factor of 1.09: quantiles that are right to 4.4 %.
    fn default() -> Self {
        Native { resolution: Resolution::Schema(3), zero_threshold: ZERO_THRESHOLD, max_buckets: MAX_BUCKETS }
    }
}

impl Native {
    /// Buckets that grow by at most this factor, which is more than 1: the coarsest schema with
    /// such.
    pub fn factor(factor: f64) -> Self {
        Native { resolution: Resolution::Factor(factor), ..Native::default() }
    }

    /// Buckets that grow by the factor 2^(1 / 2^n), for n from -4 to 8.
    pub fn schema(n: i32) -> Self {
        Native { resolution: Resolution::Schema(n), ..Native::default() }
    }

    /// What is at most so far from 0 is counted in the zero bucket. 2^-128, unless said otherwise;
    /// with 0, only 0 itself.
    #[must_use]
    pub fn zero_threshold(mut self, threshold: f64) -> Self {
        self.zero_threshold = threshold;
        self
    }

    /// The most buckets that pages show of a series. 160, unless said otherwise; `u32::MAX` for no
    /// limit.
    ///
    /// Beyond it they show two buckets as one, which is the next coarser schema; at the coarsest,
    /// those nearest to 0 as part of the zero bucket. What is counted stays counted as it was, and
    /// a series never goes back to finer buckets, which scrapers would take for a restart.
    #[must_use]
    pub fn max_buckets(mut self, buckets: u32) -> Self {
        self.max_buckets = buckets;
        self
    }

    pub(crate) fn checked(self) -> Result<Stored, Error> {
        let bad = |what: String| Err(Error::InvalidArgument(what));
        let schema = match self.resolution {
            Resolution::Factor(factor) if factor > 1.0 && factor.is_finite() => schema_of(factor),
            Resolution::Factor(factor) => {
                return bad(format!(
                    "native buckets that grow by the factor {factor}: it must be greater than 1, such as 1.1"
                ))
            }
            Resolution::Schema(n) => match i8::try_from(n) {
                Ok(n) if (SCHEMA_MIN..=SCHEMA_MAX).contains(&n) => n,
                _ => return bad(format!("native buckets of schema {n}: there are {SCHEMA_MIN} to {SCHEMA_MAX}")),
            },
        };
        if !(0.0..=f64::MAX).contains(&self.zero_threshold) {
            return bad(format!("the zero threshold {}: it must be 0 or a positive number", self.zero_threshold));
        }
        if self.max_buckets == 0 {
            return bad("a native histogram of at most 0 buckets: give a number, or the largest for no limit".into());
        }
        // -0 is 0.
        Ok(Stored { schema, zero_threshold: self.zero_threshold + 0.0, max_buckets: self.max_buckets, window: 0 })
    }
}

impl PartialEq for Native {
    fn eq(&self, other: &Self) -> bool {
        if let (Ok(own), Ok(its)) = (self.checked(), other.checked()) {
            return own == its;
        }
        let parts = |native: &Native| (native.resolution, native.zero_threshold, native.max_buckets);
        parts(self) == parts(other)
    }
}

impl From<Stored> for Native {
    fn from(stored: Stored) -> Self {
        Native {
            resolution: Resolution::Schema(stored.schema.into()),
            zero_threshold: stored.zero_threshold,
            max_buckets: stored.max_buckets,
        }
    }
}

impl Stored {
    /// For the quantiles of a summary.
    pub(crate) fn of_quantiles(window: u32) -> Self {
        Stored { schema: QUANTILE_SCHEMA, zero_threshold: ZERO_THRESHOLD, max_buckets: u32::MAX, window }
    }
}

impl std::fmt::Display for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.window > 0 {
            return write!(f, "those of quantiles of {} s", self.window);
        }
        write!(f, "of schema {}, zero below {:e}, ", self.schema, self.zero_threshold)?;
        match self.max_buckets {
            u32::MAX => write!(f, "any number"),
            most => write!(f, "at most {most}"),
        }
    }
}
