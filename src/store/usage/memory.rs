//! Sums in the memory of this process: they begin anew with it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use futures_util::future::{BoxFuture, ready};

use super::archive::{Archive, Batch, Place, StoreError};
use super::bound::overflow;
use super::row::{Key, Subject, Sums};

/// All rows, beside one for each hour: some 100 MB at the most.
const MAX_ROWS: usize = 200_000;

#[derive(Debug)]
pub(super) struct Memory {
    since: SystemTime,
    labels: Vec<String>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    hours: BTreeMap<u32, HashMap<Subject, Sums>>,
    rows: usize,
}

impl Memory {
    pub(super) fn new(labels: Vec<String>) -> Self {
        Self { since: SystemTime::now(), labels, kept: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Archive for Memory {
    fn place(&self) -> Place {
        Place::Memory
    }

    fn add<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<(), StoreError>> {
        let mut kept = self.lock();
        let Kept { hours, rows } = &mut *kept;
        let hour = hours.entry(batch.hour).or_default();
        for (subject, sums) in &batch.rows {
            let subject = match *rows < MAX_ROWS || hour.contains_key(subject) {
                true => subject.clone(),
                false => overflow(&Key { hour: batch.hour, subject: subject.clone() }, &self.labels).subject,
            };
            let before = hour.len();
            *hour.entry(subject).or_default() += sums;
            *rows += hour.len() - before;
        }
        Box::pin(ready(Ok(())))
    }

    fn hours(&self, first: u32, last: u32) -> BoxFuture<'_, Result<Vec<u32>, StoreError>> {
        let kept = self.lock();
        let hours =
            if first <= last { kept.hours.range(first..=last).map(|(hour, _)| *hour).collect() } else { vec![] };
        Box::pin(ready(Ok(hours)))
    }

    fn rows(&self, hour: u32) -> BoxFuture<'_, Result<Vec<(Subject, Sums)>, StoreError>> {
        let rows = self.lock().hours.get(&hour).map(|rows| rows.clone().into_iter().collect()).unwrap_or_default();
        Box::pin(ready(Ok(rows)))
    }

    fn since(&self) -> BoxFuture<'_, Result<SystemTime, StoreError>> {
        Box::pin(ready(Ok(self.since)))
    }

    fn forget(&self, before: u32) -> BoxFuture<'_, Result<(), StoreError>> {
        let mut kept = self.lock();
        kept.hours = kept.hours.split_off(&before);
        kept.rows = kept.hours.values().map(HashMap::len).sum();
        Box::pin(ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_is_bounded_over_all_hours_and_no_sum_is_lost() {
        let memory = Memory::new(Vec::new());
        let one = Sums { failed: 1, ..Sums::default() };
        for hour in 0..110 {
            let row = |index| (Subject { model: format!("{index}"), ..Subject::default() }, one);
            memory.add(&Batch { number: 0, hour, rows: (0..2000).map(row).collect() }).await.unwrap();
        }
        assert!(memory.lock().rows <= MAX_ROWS + 110);
        let sums: i64 = memory.lock().hours.values().flat_map(HashMap::values).map(|sums| sums.failed).sum();
        assert_eq!(sums, 220_000);
        memory.forget(100).await.unwrap();
        assert_eq!(memory.hours(0, u32::MAX).await.unwrap(), (100..110).collect::<Vec<_>>());
        assert!(memory.lock().rows <= 10);
    }
}
