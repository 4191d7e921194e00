//! The native half of the Python package `shmetrics`: metrics as Python classes, over the crate
//! `shmetrics`.
//!
//! An update is a method call and an atomic instruction. It keeps the GIL, allocates nothing and
//! cannot fail. Everything that may fail, and all warnings, are in the Python half.

mod bundle;
mod exposition;
mod family;
mod file_system;
mod fork;
mod labels;
mod metrics;
mod page;
mod python;
mod reader;
mod segment;
mod values;

use pyo3::prelude::*;

/// Not declared safe without the GIL: that was never tested.
#[pymodule(gil_used = true)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    fork::refuse_others(module.py())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    fork::watch();
    module.add_class::<reader::Reader>()?;
    module.add_class::<segment::Segment>()?;
    module.add_class::<exposition::Exposition>()?;
    module.add_class::<metrics::counter::Counter>()?;
    module.add_class::<metrics::gauge::Gauge>()?;
    module.add_class::<metrics::histogram::Histogram>()?;
    module.add_class::<metrics::summary::Summary>()?;
    module.add_class::<metrics::info::Info>()?;
    module.add_class::<metrics::state_set::Enum>()?;
    module.add_class::<bundle::Bundle>()?;
    module.add_class::<bundle::BundleEntry>()?;
    module.add_class::<bundle::BundleMember>()?;
    module.add_class::<metrics::timer::Timer>()?;
    module.add_class::<metrics::timer::InProgress>()?;
    module.add_class::<metrics::timer::ExceptionCounter>()?;
    module.add_class::<values::ValueFamily>()?;
    module.add_class::<values::classes::CounterValue>()?;
    module.add_class::<values::classes::GaugeValue>()?;
    module.add_class::<values::classes::HistogramValue>()?;
    module.add_class::<values::classes::SummaryValue>()?;
    module.add_function(wrap_pyfunction!(file_system::file_system, module)?)?;
    module.add_function(wrap_pyfunction!(family::set_legacy_validation, module)?)?;
    module.add_function(wrap_pyfunction!(family::is_registered, module)?)?;
    module.add_function(wrap_pyfunction!(values::children::is_removed, module)?)?;
    module.add_function(wrap_pyfunction!(values::children::find, module)?)?;
    module.add_function(wrap_pyfunction!(values::children::look_up, module)?)?;
    module.add_function(wrap_pyfunction!(values::children::add, module)?)?;
    Ok(())
}
