//! Memory of this process as a segment's: without a file and without locks, so that fuzz targets
//! look at a segment in a few microseconds.

use std::ptr::NonNull;
use std::sync::Arc;

use super::Backing;
use crate::shm::grants::Grants;

pub(crate) struct PlainBacking {
    base: NonNull<u8>,
    len: u64,
    grants: Arc<Grants>,
}

// SAFETY: the pointer is only handed out; the maker of this value keeps the memory (`new`).
unsafe impl Send for PlainBacking {}
// SAFETY: as above.
unsafe impl Sync for PlainBacking {}

impl PlainBacking {
    /// # Safety
    /// `base` is page-aligned, and the `len` bytes there are readable for as long as this value is
    /// used.
    pub(crate) unsafe fn new(base: NonNull<u8>, len: u64) -> Self {
        PlainBacking { base, len, grants: Arc::new(Grants::plain()) }
    }
}

impl Backing for PlainBacking {
    fn base(&self) -> NonNull<u8> {
        self.base
    }
    fn len(&self) -> u64 {
        self.len
    }
    fn grants(&self) -> &Grants {
        &self.grants
    }
    fn id(&self) -> (u64, u64) {
        (u64::MAX, self.base.addr().get() as u64)
    }
}
