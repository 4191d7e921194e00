//! The handles that a thread has looked up. The facade's macros look up with every update, so that
//! has to be fast. Each thread has handles of its own, so no thread waits for another, and a fork
//! finds nothing half done.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use metrics::Key;
use shmetrics::{Counter, Gauge, Histogram, Summary};

use crate::handle::Handle;
use crate::shared::{Shared, Stored};

/// Most handles of a kind that a thread keeps. With more in use it begins anew, and looks them up
/// again.
const HANDLES_MAX: usize = 4096;
/// Most recorders whose handles a thread keeps. An application has one; tests have one each.
const RECORDERS_MAX: usize = 4;

pub(crate) type Handles<M> = HashMap<Key, Arc<Handle<M>>, BuildHasherDefault<KeyHasher>>;

#[derive(Default)]
struct Local {
    recorder: u64,
    counters: Handles<Counter>,
    gauges: Handles<Gauge>,
    histograms: Handles<Histogram>,
    summaries: Handles<Summary>,
}

thread_local! {
    static LOCAL: RefCell<Vec<Local>> = const { RefCell::new(Vec::new()) };
}

/// Where a thread keeps the handles of a kind.
pub(crate) trait Cached: Stored {
    #[allow(private_interfaces)]
    fn handles(local: &mut Local) -> &mut Handles<Self>;
}
macro_rules! cached {
    ($($metric:ident in $handles:ident;)*) => {$(
        impl Cached for $metric {
            #[allow(private_interfaces)]
            fn handles(local: &mut Local) -> &mut Handles<Self> {
                &mut local.$handles
            }
        }
    )*};
}
cached! { Counter in counters; Gauge in gauges; Histogram in histograms; Summary in summaries; }

/// The handle for a key.
pub(crate) fn handle<M: Cached>(shared: &Arc<Shared>, key: &Key) -> Arc<Handle<M>> {
    let cached = LOCAL.try_with(|local| {
        let mut local = local.try_borrow_mut().ok()?;
        let handles = M::handles(of_recorder(&mut local, shared.id));
        if let Some(handle) = handles.get(key).filter(|h| h.is_current()) {
            return Some(Arc::clone(handle));
        }
        let handle = Arc::new(shared.look_up(key));
        if handles.len() >= HANDLES_MAX {
            handles.clear();
        }
        handles.insert(handle.key.clone(), Arc::clone(&handle));
        Some(handle)
    });
    // The thread is about to end.
    cached.ok().flatten().unwrap_or_else(|| Arc::new(shared.look_up(key)))
}

fn of_recorder(local: &mut Vec<Local>, id: u64) -> &mut Local {
    let i = local.iter().position(|l| l.recorder == id).unwrap_or_else(|| {
        if local.len() >= RECORDERS_MAX {
            local.remove(0);
        }
        local.push(Local { recorder: id, ..Local::default() });
        local.len() - 1
    });
    &mut local[i]
}

/// A key has its hash already.
#[derive(Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
