//! What became of each call, for a while.
//!
//! Calls are spread over shards by their ids, so that those of all workers hardly ever meet: a call locks its shard at its
//! beginning and at its end, each time for a moment. Calls that have ended stand in a queue by their ends, and leave it at
//! its front, so that nothing is searched for what is too old.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::mem::size_of;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use foldhash::HashMap;
use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::redis::RedisUrl;
use super::{Asked, Fate};
use crate::domain::{Attempt, AttemptOutcome, CallId, CallerName, Cost, Identity, ModelId, ProviderId, Usage};
use crate::pool::Ledger;

/// How many shards there are.
const SHARDS: usize = 16;
/// The most calls that a visit of a shard drops for their age: after a pause no caller waits for all of them.
const DROPPED_AT_ONCE: usize = 32;
/// What is packed of a call most often takes less than this, in bytes.
const ROOM: usize = 512;
/// What a map and a queue take beside what they hold, in bytes.
const OVERHEAD: usize = 64;

/// How long calls are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionSettings {
    /// After their ends. Default: 10 minutes.
    pub keep: Duration,
    /// The most that those that have ended take, in bytes. Default: 64 MiB.
    pub max_bytes: u64,
    /// Where processes share the answers of those that may be sent again. Default: nowhere.
    pub shared: Option<RedisUrl>,
}

impl Default for CompletionSettings {
    fn default() -> Self {
        Self { keep: Duration::from_secs(10 * 60), max_bytes: 64 << 20, shared: None }
    }
}

/// What became of calls. Clones share it.
#[derive(Clone, Debug)]
pub struct Completions {
    shards: Arc<[Mutex<Shard>; SHARDS]>,
    hasher: RandomState,
    keep: Duration,
    /// The most that the ended calls of one shard take.
    shard_bytes: usize,
}

/// A call that runs, or has ended.
#[derive(Clone, Debug)]
pub struct Completion {
    /// Our id of it.
    pub id: CallId,
    /// When it came.
    pub at: SystemTime,
    /// Where it stands.
    pub standing: Standing,
    /// The model that answered, or was asked last; none: none was asked yet.
    pub model: Option<ModelId>,
    /// The provider that answered, or was asked last.
    pub provider: Option<ProviderId>,
    /// What was tried until now.
    pub attempts: Vec<Attempt>,
}

impl Completion {
    /// Whether it has an answer, or may still come to one.
    pub const fn may_have_an_answer(&self) -> bool {
        matches!(self.standing, Standing::Running | Standing::Ended(Fate::Succeeded(_), _))
    }
}

/// Where a call stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It runs.
    Running,
    /// It has ended.
    Ended(Fate, SystemTime),
}

#[derive(Debug, Default)]
struct Shard {
    running: HashMap<CallId, Begun>,
    ended: HashMap<CallId, Ended>,
    /// Those that have ended, the oldest end first.
    queue: VecDeque<CallId>,
    /// What those that have ended take.
    bytes: usize,
}

/// A call that runs.
#[derive(Clone, Debug)]
struct Begun {
    caller: CallerName,
    at: SystemTime,
    ledger: Ledger,
}

/// A call that has ended. Many stand here and few are asked for, so what became of it is packed.
#[derive(Debug)]
struct Ended {
    caller: CallerName,
    /// When, by the clock that never jumps.
    over: Instant,
    packed: Box<[u8]>,
}

/// What became of a call.
#[derive(Debug, Serialize, Deserialize)]
struct Became {
    came: SystemTime,
    fate: Fate,
    at: SystemTime,
    model: Option<ModelId>,
    attempts: Vec<Attempt>,
}

impl Default for Completions {
    fn default() -> Self {
        Self::new(&CompletionSettings::default())
    }
}

impl Completions {
    /// Keeps calls as `settings` say.
    pub fn new(settings: &CompletionSettings) -> Self {
        let shard_bytes = usize::try_from(settings.max_bytes).unwrap_or(usize::MAX) / SHARDS;
        Self { shards: Arc::default(), hasher: RandomState::default(), keep: settings.keep, shard_bytes }
    }

    pub(super) fn begun(&self, asked: &Asked, ledger: &Ledger) {
        let call = Begun { caller: asked.caller.clone(), at: asked.at, ledger: ledger.clone() };
        self.with(asked.id, |shard| shard.running.insert(asked.id, call));
    }

    /// `model` is what answered, where that is known by another name than was asked.
    pub(super) fn ended(
        &self,
        asked: &Asked,
        fate: Fate,
        model: Option<ModelId>,
        attempts: Vec<Attempt>,
        at: SystemTime,
    ) {
        // No time before 1970 can be packed.
        let (came, at) = (asked.at.max(SystemTime::UNIX_EPOCH), at.max(SystemTime::UNIX_EPOCH));
        let packed = Became { came, fate, at, model, attempts }.packed();
        let ended = Ended { caller: asked.caller.clone(), over: Instant::now(), packed };
        let (keep, most) = (self.keep, self.shard_bytes);
        self.with(asked.id, |shard| shard.end(asked.id, ended, (keep, most)));
    }

