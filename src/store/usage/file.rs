//! Sums in a file of this process: they survive it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::archive::{Archive, Batch, Place, StoreError};
use super::row::{PARTS, Subject, Sums};

/// What the file is called in its folder.
const NAME: &str = "usage.redb";
/// How the file is laid out. A file of another number is not touched.
const SCHEMA: u64 = 1;
/// What the file may take of memory beside what it is doing.
const CACHE: usize = 16 << 20;

/// The rows by hour and subject.
const ROWS: TableDefinition<'_, (u32, &str), [i64; PARTS]> = TableDefinition::new("rows");
/// `schema`, `since` (seconds since 1970) and `batch`, the number of the last one.
const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("facts");

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the sums of usage cannot be kept in {path}: {why}")]
pub struct FileError {
    path: String,
    why: String,
}

#[derive(Debug)]
pub(super) struct File {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// Since when it has sums, in seconds since 1970.
    since: AtomicU64,
    /// None after the disk has failed: a handle that has seen that takes nothing any more.
    database: Mutex<Option<Arc<Database>>>,
}

impl File {
    /// Opens the file in `folder`, or begins one, and says which number the last batch had.
    ///
    /// # Errors
    /// Another process has it, it is damaged or of another version, or the system does not let us.
    pub(super) fn open(folder: &Path) -> Result<(Self, u64), FileError> {
        let path = folder.join(NAME);
        let failed = |why: String| FileError { path: path.display().to_string(), why };
        std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        let Opened { database, since, batch } = open(&path).map_err(&failed)?;
        let database = Mutex::new(Some(Arc::new(database)));
        Ok((Self { shared: Arc::new(Shared { path, since: AtomicU64::new(since), database }) }, batch))
    }

    /// Does `work` on a thread that may wait for the disk.
    fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let there = Arc::clone(&shared);
            let done = tokio::task::spawn_blocking(move || there.work(work)).await;
            done.unwrap_or_else(|panicked| Err(shared.failed(&panicked)))
        })
    }
}

impl Shared {
    fn work<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let database = self.database()?;
        let done = work(&database);
        drop(database);
        done.map_err(|error| self.failed(&error))
    }

    /// Lets go of the file: the next one to use it opens it again.
    fn failed(&self, error: &dyn std::fmt::Display) -> StoreError {
        *self.database.lock().unwrap_or_else(PoisonError::into_inner) = None;
        StoreError(format!("{}: {error}", self.path.display()))
    }

    fn database(&self) -> Result<Arc<Database>, StoreError> {
        let mut slot = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = &*slot {
            return Ok(Arc::clone(database));
        }
        // It may be another file: who finds the old one full or damaged moves it away.
        let opened = open(&self.path).map_err(|why| StoreError(format!("{}: {why}", self.path.display())))?;
        self.since.store(opened.since, Ordering::Relaxed);
        Ok(Arc::clone(slot.insert(Arc::new(opened.database))))
    }
}

/// A file that is ours.
struct Opened {
    database: Database,
    since: u64,
    batch: u64,
}

/// Opens the file, or begins one.
fn open(path: &Path) -> Result<Opened, String> {
    let opening = || {
        let database = create(path)?;
        let (since, batch) = begin(&database)?;
        Ok(Opened { database, since, batch })
    };
    // The library checks some of what it reads from a file by assertions.
    std::panic::catch_unwind(opening).unwrap_or_else(|_| Err("it is damaged; move it away to begin anew".to_owned()))
}

fn create(path: &Path) -> Result<Database, String> {
    Database::builder().set_cache_size(CACHE).create(path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => {
            "another process uses it; give each process a data_dir of its own, or share sums by redis_url".to_owned()
        }
        DatabaseError::Storage(redb::StorageError::Io(error))
            if !matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof) =>
        {
            error.to_string()
        }
        error => format!("it is damaged, or none of ours ({error}); move it away to begin anew"),
    })
}

