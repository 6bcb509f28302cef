//! How serving ends: each step is told once, and everything that must know waits on it.

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The steps of an orderly end, in their order. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    /// Connections are told to go away, and new ones are refused.
    refusing: CancellationToken,
    /// Calls that still run are ended.
    ending: CancellationToken,
}

impl Drain {
    /// From now on no connection is accepted, and those that stand are told to go away. Calls that come before their client
    /// has heard of it are served.
    pub fn refuse(&self) {
        self.refusing.cancel();
    }

    /// Ends the calls that still run.
    pub fn end(&self) {
        self.refusing.cancel();
        self.ending.cancel();
    }

    /// Whether connections are told to go away.
    pub fn is_refusing(&self) -> bool {
        self.refusing.is_cancelled()
    }

    /// Whether running calls are ended.
    pub fn is_ending(&self) -> bool {
        self.ending.is_cancelled()
    }

    /// Waits until connections are told to go away.
    pub async fn refusing(&self) {
        self.refusing.cancelled().await;
    }

    /// The same, for what outlives this.
    pub fn refused(self) -> WaitForCancellationFutureOwned {
        self.refusing.cancelled_owned()
    }

    /// Waits until running calls are ended.
    pub async fn ending(&self) {
        self.ending.cancelled().await;
    }
}
