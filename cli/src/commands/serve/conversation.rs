//! One connection, from its TLS handshake to its end.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::connections::{Clock, Watched};
use super::listen::{Peer, Stream};
use super::stats::{Event, Stats};

/// A connection without traffic is closed after this time. The time is longer than usual scrape
/// intervals, so scrapers keep their connections.
const SILENCE_MAX: Duration = Duration::from_secs(90);
/// A busy connection takes no further request after this time, so that connections change after a
/// reload. The answer in progress has as long again: a very slow reader does not keep its
/// connection.
const LIFETIME_MAX: Duration = Duration::from_secs(600);
/// The maximum time of a TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// The time that an unfinished answer gets when the server ends.
const GRACE: Duration = Duration::from_secs(5);

/// Serves a connection from its TLS handshake to its end.
pub(super) async fn welcome(
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
    let Some(acceptor) = acceptor else { return converse(stream, clock, router, stopping, sleep(LIFETIME_MAX)).await };
    let encrypted = tokio::select! {
        encrypted = timeout(HANDSHAKE_MAX, acceptor.accept(stream)) => encrypted,
        _ = stopping.changed() => return,
    };
    // A connection that is no TLS, or whose client has no valid certificate, ends here.
    let problem = match encrypted {
        Ok(Ok(stream)) => return converse(stream, clock, router, stopping, sleep(LIFETIME_MAX)).await,
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
    lifetime: impl Future<Output = ()>,
) {
    let mut connection = pin!(http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let is_old = tokio::select! {
        _ = connection.as_mut() => return,
        // No message is ever sent: this branch runs when the sender is dropped.
        _ = stopping.changed() => false,
        () = lifetime => true,
        () = silent(&clock) => return,
        () = clock.closed() => return,
    };
    connection.as_mut().graceful_shutdown();
    if is_old {
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = stopping.changed() => {}
            () = sleep(LIFETIME_MAX) => return,
            () = silent(&clock) => return,
            () = clock.closed() => return,
        }
    }
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use tokio::net::TcpListener;
    use tokio::sync::Notify;

    use super::super::connections::Connections;
    use super::*;

    #[tokio::test]
    async fn an_answer_in_progress_outlives_its_connection() {
        let (begun, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let answer = {
            let (begun, end) = (Arc::clone(&begun), Arc::clone(&end));
            move || async move {
                begun.notify_one();
                end.notified().await;
                "all of it"
            }
        };
        let router = Router::new().route("/", axum::routing::get(answer));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
        let address = listener.local_addr().expect("it has an address");
        let client = std::thread::spawn(move || {
            let (mut stream, mut text) = (std::net::TcpStream::connect(address).expect("connects"), String::new());
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("the server reads");
            stream.read_to_string(&mut text).expect("the server ends the connection");
            text
        });
        let (stream, _) = listener.accept().await.expect("accepts");
        let (_stopping, watcher) = watch::channel(());
        // Over once the answer has begun.
        let lifetime = async move { begun.notified().await };
        let mut connections = Connections::new(usize::MAX);
        connections.add(Peer::Unknown, |clock| converse(stream, clock, router, watcher, lifetime));
        // More than an answer has when the server ends.
        sleep(GRACE + Duration::from_millis(100)).await;
        end.notify_one();
        connections.ended().await;
        let text = client.join().expect("the client ends");
        assert!(text.ends_with("all of it") && text.contains("connection: close"), "{text}");
    }
}
