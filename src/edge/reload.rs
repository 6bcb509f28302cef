//! The configuration read again, as the edge knows it: somebody does it, and it has changed something.

use futures_util::future::BoxFuture;

use crate::domain::Error;

/// Reads the configuration again.
pub trait Reload: Send + Sync + std::fmt::Debug {
    /// Reads it and puts it in force for calls that begin from then on.
    ///
    /// # Errors
    /// `CONFIGURATION_INVALID`, with a violation for each problem: then nothing has changed.
    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, Error>>;
}

/// What a reload has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Where the configuration came from, in words.
    pub source: String,
    /// The providers that differ.
    pub providers: Changes,
    /// The models that differ.
    pub models: Changes,
    /// Who may call now, and which of them differ.
    pub callers: CallersNow,
    /// The issuers of tokens that differ.
    pub issuers: Changes,
    /// The other keys that differ and are in force.
    pub settings: Vec<String>,
    /// The keys that differ and take effect only at a restart.
    pub restart_required: Vec<String>,
    /// What is doubtful, though it works.
    pub warnings: Vec<String>,
}

/// What differs between two lists, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What was not there before.
    pub added: Vec<String>,
    /// What is not there any more.
    pub removed: Vec<String>,
    /// What is no longer the same.
    pub changed: Vec<String>,
}

/// The callers that have entries of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallersNow {
    /// How many there are.
    pub in_force: usize,
    /// Those that differ, a few of each kind.
    pub changes: Changes,
    /// How many more differ than are named.
    pub omitted: usize,
}

impl Reloaded {
    /// Whether nothing that is in force differs.
    pub fn is_nothing(&self) -> bool {
        let lists = [&self.providers, &self.models, &self.callers.changes, &self.issuers];
        lists.iter().all(|changes| **changes == Changes::default()) && self.settings.is_empty()
    }
}
