//! The sockets that scrapers connect to: TCP addresses, Unix sockets, and sockets that systemd has
//! opened.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::task::Poll;

use listenfd::ListenFd;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::sockopt::set_ipv6_v6only;
use rustix::process::umask;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixStream};

/// The number of connections that the system holds until they are accepted.
const BACKLOG: u32 = 1024;

/// `ADDRESS:PORT`, `NAME:PORT`, `:PORT`, `unix:PATH`, or `systemd` for sockets that were passed.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    /// A name of this host, and a port.
    Host(String, u16),
    /// A port on all addresses of IPv4 and IPv6.
    Every(u16),
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
            None => Self::tcp(text).ok_or_else(|| "give ADDRESS:PORT, NAME:PORT, :PORT, unix:PATH or systemd".into()),
        }
    }
}

impl Address {
    fn tcp(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Address::Tcp(address));
        }
        let (host, port) = text.rsplit_once(':')?;
        // `parse` would accept a sign.
        let port = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse().ok())??;
        let is_name = |host: &str| host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        match host {
            "" => Some(Address::Every(port)),
            // A malformed address is not a name.
            host if is_name(host) && host.bytes().any(|b| b.is_ascii_alphabetic()) => {
                Some(Address::Host(host.to_owned(), port))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Host(host, port) => write!(f, "{host}:{port}"),
            Address::Every(port) => write!(f, ":{port}"),
            Address::Unix(path) => write!(f, "{}", path.display()),
            Address::Systemd => f.write_str("the sockets passed by systemd"),
        }
    }
}

/// A TCP or Unix connection.
pub(super) type Stream = Pin<Box<dyn Duplex>>;

pub(super) trait Duplex: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// The client, for the limits on each client. An IPv6 client may use all addresses of its /64
/// network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Peer {
    Address(IpAddr),
    User(u32),
    Unknown,
}

impl Peer {
    fn at(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => Peer::Address(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into()),
            v4 @ IpAddr::V4(_) => Peer::Address(v4),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Address(IpAddr::V6(network)) => write!(f, "{network}/64"),
            Peer::Address(address) => address.fmt(f),
            Peer::User(user) => write!(f, "the user {user}"),
            Peer::Unknown => f.write_str("an unknown client"),
        }
    }
}

pub(super) struct Listener {
    socket: Socket,
    address: Address,
    /// The device and the inode of a socket that this process created in the file system. Its end
    /// removes the socket, but not the socket of a server that has replaced it since.
    made: Option<(u64, u64)>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Opens the sockets of `address`.
    pub(super) async fn bind(address: &Address, to: &mut Vec<Self>) -> io::Result<()> {
        match address {
            Address::Tcp(address) => to.push(Self::tcp(std::net::TcpListener::bind(address)?)?),
            Address::Host(host, port) => {
                let found: Vec<SocketAddr> = (host.as_str(), *port).to_socket_addrs()?.collect();
                // As in Go's servers: the first IPv4 address, otherwise the first address.
                let address = found.iter().find(|address| address.is_ipv4()).or(found.first());
                let address = address.ok_or_else(|| io::Error::other("the name has no address"))?;
                to.push(Self::tcp(std::net::TcpListener::bind(address)?)?);
            }
            Address::Every(port) => to.push(Self::every(*port)?),
            Address::Unix(path) => {
                remove_stale(path).await;
                // Only scrapers of the same group may connect, from the start. A mode that is set
                // after the bind would be too late.
                let before = umask(Mode::from_raw_mode(0o117));
                let socket = UnixListener::bind(path);
                umask(before);
                let (socket, made) = (socket?, identity(path));
                to.push(Listener { socket: Socket::Unix(socket), address: address.clone(), made });
            }
            Address::Systemd => Self::inherited(to)?,
        }
        Ok(())
    }

