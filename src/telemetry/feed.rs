//! The way from calls to metrics: each leaves small records in a shard of its thread's, and whoever counts takes them all.
//!
//! A shard is locked for as long as it takes to push a record or to swap a list. It has a bound, and what finds no place is
//! counted and gone: no call waits for its metrics.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::chunks::Gaps;
use crate::domain::{AttemptOutcome, Modality, ModelId, ModelName, ProviderId, Usage, UsageKind};

/// Enough that workers seldom share one.
const SHARDS: usize = 16;
/// The records of one shard that wait: more than a worker leaves between two pulses.
const MOST_WAITING: usize = 8192;

/// The records for which a list always keeps room.
const LITTLE_ROOM: usize = 64;

/// What has happened.
#[derive(Debug)]
pub(super) enum Record {
    /// An RPC, or one call of a batch, has ended.
    Call(CallRecord),
    /// A request to a provider has ended.
    Attempt(AttemptRecord),
    /// A call was not let in, for this reason.
    Refused(&'static str),
}

/// An RPC, or one call of a batch.
#[derive(Debug)]
pub(super) struct CallRecord {
    pub(super) method: &'static str,
    /// By what it was called.
    pub(super) system: &'static str,
    /// Its status and its time; none: it is a part of one.
    pub(super) rpc: Option<(&'static str, Duration)>,
    /// None: it is not known what it waited for.
    pub(super) overhead: Option<Duration>,
    /// None: no provider was asked.
    pub(super) completion: Option<Box<CompletionRecord>>,
}

/// A completion.
#[derive(Debug)]
pub(super) struct CompletionRecord {
    pub(super) kind: CompletionKind,
    pub(super) duration: Duration,
    pub(super) first_chunk: Option<Duration>,
    pub(super) gaps: Gaps,
    pub(super) tokens: TokenSums,
}

/// What completions are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CompletionKind {
    pub(super) vendor: &'static str,
    pub(super) request_model: Option<ModelName>,
    pub(super) response_model: Option<ModelId>,
    pub(super) error: Option<&'static str>,
}

/// A request to a provider.
#[derive(Debug)]
pub(super) struct AttemptRecord {
    pub(super) kind: AttemptKind,
    pub(super) way: Way,
}

/// What requests to providers are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct AttemptKind {
    pub(super) provider: ProviderId,
    pub(super) model: ModelId,
    pub(super) outcome: AttemptOutcome,
}

/// Why a request was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It is the first of its call.
    First,
    /// Its endpoint was asked before.
    Retry,
    /// Another one was asked before.
    Failover,
    /// Another one is late.
    Hedge,
}

/// Tokens by modality.
type ByModality = [u64; Modality::ALL.len()];

/// The tokens of a completion, as the conventions count them: the prompt's with cached ones, the answer's with reasoning.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TokenSums {
    pub(super) input: ByModality,
    pub(super) cache_read: ByModality,
    pub(super) cache_write: ByModality,
    pub(super) output: ByModality,
    pub(super) reasoning: ByModality,
}

impl TokenSums {
    pub(super) fn add(&mut self, usage: &Usage) {
        for item in &usage.items {
            let [whole, part] = match item.kind {
                UsageKind::Input => [Some(&mut self.input), None],
                UsageKind::CacheRead => [Some(&mut self.input), Some(&mut self.cache_read)],
                UsageKind::CacheWrite => [Some(&mut self.input), Some(&mut self.cache_write)],
                UsageKind::Output | UsageKind::RejectedPrediction => [Some(&mut self.output), None],
                UsageKind::Reasoning => [Some(&mut self.output), Some(&mut self.reasoning)],
                UsageKind::ServerToolCall { .. } => [None, None],
            };
            let place = Modality::ALL.iter().position(|modality| *modality == item.modality).unwrap_or_default();
            for sums in [whole, part].into_iter().flatten() {
                if let Some(sum) = sums.get_mut(place) {
                    *sum = sum.saturating_add(item.quantity.into());
                }
            }
        }
    }
}

/// Where records wait.
#[derive(Debug, Default)]
pub(super) struct Feed {
    shards: [Mutex<Vec<Record>>; SHARDS],
    lost: AtomicU64,
}

