//! The application: the same table as routes.c.

use std::time::Duration;

pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    /// Three digits and the phrase.
    pub status: &'static str,
    /// `None`: the request's own.
    pub body: Option<&'static str>,
    /// Time taken before there is an answer.
    pub work: Duration,
    /// Time taken between the answer's two halves.
    pub pause: Duration,
}

const fn route(method: &'static str, path: &'static str, status: &'static str, body: &'static str) -> Route {
    Route { method, path, status, body: Some(body), work: Duration::ZERO, pause: Duration::ZERO }
}

static ROUTES: [Route; 7] = [
    route("GET", "/", "200 OK", "One page for all workers is at /metrics\n"),
    route("GET", "/hello", "200 OK", "Hello!\n"),
    Route { work: Duration::from_millis(5), ..route("GET", "/slow", "200 OK", "That took 5 ms\n") },
    Route { pause: Duration::from_millis(3), ..route("GET", "/stream", "200 OK", "first half, second half\n") },
    route("GET", "/missing", "404 Not Found", "No such thing\n"),
    route("GET", "/error", "500 Internal Server Error", "Something broke\n"),
    Route { body: None, ..route("POST", "/echo", "200 OK", "") },
];

static OTHER: Route = route("other", "other", "404 Not Found", "No such page\n");

/// What is in no table is labelled `other`: a label must not hold what a client typed, or any
/// client can make series without end.
pub fn find(method: &str, path: &str) -> &'static Route {
    ROUTES.iter().find(|r| r.path == path && r.method == method).unwrap_or(&OTHER)
}
