//! A current-thread runtime for each core, and connections handed out to them in turns.

use std::future::Future;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::Failure;

/// Connections that wait for a worker to take them.
const WAITING: usize = 1024;

/// The connections of one worker.
pub(crate) type Connections = Receiver<std::net::TcpStream>;

/// Listens, and serves with `threads` workers until the process is ended.
pub(crate) fn serve<Serving>(
    listen: SocketAddr,
    threads: usize,
    serve: impl Fn(Connections) -> Serving + Clone + Send + 'static,
) -> Result<(), Failure>
where
    Serving: Future<Output = ()>,
{
    let listener = std::net::TcpListener::bind(listen)?;
    let workers = (0..threads.max(1)).map(|_| worker(serve.clone())).collect::<Result<Vec<_>, _>>()?;
    for worker in workers.iter().cycle() {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        worker.blocking_send(stream)?;
    }
    Ok(())
}

fn worker<Serving>(
    serve: impl FnOnce(Connections) -> Serving + Send + 'static,
) -> Result<Sender<std::net::TcpStream>, Failure>
where
    Serving: Future<Output = ()>,
{
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (sender, receiver) = channel(WAITING);
    std::thread::Builder::new().spawn(move || runtime.block_on(serve(receiver)))?;
    Ok(sender)
}

/// The next connection, known to this worker's runtime; none: there will be no more.
pub(crate) async fn next(connections: &mut Connections) -> Option<TcpStream> {
    loop {
        if let Ok(stream) = TcpStream::from_std(connections.recv().await?) {
            return Some(stream);
        }
    }
}
