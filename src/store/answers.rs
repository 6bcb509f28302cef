//! Whole answers that calls with the same request are given: bounded by bytes, those that are asked for most often stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;

use crate::domain::KeptAnswer;

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
    /// All that they may take, in bytes.
    pub max_bytes: u64,
}

impl Default for AnswerSettings {
    fn default() -> Self {
        Self { enabled: false, sampled: false, ttl: Duration::from_secs(300), max_bytes: 256 * 1024 * 1024 }
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

#[derive(Debug)]
struct Entry {
    owner: Owner,
    answer: KeptAnswer,
    bytes: u32,
    made: Instant,
    ttl: Duration,
}

/// Each entry has a time of its own.
#[derive(Debug)]
struct ByEntry;

impl Expiry<AnswerKey, Arc<Entry>> for ByEntry {
    fn expire_after_create(&self, _: &AnswerKey, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(
        &self,
        _: &AnswerKey,
        entry: &Arc<Entry>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }
}

/// The answers of one process. Clones share them.
#[derive(Clone, Debug)]
pub struct Answers {
    memory: Cache<AnswerKey, Arc<Entry>>,
    max_bytes: u64,
    evictions: Arc<AtomicU64>,
    /// How often something was forgotten: what was being made then is not kept.
    forgotten: Arc<AtomicU64>,
}

/// How many there are, and what they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerStats {
    /// Answers.
    pub entries: u64,
    /// What they take, in bytes.
    pub bytes: u64,
    /// What they may take, in bytes.
    pub max_bytes: u64,
    /// Answers that were left out or put out for others.
    pub evictions: u64,
}

impl Answers {
    /// None is kept yet.
    pub fn new(max_bytes: u64) -> Self {
        let evictions = Arc::<AtomicU64>::default();
        let evicted = Arc::clone(&evictions);
        let memory = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_, entry: &Arc<Entry>| entry.bytes)
            .expire_after(ByEntry)
            .eviction_listener(move |_, _, cause| {
                if cause == moka::notification::RemovalCause::Size {
                    evicted.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build();
        Self { memory, max_bytes, evictions, forgotten: Arc::default() }
    }

    /// The answer to `key`, if there is one that is not older than `max_age`.
    pub fn find(&self, key: AnswerKey, max_age: Option<Duration>) -> Option<KeptAnswer> {
        let entry = self.memory.get(&key)?;
        let right = max_age.is_none_or(|max_age| entry.made.elapsed() <= max_age);
        right.then(|| entry.answer.clone())
    }

    /// What [`Answers::keep`] is told, so that nothing is kept that was made before something was forgotten.
    pub fn age(&self) -> u64 {
        self.forgotten.load(Ordering::Acquire)
    }

    /// Keeps an answer that was begun at `age`.
    pub fn keep(&self, key: AnswerKey, owner: Owner, answer: KeptAnswer, ttl: Duration, age: u64) {
        if age != self.age() {
            return;
        }
        let bytes = answer.bytes().saturating_add(size_of::<Entry>() + owner.caller.len() + owner.model.len());
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.memory.insert(key, Arc::new(Entry { owner, answer, bytes, made: Instant::now(), ttl }));
    }

    /// Forgets; returns how many.
    pub fn forget(&self, scope: &Scope) -> u64 {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        let covered = self.memory.iter().filter(|(_, entry)| scope.covers(&entry.owner));
        let keys: Vec<AnswerKey> = covered.map(|(key, _)| *key).collect();
        keys.iter().for_each(|key| self.memory.invalidate(key));
        u64::try_from(keys.len()).unwrap_or(u64::MAX)
    }

    /// How many there are, and what they take.
    pub fn stats(&self) -> AnswerStats {
        self.memory.run_pending_tasks();
        AnswerStats {
            entries: self.memory.entry_count(),
            bytes: self.memory.weighted_size(),
            max_bytes: self.max_bytes,
            evictions: self.evictions.load(Ordering::Relaxed),
        }
    }
}
