//! loom, as in `orderings`: how series are removed, and their records change hands.

use super::faults::Fault;
use super::orderings::{empty, explore, first_generation, Small, Thread, FIRST, RECORDS};
use super::scene::{link, Doubling, Extra, Scene, FAMILIES, HERE, NEXT_DOOR, SAME_TAG, STAYING};
use crate::shm::percpu;
use crate::shm::state::{Generation, SeriesAddr};

/// One entry.
fn one() -> Small {
    Scene::new(RECORDS, Extra::Nothing).with(&[HERE])
}

/// One free record.
fn one_free() -> Small {
    Scene::new(RECORDS, Extra::Nothing).with(&[STAYING]).without(&[STAYING])
}

/// Two free records.
fn two_free() -> Small {
    Scene::new(RECORDS, Extra::Nothing).with(&[STAYING, NEXT_DOOR]).without(&[STAYING, NEXT_DOOR])
}

/// One entry that is off the pages.
fn expired() -> Small {
    let scene = one();
    assert!(scene.expire(&scene.words, FAMILIES, link(0)));
    scene
}

/// The second generation of a record.
fn second_generation(i: u32) -> u64 {
    SeriesAddr { generation: Generation(1), ..SeriesAddr::from_word(first_generation(i)) }.into_word()
}

const INSERT: Thread = |scene, view, own| scene.insert(view, FAMILIES, HERE, own, Doubling::No).into_word();
const INSERT_ANOTHER: Thread = |scene, view, own| scene.insert(view, FAMILIES, SAME_TAG, own, Doubling::No).into_word();
const REMOVE: Thread = |scene, view, _| scene.remove(&view.of_remover(), FAMILIES, HERE).into();
/// Removes one key and gives the record to another.
const CHANGE: Thread = |scene, view, own| {
    assert!(scene.remove(&view.of_remover(), FAMILIES, HERE), "the only remover failed");
    INSERT_ANOTHER(scene, view, own)
};

/// If two processes remove one series, one of them does, and the record is free once.
fn removing_twice(fault: Fault) {
    explore(fault, 3, one, [REMOVE, REMOVE], |scene, found| {
        assert_eq!(found[0] + found[1], 1, "removals of one series");
        assert_eq!(scene.audit(false, 0), []);
        assert_eq!(scene.free(), [link(0)]);
    });
}

/// An insertion of a key that is being removed finds the old series, which is then gone, or makes a
/// new one, which stays.
fn removing_while_inserting(fault: Fault) {
    explore(fault, 2, one, [REMOVE, INSERT], |scene, found| {
        assert_eq!(found[0], 1, "the only remover failed");
        let keys = scene.audit(false, 0);
        if found[1] == first_generation(0) {
            assert_eq!(keys, []);
        } else {
            assert!([second_generation(0), first_generation(FIRST + 1)].contains(&found[1]), "it is somewhere else");
            assert_eq!(keys, [HERE]);
        }
    });
}

/// The record of an entry that is removed while its announcement is on may go to a process that
/// looked before all of that. No process takes what it writes for what was announced.
fn removing_while_announced(fault: Fault) {
    let remove: Thread = |scene, view, own| {
        scene.insert(&view.of_stopped(), FAMILIES, HERE, own, Doubling::No);
        assert!(scene.remove(&view.of_remover(), FAMILIES, HERE), "the only remover failed");
        0
    };
    explore(fault, 1, empty, [INSERT_ANOTHER, remove], |scene, found| {
        let there = scene.find(&scene.words, SAME_TAG).map(SeriesAddr::into_word);
        assert_eq!(there, Some(found[0]), "what was given to an inserter is not there");
        assert_eq!(scene.audit(true, 0), [SAME_TAG]);
    });
}

/// A removal of a key that is being inserted, helped by a third process, removes it or finds none.
fn removing_while_helped(fault: Fault) {
    explore(fault, 1, empty, [INSERT, REMOVE, INSERT_ANOTHER], |scene, found| {
        let mut keys = scene.audit(false, 0);
        keys.sort_unstable();
        assert_eq!(keys, if found[1] == 1 { &[SAME_TAG][..] } else { &[HERE, SAME_TAG] });
    });
}

/// A look-up finds a key's own generation, or nothing, while its record goes to another key.
fn changing_hands(fault: Fault) {
    let look_up: Thread = |scene, view, _| {
        let old = scene.find(view, HERE).map(SeriesAddr::into_word);
        assert!(old.is_none_or(|old| old == first_generation(0)), "the old key was found in {old:?}");
        let new = scene.find(view, SAME_TAG).map(SeriesAddr::into_word);
        assert!(new.is_none_or(|new| new == second_generation(0)), "the new key was found in {new:?}");
        0
    };
    explore(fault, 2, one, [CHANGE, look_up], |scene, found| {
        assert_eq!(found[0], second_generation(0), "the record was not used again");
        assert_eq!(scene.audit(false, 0), [SAME_TAG]);
    });
}

