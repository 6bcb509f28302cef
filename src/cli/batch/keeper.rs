//! Puts results into the journal, several at a time and beside everything else, and says when they are safe.

use std::io;

use serde_json::value::RawValue;
use tokio::task::{JoinHandle, spawn_blocking};

use super::figures::Figures;
use super::journal::{Journal, Record, Unusable};
use super::stop::Stop;
use super::told::Told;

/// A result that is to be kept.
#[derive(Debug)]
struct Waiting {
    line: u64,
    hash: u64,
    told: Told,
}

/// A result that is in the journal.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) line: u64,
    pub(super) hash: u64,
    /// Where it is.
    pub(super) at: u64,
    pub(super) figures: Figures,
}

type Writing = JoinHandle<(Journal, io::Result<Vec<Kept>>)>;

/// Owns the journal while a batch runs.
#[derive(Debug)]
pub(super) struct Keeper {
    /// None while it is being written to.
    journal: Option<Journal>,
    writing: Option<Writing>,
    waiting: Vec<Waiting>,
}

impl Keeper {
    pub(super) fn new(journal: Journal) -> Self {
        Self { journal: Some(journal), writing: None, waiting: Vec::new() }
    }

    /// Takes a result.
    pub(super) fn add(&mut self, line: u64, hash: u64, told: Told) {
        self.waiting.push(Waiting { line, hash, told });
    }

    /// Results that are not being written yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether everything is in the journal.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.writing.is_none()
    }

    /// Begins to write what waits, unless it is writing.
    pub(super) fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        if let Some(journal) = self.journal.take() {
            let waiting = std::mem::take(&mut self.waiting);
            self.writing = Some(spawn_blocking(move || written(journal, waiting)));
        }
    }

    /// What has become safe; waits for ever where nothing is written. It may be dropped and called again.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub(super) async fn kept(&mut self) -> Result<Vec<Kept>, Stop> {
        let Some(writing) = &mut self.writing else { return std::future::pending().await };
        let done = writing.await;
        self.writing = None;
        let (journal, kept) = done.map_err(|error| Stop::Failed(format!("the journal was not written: {error}")))?;
        self.journal = Some(journal);
        kept.map_err(|error| Stop::Journal(Unusable::Broken(error)))
    }

    /// The journal, once everything is in it.
    pub(super) fn into_journal(self) -> Option<Journal> {
        self.journal
    }
}

fn written(mut journal: Journal, waiting: Vec<Waiting>) -> (Journal, io::Result<Vec<Kept>>) {
    let kept = waiting.into_iter().map(|waiting| one(&mut journal, waiting)).collect::<io::Result<Vec<_>>>();
    let kept = kept.and_then(|kept| journal.keep().map(|()| kept));
    (journal, kept)
}

fn one(journal: &mut Journal, waiting: Waiting) -> io::Result<Kept> {
    let Waiting { line, hash, told } = waiting;
    let result = RawValue::from_string(told.line)?;
    let at = journal.append(Record { line, hash, figures: told.figures.clone(), result: &result })?;
    Ok(Kept { line, hash, at, figures: told.figures })
}
