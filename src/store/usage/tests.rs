//! Sums, however they are grouped and paged.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use uuid::Uuid;

use super::archive::Batch;
use super::bound::{MAX_ROWS, OTHER};
use super::keeper::page;
use super::memory::Memory;
use super::*;
use crate::domain::{
    AttemptOutcome, CallId, CallerName, Cost, CostSource, FinishReason, Identity, ModelId, ModelName, PicoSum, PicoUsd,
    ProviderId, Reason, Tokens, Usage, UsageItem, UsageKind, UsageSource, Vendor,
};
use futures_util::future::{BoxFuture, FutureExt, ready};

fn asked(model: &str, labels: &[(&str, &str)]) -> Asked {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>();
    let model = Some(model).filter(|model| !model.is_empty()).map(ModelName::new);
    Asked {
        id: CallId::new(Uuid::nil()),
        caller: CallerName::default(),
        model,
        labels: Arc::new(labels),
        at: UNIX_EPOCH,
    }
}

fn attempt(model: &str, outcome: AttemptOutcome, items: Vec<UsageItem>, cost: Option<(i64, bool)>) -> Attempt {
    Attempt {
        endpoint: Identity::new(ProviderId::new("p"), Vendor::new("v"), ModelId::new(model)),
        outcome,
        duration: Some(Duration::from_secs(1)),
        time_to_first_event: None,
        usage: Some(Usage { source: UsageSource::Provider, items }).filter(|usage| !usage.items.is_empty()),
        cost: cost.map(|(pico, estimated)| Cost { amount: PicoUsd::new(pico), source: CostSource::Config, estimated }),
    }
}

fn tokens(kind: UsageKind, count: u32) -> UsageItem {
    UsageItem::tokens(kind, Tokens::new(count))
}

fn failed(reason: Reason) -> Fate {
    Fate::Failed { code: 14, reason, message: String::new() }
}

const STOP: Fate = Fate::Succeeded(FinishReason::Stop);

#[test]
fn a_call_is_counted_once_and_each_attempt_where_it_was_made() {
    let estimated = UsageItem { estimated: true, ..tokens(UsageKind::Output, 7) };
    let attempts = [
        attempt("a", AttemptOutcome::Skipped(Reason::ProviderUnavailable), vec![], None),
        attempt("a", AttemptOutcome::Failed(Reason::ProviderUnavailable), vec![], None),
        attempt(
            "a",
            AttemptOutcome::Finished,
            vec![
                tokens(UsageKind::Input, 100),
                tokens(UsageKind::CacheRead, 20),
                tokens(UsageKind::CacheWrite, 3),
                tokens(UsageKind::Output, 50),
                tokens(UsageKind::Reasoning, 40),
                UsageItem::calls("search", 5),
            ],
            Some((1_234_567, false)),
        ),
        attempt("b", AttemptOutcome::Dropped, vec![tokens(UsageKind::Input, 100), estimated], Some((999, true))),
    ];
    let labels = ["team".to_owned(), "feature".to_owned()];
    let asked = asked("smart", &[("team", "search"), ("private", "x")]);
    let rows = entries::rows(&asked, &STOP, &attempts, UNIX_EPOCH + Duration::from_secs(7200), &labels);
    let [(a, answered), (b, beside)] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((a.hour, a.subject.model.as_str(), a.subject.endpoint.as_str()), (2, "smart", "p/a"));
    assert_eq!(b.subject.endpoint, "p/b");
    assert_eq!(a.subject.labels, [("team".to_owned(), "search".to_owned())]);
    let expected = Sums {
        succeeded: 1,
        attempts: 2,
        input: 123,
        output: 90,
        cache_read: 20,
        cache_write: 3,
        reasoning: 40,
        cost: PicoSum::new(1_234_567),
        ..Sums::default()
    };
    assert_eq!(*answered, expected);
    let (cost, estimated_cost) = (PicoSum::new(999), PicoSum::new(999));
    let expected = Sums { attempts: 1, input: 100, output: 7, estimated: 7, cost, estimated_cost, ..Sums::default() };
    assert_eq!(*beside, expected);
}

#[test]
fn what_has_no_price_is_counted_and_not_added() {
    let used = |outcome, first_event: bool, items| {
        let mut attempt = attempt("a", outcome, items, None);
        attempt.time_to_first_event = first_event.then_some(Duration::ZERO);
        let rows = entries::rows(&asked("m", &[]), &Fate::Cancelled, &[attempt], UNIX_EPOCH, &[]);
        (rows[0].1.unpriced, rows[0].1.cancelled)
    };
    let refused = AttemptOutcome::Failed(Reason::ProviderRateLimited);
    assert_eq!(used(refused, false, vec![]), (0, 1), "what was refused cost nothing");
    assert_eq!(used(refused, true, vec![]), (1, 1));
    assert_eq!(used(AttemptOutcome::Dropped, false, vec![tokens(UsageKind::Input, 1)]), (1, 1));
    assert_eq!(used(AttemptOutcome::Finished, false, vec![]), (1, 1));
}

