//! Builders of families, and families whose number of labels the compiler knows.

use std::marker::PhantomData;
use std::time::Duration;

use super::lookup::FamilyRef;
use super::register::register;
use super::spec::Spec;
use crate::kind::Kind;
use crate::metric::{Counter, Enum, Gauge, GaugeHistogram, Histogram, Info, Metric, StateSet, Summary};
use crate::record::family::Record;
use crate::record::gauge_mode::GaugeMode;
use crate::record::native_schema::Native;
use crate::{Error, Segment};

/// A metric family about to be registered: made by [`Segment::counter`], [`Segment::gauge`],
/// [`Segment::histogram`] and so on.
///
/// Names of metrics and labels are UTF-8 without control characters, up to 512 bytes. A name with
/// other characters than letters, digits and `_` (and `:` in a metric's name) is shown in quotes to
/// scrapers that ask for it, and escaped to others: see [`Escaping`](crate::Escaping). Two names
/// that would be the same when they are escaped clash: the second registration fails.
///
/// Registration is idempotent: any process may register the same family at any time and gets the
/// same series. Help text, `max_series` and `exemplar_interval` are those of the first
/// registration. Any other difference is an [`Error::Conflict`] that names it.
///
/// `L` stands for the labels: `()` as long as there are none, an array after [`Builder::labels`], a
/// slice after [`Builder::label_names`], a [`LabelStruct`](crate::LabelStruct) after
/// [`Builder::label_set`]. The options may come before the labels and after them.
///
/// Durations saturate: [`Duration::MAX`] is for ever.
#[derive(Clone, Debug)]
#[must_use = "nothing is registered until `register`"]
pub struct Builder<'a, M, L = ()> {
    pub(super) segment: Segment,
    pub(super) spec: Spec<'a>,
    pub(crate) labels: L,
    pub(super) metric: PhantomData<M>,
}

/// What a [`Builder`] with labels has for them.
pub trait Labels {}
impl<const N: usize> Labels for [&str; N] {}

/// Prometheus' default buckets for latencies in seconds.
pub(crate) const DEFAULT_BUCKETS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

impl Segment {
    fn builder<'a, M>(self, name: &'a str, help: &'a str, kind: Kind, mode: GaugeMode) -> Builder<'a, M> {
        Builder { segment: self, spec: Spec::new(name, help, kind, mode), labels: (), metric: PhantomData }
    }

    /// A counter: a value that only rises. Pages show it as `name_total`, whether or not `name`
    /// ends so.
    pub fn counter<'a>(&self, name: &'a str, help: &'a str) -> Builder<'a, Counter> {
        self.builder(name, help, Kind::Counter, GaugeMode::Shared)
    }

    /// A gauge: a value that goes up and down. The mode says how pages merge the values of several
    /// processes.
    pub fn gauge<'a>(&self, name: &'a str, help: &'a str, mode: GaugeMode) -> Builder<'a, Gauge> {
        self.builder(name, help, Kind::Gauge, mode)
    }

    /// A histogram, classic with Prometheus' default buckets unless [`Builder::buckets`] or
    /// [`Builder::native`] say otherwise.
    pub fn histogram<'a>(&self, name: &'a str, help: &'a str) -> Builder<'a, Histogram> {
        self.builder(name, help, Kind::Histogram, GaugeMode::Shared).with_default_buckets()
    }

    /// A histogram whose observations can be taken back, with Prometheus' default buckets unless
    /// [`Builder::buckets`] says otherwise.
    pub fn gauge_histogram<'a>(&self, name: &'a str, help: &'a str) -> Builder<'a, GaugeHistogram> {
        self.builder(name, help, Kind::GaugeHistogram, GaugeMode::Shared).with_default_buckets()
    }

    /// A summary: the count and the sum of observations, and [quantiles](Builder::quantiles) if
    /// asked for.
    pub fn summary<'a>(&self, name: &'a str, help: &'a str) -> Builder<'a, Summary> {
        self.builder(name, help, Kind::Summary, GaugeMode::Shared)
    }

