//! A connection that costs no call its time when the server is away.
//!
//! Calls use the connection that there is, and each question has a short time. When one fails, the connection is put aside,
//! and whoever comes next is told at once that there is none. A task of its own connects again, and looks whether the
//! server answers before calls use it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use ::redis::{Cmd, FromRedisValue, RedisError as Failure, Value, cmd};
use arc_swap::ArcSwapOption;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{Connection, RedisError, RedisUrl, is_lost, told, with_tls};

/// How long a call waits for an answer.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long connecting may take, and each question of an operator.
const LONGER: Duration = Duration::from_secs(2);
/// How long the first connection is waited for when the server starts.
const AT_START: Duration = Duration::from_secs(1);
/// The pause between attempts to connect.
const PAUSE: Duration = Duration::from_secs(1);

/// How a server that processes share is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether it answered when it was last asked.
    pub available: bool,
    /// Why not, and when, when it last did not. Neither the address nor a password is in it.
    pub last_error: Option<(String, SystemTime)>,
    /// Questions that it did not answer, since the start.
    pub failures: u64,
}

/// What a question does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Effect {
    /// It reads.
    Read,
    /// It writes: a server may refuse this while it can be read.
    Write,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// There is no connection.
    Away,
    /// It answers, and refuses what is asked.
    Refuses,
}

/// A connection. Clones share it; when the last one is dropped, it is closed.
#[derive(Clone)]
pub(in crate::store) struct Link {
    inner: Arc<Inner>,
    _tended: Arc<AbortOnDropHandle<()>>,
}

struct Inner {
    url: RedisUrl,
    /// The key of the configuration that names it.
    key: &'static str,
    connection: ArcSwapOption<Connection>,
    /// The one that was put aside.
    aside: Mutex<Option<Connection>>,
    failed: Notify,
    /// Whether it was too slow: it is left alone for a while, even if it can be connected to.
    was_slow: AtomicBool,
    standing: Mutex<Standing>,
}

#[derive(Default)]
struct Standing {
    trouble: Option<Trouble>,
    last_error: Option<(String, SystemTime)>,
    failures: u64,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("key", &self.inner.key).finish_non_exhaustive()
    }
}

impl Link {
    /// Connects to what the `key` of the configuration names, if it is there soon, and else when it is. Must be called on a
    /// runtime that outlives the calls.
    ///
    /// # Errors
    /// It is no address of a Redis.
    pub(in crate::store) async fn open(url: &RedisUrl, key: &'static str) -> Result<Self, RedisError> {
        with_tls();
        url.client()?;
        let inner = Arc::new(Inner {
            url: url.clone(),
            key,
            connection: ArcSwapOption::empty(),
            aside: Mutex::default(),
            failed: Notify::new(),
            was_slow: AtomicBool::new(false),
            standing: Mutex::default(),
        });
        match timeout(AT_START, inner.connect()).await {
            Ok(Ok(connection)) => inner.connection.store(Some(Arc::new(connection))),
            Ok(Err(error)) => inner.lost(told(&error)),
            Err(_) => inner.lost(late()),
        }
        let tended = tokio::spawn(tend(Arc::clone(&inner)));
        Ok(Self { inner, _tended: Arc::new(AbortOnDropHandle::new(tended)) })
    }

    /// Whether there is a connection: whoever asks without need does not ask without one.
    pub(in crate::store) fn is_there(&self) -> bool {
        self.inner.connection.load().is_some()
    }

    /// What the server answers; none: it does not, and that is noted.
    pub(in crate::store) async fn ask<T: FromRedisValue>(&self, command: &Cmd, effect: Effect) -> Option<T> {
        let Some(connection) = self.inner.connection.load_full() else {
            self.inner.standing().failures += 1;
            return None;
        };
        let mut asked = Connection::clone(&connection);
        let answer = match timeout(PATIENCE, command.query_async::<Value>(&mut asked)).await {
            Ok(answer) => answer.map_err(Some),
            Err(_) => Err(None),
        };
        match answer.map(T::from_redis_value) {
            Ok(Ok(answer)) => {
                self.inner.answered(effect);
                Some(answer)
            }
            // The server is well: what it has is none of ours.
            Ok(Err(_)) => {
                self.inner.standing().failures += 1;
                self.inner.note(Trouble::Refuses, "Redis: what is there is none of ours".to_owned());
                None
            }
            Err(error) => {
                self.inner.standing().failures += 1;
                self.inner.failed(&connection, error.as_ref());
                None
            }
        }
    }

    /// The text that stands at `key`, if there is one: what is of another kind is none. None: the server does not answer.
    pub(in crate::store) async fn text(&self, key: String) -> Option<Option<Vec<u8>>> {
        let mut get = cmd("MGET");
        get.arg(key);
        let (text,) = self.ask::<(Option<Vec<u8>>,)>(&get, Effect::Read).await?;
        Some(text)
    }

    /// Deletes all keys like `pattern`; returns how many. An operator waits for this, and no call.
    ///
    /// # Errors
    /// Why it could not be done, for a person to read: some may be deleted.
    pub(in crate::store) async fn delete(&self, pattern: &str) -> Result<u64, String> {
        let connection = self.connected()?;
        let mut asked = Connection::clone(&connection);
        asked.delete(pattern).await.map_err(|error| self.refused(&connection, &error))
    }

    /// Whether there is anybody to ask.
    pub(in crate::store) fn is_connected(&self) -> bool {
        self.inner.connection.load().is_some()
    }