#[test]
fn names_that_callers_make_up_share_a_row() {
    let row = |model: &str, reason, attempts: &[Attempt]| {
        let rows = entries::rows(&asked(model, &[]), &failed(reason), attempts, UNIX_EPOCH, &[]);
        assert_eq!((rows.len(), rows[0].1.failed), (1, 1));
        (rows[0].0.subject.model.clone(), rows[0].0.subject.endpoint.clone())
    };
    let unknown = Reason::ProviderModelNotFound;
    let attempts = [attempt("made-up", AttemptOutcome::Failed(unknown), vec![], None)];
    assert_eq!(row("made-up", Reason::ModelNotFound, &[]), ("(unknown)".to_owned(), String::new()));
    assert_eq!(row("p/made-up", unknown, &attempts), ("(unknown)".to_owned(), "p/(unknown)".to_owned()));
    assert_eq!(row("alias", unknown, &attempts), ("alias".to_owned(), "p/made-up".to_owned()), "it is configured");
    assert_eq!(row("", Reason::Overloaded, &[]), (String::new(), String::new()));
}

/// Fails as it is told to, and may take a batch without saying so.
#[derive(Debug)]
struct Shaky {
    kept: Memory,
    last: Mutex<u64>,
    /// What becomes of the next batches: refused, taken without an answer, taken.
    luck: Mutex<Vec<Luck>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Luck {
    Refused,
    Unanswered,
    Taken,
}

impl Archive for Shaky {
    fn place(&self) -> Place {
        Place::Redis
    }

    fn add<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<(), StoreError>> {
        let luck = self.luck.lock().unwrap().pop().unwrap_or(Luck::Taken);
        let mut last = self.last.lock().unwrap();
        if luck != Luck::Refused && *last < batch.number {
            *last = batch.number;
            self.kept.add(batch).now_or_never().unwrap().unwrap();
        }
        Box::pin(ready(if luck == Luck::Taken { Ok(()) } else { Err(StoreError("it is away".to_owned())) }))
    }

    fn hours(&self, first: u32, last: u32) -> BoxFuture<'_, Result<Vec<u32>, StoreError>> {
        self.kept.hours(first, last)
    }

    fn rows(&self, hour: u32) -> BoxFuture<'_, Result<Vec<(Subject, Sums)>, StoreError>> {
        self.kept.rows(hour)
    }

    fn since(&self) -> BoxFuture<'_, Result<SystemTime, StoreError>> {
        self.kept.since()
    }

    fn forget(&self, before: u32) -> BoxFuture<'_, Result<(), StoreError>> {
        self.kept.forget(before)
    }
}

fn all() -> Query {
    Query { last: u32::MAX, size: 1000, ..Query::default() }
}

fn note(book: &UsageBook, model: &str, pico: i64, at: SystemTime) {
    let attempts = [attempt("a", AttemptOutcome::Finished, vec![tokens(UsageKind::Output, 1)], Some((pico, false)))];
    book.note(&asked(model, &[]), &STOP, &attempts, at);
}

#[tokio::test]
async fn what_an_archive_that_is_away_has_not_taken_is_added_once_when_it_is_back() {
    use Luck::{Refused, Unanswered};
    let luck = vec![Unanswered, Refused, Unanswered, Unanswered, Refused];
    let shaky = Shaky { kept: Memory::new(Vec::new()), last: Mutex::default(), luck: Mutex::new(luck) };
    let (book, keeping) = UsageBook::start(Arc::new(shaky), 0, &UsageSettings::default(), None);
    let (mut noted, mut refused) = (0, 0);
    loop {
        note(&book, "m", 3, SystemTime::now());
        noted += 1;
        match book.page(all()).await {
            Err(error) => {
                assert_eq!(error.to_string(), "it is away");
                refused += 1;
            }
            Ok(page) => {
                let [(_, sums)] = page.sums.as_slice() else { panic!("{page:?}") };
                assert_eq!((sums.succeeded, sums.cost.get()), (noted, i128::from(noted) * 3));
                break;
            }
        }
    }
    assert!(refused > 0);
    keeping.end().await;
}

#[tokio::test]
async fn beyond_what_an_hour_may_have_all_goes_to_one_row_and_no_cost_is_lost() {
    let (book, _keeping) = UsageBook::open(&UsageSettings::default(), None).unwrap();
    let at = SystemTime::now();
    for index in 0..3000 {
        note(&book, &format!("m{index}"), 7, at);
    }
    let by = Grouping { model: true, ..Grouping::default() };
    let page = book.page(Query { by, size: 10_000, ..all() }).await.unwrap();
    assert_eq!(page.sums.len(), MAX_ROWS + 1);
    let rest = page.sums.iter().find(|(group, _)| group.subject.model == OTHER).unwrap();
    assert_eq!(rest.1.succeeded, 1000);
    assert_eq!(page.sums.iter().map(|(_, sums)| sums.cost.get()).sum::<i128>(), 21_000);
}

