//! The portable backend, over the `shared_memory` crate: for systems without Linux' tmpfs calls,
//! and built and tested on Linux too so that it stays true.
//!
//! What it lacks is stated, not hidden: the memory is fully committed or not at the system's will,
//! the mode is always 0600, a reader maps it writable, and there are no byte locks, so whether a
//! process lives is asked of its pid.

use std::ptr::NonNull;
use std::sync::Arc;

use shared_memory::{Shmem, ShmemConf, ShmemError};

use super::Backing;
use crate::shm::grants::Grants;
use crate::Error;

pub(crate) struct PortableBacking {
    memory: Shmem,
    grants: Arc<Grants>,
}

// SAFETY: `Shmem` is a raw pointer and a length; it is only read here.
unsafe impl Send for PortableBacking {}
// SAFETY: as above.
unsafe impl Sync for PortableBacking {}

fn failed(doing: &str, e: &ShmemError) -> Error {
    Error::System { doing: doing.into(), reason: format!("{e:?}"), errno: None }
}

fn os_id(name: &str) -> String {
    format!("/{}{name}", crate::shm::mapping::PREFIX)
}

impl PortableBacking {
    /// `Ok(None)`: the name is taken.
    pub(crate) fn create(name: &str, size: u64) -> Result<Option<Self>, Error> {
        match ShmemConf::new().os_id(os_id(name)).size(size as usize).create() {
            Ok(mut memory) => {
                // A forked child must not unlink its parent's segment when it ends.
                memory.set_owner(false);
                Ok(Some(PortableBacking { memory, grants: Arc::new(Grants::plain()) }))
            }
            Err(ShmemError::MappingIdExists) => Ok(None),
            Err(e) => Err(failed("creating the segment", &e)),
        }
    }

    /// `Ok(None)`: there is no such segment.
    pub(crate) fn open(name: &str) -> Result<Option<Self>, Error> {
        match ShmemConf::new().os_id(os_id(name)).open() {
            Ok(memory) => Ok(Some(PortableBacking { memory, grants: Arc::new(Grants::plain()) })),
            Err(ShmemError::MapOpenFailed(2)) => Ok(None),
            Err(e) => Err(failed("opening the segment", &e)),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn remove(name: &str) -> Result<(), Error> {
        match ShmemConf::new().os_id(os_id(name)).open() {
            Ok(mut memory) => {
                memory.set_owner(true);
                Ok(())
            }
            Err(ShmemError::MapOpenFailed(2)) => Err(Error::NotFound(os_id(name).into())),
            Err(e) => Err(failed("removing the segment", &e)),
        }
    }
}

impl Backing for PortableBacking {
    fn base(&self) -> NonNull<u8> {
        NonNull::new(self.memory.as_ptr()).unwrap_or(NonNull::dangling())
    }
    fn len(&self) -> u64 {
        self.memory.len() as u64
    }
    fn grants(&self) -> &Grants {
        &self.grants
    }
    fn id(&self) -> (u64, u64) {
        (u64::MAX, self.memory.as_ptr() as u64)
    }
}
