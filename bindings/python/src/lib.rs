//! The native half of the Python package `shmetrics`: metrics as Python classes, over the crate
//! `shmetrics`.
//!
//! Updates are a method call and an atomic instruction: they keep the GIL, allocate nothing and
//! cannot fail. What may fail or wants to be said to people is in the other half, in Python.

mod common;
mod counter;
mod compat;
mod fork;
mod gauge;
mod histogram;
mod labels;
mod page;
mod place;
mod reading;
mod segment;
mod state;
mod summary;
mod timer;
mod value;

use pyo3::prelude::*;

/// Not declared safe without the GIL: nobody has run it so yet.
#[pymodule(gil_used = true)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    fork::refuse_others(module.py())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<segment::Segment>()?;
    module.add_class::<segment::Exposition>()?;
    module.add_class::<reading::Reading>()?;
    module.add_function(wrap_pyfunction!(place::file_system, module)?)?;
    module.add_class::<counter::Counter>()?;
    module.add_class::<gauge::Gauge>()?;
    module.add_class::<histogram::Histogram>()?;
    module.add_class::<summary::Summary>()?;
    module.add_class::<state::Info>()?;
    module.add_class::<state::Enum>()?;
    module.add_class::<timer::Timer>()?;
    module.add_class::<timer::InProgress>()?;
    module.add_class::<timer::ExceptionCounter>()?;
    fork::watch();
    module.add_class::<value::ValueFamily>()?;
    module.add_class::<value::CounterValue>()?;
    module.add_class::<value::GaugeValue>()?;
    module.add_class::<value::HistogramValue>()?;
    module.add_class::<value::SummaryValue>()?;
    module.add_function(wrap_pyfunction!(common::set_legacy_validation, module)?)?;
    module.add_function(wrap_pyfunction!(common::is_registered, module)?)?;
    module.add_function(wrap_pyfunction!(value::is_removed, module)?)?;
    module.add_function(wrap_pyfunction!(value::find, module)?)?;
    module.add_function(wrap_pyfunction!(value::look_up, module)?)?;
    module.add_function(wrap_pyfunction!(value::add, module)?)?;
    Ok(())
}
