//! What the library needs of the operating system, and what it leaves as it found it: clocks,
//! `errno`, the names of the boot and of namespaces, `/proc`, the environment, and lists that a
//! fork leaves whole. Nothing here knows a segment.

pub(crate) mod clock;
pub(crate) mod environment;
pub(crate) mod errno;
pub(crate) mod grow_list;
pub(crate) mod host;
pub(crate) mod identity;
pub(crate) mod proc;
pub(crate) mod random;
pub(crate) mod time_namespace;