/// A page shows one of two keys, or none, while their record goes from one to the other.
fn shown_while_changing_hands(fault: Fault) {
    let show: Thread = |scene, view, _| {
        let keys = scene.pages(view, FAMILIES);
        assert!([&[][..], &[HERE], &[SAME_TAG]].contains(&&keys[..]), "a page shows {keys:?}");
        0
    };
    explore(fault, 2, one, [CHANGE, show], |scene, _| assert_eq!(scene.audit(false, 0), [SAME_TAG]));
}

/// Two that insert two keys, and one free record: one of them has it, and both have a record of
/// their own.
fn one_free_record(fault: Fault) {
    explore(fault, 2, one_free, [INSERT, INSERT_ANOTHER], |scene, found| {
        assert_ne!(found[0] as u32, found[1] as u32, "two keys have one record");
        assert!(found.contains(&second_generation(0)), "the free record was not used");
        assert_eq!(scene.audit(false, 0).len(), 2);
        assert_eq!(scene.free(), []);
    });
}

/// Two processes insert one key, and there is one free record: the later one gives it back.
fn one_free_record_and_key(fault: Fault) {
    explore(fault, 2, one_free, [INSERT, INSERT], |scene, found| {
        assert_eq!(found[0], found[1], "one key has two entries");
        assert_eq!(scene.audit(false, 0), [HERE]);
        assert_eq!(scene.free().is_empty(), found[0] == second_generation(0), "the free record");
    });
}

/// A process that takes the first free record while another takes it and gives it back does not
/// take the second record off the list with it.
fn coming_back(fault: Fault) {
    let two_and_back: Thread = |scene, view, own| {
        scene.insert(view, FAMILIES, SAME_TAG, own, Doubling::No);
        scene.insert(view, FAMILIES, STAYING, link(FIRST + 2), Doubling::No);
        scene.remove(&view.of_remover(), FAMILIES, SAME_TAG).into()
    };
    explore(fault, 1, two_free, [INSERT, two_and_back], |scene, found| {
        assert_eq!(found[1], 1, "the only remover failed");
        assert_eq!(scene.audit(false, 0).len(), 2);
    });
}

/// A free record that is offered while another is taken is not lost, and neither are those behind
/// it.
fn offering_while_taking(fault: Fault) {
    let scene = || Scene::new(RECORDS, Extra::Nothing).with(&[HERE, STAYING]).without(&[STAYING]);
    explore(fault, 2, scene, [REMOVE, INSERT_ANOTHER], |scene, found| {
        assert_eq!(scene.audit(false, 0), [SAME_TAG]);
        assert_eq!(scene.free().len(), 1, "found {found:?}");
    });
}

/// An update through an old handle never counts into the record's next generation.
fn counting_through_an_old_handle(fault: Fault) {
    let count: Thread = |scene, view, _| scene.count(view, SeriesAddr::from_word(first_generation(0))).into();
    let scene = || Scene::new(RECORDS, Extra::Counting).with(&[HERE]);
    explore(fault, 3, scene, [CHANGE, count], |scene, found| {
        assert_eq!(found[0], second_generation(0), "the record was not used again");
        assert_eq!(scene.counted(found[0]), Some(0), "an update counted into another generation");
    });
}

/// Updates through a handle go nowhere from the instant of removal on: not into the cell, and not
/// into per-CPU cells that a process gives late.
fn counting_after_removal(fault: Fault) {
    let remove_and_count: Thread = |scene, view, _| {
        let old = SeriesAddr::from_word(first_generation(0));
        assert!(scene.remove(&view.of_remover(), FAMILIES, HERE), "the only remover failed");
        scene.count(view, old).into()
    };
    let give_late: Thread = |scene, view, _| {
        let old = SeriesAddr::from_word(first_generation(0));
        u64::from(scene.count_in_cell(view, old) && percpu::give(view, old.at, 1))
    };
    let scene = || Scene::new(RECORDS, Extra::PerCpu).with(&[HERE]);
    explore(fault, 3, scene, [remove_and_count, give_late], |scene, found| {
        assert_eq!(found[0], 0, "an update to a removed series was taken");
        assert_eq!(scene.free(), [link(0)]);
    });
}

/// The same where another takes the record at once: what the removed series has counted is in no
/// other's.
fn counting_after_removal_and_reuse(fault: Fault) {
    let remove_and_count: Thread = |scene, view, _| {
        let old = SeriesAddr::from_word(first_generation(0));
        assert!(scene.remove(&view.of_remover(), FAMILIES, HERE), "the only remover failed");
        scene.count(view, old).into()
    };
    let scene = || Scene::new(RECORDS, Extra::Counting).with(&[HERE]);
    explore(fault, 3, scene, [remove_and_count, INSERT_ANOTHER], |scene, found| {
        assert_eq!(found[0], 0, "an update to a removed series was taken");
        assert_eq!(scene.counted(found[1]), Some(0), "an update counted into another generation");
    });
}

