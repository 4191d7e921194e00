//! `Global`: metrics in a `static`, which the master installs before it forks.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};

use crate::shm::layout::header;
use crate::shm::memory::Memory;
use crate::{Error, Segment};

/// Metrics that are registered together. [`metrics!`](crate::metrics) declares a struct that
/// implements it.
pub trait Metrics: Sized {
    /// Registers the metrics, or finds them.
    ///
    /// # Errors
    /// As [`Builder::register`](crate::Builder::register).
    fn register(segment: &Segment) -> Result<Self, Error>;
}

/// Metrics in a `static`, which exist once they are installed in a segment.
///
/// A `static` that opens a segment at its first use is wrong in a prefork server: if the workers
/// use it first, each opens a segment of its own where the segment has no name. So a `Global` opens
/// nothing. The master installs it before it forks, and the workers inherit it. Until then updates
/// do nothing, and are counted.
///
/// ```
/// use shmetrics::{metrics, Global, Options};
///
/// metrics! {
///     struct Shop(prefix = "shop") {
///         /// Orders placed.
///         orders: Counter = "orders_total",
///     }
/// }
/// static SHOP: Global<Shop> = Global::new();
///
/// # fn main() -> Result<(), shmetrics::Error> {
/// SHOP.with(|shop| shop.orders.inc());
/// assert_eq!(SHOP.missed(), 1);
///
/// let segment = Options::new().anonymous().open()?;
/// SHOP.install(&segment)?;
/// // Fork the workers here.
/// SHOP.with(|shop| shop.orders.inc());
/// assert_eq!(SHOP.get().map(|shop| shop.orders.get()), Some(1.0));
/// # Ok(()) }
/// ```
pub struct Global<T> {
    installed: AtomicPtr<Installed<T>>,
    missed: AtomicU64,
    owned: PhantomData<T>,
}

struct Installed<T> {
    segment: Segment,
    metrics: T,
}

impl<T> Global<T> {
    /// Without metrics.
    pub const fn new() -> Self {
        Global { installed: AtomicPtr::new(std::ptr::null_mut()), missed: AtomicU64::new(0), owned: PhantomData }
    }

    /// Registers the metrics in the segment, for this process and the children that it forks from
    /// now on. Again with the same segment, it changes nothing.
    ///
    /// What was [missed](Global::missed) before is added to `shmetrics_updates_rejected_total`, so
    /// that the page tells of it.
    ///
    /// # Errors
    /// As [`Metrics::register`], and [`Error::Conflict`] if the metrics are installed in another
    /// segment.
    pub fn install(&self, segment: &Segment) -> Result<&T, Error>
    where
        T: Metrics,
    {
        if self.installed().is_none() {
            let new = Box::into_raw(Box::new(Installed { segment: *segment, metrics: T::register(segment)? }));
            // AcqRel pairs with `installed`: the metrics are whole.
            match self.installed.compare_exchange(std::ptr::null_mut(), new, AcqRel, Acquire) {
                Ok(_) => {
                    segment.inner.memory.add64(header::REJECTED_UPDATES, self.missed(), Relaxed);
                }
                // SAFETY: made above, and seen by no other thread.
                Err(_) => drop(unsafe { Box::from_raw(new) }),
            }
        }
        match self.installed() {
            Some(installed) if std::ptr::eq(installed.segment.inner, segment.inner) => Ok(&installed.metrics),
            _ => Err(Error::Conflict(
                "the metrics are installed in another segment of this process: install them once, before the workers are forked"
                    .into(),
            )),
        }
    }

    /// The metrics, once they are installed.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.installed().map(|installed| &installed.metrics)
    }

    /// Calls `f` with the metrics. Before they are installed this does nothing but count in
    /// [`Global::missed`].
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&T) -> R) -> Option<R> {
        let metrics = self.get();
        if metrics.is_none() {
            // Relaxed: a count of its own.
            self.missed.fetch_add(1, Relaxed);
        }
        metrics.map(f)
    }

    /// How many calls of [`Global::with`] came before the metrics were installed, in this process.
    pub fn missed(&self) -> u64 {
        self.missed.load(Relaxed)
    }

    #[inline]
    fn installed(&self) -> Option<&Installed<T>> {
        // SAFETY: null, or what `install` has leaked, which goes with `self`. Acquire pairs with
        // the AcqRel there.
        unsafe { self.installed.load(Acquire).as_ref() }
    }
}

impl<T> Default for Global<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Global<T> {
    fn drop(&mut self) {
        let installed = *self.installed.get_mut();
        if !installed.is_null() {
            // SAFETY: made by `install` from a box, and `self` is not borrowed any more.
            drop(unsafe { Box::from_raw(installed) });
        }
    }
}

// SAFETY: a `T` that threads share, and that the last owner drops.
unsafe impl<T: Send + Sync> Sync for Global<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Send for Global<T> {}

impl<T: std::fmt::Debug> std::fmt::Debug for Global<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Global").field("metrics", &self.get()).field("missed", &self.missed()).finish()
    }
}
