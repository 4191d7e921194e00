//! The expansion of `#[derive(LabelSet)]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, GenericParam, Index, Member, Result};

use crate::attributes::{check_distinct, Settings};

/// The most labels of a family, and the longest name in bytes, as `shmetrics` has them.
const LABELS_MAX: usize = 64;
const NAME_MAX: usize = 512;

/// Why no family can have a label of this name. The library refuses these names when a family is
/// registered; here the compiler does.
fn refusal(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        Some("has control characters or line ends")
    } else if name.len() > NAME_MAX {
        Some("is longer than 512 bytes")
    } else if name.starts_with("__") {
        Some("is reserved by Prometheus: it begins with `__`")
    } else if name == "shmetrics_overflow" {
        Some("is the label of overflow series")
    } else {
        None
    }
}

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "`LabelSet` is derived for structs: each field is a label"));
    };
    if data.fields.is_empty() {
        return Err(Error::new_spanned(
            &input.ident,
            "a label set has at least one label: register metrics without labels as they are",
        ));
    }
    let mut statics = Vec::new();
    for parameter in &input.generics.params {
        match parameter {
            GenericParam::Lifetime(_) => statics.push(quote!('static)),
            other => return Err(Error::new_spanned(other, "a label set may have lifetimes, but no other parameters")),
        }
    }
    Settings::read(&input.attrs, &[])?;
    let (mut names, mut members) = (Vec::new(), Vec::new());
    for (i, field) in data.fields.iter().enumerate() {
        let rename = Settings::read(&field.attrs, &["rename"])?.rename;
        names.push(match (rename, &field.ident) {
            (Some(name), _) => (name.value(), name.span()),
            (None, Some(ident)) => (ident.unraw().to_string(), ident.span()),
            (None, None) => {
                return Err(Error::new(field.span(), "a field without a name needs `#[label(rename = \"...\")]`"))
            }
        });
        members.push(field.ident.clone().map_or_else(|| Member::Unnamed(Index::from(i)), Member::Named));
    }
    if names.len() > LABELS_MAX {
        let message = format!("{} labels: at most {LABELS_MAX} are allowed", names.len());
        return Err(Error::new_spanned(&input.ident, message));
    }
    for (name, span) in &names {
        if let Some(reason) = refusal(name) {
            return Err(Error::new(*span, format!("the label name {name:?} {reason}")));
        }
    }
    check_distinct(&names, "labels")?;
    let names: Vec<_> = names.iter().map(|(name, _)| name).collect();
    let types: Vec<_> = data.fields.iter().map(|field| &field.ty).collect();
    let texts: Vec<_> = (0..names.len()).map(|i| format_ident!("text_{i}")).collect();
    let ident = &input.ident;
    let (impl_generics, ty_generics, where_clause) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::shmetrics::LabelSet for #ident #ty_generics #where_clause {
            type Family = #ident<#(#statics),*>;
            const NAMES: &'static [&'static str] = &[#(#names),*];
            const COUNTS: &'static [usize] = &[#(<#types as ::shmetrics::LabelValue>::COUNT),*];

            #[inline]
            fn index(&self) -> usize {
                let index = 0;
                #(let index = index * <#types as ::shmetrics::LabelValue>::COUNT
                    + ::shmetrics::LabelValue::index(&self.#members);)*
                index
            }

            #[inline]
            fn with_values<R>(&self, f: impl ::core::ops::FnOnce(&[&str]) -> R) -> R {
                #(let mut #texts = ::shmetrics::LabelText::new();)*
                f(&[#(::shmetrics::LabelValue::text(&self.#members, &mut #texts)),*])
            }
        }
    })
}
