//! What each path answers. A page is complete before its first byte is sent: there is no truncated 200.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{RawQuery, State};
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::Router;
use flate2::write::GzEncoder;
use flate2::Compression;
use shmetrics::{accepts_gzip, Cursor, Exposition};

use super::source::{Reading, Sources};

type Served = State<Arc<Sources>>;

/// What the scraper gives up after, in seconds.
const TIMEOUT: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");
/// Left for the way back.
const TIMEOUT_SLACK: Duration = Duration::from_millis(100);
/// Scrapes are frequent and go to the same machine, mostly: more compression takes longer than it saves.
const COMPRESSION: Compression = Compression::new(2);

pub(super) fn router(sources: Arc<Sources>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(|| async { "healthy\n" }))
        .route("/-/ready", get(ready))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is nothing here; the metrics are at /metrics\n") })
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n") })
        .with_state(sources)
}

/// A scraper's wishes.
struct Request {
    exposition: Exposition,
    gzip: bool,
    names: Vec<String>,
    deadline: Option<Instant>,
}

impl Request {
    fn new(sources: &Sources, headers: &HeaderMap, query: Option<&str>) -> Self {
        // Several headers of a name are as one.
        let all = |name| {
            let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            values.collect::<Vec<_>>().join(",")
        };
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let timeout = headers.get(TIMEOUT).and_then(|value| value.to_str().ok()?.parse::<f64>().ok());
        let timeout = timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Request {
            exposition: Exposition::negotiate(&all(ACCEPT)).with_created(sources.created()),
            gzip: accepts_gzip(&all(ACCEPT_ENCODING)),
            names: pairs.filter(|(key, _)| key == "name[]").map(|(_, value)| value.into_owned()).collect(),
            deadline: timeout.and_then(|t| Instant::now().checked_add(t.saturating_sub(TIMEOUT_SLACK))),
        }
    }

    /// The page's body. An error if it is not ready in time.
    fn render(&self, cursor: Cursor<'_>) -> Result<Vec<u8>, String> {
        let mut cursor = cursor.only(self.names.iter().cloned());
        let (mut page, mut packed) = (Vec::new(), GzEncoder::new(Vec::new(), COMPRESSION));
        while cursor.fill(&mut page) {
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err("the page is not ready in the time that the scraper gives; raise its scrape_timeout".into());
            }
            if self.gzip {
                packed.write_all(&page).map_err(|e| e.to_string())?;
                page.clear();
            }
        }
        if self.gzip {
            packed.finish().map_err(|e| e.to_string())
        } else {
            Ok(page)
        }
    }
}

async fn metrics(State(sources): Served, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let request = Request::new(&sources, &headers, query.as_deref());
    let (content_type, gzip) = (request.exposition.content_type(), request.gzip);
    let page = read(sources, move |reading| request.render(reading.cursor(request.exposition))).await;
    let mut response = match page.and_then(|page| page) {
        Ok(page) => ([(CONTENT_TYPE, content_type)], page).into_response(),
        Err(problem) => return unavailable(problem),
    };
    let headers = response.headers_mut();
    headers.insert(VARY, axum::http::HeaderValue::from_static("Accept, Accept-Encoding"));
    if gzip {
        headers.insert(CONTENT_ENCODING, axum::http::HeaderValue::from_static("gzip"));
    }
    response
}

async fn ready(State(sources): Served) -> Response {
    read(sources, |_| ()).await.map_or_else(unavailable, |()| "ready\n".into_response())
}

async fn index(State(sources): Served) -> Response {
    let name = escape(&sources.names());
    let state = match read(sources, Reading::missing).await {
        Ok(None) => "It is there and can be read.".to_owned(),
        Ok(Some(problem)) | Err(problem) => escape(&problem),
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

/// Runs `work` on the segments away from the connections: a large page takes a while.
async fn read<T: Send + 'static>(
    sources: Arc<Sources>,
    work: impl FnOnce(&Reading) -> T + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(move || sources.read().map(|reading| work(&reading)));
    done.await.unwrap_or_else(|e| Err(format!("the page could not be made: {e}")))
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
