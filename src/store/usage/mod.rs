//! What was used and what it cost, summed up by the hour.
//!
//! A call leaves its rows with its thread and goes on. One task carries them about once a second to where they are kept:
//! in memory, in a file, or in Redis. Nothing is made up and nothing is added twice: a batch whose answer was lost is
//! handed in again under its number, and whoever has it knows that.

mod archive;
mod bound;
mod entries;
mod file;
mod keeper;
mod memory;
mod observer;
mod pending;
mod query;
mod redis;
mod row;
mod settings;

#[cfg(test)]
mod tests;

pub use archive::{Place, StoreError};
pub use entries::hour_of;
pub use file::FileError;
pub use observer::Observer;
pub use query::{Group, Grouping, Page, Query};
pub use row::{Subject, Sums};
pub use settings::{Keep, UsageSettings};

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::redis::RedisError;
use super::{Asked, Fate};
use crate::domain::Attempt;
use archive::Archive;
use keeper::{Ask, Keeper, Waiting};
use observer::Observed;
use pending::Pending;

/// How long the last sums may take to be kept.
const LAST: Duration = Duration::from_secs(5);

/// Why sums cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// In the file.
    #[error("usage.data_dir: {0}")]
    File(#[from] FileError),
    /// In Redis.
    #[error("usage.redis_url: {0}")]
    Redis(#[from] RedisError),
}

/// The sums. Clones share them. One that was not opened takes notes that nobody reads.
#[derive(Clone, Debug, Default)]
pub struct UsageBook {
    pending: Arc<Pending>,
    labels: Arc<[String]>,
    ask: Option<mpsc::UnboundedSender<Ask>>,
}

/// The task that keeps the sums; dropped, it ends at once.
#[derive(Debug)]
pub struct Keeping {
    task: AbortOnDropHandle<()>,
    ask: mpsc::UnboundedSender<Ask>,
}

impl Keeping {
    /// Keeps what was noted until now, and ends.
    pub async fn end(self) {
        let _ = self.ask.send(Ask::End);
        if tokio::time::timeout(LAST, self.task).await.is_err() {
            tracing::error!(waited = ?LAST, "the last sums of usage may be lost: they were not kept in time");
        }
    }
}

impl UsageBook {
    /// Opens what keeps the sums, and begins to keep them; `observer` is told all that is added. Must be called on a
    /// runtime, which has to outlive the calls.
    ///
    /// # Errors
    /// [`OpenError`]. A Redis that is away is none: sums wait for it.
    pub fn open(settings: &UsageSettings, observer: Option<Arc<dyn Observer>>) -> Result<(Self, Keeping), OpenError> {
        let keep = settings.keep_hours();
        let (archive, last): (Arc<dyn Archive>, u64) = match &settings.keep_in {
            Keep::Memory => (Arc::new(memory::Memory::new(settings.labels.clone())), 0),
            Keep::File(folder) => {
                let (file, last) = file::File::open(folder)?;
                (Arc::new(file), last)
            }
            Keep::Redis(url) => (Arc::new(redis::Redis::open(url, keep)?), 0),
        };
        Ok(Self::start(archive, last, settings, observer))
    }

    fn start(
        archive: Arc<dyn Archive>,
        last: u64,
        settings: &UsageSettings,
        observer: Option<Arc<dyn Observer>>,
    ) -> (Self, Keeping) {
        let (ask, asked) = mpsc::unbounded_channel();
        let (pending, labels) = (Arc::<Pending>::default(), Arc::from(settings.labels.as_slice()));
        let keeper = Keeper {
            pending: Arc::clone(&pending),
            archive,
            labels: Arc::clone(&labels),
            keep: settings.keep_hours(),
            bound: bound::Bound::default(),
            waiting: Waiting::after(last),
            observed: observer.map(Observed::by),
            is_away: false,
            forgotten: 0,
        };
        let task = AbortOnDropHandle::new(tokio::spawn(keeper.run(asked)));
        (Self { pending, labels, ask: Some(ask.clone()) }, Keeping { task, ask })
    }

    pub(super) fn note(&self, asked: &Asked, fate: &Fate, attempts: &[Attempt], at: SystemTime) {
        if self.ask.is_some() {
            self.pending.add(entries::rows(asked, fate, attempts, at, &self.labels), &self.labels);
        }
    }

    /// The labels that sums are kept by.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// A page of the sums, those of all calls that have ended here among them.
    ///
    /// # Errors
    /// They cannot be read now.
    pub async fn page(&self, query: Query) -> Result<Page, StoreError> {
        let gone = || StoreError("nothing keeps sums here".to_owned());
        let (answer, answered) = oneshot::channel();
        let ask = self.ask.as_ref().ok_or_else(gone)?;
        ask.send(Ask::Page(query, answer)).map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}
