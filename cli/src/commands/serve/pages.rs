//! The answer of each path. A page is complete before its first byte is sent, so there is no
//! truncated page with status 200.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, Request, State};
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::Extension;
use flate2::write::GzEncoder;
use flate2::Compression;
use parking_lot::Mutex;
use shmetrics::{accepts_gzip, Error, Exposition, ExternalFamily, Page};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{timeout, timeout_at};

use super::args::ServeArgs;
use super::conflicts::Conflicts;
use super::connections::{Clock, Serving};
use super::scrape_timeout::{scrape_timeout, WAIT_MAX};
use super::stats::{Event, Stats};
use crate::common::log::{log, Level};
use crate::common::processes::ProcessMetrics;
use crate::common::source::{Reading, Sources};

pub(super) type Served = State<Arc<Pages>>;

/// The maximum number of pages that are rendered at the same time.
pub(super) const RENDERS_MAX: usize = 2;
/// The level of gzip. Scrapes are frequent and mostly local, so a higher level costs more than it
/// saves.
const COMPRESSION: Compression = Compression::new(2);
/// The minimum time that a client has for its page while other clients wait.
const SENDING_MIN: Duration = Duration::from_secs(10);
/// The maximum time without progress of a client while other clients wait.
const STALL_MAX: Duration = Duration::from_secs(2);
/// How often a waiting request checks whether another client must make room.
const ROOM_CHECK: Duration = Duration::from_millis(250);

/// What the pages need.
pub(super) struct Pages {
    sources: Arc<Sources>,
    created: bool,
    telemetry_path: String,
    process_metrics: Option<ProcessMetrics>,
    conflicts: Conflicts,
    stats: Arc<Stats>,
    places: Arc<Semaphore>,
    /// Limits the work on segments. A task holds its permit until its end, also after its client
    /// has gone.
    turns: Arc<Semaphore>,
    /// The connection of each place, and the time when its page was first sent.
    taken: Mutex<BTreeMap<u64, (Clock, Option<Instant>)>>,
    /// The number of answers for the page, by status.
    answers: Mutex<BTreeMap<u16, u64>>,
}

impl Pages {
    pub(super) fn new(sources: Arc<Sources>, args: &ServeArgs, stats: Arc<Stats>) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(usize::from(args.max_pages)));
        let process_metrics = args.process_metrics.then(ProcessMetrics::default);
        // The first scan of processes takes longest, so it runs before the first scrape.
        let pages = Arc::new(Pages {
            sources,
            created: args.created,
            telemetry_path: args.telemetry_path.clone(),
            process_metrics,
            conflicts: Conflicts::default(),
            stats,
            places,
            turns: Arc::new(Semaphore::new(RENDERS_MAX)),
            taken: Mutex::default(),
            answers: Mutex::default(),
        });
        let first = Arc::clone(&pages);
        std::thread::spawn(move || {
            if let (Some(metrics), Ok(reading)) = (&first.process_metrics, first.sources.read()) {
                let _ = metrics.families(&reading);
            }
        });
        pages
    }

    pub(super) fn telemetry_path(&self) -> &str {
        &self.telemetry_path
    }

    /// The names and patterns of the command line.
    pub(super) fn names(&self) -> String {
        self.sources.names()
    }

    /// The exporter's own families.
    fn external_families(&self, reading: &Reading) -> Result<Vec<ExternalFamily>, Error> {
        let mut answers =
            ExternalFamily::counter("shmetrics_serve_requests", "Requests for this page answered so far.")?;
        for (status, count) in &*self.answers.lock() {
            answers = answers.sample(&[("code", &status.to_string())], *count as f64)?;
        }
        let mut all = vec![reading.up()?, answers];
        all.extend(reading.left_out()?);
        all.extend(self.stats.families()?);
        if let Some(metrics) = &self.process_metrics {
            all.extend(metrics.families(reading)?);
        }
        Ok(all)
    }
}

