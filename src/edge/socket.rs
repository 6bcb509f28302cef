//! A connection as the system gives it: registered with no runtime yet.

/// A connection on its way to a worker.
#[derive(Debug)]
pub enum Socket {
    /// Over TCP.
    Tcp(std::net::TcpStream),
    /// Through a socket in the file system.
    Unix(std::os::unix::net::UnixStream),
}
