//! The open connections. Their number is limited, and the limit never keeps a new client out.

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

/// The maximum number of connections. Scrapers are few. See `Connections::add`.
const MOST: usize = 64;
/// The part of the descriptors that connections may take. Segments and pages need the others.
const DESCRIPTORS: usize = 4;
/// A connection whose request is being answered may be closed like the others after this time
/// without traffic.
const STUCK: Duration = Duration::from_secs(10);

/// All open connections.
pub(super) struct Connections {
    tasks: JoinSet<()>,
    open: Vec<(AbortHandle, Peer, Clock)>,
    start: Instant,
    most: usize,
}

/// The time of the last traffic on a connection.
#[derive(Clone)]
pub(super) struct Clock {
    start: Instant,
    /// Milliseconds since `start`. The number orders no other memory access.
    moved: Arc<AtomicU64>,
    over: Arc<Notify>,
    /// Whether a request on the connection was admitted.
    is_known: Arc<AtomicBool>,
    /// The number of admitted requests without a complete answer.
    serving: Arc<AtomicU32>,
}

/// A request in progress, until this value is dropped.
pub(super) struct Serving(Arc<AtomicU32>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Clock {
    /// Asks for the connection to be closed.
    pub(super) fn close(&self) {
        self.over.notify_one();
    }

    /// Waits for `close`.
    pub(super) async fn closed(&self) {
        self.over.notified().await;
    }

    /// Notes that a request on the connection was admitted.
    pub(super) fn serve(&self) -> Serving {
        self.is_known.store(true, Relaxed);
        self.serving.fetch_add(1, Relaxed);
        Serving(Arc::clone(&self.serving))
    }

    /// Connections with a higher rank are closed first.
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

    /// The time since the last traffic.
    pub(super) fn silence(&self) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_millis(self.moved.load(Relaxed)))
    }
}

impl Connections {
    pub(super) fn new(descriptors: usize) -> Self {
        let most = MOST.min(descriptors / DESCRIPTORS).max(1);
        Connections { tasks: JoinSet::new(), open: Vec::new(), start: Instant::now(), most }
    }

    /// Runs `talk` for a new connection. If there are too many connections, one is closed, and the
    /// result is true.
    pub(super) fn add<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        peer: Peer,
        talk: impl FnOnce(Clock) -> F,
    ) -> bool {
        self.open.retain(|(task, _, _)| !task.is_finished());
        let is_full = self.open.len() >= self.most && self.make_room();
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

    /// Closes a connection; false if there is none. The choice is: first connections without an
    /// admitted request, last those with a request in progress; among equals, a connection of the
    /// peer that has the most; among these, the one without traffic for the longest time.
    pub(super) fn make_room(&mut self) -> bool {
        let mut of_peer = HashMap::<Peer, usize>::new();
        for (_, peer, _) in &self.open {
            *of_peer.entry(*peer).or_default() += 1;
        }
        let order = |(_, peer, clock): &(_, Peer, Clock)| (clock.rank(), of_peer[peer], clock.silence());
        let goes = (0..self.open.len()).max_by_key(|at| order(&self.open[*at]));
        goes.map(|at| self.open.swap_remove(at).0.abort()).is_some()
    }

    /// Waits for the end of a connection; for ever if there is none.
    pub(super) async fn ended(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) async fn all_ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// A stream that records the time of its traffic.
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
