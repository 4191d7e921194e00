//! The paths of the server.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::Router;

use super::pages::{count, metrics, not_found, ready, Pages};
use super::ui;
use super::web::{self, Web};

pub(super) fn router(pages: Arc<Pages>, web: Arc<Web>) -> Router {
    ui::routes()
        .route(pages.telemetry_path(), get(metrics))
        .route("/-/healthy", get(|| async { "healthy\n" }))
        .route("/-/ready", get(ready))
        .fallback(not_found)
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n") })
        .layer(from_fn_with_state(web, web::guard))
        .layer(from_fn_with_state(Arc::clone(&pages), count))
        .with_state(pages)
}
