//! The one task that carries what calls have left to where it is kept, and that reads it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::archive::{Archive, Batch, StoreError};
use super::bound::{Bound, overflow};
use super::entries::hour_of;
use super::observer::Observed;
use super::pending::Pending;
use super::query::{Gathering, Page, Query};
use super::row::{Key, Subject, Sums};

/// How often sums are carried on: what a process that is killed may lose.
const PULSE: Duration = Duration::from_secs(1);
/// The rows of a batch.
const BATCH: usize = 500;
/// The rows that wait for an archive that is away, beside one for each hour.
const MAX_WAITING: usize = 50_000;

/// What the task is asked.
#[derive(Debug)]
pub(super) enum Ask {
    /// A page.
    Page(Query, oneshot::Sender<Result<Page, StoreError>>),
    /// To carry on what is there, and to end.
    End,
}

#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) pending: Arc<Pending>,
    pub(super) archive: Arc<dyn Archive>,
    pub(super) labels: Arc<[String]>,
    /// How many hours are kept.
    pub(super) keep: u32,
    pub(super) bound: Bound,
    pub(super) waiting: Waiting,
    /// Who is told.
    pub(super) observed: Option<Observed>,
    /// Whether the archive is away, as far as it is known.
    pub(super) is_away: bool,
    /// The hour up to which older ones were forgotten.
    pub(super) forgotten: u32,
}

impl Keeper {
    /// Runs until it is told to end, or nobody can ask any more.
    pub(super) async fn run(mut self, mut asked: mpsc::UnboundedReceiver<Ask>) {
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reading = JoinSet::new();
        loop {
            let ask = tokio::select! {
                _ = pulse.tick() => None,
                ask = asked.recv() => Some(ask.unwrap_or(Ask::End)),
            };
            while reading.try_join_next().is_some() {}
            let carried = self.carry().await;
            match ask {
                None => self.forget().await,
                Some(Ask::Page(query, answer)) => match carried {
                    // Beside this task, so that many rows keep no call's sums waiting.
                    Ok(()) => drop(reading.spawn(answered(Arc::clone(&self.archive), self.oldest(), query, answer))),
                    Err(error) => drop(answer.send(Err(error))),
                },
                Some(Ask::End) => {
                    if let Err(error) = carried {
                        let (calls, cost) = self.waiting.lost();
                        tracing::error!(%error, calls, cost, "the last sums of usage are lost: they cannot be kept");
                    }
                    return;
                }
            }
        }
    }

    /// Carries on everything that calls have left until now.
    async fn carry(&mut self) -> Result<(), StoreError> {
        for (key, sums) in self.pending.take().into_iter().flatten() {
            if let Some(observed) = &mut self.observed {
                observed.used(&key.subject, &sums, &self.labels);
            }
            if self.bound.is_new(key.hour) {
                // What cannot be read now counts for nothing: the bound is one of memory, not of truth.
                let there = self.archive.rows(key.hour).await.unwrap_or_default();
                self.bound.begin(key.hour, there.into_iter().map(|(subject, _)| subject));
            }
            let key = self.bound.admit(key, &self.labels);
            self.waiting.add(key, &sums, &self.labels);
        }
        while let Some(batch) = self.waiting.next() {
            let added = self.archive.add(batch).await;
            self.note(added.as_ref().err());
            added?;
            self.waiting.done();
        }
        Ok(())
    }

    /// Says once that the archive is away, and once that it is back.
    fn note(&mut self, error: Option<&StoreError>) {
        match (error, self.is_away) {
            (Some(error), false) => {
                tracing::warn!(%error, "sums of usage cannot be kept now: they wait in memory");
            }
            (None, true) => tracing::info!("sums of usage are kept again, and those that had to wait with them"),
            _ => {}
        }
        self.is_away = error.is_some();
    }

    /// The first hour that is kept.
    fn oldest(&self) -> u32 {
        hour_of(SystemTime::now()).saturating_sub(self.keep.saturating_sub(1))
    }

