//! What a scraper sends with a request, and what the answer says that it is. An input is the
//! headers `Accept` and `Accept-Encoding`, separated by a zero byte.

use shmetrics::{accepts_gzip, Escaping, Exposition, Format};

use crate::wrong::wrong;

/// Negotiates, and checks the answer with rules that do not depend on the order of the clauses.
pub fn run(input: &[u8]) {
    let mut headers = input.splitn(2, |byte| *byte == 0);
    let accept = String::from_utf8_lossy(headers.next().unwrap_or_default());
    let encoding = String::from_utf8_lossy(headers.next().unwrap_or_default());
    let found = Exposition::negotiate(&accept);
    has_been_asked_for(found, &accept);
    // The answer's own type asks for the answer.
    let again = Exposition::negotiate(found.content_type());
    assert_eq!((again.format(), again.escaping()), (found.format(), found.escaping()), "{accept:?}");
    // A clause that is wanted least, and one that is not wanted, change nothing.
    for more in ["text/plain;version=9", "application/json", "application/vnd.google.protobuf;q=0"] {
        let with_it = Exposition::negotiate(&format!("{accept},{more}"));
        assert_eq!((with_it.format(), with_it.escaping()), (found.format(), found.escaping()), "{accept:?} and {more}");
    }
    if accepts_gzip(&encoding) {
        assert!(encoding.to_ascii_lowercase().contains("gzip"), "{encoding:?}");
    }
    assert!(!accepts_gzip(&encoding.replace(['g', 'G'], "")), "{encoding:?}");
}

/// No scraper gets a format or quoted names that its header does not name.
fn has_been_asked_for(found: Exposition, accept: &str) {
    let accept = accept.to_ascii_lowercase();
    let named = match found.format() {
        Format::OpenMetrics | Format::OpenMetrics2 => "application/openmetrics-text",
        Format::Protobuf => "application/vnd.google.protobuf",
        Format::Text1 => "text/plain",
        // The answer without anything better.
        _ if wrong() => "text/plain",
        _ => "",
    };
    assert!(accept.contains(named), "{:?} for {accept:?}", found.format());
    let escaping = match found.escaping() {
        Escaping::AllowUtf8 => "allow-utf-8",
        Escaping::Dots => "dots",
        Escaping::Values => "values",
        _ => "",
    };
    assert!(accept.contains(escaping), "{:?} for {accept:?}", found.escaping());
}
