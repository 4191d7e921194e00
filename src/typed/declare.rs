//! `metrics!`: a struct of metrics, declared with what registers them.

use crate::metric::{Counter, Enum, Gauge, GaugeHistogram, Histogram, Info, StateSet, Summary};
use crate::record::gauge_mode::GaugeMode;
use crate::registry::Builder;
use crate::Segment;

/// Declares a struct of metrics and how to register them.
///
/// ```
/// use shmetrics::{exponential_buckets, metrics, Metrics};
///
/// metrics! {
///     /// What the shop counts.
///     pub struct Shop(prefix = "shop") {
///         /// Orders placed.
///         pub orders: Counter = "orders_total",
///         /// Time to place an order.
///         latency: Histogram = "order_seconds" (unit = "seconds", buckets = &exponential_buckets::<12>(0.001, 2.0)),
///         /// Orders that are being placed.
///         busy: Gauge = "orders_in_progress" (mode = LiveSum),
///     }
/// }
///
/// # fn main() -> Result<(), shmetrics::Error> {
/// # let segment = shmetrics::Options::new().anonymous().open()?;
/// let shop = Shop::register(&segment)?;
/// shop.orders.inc();
/// let _busy = shop.busy.track_in_progress();
/// shop.latency.observe(0.2);
/// # let page = segment.page(shmetrics::Format::Text).render_to_string().unwrap();
/// # assert!(page.contains("# HELP shop_orders_total Orders placed.\n# TYPE shop_orders_total counter\nshop_orders_total 1\n"), "{page}");
/// # Ok(()) }
/// ```
///
/// * A field is `NAME: TYPE = "METRIC"`. The type is [`Counter`], [`Gauge`], [`Histogram`],
///   [`Summary`], [`GaugeHistogram`], [`Info`], [`StateSet`] or [`Enum`], and `TYPE<LABELS>` for a
///   family with a [`LabelSet`](crate::LabelSet): the field is then a
///   [`TypedFamily`](crate::TypedFamily). Write `'static` for the lifetimes of a label set.
/// * The documentation of a field is the help text of its metric.
/// * `(prefix = "...")` behind the struct's name stands in front of all metrics' names, with a `_`.
/// * `(OPTION = VALUE, ...)` behind a metric's name calls these methods of its [`Builder`], such as
///   `unit`, `buckets`, `native`, `quantiles`, `max_series`; of a family also `expire_after`. A
///   gauge needs a `mode` of [`GaugeMode`]. State sets and enums need `states`.
///
/// The struct is `Copy`, and implements [`Metrics`](crate::Metrics).
#[macro_export]
macro_rules! metrics {
    (
        $(#[$attribute:meta])*
        $vis:vis struct $name:ident $((prefix = $prefix:literal $(,)?))? {
            $(
                $(#[doc = $help:literal])*
                $field_vis:vis $field:ident: $metric:ident $(<$labels:ty>)? = $exposed:literal
                    $(($($option:ident = $value:expr),* $(,)?))?
            ),* $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        $vis struct $name {
            $($(#[doc = $help])* $field_vis $field: $crate::metrics!(@type $metric $($labels)?),)*
        }

        impl $crate::Metrics for $name {
            fn register(segment: &$crate::Segment) -> ::core::result::Result<Self, $crate::Error> {
                const PREFIX: &str = ::core::concat!($($prefix, "_")?);
                ::core::result::Result::Ok($name {
                    $($field: {
                        let name = [PREFIX, $exposed].concat();
                        let help = $crate::declare::help(&[$($help),*]);
                        let builder = <$crate::$metric as $crate::declare::Field>::field(segment, &name, &help);
                        // By `let`, so that what a value borrows lives as long as the builder.
                        $($(let $option = $crate::metrics!(@value $option $value);)*)?
                        $($(let builder = $crate::metrics!(@first builder $option $option);)*)?
                        $($(let builder = $crate::metrics!(@then builder $option $option);)*)?
                        $(let builder = builder.label_set::<$labels>();)?
                        $($(let builder = $crate::metrics!(@last builder $option $option);)*)?
                        builder.register()?
                    },)*
                })
            }
        }
    };
    (@type $metric:ident) => { $crate::$metric };
    (@type $metric:ident $labels:ty) => {
        $crate::TypedFamily<$crate::$metric, <$labels as $crate::LabelSet>::Family>
    };
    (@value mode $value:expr) => {{
        #[allow(unused_imports)]
        use $crate::GaugeMode::*;
        $value
    }};
    (@value $option:ident $value:expr) => { $value };
    // What a builder begins with.
    (@first $builder:ident mode $mode:ident) => { $builder.mode($mode) };
    (@first $builder:ident states $states:ident) => { $builder.states($states) };
    (@first $builder:ident $option:ident $same:ident) => { $builder };
    (@then $builder:ident mode $mode:ident) => { $builder };
    (@then $builder:ident states $states:ident) => { $builder };
    (@then $builder:ident expire_after $time:ident) => { $builder };
    (@then $builder:ident $option:ident $value:ident) => { $builder.$option($value) };
    // What only families have.
    (@last $builder:ident expire_after $time:ident) => { $builder.expire_after($time) };
    (@last $builder:ident $option:ident $same:ident) => { $builder };
}

/// The help text of documentation comments: their lines, joined. Lines of a block comment may begin
/// with `*`.
pub fn help(comments: &[&str]) -> String {
    let lines = comments.iter().flat_map(|comment| {
        comment.lines().enumerate().map(|(i, line)| {
            let line = line.trim();
            if i > 0 {
                line.strip_prefix('*').unwrap_or(line).trim_start()
            } else {
                line
            }
        })
    });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A type of metric that [`metrics!`](crate::metrics) declares.
pub trait Field: Sized {
    /// A [`Builder`], or what needs one more setting to be one.
    type Start<'a>;
    fn field<'a>(segment: &Segment, name: &'a str, help: &'a str) -> Self::Start<'a>;
}

macro_rules! field {
    ($($metric:ident $method:ident),*) => {$(
        impl Field for $metric {
            type Start<'a> = Builder<'a, Self>;
            fn field<'a>(segment: &Segment, name: &'a str, help: &'a str) -> Self::Start<'a> {
                segment.$method(name, help)
            }
        }
    )*};
}
field!(Counter counter, Histogram histogram, GaugeHistogram gauge_histogram, Summary summary, Info info);

/// A gauge in [`metrics!`](crate::metrics) that has no `mode` yet.
#[derive(Debug)]
pub struct GaugeNeedsMode<'a>(Segment, &'a str, &'a str);

impl<'a> GaugeNeedsMode<'a> {
    /// The builder of a gauge of this mode.
    pub fn mode(self, mode: GaugeMode) -> Builder<'a, Gauge> {
        self.0.gauge(self.1, self.2, mode)
    }
}

impl Field for Gauge {
    type Start<'a> = GaugeNeedsMode<'a>;
    fn field<'a>(segment: &Segment, name: &'a str, help: &'a str) -> Self::Start<'a> {
        GaugeNeedsMode(*segment, name, help)
    }
}

/// A state set or an enum in [`metrics!`](crate::metrics) that has no `states` yet.
#[derive(Debug)]
pub struct NeedsStates<'a, M>(Segment, &'a str, &'a str, std::marker::PhantomData<M>);

macro_rules! states {
    ($($metric:ident $method:ident),*) => {$(
        impl<'a> NeedsStates<'a, $metric> {
            /// The builder of a metric with these states.
            pub fn states(self, states: &'a [&'a str]) -> Builder<'a, $metric> {
                self.0.$method(self.1, self.2, states)
            }
        }

        impl Field for $metric {
            type Start<'a> = NeedsStates<'a, Self>;
            fn field<'a>(segment: &Segment, name: &'a str, help: &'a str) -> Self::Start<'a> {
                NeedsStates(*segment, name, help, std::marker::PhantomData)
            }
        }
    )*};
}
states!(StateSet state_set, Enum enumeration);
