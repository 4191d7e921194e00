//! Families and label sets: registration, and the look-up that every labelled update goes through.
//!
//! * `builder`, `bundle`, `dynamic`: what an application calls; `spec`: the definition that it
//!   gives
//! * `register`: finds or makes a family, or several of a bundle, which `group` writes; `redefine`:
//!   replaces and unregisters families
//! * `lookup`: finds, makes and removes a series; `series`: the same in the handle's label order,
//!   which `order` keeps; `each`: all series of a family; `by_name`: updates without a handle
//! * `recycle`: free lists of records; `expiry`: series without updates

mod builder;
mod bundle;
pub(crate) mod by_name;
mod dynamic;
mod each;
mod expiry;
mod group;
mod lookup;
mod order;
mod recycle;
mod redefine;
mod register;
mod series;
pub(crate) mod spec;

pub(crate) use self::builder::Labels;
pub use self::builder::{Builder, Family};
pub use self::bundle::{Bundle, BundleBuilder, BundleEntry, Member};
pub use self::dynamic::{DynamicBundle, DynamicFamily};

pub(crate) use self::builder::DEFAULT_BUCKETS;
pub(crate) use self::bundle::BundleRef;
pub(crate) use self::lookup::FamilyRef;
pub(crate) use self::register::{register, register_all};
