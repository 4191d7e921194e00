//! Lines put together from pieces that are ready: rendering is copying, and the copies are small.
//! So they are done in blocks of 16 bytes without a call, each running over its piece's end by up
//! to 15 bytes, which the next piece overwrites.

use super::simd::{Block, BLOCK};

/// Bytes a block copy may run over.
pub(in crate::expose) const OVER: usize = BLOCK;

/// A piece of text that may be read past its end by [`OVER`] bytes.
pub(in crate::expose) struct Piece {
    padded: Vec<u8>,
    len: usize,
}

impl Default for Piece {
    fn default() -> Self {
        Piece { padded: vec![0; OVER], len: 0 }
    }
}

impl Piece {
    pub(in crate::expose) fn new(text: impl AsRef<[u8]>) -> Self {
        let mut piece = Piece::default();
        piece.set(|bytes| bytes.extend_from_slice(text.as_ref()));
        piece
    }

    /// Makes the piece anew of what `write` appends, in the memory that the piece has.
    pub(in crate::expose) fn set(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.padded.clear();
        write(&mut self.padded);
        self.len = self.padded.len();
        self.padded.resize(self.len + OVER, 0);
    }

    pub(in crate::expose) fn bytes(&self) -> &[u8] {
        &self.padded[..self.len]
    }

    #[inline(always)]
    pub(in crate::expose) fn len(&self) -> usize {
        self.len
    }
}

/// Bytes of a varint.
#[inline(always)]
pub(in crate::expose) fn varint_len(n: u64) -> usize {
    (70 - (n | 1).leading_zeros() as usize) / 7
}

/// Two digits.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut i = 0;
    while i < 100 {
        pairs[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    pairs
};

/// Powers of ten; the first is 0, so that 0 has one digit.
static POWERS: [u64; 20] = {
    let mut powers = [0; 20];
    let (mut i, mut power) = (1, 1);
    while i < 20 {
        power *= 10;
        powers[i] = power;
        i += 1;
    }
    powers
};

/// Digits of a number.
#[inline(always)]
fn digits(n: u64) -> usize {
    // Its bits, by log10(2): that, or one less.
    let most = ((64 - (n | 1).leading_zeros() as usize) * 1233) >> 12;
    most + usize::from(n >= POWERS[most])
}

/// A line, or a message, in the making at the end of a buffer. Nothing is appended until `keep`.
pub(in crate::expose) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// Where the next byte goes. From here to the end of the room (`OVER` bytes before the end of
    /// the capacity) all is writable.
    at: *mut u8,
    /// Bytes of room left, to check in tests.
    #[cfg(debug_assertions)]
    room: usize,
}

impl<'a> Writer<'a> {
    /// Begins a line of at most `room` bytes.
    #[inline(always)]
    pub(in crate::expose) fn new(out: &'a mut Vec<u8>, room: usize) -> Self {
        out.reserve(room + OVER);
        let len = out.len();
        // SAFETY: within the capacity, or at its end.
        let at = unsafe { out.as_mut_ptr().add(len) };
        Writer {
            out,
            at,
            #[cfg(debug_assertions)]
            room,
        }
    }

    /// Moves on over `len` bytes that have been written.
    #[inline(always)]
    fn pass(&mut self, len: usize) {
        #[cfg(debug_assertions)]
        {
            assert!(len <= self.room, "a writer is longer than its room");
            self.room -= len;
        }
        // SAFETY: within the room, which is what callers of `new` reckon (checked in debug builds).
        self.at = unsafe { self.at.add(len) };
    }

    /// # Safety
    /// `len + OVER` bytes must be readable at `from` (of which the last `OVER` may change or be
    /// anything), or as many as whole blocks of 16 have; 16 at the least.
    #[inline(always)]
    pub(in crate::expose) unsafe fn raw(&mut self, from: *const u8, len: usize) {
        let mut done = 0;
        // The first block is most often the only one.
        loop {
            // SAFETY: the source by the caller's promise; the destination has room for the line and
            // `OVER` more bytes.
            unsafe { Block::read(from.add(done)).write(self.at.add(done)) };
            done += 16;
            if done >= len {
                break;
            }
        }
        self.pass(len);
    }