    /// What became of a call of `caller`; none: it is not known, or not any more, or another's.
    pub fn find(&self, id: CallId, caller: &CallerName) -> Option<Completion> {
        let keep = self.keep;
        match self.with(id, |shard| shard.find((id, caller), Instant::now(), keep)).flatten()? {
            Found::Ended(completion) => Some(*completion),
            Found::Running(Begun { at, ledger, .. }) => {
                let (model, provider) = names(ledger.last_asked());
                let attempts = ledger.lines();
                Some(Completion { id, at, standing: Standing::Running, model, provider, attempts })
            }
        }
    }

    fn with<T>(&self, id: CallId, visit: impl FnOnce(&mut Shard) -> T) -> Option<T> {
        let shards = u64::try_from(SHARDS).ok()?;
        let index = usize::try_from(self.hasher.hash_one(id) % shards).ok()?;
        let mut shard = self.shards.get(index)?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(visit(&mut shard))
    }
}

impl Completion {
    /// What the answering attempt used, or the last one; none: nothing is known, or it runs.
    pub fn usage(&self) -> Option<&Usage> {
        match self.standing {
            Standing::Running => None,
            Standing::Ended(..) => decisive(&self.attempts)?.usage.as_ref(),
        }
    }

    /// What the call cost over all its attempts; none: no price is known.
    pub fn cost(&self) -> Option<Cost> {
        Attempt::cost_of_all(&self.attempts)
    }
}

/// A call as its shard has it.
enum Found {
    Running(Begun),
    Ended(Box<Completion>),
}

impl Shard {
    fn end(&mut self, id: CallId, ended: Ended, (keep, most_bytes): (Duration, usize)) {
        let now = ended.over;
        self.running.remove(&id);
        self.bytes += ended.bytes();
        self.ended.insert(id, ended);
        self.queue.push_back(id);
        self.drop_old(now, keep);
        while self.bytes > most_bytes && self.drop_oldest() {}
    }

    fn find(&mut self, (id, caller): (CallId, &CallerName), now: Instant, keep: Duration) -> Option<Found> {
        self.drop_old(now, keep);
        if let Some(begun) = self.running.get(&id) {
            return (begun.caller == *caller).then(|| Found::Running(begun.clone()));
        }
        let ended = self.ended.get(&id).filter(|ended| now.duration_since(ended.over) < keep)?;
        let ended = Some(ended).filter(|ended| ended.caller == *caller)?;
        let Became { came, fate, at, model: answered_by, attempts } = Became::unpacked(&ended.packed)?;
        let (model, provider) = names(decisive(&attempts).map(|attempt| attempt.endpoint.clone()));
        let (standing, model) = (Standing::Ended(fate, at), answered_by.or(model));
        Some(Found::Ended(Box::new(Completion { id, at: came, standing, model, provider, attempts })))
    }

    /// Drops what has been kept for long enough, a little at a time.
    fn drop_old(&mut self, now: Instant, keep: Duration) {
        for _ in 0..DROPPED_AT_ONCE {
            let oldest = self.queue.front().and_then(|id| self.ended.get(id));
            let is_old = oldest.is_some_and(|ended| now.duration_since(ended.over) >= keep);
            if !is_old || !self.drop_oldest() {
                break;
            }
        }
    }

    /// Drops the call that ended first; false when there is none.
    fn drop_oldest(&mut self) -> bool {
        let Some(id) = self.queue.pop_front() else { return false };
        if let Some(ended) = self.ended.remove(&id) {
            self.bytes = self.bytes.saturating_sub(ended.bytes());
        }
        true
    }
}

impl Ended {
    /// About what it takes.
    fn bytes(&self) -> usize {
        size_of::<Self>() + 2 * size_of::<CallId>() + OVERHEAD + self.packed.len()
    }
}

impl Became {
    fn packed(&self) -> Box<[u8]> {
        // Nearly always it fits, and then it is written without an allocation that grows.
        let mut room = [0; ROOM];
        if let Ok(packed) = postcard::to_slice(self, &mut room) {
            return Box::from(&*packed);
        }
        // It is made of numbers and texts, which can always be written.
        postcard::to_stdvec(self).unwrap_or_default().into_boxed_slice()
    }

    fn unpacked(packed: &[u8]) -> Option<Self> {
        postcard::from_bytes(packed).ok()
    }
}

/// The attempt that answered, else the last one that was made.
fn decisive(attempts: &[Attempt]) -> Option<&Attempt> {
    let answering = attempts.iter().rfind(|attempt| attempt.outcome == AttemptOutcome::Finished);
    answering.or_else(|| attempts.iter().rfind(|attempt| !matches!(attempt.outcome, AttemptOutcome::Skipped(_))))
}

fn names(asked: Option<Identity>) -> (Option<ModelId>, Option<ProviderId>) {
    asked.map_or((None, None), |Identity { model, provider, .. }| (Some(model), Some(provider)))
}

#[cfg(test)]
mod tests;
