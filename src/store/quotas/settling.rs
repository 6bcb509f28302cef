//! Tells the server that processes share what calls have used, beside the calls.
//!
//! A call that ends leaves its correction here, wherever it ends: on a thread without a runtime, while the server is away, or
//! while this process stops. While there is nobody to ask, corrections wait. Those are of calls that had been reserved at the
//! server, so that there are no more of them than calls were in flight when it went away.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::shared::{Correction, Shared};

/// The corrections that are told at a time.
const AT_A_TIME: usize = 64;
/// How long the last ones may take.
const LAST: Duration = Duration::from_secs(1);

/// Where corrections are left.
#[derive(Debug)]
pub(super) struct Settling {
    /// None: it has ended.
    corrections: Mutex<Option<UnboundedSender<Correction>>>,
    telling: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Settling {
    /// Tells them to `shared`. Must be called on a runtime that outlives the calls.
    pub(super) fn start(shared: Shared) -> Self {
        let (corrections, left) = unbounded_channel();
        let telling = AbortOnDropHandle::new(tokio::spawn(tell(shared, left)));
        Self { corrections: Mutex::new(Some(corrections)), telling: Mutex::new(Some(telling)) }
    }

    /// Leaves one.
    pub(super) fn settle(&self, correction: Correction) {
        if let Some(corrections) = &*lock(&self.corrections) {
            let _ = corrections.send(correction);
        }
    }

    /// Tells those that were left until now, if that does not take long.
    pub(super) async fn end(&self) {
        drop(lock(&self.corrections).take());
        let telling = lock(&self.telling).take();
        if let Some(telling) = telling
            && tokio::time::timeout(LAST, telling).await.is_err()
        {
            tracing::warn!(
                "what the last calls have used is not told to those who share the limits: it stays an estimate"
            );
        }
    }
}

async fn tell(shared: Shared, mut left: UnboundedReceiver<Correction>) {
    let mut asking = JoinSet::new();
    while let Some(correction) = left.recv().await {
        shared.is_there().await;
        while asking.len() >= AT_A_TIME {
            asking.join_next().await;
        }
        while asking.try_join_next().is_some() {}
        let shared = shared.clone();
        asking.spawn(async move { shared.correct(&correction).await });
    }
    while asking.join_next().await.is_some() {}
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use secrecy::SecretString;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc;

    use super::super::{Quota, Quotas, Reserved, Use};
    use crate::domain::CallerName;
    use crate::store::RedisUrl;

    const QUOTA: Quota = Quota { requests: Some(1000), tokens: Some(1_000_000), nano_usd: None };

    /// Answers as far as it is asked here: scripts with a second, anything else with OK. `told` gets the last words of each
    /// correction: what was expected and what was used.
    async fn answer(mut stream: TcpStream, told: mpsc::UnboundedSender<Vec<String>>) {
        let (mut said, mut begun) = (vec![0; 64 * 1024], Vec::new());
        while let Ok(length @ 1..) = stream.read(&mut said).await {
            begun.extend_from_slice(&said[..length]);
            while let Some((words, rest)) = command(&begun) {
                begun = rest;
                let reply = match words.as_slice() {
                    [eval, script, ..] if eval == "EVAL" && script.contains("HGETALL") => "*2\r\n:1000\r\n:0\r\n",
                    [eval, ..] if eval == "EVAL" => {
                        let _ = told.send(words[5..].to_vec());
                        ":1\r\n"
                    }
                    _ => "+OK\r\n",
                };
                stream.write_all(reply.as_bytes()).await.unwrap();
            }
        }
    }

    /// A number behind one letter at `from`, and where its line ends; none: it is not whole yet.
    fn number(said: &[u8], from: usize) -> Option<(usize, usize)> {
        let end = from + said.get(from..)?.windows(2).position(|two| two == b"\r\n")?;
        Some((std::str::from_utf8(&said[from + 1..end]).unwrap().parse().unwrap(), end + 2))
    }

    /// The first command of what was said, and the rest; none: it is not whole yet.
    fn command(said: &[u8]) -> Option<(Vec<String>, Vec<u8>)> {
        let (count, mut at) = number(said, 0)?;
        let mut words = Vec::new();
        for _ in 0..count {
            let (length, begin) = number(said, at)?;
            words.push(String::from_utf8_lossy(said.get(begin..begin + length)?).into_owned());
            at = begin + length + 2;
        }
        Some((words, said.get(at..)?.to_vec()))
    }

    struct Server {
        url: RedisUrl,
        told: mpsc::UnboundedReceiver<Vec<String>>,
        running: Option<tokio::task::JoinHandle<()>>,
        tell: mpsc::UnboundedSender<Vec<String>>,
        address: std::net::SocketAddr,
    }

    impl Server {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let url = RedisUrl::parse(SecretString::from(format!("redis://{address}"))).unwrap();
            let (tell, told) = mpsc::unbounded_channel();
            let mut server = Self { url, told, running: None, tell, address };
            server.serve(listener);
            server
        }

        fn serve(&mut self, listener: TcpListener) {
            let tell = self.tell.clone();
            self.running = Some(tokio::spawn(async move {
                let mut connections = tokio::task::JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.spawn(answer(stream, tell.clone()));
                }
            }));
        }

        /// It is away: its connections go with it.
        async fn stop(&mut self) {
            let running = self.running.take().unwrap();
            running.abort();
            let _ = running.await;
        }
    }

    async fn reserved(quotas: &Quotas) -> Reserved {
        quotas.reserve(&CallerName::new("search"), QUOTA, 256).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_used_while_the_server_is_away_is_told_when_it_is_back() {
        let mut server = Server::start().await;
        let quotas = Quotas::open(Some(&server.url)).await.unwrap();
        let (first, second) = (reserved(&quotas).await, reserved(&quotas).await);
        server.stop().await;
        // Somebody has to find out.
        while quotas.health().unwrap().available {
            let _ = reserved(&quotas).await;
        }
        first.settle(Use { tokens: 11, nano_usd: 0 });
        second.settle(Use { tokens: 22, nano_usd: 0 });
        server.serve(TcpListener::bind(server.address).await.unwrap());
        let mut told = [server.told.recv().await.unwrap(), server.told.recv().await.unwrap()];
        told.sort();
        assert_eq!(told, [["256", "0", "11", "0"], ["256", "0", "22", "0"]]);
    }

    #[tokio::test]
    async fn what_is_used_where_there_is_no_runtime_is_told_and_the_last_of_it_before_the_end() {
        let mut server = Server::start().await;
        let quotas = Arc::new(Quotas::open(Some(&server.url)).await.unwrap());
        let last = reserved(&quotas).await;
        std::thread::spawn(move || last.settle(Use { tokens: 33, nano_usd: 0 })).join().unwrap();
        quotas.end().await;
        assert_eq!(server.told.try_recv().unwrap(), ["256", "0", "33", "0"]);
        // Later ones are not told, and nobody waits for them.
        reserved(&quotas).await.settle(Use::default());
        quotas.end().await;
        assert!(server.told.try_recv().is_err());
    }
}
