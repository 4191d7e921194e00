//! A segment's own labels, which every series of it has in front: chosen when the segment is made,
//! the same ever after. They stand in the header as pages have them: `app="shop",zone="b"`.

use crate::shm::layout::header;
use crate::shm::memory::Mapped;
use crate::text::{escaping, label_set, names};
use crate::Error;

/// Room for their text.
pub(crate) const TEXT_MAX: usize = 2048;

/// The text of these labels.
pub(crate) fn text(pairs: &[(String, String)]) -> Result<String, Error> {
    let labels: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    // `state` is a label of the library's own.
    names::labels(&labels, &["le", "quantile", "pid", "state"])?;
    let mut out = Vec::new();
    for (i, (name, value)) in pairs.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(escaping::label_on_line(name).as_bytes());
        out.extend_from_slice(b"=\"");
        escaping::escape_value(value, &mut out);
        out.push(b'"');
    }
    if out.len() > TEXT_MAX {
        return Err(Error::InvalidArgument(format!(
            "the segment's labels take {} bytes: at most {TEXT_MAX} are allowed",
            out.len()
        )));
    }
    String::from_utf8(out).map_err(|_| Error::InvalidArgument("the segment's labels are not UTF-8".into()))
}

pub(crate) fn text_in(memory: &Mapped) -> Vec<u8> {
    let len = u64::from(memory.get32(header::LABELS_LEN)).min(TEXT_MAX as u64);
    let mut text = Vec::new();
    memory.copy_to(header::LABELS, len, &mut text);
    text
}

/// The labels of a segment; none if they are damaged.
pub(crate) fn labels_in(memory: &Mapped) -> Vec<(String, String)> {
    let pairs = label_set::pairs(&text_in(memory)).unwrap_or_default();
    let legal = pairs.iter().all(|(name, _)| names::is_any_label(name));
    if legal {
        pairs
    } else {
        Vec::new()
    }
}

/// Whether a family may have these labels, and its name.
pub(crate) fn check(memory: &Mapped, name: &str, of_family: &[&str]) -> Result<(), Error> {
    for (label, _) in labels_in(memory) {
        if label == name || of_family.contains(&label.as_str()) {
            return Err(Error::name("label name", &label, "it is a label of the whole segment"));
        }
        for other in of_family.iter().chain([&name]) {
            if let Some(way) = escaping::same_labels(other, &label) {
                let rule = format!("{}; that is a label of the whole segment", names::alike(&label, way));
                return Err(Error::name("label name", other, &rule));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(values in proptest::collection::vec("[a\\\\\"\n,=é]{0,12}", 0..4)) {
            let name = |i| if i % 2 == 0 { format!("l{i}") } else { format!("l.\\\"=,{i}") };
            let pairs: Vec<_> = values.into_iter().enumerate().map(|(i, v)| (name(i), v)).collect();
            assert_eq!(label_set::pairs(text(&pairs).unwrap().as_bytes()), Some(pairs));
        }

        #[test]
        fn damaged_text_is_survived(text in "[a=\",\\\\]{0,20}") {
            let _ = label_set::pairs(text.as_bytes());
        }
    }

    #[test]
    fn what_no_page_could_have_is_refused() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for bad in [
            vec![pair("le", "")],
            vec![pair("a\nb", "")],
            vec![pair("a.b", ""), pair("a_b", "")],
            vec![pair("a", ""), pair("a", "")],
        ] {
            assert!(text(&bad).is_err(), "{bad:?}");
        }
        assert!(text(&[pair("a", &"x".repeat(2045))]).is_err());
        assert!(text(&[pair("a", &"x".repeat(2044))]).is_ok());
    }
}