/// Checks what the file is, or makes it ours; since when it keeps sums, and the number of the last batch.
fn begin(database: &Database) -> Result<(u64, u64), String> {
    let told = |error: redb::Error| error.to_string();
    match facts(database).map_err(told)? {
        Some((SCHEMA, since, batch)) => Ok((since, batch)),
        Some((schema, ..)) => {
            Err(format!("it has version {schema}, and this program knows {SCHEMA}; move it away to begin anew"))
        }
        None => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let write = || -> Result<(), redb::Error> {
                let transaction = database.begin_write()?;
                {
                    let mut facts = transaction.open_table(FACTS)?;
                    facts.insert("schema", SCHEMA)?;
                    facts.insert("since", now)?;
                    transaction.open_table(ROWS)?;
                }
                Ok(transaction.commit()?)
            };
            write().map_err(told)?;
            Ok((now, 0))
        }
    }
}

/// Version, beginning and last batch; none: the file is new.
fn facts(database: &Database) -> Result<Option<(u64, u64, u64)>, redb::Error> {
    let transaction = database.begin_read()?;
    let facts = match transaction.open_table(FACTS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        facts => facts?,
    };
    let fact = |name| Ok::<_, redb::Error>(facts.get(name)?.map(|value| value.value()));
    Ok(Some((fact("schema")?.unwrap_or(0), fact("since")?.unwrap_or(0), fact("batch")?.unwrap_or(0))))
}

impl Archive for File {
    fn place(&self) -> Place {
        Place::File
    }

    fn add<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<(), StoreError>> {
        let batch = batch.clone();
        self.aside(move |database| {
            let transaction = database.begin_write()?;
            {
                let mut facts = transaction.open_table(FACTS)?;
                // A commit whose end was not seen may have been one.
                if facts.get("batch")?.is_some_and(|last| last.value() >= batch.number) {
                    return Ok(());
                }
                facts.insert("batch", batch.number)?;
                let mut rows = transaction.open_table(ROWS)?;
                for (subject, sums) in &batch.rows {
                    let Some(subject) = subject.encoded() else { continue };
                    let key = (batch.hour, subject.as_str());
                    let mut sum = rows.get(key)?.map(|parts| Sums::of_parts(parts.value())).unwrap_or_default();
                    sum += sums;
                    rows.insert(key, sum.parts())?;
                }
            }
            Ok(transaction.commit()?)
        })
    }

    fn hours(&self, first: u32, last: u32) -> BoxFuture<'_, Result<Vec<u32>, StoreError>> {
        self.aside(move |database| {
            let rows = database.begin_read()?.open_table(ROWS)?;
            let mut hours = Vec::new();
            let mut from = first;
            // From the first row of an hour to that of the next one.
            while from <= last {
                let Some(row) = rows.range((from, "")..)?.next() else { break };
                let hour = row?.0.value().0;
                if hour > last {
                    break;
                }
                hours.push(hour);
                let Some(next) = hour.checked_add(1) else { break };
                from = next;
            }
            Ok(hours)
        })
    }

    fn rows(&self, hour: u32) -> BoxFuture<'_, Result<Vec<(Subject, Sums)>, StoreError>> {
        self.aside(move |database| {
            let rows = database.begin_read()?.open_table(ROWS)?;
            let mut found = Vec::new();
            for row in rows.range((hour, "")..(hour.saturating_add(1), ""))? {
                let (key, parts) = row?;
                let text = key.value().1;
                let subject =
                    Subject::decoded(text).ok_or_else(|| redb::Error::Corrupted("a row's name".to_owned()))?;
                found.push((subject, Sums::of_parts(parts.value())));
            }
            Ok(found)
        })
    }

    fn since(&self) -> BoxFuture<'_, Result<SystemTime, StoreError>> {
        let since = Duration::from_secs(self.shared.since.load(Ordering::Relaxed));
        Box::pin(std::future::ready(Ok(UNIX_EPOCH + since)))
    }

    fn forget(&self, before: u32) -> BoxFuture<'_, Result<(), StoreError>> {
        self.aside(move |database| {
            let transaction = database.begin_write()?;
            transaction.open_table(ROWS)?.retain_in((0, "")..(before, ""), |_, _| false)?;
            Ok(transaction.commit()?)
        })
    }
}

#[cfg(test)]
mod tests;
