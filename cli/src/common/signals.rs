//! The requests that signals stand for: SIGINT and SIGTERM stop the command, and SIGHUP makes a
//! server read its configuration again.

use std::future::pending;

use procfs::process::Process;
use tokio::signal::unix::{signal, Signal, SignalKind};

use crate::common::failure::Failure;

/// A signal that was ignored at the start stays ignored: `nohup` and shells rely on this.
pub(crate) struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Stop,
    /// The terminal is gone, or an operator asks for a reload.
    Reload,
}

impl Signals {
    /// From this call on, the signals no longer end the process.
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

/// The signals that this process ignores, as a bit set. Signal 1 is the lowest bit.
fn ignored() -> u64 {
    Process::myself().and_then(|me| me.status()).map_or(0, |status| status.sigign)
}
