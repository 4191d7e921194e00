//! Lines put together from pieces that are ready: rendering is copying, and the copies are small. So they are done in
//! blocks of 16 bytes without a call, each running over its piece's end by up to 15 bytes, which the next piece
//! overwrites.

/// Bytes a block copy may run over.
pub(super) const OVER: usize = 16;

/// A piece of text that may be read past its end by [`OVER`] bytes.
#[derive(Default)]
pub(super) struct Piece {
    padded: Vec<u8>,
}

impl Piece {
    pub(super) fn new(text: &str) -> Self {
        let mut padded = text.as_bytes().to_vec();
        padded.resize(text.len() + OVER, 0);
        Piece { padded }
    }

    pub(super) fn len(&self) -> usize {
        self.padded.len().saturating_sub(OVER)
    }
}

/// A line in the making at the end of a buffer. Nothing is appended until `finish`.
pub(super) struct Line<'a> {
    out: &'a mut Vec<u8>,
    /// Length with what is written so far.
    len: usize,
    /// Length up to which there is room.
    room: usize,
}

impl<'a> Line<'a> {
    /// Begins a line of at most `room` bytes.
    #[inline(always)]
    pub(super) fn new(out: &'a mut Vec<u8>, room: usize) -> Self {
        out.reserve(room + OVER);
        let len = out.len();
        Line { out, len, room: len + room }
    }

    /// # Safety
    /// `len + OVER` bytes must be readable at `from` (of which the last `OVER` may change or be anything).
    #[inline(always)]
    pub(super) unsafe fn raw(&mut self, from: *const u8, len: usize) {
        debug_assert!(self.len + len <= self.room);
        let mut done = 0;
        while done < len {
            // SAFETY: the source by the caller's promise; the destination has room for the line and `OVER` more bytes.
            unsafe {
                let to = self.out.as_mut_ptr().add(self.len + done);
                std::ptr::copy_nonoverlapping(from.add(done), to, 16);
            }
            done += 16;
        }
        self.len += len;
    }

    #[inline(always)]
    pub(super) fn piece(&mut self, piece: &Piece) {
        // SAFETY: a piece is padded by `OVER`.
        unsafe { self.raw(piece.padded.as_ptr(), piece.len()) };
    }

    #[inline(always)]
    pub(super) fn byte(&mut self, b: u8) {
        debug_assert!(self.len < self.room);
        // SAFETY: there is room.
        unsafe { *self.out.as_mut_ptr().add(self.len) = b };
        self.len += 1;
    }

    #[inline(always)]
    pub(super) fn integer(&mut self, n: u64) {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(n).as_bytes();
        let (from, len) = (digits.as_ptr(), digits.len());
        debug_assert!(self.len + len <= self.room);
        // SAFETY: two copies that overlap cover all lengths from their size to twice that, within the digits; there is room.
        unsafe {
            let to = self.out.as_mut_ptr().add(self.len);
            let both = |size: usize| {
                std::ptr::copy_nonoverlapping(from, to, size);
                std::ptr::copy_nonoverlapping(from.add(len - size), to.add(len - size), size);
            };
            match len {
                16.. => both(16),
                8..=15 => both(8),
                4..=7 => both(4),
                2..=3 => both(2),
                _ => *to = *from,
            }
        }
        self.len += len;
    }

    /// Ends the line here with a line break, for a value that is appended by other means.
    #[inline(always)]
    pub(super) fn end(mut self) {
        self.byte(b'\n');
        self.keep();
    }

    /// Keeps what is written.
    #[inline(always)]
    pub(super) fn keep(self) {
        debug_assert!(self.len <= self.room && self.room + OVER <= self.out.capacity());
        // SAFETY: everything up to here was written, within the capacity.
        unsafe { self.out.set_len(self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn pieces_and_numbers_of_any_length() {
        let mut out = b"head ".to_vec();
        let mut expected = String::from("head ");
        for n in 0..70 {
            let text: String = (0..n).map(|i| (b'a' + i % 26) as char).collect();
            let piece = Piece::new(&text);
            for v in [0, 7, 42, 999, 1234, 99_999, 1 << 20, 10_000_000, u64::from(u32::MAX), 1 << 53, u64::MAX] {
                let mut line = Line::new(&mut out, piece.len() + 21);
                line.piece(&piece);
                line.integer(v);
                line.end();
                writeln!(expected, "{text}{v}").unwrap();
            }
        }
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
