//! The derive macros of `shmetrics`, which exports them with its feature `derive`.

mod attributes;
mod label_set;
mod label_value;

use proc_macro::TokenStream;
use syn::{parse_macro_input, DeriveInput};

/// Implements `shmetrics::LabelSet` for a struct whose fields implement `shmetrics::LabelValue`. A
/// field's name is the label's, unless `#[label(rename = "...")]` says otherwise.
#[proc_macro_derive(LabelSet, attributes(label))]
pub fn label_set(input: TokenStream) -> TokenStream {
    label_set::derive(&parse_macro_input!(input as DeriveInput)).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Implements `shmetrics::LabelValue` for an enum whose variants have no fields. A variant's name
/// is the label's value, unless `#[label(rename = "...")]` on the variant, or `#[label(rename_all =
/// "...")]` on the enum, says otherwise. The cases of `rename_all`: `lowercase`, `UPPERCASE`,
/// `snake_case`, `SCREAMING_SNAKE_CASE`, `kebab-case` and `camelCase`.
#[proc_macro_derive(LabelValue, attributes(label))]
pub fn label_value(input: TokenStream) -> TokenStream {
    label_value::derive(&parse_macro_input!(input as DeriveInput)).unwrap_or_else(syn::Error::into_compile_error).into()
}

#[cfg(test)]
mod tests {
    use proc_macro2::TokenStream;
    use syn::{DeriveInput, Result};

    use super::{label_set, label_value};

    fn refusal(derive: fn(&DeriveInput) -> Result<TokenStream>, item: &str) -> String {
        derive(&syn::parse_str(item).unwrap()).expect_err(item).to_string()
    }

    #[test]
    fn what_is_no_label_set_is_refused_with_a_reason() {
        for (item, reason) in [
            ("enum E { A }", "derived for structs"),
            ("union U { a: u8 }", "derived for structs"),
            ("struct S;", "at least one label"),
            ("struct S {}", "at least one label"),
            ("struct S<T> { a: T }", "no other parameters"),
            ("struct S<const N: usize> { a: u8 }", "no other parameters"),
            ("struct S(u8);", "needs `#[label(rename"),
            ("struct S { a: u8, #[label(rename = \"a\")] b: u8 }", "two labels are called \"a\""),
            ("struct S { #[label(name = \"a\")] b: u8 }", "unknown setting; `label` has here: rename"),
            ("struct S { #[label(rename = 1)] b: u8 }", "expected string literal"),
            ("struct S { #[label(rename = \"a\", rename = \"b\")] b: u8 }", "given twice"),
            ("struct S { __name__: u8 }", "the label name \"__name__\" is reserved by Prometheus"),
            ("struct S { #[label(rename = \"__a\")] a: u8 }", "reserved by Prometheus"),
            ("struct S { #[label(rename = \"\")] a: u8 }", "is empty"),
            ("struct S { #[label(rename = \"a\\n\")] a: u8 }", "control characters or line ends"),
            ("struct S { shmetrics_overflow: u8 }", "overflow series"),
            (
                "#[label(rename_all = \"lowercase\")] struct S { a: u8 }",
                "unknown setting; `label` has here: no settings",
            ),
        ] {
            let said = refusal(label_set::derive, item);
            assert!(said.contains(reason), "{item}: {said}");
        }
    }

    #[test]
    fn limits_of_a_label_set_are_those_of_a_family() {
        let of = |labels: usize| {
            let fields: Vec<String> = (0..labels).map(|i| format!("l{i}: u8")).collect();
            format!("struct S {{ {} }}", fields.join(", "))
        };
        assert!(label_set::derive(&syn::parse_str(&of(64)).unwrap()).is_ok());
        assert!(refusal(label_set::derive, &of(65)).contains("65 labels: at most 64"));
        let named = |bytes| format!("struct S {{ #[label(rename = \"{}\")] a: u8 }}", "n".repeat(bytes));
        assert!(label_set::derive(&syn::parse_str(&named(512)).unwrap()).is_ok());
        assert!(refusal(label_set::derive, &named(513)).contains("longer than 512 bytes"));
    }

    #[test]
    fn what_is_no_label_value_is_refused_with_a_reason() {
        for (item, reason) in [
            ("struct S { a: u8 }", "derived for enums"),
            ("enum E {}", "without variants"),
            ("enum E { A(u8) }", "variant with fields"),
            ("enum E { A {} }", "variant with fields"),
            ("enum E<'a> { A }", "without parameters"),
            ("enum E { A, #[label(rename = \"A\")] B }", "two variants are called \"A\""),
            ("#[label(rename_all = \"lowercase\")] enum E { Ab, AB }", "two variants are called \"ab\""),
            ("#[label(rename_all = \"Title\")] enum E { A }", "unknown case; there are: lowercase"),
            ("#[label(rename = \"e\")] enum E { A }", "unknown setting"),
        ] {
            let said = refusal(label_value::derive, item);
            assert!(said.contains(reason), "{item}: {said}");
        }
    }
}
