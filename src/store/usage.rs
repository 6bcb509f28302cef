//! What was used and what it cost, summed up by the hour.

use std::time::SystemTime;

use super::{Asked, Fate};
use crate::domain::Attempt;

/// The sums. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct UsageBook {}

impl UsageBook {
    pub(super) fn note(&self, _asked: &Asked, _fate: &Fate, _attempts: &[Attempt], _at: SystemTime) {}
}
