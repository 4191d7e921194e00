//! TLS and passwords, with the configuration file of Prometheus' own servers. The file is read
//! again when it, a certificate or a key has changed.

mod auth;
mod config;
mod limiter;
mod tls;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::Extension;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::connections::Clock;
use super::listen::Peer;
use super::scrape_timeout::{scrape_timeout, WAIT_MAX};
use super::stats::{Event, Stats};
use crate::common::file::Stamp;
use auth::{Remembered, Users};
use config::Config;
use limiter::Limiter;

/// The maximum numbers of waiting passwords: of all clients, and of one client, so that there is
/// room for others.
const WAITING_MAX: usize = 16;
const WAITING_OF_PEER_MAX: usize = 8;

/// The web configuration. Without a file, it is empty.
pub(super) struct Web {
    path: Option<PathBuf>,
    state: Mutex<Loaded>,
    remembered: Arc<Remembered>,
    /// Passwords are hashed one at a time, so that guesses cannot delay pages. The task holds the
    /// permit.
    hashing: Arc<Semaphore>,
    waiting: Mutex<HashMap<Peer, usize>>,
    stats: Arc<Stats>,
}

struct Loaded {
    settings: Arc<Settings>,
    /// The files of the last read, with their stamps from before the read.
    seen: Vec<(PathBuf, Stamp)>,
}

/// The settings of one read.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) acceptor: Option<TlsAcceptor>,
    users: Users,
    headers: Vec<(HeaderName, HeaderValue)>,
    limiter: Option<Limiter>,
    protection: Protection,
}

/// What a configuration protects with. Each is a number: 0 without it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Protection([u8; PROTECTIONS.len()]);

/// In the order of `Protection::of`.
const PROTECTIONS: [&str; 10] = [
    "it has no encryption (tls_server_config) any more",
    "it has no users (basic_auth_users) any more",
    "it asks less of clients' certificates (client_auth_type)",
    "it takes certificates of all names (client_allowed_sans)",
    "it takes revoked certificates (client_crl_file)",
    "it takes an older version of TLS (min_version)",
    "it takes all cipher suites (cipher_suites)",
    "it takes all curves (curve_preferences)",
    "it has no limit of requests (rate_limit) any more",
    "it sets fewer headers (http_server_config)",
];

impl Protection {
    fn of(config: &Config) -> Self {
        let tls = config.tls.as_ref();
        let has = |given: bool| u8::from(given);
        Protection([
            has(tls.is_some()),
            has(!config.users.is_empty()),
            tls.map_or(0, |tls| tls.clients as u8),
            has(tls.is_some_and(|tls| !tls.names.is_empty())),
            has(tls.is_some_and(|tls| tls.revoked.is_some())),
            has(tls.is_some_and(|tls| !tls.versions.two)),
            has(tls.is_some_and(|tls| !tls.suites.is_empty())),
            has(tls.is_some_and(|tls| !tls.curves.is_empty())),
            has(config.limit.is_some()),
            u8::try_from(config.headers.len()).unwrap_or(u8::MAX),
        ])
    }

    /// What `before` has and `self` does not have. A half-written file has less protection.
    fn drops(&self, before: &Self) -> Option<&'static str> {
        let mut all = PROTECTIONS.iter().zip(self.0.iter().zip(before.0));
        all.find(|(_, (now, before))| *now < before).map(|(what, _)| *what)
    }
}

impl Settings {
    /// Reads the configuration and its files. The stamp of each file is taken before the file is
    /// read, so a change in between is detected later.
    fn read(path: &Path, seen: &mut Vec<(PathBuf, Stamp)>) -> Result<Self, String> {
        seen.push((path.to_path_buf(), Stamp::of(path)));
        let config = Config::read(path)?;
        let mut settings = Settings::default();
        if let Some(tls) = &config.tls {
            seen.extend(tls.files().map(|file| (file.to_path_buf(), Stamp::of(file))));
            settings.acceptor = Some(tls.acceptor().map_err(|problem| format!("{}: {problem}", path.display()))?);
        }
        settings.protection = Protection::of(&config);
        let header = |(name, value): (String, String)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
        };
        settings.headers = config.headers.into_iter().filter_map(header).collect();
        settings.users = Users::new(config.users);
        settings.limiter = config.limit.filter(|limit| !limit.interval.is_zero()).map(Limiter::new);
        Ok(settings)
    }
}

enum Admission {
    Yes,
    No(Event),
}

/// A password that waits for its check, or is being checked.
struct Waiter<'w> {
    web: &'w Web,
    peer: Peer,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.web.waiting.lock();
        if let Some(of_peer) = waiting.get_mut(&self.peer) {
            *of_peer -= 1;
        }
        waiting.retain(|_, of_peer| *of_peer > 0);
    }
}

impl Web {
    pub(super) fn new(path: Option<&Path>, stats: Arc<Stats>) -> Result<Self, String> {
        let mut seen = Vec::new();
        let settings = path.map(|path| Settings::read(path, &mut seen)).transpose()?;
        if settings.is_some() {
            stats.reloaded(true);
        }
        let settings = settings.unwrap_or_default();
        let loaded = Loaded { settings: Arc::new(settings), seen };
        Ok(Web {
            path: path.map(Path::to_path_buf),
            state: Mutex::new(loaded),
            remembered: Arc::new(Remembered::new()?),
            hashing: Arc::new(Semaphore::new(1)),
            waiting: Mutex::default(),
            stats,
        })
    }

