//! JSON output. An object is built field by field.

use std::fmt::Write;

use crate::common::format::is_unsafe;

/// A JSON value.
pub(crate) struct Json(String);

/// A JSON object under construction.
#[derive(Default)]
pub(crate) struct Object(Vec<String>);

impl Object {
    pub(crate) fn field(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.0.push(format!("{}:{}", Json::from(name).0, value.into().0));
        self
    }
}

impl Json {
    /// With all digits; `From` rounds to three behind the point. `null` if it is not finite.
    pub(crate) fn exact(v: f64) -> Self {
        Json(if v.is_finite() { format!("{v:?}") } else { "null".into() })
    }

    pub(crate) fn list(items: impl IntoIterator<Item = impl Into<Json>>) -> Self {
        let items: Vec<String> = items.into_iter().map(|item| item.into().0).collect();
        Json(format!("[{}]", items.join(",")))
    }
}

impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Object> for Json {
    fn from(object: Object) -> Self {
        Json(format!("{{{}}}", object.0.join(",")))
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        let mut json = String::from("\"");
        for c in text.chars() {
            match c {
                '"' | '\\' => json.extend(['\\', c]),
                c if is_unsafe(c) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(json, "\\u{unit:04x}");
                    }
                }
                c => json.push(c),
            }
        }
        json.push('"');
        Json(json)
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Json::from(text.as_str())
    }
}

impl From<&String> for Json {
    fn from(text: &String) -> Self {
        Json::from(text.as_str())
    }
}

impl From<u64> for Json {
    fn from(n: u64) -> Self {
        Json(n.to_string())
    }
}

impl From<u32> for Json {
    fn from(n: u32) -> Self {
        Json(n.to_string())
    }
}

impl From<bool> for Json {
    fn from(yes: bool) -> Self {
        Json(yes.to_string())
    }
}

impl From<f64> for Json {
    fn from(v: f64) -> Self {
        Json(if v.is_finite() { format!("{v:.3}") } else { "null".into() })
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or_else(|| Json("null".into()), Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::{Json, Object};

    #[test]
    fn texts_are_escaped_and_what_is_unknown_is_null() {
        let inner = Object::default().field("a\"b", "\u{1}\\").field("n", 1u64);
        let object = Object::default().field("list", Json::list([inner])).field("none", None::<u64>).field("v", 1.5);
        assert_eq!(Json::from(object).to_string(), r#"{"list":[{"a\"b":"\u0001\\","n":1}],"none":null,"v":1.500}"#);
    }
}
