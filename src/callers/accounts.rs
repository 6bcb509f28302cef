//! What callers have in flight, by their names: over all configurations and all tokens, as long as there is something.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::count::Count;
use crate::domain::CallerName;

/// As many accounts may stand before it is looked which of them nobody needs any more.
const LOOKED_AT: usize = 64;

/// What callers have in flight. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts(Arc<Mutex<Standing>>);

#[derive(Debug)]
struct Standing {
    by_name: HashMap<CallerName, Count>,
    /// How many there may be before it is looked again.
    until: usize,
}

impl Default for Standing {
    fn default() -> Self {
        Self { by_name: HashMap::new(), until: LOOKED_AT }
    }
}

impl Accounts {
    /// The account of `name`: the one that there is, as long as it is anybody's or anything of it is in flight.
    pub(super) fn of(&self, name: &CallerName) -> Count {
        let mut standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = standing.by_name.get(name) {
            return count.clone();
        }
        if standing.by_name.len() >= standing.until {
            standing.by_name.retain(|_, count| count.is_shared());
            // Twice as many as are needed, so that looking costs little however many there are.
            standing.until = LOOKED_AT.max(standing.by_name.len().saturating_mul(2));
        }
        standing.by_name.entry(name.clone()).or_default().clone()
    }

    #[cfg(test)]
    fn number(&self) -> usize {
        self.0.lock().unwrap().by_name.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_stays_as_long_as_anything_of_it_is_in_flight() {
        let accounts = Accounts::default();
        let held = accounts.of(&CallerName::new("busy")).one();
        for number in 0..1000 {
            drop(accounts.of(&CallerName::new(format!("caller-{number}"))));
        }
        assert_eq!(accounts.of(&CallerName::new("busy")).now(), 1);
        drop(held);
        assert_eq!(accounts.of(&CallerName::new("busy")).now(), 0);
    }

    #[test]
    fn those_that_nobody_needs_are_forgotten() {
        let accounts = Accounts::default();
        let needed: Vec<Count> =
            (0..10).map(|number| accounts.of(&CallerName::new(format!("needed-{number}")))).collect();
        for number in 0..100_000 {
            drop(accounts.of(&CallerName::new(format!("caller-{number}"))));
        }
        assert!(accounts.number() <= LOOKED_AT, "{}", accounts.number());
        assert_eq!(needed.len(), 10);
    }
}
