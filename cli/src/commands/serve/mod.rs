//! `shmetrics serve`: serves the page over HTTP until a signal stops the server.

mod args;
mod conflicts;
mod connections;
mod conversation;
mod listen;
mod pages;
mod router;
mod scrape_timeout;
mod stats;
mod ui;
mod web;

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use rustix::io::Errno;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::common::failure::{Failure, Outcome};
use crate::common::log::configure;
use crate::common::owners::raise_descriptor_limit;
use crate::common::signals::{Request, Signals};
use crate::common::source::Sources;
pub(crate) use args::ServeArgs;
use connections::Connections;
use conversation::welcome;
use listen::{Address, Listener};
use pages::{Pages, RENDERS_MAX};
use stats::{Event, Stats};
use web::Web;

pub(crate) fn run(args: &ServeArgs) -> Outcome {
    configure(args.log_level, args.log_format);
    let stats = Arc::<Stats>::default();
    let web = Arc::new(Web::new(args.web_config.as_deref(), Arc::clone(&stats)).map_err(Failure::Said)?);
    let sources = Arc::new(Sources::new(args.names(), args.segments.owners()?, !args.no_segment_label)?);
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
    let mut connections = Connections::new(raise_descriptor_limit());
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
                Err(problem) if is_lack(&problem) && connections.make_room() => {
                    stats.tell(Event::ConnectionClosed, format_args!("a connection makes room for another: {problem}"));
                    yield_now().await;
                }
                // An immediate retry would not help.
                Err(problem) if is_lack(&problem) => {
                    stats.tell(Event::ConnectionClosed, format_args!("no connection is accepted: {problem}"));
                    sleep(Duration::from_millis(100)).await;
                }
                // The client has gone.
                Err(_) => yield_now().await,
            },
        }
    }
    drop((listeners, stopping));
    connections.all_ended().await;
    Ok(())
}

/// Whether the system lacks what an accepted connection needs.
fn is_lack(problem: &io::Error) -> bool {
    let lacks = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    lacks.iter().any(|lack| problem.raw_os_error() == Some(lack.raw_os_error()))
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
