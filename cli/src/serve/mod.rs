//! `shmetrics serve`: the page over HTTP, until told to stop.

mod pages;
mod source;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::args::ServeArgs;
use crate::failure::{Failure, Outcome};
use crate::signals::Stop;
use source::Source;

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
    let source = Arc::new(Source::new(args.segment.name())?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(RENDERS_MAX)
        .build()
        .map_err(Failure::system("cannot start the server"))?;
    runtime.block_on(serve(args.listen, pages::router(source)))
}

async fn serve(address: SocketAddr, router: Router) -> Outcome {
    let mut stop = Stop::listen()?;
    let refused = || format!("cannot listen on {address}");
    let listener = TcpListener::bind(address).await.map_err(Failure::system(refused()))?;
    let bound = listener.local_addr().map_err(Failure::system(refused()))?;
    announce(bound);

    let (stopping, watcher) = watch::channel(());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.requested() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, router.clone(), watcher.clone()));
                }
                // The client is gone already, or descriptors are short: neither gets better by hurrying.
                Err(_) => sleep(Duration::from_millis(100)).await,
            },
        }
    }
    drop((listener, stopping));
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// A server whose standard output nobody reads still serves.
fn announce(bound: SocketAddr) {
    let mut out = io::stdout();
    let _ = writeln!(out, "listening on http://{bound}/metrics").and_then(|()| out.flush());
}

async fn converse(stream: TcpStream, router: Router, mut stopping: watch::Receiver<()>) {
    // An answer is written in one go, so there is nothing to gather.
    let _ = stream.set_nodelay(true);
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
