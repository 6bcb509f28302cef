//! What is known of calls, while they run and after.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::*;
use crate::domain::{CallerName, CostSource, FinishReason, PicoUsd, Reason, Request, UsageItem, Vendor};
use crate::store::{Books, UsageBook};

const MINUTE: Duration = Duration::from_secs(60);

fn books(keep: Duration, max_bytes: u64) -> Books {
    let completions = Completions::new(&CompletionSettings { keep, max_bytes, shared: None });
    Books { completions, usage: UsageBook::default() }
}

fn open(books: &Books, number: u128) -> (crate::store::Record, Ledger) {
    let ledger = Ledger::default();
    (books.open((id(number), &CallerName::default()), &Request::default(), &ledger), ledger)
}

fn id(number: u128) -> CallId {
    CallId::new(Uuid::from_u128(number))
}

fn held(completions: &Completions) -> (usize, usize, usize) {
    completions.shards.iter().map(|shard| shard.lock().unwrap()).fold((0, 0, 0), |(running, ended, bytes), shard| {
        assert_eq!(shard.queue.len(), shard.ended.len());
        assert_eq!(shard.bytes, shard.ended.values().map(Ended::bytes).sum::<usize>());
        (running + shard.running.len(), ended + shard.ended.len(), bytes + shard.bytes)
    })
}