    /// As `raw`, of a text that is seldom longer than 64 bytes, or as short as a piece.
    ///
    /// # Safety
    /// As `raw`.
    #[inline(always)]
    pub(in crate::expose) unsafe fn text(&mut self, from: *const u8, len: usize) {
        if !(16..=64).contains(&len) {
            // SAFETY: the caller's promise.
            return unsafe { self.raw(from, len) };
        }
        let to = self.at;
        // SAFETY: within the text, and the room for it.
        let block = |at: usize| unsafe { Block::read(from.add(at)).write(to.add(at)) };
        if len > 32 {
            block(0);
            block(16);
            block(len - 32);
        } else {
            block(0);
        }
        block(len - 16);
        self.pass(len);
    }

    #[inline(always)]
    pub(in crate::expose) fn piece(&mut self, piece: &Piece) {
        // SAFETY: a piece is padded by `OVER`.
        unsafe { self.raw(piece.padded.as_ptr(), piece.len) };
    }

    /// Appends `len` bytes, the second and the last of which are to be these.
    #[inline(always)]
    pub(in crate::expose) fn head<const N: usize>(&mut self, bytes: &[u8; N], len: usize, second: u8, last: u8) {
        const { assert!(N % 16 == 0) };
        debug_assert!(len >= 2 && len <= N);
        let from = self.at;
        // SAFETY: it is read in blocks of 16, of which there are as many as it takes.
        unsafe { self.raw(bytes.as_ptr(), len) };
        // SAFETY: within what was just written.
        unsafe {
            *from.add(1) = second;
            *self.at.sub(1) = last;
        }
    }

    /// Appends a piece in blocks from some places in it, each with another block that goes to a
    /// place of its own. There is room for a block more.
    #[inline(always)]
    pub(in crate::expose) fn piece_and(&mut self, piece: &Piece, blocks: impl Iterator<Item = (usize, Block, usize)>) {
        let (from, to) = (piece.padded.as_ptr(), self.at);
        for (at, other, other_at) in blocks {
            debug_assert!(at <= piece.len && other_at <= piece.len + BLOCK);
            // SAFETY: the piece is padded by `OVER`. The room is for it, a block and `OVER` more.
            unsafe {
                Block::read(from.add(at)).write(to.add(at));
                other.write(to.add(other_at));
            }
        }
        self.pass(piece.len);
    }

    /// Appends a piece with these bytes at `at` in it.
    #[inline(always)]
    pub(in crate::expose) fn piece_with(&mut self, piece: &Piece, at: usize, bytes: [u8; 8]) {
        debug_assert!(at + 8 <= piece.len);
        let from = self.at;
        self.piece(piece);
        // SAFETY: within what was just written.
        unsafe { from.add(at).cast::<[u8; 8]>().write_unaligned(bytes) };
    }

    #[inline(always)]
    pub(in crate::expose) fn byte(&mut self, b: u8) {
        // SAFETY: there is room, or else `OVER`.
        unsafe { *self.at = b };
        self.pass(1);
    }

    /// Appends two bytes.
    #[inline(always)]
    pub(in crate::expose) fn two(&mut self, bytes: [u8; 2]) {
        // SAFETY: as in `byte`.
        unsafe { self.at.cast::<[u8; 2]>().write_unaligned(bytes) };
        self.pass(2);
    }

    /// Appends a whole number: two digits at a time, the last ones first, in their place.
    #[inline(always)]
    pub(in crate::expose) fn integer(&mut self, mut n: u64) {
        if n < 10 {
            return self.byte(b'0' + n as u8);
        }
        let len = digits(n);
        // SAFETY: there is room for a number, which is so long.
        let mut at = unsafe { self.at.add(len) };
        let mut two = |n: u64| {
            // SAFETY: two digits at a time, of which there are `len` in all, from the end of their
            // room to its beginning.
            unsafe {
                at = at.sub(2);
                at.cast::<[u8; 2]>().write_unaligned(PAIRS[n as usize]);
            }
        };
        while n >= 100 {
            let rest = n / 100;
            two(n - 100 * rest);
            n = rest;
        }
        if n >= 10 {
            two(n);
        } else {
            // SAFETY: of an odd number of digits, the first one.
            unsafe { *self.at = b'0' + n as u8 };
        }
        self.pass(len);
    }