/// The per-CPU cells of one generation have nothing of another, also if the process that gives them
/// or counts in them comes late.
fn counting_per_cpu(fault: Fault) {
    // Per-CPU cells from a process that comes late, and the next generation's own.
    let give_late: Thread = |scene, view, _| {
        let old = SeriesAddr::from_word(first_generation(0));
        u64::from(scene.count_in_cell(view, old) && percpu::give(view, old.at, 1))
    };
    let count_late: Thread = |scene, view, _| scene.count(view, SeriesAddr::from_word(first_generation(0))).into();
    let change: Thread = |scene, view, own| {
        let next = CHANGE(scene, view, own);
        let place = SeriesAddr::from_word(next);
        assert!(scene.count_in_cell(view, place));
        percpu::give(view, place.at, 2);
        assert!(scene.count(view, place));
        next
    };
    let scene = || Scene::new(RECORDS, Extra::PerCpu).with(&[HERE]);
    explore(fault, 2, scene, [change, give_late, count_late], |scene, found| {
        assert_eq!(found[0], second_generation(0), "the record was not used again");
        assert_eq!(scene.counted(found[0]), Some(2), "an update counted into another generation");
    });
}

/// Per-CPU cells that are given while others count have what they count from then on, and what they
/// counted before stays.
fn counting_while_per_cpu_cells_are_given(fault: Fault) {
    let count_and_give: Thread = |scene, view, own| {
        let place = SeriesAddr::from_word(first_generation(0));
        assert!(scene.count_in_cell(view, place));
        percpu::give(view, place.at, if own == link(FIRST) { 1 } else { 2 });
        scene.count(view, place).into()
    };
    let scene = || Scene::new(RECORDS, Extra::PerCpu).with(&[HERE]);
    explore(fault, 3, scene, [count_and_give, count_and_give], |scene, found| {
        assert_eq!(found, [1, 1]);
        assert_eq!(scene.counted(first_generation(0)), Some(4), "updates are lost, or counted twice");
    });
}

/// A look-up before the removal brings back a series that is off the pages. A look-up after the
/// removal makes a new series.
fn reviving_while_removing(fault: Fault) {
    explore(fault, 2, expired, [REMOVE, INSERT], |scene, found| {
        assert_eq!(found[0], 1, "the only remover failed");
        assert_eq!(scene.audit(false, 0).is_empty(), found[1] == first_generation(0), "found in {}", found[1]);
    });
}

/// A series that expires while it is looked up is found.
fn expiring_while_inserting(fault: Fault) {
    let expire: Thread = |scene, view, _| scene.expire(&view.of_remover(), FAMILIES, link(0)).into();
    explore(fault, 3, one, [expire, INSERT], |scene, found| {
        assert_eq!(found, [1, first_generation(0)]);
        assert_eq!(scene.audit(false, 0), [HERE]);
    });
}

hold! {
    removing_twice removing_while_inserting removing_while_announced removing_while_helped
    changing_hands shown_while_changing_hands
    one_free_record one_free_record_and_key coming_back offering_while_taking
    counting_after_removal counting_after_removal_and_reuse
    counting_through_an_old_handle counting_per_cpu counting_while_per_cpu_cells_are_given
    reviving_while_removing expiring_while_inserting
}

fail! {
    removers_that_do_not_help: removing_while_announced, RemoversDoNotHelp, "gave back what is not its";
    readers_that_look_once: changing_hands, ReadersLookOnce, "seen before it was complete";
    claims_without_a_fence: changing_hands, NoFence, "seen before it was complete";
    no_count: coming_back, NoCount, "a record on the free list is not free";
    an_unpublished_offer: offering_while_taking, RelaxedOffer, "records are lost";
    a_generation_looked_at_before_the_per_cpu_cells: counting_per_cpu, GenerationBeforePerCpu, "an update counted into another generation";
    per_cpu_cells_taken_away_too_early: counting_per_cpu, CellsTakenEarly, "an update counted into another generation";
    per_cpu_cells_that_stay: counting_per_cpu, CellsStay, "an update counted into another generation";
    an_unpublished_removal_of_per_cpu_cells: counting_per_cpu, RelaxedTakeAway, "an update counted into another generation";
    a_cell_that_stays_open: counting_after_removal, CellStaysOpen, "an update to a removed series was taken";
    a_generation_that_stays: counting_after_removal, GenerationStays, "an update to a removed series was taken";
    an_update_of_any_generation: counting_through_an_old_handle, AnyGeneration, "an update counted into another generation";
}
