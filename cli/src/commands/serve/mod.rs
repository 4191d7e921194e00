//! `shmetrics serve`: serves the page over HTTP until a signal stops the server.

mod args;
mod conflicts;
mod connections;
mod listen;
mod pages;
mod router;
mod scrape_timeout;
mod stats;
mod ui;
mod web;

use std::cell::Cell;
use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::common::failure::{Failure, Outcome};
use crate::common::log::configure;
use crate::common::owners::Owners;
use crate::common::signals::{Request, Signals};
use crate::common::source::Sources;
pub(crate) use args::ServeArgs;
use connections::{Clock, Connections, Watched};
use listen::{Address, Listener, Peer, Stream};
use pages::{Pages, RENDERS_MAX};
use stats::{Event, Stats};
use web::Web;

/// A connection without traffic is closed after this time. The time is longer than usual scrape
/// intervals, so scrapers keep their connections.
const SILENCE_MAX: Duration = Duration::from_secs(90);
/// A busy connection is closed after this time, so that a very slow reader does not keep its
/// connection.
const LIFETIME_MAX: Duration = Duration::from_secs(600);
/// The maximum time of a TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// The time that an unfinished answer gets when its connection has to end.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &ServeArgs) -> Outcome {
    configure(args.log_level, args.log_format);
    let stats = Arc::<Stats>::default();
    let web = Arc::new(Web::new(args.web_config.as_deref(), Arc::clone(&stats)).map_err(Failure::Said)?);
    let sources = Arc::new(Sources::new(args.names(), Owners::with(&args.owner)?, !args.no_segment_label)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        // One more thread hashes passwords. Each task has its permit before it asks for a thread,
        // so no task waits for a thread.
        .max_blocking_threads(RENDERS_MAX + 1)
        .build()
        .map_err(Failure::system("cannot start the server"))?;
    let pages = Pages::new(sources, args, Arc::clone(&stats));
    runtime.block_on(serve(args, &router::router(pages, Arc::clone(&web)), &web, &stats))
}

async fn serve(args: &ServeArgs, router: &Router, web: &Web, stats: &Arc<Stats>) -> Outcome {
    let mut signals = Signals::listen()?;
    let mut listeners = Vec::new();
    for address in &args.listen {
        let failed = Failure::system(format!("cannot listen on {address}"));
        Listener::bind(address, &mut listeners).await.map_err(failed)?;
    }
    let scheme = if web.settings().acceptor.is_some() { "https" } else { "http" };
    for listener in &listeners {
        announce(scheme, listener.address(), &args.telemetry_path);
    }

    let (stopping, watcher) = watch::channel(());
    let mut connections = Connections::new();
    let turn = Cell::new(0);
    loop {
        tokio::select! {
            asked = signals.next() => match asked {
                // Other daemons reload at SIGHUP too. The configuration is also checked before each
                // answer. Without a configuration, there is nothing to reload.
                Request::Reload => drop(web.settings()),
                Request::Stop => break,
            },
            () = connections.ended() => {}
            accepted = listen::accept(&listeners, &turn) => match accepted {
                Ok((stream, peer)) => {
                    let (router, watcher, acceptor) = (router.clone(), watcher.clone(), web.settings().acceptor.clone());
                    let (router, stats_of_it) = (router.layer(Extension(peer)), Arc::clone(stats));
                    let welcome = |clock| welcome(stream, peer, clock, acceptor, router, watcher, stats_of_it);
                    if connections.add(peer, welcome) {
                        stats.count(Event::ConnectionClosed);
                    }
                    // Open connections make progress before the next one is accepted: closed ones
                    // are removed, and requests are answered.
                    yield_now().await;
                }
                // The client has gone, or there are no descriptors. An immediate retry would help
                // in neither case.
                Err(_) => sleep(Duration::from_millis(100)).await,
            },
        }
    }
    drop((listeners, stopping));
    connections.all_ended().await;
    Ok(())
}

/// The server also serves if its standard output is closed.
fn announce(scheme: &str, bound: &Address, path: &str) {
    let mut out = io::stdout();
    let said = match bound {
        Address::Tcp(address) => writeln!(out, "listening on {scheme}://{address}{path}"),
        other => writeln!(out, "listening on {other}, path {path}"),
    };
    let _ = said.and_then(|()| out.flush());
}

async fn welcome(
    stream: Stream,
    peer: Peer,
    clock: Clock,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    mut stopping: watch::Receiver<()>,
    stats: Arc<Stats>,
) {
    let stream = Watched::new(stream, clock.clone());
    let router = router.layer(Extension(clock.clone()));
    let Some(acceptor) = acceptor else { return converse(stream, clock, router, stopping).await };
    let encrypted = tokio::select! {
        encrypted = timeout(HANDSHAKE_MAX, acceptor.accept(stream)) => encrypted,
        _ = stopping.changed() => return,
    };
    // A connection that is no TLS, or whose client has no valid certificate, ends here.
    let problem = match encrypted {
        Ok(Ok(stream)) => return converse(stream, clock, router, stopping).await,
        Ok(Err(e)) => e.to_string(),
        Err(_) => format!("it takes more than {} s", HANDSHAKE_MAX.as_secs()),
    };
    stats.tell(Event::TlsError, format_args!("no encryption with {peer}: {problem}"));
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    clock: Clock,
    router: Router,
    mut stopping: watch::Receiver<()>,
) {
    let mut connection = pin!(http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    tokio::select! {
        _ = connection.as_mut() => return,
        // No message is ever sent: this branch runs when the sender is dropped.
        _ = stopping.changed() => {}
        () = sleep(LIFETIME_MAX) => {}
        () = silent(&clock) => return,
        () = clock.closed() => return,
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, connection).await;
}

/// Returns after a time without traffic.
async fn silent(clock: &Clock) {
    loop {
        let left = SILENCE_MAX.saturating_sub(clock.silence());
        if left.is_zero() {
            return;
        }
        sleep(left).await;
    }
}
