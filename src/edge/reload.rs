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
