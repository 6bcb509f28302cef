//! Who looks on while sums are added: for graphs and alarms, which live as long as the process.

use std::fmt;
use std::sync::Arc;

use super::bound::Bound;
use super::row::{Key, Subject, Sums};

/// Is told what was used, about once a second, whether or not it can be kept.
pub trait Observer: fmt::Debug + Send + Sync {
    /// This was used beside what was told before.
    fn used(&self, subject: &Subject, sums: &Sums);
}

/// An observer, and the subjects that it was told of: the first ones that come, and for the others one that stands for
/// the rest, as the rows of one hour.
#[derive(Debug)]
pub(super) struct Observed {
    by: Arc<dyn Observer>,
    bound: Bound,
}

impl Observed {
    pub(super) fn by(observer: Arc<dyn Observer>) -> Self {
        Self { by: observer, bound: Bound::default() }
    }

    pub(super) fn used(&mut self, subject: &Subject, sums: &Sums, labels: &[String]) {
        let key = self.bound.admit(Key { hour: 0, subject: subject.clone() }, labels);
        self.by.used(&key.subject, sums);
    }
}
