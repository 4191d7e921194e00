//! Texts of metrics, without shared memory: which names are legal, how pages escape them, the text
//! and the hash of a label set, numbers as pages write them.

pub(crate) mod buckets;
pub(crate) mod escaping;
pub(crate) mod hash;
pub(crate) mod label_set;
pub(crate) mod names;
pub(crate) mod number;