    /// A metric of unknown type (`untyped` in Prometheus' formats), such as a value from another
    /// system. One value for all processes.
    pub fn unknown<'a>(&self, name: &'a str, help: &'a str) -> Builder<'a, Gauge> {
        self.builder(name, help, Kind::Unknown, GaugeMode::Shared)
    }

    /// Information in labels, such as a version: pages show `name_info` with the value 1, whether
    /// or not `name` ends so. OpenMetrics gives the name `target` to the labels of a whole scrape.
    ///
    /// ```
    /// # fn main() -> Result<(), shmetrics::Error> {
    /// # let segment = shmetrics::Options::new().anonymous().open()?;
    /// segment.info("build", "The build.").labels(["version", "revision"]).register()?.with(["1.2.3", "4f5a"]);
    /// # assert!(segment.render(shmetrics::Format::Text).starts_with(b"# HELP build_info The build.\n# TYPE build_info gauge\nbuild_info{version=\"1.2.3\",revision=\"4f5a\"} 1\n"));
    /// # Ok(()) }
    /// ```
    pub fn info<'a>(&self, name: &'a str, help: &'a str) -> Builder<'a, Info> {
        self.builder(name, help, Kind::Info, GaugeMode::Shared)
    }

    /// A set of up to 64 states, each on or off. Pages show a sample for each, 1 or 0, with the
    /// label `name` for the state.
    pub fn state_set<'a>(&self, name: &'a str, help: &'a str, states: &'a [&'a str]) -> Builder<'a, StateSet> {
        self.builder(name, help, Kind::StateSet, GaugeMode::Shared).with_states(states)
    }

    /// One of up to 64 states. Pages show a sample for each, of which one is 1, with the label
    /// `name` for the state.
    ///
    /// ```
    /// # fn main() -> Result<(), shmetrics::Error> {
    /// # let segment = shmetrics::Options::new().anonymous().open()?;
    /// let state = segment.enumeration("breaker", "The circuit breaker.", &["closed", "open"]).register()?;
    /// state.set(1);
    /// # assert!(segment.page(shmetrics::Format::Text).render_to_string().unwrap().contains("breaker=\"open\"} 1\n"));
    /// # Ok(()) }
    /// ```
    pub fn enumeration<'a>(&self, name: &'a str, help: &'a str, states: &'a [&'a str]) -> Builder<'a, Enum> {
        self.builder(name, help, Kind::Enum, GaugeMode::Shared).with_states(states)
    }
}

impl<'a, M, L> Builder<'a, M, L> {
    pub(crate) fn with_labels<K>(self, labels: K) -> Builder<'a, M, K> {
        Builder { segment: self.segment, spec: self.spec, labels, metric: PhantomData }
    }

    fn with_buckets(mut self, bounds: &'a [f64]) -> Self {
        (self.spec.buckets, self.spec.default_buckets) = (bounds, false);
        self
    }

    fn with_default_buckets(mut self) -> Self {
        (self.spec.buckets, self.spec.default_buckets) = (DEFAULT_BUCKETS, true);
        self
    }

    fn with_states(mut self, states: &'a [&'a str]) -> Self {
        self.spec.states = states;
        self
    }
}

