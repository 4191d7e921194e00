//! What the tests share.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test binary uses some of it

use shmetrics::{Format, Options, Segment};

pub fn segment() -> Segment {
    Options::new().anonymous().max_size(8 << 20).open().unwrap()
}

/// The page without the library's own families.
pub fn page(segment: Segment) -> String {
    let page = String::from_utf8(segment.render(Format::Text)).unwrap();
    page[..page.find("# HELP shmetrics_").unwrap()].to_owned()
}

/// The value of this sample.
#[track_caller]
pub fn value(segment: Segment, sample: &str) -> f64 {
    let page = page(segment);
    let line = page.lines().find_map(|l| l.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in:\n{page}")).parse().unwrap()
}
