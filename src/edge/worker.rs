//! A worker per core: each serves whole connections on a thread and a runtime of its own.
//!
//! A call never leaves its worker, so nothing on its way is shared with another core but atomics.

use std::io;

use tokio::runtime::RuntimeMetrics;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::{Connection, Drain, Listener, Served};
use crate::count::{Count, Held};

/// How much a worker has to do: the streams that it serves, and connections as long as they have none.
#[derive(Clone, Debug, Default)]
pub struct Load {
    streams: Count,
    connections: Count,
}

impl Load {
    /// One stream more.
    pub fn stream(&self) -> Held {
        self.streams.one()
    }

    fn rank(&self) -> (usize, usize) {
        (self.streams.now(), self.connections.now())
    }
}

/// All workers.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    load: Load,
    connections: UnboundedSender<Arriving>,
    /// How its runtime is.
    runtime: RuntimeMetrics,
    /// Told when its thread ends.
    ended: oneshot::Receiver<()>,
}

/// A connection on its way to a worker; it counts from the moment that it was handed out.
#[derive(Debug)]
struct Arriving {
    connection: Connection,
    face: Face,
    /// When it is told to go away.
    drain: Drain,
    /// At its worker, and at its listener.
    held: [Held; 2],
}

/// Which of a worker's services a connection is for.
type Face = usize;

impl Workers {
    /// Starts `count` threads. Each calls `services` on its own runtime, once, and serves each connection with the
    /// service of the listener that it came from.
    ///
    /// # Errors
    /// When the system gives no thread or no runtime.
    pub fn start<Services>(count: usize, services: Services) -> io::Result<Self>
    where
        Services: Fn(&Load) -> Vec<Served> + Clone + Send + 'static,
    {
        let workers = (0..count.max(1)).map(|number| start(number, services.clone()));
        Ok(Self { workers: workers.collect::<io::Result<_>>()? })
    }

    /// How their runtimes are, in their order.
    pub fn runtimes(&self) -> Vec<RuntimeMetrics> {
        self.workers.iter().map(|worker| worker.runtime.clone()).collect()
    }

    /// Hands the connections of `listener` out, each to the worker with the fewest streams, until `drain` begins, which
    /// tells them to go away too. They are served by the workers' service number `face`, and `open` says how many there are.
    pub async fn accept(&self, listener: Listener, face: usize, open: &Count, drain: &Drain) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = drain.refusing() => return,
            };
            match accepted {
                Ok(connection) => self.hand_out(connection, face, open, drain),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    // Most often there are no file descriptors left: some calls must end before it can go on.
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn hand_out(&self, connection: Connection, face: Face, open: &Count, drain: &Drain) {
        // A worker that is gone has panicked.
        let workers = self.workers.iter().filter(|worker| !worker.connections.is_closed());
        if let Some(worker) = workers.min_by_key(|worker| worker.load.rank()) {
            let held = [worker.load.connections.one(), open.one()];
            let _ = worker.connections.send(Arriving { connection, face, drain: drain.clone(), held });
        }
    }

    /// Takes no more connections and waits until every one is closed. Dropping the future of this leaves the threads to
    /// themselves: they end with the process.
    pub async fn ended(self) {
        let (senders, ends): (Vec<_>, Vec<_>) =
            self.workers.into_iter().map(|worker| (worker.connections, worker.ended)).unzip();
        drop(senders);
        for end in ends {
            if end.await.is_err() {
                tracing::error!("a worker has panicked");
            }
        }
    }
}

fn start<Services>(number: usize, services: Services) -> io::Result<Worker>
where
    Services: Fn(&Load) -> Vec<Served> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let metrics = runtime.metrics();
    let (sender, receiver) = unbounded_channel();
    let load = Load::default();
    let of_thread = load.clone();
    let (end, ended) = oneshot::channel();
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        runtime.block_on(async move {
            let served = services(&of_thread);
            run(receiver, &served).await;
        });
        // Nobody waits for it any more where the grace is over.
        let _ = end.send(());
    })?;
    Ok(Worker { load, connections: sender, runtime: metrics, ended })
}

async fn run(mut arriving: UnboundedReceiver<Arriving>, services: &[Served]) {
    let tracker = TaskTracker::new();
    while let Some(Arriving { connection, face, drain, held }) = arriving.recv().await {
        let Some(service) = services.get(face) else { continue };
        let service = service.clone();
        tracker.spawn(async move {
            connection.serve(service, drain).await;
            drop(held);
        });
    }
    tracker.close();
    tracker.wait().await;
}

#[cfg(test)]
mod tests {
    use tower::util::BoxCloneSyncService;

    use super::*;

    fn workers(count: usize) -> Workers {
        let silent = |_: &Load| vec![BoxCloneSyncService::new(tower::service_fn(|_| std::future::pending()))];
        Workers::start(count, silent).unwrap()
    }

    fn connection() -> (Connection, std::os::unix::net::UnixStream) {
        let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        (Connection::Unix(here), there)
    }

    fn ranks(workers: &Workers) -> Vec<(usize, usize)> {
        workers.workers.iter().map(|worker| worker.load.rank()).collect()
    }

    #[test]
    fn a_burst_of_connections_is_spread_before_any_is_served() {
        let workers = workers(3);
        let (connections, _clients): (Vec<_>, Vec<_>) = (0..9).map(|_| connection()).unzip();
        connections
            .into_iter()
            .for_each(|connection| workers.hand_out(connection, 0, &Count::default(), &Drain::default()));
        assert_eq!(ranks(&workers), [(0, 3), (0, 3), (0, 3)]);
    }

    #[test]
    fn streams_count_more_than_connections() {
        let workers = workers(2);
        let busy = workers.workers.first().unwrap().load.stream();
        let (connections, _clients): (Vec<_>, Vec<_>) = (0..3).map(|_| connection()).unzip();
        connections
            .into_iter()
            .for_each(|connection| workers.hand_out(connection, 0, &Count::default(), &Drain::default()));
        assert_eq!(ranks(&workers), [(1, 0), (0, 3)]);
        drop(busy);
        assert_eq!(ranks(&workers), [(0, 0), (0, 3)]);
    }

    #[tokio::test]
    async fn workers_end_when_their_last_connection_is_closed() {
        let workers = workers(2);
        let (connection, client) = connection();
        workers.hand_out(connection, 0, &Count::default(), &Drain::default());
        let ended = tokio::spawn(workers.ended());
        drop(client);
        ended.await.unwrap();
    }
}
