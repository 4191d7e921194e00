//! The protocol of Pushgateway: a request with a page to the path of a group.

use axum::http::{Method as Http, Uri};
use base64::prelude::{Engine, BASE64_URL_SAFE_NO_PAD};
use hyper::body::Bytes;
use shmetrics::{Exposition, ExternalFamily, Format, Page};

use super::args::{Method, PushArgs};
use super::client::{address, PushRequest};
use crate::common::source::Reading;

pub(super) struct Gateway {
    to: Uri,
    method: Method,
    exposition: Exposition,
    metrics: Vec<String>,
}

impl Gateway {
    pub(super) fn new(args: &PushArgs, url: &str, job: &str) -> Result<Self, String> {
        let base = address(url)?;
        for (i, (label, _)) in args.groups.iter().enumerate() {
            let is_twice = args.groups[..i].iter().any(|(other, _)| other == label);
            if !is_label(label) || label == "job" || is_twice {
                return Err(format!(
                    "--group {label}: give each label once, of letters, digits and `_`; the job by --job"
                ));
            }
        }
        if job.is_empty() {
            return Err("the job has no name; give one by --job".into());
        }
        let labels = args.groups.iter().map(|(label, value)| step(label, value));
        let path = [base.path().trim_end_matches('/').to_owned(), "/metrics".to_owned(), step("job", job)];
        let path: String = path.into_iter().chain(labels).collect();
        let mut parts = base.into_parts();
        parts.path_and_query = Some(path.parse().map_err(|e| format!("{url}: {e}"))?);
        let to = Uri::from_parts(parts).map_err(|e| format!("{url}: {e}"))?;
        let format = if args.protobuf { Format::Protobuf } else { Format::Text };
        Ok(Gateway { to, method: args.method, exposition: Exposition::new(format), metrics: args.only.metrics.clone() })
    }

    pub(super) fn to(&self) -> &Uri {
        &self.to
    }

    /// The request with a page of the segments and of `own` families; to remove the group, without.
    pub(super) fn request(&self, reading: Option<&Reading>, own: Vec<ExternalFamily>) -> Result<PushRequest, String> {
        let method = match self.method {
            Method::Delete => Http::DELETE,
            Method::Put => Http::PUT,
            Method::Post => Http::POST,
        };
        let page = |reading| self.page(reading, own);
        let body = reading.map_or_else(|| Ok(Vec::new()), page)?;
        let content_type = self.exposition.content_type();
        Ok(PushRequest { method, to: self.to.clone(), content_type, body: Bytes::from(body), is_failure_passing: true })
    }

    fn page(&self, reading: &Reading, own: Vec<ExternalFamily>) -> Result<Vec<u8>, String> {
        let page = own.into_iter().fold(reading.page(self.exposition), Page::with);
        let page = page.only(self.metrics.iter().cloned()).render();
        reading.check_whole()?;
        Ok(page)
    }

    pub(super) fn needs_segments(&self) -> bool {
        self.method != Method::Delete
    }
}

fn is_label(name: &str) -> bool {
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let mut bytes = name.bytes();
    bytes.next().is_some_and(first) && bytes.all(|b| first(b) || b.is_ascii_digit()) && !name.starts_with("__")
}

/// A label in a path. A value that a path cannot have is written in base64, as `@base64`; `=`
/// stands for an empty value.
fn step(label: &str, value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    // `.` and `..` have a meaning in a path.
    if value.bytes().all(plain) && value.bytes().any(|b| b != b'.') {
        return format!("/{label}/{value}");
    }
    let encoded = if value.is_empty() { "=".to_owned() } else { BASE64_URL_SAFE_NO_PAD.encode(value) };
    format!("/{label}@base64/{encoded}")
}

#[cfg(test)]
mod tests {
    use super::{is_label, step};

    #[test]
    fn values_that_a_path_cannot_have_are_encoded() {
        assert_eq!(step("job", "a-1.b_c~"), "/job/a-1.b_c~");
        assert_eq!(step("path", "/var/tmp"), "/path@base64/L3Zhci90bXA");
        assert_eq!(step("name", "Προμηθεύς"), "/name@base64/zqDPgc6_zrzOt864zrXPjc-C");
        assert_eq!(step("first", ""), "/first@base64/=");
        assert_eq!(step("a", ".."), "/a@base64/Li4");
        assert_eq!(step("a", "50%"), "/a@base64/NTAl");
    }

    #[test]
    fn labels() {
        assert!(is_label("instance") && is_label("_a9"));
        assert!(!is_label("") && !is_label("9a") && !is_label("a-b") && !is_label("__a"));
    }
}
