//! How many rows an hour may have: callers choose names and labels, and must not fill the store with them.

use std::collections::{BTreeMap, HashSet};

use super::row::{Key, Subject};
use crate::domain::CallerName;

/// The rows of an hour at one process, beside the one of the rest.
pub(super) const MAX_ROWS: usize = 2000;
/// What stands for everything that has no row of its own.
pub(super) const OTHER: &str = "(other)";

/// The row of all that has none of its own in the hour of `key`. Callers of the configuration stay apart, and of those whom
/// an issuer of tokens names, the issuer.
pub(super) fn overflow(key: &Key, labels: &[String]) -> Key {
    let caller = CallerName::new(key.subject.caller.as_str());
    let subject = Subject {
        caller: caller.rest().unwrap_or(caller).to_string(),
        model: OTHER.to_owned(),
        endpoint: OTHER.to_owned(),
        labels: labels.iter().map(|label| (label.clone(), OTHER.to_owned())).collect(),
    };
    Key { hour: key.hour, subject }
}

/// The rows that there are in the latest hours.
#[derive(Debug, Default)]
pub(super) struct Bound {
    hours: BTreeMap<u32, HashSet<Subject>>,
}

impl Bound {
    /// Whether nothing was said about `hour` yet.
    pub(super) fn is_new(&self, hour: u32) -> bool {
        !self.hours.contains_key(&hour)
    }

    /// These rows are there already. Rows come for the present hour, and for the one before while it is taken out of
    /// memory: older hours are forgotten.
    pub(super) fn begin(&mut self, hour: u32, there: impl IntoIterator<Item = Subject>) {
        self.hours.entry(hour).or_default().extend(there.into_iter().take(MAX_ROWS));
        while self.hours.len() > 3 {
            self.hours.pop_first();
        }
    }

    /// Whether there is a row of its own for `key`.
    pub(super) fn knows(&self, key: &Key) -> bool {
        self.hours.get(&key.hour).is_some_and(|subjects| subjects.contains(&key.subject))
    }

    /// The row for `key`: itself, or that of the rest.
    pub(super) fn admit(&mut self, key: Key, labels: &[String]) -> Key {
        let subjects = self.hours.entry(key.hour).or_default();
        if subjects.contains(&key.subject) {
            return key;
        }
        if subjects.len() >= MAX_ROWS {
            return overflow(&key, labels);
        }
        subjects.insert(key.subject.clone());
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(hour: u32, model: &str) -> Key {
        Key { hour, subject: Subject { model: model.to_owned(), ..Subject::default() } }
    }

    #[test]
    fn an_hour_has_so_many_rows_and_one_for_the_rest() {
        let mut bound = Bound::default();
        bound.begin(7, [key(7, "kept").subject]);
        let rows: HashSet<Key> = (0..5000).map(|index| bound.admit(key(7, &index.to_string()), &[])).collect();
        assert_eq!(rows.len(), MAX_ROWS, "one was there, and one is for the rest");
        assert!(rows.contains(&overflow(&key(7, ""), &[])));
        assert_eq!(bound.admit(key(7, "kept"), &[]), key(7, "kept"));
        assert_eq!(bound.admit(key(7, "1"), &[]), key(7, "1"));
        assert_eq!(bound.admit(key(8, "new"), &[]), key(8, "new"), "the next hour has room again");
    }

    #[test]
    fn callers_whom_an_issuer_names_share_the_row_of_the_rest() {
        let of = |caller: &str| {
            let subject = Subject { caller: caller.to_owned(), model: "m".to_owned(), ..Subject::default() };
            overflow(&Key { hour: 7, subject }, &[]).subject.caller
        };
        assert_eq!((of("corp:one").as_str(), of("corp:t:wo").as_str()), ("corp:(other)", "corp:(other)"));
        assert_eq!((of("search").as_str(), of("").as_str()), ("search", ""));
        let mut bound = Bound::default();
        let many = (0..10_000).map(|number| {
            let subject = Subject { caller: format!("corp:{number}"), ..Subject::default() };
            bound.admit(Key { hour: 7, subject }, &[])
        });
        assert_eq!(many.collect::<HashSet<Key>>().len(), MAX_ROWS + 1);
    }

    #[test]
    fn only_the_latest_hours_are_remembered() {
        let mut bound = Bound::default();
        (0..1000).for_each(|hour| bound.begin(hour, [key(hour, "m").subject]));
        assert_eq!(bound.hours.len(), 3);
        assert!(!bound.is_new(999) && bound.is_new(1));
    }
}
