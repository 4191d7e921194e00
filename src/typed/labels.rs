//! What may be a label's value, and a family's labels.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

/// A type whose values are values of a label.
///
/// Implemented by strings, integers, `bool` and `char`, by references to them and by `Option`
/// (`None` is the empty value, which is no label to Prometheus). For an enum, derive it:
/// `#[derive(LabelValue)]`, with the feature `derive`.
///
/// ```
/// # #[cfg(feature = "derive")] {
/// use shmetrics::LabelValue;
///
/// #[derive(LabelValue)]
/// #[label(rename_all = "UPPERCASE")]
/// enum Method {
///     Get,
///     Post,
///     #[label(rename = "other")]
///     Other,
/// }
/// # let _ = (Method::Get, Method::Post, Method::Other);
/// assert_eq!(Method::COUNT, 3);
/// # }
/// ```
pub trait LabelValue {
    /// How many values there are, if [`LabelValue::index`] numbers them; else 0.
    const COUNT: usize = 0;

    /// The number of this value among them, below [`LabelValue::COUNT`]. Each number stands for one
    /// text.
    fn index(&self) -> usize {
        0
    }

    /// The value as pages show it. Numbers are written to `text`.
    fn text<'a>(&'a self, text: &'a mut LabelText) -> &'a str;
}

/// Where a [`LabelValue`] that is no string writes its text. It allocates nothing.
#[derive(Default)]
pub struct LabelText {
    number: itoa::Buffer,
    char: [u8; 4],
}

impl LabelText {
    /// Without a text.
    #[inline]
    pub fn new() -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for LabelText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LabelText")
    }
}

macro_rules! strings {
    ($($type:ty)*) => {$(
        impl LabelValue for $type {
            #[inline]
            fn text<'a>(&'a self, _: &'a mut LabelText) -> &'a str {
                self
            }
        }
    )*};
}
strings!(str String Box<str> Rc<str> Arc<str> Cow<'_, str>);

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl LabelValue for $type {
            #[inline]
            fn text<'a>(&'a self, text: &'a mut LabelText) -> &'a str {
                text.number.format(*self)
            }
        }
    )*};
}
integers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

impl LabelValue for bool {
    const COUNT: usize = 2;

    #[inline]
    fn index(&self) -> usize {
        usize::from(*self)
    }

    #[inline]
    fn text<'a>(&'a self, _: &'a mut LabelText) -> &'a str {
        if *self {
            "true"
        } else {
            "false"
        }
    }
}

impl LabelValue for char {
    fn text<'a>(&'a self, text: &'a mut LabelText) -> &'a str {
        self.encode_utf8(&mut text.char)
    }
}

impl<T: LabelValue + ?Sized> LabelValue for &T {
    const COUNT: usize = T::COUNT;

    #[inline]
    fn index(&self) -> usize {
        T::index(self)
    }

    #[inline]
    fn text<'a>(&'a self, text: &'a mut LabelText) -> &'a str {
        T::text(self, text)
    }
}

/// `None` is the empty value.
impl<T: LabelValue> LabelValue for Option<T> {
    const COUNT: usize = if T::COUNT > 0 { T::COUNT + 1 } else { 0 };

    #[inline]
    fn index(&self) -> usize {
        self.as_ref().map_or(0, |value| 1 + value.index())
    }

    #[inline]
    fn text<'a>(&'a self, text: &'a mut LabelText) -> &'a str {
        self.as_ref().map_or("", |value| value.text(text))
    }
}

/// The most combinations of values for which a family has a table by index.
const COMBINATIONS_MAX: usize = 1 << 16;

/// The labels of a family as a struct: each field is a label. Derive it: `#[derive(LabelSet)]`,
/// with the feature `derive`.
///
/// Fields are any [`LabelValue`]s. `#[label(rename = "...")]` gives a label another name than the
/// field's. Unnamed fields need such a name.
///
/// ```
/// # #[cfg(feature = "derive")]
/// # fn main() -> Result<(), shmetrics::Error> {
/// use shmetrics::{LabelSet, LabelValue, Segment};
///
/// #[derive(LabelValue)]
/// #[label(rename_all = "UPPERCASE")]
/// enum Method {
///     Get,
///     Post,
/// }
///
/// #[derive(LabelSet)]
/// struct Http<'a> {
///     method: Method,
///     route: &'a str,
///     #[label(rename = "code")]
///     status: u16,
/// }
///
/// # let segment = shmetrics::Options::new().anonymous().open()?;
/// let requests = segment.counter("http_requests_total", "Requests served.").label_set::<Http>().register()?;
/// requests.with(&Http { method: Method::Get, route: "/", status: 200 }).inc();
/// # let _ = Method::Post;
/// # let page = segment.page(shmetrics::Format::Text).render_to_string().unwrap();
/// # assert!(page.contains("http_requests_total{method=\"GET\",route=\"/\",code=\"200\"} 1\n"), "{page}");
/// # Ok(()) }
/// # #[cfg(not(feature = "derive"))]
/// # fn main() {}
/// ```
///
/// If each field has a known number of values (enums, `bool`, `Option`s of them), up to 65,536
/// combinations in all, then [`TypedFamily::with`](crate::TypedFamily::with) finds a series by
/// index, without a hash.
///
/// Another set of labels than the family's does not compile:
///
/// ```compile_fail
/// use shmetrics::LabelSet;
///
/// #[derive(LabelSet)]
/// struct Http<'a> { route: &'a str }
/// #[derive(LabelSet)]
/// struct Queue<'a> { queue: &'a str }
///
/// # let segment = shmetrics::Options::new().anonymous().open().unwrap();
/// let requests = segment.counter("http_requests_total", "").label_set::<Http>().register().unwrap();
/// requests.with(&Queue { queue: "mail" });
/// ```
pub trait LabelSet {
    /// This type, with all its lifetimes `'static`: [`TypedFamily`](crate::TypedFamily) is named by
    /// it.
    type Family: 'static;

    /// The names of the labels.
    const NAMES: &'static [&'static str];

    /// How many values each label has ([`LabelValue::COUNT`]).
    const COUNTS: &'static [usize];

    /// The number of this combination of values, of those that [`LabelSet::COUNTS`] allow.
    fn index(&self) -> usize;

    /// Calls `f` with the values, in the order of the names.
    fn with_values<R>(&self, f: impl FnOnce(&[&str]) -> R) -> R;
}

/// How many combinations of values there are; 0: too many for a table, or it is not known.
pub(super) const fn combinations(counts: &[usize]) -> usize {
    let (mut all, mut i) = (1, 0);
    while i < counts.len() {
        all = match counts[i].checked_mul(all) {
            Some(all) if all <= COMBINATIONS_MAX => all,
            _ => return 0,
        };
        i += 1;
    }
    all
}