    /// The settings of this moment. If the changed configuration is wrong or protects less, the
    /// previous settings stay.
    pub(super) fn settings(&self) -> Arc<Settings> {
        let mut loaded = self.state.lock();
        let Some(path) = &self.path else { return Arc::clone(&loaded.settings) };
        if loaded.seen.iter().any(|(file, stamp)| Stamp::of(file) != *stamp) {
            loaded.seen.clear();
            let read = Settings::read(path, &mut loaded.seen);
            let checked = read.and_then(|settings| match settings.protection.drops(&loaded.settings.protection) {
                None => Ok(settings),
                Some(what) => Err(format!("{}: {what}; to turn that off, restart the server", path.display())),
            });
            match checked {
                Ok(settings) => {
                    self.stats.reloaded(true);
                    self.stats.tell(Event::ConfigApplied, "the web configuration has changed and is in force");
                    self.remembered.retain(&settings.users);
                    loaded.settings = Arc::new(settings);
                }
                Err(problem) => {
                    self.stats.reloaded(false);
                    let line = format_args!("the web configuration as it was stays in force: {problem}");
                    self.stats.tell(Event::ConfigRefused, line);
                }
            }
        }
        Arc::clone(&loaded.settings)
    }

    async fn admits(&self, settings: &Arc<Settings>, headers: &HeaderMap, peer: Peer) -> Admission {
        if settings.users.is_empty() {
            return Admission::Yes;
        }
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((name, password)) = header.and_then(auth::credentials) else {
            return Admission::No(Event::LoginMissing);
        };
        if settings.users.knows(&self.remembered, &name, &password) {
            return Admission::Yes;
        }
        let Some(_waiter) = self.wait(peer) else { return Admission::No(Event::LoginBusy) };
        let wait = scrape_timeout(headers).unwrap_or(WAIT_MAX);
        let Ok(Ok(turn)) = timeout(wait, Arc::clone(&self.hashing).acquire_owned()).await else {
            return Admission::No(Event::LoginBusy);
        };
        let (settings, remembered) = (Arc::clone(settings), Arc::clone(&self.remembered));
        let is_right = tokio::task::spawn_blocking(move || {
            let begin = Instant::now();
            let is_right = settings.users.verify(&remembered, &name, &password);
            if !is_right {
                // Wrong guesses take at most half of a processor. The answer does not wait for the
                // pause.
                let pause = begin.elapsed();
                tokio::runtime::Handle::current().spawn(async move {
                    sleep(pause).await;
                    drop(turn);
                });
            }
            is_right
        });
        if is_right.await.unwrap_or(false) {
            Admission::Yes
        } else {
            Admission::No(Event::LoginWrong)
        }
    }

    /// `None`: too many passwords wait.
    fn wait(&self, peer: Peer) -> Option<Waiter<'_>> {
        let mut waiting = self.waiting.lock();
        let all: usize = waiting.values().sum();
        let of_peer = waiting.entry(peer).or_default();
        if all >= WAITING_MAX || *of_peer >= WAITING_OF_PEER_MAX {
            return None;
        }
        *of_peer += 1;
        Some(Waiter { web: self, peer })
    }
}

/// Admits a request or refuses it, and adds the headers of the configuration.
pub(super) async fn guard(
    State(web): State<Arc<Web>>,
    Extension(peer): Extension<Peer>,
    Extension(connection): Extension<Clock>,
    request: Request,
    next: Next,
) -> Response {
    let settings = web.settings();
    let mut response = match web.admits(&settings, request.headers(), peer).await {
        // Only requests that are let in are counted: other clients cannot use the limit up.
        Admission::Yes if settings.limiter.as_ref().is_some_and(|limiter| !limiter.admits(Instant::now())) => {
            web.stats
                .tell(Event::RequestLimited, format_args!("a request of {peer} is refused: rate_limit is reached"));
            let headers = [(RETRY_AFTER, "1"), (CACHE_CONTROL, "no-store")];
            (StatusCode::TOO_MANY_REQUESTS, headers, "rate_limit of the web configuration is reached\n").into_response()
        }
        Admission::Yes => {
            let _serving = connection.serve();
            next.run(request).await
        }
        Admission::No(why) => {
            let reason = match why {
                Event::LoginBusy => "too many others wait",
                Event::LoginWrong => "the name or the password is wrong",
                _ => "there is no name and password",
            };
            web.stats.tell(why, format_args!("a login of {peer} is refused: {reason}"));
            refused(why)
        }
    };
    response.headers_mut().extend(settings.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    response
}

fn refused(why: Event) -> Response {
    if why == Event::LoginBusy {
        let headers = [(RETRY_AFTER, "1"), (CACHE_CONTROL, "no-store")];
        return (StatusCode::TOO_MANY_REQUESTS, headers, "too many passwords wait to be checked\n").into_response();
    }
    let ask = [(WWW_AUTHENTICATE, "Basic"), (CACHE_CONTROL, "no-store")];
    (StatusCode::UNAUTHORIZED, ask, "a name and its password are needed\n").into_response()
}
