//! A page that C reads in pieces, and what a program adds to it before it begins.

use super::null;
use super::status::{fail, shmetrics_status};
use crate::expose::MEMORY_TO_RENDER;
use crate::{Cursor, Error, ExternalFamily, Page};

/// A page that is read in pieces. Freed by `shmetrics_cursor_free`.
pub struct shmetrics_cursor {
    _private: [u8; 0],
}

/// A family that is in no segment.
#[derive(Clone)]
pub(super) struct External {
    /// The name without the `_total` of a counter.
    pub(super) base: String,
    pub(super) kind: u32,
    pub(super) family: ExternalFamily,
}

/// A cursor of C: a page, and what a program adds to it before the first read.
pub(super) struct CPage {
    progress: Progress,
    pub(super) external: Vec<External>,
    /// Whether a collector is adding to the page: it can be neither read nor freed.
    pub(super) collecting: bool,
}

enum Progress {
    /// Nothing was read.
    Page(Page<'static>),
    Cursor(Box<Cursor<'static>>),
    /// Only while the page becomes a cursor.
    None,
}

impl CPage {
    pub(super) fn new(page: Page<'static>) -> Self {
        CPage { progress: Progress::Page(page), external: Vec::new(), collecting: false }
    }

    /// # Safety
    /// `page` is NULL or came from `shmetrics_..._cursor`.
    pub(super) unsafe fn of<'a>(page: *mut shmetrics_cursor) -> Result<&'a mut CPage, shmetrics_status> {
        // SAFETY: the caller's promise.
        unsafe { page.cast::<CPage>().as_mut() }.ok_or_else(|| null("the cursor"))
    }

    /// The page, before the first read.
    pub(super) fn not_begun(&mut self) -> Result<&mut Page<'static>, shmetrics_status> {
        match &mut self.progress {
            Progress::Page(page) => Ok(page),
            _ => Err(fail(shmetrics_status::InvalidArgument, "the page has begun; call this before the first read")),
        }
    }

    /// The cursor with all families. `None` within a collector.
    pub(super) fn cursor(&mut self) -> Option<&mut Cursor<'static>> {
        if self.collecting {
            return None;
        }
        if let Some(page) = self.take_page() {
            self.progress = Progress::Cursor(Box::new(page.cursor()));
        }
        match &mut self.progress {
            Progress::Cursor(cursor) => Some(cursor),
            _ => None,
        }
    }

    /// The page with all families, before the first read.
    pub(super) fn take_page(&mut self) -> Option<Page<'static>> {
        match std::mem::replace(&mut self.progress, Progress::None) {
            Progress::Page(page) => Some(self.external.drain(..).map(|one| one.family).fold(page, Page::with)),
            other => {
                self.progress = other;
                None
            }
        }
    }

    /// The whole page, with an error where the process has no memory for it.
    pub(super) fn render(mut self) -> Result<Vec<u8>, Error> {
        let mut page = Vec::new();
        while let Some(cursor) = self.cursor() {
            // A piece is about 32 KiB and ends behind a series; the rest is for a large one. The
            // page grows here, not in the cursor. The first allocation has room for two pieces
            // more, so that a small page is never copied.
            if page.capacity() - page.len() < MEMORY_TO_RENDER {
                let more = page.len().max(MEMORY_TO_RENDER + (64 << 10));
                page.try_reserve(more).map_err(|_| Error::NoMemory)?;
            }
            if !cursor.fill(&mut page) {
                break;
            }
        }
        Ok(page)
    }
}
