//! What keeps the sums, whichever it is.

use std::fmt::Debug;
use std::time::SystemTime;

use futures_util::future::BoxFuture;

use super::row::{Subject, Sums};

/// Where sums are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the memory of this process.
    Memory,
    /// In a file of this process.
    File,
    /// In Redis or Valkey, for several processes.
    Redis,
}

/// Why sums cannot be kept or read now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub(super) String);

/// What is added to one hour at a time. It is either added as a whole or not at all, and once, however often it is
/// handed in: who got no answer hands the same in again.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    /// Its number: each new one has a higher one.
    pub(super) number: u64,
    pub(super) hour: u32,
    pub(super) rows: Vec<(Subject, Sums)>,
}

/// One that keeps sums. There is one writer, which hands in one batch at a time.
pub(super) trait Archive: Debug + Send + Sync {
    /// What it is.
    fn place(&self) -> Place;

    /// Adds a batch.
    fn add<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Which hours have rows, of those from `first` to `last`, in their order.
    fn hours(&self, first: u32, last: u32) -> BoxFuture<'_, Result<Vec<u32>, StoreError>>;

    /// The rows of an hour, in any order.
    fn rows(&self, hour: u32) -> BoxFuture<'_, Result<Vec<(Subject, Sums)>, StoreError>>;

    /// Since when it has kept sums.
    fn since(&self) -> BoxFuture<'_, Result<SystemTime, StoreError>>;

    /// Forgets the hours before this one.
    fn forget(&self, before: u32) -> BoxFuture<'_, Result<(), StoreError>>;
}