    /// One socket for IPv6 and IPv4, or for IPv4 alone if the system has no IPv6.
    fn every(port: u16) -> io::Result<Self> {
        let socket = match TcpSocket::new_v6() {
            Err(e) if e.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error()) => {
                return Self::tcp(std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?);
            }
            socket => socket?,
        };
        set_ipv6_v6only(&socket, false)?;
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv6Addr::UNSPECIFIED, port).into())?;
        let socket = socket.listen(BACKLOG)?;
        let address = Address::Tcp(socket.local_addr()?);
        Ok(Listener { socket: Socket::Tcp(socket), address, made: None })
    }

    fn tcp(socket: std::net::TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = Address::Tcp(socket.local_addr()?);
        Ok(Listener { socket: Socket::Tcp(TcpListener::from_std(socket)?), address, made: None })
    }

    /// The sockets of a systemd socket unit, or of another program with the same protocol.
    fn inherited(to: &mut Vec<Self>) -> io::Result<()> {
        let mut passed = ListenFd::from_env();
        if passed.len() == 0 {
            let problem =
                "there are none ($LISTEN_FDS and $LISTEN_PID say so); start it by a socket unit, or give an address";
            return Err(io::Error::new(io::ErrorKind::NotFound, problem));
        }
        for i in 0..passed.len() {
            // A socket of another kind stays in place, and is taken as that kind below.
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
            to.push(Listener { socket, address: Address::Unix(path), made: None });
        }
        Ok(())
    }

    /// The address, with the port that the system chose.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Address::Unix(path) = &self.address
            && self.made.is_some()
            && self.made == identity(path)
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// Removes a socket without a server, which a killed server leaves.
///
/// The attempt does not wait: a live server with a full queue does not answer it.
async fn remove_stale(path: &Path) {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket && UnixStream::connect(path).await.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
        let _ = std::fs::remove_file(path);
    }
}

/// The next connection of any listener. The listeners take turns, so that many connections to one
/// listener do not delay the others.
pub(super) async fn accept(listeners: &[Listener], turn: &Cell<usize>) -> io::Result<(Stream, Peer)> {
    poll_fn(|context| {
        let first = turn.get();
        for i in (0..listeners.len()).map(|i| (first + i) % listeners.len()) {
            let listener = &listeners[i];
            let accepted = match &listener.socket {
                Socket::Tcp(socket) => socket.poll_accept(context).map_ok(|(stream, from)| {
                    // An answer is written in one call, so Nagle's algorithm has nothing to gather.
                    let _ = stream.set_nodelay(true);
                    (Box::pin(stream) as Stream, Peer::at(from.ip()))
                }),
                Socket::Unix(socket) => socket.poll_accept(context).map_ok(|(stream, _)| {
                    let peer = stream.peer_cred().map_or(Peer::Unknown, |who| Peer::User(who.uid()));
                    (Box::pin(stream) as Stream, peer)
                }),
            };
            if let Poll::Ready(accepted) = accepted {
                turn.set(i + 1);
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{Address, Listener, Peer, Socket};

    #[tokio::test]
    async fn listeners_have_their_turns() {
        let (mut listeners, turn) = (Vec::new(), Cell::new(0));
        for _ in 0..2 {
            Listener::bind(&"127.0.0.1:0".parse().unwrap(), &mut listeners).await.unwrap();
        }
        let connect = |listener: &Listener| std::net::TcpStream::connect(listener.address().to_string()).unwrap();
        let held: Vec<_> = (0..4).map(|_| connect(&listeners[0])).chain([connect(&listeners[1])]).collect();
        for _ in 0..2 {
            super::accept(&listeners, &turn).await.unwrap();
        }
        // The second one's only connection was accepted before the rest of the first one's.
        let Socket::Tcp(second) = &listeners[1].socket else { unreachable!() };
        let nothing = tokio::time::timeout(std::time::Duration::from_millis(50), second.accept()).await;
        assert!(nothing.is_err());
        drop(held);
    }

    #[tokio::test]
    async fn a_port_of_all_addresses_and_a_name() {
        let mut listeners = Vec::new();
        for text in [":0", "localhost:0"] {
            Listener::bind(&text.parse().unwrap(), &mut listeners).await.unwrap();
        }
        let address = |listener: &Listener| listener.address().to_string().parse::<std::net::SocketAddr>().unwrap();
        let (every, local) = (address(&listeners[0]), address(&listeners[1]));
        assert!(every.ip().is_unspecified() && local.ip().is_loopback(), "{every}, {local}");
        std::net::TcpStream::connect(("127.0.0.1", every.port())).expect("IPv4 is served");
        std::net::TcpStream::connect(local).expect("the name is served");
    }

    #[test]
    fn peers() {
        let of = |text: &str| Peer::at(text.parse().unwrap());
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("2001:db8::1").to_string(), "2001:db8::/64");
    }

    #[test]
    fn addresses() {
        assert!(matches!("127.0.0.1:9464".parse(), Ok(Address::Tcp(_))));
        assert!(matches!("[::1]:0".parse(), Ok(Address::Tcp(_))));
        assert!(matches!("systemd".parse(), Ok(Address::Systemd)));
        assert!(matches!("unix:/run/a".parse(), Ok(Address::Unix(path)) if path.ends_with("a")));
        assert!(matches!(":9464".parse(), Ok(Address::Every(9464))));
        assert!(matches!("localhost:9464".parse(), Ok(Address::Host(host, 9464)) if host == "localhost"));
        for bad in
            ["", "9464", "localhost", "unix:", ":", "localhost:", ":65536", ":+1", "256.0.0.1:80", "::1:80", "a b:80"]
        {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
