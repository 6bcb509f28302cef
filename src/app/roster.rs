//! From the configuration to the callers who are told apart.

use crate::callers::{Caller, Roster};
use crate::config::Admitted;

/// The callers of a configuration; `before` is what was in force.
pub(super) fn roster(admitted: &Admitted, before: Option<&Roster>) -> Roster {
    let Admitted { callers, anonymous } = admitted;
    if callers.is_empty() {
        // The configuration has seen to it that others are asked, or need not be.
        return Roster::open();
    }
    Roster::new(callers.clone(), anonymous.then(Caller::default), before)
}
