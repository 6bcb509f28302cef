//! How many there are of something, such as connections or streams. It does not know what is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A number of things that are held. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Count(Arc<AtomicUsize>);

/// One more, as long as it is held.
#[derive(Debug)]
pub struct Held(Arc<AtomicUsize>);

impl Count {
    /// One more.
    pub fn one(&self) -> Held {
        self.0.fetch_add(1, Ordering::Relaxed);
        Held(Arc::clone(&self.0))
    }

    /// One more, if fewer than `most` are held.
    pub fn one_of(&self, most: usize) -> Option<Held> {
        let one_more = |held: usize| (held < most).then(|| held + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Held(Arc::clone(&self.0)))
    }

    /// How many are held now.
    pub fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether somebody has a clone of it, or holds one of what it counts.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// How often something has happened: it only grows. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Total(Arc<AtomicU64>);

impl Total {
    /// Once more.
    pub fn once(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often until now.
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