    /// Appends a number as protobuf's base 128 varint.
    #[inline(always)]
    pub(in crate::expose) fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.byte(n as u8 | 0x80);
            n >>= 7;
        }
        self.byte(n as u8);
    }

    #[inline(always)]
    pub(in crate::expose) fn eight(&mut self, bytes: [u8; 8]) {
        // SAFETY: as in `byte`.
        unsafe { self.at.cast::<[u8; 8]>().write_unaligned(bytes) };
        self.pass(8);
    }

    /// Appends the tag of a message in a message, and room for its length. What this returns goes
    /// to `close`.
    #[inline(always)]
    pub(in crate::expose) fn open(&mut self, tag: u8) -> Open {
        self.two([tag, 0]);
        Open(self.at)
    }

    /// Ends a message: everything since it was opened.
    #[inline(always)]
    pub(in crate::expose) fn close(&mut self, Open(from): Open) {
        let len = self.at as usize - from as usize;
        if len < 0x80 {
            // SAFETY: `open` left this byte.
            unsafe { *from.sub(1) = len as u8 };
        } else {
            self.close_long(from, len);
        }
    }

    /// The length takes more bytes than were left for it.
    #[inline(never)]
    fn close_long(&mut self, from: *mut u8, len: usize) {
        let more = varint_len(len as u64) - 1;
        self.pass(more);
        // SAFETY: what was written since, and there is room for `more` bytes (`pass`).
        unsafe { std::ptr::copy(from, from.add(more), len) };
        let mut n = len;
        for i in 0..=more {
            let next = if i < more { 0x80 } else { 0 };
            // SAFETY: from the byte that `open` left to where the message begins now.
            unsafe { *from.sub(1).add(i) = (n & 0x7f) as u8 | next };
            n >>= 7;
        }
    }

    /// Ends the line here with a line break, for a value that is appended by other means.
    #[inline(always)]
    pub(in crate::expose) fn end(mut self) {
        self.byte(b'\n');
        self.keep();
    }

    /// Keeps what is written, which is this long: so that the next line need not wait until that is
    /// known of this one.
    #[inline(always)]
    pub(in crate::expose) fn keep_bytes(self, bytes: usize) {
        let len = self.out.len() + bytes;
        debug_assert_eq!(len, self.at as usize - self.out.as_ptr() as usize);
        debug_assert!(len + OVER <= self.out.capacity());
        // SAFETY: everything up to here was written, within the capacity (checked in debug builds).
        unsafe { self.out.set_len(len) };
    }

    /// Keeps what is written.
    #[inline(always)]
    pub(in crate::expose) fn keep(self) {
        let len = self.at as usize - self.out.as_ptr() as usize;
        debug_assert!(len + OVER <= self.out.capacity());
        // SAFETY: everything up to here was written, within the capacity.
        unsafe { self.out.set_len(len) };
    }
}

/// A message that is not ended: where its contents begin.
pub(in crate::expose) struct Open(*mut u8);

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn varints_and_messages_of_any_length() {
        for (n, bytes) in [(0, &[0][..]), (127, &[127]), (128, &[128, 1]), (300, &[172, 2]), (1 << 14, &[128, 128, 1])]
        {
            let mut out = Vec::new();
            let mut writer = Writer::new(&mut out, 10);
            writer.varint(n);
            writer.keep();
            assert_eq!((&out[..], varint_len(n)), (bytes, bytes.len()));
        }
        assert_eq!((varint_len(u64::MAX), varint_len((1 << 63) - 1)), (10, 9));
        for len in [0, 1, 127, 128, 300, 20_000] {
            let text = "x".repeat(len);
            let mut out = Vec::new();
            let mut writer = Writer::new(&mut out, len + 10);
            let from = writer.open(0x0a);
            writer.piece(&Piece::new(&text));
            writer.close(from);
            writer.keep();
            let head = 1 + varint_len(len as u64);
            assert_eq!((out.len(), out[0]), (head + len, 0x0a));
            assert_eq!(&out[head..], text.as_bytes());
        }
    }

    #[test]
    fn pieces_and_numbers_of_any_length() {
        let mut out = b"head ".to_vec();
        let mut expected = String::from("head ");
        for n in 0..70 {
            let text: String = (0..n).map(|i| (b'a' + i % 26) as char).collect();
            let piece = Piece::new(&text);
            for v in [0, 7, 42, 999, 1234, 99_999, 1 << 20, 10_000_000, u64::from(u32::MAX), 1 << 53, u64::MAX] {
                let mut writer = Writer::new(&mut out, piece.len() + 21);
                writer.piece(&piece);
                writer.integer(v);
                writer.end();
                writeln!(expected, "{text}{v}").unwrap();
            }
        }
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
