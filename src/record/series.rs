//! A series' record, as it is written.

use super::gauge_mode::GaugeMode;
use crate::kind::Kind;
use crate::segment::Inner;
use crate::shm::layout::{entry, FLAG_ESCAPED, FLAG_MODE_SHIFT};

/// A series about to be written.
pub(crate) struct NewSeries {
    pub(crate) family: u32,
    /// The upper 32 bits of the label set's hash.
    pub(crate) tag: u32,
    pub(crate) kind: Kind,
    pub(crate) mode: GaugeMode,
    pub(crate) escaped: bool,
    pub(crate) text_len: usize,
}

impl NewSeries {
    /// Writes all but the state, the cells and the text. The record is the caller's alone.
    pub(crate) fn write(&self, inner: &Inner, at: u64) {
        let memory = &inner.memory;
        memory.note_update();
        memory.put32(at + entry::PARENT, self.family);
        memory.put32(at + entry::TAG, self.tag);
        memory.put32(at + entry::CREATED, inner.age());
        memory.put16(at + entry::TEXT_LEN, self.text_len as u16);
        memory.put8(at + entry::KIND, self.kind as u8);
        memory
            .put8(at + entry::FLAGS, ((self.mode as u8) << FLAG_MODE_SHIFT) | (u8::from(self.escaped) * FLAG_ESCAPED));
    }
}