    /// What the server answers an operator.
    ///
    /// # Errors
    /// Why it does not, for a person to read.
    pub(in crate::store) async fn tell(&self, command: &Cmd) -> Result<(), String> {
        let connection = self.connected()?;
        let mut asked = Connection::clone(&connection);
        command.exec_async(&mut asked).await.map_err(|error| self.refused(&connection, &error))
    }

    fn connected(&self) -> Result<Arc<Connection>, String> {
        self.inner.connection.load_full().ok_or_else(|| {
            let standing = self.inner.standing();
            standing.last_error.as_ref().map_or_else(late, |(error, _)| error.clone())
        })
    }

    fn refused(&self, connection: &Arc<Connection>, error: &Failure) -> String {
        self.inner.failed(connection, Some(error));
        told(error)
    }

    /// How it is.
    pub(in crate::store) fn health(&self) -> Health {
        let standing = self.inner.standing();
        Health {
            available: standing.trouble.is_none(),
            last_error: standing.last_error.clone(),
            failures: standing.failures,
        }
    }
}

/// Connects again whenever the connection was put aside.
async fn tend(inner: Arc<Inner>) {
    let mut since = Instant::now();
    loop {
        while inner.connection.load().is_none() {
            match timeout(LONGER, inner.connect()).await {
                Ok(Ok(connection)) => {
                    inner.connection.store(Some(Arc::new(connection)));
                    inner.found();
                    since = Instant::now();
                    break;
                }
                Ok(Err(error)) => inner.lost(told(&error)),
                Err(_) => inner.lost(late()),
            }
            tokio::time::sleep(PAUSE).await;
        }
        inner.failed.notified().await;
        // One that answers when it is connected to, and nothing else, is not connected to for each call anew.
        if inner.was_slow.swap(false, Ordering::Relaxed) || since.elapsed() < PAUSE {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Inner {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that answers. A cluster knows more of its servers than the address does, so the one that was put aside
    /// is asked first.
    async fn connect(&self) -> Result<Connection, Failure> {
        let aside = self.aside().clone();
        if let Some(mut cluster @ Connection::Cluster(_)) = aside
            && let Ok(Ok(())) = timeout(LONGER / 2, cluster.is_there()).await
        {
            return Ok(cluster);
        }
        let mut connection = Connection::open(&self.url, LONGER).await?;
        connection.is_there().await?;
        *self.aside() = None;
        Ok(connection)
    }

    fn aside(&self) -> MutexGuard<'_, Option<Connection>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A question over this connection has failed; without an error: it took too long.
    fn failed(&self, connection: &Arc<Connection>, error: Option<&Failure>) {
        let what = error.map_or_else(late, told);
        if error.is_none_or(is_lost) {
            let was = self.connection.compare_and_swap(connection, None);
            // Only the first of those that fail together puts it aside.
            if was.as_ref().is_some_and(|was| Arc::ptr_eq(was, connection)) {
                *self.aside() = Some(Connection::clone(connection));
                self.lost(what);
                self.was_slow.store(error.is_none_or(Failure::is_timeout), Ordering::Relaxed);
                self.failed.notify_one();
            }
        } else {
            self.note(Trouble::Refuses, what);
        }
    }

    fn lost(&self, what: String) {
        self.note(Trouble::Away, what);
    }

    /// Says once that something is wrong.
    fn note(&self, trouble: Trouble, what: String) {
        let mut standing = self.standing();
        if standing.trouble.is_none() {
            tracing::warn!(
                key = self.key,
                error = what,
                "what processes share cannot be used now: calls go on without it"
            );
        }
        standing.trouble.get_or_insert(trouble);
        standing.last_error = Some((what, SystemTime::now()));
    }

    /// There is a connection again.
    fn found(&self) {
        self.well_after(|trouble| trouble == Trouble::Away);
    }

    /// What was refused may be refused for as long as nothing was written. An answer from before the connection was lost says
    /// nothing of one that is away.
    fn answered(&self, effect: Effect) {
        if effect == Effect::Write {
            self.well_after(|trouble| trouble == Trouble::Refuses);
        }
    }

    fn well_after(&self, ended: impl FnOnce(Trouble) -> bool) {
        let mut standing = self.standing();
        if standing.trouble.is_some_and(ended) {
            standing.trouble = None;
            tracing::info!(key = self.key, "what processes share is used again");
        }
    }
}

fn late() -> String {
    "Redis: it does not answer in time".to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use secrecy::SecretString;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that greets whoever connects, and hangs up when it is asked for something; says how often it was
    /// connected to.
    async fn polite() -> (RedisUrl, Arc<AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = RedisUrl::parse(SecretString::from(format!("redis://{}", listener.local_addr().unwrap()))).unwrap();
        let connected = Arc::<AtomicU32>::default();
        let count = Arc::clone(&connected);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let mut said = vec![0; 4096];
                    while let Ok(length @ 1..) = stream.read(&mut said).await {
                        let said = String::from_utf8_lossy(&said[..length]).into_owned();
                        if said.contains("GET") {
                            break;
                        }
                        let questions = said.matches('*').count();
                        stream.write_all("+OK\r\n".repeat(questions).as_bytes()).await.unwrap();
                    }
                });
            }
        });
        (url, connected)
    }

    #[tokio::test]
    async fn one_that_only_greets_is_not_connected_to_for_each_question_anew() {
        let (url, connected) = polite().await;
        let link = Link::open(&url, "cache.redis_url").await.unwrap();
        assert!(link.health().available);
        let mut get = ::redis::cmd("GET");
        get.arg("key");
        for _ in 0..100 {
            assert_eq!(link.ask::<Option<String>>(&get, Effect::Read).await, None);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let connected = connected.load(Ordering::Relaxed);
        assert!((1..10).contains(&connected), "{connected} times");
    }
}