impl<'a, M: Metric, L> Builder<'a, M, L> {
    /// Replaces another definition of this name, for a reload with one more label or bucket.
    /// Without this, a registration that differs is [`Error::Conflict`].
    ///
    /// All pages change from the old definition to the new one at the same instant, and no page
    /// shows the name twice. The new family begins without series. Updates through handles of the
    /// old one change nothing, in any process, and are counted in `shmetrics_stale_updates_total`.
    /// Its memory serves other families with series of the same layout. If the family is registered
    /// in just this way already, it stays with its series; only [`Builder::max_series`] and
    /// [`Builder::exemplar_interval`] take effect.
    ///
    /// In a process of an earlier revision this is [`Error::Conflict`]: see
    /// [`Options::revision`](crate::Options::revision).
    ///
    /// ```
    /// # fn main() -> Result<(), shmetrics::Error> {
    /// # let segment = shmetrics::Options::new().anonymous().open()?;
    /// let old = segment.counter("requests_total", "Requests.").labels(["method"]).register()?;
    /// old.with(["GET"]).inc();
    /// let new = segment.counter("requests_total", "Requests.").labels(["method", "status"]).replace().register()?;
    /// new.with(["GET", "200"]).inc();
    /// old.with(["GET"]).inc(); // Counts nowhere.
    /// # let page = segment.page(shmetrics::Format::Text).render_to_string().unwrap();
    /// # assert!(page.contains("requests_total{method=\"GET\",status=\"200\"} 1\n") && !page.contains("{method=\"GET\"}"));
    /// # Ok(()) }
    /// ```
    pub fn replace(mut self) -> Self {
        self.spec.replace = true;
        self
    }

    /// The base unit, such as `seconds` or `bytes`; the name must end in it.
    pub fn unit(mut self, unit: &'a str) -> Self {
        self.spec.unit = unit;
        self
    }

    /// The most series of this family; further label sets share its overflow series. 0: no limit of
    /// its own.
    pub fn max_series(mut self, series: u64) -> Self {
        self.spec.max_series = series;
        self
    }

    /// The least time between two exemplars that a counter or a bucket keeps. The default is a
    /// second; zero keeps each exemplar. The first registration of the family decides.
    pub fn exemplar_interval(mut self, time: Duration) -> Self {
        self.spec.exemplar_ms = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        self
    }

    /// Series that no process updates for this time (rounded up to whole seconds; zero: never) go
    /// off the pages, and come back as they were with the next update or look-up. After twice the
    /// time they are removed, as by [`Family::remove`]. [`Segment::expire`] says which process does
    /// this.
    pub fn expire_after(mut self, time: Duration) -> Self
    where
        L: Labels,
    {
        self.spec.expire = seconds(time);
        self
    }
}

