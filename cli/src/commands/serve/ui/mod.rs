//! The page for people at `/`: plain files inside the program, and the JSON behind them.

mod live;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{RawQuery, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{from_fn, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};

use super::pages::{read, Pages, Served};
use super::scrape_timeout::WAIT_MAX;
use crate::common::json::{Json, Object};
use crate::common::source::Reading;
use live::{Live, Wish};

const INDEX: &str = include_str!("index.html");

/// Scripts and styles come from the page's own files only, and no script makes markup of a text.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);

pub(super) fn routes() -> Router<Arc<Pages>> {
    Router::new()
        .route("/", get(index))
        .route("/-/page.js", get(|| async { file("text/javascript; charset=utf-8", include_str!("page.js")) }))
        .route("/-/page.css", get(|| async { file("text/css; charset=utf-8", include_str!("page.css")) }))
        .route("/-/page.svg", get(|| async { file("image/svg+xml", include_str!("page.svg")) }))
        .route("/-/segments.json", get(segments))
        .route("/-/live.json", get(families))
        .layer(from_fn(protect))
        .layer(Extension(Arc::<Live>::default()))
}

async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn file(content_type: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, content_type)], text).into_response()
}

async fn index(State(pages): Served) -> Response {
    let look = |_: &Pages, reading: &Reading| Ok(reading.missing().or_else(|| reading.unused()));
    let state = match read(&pages, Instant::now() + WAIT_MAX, move |pages, reading, _| look(pages, reading)).await {
        Ok(None) => "It is there and can be read.".to_owned(),
        Ok(Some(problem)) | Err(problem) => problem,
    };
    // Relative, so that the page also works below a path of a proxy.
    let path = pages.telemetry_path().trim_start_matches('/');
    let texts = [
        ("NAMES", escape(&pages.names())),
        ("STATE", escape(&state)),
        ("METRICS", escape(path)),
        ("VERSION", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    Html(filled(INDEX, &texts)).into_response()
}

/// Each `{{NAME}}` replaced by its text, in one pass: a text is not looked at again.
fn filled(template: &str, texts: &[(&str, String)]) -> String {
    let mut parts = template.split("{{");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        let text = texts.iter().find(|(known, _)| *known == name);
        page += text.map_or("", |(_, text)| text.as_str());
        page += rest;
    }
    page
}

async fn segments(State(pages): Served, Extension(live): Extension<Arc<Live>>) -> Response {
    answer(read(&pages, Instant::now() + WAIT_MAX, move |_, reading, _| Ok(live.segments(reading))).await)
}

async fn families(State(pages): Served, Extension(live): Extension<Arc<Live>>, RawQuery(query): RawQuery) -> Response {
    let mut wish = Wish::default();
    for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*key {
            "search" => wish.search = value.into_owned(),
            "family" => wish.family = Some(value.into_owned()),
            "filter" => wish.filter = value.into_owned(),
            _ => {}
        }
    }
    answer(read(&pages, Instant::now() + WAIT_MAX, move |_, reading, _| Ok(live.families(reading, &wish))).await)
}

fn answer(json: Result<Json, String>) -> Response {
    let (status, json) = match json {
        Ok(json) => (StatusCode::OK, json),
        Err(problem) => (StatusCode::SERVICE_UNAVAILABLE, Object::default().field("problem", problem).into()),
    };
    (status, [(CONTENT_TYPE, "application/json")], format!("{json}\n")).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::{escape, filled, INDEX};

    #[test]
    fn markup_in_a_name_stays_text() {
        assert_eq!(escape("<a&\"b\">"), "&lt;a&amp;&quot;b&quot;&gt;");
        let texts = [("A", "{{B}}".to_owned()), ("B", "b".to_owned())];
        assert_eq!(filled("<{{A}}|{{B}}|{{C}}>", &texts), "<{{B}}|b|>", "a text is not looked at again");
    }

    #[test]
    fn the_page_has_no_script_and_no_style_of_its_own() {
        // The policy would keep them from running, and the page would be broken.
        for part in ["<style", " style=", " onclick=", "javascript:", "http://", "https://"] {
            assert!(!INDEX.contains(part), "{part}");
        }
        assert_eq!(INDEX.matches("<script").count(), INDEX.matches("<script src=\"-/page.js\"").count());
    }
}
