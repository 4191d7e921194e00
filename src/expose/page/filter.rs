//! The choice of families by name, as scrapers ask for them by `name[]`.

use crate::os::random::HashSet;

/// What samples add to their family's name.
const SUFFIXES: [&str; 9] = ["", "_total", "_created", "_info", "_bucket", "_count", "_sum", "_gcount", "_gsum"];

/// The families that a page shows, by the names of their samples; all families if empty.
#[derive(Default)]
pub(in crate::expose) struct Filter(HashSet<String>);

impl Filter {
    pub(in crate::expose) fn add(&mut self, name: String) {
        self.0.insert(name);
    }

    /// Whether the page shows all families.
    pub(in crate::expose) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the page shows a family, by its name as it was registered and as the page shows it.
    pub(in crate::expose) fn admits(&self, family: &str, shown: &str) -> bool {
        let is = |n: &str, of: &str| n.strip_prefix(of).is_some_and(|suffix| SUFFIXES.contains(&suffix));
        self.0.is_empty() || self.0.iter().any(|n| is(n, family) || is(n, shown))
    }
}
