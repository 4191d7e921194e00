//! Encryption and passwords, by the conventions of Prometheus' own servers: a web configuration file, read again when it, or a
//! certificate, changes.

mod auth;
mod config;
mod tls;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::failure::note;
use auth::Users;
use config::Config;

/// What the configuration says; nothing without one.
pub(super) struct Web {
    path: Option<PathBuf>,
    state: Mutex<Loaded>,
    /// Passwords are hashed one at a time, so that guesses cannot take the place of pages.
    hashing: Semaphore,
}

struct Loaded {
    settings: Arc<Settings>,
    seen: Vec<Stamp>,
}

/// One reading of the configuration.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) acceptor: Option<TlsAcceptor>,
    users: Users,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The files it came from.
    files: Vec<PathBuf>,
}

/// What tells that a file is another one, or has changed.
#[derive(Clone, PartialEq, Eq)]
struct Stamp(Option<(u64, u64, u64, i64, i64)>);

impl Stamp {
    /// Symbolic links are followed: secrets are often swapped by them.
    fn of(path: &Path) -> Self {
        let meta = std::fs::metadata(path).ok();
        Stamp(meta.map(|m| (m.dev(), m.ino(), m.len(), m.mtime(), m.mtime_nsec())))
    }
}

impl Settings {
    fn read(path: &Path) -> Result<Self, String> {
        let config = Config::read(path)?;
        let mut files = vec![path.to_path_buf()];
        let mut acceptor = None;
        if let Some(tls) = &config.tls {
            let pems = [Some(&tls.certificate), Some(&tls.key), tls.client_authorities.as_ref()];
            files.extend(pems.into_iter().flatten().filter_map(config::Pem::file).map(Path::to_path_buf));
            acceptor = Some(tls.acceptor().map_err(|problem| format!("{}: {problem}", path.display()))?);
        }
        let header = |(name, value): (String, String)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
        };
        let headers = config.headers.into_iter().filter_map(header).collect();
        Ok(Settings { acceptor, users: Users::new(config.users), headers, files })
    }

    fn stamps(&self) -> Vec<Stamp> {
        self.files.iter().map(|file| Stamp::of(file)).collect()
    }
}

impl Web {
    pub(super) fn new(path: Option<&Path>) -> Result<Self, String> {
        let settings = path.map(Settings::read).transpose()?.unwrap_or_default();
        let loaded = Loaded { seen: settings.stamps(), settings: Arc::new(settings) };
        Ok(Web { path: path.map(Path::to_path_buf), state: Mutex::new(loaded), hashing: Semaphore::new(1) })
    }

    pub(super) fn is_configured(&self) -> bool {
        self.path.is_some()
    }

    /// The settings as of now. Of a changed configuration that is wrong the one before stays in force.
    pub(super) fn settings(&self) -> Arc<Settings> {
        let mut loaded = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = &self.path else { return Arc::clone(&loaded.settings) };
        let stamps = loaded.settings.stamps();
        if stamps != loaded.seen {
            // Before it is read: a change meanwhile is seen the next time.
            loaded.seen = stamps;
            match Settings::read(path) {
                Ok(settings) => {
                    note("the web configuration has changed and is in force");
                    loaded.seen =
                        if settings.files == loaded.settings.files { loaded.seen.clone() } else { settings.stamps() };
                    loaded.settings = Arc::new(settings);
                }
                Err(problem) => note(format_args!("the web configuration as it was stays in force: {problem}")),
            }
        }
        Arc::clone(&loaded.settings)
    }

    async fn admits(&self, settings: &Arc<Settings>, credentials: Option<(String, Vec<u8>)>) -> bool {
        if settings.users.is_empty() {
            return true;
        }
        let Some((name, password)) = credentials else { return false };
        if settings.users.knows(&name, &password) {
            return true;
        }
        let Ok(_turn) = self.hashing.acquire().await else { return false };
        let settings = Arc::clone(settings);
        tokio::task::spawn_blocking(move || settings.users.verify(&name, &password)).await.unwrap_or(false)
    }
}

/// Lets in who may, and sets the headers that are wanted.
pub(super) async fn guard(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let settings = web.settings();
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let credentials = header.and_then(auth::credentials);
    let mut response = if web.admits(&settings, credentials).await {
        next.run(request).await
    } else {
        let ask = [(WWW_AUTHENTICATE, "Basic"), (CACHE_CONTROL, "no-store")];
        (StatusCode::UNAUTHORIZED, ask, "a name and its password are needed\n").into_response()
    };
    response.headers_mut().extend(settings.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    response
}