thread_local! {
    static SHARD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS
    };
}

impl Feed {
    /// Leaves a record, if there is a place.
    pub(super) fn push(&self, record: Record) {
        // A thread that ends may still drop a call.
        let shard = SHARD.try_with(|shard| *shard).unwrap_or_default();
        let Some(shard) = self.shards.get(shard) else { return };
        let mut waiting = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST_WAITING {
            waiting.push(record);
        } else {
            drop(waiting);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes all records. `spare` is what is left in place of a list, and the list that was there when it returns.
    pub(super) fn take(&self, spare: &mut Vec<Record>, mut each: impl FnMut(Record)) {
        for shard in &self.shards {
            let mut waiting = shard.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever leaves nothing here lets the list to those who do.
            if waiting.is_empty() && waiting.capacity() <= LITTLE_ROOM {
                continue;
            }
            std::mem::swap(&mut *waiting, spare);
            drop(waiting);
            let (taken, room) = (spare.len(), spare.capacity());
            spare.drain(..).for_each(&mut each);
            // The room that a busy moment took is given back; that of a moment much like this one is not, nor a little.
            if room > LITTLE_ROOM && taken < room / 4 {
                spare.shrink_to(taken.max(LITTLE_ROOM / 2) * 2);
            }
        }
    }

    /// How many records found no place since this was asked last.
    pub(super) fn lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Tokens, UsageItem};

    #[test]
    fn what_finds_no_place_is_counted_and_nobody_waits() {
        let feed = Feed::default();
        for _ in 0..MOST_WAITING + 5 {
            feed.push(Record::Refused("OVERLOADED"));
        }
        let (mut spare, mut taken) = (Vec::new(), 0);
        feed.take(&mut spare, |_| taken += 1);
        assert_eq!((taken, feed.lost(), feed.lost()), (MOST_WAITING, 5, 0));
        feed.push(Record::Refused("OVERLOADED"));
        feed.take(&mut spare, |_| taken += 1);
        assert_eq!(taken, MOST_WAITING + 1);
    }

    #[test]
    fn the_room_of_a_busy_moment_is_given_back() {
        let (feed, mut spare) = (Feed::default(), Vec::new());
        let room = |feed: &Feed| feed.shards.iter().map(|shard| shard.lock().unwrap().capacity()).sum::<usize>();
        let busy = |feed: &Feed| (0..1000).for_each(|_| feed.push(Record::Refused("OVERLOADED")));
        // The second list is made as the first one is taken; then one is filled while the other is emptied.
        for _ in 0..2 {
            busy(&feed);
            feed.take(&mut spare, drop);
        }
        let made = (spare.capacity(), room(&feed));
        assert!(made.0 >= 1000 && made.1 >= 1000, "{made:?}");
        for _ in 0..2 {
            busy(&feed);
            feed.take(&mut spare, drop);
            assert_eq!((spare.capacity(), room(&feed)), made);
        }
        feed.take(&mut spare, drop);
        feed.take(&mut spare, drop);
        assert!(spare.capacity() + room(&feed) <= 2 * LITTLE_ROOM, "{} and {}", spare.capacity(), room(&feed));
    }

    #[test]
    fn tokens_of_a_part_are_tokens_of_the_whole() {
        let item = |kind, tokens| UsageItem::tokens(kind, Tokens::new(tokens));
        let mut sums = TokenSums::default();
        sums.add(&Usage::reported([
            item(UsageKind::Input, 1),
            item(UsageKind::CacheRead, 10),
            item(UsageKind::CacheWrite, 100),
            item(UsageKind::Output, 1000),
            UsageItem { modality: Modality::Audio, ..item(UsageKind::Reasoning, 10_000) },
            UsageItem::calls("search", 7),
        ]));
        let total = |sums: ByModality| sums.iter().sum::<u64>();
        let totals = [sums.input, sums.cache_read, sums.cache_write, sums.output, sums.reasoning].map(total);
        assert_eq!(totals, [111, 10, 100, 11_000, 10_000]);
        assert_eq!(sums.reasoning, [0, 0, 0, 10_000]);
    }
}
