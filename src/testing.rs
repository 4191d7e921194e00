//! Support for tests of code that counts.

use std::ops::Deref;

use crate::{Error, Options, Segment};

/// A segment for one test: without a name, and gone when it is dropped.
///
/// Where a [`Segment`] stays mapped for the life of the process, a `Scratch` gives its memory and
/// its descriptor back. Handles to its metrics may outlive it, as all handles are plain copies.
/// They never dangle: zeros of this process alone stand at the addresses then, and no page shows
/// what a late update does to them. The addresses (1 MiB, unless the options say otherwise) stay
/// reserved, so that no other memory ever comes to stand there.
///
/// ```
/// # fn main() -> Result<(), shmetrics::Error> {
/// use shmetrics::testing::Scratch;
///
/// let scratch = Scratch::new()?;
/// let served = scratch.counter("served_total", "").register()?;
/// served.inc();
/// assert_eq!(served.get(), 1.0);
/// drop(scratch);
/// served.inc(); // nothing happens
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Scratch {
    segment: Segment,
}

impl Scratch {
    /// A segment of up to 1 MiB.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn new() -> Result<Self, Error> {
        Self::with(&Options::new().max_size(1 << 20))
    }

    /// With other options, such as labels or a larger maximum size.
    ///
    /// # Errors
    /// As [`Options::open`] of an [anonymous](Options::anonymous) segment.
    pub fn with(options: &Options) -> Result<Self, Error> {
        Ok(Scratch { segment: options.clone().scratch().open()? })
    }
}

impl Deref for Scratch {
    type Target = Segment;

    fn deref(&self) -> &Segment {
        &self.segment
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let inner = self.segment.inner;
        inner.process.discard(&inner.attached());
        inner.backing.discard();
    }
}
