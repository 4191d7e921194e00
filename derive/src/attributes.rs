//! Reads the attributes `#[label(...)]`.

use proc_macro2::Span;
use syn::{Attribute, Error, LitStr, Result};

/// The settings of one item.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) rename: Option<LitStr>,
    pub(crate) rename_all: Option<Case>,
}

impl Settings {
    /// `allowed`: the settings that such an item may have.
    pub(crate) fn read(attributes: &[Attribute], allowed: &[&str]) -> Result<Self> {
        let mut settings = Settings::default();
        for attribute in attributes.iter().filter(|a| a.path().is_ident("label")) {
            attribute.parse_nested_meta(|meta| {
                let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                if !allowed.contains(&name.as_str()) {
                    let known = if allowed.is_empty() { "no settings".to_owned() } else { allowed.join(", ") };
                    return Err(meta.error(format!("unknown setting; `label` has here: {known}")));
                }
                let text: LitStr = meta.value()?.parse()?;
                let again = if name == "rename" {
                    settings.rename.replace(text).is_some()
                } else {
                    settings.rename_all.replace(Case::named(&text)?).is_some()
                };
                if again {
                    return Err(meta.error(format!("`{name}` is given twice")));
                }
                Ok(())
            })?;
        }
        Ok(settings)
    }
}

/// How `rename_all` spells names.
#[derive(Clone, Copy)]
pub(crate) enum Case {
    Lower,
    Upper,
    Snake,
    ScreamingSnake,
    Kebab,
    Camel,
}

const CASES: [(&str, Case); 6] = [
    ("lowercase", Case::Lower),
    ("UPPERCASE", Case::Upper),
    ("snake_case", Case::Snake),
    ("SCREAMING_SNAKE_CASE", Case::ScreamingSnake),
    ("kebab-case", Case::Kebab),
    ("camelCase", Case::Camel),
];

impl Case {
    fn named(name: &LitStr) -> Result<Self> {
        let found = CASES.iter().find(|(known, _)| *known == name.value());
        found.map(|(_, case)| *case).ok_or_else(|| {
            let known: Vec<&str> = CASES.iter().map(|(known, _)| *known).collect();
            Error::new(name.span(), format!("unknown case; there are: {}", known.join(", ")))
        })
    }

    /// A name in camel case, spelt in this one.
    pub(crate) fn spell(self, name: &str) -> String {
        match self {
            Case::Lower => name.to_lowercase(),
            Case::Upper => name.to_uppercase(),
            Case::Snake => words(name, '_').to_lowercase(),
            Case::ScreamingSnake => words(name, '_').to_uppercase(),
            Case::Kebab => words(name, '-').to_lowercase(),
            Case::Camel => {
                let mut chars = name.chars();
                chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
            }
        }
    }
}

/// With `between` in front of each capital but the first letter.
fn words(name: &str, between: char) -> String {
    let mut spelt = String::new();
    for (i, c) in name.char_indices() {
        if i > 0 && c.is_uppercase() {
            spelt.push(between);
        }
        spelt.push(c);
    }
    spelt
}

/// An error if two of the names are the same.
pub(crate) fn check_distinct(names: &[(String, Span)], what: &str) -> Result<()> {
    for (i, (name, span)) in names.iter().enumerate() {
        if names[..i].iter().any(|(other, _)| other == name) {
            return Err(Error::new(*span, format!("two {what} are called {name:?}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_spelt_as_serde_spells_them() {
        let spelt = |name: &str| CASES.map(|(_, case)| case.spell(name));
        let all = ["notfound", "NOTFOUND", "not_found", "NOT_FOUND", "not-found", "notFound"];
        assert_eq!(spelt("NotFound"), all);
        assert_eq!(spelt("Get"), ["get", "GET", "get", "GET", "get", "get"]);
        assert_eq!(spelt("X2y"), ["x2y", "X2Y", "x2y", "X2Y", "x2y", "x2y"]);
    }
}
