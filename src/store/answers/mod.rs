//! Whole answers that calls with the same request are given: in the memory of this process, or where processes share them.

mod memory;
mod shared;

use std::time::Duration;

use super::redis::{Health, Link, RedisError, RedisUrl};
use crate::domain::KeptAnswer;
use memory::Memory;
use shared::{Shared, Word};

/// What an answer is found by: the hash of all that shapes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AnswerKey(pub [u8; 32]);

/// How answers are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerSettings {
    /// Whether any is.
    pub enabled: bool,
    /// Whether answers to sampled requests are, without being asked for.
    pub sampled: bool,
    /// For how long.
    pub ttl: Duration,
    /// All that they may take in memory, in bytes.
    pub max_bytes: u64,
    /// Where processes share them. Default: nowhere, and each has its own in memory.
    pub shared: Option<RedisUrl>,
}

impl Default for AnswerSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            sampled: false,
            ttl: Duration::from_secs(300),
            max_bytes: 256 * 1024 * 1024,
            shared: None,
        }
    }
}

/// Whom an answer was made for, to be forgotten by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The caller; empty: nobody whose name is known.
    pub caller: String,
    /// The name of the model that was asked for; empty: the default.
    pub model: String,
}

impl Owner {
    /// The same, borrowed.
    pub fn whose(&self) -> Whose<'_> {
        Whose { caller: &self.caller, model: &self.model }
    }
}

/// An [`Owner`] whose names are somebody else's.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    /// The caller; empty: nobody whose name is known.
    pub caller: &'a str,
    /// The name of the model that was asked for; empty: the default.
    pub model: &'a str,
}

/// What is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// The answers to this name of a model.
    Model(String),
    /// The answers to this caller.
    Caller(String),
}

impl Scope {
    fn covers(&self, owner: &Owner) -> bool {
        match self {
            Self::All => true,
            Self::Model(model) => owner.model == *model,
            Self::Caller(caller) => owner.caller == *caller,
        }
    }
}

/// The answers that are kept: those of this process, or of all that share a server. Clones are the same.
#[derive(Clone, Debug)]
pub struct Answers(Place);

#[derive(Clone, Debug)]
enum Place {
    Memory(Memory),
    Shared(Shared),
}

/// What [`Answers::keep`] is told, so that nothing is kept that was begun before something was forgotten.
#[derive(Clone, Debug)]
pub struct Age(Began);

#[derive(Clone, Debug)]
enum Began {
    Memory(u64),
    Shared(Word),
}

/// How many there are, and what they take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerStats {
    /// Answers in the memory of this process.
    pub entries: u64,
    /// What they take, in bytes.
    pub bytes: u64,
    /// What they may take, in bytes.
    pub max_bytes: u64,
    /// Answers that were left out or put out for others.
    pub evictions: u64,
    /// How the server is that processes share them on; none: they are in memory.
    pub shared: Option<Health>,
}

impl Answers {
    /// Opens what keeps them. With a shared server this must be called on a runtime that outlives the calls.
    ///
    /// # Errors
    /// [`RedisError`]: no server can be at its address. One that is away is none: calls go on without it.
    pub async fn open(settings: &AnswerSettings) -> Result<Self, RedisError> {
        let place = match &settings.shared {
            Some(url) if settings.enabled => Place::Shared(Shared::over(Link::open(url, "cache.redis_url").await?)),
            _ => Place::Memory(Memory::new(settings.max_bytes)),
        };
        Ok(Self(place))
    }

    /// Whether processes share them, so that it takes a while to find one.
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Place::Shared(_))
    }

    /// The answer to `key`, if there is one that is not older than `max_age`; and what [`Answers::keep`] is told if there
    /// is none.
    pub async fn find(&self, key: AnswerKey, whose: Whose<'_>, max_age: Option<Duration>) -> (Option<KeptAnswer>, Age) {
        match &self.0 {
            Place::Memory(memory) => {
                let age = memory.age();
                (memory.find(key, max_age), Age(Began::Memory(age)))
            }
            Place::Shared(shared) => {
                let (answer, word) = shared.find(key, whose, max_age).await;
                (answer, Age(Began::Shared(word)))
            }
        }
    }

    /// What [`Answers::keep`] is told about an answer that is begun now without being looked for.
    pub async fn age(&self, key: AnswerKey) -> Age {
        Age(match &self.0 {
            Place::Memory(memory) => Began::Memory(memory.age()),
            Place::Shared(shared) => Began::Shared(shared.word(key).await),
        })
    }

    /// Keeps an answer that was begun at `age`. What is returned must be waited for: then it is kept, or cannot be.
    #[must_use]
    pub fn keep(
        &self,
        key: AnswerKey,
        owner: Owner,
        answer: KeptAnswer,
        ttl: Duration,
        age: Age,
    ) -> Option<impl Future<Output = ()> + Send + 'static> {
        match (&self.0, age.0) {
            (Place::Memory(memory), Began::Memory(age)) => {
                memory.keep(key, owner, answer, ttl, age);
                None
            }
            (Place::Shared(shared), Began::Shared(Some(word))) => {
                let shared = shared.clone();
                Some(async move { shared.keep(key, owner.whose(), &answer, ttl, &word).await })
            }
            // The server was away when it was begun: nobody knows what was forgotten since.
            _ => None,
        }
    }

    /// Forgets; returns how many.
    ///
    /// # Errors
    /// Why the shared server cannot do so, for a person to read. Some may be forgotten.
    pub async fn forget(&self, scope: &Scope) -> Result<u64, String> {
        match &self.0 {
            Place::Memory(memory) => Ok(memory.forget(scope)),
            Place::Shared(shared) => shared.forget(scope).await,
        }
    }

    /// How many there are, and what they take.
    pub fn stats(&self) -> AnswerStats {
        match &self.0 {
            Place::Memory(memory) => memory.stats(),
            Place::Shared(shared) => AnswerStats { shared: Some(shared.health()), ..AnswerStats::default() },
        }
    }
}
