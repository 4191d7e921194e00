//! The negative control.

use std::sync::LazyLock;

/// Whether one rule of each target's oracle is wrong: `FUZZ_WRONG=1` in the environment asks for
/// it.
pub fn wrong() -> bool {
    static WRONG: LazyLock<bool> = LazyLock::new(|| std::env::var_os("FUZZ_WRONG").is_some_and(|value| value != "0"));
    *WRONG
}
