//! The operations of a contestant, and the list of the contestants.

use std::sync::Arc;

use crate::input::Set;

/// An update, done `n` times; the first number says where in the input to begin.
pub type Work = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// The updates that are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Row {
    /// A counter that is kept, `inc`.
    Inc,
    /// Three strings of a hundred sets to a counter, and `inc`.
    Lookup,
    /// A histogram of 15 equally likely buckets.
    Observe,
    /// A gauge that is kept, `set`.
    GaugeSet,
    /// A gauge that is kept, `inc`.
    GaugeInc,
    /// Two enums of ten values each to a counter, and `inc`.
    Index,
}

impl Row {
    pub const ALL: [Row; 6] = [Row::Inc, Row::Lookup, Row::Observe, Row::GaugeSet, Row::GaugeInc, Row::Index];

    pub fn name(self) -> &'static str {
        match self {
            Row::Inc => "inc",
            Row::Lookup => "lookup",
            Row::Index => "index",
            Row::Observe => "observe",
            Row::GaugeSet => "gauge_set",
            Row::GaugeInc => "gauge_inc",
        }
    }

    pub fn named(name: &str) -> Option<Row> {
        Row::ALL.into_iter().find(|row| row.name() == name)
    }
}

/// What a page, or memory, is full of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    Counters,
    Histograms,
}

/// Series of one family.
pub trait Series {
    /// Makes series and counts, or observes, once in each.
    fn add(&mut self, sets: &[Set]);
    /// Renders the page and says how many bytes it has.
    fn render(&mut self) -> usize;
    /// The page, for counting its lines.
    fn page(&mut self) -> Vec<u8>;
}

/// How two workers update one metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    Threads,
    Processes,
}

/// A library, or a floor.
pub struct Contestant {
    pub name: &'static str,
    pub sharing: Sharing,
    /// What a look-up compares, for libraries that have one.
    pub note: &'static str,
    pub work: fn(Row) -> Option<Work>,
    pub series: fn(Kind) -> Option<Box<dyn Series>>,
}

pub const OURS: &str = "shmetrics";

/// Keeps the compiler from carrying anything in memory over to the next update. Costs no
/// instruction.
#[inline(always)]
pub fn barrier() {
    // SAFETY: no instruction at all.
    unsafe { std::arch::asm!("", options(nostack, preserves_flags)) }
}

pub fn no_series(_: Kind) -> Option<Box<dyn Series>> {
    None
}

/// Runs the body for each `i`, as a caller would that does something else in between: what is in
/// memory is read again each time.
macro_rules! work {
    (|$i:ident| $body:expr) => {
        Some(std::sync::Arc::new(move |start: usize, n: usize| {
            for $i in start..start + n {
                $crate::contest::barrier();
                $body;
            }
        }) as $crate::contest::Work)
    };
}

pub(crate) use work;
