//! Where sums are kept, by what, and how long.

use std::path::PathBuf;
use std::time::Duration;

use super::super::redis::RedisUrl;

/// What the configuration says about the sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageSettings {
    /// Where they are kept. Default: in memory.
    pub keep_in: Keep,
    /// The labels that they are kept by. Default: none.
    pub labels: Vec<String>,
    /// How long. Default: 90 days.
    pub keep: Duration,
}

impl Default for UsageSettings {
    fn default() -> Self {
        Self { keep_in: Keep::Memory, labels: Vec::new(), keep: Duration::from_secs(90 * 24 * 60 * 60) }
    }
}

impl UsageSettings {
    /// How many hours are kept, the present one among them.
    pub(super) fn keep_hours(&self) -> u32 {
        u32::try_from(self.keep.as_secs() / 3600).unwrap_or(u32::MAX).max(1)
    }
}

/// Where sums are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// In the memory of this process.
    Memory,
    /// In a file in this folder.
    File(PathBuf),
    /// In Redis or Valkey at this address, which may hold a password.
    Redis(RedisUrl),
}
