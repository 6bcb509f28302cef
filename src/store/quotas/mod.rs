//! How much callers have used of what they may: requests and tokens in any minute, and money in a day.
//!
//! What a call will use is reserved by an estimate when it begins, and put right when nothing is made for it any more. One
//! process counts in memory. Where processes share what they count, each call asks Redis once, which counts for all of
//! them; while that is away each process counts for itself, as it always does beside it.

mod settling;
mod shared;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::redis::{Health, Link, RedisError, RedisUrl};
use crate::domain::CallerName;
use settling::Settling;
use shared::{Correction, Shared};
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

/// When something was reserved here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct At {
    /// In seconds since this process first looked, by a clock that nobody sets.
    second: u64,
    /// In seconds since 1970, by the clock on the wall.
    wall: u64,
}

impl At {
    /// The day of UTC.
    const fn day(self) -> u64 {
        self.wall / DAY
    }

    fn now() -> Self {
        static BEGUN: OnceLock<Instant> = OnceLock::new();
        let second = BEGUN.get_or_init(Instant::now).elapsed().as_secs();
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { second, wall }
    }
}

/// When something was reserved at all processes: the second since 1970, by the clock of the server that they share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AtServer(u64);

/// A day of UTC, in seconds.
const DAY: u64 = 24 * 60 * 60;

/// What all callers have used. Clones are the same.
#[derive(Clone, Debug)]
pub struct Quotas(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    callers: Mutex<Counted>,
    shared: Option<(Shared, Settling)>,
}

/// How many callers may be counted before it is looked of which of them nothing counts any more, and the most that are
/// counted apart beside those of the configuration: those whom issuers of tokens name may be any number.
const LOOKED_AT: usize = 1024;
const MOST: usize = 65_536;

/// What each caller has used.
#[derive(Debug)]
struct Counted {
    by_name: HashMap<CallerName, Arc<Mutex<Windows>>>,
    /// How many there may be before it is looked again.
    until: usize,
    /// In which second it was looked last: once in it is enough, however many come.
    looked: Option<u64>,
}

impl Default for Counted {
    fn default() -> Self {
        Self { by_name: HashMap::new(), until: LOOKED_AT, looked: None }
    }
}

impl Counted {
    fn of(&mut self, caller: &CallerName, now: At) -> Arc<Mutex<Windows>> {
        if let Some(windows) = self.by_name.get(caller) {
            return Arc::clone(windows);
        }
        if self.by_name.len() >= self.until && self.looked != Some(now.second) {
            self.by_name.retain(|_, windows| Arc::strong_count(windows) > 1 || !lock(windows).is_over(now));
            // Looked for again when there are half as many more: looking costs little however many there are.
            self.until = LOOKED_AT.max(self.by_name.len().saturating_add(self.by_name.len() / 2)).min(MOST);
            self.looked = Some(now.second);
        }
        // Whoever comes when all places are taken shares one with the others of its issuer, and its limits with them.
        let rest = caller.rest().filter(|_| self.by_name.len() >= MOST);
        Arc::clone(self.by_name.entry(rest.unwrap_or_else(|| caller.clone())).or_default())
    }
}

impl Quotas {
    /// Counts for this process, and at `url` for all that share it.
    ///
    /// # Errors
    /// [`RedisError`]: no server can be at that address. One that is away is none.
    pub async fn open(url: Option<&RedisUrl>) -> Result<Self, RedisError> {
        let shared = match url {
            Some(url) => {
                let shared = Shared::over(Link::open(url, "limits.redis_url").await?);
                let settling = Settling::start(shared.clone());
                Some((shared, settling))
            }
            None => None,
        };
        Ok(Self(Arc::new(Inner { callers: Mutex::default(), shared })))
    }

    /// How the server is that processes share; none: they share nothing.
    pub fn health(&self) -> Option<Health> {
        self.0.shared.as_ref().map(|(shared, _)| shared.health())
    }

    /// Tells the server that processes share what calls have used until now, as far as it answers soon. Calls that end later are
    /// told no more.
    pub async fn end(&self) {
        if let Some((_, settling)) = &self.0.shared {
            settling.end().await;
        }
    }

