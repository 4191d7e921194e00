//! Comparison of pages with the copies in `tests/golden`, which `UPDATE_GOLDEN=1` writes anew.

use std::path::Path;

/// Stands for all times of a run.
const TIME: &str = "1520430000.123";

/// These lines as a page, with [`TIME`] in place of the times of this run.
pub(crate) fn with_fixed_times<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let is_time = |word: &str| {
        let time: f64 = word.parse().unwrap_or(0.0);
        (1.7e9..4e9).contains(&time) && word.len() == TIME.len() && word.as_bytes()[10] == b'.'
    };
    let mut page = String::new();
    for line in lines {
        for word in line.split_inclusive([' ', '@']) {
            let end = word.trim_end_matches([' ', '@']).len();
            page.push_str(if is_time(&word[..end]) { TIME } else { &word[..end] });
            page.push_str(&word[end..]);
        }
        page.push('\n');
    }
    page
}

/// Asserts that the page is the copy of this name.
#[track_caller]
pub(crate) fn assert_golden(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(page, golden, "{}", path.display());
}
