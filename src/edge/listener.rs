//! A socket that callers connect to.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener};

use super::socket::Socket;

/// Where a listener is bound in truth: with the port that the system chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A TCP address.
    Tcp(std::net::SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Bound {
    /// Whether only this machine reaches it.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A bound socket. A Unix socket's file goes with it.
#[derive(Debug)]
pub enum Listener {
    /// Over TCP.
    Tcp(TcpListener),
    /// In the file system.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Binds `host:port`; port 0 is any free one.
    ///
    /// # Errors
    /// What the system says: most often that the address is in use.
    pub async fn tcp(address: &str) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self::Tcp)
    }

    /// Binds a socket in the file system, in the place of one that nobody listens on any more.
    ///
    /// # Errors
    /// What the system says: most often that somebody listens there, or that a file is there which is no socket.
    pub async fn unix(path: &Path) -> io::Result<Self> {
        if let Err(error) = tokio::net::UnixStream::connect(path).await
            && error.kind() == io::ErrorKind::ConnectionRefused
            // A file that is no socket refuses connections as well, and is somebody's.
            && std::fs::symlink_metadata(path)?.file_type().is_socket()
        {
            std::fs::remove_file(path)?;
        }
        Ok(Self::Unix(UnixListener::bind(path)?, path.to_owned()))
    }

    /// Where it is bound.
    ///
    /// # Errors
    /// What the system says.
    pub fn bound(&self) -> io::Result<Bound> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Bound::Tcp),
            Self::Unix(_, path) => Ok(Bound::Unix(path.clone())),
        }
    }

    /// The next connection.
    ///
    /// # Errors
    /// What the system says; the next call may succeed.
    pub async fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // A connection that is gone already is found out where it is served.
                let _ = stream.set_nodelay(true);
                stream.into_std().map(Socket::Tcp)
            }
            Self::Unix(listener, _) => listener.accept().await?.0.into_std().map(Socket::Unix),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // The socket is closed; a file that cannot be removed is replaced by the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}
