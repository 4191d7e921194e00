//! A list in process memory that only grows, without a lock. A fork may happen at any moment, and
//! the child goes on with the list as it is: a lock could be held by a thread that the child lacks.

use std::sync::atomic::{AtomicPtr, Ordering::AcqRel, Ordering::Acquire};

/// Members are never freed, so that a thread, a signal handler or a child may walk the list at any
/// time.
pub(crate) struct GrowList<T: 'static>(AtomicPtr<Node<T>>);

struct Node<T: 'static> {
    member: T,
    older: Option<&'static Node<T>>,
}

impl<T: 'static> GrowList<T> {
    pub(crate) const fn new() -> Self {
        GrowList(AtomicPtr::new(std::ptr::null_mut()))
    }
}

impl<T: Send + Sync + 'static> GrowList<T> {
    /// The members, the newest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static T> {
        // Acquire pairs with the exchange in `add_unless`: the members are complete.
        Self::from(self.0.load(Acquire))
    }

    fn from(newest: *const Node<T>) -> impl Iterator<Item = &'static T> {
        // SAFETY: null, or from a box in `add_unless`, and never changed or freed.
        let newest = unsafe { newest.as_ref() };
        std::iter::successors(newest, |node| node.older).map(|node| &node.member)
    }

    /// Adds a member.
    pub(crate) fn add(&self, member: T) -> &'static T {
        self.add_unless(member, |_| false).unwrap_or_else(|(found, _)| found)
    }

    /// Adds a member, unless `has` says of a member that the new one is not needed: then returns
    /// that member, and the new one. `has` sees all members that come before the new one.
    pub(crate) fn add_unless(&self, member: T, has: impl Fn(&T) -> bool) -> Result<&'static T, (&'static T, T)> {
        let mut node = Box::new(Node { member, older: None });
        let mut newest = self.0.load(Acquire);
        loop {
            if let Some(found) = Self::from(newest).find(|member| has(member)) {
                return Err((found, node.member));
            }
            // SAFETY: as in `from`.
            node.older = unsafe { newest.as_ref() };
            let raw = Box::into_raw(node);
            // Release publishes the member. Acquire pairs with it in the exchanges of others.
            match self.0.compare_exchange(newest, raw, AcqRel, Acquire) {
                // SAFETY: from the box above, and never changed or freed from here on.
                Ok(_) => return Ok(unsafe { &(*raw).member }),
                Err(now) => newest = now,
            }
            // SAFETY: from the box above, and seen by no other thread.
            node = unsafe { Box::from_raw(raw) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::GrowList;

    #[test]
    fn threads_that_add_the_same_get_one_member() {
        static NUMBERS: GrowList<u32> = GrowList::new();
        let add = || (0..200).for_each(|n| _ = NUMBERS.add_unless(n, |other| *other == n));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(add);
            }
        });
        let mut found: Vec<u32> = NUMBERS.iter().copied().collect();
        found.sort_unstable();
        assert_eq!(found, (0..200).collect::<Vec<_>>());
        assert_eq!((*NUMBERS.add(7), NUMBERS.iter().next(), NUMBERS.iter().count()), (7, Some(&7), 201));
    }
}