impl<'a, M: Metric> Builder<'a, M> {
    /// The names of the family's labels.
    pub fn labels<const N: usize>(self, names: [&'a str; N]) -> Builder<'a, M, [&'a str; N]> {
        self.with_labels(names)
    }

    /// Registers a metric without labels.
    ///
    /// # Errors
    /// [`Error::InvalidName`] and [`Error::InvalidArgument`] for a definition that no page can
    /// show, [`Error::Conflict`] if the family is registered with another definition,
    /// [`Error::Full`].
    pub fn register(self) -> Result<M, Error> {
        let inner = self.segment.inner;
        let family = FamilyRef::new(inner, register(inner, self.spec)?);
        Ok(family.find::<true, _>(0, |_| 0, |_| &[]))
    }
}

macro_rules! buckets {
    ($metric:ty) => {
        impl<'a, L> Builder<'a, $metric, L> {
            /// The rising upper bounds of the buckets. The bucket `+Inf` is added.
            pub fn buckets(self, bounds: &'a [f64]) -> Self {
                self.with_buckets(bounds)
            }

            /// Native buckets, which need no bounds and are made when an observation needs them.
            /// With [`Builder::buckets`], the histogram has both kinds, and each page shows the
            /// same observations in both.
            ///
            /// Pages in protobuf, which Prometheus asks for if native histograms are enabled, and
            /// in OpenMetrics 2.0.0 show them. Pages in other formats show the count and the sum,
            /// in one bucket up to `+Inf`, and the classic buckets if the histogram has any.
            ///
            /// The first observation in a range of values takes memory: 272 bytes for 16 buckets.
            /// Without room for them the observation is not counted, except in
            /// `shmetrics_observations_refused_total`.
            ///
            /// ```
            /// # fn main() -> Result<(), shmetrics::Error> {
            /// use shmetrics::Native;
            ///
            /// # let segment = shmetrics::Options::new().anonymous().open()?;
            /// let latency = segment.histogram("latency_seconds", "Latency.").native(Native::factor(1.1)).register()?;
            /// latency.observe(0.0042);
            /// # assert!(segment.page(shmetrics::Format::Text).render_to_string().unwrap().contains("latency_seconds_count 1\n"));
            /// # Ok(()) }
            /// ```
            pub fn native(mut self, native: Native) -> Self {
                self.spec.native = Some(native);
                self
            }
        }
    };
}
buckets!(Histogram);
buckets!(GaugeHistogram);

impl<L> Builder<'_, Counter, L> {
    /// Pages in text 0.0.4 and 1.0.0 and in protobuf show the counter under exactly its registered
    /// name, without `_total`: for dashboards and rules that name an exporter's counters, such as
    /// `nginx_connections_accepted`. OpenMetrics requires `_total` and shows it.
    ///
    /// This option is a part of the family's definition: a registration with it and one without
    /// conflict. An update that names the family, such as
    /// [`Segment::count`](crate::Segment::count), accepts either.
    ///
    /// ```
    /// # fn main() -> Result<(), shmetrics::Error> {
    /// # let segment = shmetrics::Options::new().anonymous().open()?;
    /// segment.counter("nginx_connections_accepted", "").exact_name().register()?.inc();
    /// let page = |format| segment.page(format).render_to_string().unwrap();
    /// assert!(page(shmetrics::Format::Text).contains("\nnginx_connections_accepted 1\n"));
    /// assert!(page(shmetrics::Format::OpenMetrics).contains("\nnginx_connections_accepted_total 1\n"));
    /// # Ok(()) }
    /// ```
    pub fn exact_name(mut self) -> Self {
        self.spec.exact = true;
        self
    }
}

impl<'a, L> Builder<'a, Summary, L> {
    /// The quantiles that pages show, from 0 to 1, rising: of the observations of all processes in
    /// the last ten minutes.
    ///
    /// The value of a quantile differs by at most 1.1 % from an observation of that rank. A value
    /// nearer to 0 than 2^-128 is shown as 0. The value covers the last five to ten minutes, see
    /// [`Builder::max_age`]; without an observation in them it is `NaN`. Quantiles of several
    /// series cannot be added or averaged: use a histogram for that.
    ///
    /// With quantiles an observation costs about twice as much. The first observation in a range of
    /// values takes memory: 272 bytes for each half octave. Without room for them the observation
    /// is in the count and the sum, in no quantile, and in `shmetrics_observations_refused_total`.
    ///
    /// ```
    /// # fn main() -> Result<(), shmetrics::Error> {
    /// # let segment = shmetrics::Options::new().anonymous().open()?;
    /// let sizes = segment.summary("response_bytes", "Sizes.").quantiles(&[0.5, 0.99]).register()?;
    /// sizes.observe(512.0);
    /// # let page = segment.page(shmetrics::Format::Text).render_to_string().unwrap();
    /// # assert!(page.contains("response_bytes{quantile=\"0.5\"} 50"), "{page}");
    /// # Ok(()) }
    /// ```
    pub fn quantiles(mut self, quantiles: &'a [f64]) -> Self {
        self.spec.quantiles = quantiles;
        self
    }

