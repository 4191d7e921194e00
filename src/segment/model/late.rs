//! A helper that is stopped between reading an announcement and doing something about it, and goes on when its record is in
//! another's hands: one schedule, made to order.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering, Ordering::Relaxed};
use std::sync::Arc;

use super::super::chain::{offset, FAMILIES};
use super::super::layout::entry;
use super::super::life::{self, FreeList, State};
use super::super::memory::Memory;
use super::faults::{Fault, Faulty};
use super::scene::{link, Doubling, Scene, FREE, HERE, LATER, NEXT_DOOR};

/// Runs something after the first look at an announcement.
struct Stopped<'a, M> {
    inner: M,
    meanwhile: Cell<Option<&'a dyn Fn()>>,
}

impl<M: Memory> Memory for Stopped<'_, M> {
    fn load32(&self, at: u64, order: Ordering) -> u32 {
        self.inner.load32(at, order)
    }
    fn store32(&self, at: u64, value: u32, order: Ordering) {
        self.inner.store32(at, value, order);
    }
    fn cas32(&self, at: u64, old: u32, new: u32, ok: Ordering, fail: Ordering) -> Result<u32, u32> {
        self.inner.cas32(at, old, new, ok, fail)
    }
    fn load64(&self, at: u64, order: Ordering) -> u64 {
        let word = self.inner.load64(at, order);
        if at == FAMILIES.pending && word as u32 != 0 {
            if let Some(meanwhile) = self.meanwhile.take() {
                meanwhile();
            }
        }
        word
    }
    fn cas64(&self, at: u64, old: u64, new: u64, ok: Ordering, fail: Ordering) -> Result<u64, u64> {
        self.inner.cas64(at, old, new, ok, fail)
    }
    fn add64(&self, at: u64, value: u64, order: Ordering) -> u64 {
        self.inner.add64(at, value, order)
    }
    fn fence(&self) {
        self.inner.fence();
    }
}

fn helping_late(fault: Fault) {
    let ran = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&ran);
    shuttle::check_random(
        move || {
            let scene = Scene::<shuttle::sync::atomic::AtomicU64>::new(4);
            let words = &scene.words;
            // Announced by somebody who was killed just then.
            let record = link(0);
            scene.write(record, HERE);
            words.store32(offset(record) + entry::STATE, State::new(life::NEW, 0).0, Relaxed);
            words.store64(FAMILIES.pending, 1 << 32 | u64::from(record), Relaxed);
            let meanwhile = || {
                scene.insert(words, FAMILIES, LATER, link(1), Doubling::No);
                assert!(scene.remove(words, HERE));
                assert_eq!((FreeList { memory: words, at: FREE }).pop(|_| true), Some(record));
                told.store(true, Relaxed);
            };
            let view = Stopped { inner: Faulty::new(words, fault, link(2)), meanwhile: Cell::new(Some(&meanwhile)) };
            scene.insert(&view, FAMILIES, NEXT_DOOR, link(2), Doubling::No);
            assert_eq!(life::state(words, record).state(), life::CLAIMED, "a record went live in another's hands");
        },
        1,
    );
    assert!(ran.load(Relaxed), "the helper was not stopped");
}

#[test]
fn a_late_helper_leaves_the_next_life_alone() {
    helping_late(Fault::Sound);
}

#[test]
#[should_panic(expected = "went live in another's hands")]
fn a_late_helper_that_does_not_look_again_is_caught() {
    helping_late(Fault::NoSecondLook);
}
