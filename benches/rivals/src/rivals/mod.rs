//! The contestants, one file for each.

pub mod fastmetrics;
pub mod floors;
pub mod foundations;
pub mod measured;
pub mod metrics;
pub mod native;
pub mod ours;
pub mod prometheus;
pub mod prometheus_client;

use crate::contest::Contestant;

/// All that run in this process.
pub fn contestants() -> Vec<Contestant> {
    let mut all = floors::all();
    all.extend(native::empty_call());
    all.push(ours::rust());
    all.extend(native::ours_in_c());
    all.push(prometheus::contestant());
    all.push(prometheus_client::contestant());
    all.push(measured::contestant());
    all.push(fastmetrics::contestant());
    all.push(foundations::contestant());
    all.push(metrics::contestant());
    all.extend(native::prometheus_cpp());
    all
}
