//! The protocols of `chain` and `index` under model checkers: the very code that runs on a mapping, over words that loom or
//! shuttle schedule. Each property has a control beside it: the same check with one thing wrong, which must fail.

mod faults;
mod kills;
mod late;
mod orderings;
mod scene;
mod words;
