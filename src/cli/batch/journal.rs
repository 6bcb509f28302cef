//! The journal beside the output: a line for each result, written before its item counts as done.
//!
//! It is only appended to, and belongs to one process at a time: a lock that the system releases when the process ends,
//! however it ends. What it says last may be torn, and is dropped then.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::figures::Figures;

/// The form of the journal. Another number is another form.
const VERSION: u32 = 1;
/// What every journal begins with.
const BEGINNING: &[u8] = b"{\"begun\":{";
/// The longest line that is read, in bytes: more than any result.
const MAX_LINE_BYTES: u64 = 1 << 30;

/// What a batch was begun with, and has to go on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    version: u32,
    /// What stands in place of each line's model. Empty: nothing.
    pub(super) model: String,
    /// Whether it asks again what failed in an output that is there.
    pub(super) retries_failed: bool,
}

impl Settings {
    pub(super) fn new(model: String, retries_failed: bool) -> Self {
        Self { version: VERSION, model, retries_failed }
    }
}

/// A result, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record<'a> {
    /// The number of the input's line.
    pub(super) line: u64,
    /// The hash of that line.
    pub(super) hash: u64,
    pub(super) figures: Figures,
    /// The line of the output.
    #[serde(borrow)]
    pub(super) result: &'a RawValue,
}

/// A line of the journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry<'a> {
    Begun(Settings),
    #[serde(borrow)]
    Item(Record<'a>),
    /// What an earlier output had is in: from here on items are asked.
    TakenOver(bool),
}

/// A journal that cannot be used.
#[derive(Debug)]
pub(super) enum Unusable {
    /// Another process has it.
    Taken,
    /// It is none.
    Foreign,
    /// The file's own error.
    Broken(io::Error),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// The journal, locked.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    end: u64,
}

/// What is in a journal beside results.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What it was begun with; none: it is new.
    pub(super) settings: Option<Settings>,
    /// Whether all of an earlier output is in it.
    pub(super) taken_over: bool,
    /// Lines that cannot be read: their items are asked again.
    pub(super) unreadable: u64,
}

impl Journal {
    /// Opens and locks the journal; one that is not there is made.
    ///
    /// # Errors
    /// Another process has it, or the file's own.
    pub(super) fn open(path: &Path) -> Result<Self, Unusable> {
        loop {
            let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
            // From a pipe nothing would ever be read.
            if !file.metadata()?.is_file() {
                return Err(Unusable::Foreign);
            }
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(Unusable::Taken),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            // The process that had it may have finished and removed it in between.
            if file.metadata()?.nlink() > 0 {
                return Ok(Self { file, path: path.to_owned(), end: 0 });
            }
        }
    }

    /// Reads all that is in it: each result goes to `each` with the place where it is. A torn line at the end is cut off.
    ///
    /// # Errors
    /// It is no journal, the file's own, and what `each` gives.
    pub(super) fn read<E: From<Unusable>>(
        &mut self,
        mut each: impl FnMut(&Record<'_>, u64) -> Result<(), E>,
    ) -> Result<Found, E> {
        let mut found = Found::default();
        let mut input = BufReader::with_capacity(1 << 16, &self.file);
        input.seek(SeekFrom::Start(0)).map_err(Unusable::from)?;
        let (mut line, mut at) = (Vec::new(), 0_u64);
        loop {
            line.clear();
            let read = (&mut input).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(Unusable::from)?;
            if line.last() != Some(&b'\n') {
                // Nothing is cut off a file that was never a journal.
                let is_ours = line.iter().zip(BEGINNING).all(|(found, ours)| found == ours);
                if at == 0 && !is_ours {
                    return Err(Unusable::Foreign.into());
                }
                break;
            }
            match serde_json::from_slice::<Entry<'_>>(&line) {
                Ok(Entry::Begun(settings)) if at == 0 && settings.version == VERSION => found.settings = Some(settings),
                _ if at == 0 => return Err(Unusable::Foreign.into()),
                Ok(Entry::Item(record)) => each(&record, at)?,
                Ok(Entry::TakenOver(all)) => found.taken_over = all,
                Ok(Entry::Begun(_)) | Err(_) => found.unreadable = found.unreadable.saturating_add(1),
            }
            at = at.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        }
        self.cut(at).map_err(Unusable::from)?;
        Ok(found)
    }

    /// Forgets all that is behind `end`.
    fn cut(&mut self, end: u64) -> io::Result<()> {
        if self.file.metadata()?.len() != end {
            self.file.set_len(end)?;
        }
        self.end = end;
        Ok(())
    }

    /// Begins anew with these settings.
    ///
    /// # Errors
    /// The file's own.
    pub(super) fn begin(&mut self, settings: &Settings) -> io::Result<()> {
        self.cut(0)?;
        self.write(&Entry::Begun(settings.clone()))?;
        self.keep()
    }

    /// Says that all of an earlier output is in it.
    ///
    /// # Errors
    /// The file's own.
    pub(super) fn taken_over(&mut self) -> io::Result<()> {
        self.write(&Entry::TakenOver(true))?;
        self.keep()
    }

    /// Writes a result, and gives the place where it is. It is safe once [`Journal::keep`] has returned.
    ///
    /// # Errors
    /// The file's own.
    pub(super) fn append(&mut self, record: Record<'_>) -> io::Result<u64> {
        self.write(&Entry::Item(record))
    }

    /// Waits until all that was written would survive a loss of power.
    ///
    /// # Errors
    /// The file's own.
    pub(super) fn keep(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// The output's line that is at `at`, into `line`.
    ///
    /// # Errors
    /// The file's own; there is none.
    pub(super) fn result<T>(
        &self,
        input: &mut BufReader<&File>,
        at: u64,
        line: &mut Vec<u8>,
        take: impl FnOnce(&str) -> io::Result<T>,
    ) -> io::Result<T> {
        line.clear();
        input.seek(SeekFrom::Start(at))?;
        input.take(MAX_LINE_BYTES).read_until(b'\n', line)?;
        match serde_json::from_slice::<Entry<'_>>(line) {
            Ok(Entry::Item(record)) => take(record.result.get()),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} was changed", self.path.display()))),
        }
    }

    /// Something to read results with.
    pub(super) fn reader(&self) -> BufReader<&File> {
        BufReader::with_capacity(1 << 14, &self.file)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, for nothing in it is of use. Where that fails, the next batch says what to do.
    pub(super) fn discard(&self) {
        let _ = std::fs::remove_file(&self.path);
    }

    /// Removes it, for the output is there.
    ///
    /// # Errors
    /// The file's own.
    pub(super) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    fn write(&mut self, entry: &Entry<'_>) -> io::Result<u64> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let at = self.end;
        self.file.write_all(&line)?;
        self.end = at.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        Ok(at)
    }
}
