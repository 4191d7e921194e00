//! What each path answers. A page is complete before its first byte is sent: there is no truncated 200.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::Router;
use shmetrics::{Error, Format, Reader};

use super::source::Source;

type Served = State<Arc<Source>>;

pub(super) fn router(source: Arc<Source>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(|| async { "healthy\n" }))
        .route("/-/ready", get(ready))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is nothing here; the metrics are at /metrics\n") })
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n") })
        .with_state(source)
}

async fn metrics(State(source): Served) -> Response {
    let page = with_reader(source, |reader| reader.render(Format::Text)).await;
    page.map_or_else(unavailable, |page| ([(CONTENT_TYPE, Format::Text.content_type())], page).into_response())
}

async fn ready(State(source): Served) -> Response {
    with_reader(source, |_| ()).await.map_or_else(unavailable, |()| "ready\n".into_response())
}

async fn index(State(source): Served) -> Response {
    let name = escape(source.name());
    let state = match with_reader(source, |_| ()).await {
        Ok(()) => "It is there and can be read.".to_owned(),
        Err(problem) => escape(&problem),
    };
    Html(format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>shmetrics: {name}</title>\n\
         <h1>shmetrics</h1>\n<p>Segment <b>{name}</b>. {state}</p>\n\
         <ul>\n<li><a href=\"/metrics\">/metrics</a> the metrics\n\
         <li><a href=\"/-/ready\">/-/ready</a> whether the segment can be read\n\
         <li><a href=\"/-/healthy\">/-/healthy</a> whether this server lives\n</ul>\n</html>\n"
    ))
    .into_response()
}

/// Runs `work` on the segment away from the connections: a large page takes a while.
async fn with_reader<T: Send + 'static>(
    source: Arc<Source>,
    work: impl FnOnce(&Reader) -> T + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(move || source.reader().map(|reader| work(&reader)));
    match done.await {
        Ok(result) => result.map_err(|e: Error| e.to_string()),
        Err(e) => Err(format!("the page could not be made: {e}")),
    }
}

fn unavailable(problem: String) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(CACHE_CONTROL, "no-store")], problem + "\n").into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    #[test]
    fn markup_in_a_name_stays_text() {
        assert_eq!(super::escape("<a&\"b\">"), "&lt;a&amp;&quot;b&quot;&gt;");
    }
}
