//! Answers in the memory of this process: bounded by bytes, those that are asked for most often stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;

use super::{AnswerKey, AnswerStats, Owner, Scope};
use crate::domain::KeptAnswer;

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

/// The answers of one process.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    answers: Cache<AnswerKey, Arc<Entry>>,
    max_bytes: u64,
    evictions: Arc<AtomicU64>,
    /// How often something was forgotten: what was being made then is not kept.
    forgotten: Arc<AtomicU64>,
}

impl Memory {
    pub(super) fn new(max_bytes: u64) -> Self {
        let evictions = Arc::<AtomicU64>::default();
        let evicted = Arc::clone(&evictions);
        let answers = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_, entry: &Arc<Entry>| entry.bytes)
            .expire_after(ByEntry)
            .eviction_listener(move |_, _, cause| {
                if cause == moka::notification::RemovalCause::Size {
                    evicted.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build();
        Self { answers, max_bytes, evictions, forgotten: Arc::default() }
    }

    pub(super) fn find(&self, key: AnswerKey, max_age: Option<Duration>) -> Option<KeptAnswer> {
        let entry = self.answers.get(&key)?;
        let right = max_age.is_none_or(|max_age| entry.made.elapsed() <= max_age);
        right.then(|| entry.answer.clone())
    }

    pub(super) fn age(&self) -> u64 {
        self.forgotten.load(Ordering::Acquire)
    }

    pub(super) fn keep(&self, key: AnswerKey, owner: Owner, answer: KeptAnswer, ttl: Duration, age: u64) {
        if age != self.age() {
            return;
        }
        let bytes = answer.bytes().saturating_add(size_of::<Entry>() + owner.caller.len() + owner.model.len());
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.answers.insert(key, Arc::new(Entry { owner, answer, bytes, made: Instant::now(), ttl }));
        // What was forgotten in between was looked for before this was there.
        if age != self.age() {
            self.answers.invalidate(&key);
        }
    }

    pub(super) fn forget(&self, scope: &Scope) -> u64 {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        let covered = self.answers.iter().filter(|(_, entry)| scope.covers(&entry.owner));
        let keys: Vec<AnswerKey> = covered.map(|(key, _)| *key).collect();
        keys.iter().for_each(|key| self.answers.invalidate(key));
        u64::try_from(keys.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn stats(&self) -> AnswerStats {
        self.answers.run_pending_tasks();
        AnswerStats {
            entries: self.answers.entry_count(),
            bytes: self.answers.weighted_size(),
            max_bytes: self.max_bytes,
            evictions: self.evictions.load(Ordering::Relaxed),
            shared: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        Answer, Block, CallId, Finish, FinishReason, Message, ModelId, Origin, Outcome, ProviderId, Role, Tokens,
    };

    fn answer() -> KeptAnswer {
        let end = Outcome {
            id: CallId::new(uuid::Uuid::nil()),
            model: ModelId::new("m"),
            provider: ProviderId::new("p"),
            finish: Finish::new(FinishReason::Stop, "stop"),
            cost: None,
            attempts: Vec::new(),
            ignored_parameters: Vec::new(),
            max_tokens: Tokens::new(1),
            simulated: true,
            prompt_cache_ttl: None,
            origin: Origin::Missed,
            saved: None,
        };
        let message = Message { role: Role::Assistant, content: vec![Block::text("said")], state: None };
        KeptAnswer::of(&Answer { message, end })
    }

    #[test]
    fn what_is_kept_while_all_is_forgotten_is_not_there_afterwards() {
        let (memory, answer, lifetime) = (Memory::new(1 << 20), answer(), Duration::from_secs(60));
        let owner = || Owner { caller: String::new(), model: "m".to_owned() };
        let key = AnswerKey([7; 32]);
        for _ in 0..3000 {
            let began = memory.age();
            std::thread::scope(|scope| {
                scope.spawn(|| memory.keep(key, owner(), answer.clone(), lifetime, began));
                scope.spawn(|| memory.forget(&Scope::All));
            });
            assert!(memory.find(key, None).is_none());
        }
        memory.keep(key, owner(), answer, lifetime, memory.age());
        assert!(memory.find(key, None).is_some());
    }
}
