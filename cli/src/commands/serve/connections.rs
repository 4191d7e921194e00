//! The open connections: few, and none of them can keep out the next.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::task::{ready, Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use super::listen::Peer;

/// Scrapers are few. Beyond this one of the connections makes room: see `Connections::add`.
const MOST: usize = 64;
/// A client whose request is being answered makes room like the others if nothing has moved for so
/// long.
const STUCK: Duration = Duration::from_secs(10);

/// All that are open.
pub(super) struct Connections {
    tasks: JoinSet<()>,
    open: Vec<(AbortHandle, Peer, Clock)>,
    start: Instant,
}

/// When something last moved on a connection.
#[derive(Clone)]
pub(super) struct Clock {
    start: Instant,
    /// Milliseconds since then. A number alone: it orders nothing else.
    moved: Arc<AtomicU64>,
    over: Arc<Notify>,
    /// A request has been let in on it.
    is_known: Arc<AtomicBool>,
    /// Requests that are let in and not yet answered.
    serving: Arc<AtomicU32>,
}

/// A request that is being answered, until this is dropped.
pub(super) struct Serving(Arc<AtomicU32>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Clock {
    /// Has the connection closed.
    pub(super) fn close(&self) {
        self.over.notify_one();
    }

    /// Waits for `close`.
    pub(super) async fn closed(&self) {
        self.over.notified().await;
    }

    /// Says that a request on it is let in.
    pub(super) fn serve(&self) -> Serving {
        self.is_known.store(true, Relaxed);
        self.serving.fetch_add(1, Relaxed);
        Serving(Arc::clone(&self.serving))
    }

    /// How readily it makes room.
    fn rank(&self) -> u8 {
        match (self.serving.load(Relaxed), self.is_known.load(Relaxed)) {
            (1.., _) if self.silence() < STUCK => 0,
            (_, true) => 1,
            (_, false) => 2,
        }
    }

    fn tick(&self) {
        self.moved.store(self.start.elapsed().as_millis() as u64, Relaxed);
    }

    /// How long nothing has moved.
    pub(super) fn silence(&self) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_millis(self.moved.load(Relaxed)))
    }
}

impl Connections {
    pub(super) fn new() -> Self {
        Connections { tasks: JoinSet::new(), open: Vec::new(), start: Instant::now() }
    }

    /// Lets `talk` have the next connection. Where there are too many, one is closed, and it says
    /// so: first one on which no request has been let in, last one whose request is being answered;
    /// of these one of the peer that has the most; of these the one on which nothing has moved for
    /// longest.
    pub(super) fn add<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        peer: Peer,
        talk: impl FnOnce(Clock) -> F,
    ) -> bool {
        self.open.retain(|(task, _, _)| !task.is_finished());
        let is_full = self.open.len() >= MOST;
        if is_full {
            let mut of_peer = HashMap::<Peer, usize>::new();
            for (_, peer, _) in &self.open {
                *of_peer.entry(*peer).or_default() += 1;
            }
            let order = |(_, peer, clock): &(_, Peer, Clock)| (clock.rank(), of_peer[peer], clock.silence());
            let goes = (0..self.open.len()).max_by_key(|at| order(&self.open[*at]));
            if let Some(at) = goes {
                self.open.swap_remove(at).0.abort();
            }
        }
        let clock = Clock {
            start: self.start,
            moved: Arc::default(),
            over: Arc::default(),
            is_known: Arc::default(),
            serving: Arc::default(),
        };
        clock.tick();
        let handle = self.tasks.spawn(talk(clock.clone()));
        self.open.push((handle, peer, clock));
        is_full
    }

    /// Waits for one that has ended; for ever if there is none.
    pub(super) async fn ended(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) async fn all_ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// A stream that keeps its connection's clock.
pub(super) struct Watched<S> {
    inner: S,
    clock: Clock,
}

impl<S> Watched<S> {
    pub(super) fn new(inner: S, clock: Clock) -> Self {
        Watched { inner, clock }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.clock.tick();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.clock.tick();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, bytes))?;
        self.clock.tick();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