    async fn forget(&mut self) {
        let oldest = self.oldest();
        if oldest == self.forgotten || self.is_away {
            return;
        }
        match self.archive.forget(oldest).await {
            Ok(()) => self.forgotten = oldest,
            Err(error) => tracing::warn!(%error, "old sums of usage cannot be forgotten now"),
        }
    }
}

async fn answered(
    archive: Arc<dyn Archive>,
    oldest: u32,
    query: Query,
    mut answer: oneshot::Sender<Result<Page, StoreError>>,
) {
    // Who has gone away needs no answer: many rows are not gone through for nobody.
    let gone = async { answer.closed().await };
    let page = tokio::select! {
        biased;
        () = gone => return,
        page = page(&*archive, oldest, &query) => page,
    };
    let _ = answer.send(page);
}

/// The page that `query` asks for, of what is kept from the hour `oldest` on.
pub(super) async fn page(archive: &dyn Archive, oldest: u32, query: &Query) -> Result<Page, StoreError> {
    let since = archive.since().await?.max(UNIX_EPOCH + Duration::from_secs(u64::from(oldest) * 3600));
    // The page before has shown all of the hours before its last one.
    let shown = query.after.as_ref().filter(|_| query.by.hour).map_or(0, |after| after.hour);
    let first = query.first.max(oldest).max(shown);
    let mut gathering = Gathering::new(query);
    for hour in archive.hours(first, query.last).await? {
        if gathering.is_full_before(hour) {
            break;
        }
        for (subject, sums) in archive.rows(hour).await? {
            gathering.add(hour, subject, &sums);
        }
        // What is in memory is there at once: others have a turn too, and who goes away is noticed.
        tokio::task::consume_budget().await;
    }
    let (sums, more) = gathering.finish();
    Ok(Page { sums, more, place: archive.place(), since })
}

/// What has still to be handed in.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    rows: BTreeMap<Key, Sums>,
    /// What was handed in and perhaps not taken: it is handed in again as it was, so that it is not added twice.
    open: Option<Batch>,
    number: u64,
}

impl Waiting {
    /// Nothing waits, and the last batch had this number.
    pub(super) fn after(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    pub(super) fn add(&mut self, key: Key, sums: &Sums, labels: &[String]) {
        let is_full = self.rows.len() >= MAX_WAITING;
        match self.rows.entry(key) {
            Entry::Occupied(mut row) => *row.get_mut() += sums,
            Entry::Vacant(row) if !is_full => drop(row.insert(*sums)),
            Entry::Vacant(row) => {
                let rest = overflow(&row.into_key(), labels);
                *self.rows.entry(rest).or_default() += sums;
            }
        }
    }

    /// The next batch: the one that is open, or rows of one hour.
    pub(super) fn next(&mut self) -> Option<&Batch> {
        if self.open.is_none() {
            let hour = self.rows.first_key_value()?.0.hour;
            self.number += 1;
            let mut batch = Batch { number: self.number, hour, rows: Vec::new() };
            while let Some(row) = self.rows.first_entry().filter(|row| row.key().hour == hour) {
                let (Key { subject, .. }, sums) = row.remove_entry();
                batch.rows.push((subject, sums));
                if batch.rows.len() == BATCH {
                    break;
                }
            }
            self.open = Some(batch);
        }
        self.open.as_ref()
    }

    /// The open batch was taken.
    pub(super) fn done(&mut self) {
        self.open = None;
    }

    /// How many calls wait, and what they cost.
    fn lost(&self) -> (i64, String) {
        let open = self.open.iter().flat_map(|batch| &batch.rows).map(|(_, sums): &(Subject, Sums)| sums);
        let mut sum = Sums::default();
        open.chain(self.rows.values()).for_each(|sums| sum += sums);
        let calls = sum.succeeded.saturating_add(sum.failed).saturating_add(sum.cancelled);
        (calls, sum.cost.to_string())
    }
}