fn failed(message: &str) -> Fate {
    Fate::Failed { code: 14, reason: Reason::ProviderUnavailable, message: message.to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_known_while_it_runs_and_for_a_while_after_its_end() {
    let books = books(10 * MINUTE, 1 << 20);
    let (record, ledger) = open(&books, 1);
    let identity = Identity::new(ProviderId::new("p"), Vendor::new("v"), ModelId::new("m"));
    ledger.skip(identity, Reason::Overloaded);
    tokio::time::advance(100 * MINUTE).await;
    let found = books.completions.find(id(1), &CallerName::default()).unwrap();
    assert_eq!((found.id, found.standing, found.model, found.attempts.len()), (id(1), Standing::Running, None, 1));
    record.close(Fate::Succeeded(FinishReason::Stop));
    tokio::time::advance(10 * MINUTE - Duration::from_millis(1)).await;
    let found = books.completions.find(id(1), &CallerName::default()).unwrap();
    let Standing::Ended(fate, at) = found.standing else { panic!("{found:?}") };
    assert_eq!((fate, found.at <= at), (Fate::Succeeded(FinishReason::Stop), true));
    // A target that was passed over was not asked.
    assert_eq!((found.model, found.attempts.len()), (None, 1));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(books.completions.find(id(1), &CallerName::default()).is_none());
    assert_eq!(held(&books.completions), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_dropped_was_left_by_its_caller() {
    let books = books(MINUTE, 1 << 20);
    drop(open(&books, 1));
    let found = books.completions.find(id(1), &CallerName::default()).unwrap();
    assert!(matches!(found.standing, Standing::Ended(Fate::Cancelled, _)), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_goes_a_little_at_a_time_and_is_not_found_before_it_has_gone() {
    let books = books(MINUTE, 64 << 20);
    for number in 0..5_000 {
        open(&books, number).0.close(Fate::Cancelled);
    }
    tokio::time::advance(MINUTE).await;
    // The first visit of a shard does not reach the call that ended last.
    assert!(books.completions.find(id(4_999), &CallerName::default()).is_none());
    assert_eq!(held(&books.completions).1, 5_000 - DROPPED_AT_ONCE);
    for number in 0..5_000 {
        assert!(books.completions.find(id(number), &CallerName::default()).is_none(), "{number}");
    }
    assert_eq!(held(&books.completions), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn however_many_calls_end_what_is_kept_of_them_is_bounded_and_the_first_to_end_go_first() {
    let books = books(MINUTE, 1 << 20);
    let running = open(&books, 1_000_000);
    for number in 0..10_000 {
        open(&books, number).0.close(failed(&"x".repeat(500)));
    }
    let (runs, ended, bytes) = held(&books.completions);
    assert_eq!(runs, 1);
    assert!(bytes <= 1 << 20 && bytes > 900 << 10, "{ended} calls take {bytes} bytes");
    let mut by_shard: BTreeMap<usize, Vec<bool>> = BTreeMap::new();
    let shards = u64::try_from(SHARDS).unwrap();
    for number in 0..10_000 {
        let shard = usize::try_from(books.completions.hasher.hash_one(id(number)) % shards).unwrap();
        by_shard.entry(shard).or_default().push(books.completions.find(id(number), &CallerName::default()).is_some());
    }
    // In the order of their ends: first those that went, then those that are kept.
    assert!(by_shard.values().all(|kept| kept.is_sorted() && kept.last() == Some(&true)));
    let found = books.completions.find(id(1_000_000), &CallerName::default()).unwrap();
    assert_eq!(found.standing, Standing::Running);
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_more_than_there_is_for_all_is_not_kept() {
    let books = books(MINUTE, 1 << 10);
    open(&books, 1).0.close(failed(&"x".repeat(5_000)));
    assert_eq!(held(&books.completions), (0, 0, 0));
    assert!(books.completions.find(id(1), &CallerName::default()).is_none());
}

#[test]
fn what_became_of_a_call_comes_back_whole_however_long_it_is_and_counts() {
    let became = |tool: &str, fate: Fate| Became {
        came: SystemTime::UNIX_EPOCH + Duration::from_millis(1),
        fate,
        at: SystemTime::now(),
        model: Some(ModelId::new("answering")),
        attempts: [AttemptOutcome::Skipped(Reason::Overloaded), AttemptOutcome::Finished]
            .map(|outcome| Attempt {
                endpoint: Identity::new(ProviderId::new("p"), Vendor::new("v"), ModelId::new("m")),
                outcome,
                duration: Some(Duration::from_secs(2)),
                time_to_first_event: Some(Duration::from_nanos(1)),
                usage: Some(Usage::reported([UsageItem::calls(tool, 1)])),
                cost: Some(Cost { amount: PicoUsd::new(-1), source: CostSource::Config, estimated: true }),
            })
            .into(),
    };
    let size = |packed| Ended { caller: CallerName::default(), over: Instant::now(), packed }.bytes();
    for (tool, fate) in [("tool".to_owned(), Fate::Succeeded(FinishReason::Stop)), ("x".repeat(50_000), failed("why"))]
    {
        let whole = became(&tool, fate);
        let packed = whole.packed();
        let Became { came, fate, at, model, attempts } = Became::unpacked(&packed).unwrap();
        assert_eq!((came, fate, at, model, attempts), (whole.came, whole.fate, whole.at, whole.model, whole.attempts));
        assert!(size(packed) >= 2 * tool.len(), "names that a provider chooses count");
    }
}

#[test]
fn the_answering_attempt_is_decisive_else_the_last_that_was_made() {
    let attempt = |model: &str, outcome| Attempt {
        endpoint: Identity::new(ProviderId::new("p"), Vendor::new("v"), ModelId::new(model)),
        outcome,
        duration: None,
        time_to_first_event: None,
        usage: None,
        cost: None,
    };
    let (answered, failed) = (attempt("a", AttemptOutcome::Finished), attempt("b", AttemptOutcome::Dropped));
    let skipped = attempt("c", AttemptOutcome::Skipped(Reason::Overloaded));
    let model = |attempts: &[Attempt]| decisive(attempts).map(|attempt| attempt.endpoint.model.to_string());
    assert_eq!(model(&[answered, failed.clone(), skipped.clone()]).as_deref(), Some("a"));
    assert_eq!(model(&[failed, skipped.clone()]).as_deref(), Some("b"));
    assert_eq!(model(&[skipped]), None);
}
