//! Tests of segments of other users, in a directory that all users may write to.

mod support;

use support::http::Server;
use support::{Room, NOBODY};

const OTHER: u32 = 4711;

#[test]
fn other_users_segments_are_named_and_not_read() {
    let room = Room::new();
    room.segment_with_jobs("own", 3);
    room.segment_with_jobs("alien", 4);
    if !room.give("alien", NOBODY) {
        return;
    }
    let listed = room.run(&["list"]).success();
    let line = |name: &str| listed.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("alien").contains("nobody") && line("alien").contains("--owner nobody"), "{listed}");
    assert!(!line("own").contains("--owner"), "{listed}");
    for owner in ["nobody", "65534", "any"] {
        let listed = room.run(&["list", "--owner", owner]).success();
        assert!(!listed.contains("--owner"), "{listed}");
    }
    room.run(&["list", "--owner", "no-such-user"]).failure(&["no-such-user"]);
}

#[test]
fn a_user_that_is_named_comes_after_the_own_ones() {
    let room = Room::new();
    room.segment_of_another_type("a");
    room.segment_with_jobs("b", 2);
    room.segment_with_jobs("own", 3);
    room.segment_with_jobs("stranger", 5);
    if !(room.give("a", NOBODY) && room.give("b", NOBODY) && room.give("stranger", OTHER)) {
        return;
    }
    let server = Server::start_with(&room, &["--all", "--owner", "nobody"]);
    let page = server.get("/metrics");
    // The type is that of the user's own segment, whatever the names are.
    page.assert(200, "# TYPE jobs_total counter\n");
    page.assert(200, "jobs_total{segment=\"own\"} 3\njobs_total{segment=\"b\"} 2\n");
    assert!(!page.body.contains("segment=\"stranger\""), "{}", page.body);
    let any = Server::start_with(&room, &["--all", "--owner", "any"]);
    any.get("/metrics").assert(200, "jobs_total{segment=\"stranger\"} 5\n");
}
