//! Where scrapers connect to: TCP addresses, Unix sockets, and sockets that systemd has opened.

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

use listenfd::ListenFd;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

/// `ADDRESS:PORT`, `unix:PATH`, or `systemd` for the sockets that were passed.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
    Systemd,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("a path is missing after `unix:`".into()),
            Some(path) => Ok(Address::Unix(path.into())),
            None if text == "systemd" => Ok(Address::Systemd),
            None => text.parse().map(Address::Tcp).map_err(|e| format!("{e}; give ADDRESS:PORT, unix:PATH or systemd")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "{}", path.display()),
            Address::Systemd => f.write_str("the sockets passed by systemd"),
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
    /// The socket in the file system is ours to remove.
    is_ours: bool,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Adds what listens at `address`.
    pub(super) fn bind(address: &Address, to: &mut Vec<Self>) -> io::Result<()> {
        match address {
            Address::Tcp(address) => to.push(Self::tcp(std::net::TcpListener::bind(address)?)?),
            Address::Unix(path) => {
                remove_stale(path);
                let socket = UnixListener::bind(path)?;
                // A scraper of the same group may connect, nobody else.
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
                to.push(Listener { socket: Socket::Unix(socket), address: address.clone(), is_ours: true });
            }
            Address::Systemd => Self::inherited(to)?,
        }
        Ok(())
    }

    fn tcp(socket: std::net::TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = Address::Tcp(socket.local_addr()?);
        Ok(Listener { socket: Socket::Tcp(TcpListener::from_std(socket)?), address, is_ours: true })
    }

    /// The sockets of a systemd socket unit, or of whoever starts programs in the same way.
    fn inherited(to: &mut Vec<Self>) -> io::Result<()> {
        let mut passed = ListenFd::from_env();
        if passed.len() == 0 {
            let problem =
                "there are none ($LISTEN_FDS and $LISTEN_PID say so); start it by a socket unit, or give an address";
            return Err(io::Error::new(io::ErrorKind::NotFound, problem));
        }
        for i in 0..passed.len() {
            // Not of this kind is no failure: it stays, to be taken as the other.
            if let Ok(Some(socket)) = passed.take_tcp_listener(i) {
                to.push(Self::tcp(socket)?);
                continue;
            }
            let Ok(Some(socket)) = passed.take_unix_listener(i) else {
                let problem =
                    format!("number {i} of them is no stream socket that listens; use ListenStream= and Accept=no");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
            };
            socket.set_nonblocking(true)?;
            let path = socket.local_addr()?.as_pathname().map(Path::to_path_buf).unwrap_or_default();
            let socket = Socket::Unix(UnixListener::from_std(socket)?);
            to.push(Listener { socket, address: Address::Unix(path), is_ours: false });
        }
        Ok(())
    }

    /// With the port that was given.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let (Address::Unix(path), true) = (&self.address, self.is_ours) {
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
        assert!(matches!("systemd".parse(), Ok(Address::Systemd)));
        assert!(matches!("unix:/run/a".parse(), Ok(Address::Unix(path)) if path.ends_with("a")));
        for bad in ["", "9464", "localhost", "unix:"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
