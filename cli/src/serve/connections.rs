//! The open connections: few, and none of them can keep out the next.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::task::{ready, Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

/// Scrapers are few. Beyond this the connection on which nothing has moved for the longest time makes room.
const MOST: usize = 64;

/// All that are open.
pub(super) struct Connections {
    tasks: JoinSet<()>,
    open: Vec<(AbortHandle, Clock)>,
    start: Instant,
}

/// When something last moved on a connection.
#[derive(Clone)]
pub(super) struct Clock {
    start: Instant,
    /// Milliseconds since then. A number alone: it orders nothing else.
    moved: Arc<AtomicU64>,
    over: Arc<Notify>,
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

    /// Lets `talk` have the next connection.
    pub(super) fn add<F: Future<Output = ()> + Send + 'static>(&mut self, talk: impl FnOnce(Clock) -> F) {
        self.open.retain(|(task, _)| !task.is_finished());
        if self.open.len() >= MOST {
            let longest = self.open.iter().enumerate().max_by_key(|(_, (_, clock))| clock.silence());
            if let Some(at) = longest.map(|(at, _)| at) {
                self.open.swap_remove(at).0.abort();
            }
        }
        let clock = Clock { start: self.start, moved: Arc::default(), over: Arc::default() };
        clock.tick();
        let handle = self.tasks.spawn(talk(clock.clone()));
        self.open.push((handle, clock));
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
