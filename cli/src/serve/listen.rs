//! Where scrapers connect to: TCP addresses and Unix sockets.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

/// `ADDRESS:PORT`, or `unix:PATH`.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("a path is missing after `unix:`".into()),
            Some(path) => Ok(Address::Unix(path.into())),
            None => text.parse().map(Address::Tcp).map_err(|e| format!("{e}; give ADDRESS:PORT, or unix:PATH")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A connection of either kind.
pub(super) type Stream = Pin<Box<dyn Duplex>>;

pub(super) trait Duplex: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

pub(super) struct Listener {
    socket: Socket,
    address: Address,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(super) fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => {
                let socket = std::net::TcpListener::bind(address)?;
                socket.set_nonblocking(true)?;
                let address = Address::Tcp(socket.local_addr()?);
                Ok(Listener { socket: Socket::Tcp(TcpListener::from_std(socket)?), address })
            }
            Address::Unix(path) => {
                remove_stale(path);
                let socket = UnixListener::bind(path)?;
                // A scraper of the same group may connect, nobody else.
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
                Ok(Listener { socket: Socket::Unix(socket), address: address.clone() })
            }
        }
    }

    /// With the port that was given.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Address::Unix(path) = &self.address {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A socket that nobody answers on is left from a server that was killed.
fn remove_stale(path: &Path) {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket && StdUnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
        let _ = std::fs::remove_file(path);
    }
}

/// The next connection to any of them.
pub(super) async fn accept(listeners: &[Listener]) -> io::Result<Stream> {
    poll_fn(|context| {
        for listener in listeners {
            let accepted = match &listener.socket {
                Socket::Tcp(socket) => socket.poll_accept(context).map_ok(|(stream, _)| {
                    // An answer is written in one go, so there is nothing to gather.
                    let _ = stream.set_nodelay(true);
                    Box::pin(stream) as Stream
                }),
                Socket::Unix(socket) => socket.poll_accept(context).map_ok(|(stream, _)| Box::pin(stream) as Stream),
            };
            if let Poll::Ready(accepted) = accepted {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn addresses() {
        assert!(matches!("127.0.0.1:9464".parse(), Ok(Address::Tcp(_))));
        assert!(matches!("[::1]:0".parse(), Ok(Address::Tcp(_))));
        assert!(matches!("unix:/run/a".parse(), Ok(Address::Unix(path)) if path.ends_with("a")));
        for bad in ["", "9464", "localhost", "unix:"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
