//! What signals ask for: SIGINT and SIGTERM to stop, SIGHUP to read the configuration again, by
//! those who have one.

use std::future::pending;

use procfs::process::Process;
use tokio::signal::unix::{signal, Signal, SignalKind};

use crate::common::failure::Failure;

/// One that was ignored when the process began stays so: `nohup` and shells ask for it like that.
pub(crate) struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Stop,
    /// The terminal is gone, or an operator wants it.
    Reload,
}

impl Signals {
    /// From here on the signals no longer end the process by themselves.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let ignored = ignored();
        let open = |kind: SignalKind| {
            let is_ignored = ignored >> (kind.as_raw_value() - 1) & 1 == 1;
            let listen = || signal(kind).map_err(Failure::system("cannot listen for signals"));
            (!is_ignored).then(listen).transpose()
        };
        Ok(Signals {
            interrupt: open(SignalKind::interrupt())?,
            terminate: open(SignalKind::terminate())?,
            hangup: open(SignalKind::hangup())?,
        })
    }

    pub(crate) async fn next(&mut self) -> Request {
        tokio::select! {
            () = received(&mut self.interrupt) => Request::Stop,
            () = received(&mut self.terminate) => Request::Stop,
            () = received(&mut self.hangup) => Request::Reload,
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => pending().await,
    }
}

/// The signals that this process ignores, the first as the lowest bit.
fn ignored() -> u64 {
    Process::myself().and_then(|me| me.status()).map_or(0, |status| status.sigign)
}
