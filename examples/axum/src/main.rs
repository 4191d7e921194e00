//! An axum application in two processes, with one page of metrics that either of them shows.
//!
//! `cargo run`, then `curl http://127.0.0.1:3000/` some times, and `curl
//! http://127.0.0.1:3000/metrics`.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use std::{env, process};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, Method};
use axum::middleware::{from_fn_with_state, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::Router;
use shmetrics::{Counter, Exposition, Family, Gauge, GaugeMode, Histogram, Options, Segment};
use tokio::net::TcpSocket;
use tower_http::compression::CompressionLayer;

type Failure = Box<dyn std::error::Error>;

/// The first process starts the workers, which are this program again.
fn main() -> Result<(), Failure> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    if env::var_os("WORKER").is_some() {
        return work(address.parse()?);
    }
    // Counts begin anew with the application, and go on when a worker is replaced. The segment's
    // name is $SHMETRICS_SEGMENT, or else `default`.
    let _segment = Options::new().reset_if_unused(true).open()?;
    let worker = || Command::new(env::current_exe()?).arg(&address).env("WORKER", "yes").spawn();
    let workers = [worker()?, worker()?];
    for mut worker in workers {
        worker.wait()?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn work(address: SocketAddr) -> Result<(), Failure> {
    let metrics = Metrics::register(Options::new().open()?)?;
    let app = Router::new()
        .route("/", get(|| async { format!("Hello from process {}\n", process::id()) }))
        .route("/slow", get(|| async { tokio::time::sleep(Duration::from_secs(2)).await }))
        .route("/metrics", get(page).layer(CompressionLayer::new()))
        .layer(from_fn_with_state(metrics, measure))
        .with_state(metrics);
    // The kernel spreads connections over all processes that listen with SO_REUSEPORT.
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(axum::serve(socket.listen(1024)?, app).await?)
}

/// Handles are small copies: each request gets its own.
#[derive(Clone, Copy)]
struct Metrics {
    segment: Segment,
    requests: Family<Counter, 3>,
    latency: Family<Histogram, 1>,
    in_progress: Gauge,
}

impl Metrics {
    fn register(segment: Segment) -> Result<Self, shmetrics::Error> {
        Ok(Metrics {
            segment,
            requests: segment
                .counter("http_requests_total", "Requests answered.")
                .labels(["method", "path", "status"])
                .register()?,
            latency: segment
                .histogram("http_request_duration_seconds", "Time to answer.")
                .labels(["path"])
                .unit("seconds")
                .register()?,
            in_progress: segment
                .gauge("http_requests_in_progress", "Requests being answered.", GaugeMode::LiveSum)
                .register()?,
        })
    }
}

/// The middleware: measures each request. What the client drops is timed until then, and no longer
/// in progress.
async fn measure(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    // Labels hold routes and known methods, never what a client typed: any client could make series
    // without end.
    let method = match request.method().clone() {
        known @ (Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::DELETE) => known.to_string(),
        _ => "other".into(),
    };
    let path = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let _in_progress = metrics.in_progress.track_in_progress();
    let timer = metrics.latency.with([&path]).start_timer();
    let response = next.run(request).await;
    timer.stop();
    metrics.requests.with([&method, &path, response.status().as_str()]).inc();
    response
}

/// The page of all processes, in the format that the scraper wants.
async fn page(State(metrics): State<Metrics>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let exposition = Exposition::negotiate(accept);
    ([(CONTENT_TYPE, exposition.content_type()), (VARY, "Accept")], metrics.segment.render(exposition))
}
