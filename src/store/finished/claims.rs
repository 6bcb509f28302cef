//! Claims: a call that runs under its caller's own id says so to all processes, so that none makes it a second time.
//!
//! A claim ends by itself soon after its process does. One task renews those that are held and takes back those that are
//! not any more; no call waits for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::cmd;
use futures_util::{StreamExt, stream};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::super::redis::{Effect, Link, reading_text};
use super::Named;
use super::entry::{Standing, name, named_value};
use crate::domain::{Owned, RequestId};

/// How long a claim lasts that is not renewed: what a process that was killed keeps others from making a call again.
pub(super) const LEASE: Duration = Duration::from_secs(5);
/// How often claims are renewed.
const PULSE: Duration = Duration::from_secs(1);
/// How many are renewed at a time.
const AT_A_TIME: usize = 32;
/// How long a process that ends waits for its claims to be given back.
const LAST: Duration = Duration::from_secs(1);

/// Renews a claim, or makes it again where it was lost: KEYS is the caller's id; ARGV the claim, and its lease in
/// milliseconds.
const RENEW: &str = reading_text!(
    r"
local there = text(KEYS[1])
if there == ARGV[1] or not there then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 1
"
);
/// Takes a claim back, if it is still this one.
const RELEASE: &str = reading_text!(
    r"
if text(KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"
);

/// What this process has claimed.
#[derive(Clone, Debug)]
pub(super) struct Claims {
    held: Arc<Held>,
    _renewed: Arc<AbortOnDropHandle<()>>,
}

#[derive(Debug)]
struct Held {
    link: Link,
    claims: Mutex<HashMap<Owned<RequestId>, Named>>,
    /// Those that are to be taken back.
    over: Mutex<BTreeMap<String, Vec<u8>>>,
    changed: Notify,
    /// Held while claims are taken back, so that a process that ends waits for those that are on their way.
    releasing: tokio::sync::Mutex<()>,
}

/// A claim; dropped, it is given back.
#[derive(Debug)]
pub struct Claim {
    id: Owned<RequestId>,
    named: Named,
    held: Arc<Held>,
    is_done: bool,
}

impl Claims {
    /// Begins to renew; ends when the last clone is dropped.
    pub(super) fn over(link: Link) -> Self {
        let held = Held {
            link,
            claims: Mutex::default(),
            over: Mutex::default(),
            changed: Notify::new(),
            releasing: tokio::sync::Mutex::default(),
        };
        let held = Arc::new(held);
        let task = tokio::spawn(renew(Arc::clone(&held)));
        Self { held, _renewed: Arc::new(AbortOnDropHandle::new(task)) }
    }

    /// A claim that was made.
    pub(super) fn hold(&self, id: Owned<RequestId>, named: Named) -> Claim {
        self.held.claims().insert(id, named);
        Claim { id, named, held: Arc::clone(&self.held), is_done: false }
    }

    /// Gives back everything: the process ends, and its calls with it.
    pub(super) async fn end(&self) {
        let held = std::mem::take(&mut *self.held.claims());
        let claims = held.into_iter().map(|(id, named)| (name(id), named_value(Standing::Runs, named)));
        self.held.over().extend(claims);
        let _ = timeout(LAST, self.held.release()).await;
    }
}

impl Claim {
    /// The caller's own id, and the call that it stands for.
    pub fn of(&self) -> (Owned<RequestId>, Named) {
        (self.id, self.named)
    }

    /// The call has its answer, and the id stands for it from now on.
    pub(super) fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claims = self.held.claims();
        if claims.get(&self.id) == Some(&self.named) {
            claims.remove(&self.id);
        }
        drop(claims);
        if !self.is_done {
            let claim = named_value(Standing::Runs, self.named);
            self.held.over().insert(name(self.id), claim);
            self.held.changed.notify_one();
        }
    }
}

impl Held {
    fn claims(&self) -> MutexGuard<'_, HashMap<Owned<RequestId>, Named>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn over(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the server does not answer now is not tried again: the claim ends by itself.
    async fn release(&self) {
        let _alone = self.releasing.lock().await;
        let over = std::mem::take(&mut *self.over());
        let releasing = over.into_iter().map(|(name, claim)| async move {
            let mut release = cmd("EVAL");
            release.arg(RELEASE).arg(1).arg(name).arg(claim);
            self.link.ask::<i64>(&release, Effect::Write).await;
        });
        stream::iter(releasing).buffer_unordered(AT_A_TIME).collect::<()>().await;
    }

    async fn renew(&self) {
        let claims: Vec<(Owned<RequestId>, Named)> = self.claims().iter().map(|(id, named)| (*id, *named)).collect();
        let renewing = claims.into_iter().map(|(id, named)| async move {
            let mut renew = cmd("EVAL");
            renew.arg(RENEW).arg(1).arg(name(id)).arg(named_value(Standing::Runs, named)).arg(milliseconds(LEASE));
            // One that has ended meanwhile is taken back after this.
            self.link.ask::<i64>(&renew, Effect::Write).await;
        });
        stream::iter(renewing).buffer_unordered(AT_A_TIME).collect::<()>().await;
    }
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn renew(held: Arc<Held>) {
    let mut pulse = tokio::time::interval(PULSE);
    loop {
        tokio::select! {
            _ = pulse.tick() => held.renew().await,
            () = held.changed.notified() => {}
        }
        held.release().await;
    }
}