pub(super) async fn count(State(pages): Served, request: Request, next: Next) -> Response {
    let is_page = request.uri().path() == pages.telemetry_path;
    let (begin, asked) = (Instant::now(), format!("{} {}", request.method(), request.uri().path()));
    let response = next.run(request).await;
    let millis = begin.elapsed().as_millis();
    log(Level::Debug, format_args!("{asked}: {} after {millis} ms", response.status().as_u16()));
    if is_page {
        let mut answers = pages.answers.lock();
        *answers.entry(response.status().as_u16()).or_default() += 1;
    }
    response
}

/// What a request asks for.
struct Wishes {
    exposition: Exposition,
    gzip: bool,
    names: Vec<String>,
    deadline: Option<Instant>,
}

impl Wishes {
    fn new(created: bool, headers: &HeaderMap, query: Option<&str>) -> Self {
        // Several headers with one name are joined.
        let all = |name| {
            let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            values.collect::<Vec<_>>().join(",")
        };
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Wishes {
            exposition: Exposition::negotiate(&all(ACCEPT)).with_created(created),
            gzip: accepts_gzip(&all(ACCEPT_ENCODING)),
            names: pairs.filter(|(key, _)| key == "name[]").map(|(_, value)| value.into_owned()).collect(),
            deadline: scrape_timeout(headers).and_then(|t| Instant::now().checked_add(t)),
        }
    }

