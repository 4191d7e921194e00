//! `shmetrics serve`: the page over HTTP, until told to stop.

mod listen;
mod pages;
mod source;

use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::args::ServeArgs;
use crate::failure::{Failure, Outcome};
use crate::signals::Stop;
pub(crate) use listen::Address;
use listen::{Listener, Stream};
use source::Sources;

/// Scrapers are few; more connections than this wait in the listener's queue.
const CONNECTIONS_MAX: usize = 64;
/// Pages rendered at the same time, which bounds the memory they take.
const RENDERS_MAX: usize = 2;
/// A silent connection is closed after this: longer than usual scrape intervals, so that scrapers keep theirs.
const SILENCE_MAX: Duration = Duration::from_secs(90);
/// Even a busy connection is renewed some time, so that one whose client never reads does not stay.
const LIFETIME_MAX: Duration = Duration::from_secs(3600);
/// What an answer under way gets when its connection has to end.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &ServeArgs) -> Outcome {
    let sources = Arc::new(Sources::new(args.names(), !args.no_segment_label, args.created)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(RENDERS_MAX)
        .build()
        .map_err(Failure::system("cannot start the server"))?;
    runtime.block_on(serve(&args.listen, pages::router(sources)))
}

async fn serve(addresses: &[Address], router: Router) -> Outcome {
    let mut stop = Stop::listen()?;
    let mut listeners = Vec::new();
    for address in addresses {
        listeners.push(Listener::bind(address).map_err(Failure::system(format!("cannot listen on {address}")))?);
    }
    for listener in &listeners {
        announce(listener.address());
    }

    let (stopping, watcher) = watch::channel(());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.requested() => break,
            Some(_) = connections.join_next() => {}
            accepted = listen::accept(&listeners), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok(stream) => {
                    connections.spawn(converse(stream, router.clone(), watcher.clone()));
                }
                // The client is gone already, or descriptors are short: neither gets better by hurrying.
                Err(_) => sleep(Duration::from_millis(100)).await,
            },
        }
    }
    drop((listeners, stopping));
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// A server whose standard output nobody reads still serves.
fn announce(bound: &Address) {
    let mut out = io::stdout();
    let said = match bound {
        Address::Tcp(address) => writeln!(out, "listening on http://{address}/metrics"),
        Address::Unix(path) => writeln!(out, "listening on {}, path /metrics", path.display()),
    };
    let _ = said.and_then(|()| out.flush());
}

async fn converse(stream: Stream, router: Router, mut stopping: watch::Receiver<()>) {
    let mut connection = pin!(http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    tokio::select! {
        _ = connection.as_mut() => return,
        // Nothing is ever sent: this ends when the sender is dropped.
        _ = stopping.changed() => {}
        () = sleep(LIFETIME_MAX) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, connection).await;
}