    /// The connection to it.
    pub(super) fn link(&self) -> Option<Link> {
        self.0.shared.as_ref().map(|(shared, _)| shared.link())
    }

    /// Takes one request of `caller` and so many tokens, and what its calls have cost lately.
    ///
    /// # Errors
    /// [`Reached`]: it may not use as much. Then nothing is taken.
    pub async fn reserve(&self, caller: &CallerName, quota: Quota, tokens: u64) -> Result<Reserved, Reached> {
        let windows = self.windows(caller);
        let expected = Use { tokens, nano_usd: lock(&windows).price() };
        let told = match &self.0.shared {
            Some((shared, _)) => shared.reserve(caller, quota, expected).await,
            None => None,
        };
        let (here, there) = match told {
            Some(Ok(at)) => (lock(&windows).add(At::now(), expected), Some(at)),
            Some(Err(reached)) => return Err(reached),
            None => (lock(&windows).reserve(At::now(), quota, expected)?, None),
        };
        let (quotas, caller) = (self.clone(), caller.clone());
        Ok(Reserved { quotas, caller, windows, expected, here, there })
    }

    fn windows(&self, caller: &CallerName) -> Arc<Mutex<Windows>> {
        self.0.callers.lock().unwrap_or_else(PoisonError::into_inner).of(caller, At::now())
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
    there: Option<AtServer>,
}

impl Reserved {
    /// Puts what was used in place of what was expected. Where it is shared, somebody else tells it: a call does not wait for it.
    pub fn settle(self, used: Use) {
        lock(&self.windows).correct((self.here, At::now()), self.expected, used);
        if let (Some(at), Some((_, settling))) = (self.there, &self.quotas.0.shared) {
            settling.settle(Correction { caller: self.caller, at, expected: self.expected, used });
        }
    }
}

fn lock(windows: &Mutex<Windows>) -> MutexGuard<'_, Windows> {
    windows.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl At {
        /// A moment at which both clocks show the same.
        const fn of(second: u64) -> Self {
            Self { second, wall: second }
        }
    }

    fn caller() -> CallerName {
        CallerName::new("search")
    }

    #[test]
    fn callers_of_whom_nothing_counts_any_more_are_forgotten_and_the_others_are_bounded() {
        let quota = Quota { requests: Some(10), ..Quota::default() };
        let mut counted = Counted::default();
        let call = |counted: &mut Counted, name: &str, at: u64| {
            let windows = counted.of(&CallerName::new(name), At::of(at));
            lock(&windows).reserve(At::of(at), quota, Use::default()).map(drop)
        };
        for number in 0..20_000 {
            call(&mut counted, &format!("corp:{number}"), 1000 + number).unwrap();
        }
        assert!(counted.by_name.len() <= LOOKED_AT, "{}", counted.by_name.len());
        // All of one minute.
        for number in 0..2 * MOST {
            let _ = call(&mut counted, &format!("corp:{number}"), 1_000_000);
        }
        assert_eq!(counted.by_name.len(), MOST + 1);
        assert!(call(&mut counted, "corp:another", 1_000_000).is_err(), "who finds no place shares that of the rest");
        call(&mut counted, "search", 1_000_000).unwrap();
        call(&mut counted, "corp:later", 1_000_100).unwrap();
        assert_eq!(counted.by_name.len(), 1, "what was full has room again");
    }

    #[test]
    fn what_is_spent_in_a_day_is_remembered_where_it_counts() {
        let mut windows = Windows::default();
        let used = Use { tokens: 1, nano_usd: 5 };
        let at = windows.reserve(At::of(1000), Quota { nano_usd: Some(10), ..Quota::default() }, used).unwrap();
        assert_eq!(at, At::of(1000));
        assert!(!windows.is_over(At::of(2000)) && windows.is_over(At::of(24 * 60 * 60)));
        let mut windows = Windows::default();
        windows.reserve(At::of(1000), Quota { tokens: Some(10), ..Quota::default() }, used).unwrap();
        assert!(!windows.is_over(At::of(1010)) && windows.is_over(At::of(2000)));
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
