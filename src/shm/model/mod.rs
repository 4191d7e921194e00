//! The protocols of `list`, `generation` and `index` under model checkers: the very code that runs
//! on a mapping, over words that loom or shuttle schedule. Each property has a control beside it:
//! the same check with one thing wrong, which must fail.

/// What holds of the protocol as it is, and which fault keeps it from holding.
macro_rules! hold {
    ($($property:ident)*) => {
        mod hold {
            $(#[test] fn $property() { super::$property(super::Fault::Sound); })*
        }
    };
}

macro_rules! fail {
    ($($name:ident: $property:ident, $fault:ident, $message:literal;)*) => {
        mod fail {
            $(#[test] #[should_panic(expected = $message)] fn $name() { super::$property(super::Fault::$fault); })*
        }
    };
}

mod audit;
mod bringing;
mod faults;
mod generations;
mod growth;
mod kills;
mod orderings;
mod process;
mod redefining;
mod scene;
mod tagged;
mod to_order;
mod words;
