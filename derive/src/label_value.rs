//! The expansion of `#[derive(LabelValue)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Error, Fields, Result};

use crate::attributes::{check_distinct, Settings};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(
            &input.ident,
            "`LabelValue` is derived for enums: use a string, an integer or an enum as a label's value",
        ));
    };
    if data.variants.is_empty() {
        return Err(Error::new_spanned(&input.ident, "an enum without variants has no value for a label"));
    }
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "`LabelValue` is derived for enums without parameters"));
    }
    let case = Settings::read(&input.attrs, &["rename_all"])?.rename_all;
    let mut names = Vec::new();
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(
                variant,
                "a variant with fields has more than one value: give its text a `LabelValue` of its own",
            ));
        }
        let settings = Settings::read(&variant.attrs, &["rename"])?;
        let plain = variant.ident.unraw().to_string();
        let name = match (settings.rename, case) {
            (Some(name), _) => (name.value(), name.span()),
            (None, Some(case)) => (case.spell(&plain), variant.ident.span()),
            (None, None) => (plain, variant.ident.span()),
        };
        names.push(name);
    }
    check_distinct(&names, "variants")?;
    let (ident, count) = (&input.ident, names.len());
    let variants: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    let texts: Vec<_> = names.iter().map(|(name, _)| name).collect();
    let indices = 0..count;
    Ok(quote! {
        #[automatically_derived]
        impl ::shmetrics::LabelValue for #ident {
            const COUNT: usize = #count;

            #[inline]
            fn index(&self) -> usize {
                match self {
                    #(Self::#variants => #indices,)*
                }
            }

            #[inline]
            fn text<'a>(&'a self, _: &'a mut ::shmetrics::LabelText) -> &'a str {
                match self {
                    #(Self::#variants => #texts,)*
                }
            }
        }
    })
}
