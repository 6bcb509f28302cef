//! How much callers have used of what they may: requests and tokens in any minute, and money in a day.
//!
//! What a call will use is reserved by an estimate when it begins, and put right when nothing is made for it any more. One
//! process counts in memory. Where processes share what they count, each call asks Redis once, which counts for all of
//! them; while that is away each process counts for itself, as it always does beside it.

mod shared;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::redis::{Health, Link, RedisError, RedisUrl};
use crate::domain::CallerName;
use shared::Shared;
use window::Windows;

/// How much a caller may use. None: as much as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Requests in any minute.
    pub requests: Option<u64>,
    /// Tokens, of prompts and answers, in any minute.
    pub tokens: Option<u64>,
    /// Billionths of a US dollar in a day of UTC.
    pub nano_usd: Option<u64>,
}

impl Quota {
    /// Whether there is anything to count.
    pub const fn is_open(&self) -> bool {
        self.requests.is_none() && self.tokens.is_none() && self.nano_usd.is_none()
    }
}

/// What a call uses beside being one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Tokens.
    pub tokens: u64,
    /// Billionths of a US dollar.
    pub nano_usd: u64,
}

/// A limit that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Requests in a minute.
    Requests,
    /// Tokens in a minute.
    Tokens,
    /// Money in a day.
    Money,
}

/// What is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// By which limit.
    pub limit: Limit,
    /// When there is room again; none: never for a call that is larger than the whole limit.
    pub again: Option<Duration>,
}

/// When something was reserved: the second since 1970, by the clock of whoever counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct At(u64);

/// What all callers have used. Clones are the same.
#[derive(Clone, Debug)]
pub struct Quotas(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Callers stand in the configuration, so that there are few.
    callers: Mutex<HashMap<CallerName, Arc<Mutex<Windows>>>>,
    shared: Option<Shared>,
}

impl Quotas {
    /// Counts for this process, and at `url` for all that share it.
    ///
    /// # Errors
    /// [`RedisError`]: no server can be at that address. One that is away is none.
    pub async fn open(url: Option<&RedisUrl>) -> Result<Self, RedisError> {
        let shared = match url {
            Some(url) => Some(Shared::over(Link::open(url, "limits.redis_url").await?)),
            None => None,
        };
        Ok(Self(Arc::new(Inner { callers: Mutex::default(), shared })))
    }

    /// How the server is that processes share; none: they share nothing.
    pub fn health(&self) -> Option<Health> {
        self.0.shared.as_ref().map(Shared::health)
    }

    /// The connection to it.
    pub(super) fn link(&self) -> Option<Link> {
        self.0.shared.as_ref().map(Shared::link)
    }

    /// Takes one request of `caller` and so many tokens, and what its calls have cost lately.
    ///
    /// # Errors
    /// [`Reached`]: it may not use as much. Then nothing is taken.
    pub async fn reserve(&self, caller: &CallerName, quota: Quota, tokens: u64) -> Result<Reserved, Reached> {
        let windows = self.windows(caller);
        let expected = Use { tokens, nano_usd: lock(&windows).price() };
        let told = match &self.0.shared {
            Some(shared) => shared.reserve(caller, quota, expected).await,
            None => None,
        };
        let (here, there) = match told {
            Some(Ok(at)) => (lock(&windows).add(now(), expected), Some(at)),
            Some(Err(reached)) => return Err(reached),
            None => (lock(&windows).reserve(now(), quota, expected)?, None),
        };
        let (quotas, caller) = (self.clone(), caller.clone());
        Ok(Reserved { quotas, caller, windows, expected, here, there })
    }

    fn windows(&self, caller: &CallerName) -> Arc<Mutex<Windows>> {
        let mut callers = self.0.callers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(callers.entry(caller.clone()).or_default())
    }
}

/// What is reserved for a call.
#[derive(Debug)]
#[must_use = "what is reserved stays taken until it is settled"]
pub struct Reserved {
    quotas: Quotas,
    caller: CallerName,
    windows: Arc<Mutex<Windows>>,
    expected: Use,
    here: At,
    there: Option<At>,
}

impl Reserved {
    /// Puts what was used in place of what was expected. Where it is shared, it is told from a task of its own: a call does not
    /// wait for it, and without a runtime, which is at the end of the process, it stays as expected.
    pub fn settle(self, used: Use) {
        lock(&self.windows).correct((self.here, now()), self.expected, used);
        let (Some(at), Some(shared)) = (self.there, &self.quotas.0.shared) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (shared, caller, expected) = (shared.clone(), self.caller, self.expected);
        runtime.spawn(async move { shared.correct(&caller, at, expected, used).await });
    }
}

fn lock(windows: &Mutex<Windows>) -> MutexGuard<'_, Windows> {
    windows.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> At {
    At(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> CallerName {
        CallerName::new("search")
    }

    const QUOTA: Quota = Quota { requests: Some(2), tokens: Some(100), nano_usd: Some(50) };

    #[tokio::test]
    async fn what_was_not_used_is_there_for_others() {
        let quotas = Quotas::open(None).await.unwrap();
        let first = quotas.reserve(&caller(), QUOTA, 90).await.unwrap();
        let refused = quotas.reserve(&caller(), QUOTA, 20).await.unwrap_err();
        assert_eq!(refused.limit, Limit::Tokens);
        first.settle(Use { tokens: 10, nano_usd: 5 });
        let second = quotas.reserve(&caller(), QUOTA, 90).await.unwrap();
        second.settle(Use::default());
        let third = quotas.reserve(&caller(), QUOTA, 0).await.unwrap_err();
        assert_eq!(third.limit, Limit::Requests);
    }

    #[tokio::test]
    async fn each_caller_has_its_own() {
        let quotas = Quotas::open(None).await.unwrap();
        for name in ["one", "other"] {
            for _ in 0..2 {
                quotas.reserve(&CallerName::new(name), QUOTA, 0).await.unwrap().settle(Use::default());
            }
            assert!(quotas.reserve(&CallerName::new(name), QUOTA, 0).await.is_err());
        }
    }

    #[tokio::test]
    async fn what_is_larger_than_the_whole_limit_never_has_room() {
        let quotas = Quotas::open(None).await.unwrap();
        let refused = quotas.reserve(&caller(), QUOTA, 101).await.unwrap_err();
        assert_eq!(refused, Reached { limit: Limit::Tokens, again: None });
    }
}