#[tokio::test]
async fn hours_older_than_what_is_kept_are_not_shown() {
    let memory = Memory::new(Vec::new());
    for hour in [1, 5, 9] {
        let row = (Subject::default(), Sums { failed: 1, ..Sums::default() });
        memory.add(&Batch { number: 0, hour, rows: vec![row] }).await.unwrap();
    }
    let by = Grouping { hour: true, ..Grouping::default() };
    let page = page(&memory, 5, &Query { by, ..all() }).await.unwrap();
    assert_eq!(page.sums.iter().map(|(group, _)| group.hour).collect::<Vec<_>>(), [5, 9]);
}

#[tokio::test]
async fn where_nothing_was_used_the_sum_of_all_is_nothing() {
    let (book, _keeping) = UsageBook::open(&UsageSettings::default(), None).unwrap();
    let page = book.page(all()).await.unwrap();
    assert_eq!((page.sums, page.more), (vec![(Group::default(), Sums::default())], false));
    assert!(UsageBook::default().page(all()).await.is_err(), "nothing keeps them");
}

fn any_rows() -> impl Strategy<Value = Vec<(u32, Subject, Sums)>> {
    let name = || prop_oneof![Just(String::new()), "[a-c]".prop_map(|name| name)];
    let labels = proptest::collection::btree_map("[st]", "[xy]", 0..2).prop_map(|labels| labels.into_iter().collect());
    let subject = (name(), name(), name(), labels);
    let subject = subject.prop_map(|(caller, model, endpoint, labels)| Subject { caller, model, endpoint, labels });
    let sums = (0..5_i64, 0..9_i64, any::<i64>());
    let sums = sums.prop_map(|(succeeded, input, pico)| Sums {
        succeeded,
        input,
        cost: PicoSum::new(i128::from(pico) * 1000),
        ..Sums::default()
    });
    proptest::collection::vec((0..4_u32, subject, sums), 0..60)
}

fn any_grouping() -> impl Strategy<Value = Grouping> {
    let labels = proptest::sample::subsequence(vec!["s".to_owned(), "t".to_owned()], 0..=2);
    (any::<[bool; 4]>(), labels).prop_map(|([hour, caller, model, endpoint], labels)| Grouping {
        hour,
        caller,
        model,
        endpoint,
        labels,
    })
}

fn total<'a>(sums: impl Iterator<Item = &'a Sums>) -> Sums {
    let mut total = Sums::default();
    sums.for_each(|sums| total += sums);
    total
}

/// All pages, one after the other; `between` is run after each.
fn pages(kept: &Memory, by: &Grouping, size: usize, mut between: impl FnMut(&Group)) -> Vec<(Group, Sums)> {
    let mut query = Query { by: by.clone(), size, ..all() };
    let mut seen = Vec::new();
    loop {
        let got = page(kept, 0, &query).now_or_never().unwrap().unwrap();
        assert!(got.sums.len() <= size);
        seen.extend(got.sums);
        match (got.more, seen.last()) {
            (true, Some((last, _))) => {
                query.after = Some(last.clone());
                between(last);
            }
            (more, _) => {
                assert!(!more);
                return seen;
            }
        }
    }
}

proptest! {
    #[test]
    fn any_grouping_sums_up_to_the_same_and_pages_lose_and_double_nothing(
        rows in any_rows(), by in any_grouping(), size in 1..7_usize,
    ) {
        let kept = Memory::new(Vec::new());
        for (hour, subject, sums) in &rows {
            let batch = Batch { number: 0, hour: *hour, rows: vec![(subject.clone(), *sums)] };
            kept.add(&batch).now_or_never().unwrap().unwrap();
        }
        let paged = pages(&kept, &by, size, |_| {});
        let whole = pages(&kept, &by, 1000, |_| {});
        prop_assert_eq!(&paged, &whole);
        prop_assert!(paged.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order, each once");
        prop_assert_eq!(total(paged.iter().map(|(_, sums)| sums)), total(rows.iter().map(|(.., sums)| sums)));
    }

    #[test]
    fn what_is_used_between_pages_neither_hides_a_sum_nor_shows_one_twice(
        rows in any_rows(), later in any_rows(), by in any_grouping(), size in 1..4_usize,
    ) {
        let kept = Memory::new(Vec::new());
        let add = |(hour, subject, sums): &(u32, Subject, Sums)| {
            let batch = Batch { number: 0, hour: *hour, rows: vec![(subject.clone(), *sums)] };
            kept.add(&batch).now_or_never().unwrap().unwrap();
        };
        rows.iter().for_each(add);
        let before = pages(&kept, &by, 1000, |_| {});
        let mut later = later.iter();
        let paged = pages(&kept, &by, size, |_| later.by_ref().take(2).for_each(add));
        prop_assert!(paged.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order, each once");
        for (group, _) in before {
            prop_assert!(paged.iter().any(|(shown, _)| *shown == group), "{:?} is lost", group);
        }
    }
}
