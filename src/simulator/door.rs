//! A port that can be closed and opened again, and that is given to nobody in between who asks for a free one.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

/// How many connections wait to be accepted.
const BACKLOG: u32 = 1024;

/// A port, and who listens there.
#[derive(Debug)]
pub(super) enum Door {
    /// A task accepts connections.
    Open(JoinHandle<io::Result<Infallible>>),
    /// Connections are refused. The socket is bound and does not listen, so the port is not free; none: it was lost.
    Closed(Option<TcpSocket>),
}

impl Door {
    /// Stops listening at `address`. All connections of the task are given up.
    pub(super) async fn close(&mut self, address: SocketAddr) {
        let Self::Open(task) = self else { return };
        task.abort();
        // The listener is gone only when its task is, and the port cannot be held before.
        task.await.ok();
        *self = Self::Closed(hold(address).ok());
    }

    /// Listens at `address` again and lets the task accept that `serve` begins.
    ///
    /// # Errors
    /// When the port was lost and somebody else has it.
    pub(super) fn open(
        &mut self,
        address: SocketAddr,
        serve: impl FnOnce(TcpListener) -> JoinHandle<io::Result<Infallible>>,
    ) -> io::Result<()> {
        let Self::Closed(held) = self else { return Ok(()) };
        let socket = held.take().map_or_else(|| hold(address), Ok)?;
        *self = Self::Open(serve(socket.listen(BACKLOG)?));
        Ok(())
    }

    /// Gives up the task without waiting for its end.
    pub(super) fn abandon(&self) {
        if let Self::Open(task) = self {
            task.abort();
        }
    }
}

fn hold(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections that were accepted there may linger for a while.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