    /// The body of the page. An error if the page is not ready in time.
    fn render(&self, page: Page<'_>, client: &Client) -> Result<Vec<u8>, String> {
        let mut cursor = page.only(self.names.iter().cloned()).cursor();
        let (mut page, mut packed) = (Vec::new(), GzEncoder::new(Vec::new(), COMPRESSION));
        while cursor.fill(&mut page) {
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err("the page is not ready in the time that the scraper gives; raise its scrape_timeout".into());
            }
            client.is_there()?;
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

/// The client of a task, as the task sees it.
pub(super) struct Client {
    is_gone: Arc<AtomicBool>,
    stats: Arc<Stats>,
}

impl Client {
    fn is_there(&self) -> Result<(), String> {
        if !self.is_gone.load(Relaxed) {
            return Ok(());
        }
        self.stats.count(Event::PageAbandoned);
        Err("the client has gone".into())
    }
}

/// Held by the request. Dropping it tells the task that the client has gone.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A page that holds its place until the page is sent or the connection is closed.
struct HeldPage {
    page: Vec<u8>,
    _held: Arc<(RenderSlot, Serving)>,
}

struct RenderSlot {
    pages: Arc<Pages>,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Pages {
    /// A place for a page. If all places are taken, the client that has read for the longest time
    /// loses its place, if that time is long.
    async fn place(self: &Arc<Self>, connection: Clock, wait: Duration) -> Option<RenderSlot> {
        let until = Instant::now() + wait;
        let permit = loop {
            let left = until.saturating_duration_since(Instant::now());
            if let Ok(permit) = timeout(left.min(ROOM_CHECK), Arc::clone(&self.places).acquire_owned()).await {
                break permit.ok()?;
            }
            if left <= ROOM_CHECK {
                return None;
            }
            self.make_room();
        };
        let mut taken = self.taken.lock();
        let number = taken.last_key_value().map_or(0, |(last, _)| last + 1);
        taken.insert(number, (connection, None));
        Some(RenderSlot { pages: Arc::clone(self), number, _permit: permit })
    }
}

impl Pages {
    fn make_room(&self) {
        let taken = self.taken.lock();
        let sending = taken.values().filter_map(|(clock, since)| Some((clock, (*since)?.elapsed())));
        let goes = sending
            .map(|(clock, sending)| (clock, sending, sending.min(clock.silence())))
            .filter(|(_, sending, stalled)| *stalled > STALL_MAX || *sending > SENDING_MIN)
            .max_by_key(|(_, sending, stalled)| (*stalled > STALL_MAX, *sending));
        if let Some((clock, ..)) = goes {
            clock.close();
        }
    }
}

impl RenderSlot {
    /// Notes that the client begins to read.
    fn send(&self) {
        let mut taken = self.pages.taken.lock();
        if let Some((_, since)) = taken.get_mut(&self.number) {
            *since = Some(Instant::now());
        }
    }
}

impl Drop for RenderSlot {
    fn drop(&mut self) {
        self.pages.taken.lock().remove(&self.number);
    }
}

impl AsRef<[u8]> for HeldPage {
    fn as_ref(&self) -> &[u8] {
        &self.page
    }
}

pub(super) async fn metrics(
    State(pages): Served,
    Extension(connection): Extension<Clock>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let wishes = Wishes::new(pages.created, &headers, query.as_deref());
    let (content_type, gzip) = (wishes.exposition.content_type(), wishes.gzip);
    let until = wishes.deadline.unwrap_or_else(|| Instant::now() + WAIT_MAX);
    let serving = connection.serve();
    let Some(place) = pages.place(connection, until.saturating_duration_since(Instant::now())).await else {
        let problem = "too many pages are on their way to slow clients; ask again later";
        pages.stats.tell(Event::PageRefused, format_args!("a page is refused: {problem}"));
        return unavailable(problem.into());
    };
    let held = Arc::new((place, serving));
    let page = read(&pages, until, move |pages, reading, client| {
        pages.conflicts.tell(&reading.segments());
        let external_families = pages.external_families(reading).map_err(|e| e.to_string())?;
        let page = external_families.into_iter().fold(reading.page(wishes.exposition), Page::with);
        let page = wishes.render(page, client)?;
        held.0.send();
        // The task holds the place: if the client leaves, the place is free when the task ends.
        Ok(HeldPage { page, _held: Arc::clone(&held) })
    });
    let page = match page.await {
        Ok(page) => page,
        Err(problem) => return unavailable(problem),
    };
    let mut response = ([(CONTENT_TYPE, content_type)], Body::from(Bytes::from_owner(page))).into_response();
    let headers = response.headers_mut();
    headers.insert(VARY, VARIES);
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

const VARIES: HeaderValue = HeaderValue::from_static("Accept, Accept-Encoding");

pub(super) async fn ready(State(pages): Served) -> Response {
    match read(&pages, Instant::now() + WAIT_MAX, |_, reading, _| Ok(reading.unused())).await {
        Ok(None) => "ready\n".into_response(),
        Ok(Some(problem)) | Err(problem) => unavailable(problem),
    }
}

pub(super) async fn not_found(State(pages): Served) -> Response {
    let path = &pages.telemetry_path;
    (StatusCode::NOT_FOUND, format!("there is nothing here; the metrics are at {path}\n")).into_response()
}

/// Runs `work` on the segments in another thread, because a large page takes a while. The task
/// holds the permit, so clients that leave do not let more tasks begin. A task without a client
/// stops. If the file of a segment was truncated meanwhile, the work is done again without the
/// segment.
pub(super) async fn read<T: Send + 'static>(
    pages: &Arc<Pages>,
    until: Instant,
    work: impl Fn(&Pages, &Reading, &Client) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let Ok(Ok(turn)) = timeout_at(until.into(), Arc::clone(&pages.turns).acquire_owned()).await else {
        let problem = "other pages take the time that the scraper gives; ask again later";
        pages.stats.tell(Event::PageRefused, format_args!("a page is refused: {problem}"));
        return Err(problem.into());
    };
    let pages = Arc::clone(pages);
    let waiting = Waiting(Arc::default());
    let client = Client { is_gone: Arc::clone(&waiting.0), stats: Arc::clone(&pages.stats) };
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        loop {
            client.is_there()?;
            let reading = pages.sources.read()?;
            let done = work(&pages, &reading, &client);
            if reading.check_whole().is_ok() {
                return done;
            }
        }
    });
    done.await.unwrap_or_else(|e| Err(format!("the page could not be made: {e}")))
}

fn unavailable(problem: String) -> Response {
    let headers = [(CACHE_CONTROL, "no-store"), (RETRY_AFTER, "1")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, problem + "\n").into_response()
}
