//! What became of each call, for a while.

use std::time::SystemTime;

use super::{Asked, Fate};
use crate::domain::{Attempt, CallId};
use crate::pool::Ledger;

/// What became of calls. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Completions {}

/// A call that runs, or has ended.
#[derive(Clone, Debug)]
pub struct Completion {
    /// What is known from its beginning.
    pub asked: Asked,
    /// Where it stands.
    pub standing: Standing,
    /// What was tried until now.
    pub attempts: Vec<Attempt>,
}

/// Where a call stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It runs.
    Running,
    /// It has ended.
    Ended(Fate, SystemTime),
}

impl Completions {
    pub(super) fn begun(&self, _asked: &Asked, _ledger: &Ledger) {}

    pub(super) fn ended(&self, _asked: &Asked, _fate: Fate, _attempts: Vec<Attempt>, _at: SystemTime) {}

    /// What became of a call; none: it is not known, or not any more.
    pub fn find(&self, _id: CallId) -> Option<Completion> {
        None
    }
}
