//! What was noted and is not yet kept: where calls leave their rows.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::bound::overflow;
use super::row::{Key, Sums};

/// As many as there are workers on most machines: each thread has one of these to itself, or shares it with few.
const SHARDS: usize = 16;
/// The rows of a shard. They are taken out once a second.
const MAX_ROWS: usize = 4096;

/// What the calls of all workers have left.
#[derive(Debug, Default)]
pub(super) struct Pending {
    shards: [Mutex<HashMap<Key, Sums>>; SHARDS],
}

impl Pending {
    /// Adds what a call has used; beyond the bound it goes to the row of the rest, whose labels are `labels`.
    pub(super) fn add(&self, rows: Vec<(Key, Sums)>, labels: &[String]) {
        let Some(shard) = self.shards.get(own_shard()) else { return };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, sums) in rows {
            let key = match shard.len() < MAX_ROWS || shard.contains_key(&key) {
                true => key,
                false => overflow(&key, labels),
            };
            *shard.entry(key).or_default() += &sums;
        }
    }

    /// Takes everything out. Each shard is locked for no longer than that takes.
    pub(super) fn take(&self) -> Vec<HashMap<Key, Sums>> {
        let take = |shard: &Mutex<_>| std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner));
        self.shards.iter().map(take).collect()
    }
}

/// The shard of this thread.
fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.with(|own| {
        let shard = own.get().unwrap_or_else(|| NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
        own.set(Some(shard));
        shard
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::usage::row::Subject;

    #[test]
    fn nothing_is_lost_between_many_threads_and_one_that_takes() {
        let pending = Pending::default();
        let one = Sums { succeeded: 1, ..Sums::default() };
        let mut taken = 0;
        let mut sum = |pending: &Pending| {
            taken += pending.take().iter().flat_map(HashMap::values).map(|sums| sums.succeeded).sum::<i64>();
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..5_000).for_each(|_| pending.add(vec![(Key::default(), one)], &[])));
            }
            (0..50).for_each(|_| sum(&pending));
        });
        sum(&pending);
        assert_eq!(taken, 20_000);
    }

    #[test]
    fn beyond_the_bound_there_is_one_row_for_the_rest() {
        let pending = Pending::default();
        let one = Sums { succeeded: 1, ..Sums::default() };
        for index in 0..MAX_ROWS + 10 {
            let subject = Subject { model: format!("m{index}"), ..Subject::default() };
            pending.add(vec![(Key { hour: 1, subject }, one)], &["team".to_owned()]);
        }
        let rows: HashMap<Key, Sums> = pending.take().into_iter().flatten().collect();
        assert_eq!(rows.len(), MAX_ROWS + 1);
        let rest = overflow(&Key { hour: 1, subject: Subject::default() }, &["team".to_owned()]);
        assert_eq!(rows[&rest].succeeded, 10);
    }
}