    /// How long an observation counts in quantiles. The default is ten minutes, the least is a
    /// second. An observation leaves the quantiles after half of that time to all of it. The count
    /// and the sum are of all time.
    pub fn max_age(mut self, time: Duration) -> Self {
        self.spec.window = seconds(time);
        self
    }
}

/// Rounded up.
pub(super) fn seconds(time: Duration) -> u32 {
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

impl<'a, M: Metric, const N: usize> Builder<'a, M, [&'a str; N]> {
    /// Registers the family.
    ///
    /// # Errors
    /// As [`Builder::register`].
    pub fn register(self) -> Result<Family<M, N>, Error> {
        let inner = self.segment.inner;
        let spec = Spec { labels: &self.labels, ..self.spec };
        let family = FamilyRef::new(inner, register(inner, spec)?);
        let record = Record::new(&inner.memory, family.at);
        let lens = std::array::from_fn(|i| record.label_len(i) as u16);
        Ok(Family { family, lens, metric: PhantomData })
    }
}

/// A metric with `N` labels: one series for each set of label values.
///
/// A small copy, valid in every thread and over fork.
///
/// ```
/// # fn main() -> Result<(), shmetrics::Error> {
/// # let segment = shmetrics::Options::new().anonymous().open()?;
/// let requests = segment.counter("http_requests_total", "Requests served.").labels(["method", "status"]).register()?;
/// requests.with(["GET", "200"]).inc();
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Family<M, const N: usize> {
    family: FamilyRef,
    /// The lengths of the label names, as label text has them.
    lens: [u16; N],
    metric: PhantomData<M>,
}

impl<M: Metric, const N: usize> Family<M, N> {
    /// The series with these label values, made if there is none.
    ///
    /// The call takes no lock. If the series exists, it neither allocates nor calls the system. It
    /// never fails: if the segment is full, a limit is reached, or the values together are longer
    /// than 64 KiB, the result is the family's overflow series, which pages show with the label
    /// `shmetrics_overflow="true"`. Keep the handle if you know the label values beforehand: an
    /// update through it costs one atomic instruction.
    #[inline]
    pub fn with(&self, values: [&str; N]) -> M {
        self.family.find::<true, _>(N, |i| usize::from(self.lens[i]), move |i| values[i].as_bytes())
    }

    /// The series with these label values, if it is there: for reading values, as tests do. It is
    /// not made, and an expired series stays off the pages.
    ///
    /// ```
    /// # fn main() -> Result<(), shmetrics::Error> {
    /// # let segment = shmetrics::testing::Scratch::new()?;
    /// let jobs = segment.counter("jobs_total", "").labels(["kind"]).register()?;
    /// jobs.with(["mail"]).inc();
    /// assert_eq!(jobs.peek(["mail"]).map(|counter| counter.get()), Some(1.0));
    /// assert!(jobs.peek(["mial"]).is_none());
    /// # Ok(()) }
    /// ```
    pub fn peek(&self, values: [&str; N]) -> Option<M> {
        self.family.peek(N, &|i| usize::from(self.lens[i]), &|i| values[i].as_bytes())
    }

    /// The series that are there now, each with its label values, without the overflow series.
    pub fn series(&self) -> Vec<(Vec<String>, M)> {
        self.family.series()
    }

    /// Removes all series that have these labels, as [`Family::remove`] does, and returns how many.
    /// The other labels may have any values.
    ///
    /// ```
    /// # fn main() -> Result<(), shmetrics::Error> {
    /// # let segment = shmetrics::testing::Scratch::new()?;
    /// let requests = segment.counter("requests_total", "").labels(["tenant", "method"]).register()?;
    /// requests.with(["blue", "GET"]).inc();
    /// requests.with(["blue", "POST"]).inc();
    /// assert_eq!(requests.remove_matching(&[("tenant", "blue")])?, 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`]: the family has no label of one of these names.
    pub fn remove_matching(&self, labels: &[(&str, &str)]) -> Result<u64, Error> {
        self.family.remove_matching(labels)
    }

    /// Removes the series with these label values, for all processes: no page and no look-up that
    /// begins after this call has it. False if there is none.
    ///
    /// A look-up of the same values then makes a new series, from 0. Updates through handles to the
    /// removed series change nothing (see [`Metric`]). Its memory serves other label sets of this
    /// family.
    pub fn remove(&self, values: [&str; N]) -> bool {
        self.family.remove(N, &|i| usize::from(self.lens[i]), &|i| values[i].as_bytes())
    }

    /// Removes all series of the family that are there when it is called, as [`Family::remove`]
    /// does, and returns how many. An overflow series stays.
    pub fn clear(&self) -> u64 {
        self.family.clear()
    }
}

impl<M, const N: usize> std::fmt::Debug for Family<M, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Family").field("labels", &N).finish_non_exhaustive()
    }
}
