//! A worker per core: each serves whole connections on a thread and a runtime of its own.
//!
//! A call never leaves its worker, so nothing on its way is shared with another core but atomics.

use std::io;
use std::sync::Arc;

use tokio::runtime::RuntimeMetrics;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::gate::{Gate, Refusal};
use super::{Listener, Served, Socket, connection};
use crate::count::{Count, Held};

/// How often it is told at most that there is no place for more connections.
const TELLING: std::time::Duration = std::time::Duration::from_secs(60);

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
    socket: Socket,
    /// How it is served.
    gate: Arc<Gate>,
    /// At its worker, and at its listener.
    held: [Held; 2],
}

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

    /// Hands the connections of `listener` out, each to the worker with the fewest streams, until the gate's drain begins,
    /// which tells them to go away too.
    ///
    /// One beyond the gate's limit is taken and closed at once. Left where it is, its client would take it for a connection
    /// and wait for an answer; closed, it asks another server.
    pub async fn accept(&self, listener: Listener, gate: Gate) {
        let gate = Arc::new(gate);
        let mut told: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = gate.drain.refusing() => return,
            };
            match accepted {
                Ok(socket) => {
                    let is_told = told.is_some_and(|told| told.elapsed() < TELLING);
                    if !self.hand_out(socket, &gate) && !is_told {
                        told = Some(Instant::now());
                        let max = gate.bounds.max;
                        tracing::warn!(max, "there are as many connections as there may be: more are closed at once");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    // Most often there are no file descriptors left: some calls must end before it can go on.
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Whether there was a place for it.
    fn hand_out(&self, socket: Socket, gate: &Arc<Gate>) -> bool {
        let Some(open) = gate.open.one_of(gate.bounds.max) else {
            gate.refused.note(Refusal::Limit);
            return false;
        };
        // A worker that is gone has panicked.
        let workers = self.workers.iter().filter(|worker| !worker.connections.is_closed());
        if let Some(worker) = workers.min_by_key(|worker| worker.load.rank()) {
            let held = [worker.load.connections.one(), open];
            let _ = worker.connections.send(Arriving { socket, gate: Arc::clone(gate), held });
        }
        true
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
    while let Some(Arriving { socket, gate, held }) = arriving.recv().await {
        let Some(service) = services.get(gate.face) else { continue };
        let service = service.clone();
        tracker.spawn(async move {
            connection::serve(socket, service, &gate).await;
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
    use crate::edge::{ConnectionBounds, Drain, Refusals};

    fn gate(max: usize) -> Arc<Gate> {
        let bounds = ConnectionBounds { max, ..Default::default() };
        let (drain, open, refused) = (Drain::default(), Count::default(), Refusals::default());
        Arc::new(Gate { face: 0, drain, tls: None, bounds, open, refused })
    }

    fn workers(count: usize) -> Workers {
        let silent = |_: &Load| vec![BoxCloneSyncService::new(tower::service_fn(|_| std::future::pending()))];
        Workers::start(count, silent).unwrap()
    }

    fn connection() -> (Socket, std::os::unix::net::UnixStream) {
        let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        (Socket::Unix(here), there)
    }

    fn ranks(workers: &Workers) -> Vec<(usize, usize)> {
        workers.workers.iter().map(|worker| worker.load.rank()).collect()
    }

    #[test]
    fn a_burst_of_connections_is_spread_before_any_is_served() {
        let workers = workers(3);
        let (connections, _clients): (Vec<_>, Vec<_>) = (0..9).map(|_| connection()).unzip();
        let gate = gate(10);
        assert!(connections.into_iter().all(|connection| workers.hand_out(connection, &gate)));
        assert_eq!(ranks(&workers), [(0, 3), (0, 3), (0, 3)]);
    }

    #[test]
    fn streams_count_more_than_connections() {
        let workers = workers(2);
        let busy = workers.workers.first().unwrap().load.stream();
        let (connections, _clients): (Vec<_>, Vec<_>) = (0..3).map(|_| connection()).unzip();
        let gate = gate(10);
        assert!(connections.into_iter().all(|connection| workers.hand_out(connection, &gate)));
        assert_eq!(ranks(&workers), [(1, 0), (0, 3)]);
        drop(busy);
        assert_eq!(ranks(&workers), [(0, 0), (0, 3)]);
    }

    #[tokio::test]
    async fn workers_end_when_their_last_connection_is_closed() {
        let workers = workers(2);
        let (connection, client) = connection();
        assert!(workers.hand_out(connection, &gate(1)));
        let ended = tokio::spawn(workers.ended());
        drop(client);
        ended.await.unwrap();
    }

    #[test]
    fn one_beyond_the_limit_is_closed_and_counted() {
        use std::io::Read;
        let (workers, gate) = (workers(1), gate(2));
        let (connections, clients): (Vec<_>, Vec<_>) = (0..3).map(|_| connection()).unzip();
        let places = connections.into_iter().map(|connection| workers.hand_out(connection, &gate));
        assert_eq!(places.collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(gate.refused.now().first(), Some(&("limit", 1)));
        assert_eq!(clients.last().unwrap().read(&mut [0; 1]).unwrap(), 0);
    }
}
