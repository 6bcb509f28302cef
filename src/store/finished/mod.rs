//! The answers of calls that have ended, by our ids of them and by their callers' own: in memory for a while, and where
//! processes share them, there as well.

mod claims;
mod entry;
mod shared;

pub use claims::Claim;
pub use shared::{Found, Met};

use std::sync::Arc;
use std::time::SystemTime;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::redis::{Health, Link, RedisError};
use super::{CompletionSettings, packed};
use crate::domain::{CallId, KeptAnswer, Owned, RequestId};
use shared::Shared;

/// The callers' own ids that are known: no more answers than that have room.
const MOST_NAMES: u64 = 100_000;

/// The call that a caller's own id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Our id of it.
    pub call: CallId,
    /// The hash of what was asked.
    pub body: [u8; 32],
}

/// The answers of calls that have ended. Clones are the same.
#[derive(Clone, Debug)]
pub struct Finished(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    names: Cache<Owned<RequestId>, Named>,
    answers: Cache<Owned<CallId>, Arc<Entry>>,
    shared: Option<Shared>,
}

#[derive(Debug)]
struct Entry {
    answer: KeptAnswer,
    bytes: u32,
}

impl Finished {
    /// Keeps answers as `settings` say. Where processes share them this must be called on a runtime that outlives the calls.
    ///
    /// # Errors
    /// [`RedisError`]: no server can be at its address. One that is away is none: each process knows its own calls.
    pub async fn open(settings: &CompletionSettings) -> Result<Self, RedisError> {
        let answers = Cache::builder()
            .max_capacity(settings.max_bytes)
            .weigher(|_, entry: &Arc<Entry>| entry.bytes)
            .time_to_live(settings.keep)
            // The newest is the one that is sent again.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let names = Cache::builder()
            .max_capacity(MOST_NAMES)
            .time_to_live(settings.keep)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let shared = match &settings.shared {
            Some(url) => Some(Shared::over(Link::open(url, "completions.redis_url").await?, settings.keep)),
            None => None,
        };
        Ok(Self(Arc::new(Inner { names, answers, shared })))
    }

    /// The call that this process knows by its caller's own id.
    pub fn named(&self, id: Owned<RequestId>) -> Option<Named> {
        self.0.names.get(&id)
    }

    /// The answer of a call that this process knows.
    pub fn answer(&self, call: Owned<CallId>) -> Option<KeptAnswer> {
        self.0.answers.get(&call).map(|entry| entry.answer.clone())
    }

    /// Keeps the answer of `call` in memory.
    pub fn keep(&self, call: Owned<CallId>, answer: KeptAnswer) {
        let bytes = u32::try_from(answer.bytes()).unwrap_or(u32::MAX);
        self.0.answers.insert(call, Arc::new(Entry { answer, bytes }));
    }

    /// Notes which call a caller's own id stands for; its answer was kept before.
    pub fn name(&self, id: Owned<RequestId>, named: Named) {
        self.0.names.insert(id, named);
    }

    /// Keeps the answer of `call` where processes share it; none: they do not. What is returned must be waited for.
    #[must_use]
    pub fn share(&self, call: Owned<CallId>, answer: &KeptAnswer) -> Option<impl Future<Output = ()> + Send + 'static> {
        let shared = self.0.shared.clone()?;
        let packed = packed::pack(answer)?;
        Some(async move {
            shared.keep(call, packed).await;
        })
    }

    /// The same for a call whose id its caller has claimed: the others find it by that.
    #[must_use]
    pub fn share_claimed(
        &self,
        claim: Claim,
        answer: &KeptAnswer,
    ) -> Option<impl Future<Output = ()> + Send + 'static> {
        let shared = self.0.shared.clone()?;
        let packed = packed::pack(answer)?;
        Some(async move { shared.finish(claim, packed).await })
    }

    /// Claims a caller's own id among all processes, for a call that begins; none: they share nothing.
    pub async fn claim(&self, id: Owned<RequestId>, named: Named) -> Option<Met> {
        Some(self.0.shared.as_ref()?.claim(id, named).await)
    }

    /// What the other processes know of a caller's own id.
    pub async fn look_up(&self, id: Owned<RequestId>) -> Option<Found> {
        self.0.shared.as_ref()?.look_up(id).await
    }

    /// The answer of a call that another process made, and when it had ended.
    pub async fn fetch(&self, call: Owned<CallId>) -> Option<(KeptAnswer, SystemTime)> {
        self.0.shared.as_ref()?.fetch(call).await
    }

    /// How the server is that processes share them on; none: they share nothing.
    pub fn health(&self) -> Option<Health> {
        self.0.shared.as_ref().map(Shared::health)
    }

    /// Gives back what was claimed and is not any more, before the process ends.
    pub async fn end(&self) {
        if let Some(shared) = &self.0.shared {
            shared.end().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CallerName;

    #[tokio::test]
    async fn the_newest_id_is_known_however_often_others_were_asked_for() {
        let finished = Finished::open(&CompletionSettings::default()).await.unwrap();
        let named = |n| Named { call: CallId::new(uuid::Uuid::from_u128(n)), body: [0; 32] };
        let id = |n| Owned::new(&CallerName::default(), RequestId::new(uuid::Uuid::from_u128(n)));
        let most = u128::from(MOST_NAMES);
        for n in 0..most {
            finished.name(id(n), named(n));
            assert!(finished.named(id(n)).is_some());
        }
        for n in most..most + 1000 {
            finished.name(id(n), named(n));
        }
        finished.0.names.run_pending_tasks();
        let known = (most..most + 1000).filter(|n| finished.named(id(*n)).is_some()).count();
        assert_eq!(known, 1000);
    }
}
