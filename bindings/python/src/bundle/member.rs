//! The members of a bundle: how they are defined, and what makes their children.

use std::cell::OnceCell;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use shmetrics::{BundleBuilder, BundleEntry, GaugeMode, Member};

use crate::family::{borrowed, Arguments, Definition, Family, Handle, Options};
use crate::metrics::class::{Body, MetricClass};
use crate::metrics::counter::{Counter, CounterOptions};
use crate::metrics::gauge::Gauge;
use crate::metrics::histogram::{Histogram, HistogramOptions};
use crate::metrics::state_set::{Enum, EnumOptions};
use crate::metrics::summary::{Summary, SummaryOptions};

/// The definition of a metric in a bundle, as `Bundle.counter(...)` returns it.
#[pyclass(frozen, module = "shmetrics")]
pub(crate) struct BundleMember {
    pub(super) name: String,
    pub(super) documentation: String,
    pub(super) unit: String,
    pub(super) kind: MemberKind,
}

pub(super) enum MemberKind {
    Counter { exact_name: bool },
    Gauge(GaugeMode),
    Histogram(HistogramOptions),
    Summary(SummaryOptions),
    Enum(EnumOptions),
}

#[pymethods]
impl BundleMember {
    fn __repr__(&self) -> String {
        format!("shmetrics.BundleMember({})", self.name)
    }
}

/// What the members of a bundle have in common.
pub(super) struct Common<'a, 'py> {
    pub(super) labelnames: &'a Bound<'py, PyTuple>,
    pub(super) namespace: Option<&'a str>,
    pub(super) subsystem: Option<&'a str>,
}

impl BundleMember {
    /// The member in a bundle that is not registered yet.
    pub(super) fn of(&self, common: &Common<'_, '_>) -> PyResult<Box<dyn Unregistered>> {
        let definition = |kind: &str| {
            let arguments = Arguments {
                name: &self.name,
                documentation: &self.documentation,
                labelnames: Some(common.labelnames.as_any()),
                namespace: common.namespace,
                subsystem: common.subsystem,
                unit: Some(&self.unit),
            };
            arguments.definition(common.labelnames.py(), kind)
        };
        Ok(match &self.kind {
            MemberKind::Counter { exact_name } => {
                let definition = definition("counter")?;
                let options = CounterOptions::new(&self.name, *exact_name, &definition);
                unregistered::<Counter, _>(definition, options)
            }
            MemberKind::Gauge(mode) => unregistered::<Gauge, _>(definition("gauge")?, *mode),
            MemberKind::Histogram(options) => unregistered::<Histogram, _>(definition("histogram")?, options.clone()),
            MemberKind::Summary(options) => unregistered::<Summary, _>(definition("summary")?, options.clone()),
            MemberKind::Enum(options) => {
                let definition = definition("stateset")?;
                EnumOptions::check(&self.name, &definition)?;
                unregistered::<Enum, _>(definition, options.clone())
            }
        })
    }
}

/// A member whose bundle is not registered yet.
pub(super) trait Unregistered {
    fn name(&self) -> &str;
    fn states(&self) -> Vec<&str>;
    /// Adds it to its bundle. `states` is what `states` returned.
    fn add<'a>(&'a self, segment: shmetrics::Segment, states: &'a [&'a str], to: &mut BundleBuilder<'a, &'a [&'a str]>);
    /// The member after the registration, and its metric without label values. Without a segment,
    /// the bundle counts nowhere.
    fn registered(
        self: Box<Self>,
        py: Python<'_>,
        segment: Option<shmetrics::Segment>,
    ) -> PyResult<(Box<dyn Registered>, Bound<'_, PyAny>)>;
}

/// A member of a bundle.
pub(super) trait Registered: Send + Sync {
    /// Its child in this entry. `None`: the bundle counts nowhere.
    fn child<'py>(&self, entry: Option<BundleEntry>, values: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>>;
}

struct UnregisteredMember<C: MetricClass, O> {
    definition: Definition,
    options: O,
    member: OnceCell<Member<C::Metric>>,
}

struct RegisteredMember<C: MetricClass> {
    family: Arc<Family<C::Metric>>,
    member: Option<Member<C::Metric>>,
}

fn unregistered<C, O>(definition: Definition, options: O) -> Box<dyn Unregistered>
where
    C: MetricClass,
    O: Options<C::Metric> + 'static,
{
    Box::new(UnregisteredMember::<C, O> { definition, options, member: OnceCell::new() })
}

impl<C: MetricClass, O: Options<C::Metric>> Unregistered for UnregisteredMember<C, O> {
    fn name(&self) -> &str {
        &self.definition.name
    }

    fn states(&self) -> Vec<&str> {
        borrowed(self.options.states())
    }

    fn add<'a>(
        &'a self,
        segment: shmetrics::Segment,
        states: &'a [&'a str],
        to: &mut BundleBuilder<'a, &'a [&'a str]>,
    ) {
        let _ = self.member.set(to.add(self.options.builder(segment, &self.definition, states)));
    }

    fn registered(
        self: Box<Self>,
        py: Python<'_>,
        segment: Option<shmetrics::Segment>,
    ) -> PyResult<(Box<dyn Registered>, Bound<'_, PyAny>)> {
        let UnregisteredMember { definition, options, member } = *self;
        let (family, handle) = Family::registered(py, definition, segment, &options, 0, false)?;
        let metric = C::object(py, Body::parent(py, Arc::clone(&family), handle))?;
        Ok((Box::new(RegisteredMember::<C> { family, member: member.get().copied() }), metric))
    }
}

impl<C: MetricClass> Registered for RegisteredMember<C> {
    fn child<'py>(&self, entry: Option<BundleEntry>, values: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let handle = match (entry, self.member) {
            (Some(entry), Some(member)) => Handle::Series(entry.get(member)),
            _ => Handle::Inert,
        };
        let (py, family) = (values.py(), Arc::clone(&self.family));
        C::object(py, Body { handle, family, values: Some(values.clone().unbind()), children: None })
    }
}
