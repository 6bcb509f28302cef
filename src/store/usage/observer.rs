//! Who looks on while sums are added: for graphs and alarms, which live as long as the process.

use std::fmt;
use std::sync::Arc;

use super::bound::{Bound, overflow};
use super::row::{Key, Subject, Sums};

/// Is told what was used, about once a second, whether or not it can be kept.
pub trait Observer: fmt::Debug + Send + Sync {
    /// This was used beside what was told before.
    fn used(&self, subject: &Subject, sums: &Sums);
}

/// The bytes of the names in all subjects: as long as they are of a usual length, their number is reached before.
const MOST_BYTES: usize = 512 * 1024;

/// An observer, and the subjects that it was told of: the first ones that come, and for the others one that stands for
/// the rest, as the rows of one hour.
#[derive(Debug)]
pub(super) struct Observed {
    by: Arc<dyn Observer>,
    bound: Bound,
    /// What is left for names, in bytes.
    left: usize,
}

impl Observed {
    pub(super) fn by(observer: Arc<dyn Observer>) -> Self {
        Self { by: observer, bound: Bound::default(), left: MOST_BYTES }
    }

    pub(super) fn used(&mut self, subject: &Subject, sums: &Sums, labels: &[String]) {
        let key = self.admit(Key { hour: 0, subject: subject.clone() }, labels);
        self.by.used(&key.subject, sums);
    }

    fn admit(&mut self, key: Key, labels: &[String]) -> Key {
        if self.bound.knows(&key) {
            return key;
        }
        let Some(left) = self.left.checked_sub(bytes(&key.subject)) else { return overflow(&key, labels) };
        self.left = left;
        self.bound.admit(key, labels)
    }
}

fn bytes(subject: &Subject) -> usize {
    let labels = subject.labels.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    subject.caller.len() + subject.model.len() + subject.endpoint.len() + labels
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::{Mutex, PoisonError};

    use super::*;

    #[derive(Debug, Default)]
    struct Told(Mutex<(HashSet<Subject>, i64)>);

    impl Observer for Told {
        fn used(&self, subject: &Subject, sums: &Sums) {
            let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            told.0.insert(subject.clone());
            told.1 += sums.failed;
        }
    }

    /// What an observer is told of 3000 calls, each with a label of so many bytes.
    fn told_of(length: usize) -> (usize, i64) {
        let told = Arc::new(Told::default());
        let mut observed = Observed::by(Arc::clone(&told) as Arc<dyn Observer>);
        let labels = ["team".to_owned()];
        for number in 0..3000 {
            let value = format!("{number:0>length$}");
            let subject = Subject { labels: vec![("team".to_owned(), value)], ..Subject::default() };
            observed.used(&subject, &Sums { failed: 1, ..Sums::default() }, &labels);
        }
        let told = told.0.lock().unwrap_or_else(PoisonError::into_inner);
        (told.0.len(), told.1)
    }

    #[test]
    fn long_names_take_the_place_of_several_and_no_sum_is_lost() {
        assert_eq!(told_of(100), (2001, 3000), "their number is the bound");
        assert_eq!(told_of(1020), (513, 3000), "their length is, and one is for the rest");
    }
}
