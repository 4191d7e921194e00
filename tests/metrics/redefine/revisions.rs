//! Which of two processes prevails that define a family otherwise: the one of the later revision.

use common::{fork, page, samples, Name};
use shmetrics::{Error, Options, Segment};

fn one_label(segment: &Segment) -> Result<(), Error> {
    segment.counter("m", "").labels(["a"]).replace().register().map(|family| family.with(["1"]).inc())
}

fn two_labels(segment: &Segment) -> Result<(), Error> {
    segment.counter("m", "").labels(["a", "b"]).replace().register().map(|family| family.with(["1", "2"]).inc())
}

fn assert_two_labels(segment: &Segment, count: f64) {
    let samples = samples(&page(segment));
    assert_eq!(samples.into_iter().collect::<Vec<_>>(), [("m_total{a=\"1\",b=\"2\"}".to_owned(), count)]);
}

#[test]
fn an_old_revision_does_not_win_a_family_back() {
    let name = Name::new("revisions");
    let old = name.open();
    one_label(&old).unwrap();
    let new = name.options().separate_mapping(true).open().unwrap();
    two_labels(&new).unwrap();
    let error = one_label(&old).unwrap_err();
    assert!(matches!(&error, Error::Conflict(why) if why.contains("later revision")), "{error}");
    let plain = old.counter("m", "").labels(["a"]).register().unwrap_err();
    assert!(matches!(plain, Error::Conflict(_)), "{plain}");
    assert!(matches!(old.unregister("m"), Err(Error::Conflict(_))));
    two_labels(&old).unwrap(); // It may register the new definition.
    assert_two_labels(&new, 2.0);
}

#[test]
fn workers_are_of_their_masters_revision() {
    let name = Name::new("revisions");
    let master = name.open();
    one_label(&master).unwrap();
    let new = name.options().separate_mapping(true).open().unwrap();
    two_labels(&new).unwrap();
    let mut old_worker = fork(move || assert!(matches!(one_label(&master), Err(Error::Conflict(_)))));
    assert_eq!(old_worker.wait(), 0);
    assert_eq!(fork(move || two_labels(&new).unwrap()).wait(), 0);
    assert_two_labels(&new, 2.0);
}

#[test]
fn a_master_that_opens_the_segment_again_is_a_new_revision() {
    let name = Name::new("revisions");
    let master = name.open();
    let other = name.options().separate_mapping(true).open().unwrap();
    two_labels(&other).unwrap();
    assert!(one_label(&master).is_err());
    let again = name.open();
    one_label(&again).unwrap();
    assert_eq!(samples(&page(&master))["m_total{a=\"1\"}"], 1.0, "a rollback, too, is a new revision");
    assert!(two_labels(&other).is_err());
}

#[test]
fn an_equal_registration_makes_a_family_the_later_revisions() {
    let name = Name::new("revisions");
    let first = name.open();
    two_labels(&first).unwrap();
    let second = name.options().separate_mapping(true).open().unwrap();
    let third = name.options().separate_mapping(true).open().unwrap();
    third.counter("m", "").labels(["a", "b"]).register().unwrap();
    assert!(one_label(&second).is_err(), "the third has registered it as it is");
    assert_two_labels(&first, 1.0);
}

#[test]
fn revisions_may_be_numbered() {
    let name = Name::new("revisions");
    let numbered = |n| name.options().separate_mapping(true).revision(n).open().unwrap();
    let (second, first) = (numbered(2), numbered(1));
    one_label(&first).unwrap();
    two_labels(&second).unwrap();
    assert!(one_label(&first).is_err());
    assert_two_labels(&first, 1.0);
    one_label(&numbered(2)).unwrap();
    let _ = Options::new();
}
